"""Debian 12 disk images as an installation leaves them: GPT, an EFI system partition with Debian's signed loaders, an ext4 root with Debian's kernel and initrd.

What differs from an installation: grub.cfg is written by hand on the EFI system partition, drivers of hardware that no virtual machine has
are left out, and root has no password.
"""

import pathlib
import subprocess

import bootstrap
import uefi_disk

PACKAGES = {
    "server": "systemd-sysv,udev,dbus,initramfs-tools,linux-image-amd64,login,kmod,zstd",
    "desktop": "systemd-sysv,udev,dbus,initramfs-tools,linux-image-amd64,login,kmod,zstd,weston,seatd,fonts-dejavu-core",
}
SIZE = {"server": "700M", "desktop": "1400M"}
VARIANTS = (*SIZE, "systemd-boot")
LABEL = "alcove-root"
# For which an initrd looks whose MODULES=list.
INITRD_MODULES = ("virtio_pci", "virtio_blk", "virtio-gpu", "ahci", "sd_mod", "ext4")
LEFT_OUT = [f"/usr/share/{name}/*" for name in ("doc", "locale", "man", "zoneinfo")] + [f"/lib/modules/*/kernel/{name}/*" for name in (
    "sound", "drivers/media", "drivers/net/wireless", "drivers/net/ethernet", "drivers/infiniband", "drivers/scsi/[a-rt-z]*", "drivers/staging",
    "drivers/iio", "drivers/usb", "drivers/gpu/drm/amd", "drivers/gpu/drm/i915", "drivers/gpu/drm/nouveau", "drivers/gpu/drm/radeon")]
PREPARE = f"""set -e
mkdir -p "$1/etc/initramfs-tools/conf.d" "$1/usr/share/initramfs-tools/modules.d"
echo MODULES=list >"$1/etc/initramfs-tools/conf.d/alcove"
printf '%s\\n' {' '.join(INITRD_MODULES)} >"$1/usr/share/initramfs-tools/modules.d/alcove"
"""
FINISH = f"""set -e
chroot "$1" passwd -q -d root
echo alcove-guest >"$1/etc/hostname"
printf 'LABEL={LABEL} / ext4 defaults 0 1\\n' >"$1/etc/fstab"
chroot "$1" systemctl -q mask apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer e2scrub_all.timer e2scrub_reap.service systemd-timesyncd.service
rm -rf "$1/var/cache/apt" "$1"/var/lib/apt/lists/*
"""
WESTON = """[Unit]
After=seatd.service systemd-user-sessions.service
Conflicts=getty@tty1.service
[Service]
Environment=XDG_RUNTIME_DIR=/run/weston LIBSEAT_BACKEND=seatd
RuntimeDirectory=weston
RuntimeDirectoryMode=0700
TTYPath=/dev/tty1
StandardInput=tty
ExecStart=/usr/bin/weston --backend=drm-backend.so --use-pixman --idle-time=0
ExecStartPost=/bin/sh -c 'until [ -S /run/weston/wayland-1 ]; do sleep 0.2; done; echo ALCOVE-WESTON >/dev/ttyS0'
[Install]
WantedBy=multi-user.target
"""
DESKTOP = f"""set -e
cat >"$1/etc/systemd/system/weston.service" <<'end'
{WESTON}end
mkdir -p "$1/root/.config"
chroot "$1" systemctl -q enable weston.service seatd.service
"""
WORDS = f"root=LABEL={LABEL} ro quiet console=tty0 console=ttyS0"
# As grub-mkconfig writes it: graphics, whose mode the kernel keeps.
GRUB_CFG = f"""search --no-floppy --label {LABEL} --set=root
loadfont /EFI/debian/unicode.pf2
set gfxmode=auto
set gfxpayload=keep
if loadfont $prefix/unicode.pf2; then terminal_output gfxterm; fi
set timeout=0
menuentry "Debian GNU/Linux" {{
  linux /vmlinuz {WORDS}
  initrd /initrd.img
}}
"""
LOADER = {
    "loader/loader.conf": "default debian.conf\ntimeout 0\n",
    "loader/entries/debian.conf": f"title Debian GNU/Linux\nlinux /vmlinuz\ninitrd /initrd.img\noptions {WORDS}\n",
}


def recipe(variant):
    """Of which a change makes another root."""
    return PACKAGES[variant], SIZE[variant], LEFT_OUT, PREPARE, FINISH, DESKTOP if variant == "desktop" else None


def make_root(path, variant, run, mirror):
    path.unlink(missing_ok=True)
    hooks = [FINISH] + ([DESKTOP] if variant == "desktop" else [])
    bootstrap.make(path, bootstrap.ext4(LABEL, SIZE[variant]), PACKAGES[variant], mirror, run, hooks=hooks, essential_hooks=[PREPARE], left_out=LEFT_OUT)


def kernel_and_initrd(root, folder):
    """Taken out of the root, for a loader that reads no ext4."""
    files = []
    for name in ("vmlinuz", "initrd.img"):
        target = subprocess.run(["debugfs", "-R", f"stat /{name}", str(root)], capture_output=True, text=True, check=True).stdout
        link = target.split('Fast link dest: "', 1)[1].split('"', 1)[0]
        file = pathlib.Path(folder) / name
        subprocess.run(["debugfs", "-R", f"dump /{link} {file}", str(root)], capture_output=True, check=True)
        if not file.exists() or not file.stat().st_size:
            raise uefi_disk.DiskError(f"{root}: no {link} in it")
        files.append(file)
    return files


def use_systemd_boot(image, loader, root, folder):
    """Turns a copy of a disk with shim and GRUB into one with systemd-boot: loader, entry, kernel and initrd on its EFI system partition."""
    uefi_disk.esp_copy(image, uefi_disk.ESP_START, "EFI/BOOT/BOOTX64.EFI", loader)
    for file in kernel_and_initrd(root, folder):
        uefi_disk.esp_copy(image, uefi_disk.ESP_START, file.name, file)
    for name, text in LOADER.items():
        file = pathlib.Path(folder) / "text"
        file.write_text(text)
        uefi_disk.esp_copy(image, uefi_disk.ESP_START, name, file)
