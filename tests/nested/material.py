"""Kernels and initrds for the appliance and for the guests in it: made once from Debian's packages, kept in a cache.

Usage: material.py kernel generic|cloud      the bzImage as Debian ships it
       material.py vmlinux generic|cloud     the ELF inside it, for PVH
       material.py initrd generic|cloud      busybox, the flavour's virtio, DRM, evdev and ext4 modules, tests/guest/guest-init
       material.py initrd pc|sata|net        the generic one, and the modules and tools for a subject
       material.py uefi-disk                 a raw disk that UEFI boots: shim, GRUB, kernel and that root; copy it before you boot it
       material.py uefi-esp                  the same without the root: its initrd is all there is
       material.py uefi-cd                   a CD with that shim and GRUB
       material.py qmp-client                the folder of QEMU's Python modules, from Debian's source package
       material.py debian-server|debian-systemd-boot|debian-desktop
                                             raw disks with a Debian as it is installed (debian_disk.py); copy them before you boot them
       material.py fio-disk                  an ext4 image with fio, for bench-disk
       material.py installer-iso             a CD that installs Debian to an empty virtio disk by itself
       material.py debian-installer-iso      a CD with Debian's own installer
       material.py small-installer-iso       a CD that installs a small system to an empty SATA disk by itself
       material.py root                      a raw ext4 image: Debian with systemd, root without a password; copy it before you boot it

Each prints the path. The cache is $ALCOVE_TEST_MATERIAL, else $XDG_CACHE_HOME/alcove/test-material; files appear there
whole or not at all, and two runs at once wait for one another.
"""

import contextlib
import fcntl
import functools
import hashlib
import lzma
import os
import pathlib
import struct
import shutil
import subprocess
import sys
import tempfile

import bootstrap
import debian_disk
import installer_iso
import qemu_source
import tcg_module
import uefi_disk

# A user's own does not have mke2fs, sfdisk and modinfo.
os.environ["PATH"] = os.environ.get("PATH", "/usr/bin:/bin") + ":/usr/sbin:/sbin"
HERE = pathlib.Path(__file__).resolve().parent
GUEST = HERE.parent / "guest"
XZ_MAGIC = b"\xfd7zXZ\x00"
LZ4_LEGACY_MAGIC = b"\x02\x21\x4c\x18"
PACKAGES = {"generic": "linux-image-amd64", "cloud": "linux-image-cloud-amd64"}
APPLIANCE_MODULES = ["virtio_pci", "virtio_console", "9pnet_virtio", "9p", "kvm-amd", "vhost_vsock"]
GUEST_MODULES = {
    "generic": ["virtio_pci", "virtio_blk", "virtio_console", "virtio-rng", "virtio_input", "evdev", "virtio-gpu", "crc32c_generic", "ext4",
                "pvpanic-mmio", "button", "efivarfs"],
    "cloud": ["virtio_pci", "virtio_blk", "virtio_console", "virtio-rng", "crc32c_generic", "ext4", "button", "evdev"],
}
# Of the generic kernel, and only for who needs them: each module costs every guest time.
GUEST_MODULES["pc"] = GUEST_MODULES["generic"] + ["virtio_balloon", "psmouse", "vmw_vsock_virtio_transport"]
GUEST_MODULES["net"] = GUEST_MODULES["generic"] + ["virtio_net"]
GUEST_MODULES["sata"] = GUEST_MODULES["generic"] + ["ahci", "sd_mod", "sr_mod", "isofs"]
GUEST_MODULES["install"] = ["virtio_pci", "virtio_blk", "ahci", "sd_mod", "sr_mod", "isofs", "loop", "squashfs", "vfat", "nls_cp437", "nls_ascii",
                            "crc32c_generic", "ext4", "button", "efivarfs"]
