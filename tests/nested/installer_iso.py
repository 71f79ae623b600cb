"""Installers' ISOs: Debian's shim, GRUB and kernel, an initrd that installs, and the system that is installed.

The whole one has Debian as a squashfs, which holds the tools too: the initrd runs sfdisk, mke2fs and grub-install in it, as live
systems do. The small one has busybox with an init and a login, as a tar archive: quick enough to be installed in every run.
"""

import gzip
import io
import pathlib
import subprocess
import tarfile
import tempfile

import uefi_disk
from uefi_disk import MIB, run

ROOT_PACKAGES = "systemd-sysv,udev,dbus,fdisk,dosfstools,efibootmgr,grub2-common,grub-efi-amd64-bin"
ROOT_HOOK = ("chroot \"$1\" passwd -q -d root; mkdir -p \"$1/boot/efi\"; "
             "chroot \"$1\" systemctl -q mask apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer e2scrub_all.timer "
             "e2scrub_reap.service systemd-timesyncd.service; rm -rf \"$1/var/cache/apt\" \"$1\"/var/lib/apt/lists/* "
             "\"$1\"/usr/lib/grub/x86_64-efi/monolithic")
DEBIAN_INSTALLER = "/usr/lib/debian-installer/images/12/amd64/text/debian-installer/amd64"
# Quick to unpack, and without what nothing here uses: what unpacks it is slow.
LEFT_OUT = ("proc/*", "sys/*", "dev/*", "run/*", "tmp/*", "usr/share/perl/*", "usr/share/perl5/*", "usr/lib/x86_64-linux-gnu/perl/*",
            "usr/lib/x86_64-linux-gnu/gconv/*", "usr/share/bash-completion/*", "usr/share/zsh/*", "usr/share/lintian/*", "usr/share/maven-repo/*",
            "usr/lib/udev/hwdb.d/*", "usr/share/i18n/*")
SQUASHFS = "mksquashfs \"$tree\" \"$image\" -quiet -no-progress -comp lz4 -b 256K -wildcards -e " + " ".join(f"'{name}'" for name in LEFT_OUT)
MENU = """set timeout=-1
menuentry "Install" {
  linux /boot/vmlinuz console=tty0 quiet alcove.console=ttyS0 alcove.run=COMMAND
  initrd /boot/initrd
}
menuentry "A shell" {
  linux /boot/vmlinuz console=tty0 quiet alcove.console=ttyS0
  initrd /boot/initrd
}
"""
SMALL_FILES = {
    "etc/inittab": "::sysinit:/etc/rc\nttyS0::respawn:/bin/getty -L 115200 ttyS0 vt100\n::shutdown:/bin/umount -a -r\n",
    "etc/rc": "#!/bin/sh\nmount -t proc proc /proc\nmount -t sysfs sysfs /sys\nhostname -F /etc/hostname\nmount -o remount,rw /\n",
    "etc/hostname": "alcove-installed\n",
    "etc/passwd": "root::0:0:root:/:/bin/sh\n",
}


def small_system(busybox):
    """A tar archive: busybox with its applets, an init that asks for a login at the serial port."""
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as tar:
        def add(name, kind=tarfile.REGTYPE, data=b"", mode=0o755, link=""):
            info = tarfile.TarInfo(name)
            info.type, info.size, info.mode, info.linkname = kind, len(data), mode, link
            tar.addfile(info, io.BytesIO(data))

        for name in ("bin", "sbin", "boot", "dev", "etc", "mnt", "proc", "sys", "tmp"):
            add(name, tarfile.DIRTYPE)
        add("bin/busybox", data=pathlib.Path(busybox).read_bytes())
        for name in subprocess.run([busybox, "--list"], capture_output=True, text=True, check=True).stdout.split():
            if name != "busybox":
                add(f"bin/{name}", tarfile.SYMTYPE, link="busybox")
        add("sbin/init", tarfile.SYMTYPE, link="../bin/busybox")
        for name, text in SMALL_FILES.items():
            add(name, data=text.encode(), mode=0o755 if name == "etc/rc" else 0o644)
    return archive.getvalue()


def make_iso(image, packages, files, texts, label):
    """packages: the folder of uefi_disk.PACKAGES, unpacked. files: by their names on the CD, and texts; the loader's configuration is
    boot/grub/grub.cfg."""
    with tempfile.TemporaryDirectory(dir=image.parent) as folder:
        tree = pathlib.Path(folder)
        esp = tree / "boot/grub/efi.img"
        # Debian's signed GRUB looks on a CD for the first of these, to know it again.
        texts = {".disk/info": "Alcove\n", "boot/grub/x86_64-efi/grub.cfg": "source /boot/grub/grub.cfg\n", **texts}
        for name in (*files, *texts, "boot/grub/efi.img"):
            (tree / name).parent.mkdir(parents=True, exist_ok=True)
        for name, text in texts.items():
            (tree / name).write_text(text)
        for name, source in files.items():
            (tree / name).symlink_to(source)
        uefi_disk.new_esp(esp, 12 * MIB)
        for name, source in uefi_disk.FILES.items():
            uefi_disk.esp_copy(esp, 0, name, packages / source)
        run("xorriso", "-report_about", "FAILURE", "-as", "mkisofs", "-quiet", "-f", "-r", "-J", "-V", label,
            "-e", "boot/grub/efi.img", "-no-emul-boot", "-o", image, tree)


def make(image, packages, kernel, initrd, live, command):
    """live: a file by its name there. command: what installs, in the initrd."""
    with tempfile.NamedTemporaryFile(dir=image.parent) as small:
        # The firmware reads it slower than the kernel unpacks it.
        small.write(gzip.compress(initrd.read_bytes(), 6, mtime=0))
        small.flush()
        files = {"boot/vmlinuz": kernel, "boot/initrd": small.name}
        files.update({f"live/{name}": file for name, file in live.items()})
        make_iso(image, packages, files, {"boot/grub/grub.cfg": MENU.replace("COMMAND", command.replace(" ", "_"))}, "ALCOVE_INSTALL")


def make_debian(image, packages):
    """Debian's own installer, its text interface, of what it ships for booting from a network: kernel, initrd and menu as they are."""
    folder = pathlib.Path(DEBIAN_INSTALLER)
    files = {f"debian-installer/amd64/{name}": folder / name for name in ("linux", "initrd.gz", "grub/grub.cfg")}
    files["boot/grub/font.pf2"] = folder / "grub/font.pf2"
    make_iso(image, packages, files, {"boot/grub/grub.cfg": "source /debian-installer/amd64/grub/grub.cfg\n"}, "Debian 12")
