"""Disks and a CD that UEFI firmware boots, of what Debian ships: its signed shim, GRUB and kernel on an EFI system partition, its root behind it."""

import pathlib
import subprocess
import tempfile

MIB = 1 << 20
ESP_START, ESP_SIZE = 1 * MIB, 95 * MIB
ROOT_START = 96 * MIB
PACKAGES = ("shim-signed", "grub-efi-amd64-signed", "grub-common")
FILES = {
    "EFI/BOOT/BOOTX64.EFI": "usr/lib/shim/shimx64.efi.signed",
    "EFI/BOOT/grubx64.efi": "usr/lib/grub/x86_64-efi-signed/grubx64.efi.signed",
    "EFI/debian/unicode.pf2": "usr/share/grub/unicode.pf2",
}
# GRUB's menu as text on every console of the firmware; a test may put another one in its place (write_grub_cfg).
GRUB_CFG = """set timeout=0
menuentry "Debian" {
  linux /vmlinuz root=/dev/vda2 alcove.root=/dev/vda2 console=tty0 console=ttyS0
  initrd /initrd
}
"""


class DiskError(Exception):
    pass


def run(*command):
    subprocess.run([str(word) for word in command], check=True, stdout=subprocess.DEVNULL)


def esp_copy(image, start, name, source):
    """source into the FAT file system at byte start of image."""
    folder = pathlib.PurePosixPath(name).parent
    for depth in range(len(folder.parts)):
        subprocess.run(["mmd", "-D", "s", "-i", f"{image}@@{start}", "::" + "/".join(folder.parts[:depth + 1])], stderr=subprocess.DEVNULL,
                       stdin=subprocess.DEVNULL)
    run("mcopy", "-o", "-i", f"{image}@@{start}", source, f"::{name}")


def write_grub_cfg(image, text, start=ESP_START):
    with tempfile.NamedTemporaryFile("w", suffix=".cfg") as file:
        file.write(text)
        file.flush()
        esp_copy(image, start, "EFI/debian/grub.cfg", file.name)


def new_esp(path, size):
    path.unlink(missing_ok=True)
    run("mkfs.vfat", "-C", "-n", "ESP", path, size // 1024)


def make_iso(image, packages, text):
    """A CD with shim, GRUB and the menu `text`."""
    with tempfile.TemporaryDirectory() as folder:
        esp = pathlib.Path(folder) / "esp.img"
        new_esp(esp, 12 * MIB)
        for name, source in FILES.items():
            esp_copy(esp, 0, name, packages / source)
        # Debian's signed GRUB looks on a CD for these.
        for name, contents in ((".disk/info", "Alcove\n"), ("boot/grub/x86_64-efi/grub.cfg", text), ("boot/grub/grub.cfg", text)):
            path = pathlib.Path(folder) / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(contents)
        run("xorriso", "-report_about", "FAILURE", "-as", "mkisofs", "-quiet", "-V", "ALCOVE", "-e", esp.name, "-no-emul-boot", "-o", image, folder)


def insert(source, image, start):
    run("dd", f"if={source}", f"of={image}", "bs=1M", f"seek={start // MIB}", "conv=sparse,notrunc", "status=none")


def make(image, packages, kernel, initrd, root, grub_cfg=GRUB_CFG):
    """image: a new file. packages: the folder of PACKAGES, unpacked. kernel, initrd: None where the root has its own. root: an ext4 file system, or None."""
    root_size = root.stat().st_size if root else 0
    with open(image, "xb") as file:
        file.truncate(ROOT_START + root_size + 1 * MIB)
    table = f"label: gpt\nstart={ESP_START // 512}, size={ESP_SIZE // 512}, type=uefi\n"
    if root:
        table += f"start={ROOT_START // 512}, size={root_size // 512}, type=linux\n"
    subprocess.run(["sfdisk", "-q", str(image)], input=table.encode(), check=True)
    esp = image.with_name(image.name + ".esp")
    new_esp(esp, ESP_SIZE)
    insert(esp, image, ESP_START)
    esp.unlink()
    for name, source in FILES.items():
        esp_copy(image, ESP_START, name, packages / source)
    for name, source in (("vmlinuz", kernel), ("initrd", initrd)):
        if source:
            esp_copy(image, ESP_START, name, source)
    write_grub_cfg(image, grub_cfg)
    if root:
        insert(root, image, ROOT_START)