FLAVOURS_OF_GENERIC = ("sata", "pc", "net", "install")
ROOT_PACKAGES = "systemd-sysv,udev,dbus"
ROOT_SIZE = "600M"
LEFT_OUT = [f"/usr/share/{name}/*" for name in ("doc", "locale", "man", "zoneinfo")]
ROOT_HOOK = ("chroot \"$1\" passwd -q -d root; echo alcove-guest >\"$1/etc/hostname\"; echo '/dev/vda / ext4 defaults 0 1' >\"$1/etc/fstab\"; "
             "chroot \"$1\" systemctl -q mask apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer e2scrub_all.timer "
             "e2scrub_reap.service systemd-timesyncd.service; rm -rf \"$1/var/cache/apt\" \"$1\"/var/lib/apt/lists/*")


class MaterialError(Exception):
    pass


class MaterialMissing(MaterialError):
    """Nobody's mistake: this computer's mirror does not carry it."""


def run(*command, **options):
    result = subprocess.run([str(word) for word in command], capture_output=True, **options)
    if result.returncode:
        raise MaterialError(f"{command[0]}: {result.stderr.decode(errors='replace').strip()}")
    return result.stdout


class Material:
    def __init__(self):
        default = pathlib.Path(os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache") / "alcove/test-material"
        self.cache = pathlib.Path(os.environ.get("ALCOVE_TEST_MATERIAL") or default)
        self.depth = 0

    @contextlib.contextmanager
    def locked(self):
        """Reentrant within one Material."""
        self.cache.mkdir(parents=True, exist_ok=True)
        self.depth += 1
        try:
            if self.depth == 1:
                self.lock = open(self.cache / "lock", "w")
                fcntl.flock(self.lock, fcntl.LOCK_EX)
            yield
        finally:
            self.depth -= 1
            if self.depth == 0:
                self.lock.close()

    def package(self, flavour):
        """The folder of a kernel package, unpacked."""
        with self.locked():
            done = sorted(self.cache.glob(f"linux-image-{flavour}-*"))
            if done:
                return done[-1]
            depends = run("apt-cache", "depends", PACKAGES[flavour]).decode()
            package = next((line.split()[-1] for line in depends.splitlines() if "Depends: linux-image" in line), None)
            if not package:
                raise MaterialError(f"apt knows no {PACKAGES[flavour]}: run apt-get update")
            with tempfile.TemporaryDirectory(dir=self.cache) as folder:
                print(f"material: fetching {package}", file=sys.stderr, flush=True)
                run("apt-get", "download", "-q", "-o", "APT::Sandbox::User=root", package, cwd=folder)
                run("dpkg-deb", "-x", next(pathlib.Path(folder).glob("*.deb")), f"{folder}/tree")
                target = self.cache / package.replace("linux-image-", f"linux-image-{flavour}-")
                os.rename(f"{folder}/tree", target)
            return target

    def qmp_client(self):
        with self.locked():
            target = self.cache / "qemu-python"
            if not target.exists():
                print("material: fetching the source package of QEMU", file=sys.stderr, flush=True)
                try:
                    qemu_source.fetch(target)
                except subprocess.CalledProcessError as error:
                    raise MaterialMissing(f"no source package of QEMU: {(error.stderr or b'').decode(errors='replace').strip()}") from error
            return target

    def kernel(self, flavour):
        return next(self.package(flavour).glob("boot/vmlinuz-*"))

    def vmlinux(self, flavour):
        with self.locked():
            target = self.package(flavour) / "vmlinux"
            if not target.exists():
                self.write(target, self.extract_vmlinux(self.kernel(flavour)))
            return target

    def extract_vmlinux(self, kernel):
        """The payload that the setup header speaks of (Documentation/arch/x86/boot.rst: payload_offset, payload_length)."""
        image = kernel.read_bytes()
        setup_sectors = image[0x1F1] or 4
        offset, length = struct.unpack_from("<II", image, 0x248)
        start = (setup_sectors + 1) * 512 + offset
        payload = image[start:start + length]
        if payload.startswith(XZ_MAGIC):
            data = lzma.LZMADecompressor().decompress(payload)
        elif payload.startswith(LZ4_LEGACY_MAGIC):
            # The last four bytes are the kernel's own: the unpacked size.
            data = run("lz4", "-d", "-c", input=payload[:-4])
        else:
            data = b""
        if data[:4] != b"\x7fELF":
            raise MaterialError(f"{kernel}: its payload is neither xz nor lz4 of an ELF")
        return data

    def load_order(self, flavour, names):
        """The files of the named modules behind those that they depend on; what is built in is left out."""
        found = {file.name.removesuffix(".ko").replace("-", "_"): file for file in self.package(flavour).glob("lib/modules/*/kernel/**/*.ko")}
        order = []

        def add(name):
            file = found.get(name.replace("-", "_"))
            if not file or file in order:
                return
            for needed in run("modinfo", "-F", "depends", file).decode().strip().split(","):
                if needed:
                    add(needed)
            order.append(file)

        for name in names:
            add(name)
        return order

    def initrd(self, name, flavour, modules, fill):
        """fill (folder) adds what else is in it and returns the bytes that a change of which makes a new initrd."""
        with self.locked(), tempfile.TemporaryDirectory(dir=self.cache) as temporary:
            folder = pathlib.Path(temporary) / "root"
            for part in ("dev", "proc", "sys", "tmp", "mnt", "newroot", "modules"):
                (folder / part).mkdir(parents=True)
            stamp = hashlib.sha256(fill(folder) + repr(modules).encode() + self.package(flavour).name.encode())
            target = self.cache / f"{name}-{flavour}-{stamp.hexdigest()[:16]}"
            if target.exists():
                return target
            names = []
            for file in self.load_order(flavour, modules):
                run("objcopy", "-R", ".BTF", "-R", "__mcount_loc", "--strip-debug", file, folder / "modules" / file.name)
                names.append(f"/modules/{file.name}")
            (folder / "modules.list").write_text("\n".join(names) + "\n")
            listing = "\n".join(sorted(str(path.relative_to(folder)) for path in folder.rglob("*")))
            self.write(target, run("cpio", "--quiet", "-o", "-H", "newc", "-R", "0:0", input=listing.encode(), cwd=folder))
            return target

    def appliance_initrd(self):
        def fill(folder):
            run("cc", "-static", "-Os", "-D_GNU_SOURCE", "-o", folder / "init", HERE / "init.c")
            return (HERE / "init.c").read_bytes()

        return self.initrd("appliance-initrd", "generic", APPLIANCE_MODULES, fill)

    def tcg_modules(self):
        """A folder for QEMU_MODULE_DIR, or None where nothing is to be done (tcg_module.py)."""
        source = next((pathlib.Path(name) for name in tcg_module.NAMES if os.path.exists(name)), None)
        module = source.read_bytes() if source else b""
        copy = tcg_module.patch(module)
        if not copy:
            return None
        with self.locked():
            folder = self.cache / f"tcg-module-{hashlib.sha256(module + copy).hexdigest()[:16]}"
            folder.mkdir(exist_ok=True)
            if not (folder / source.name).exists():
                self.write(folder / source.name, copy)
        return folder

    def tsc_khz(self):
        """Measured each time: the cache may be another computer's."""
        source = HERE / "tsc-khz.c"
        with self.locked():
            program = self.cache / f"tsc-khz-{hashlib.sha256(source.read_bytes()).hexdigest()[:16]}"
            if not program.exists():
                part = program.with_name(program.name + ".part")
                run("cc", "-O2", "-o", part, source)
                os.rename(part, program)
        return int(run(program))

    def guest_initrd(self, flavour):
        def fill(folder):
            (folder / "bin").mkdir()
            run("cp", "/bin/busybox", folder / "bin/busybox")
            for applet in run("/bin/busybox", "--list").decode().split():
                if applet != "busybox":
                    (folder / "bin" / applet).symlink_to("busybox")
            run("cp", GUEST / "guest-init", folder / "init")
            (folder / "init").chmod(0o755)
            used = (GUEST / "guest-init").read_bytes()
            if flavour == "install":
                for name in ("guest-install", "guest-install-small"):
                    run("install", "-m", "755", GUEST / name, folder / "bin" / name)
                    used += (GUEST / name).read_bytes()
            for source in sorted(GUEST.glob("guest-tray.c" if flavour == "install" else "guest-*.c")):
                run("cc", "-static", "-Os", "-D_GNU_SOURCE", "-o", folder / "bin" / source.stem, source)
                used += source.read_bytes()
            return used + (self.add_network_tools(folder) if flavour == "net" else b"")

        modules = GUEST_MODULES[flavour]
        return self.initrd("guest-initrd", "generic" if flavour in FLAVOURS_OF_GENERIC else flavour, modules, fill)

    def add_network_tools(self, folder):
        """A DHCP client's script, and iperf3 with its libraries where this computer has it."""
        (folder / "etc/udhcpc").mkdir(parents=True)
        run("cp", GUEST / "guest-dhcp", folder / "etc/udhcpc/default.script")
        (folder / "etc/udhcpc/default.script").chmod(0o755)
        iperf = pathlib.Path("/usr/bin/iperf3")
        used = (GUEST / "guest-dhcp").read_bytes()
        if iperf.exists():
            libraries = [word for word in run("ldd", iperf).decode().split() if word.startswith("/")]
            for file in (str(iperf), *libraries):
                target = folder / file.lstrip("/")
                target.parent.mkdir(parents=True, exist_ok=True)
                run("cp", "-L", file, target)
            used += iperf.read_bytes()
        return used

    def root(self):
        stamp = hashlib.sha256(repr((ROOT_PACKAGES, ROOT_SIZE, ROOT_HOOK)).encode()).hexdigest()[:16]
        with self.locked():
            target = self.cache / f"root-{stamp}.raw"
            if target.exists():
                return target
            print("material: making a Debian root (about a minute)", file=sys.stderr, flush=True)
            part = target.with_name(target.name + ".part")
            part.unlink(missing_ok=True)
            bootstrap.make(part, bootstrap.ext4("alcove-root", ROOT_SIZE), ROOT_PACKAGES, self.mirror(), run, hooks=[ROOT_HOOK], left_out=LEFT_OUT)
            os.rename(part, target)
            return target

    def unpacked(self, name, packages):
        """A folder with the files of Debian packages."""
        with self.locked():
            target = self.cache / name
            if not target.exists():
                with tempfile.TemporaryDirectory(dir=self.cache) as folder:
                    print(f"material: fetching {' '.join(packages)}", file=sys.stderr, flush=True)
                    run("apt-get", "download", "-q", "-o", "APT::Sandbox::User=root", *packages, cwd=folder)
                    for package in pathlib.Path(folder).glob("*.deb"):
                        run("dpkg-deb", "-x", package, f"{folder}/tree")
                    os.rename(f"{folder}/tree", target)
            return target

    def fio_disk(self):
        """An ext4 image with fio, the libraries it needs and busybox as its shell."""
        fio = pathlib.Path("/usr/bin/fio")
        stamp = hashlib.sha256(fio.read_bytes()).hexdigest()[:16]
        with self.locked():
            target = self.cache / f"fio-disk-{stamp}.raw"
            if not target.exists():
                with tempfile.TemporaryDirectory(dir=self.cache) as folder:
                    root = pathlib.Path(folder) / "root"
                    for part in ("bin", "dev", "proc", "tmp"):
                        (root / part).mkdir(parents=True)
                    libraries = [word for word in run("ldd", fio).decode().split() if word.startswith("/")]
                    for file in [fio, *libraries]:
                        copy = root / str(file).lstrip("/")
                        copy.parent.mkdir(parents=True, exist_ok=True)
                        run("cp", "-L", file, copy)
                    run("cp", "/bin/busybox", root / "bin/busybox")
                    for applet in ("sh", "echo", "cut", "sleep"):
                        (root / "bin" / applet).symlink_to("busybox")
                    run("mke2fs", "-q", "-t", "ext4", "-F", "-d", root, f"{folder}/disk.raw", "160M")
                    os.rename(f"{folder}/disk.raw", target)
            return target

    def uefi_esp(self):
        return self.uefi_disk(has_root=False)

    def uefi_cd(self):
        """Its GRUB says where it was loaded from, and waits."""
        packages = self.unpacked("uefi-boot", uefi_disk.PACKAGES)
        stamp = hashlib.sha256((HERE / "uefi_disk.py").read_bytes()).hexdigest()[:16]
        with self.locked():
            target = self.cache / f"uefi-cd-{stamp}.iso"
            if not target.exists():
                part = target.with_name(target.name + ".part")
                uefi_disk.make_iso(part, packages, "echo ALCOVE-CD\nsleep 1000\n")
                os.rename(part, target)
            return target

    def uefi_disk(self, has_root=True):
        packages = self.unpacked("uefi-boot", uefi_disk.PACKAGES)
        kernel, initrd, root = self.kernel("generic"), self.guest_initrd("generic"), self.root() if has_root else None
        stamp = hashlib.sha256(repr((kernel, initrd, root)).encode() + (HERE / "uefi_disk.py").read_bytes()).hexdigest()[:16]
        with self.locked():
            target = self.cache / f"uefi-{'disk' if has_root else 'esp'}-{stamp}.raw"
            if not target.exists():
                part = target.with_name(target.name + ".part")
                part.unlink(missing_ok=True)
                try:
                    uefi_disk.make(part, packages, kernel, initrd, root)
                except subprocess.CalledProcessError as error:
                    raise MaterialError(f"{error.cmd[0]}: status {error.returncode}") from error
                os.rename(part, target)
            return target

    def debian_root(self, variant):
        stamp = hashlib.sha256(repr(debian_disk.recipe(variant)).encode()).hexdigest()[:16]
        with self.locked():
            target = self.cache / f"debian-{variant}-root-{stamp}.raw"
            if not target.exists():
                print(f"material: making a Debian {variant} (minutes)", file=sys.stderr, flush=True)
                part = target.with_name(target.name + ".part")
                debian_disk.make_root(part, variant, run, self.mirror())
                os.rename(part, target)
            return target

    def systemd_boot(self):
        return self.unpacked("systemd-boot", ("systemd-boot-efi",)) / "usr/lib/systemd/boot/efi/systemd-bootx64.efi"

    def memtest(self):
        return self.unpacked("memtest86+", ("memtest86+",)) / "boot/memtest86+x64.efi"

    def ipxe(self):
        return self.unpacked("ipxe", ("ipxe",)) / "boot/ipxe.efi"

    def grub_rescue(self):
        """As grub-mkrescue makes it: a CD with a shell of GRUB's."""
        with self.locked(), tempfile.TemporaryDirectory(dir=self.cache) as folder:
            target = self.cache / "grub-rescue.iso"
            if not target.exists():
                run("grub-mkrescue", "-d", "/usr/lib/grub/x86_64-efi", "-o", f"{folder}/rescue.iso")
                os.rename(f"{folder}/rescue.iso", target)
            return target

    def debian(self, variant):
        """variant: server, desktop, or systemd-boot, which is the server with another loader."""
        grub, root = self.unpacked("uefi-boot", uefi_disk.PACKAGES), self.debian_root("server" if variant == "systemd-boot" else variant)
        stamp = hashlib.sha256(str(root).encode() + repr((debian_disk.GRUB_CFG, debian_disk.LOADER)).encode() +
                               (HERE / "uefi_disk.py").read_bytes()).hexdigest()[:16]
        with self.locked(), tempfile.TemporaryDirectory(dir=self.cache) as folder:
            target = self.cache / f"debian-{variant}-{stamp}.raw"
            if not target.exists():
                part = target.with_name(target.name + ".part")
                part.unlink(missing_ok=True)
                try:
                    uefi_disk.make(part, grub, None, None, root, debian_disk.GRUB_CFG)
                    if variant == "systemd-boot":
                        debian_disk.use_systemd_boot(part, self.systemd_boot(), root, folder)
                except (subprocess.CalledProcessError, uefi_disk.DiskError) as error:
                    raise MaterialError(str(error)) from error
                os.rename(part, target)
            return target

    def installer_iso(self):
        return self.make_installer("installer", {"filesystem.squashfs": self.installer_system()}, "guest-install /dev/vda")

    def small_installer_iso(self):
        archive = installer_iso.small_system(shutil.which("busybox"))
        with self.locked():
            system = self.cache / f"small-system-{hashlib.sha256(archive).hexdigest()[:16]}.tar"
            if not system.exists():
                self.write(system, archive)
        return self.make_installer("small-installer", {"system.tar": system}, "guest-install-small /dev/sda")

    def debian_installer_iso(self):
        packages, installer = self.unpacked("uefi-boot", uefi_disk.PACKAGES), pathlib.Path(installer_iso.DEBIAN_INSTALLER)
        if not installer.exists():
            raise MaterialMissing("debian-installer-12-netboot-amd64 is not installed")
        used = (HERE / "installer_iso.py").read_bytes() + (installer / "linux").read_bytes()
        with self.locked():
            target = self.cache / f"debian-installer-{hashlib.sha256(used).hexdigest()[:16]}.iso"
            if not target.exists():
                part = target.with_name(target.name + ".part")
                installer_iso.make_debian(part, packages)
                os.rename(part, target)
            return target

    def make_installer(self, name, live, command):
        packages, kernel, initrd = self.unpacked("uefi-boot", uefi_disk.PACKAGES), self.kernel("generic"), self.guest_initrd("install")
        stamp = hashlib.sha256(repr((kernel, initrd, live, command)).encode() + (HERE / "installer_iso.py").read_bytes()).hexdigest()[:16]
        with self.locked():
            target = self.cache / f"{name}-{stamp}.iso"
            if not target.exists():
                part = target.with_name(target.name + ".part")
                installer_iso.make(part, packages, kernel, initrd, live, command)
                os.rename(part, target)
            return target

    def installer_system(self):
        stamp = hashlib.sha256(repr((installer_iso.ROOT_PACKAGES, installer_iso.ROOT_HOOK, installer_iso.SQUASHFS)).encode()).hexdigest()[:16]
        with self.locked():
            target = self.cache / f"installer-system-{stamp}.squashfs"
            if not target.exists():
                print("material: making a Debian that is installed (about a minute)", file=sys.stderr, flush=True)
                part = target.with_name(target.name + ".part")
                part.unlink(missing_ok=True)
                bootstrap.make(part, installer_iso.SQUASHFS, installer_iso.ROOT_PACKAGES, self.mirror(), run, hooks=[installer_iso.ROOT_HOOK],
                               left_out=LEFT_OUT)
                os.rename(part, target)
            return target

    def mirror(self):
        """Where this computer has its own Debian packages from; none known: mmdebstrap's choice."""
        sites = run("apt-get", "indextargets", "--format", "$(SITE) $(REPO_URI)", "Created-By: Packages", "Codename: bookworm").decode()
        return sites.split()[-1:]

    def write(self, target, data):
        part = target.with_name(target.name + ".part")
        part.write_bytes(data)
        os.rename(part, target)


def main():
    material = Material()
    makers = {"kernel": material.kernel, "vmlinux": material.vmlinux, "initrd": material.guest_initrd}
    words = sys.argv[1:]
    whole = {"root": material.root, "uefi-disk": material.uefi_disk, "uefi-esp": material.uefi_esp, "uefi-cd": material.uefi_cd,
             "qmp-client": material.qmp_client, "fio-disk": material.fio_disk, "installer-iso": material.installer_iso,
             "small-installer-iso": material.small_installer_iso, "debian-installer-iso": material.debian_installer_iso}
    whole.update({f"debian-{variant}": functools.partial(material.debian, variant) for variant in debian_disk.VARIANTS})
    if (len(words) != 1 or words[0] not in whole) and (len(words) != 2 or words[0] not in makers or words[1] not in (
            GUEST_MODULES if words[0] == "initrd" else PACKAGES)):
        print(__doc__, file=sys.stderr)
        return 2
    try:
        print(whole[words[0]]() if words[0] in whole else makers[words[0]](words[1]))
    except MaterialError as error:
        print(f"material: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
