"""Stock UEFI firmware starts Debian's shim, GRUB and kernel: what is seen meanwhile, what the firmware tells, what it keeps, what it starts."""

import base64
import os
import pathlib
import re
import shutil
import subprocess
import sys
import time

from guest import Checks, Guest, GuestError, Options
from machine_checks import check_acpi, check_log

sys.path.insert(0, f"{os.path.dirname(os.path.abspath(__file__))}/../nested")
import uefi_disk  # noqa: E402

TEMPLATE = "/usr/share/OVMF/OVMF_VARS_4M.fd"
SECURE_TEMPLATE = "/usr/share/OVMF/OVMF_VARS_4M.ms.fd"
WIDTH, HEIGHT = 800, 600
RED, DRIVER_SIZE = (255, 0, 0), (1024, 768)
GLOBAL_VARIABLE = "8be4df61-93ca-11d2-aa0d-00e098032b8c"
EFIVARS = "/sys/firmware/efi/efivars"
OUR_ENTRY, OUR_NAME = "Boot0077", "Alcove's own entry"
# GRUB in a mode of its own, which the kernel keeps.
PICTURE_CFG = f"""set gfxmode={WIDTH}x{HEIGHT}
set gfxpayload=keep
loadfont /EFI/debian/unicode.pf2
terminal_output gfxterm
background_color red
clear
sleep --interruptible 80
linux /vmlinuz console=tty0 loglevel=6 alcove.console=ttyS0 alcove.later=virtio-gpu
initrd /initrd
boot
"""
SECURE_CFG = """linux /changed console=ttyS0
linux /vmlinuz console=ttyS0
initrd /initrd
boot
"""
LONG = 240  # seconds, for what firmware reads and checks
WAIT_CFG = "echo ALCOVE-DISK\nsleep 1000\n"


def screen(options, qmp, x=0, y=0):
    """Size, and the colour of a pixel, by screendump."""
    png = options.folder / "screen.png"
    qmp.run("screendump", filename=str(png), format="png")
    said = subprocess.run(["convert", png, "-depth", "8", "-format", f"%w %h %[pixel:p{{{x},{y}}}] %[fx:mean]", "info:"],
                          capture_output=True, text=True, check=True).stdout
    width, height, *_ = said.split()
    colour = {"red": RED, "black": (0, 0, 0)}.get(said.split()[2]) or tuple(int(n) for n in re.findall(r"\d+", said.split()[2])[:3])
    return (int(width), int(height)), colour, float(said.split()[-1])


def wait_screen(options, guest, qmp, is_it, what):
    end = time.monotonic() + 60
    while time.monotonic() < end:
        seen = screen(options, qmp)
        if is_it(*seen):
            return seen
        guest.pump(0.5)
    raise GuestError(f"the screen never showed {what}; last {seen}")


def check_refused(checks, options):
    """Files that are no firmware variables: one line, and the file stays as it is."""
    nvram = options.folder / "wrong.fd"
    template = open(TEMPLATE, "rb").read()
    damaged = bytearray(template)
    damaged[60] ^= 0x10
    for what, contents in (("too short", template[:-1]), ("empty", b""), ("another file", b"x" * len(template)), ("damaged", bytes(damaged))):
        nvram.write_bytes(contents)
        result = subprocess.run([options.vmm, "--accel", "kvm", "--firmware", "uefi", "--nvram", nvram], capture_output=True, text=True, timeout=60)
        lines = result.stderr.splitlines()
        checks.check(f"NVRAM that is {what} is refused in a line that says what to do",
                     result.returncode == 1 and len(lines) == 1 and str(nvram) in lines[0] and "delete it" in lines[0], (result.returncode, lines))
        checks.check("and left as it is", nvram.read_bytes() == contents)
    for code, what in ((TEMPLATE, "not a UEFI firmware"), ("/etc/passwd", "not a UEFI firmware"),
                       ("/usr/share/OVMF/OVMF_CODE_4M.ms.fd", "needs System Management Mode")):
        result = subprocess.run([options.vmm, "--accel", "kvm", "--firmware", f"uefi,code={code},variables={TEMPLATE}"], capture_output=True, text=True,
                                timeout=60)
        lines = result.stderr.splitlines()
        checks.check(f"firmware {code} is refused in a line", result.returncode == 1 and len(lines) == 1 and code in lines[0] and what in lines[0],
                     (result.returncode, lines))


def check_pictures(checks, options, guest, qmp):
    guest.expect("BdsDxe: starting")
    size, colour, mean = screen(options, qmp)
    checks.equal("the firmware's own mode", size, (1280, 800))
    checks.check("the firmware's text is on the screen", mean > 0.0005, mean)
    guest.expect("Welcome to GRUB")
    size, colour, _ = wait_screen(options, guest, qmp, lambda size, colour, mean: colour == RED, "GRUB's red")
    checks.equal("the picture follows GRUB's mode", size, (WIDTH, HEIGHT))
    # A key typed at the serial port ends GRUB's sleep.
    guest.send("\x1b")
    guest.wait_ready()
    size, colour, mean = screen(options, qmp)
    checks.equal("the kernel keeps that mode", size, (WIDTH, HEIGHT))
    checks.check("its messages are to be seen", 0.005 < mean < 0.5, mean)
    guest.shell("echo 0 >/sys/class/vtconsole/vtcon1/bind")
    checks.equal("a program draws on EFI's framebuffer", guest.shell("guest-picture fb"), f"drawn {WIDTH} {HEIGHT} on EFI VGA")
    checks.equal("and is seen, first pixel", screen(options, qmp)[1], (0, 0, 0))
    checks.equal("and another", screen(options, qmp, 300, 200)[1], (300 & 0xff, 200, 1 << 4))
    guest.shell("insmod /modules/virtio-gpu.ko")
    checks.check("the card's driver has taken EFI's framebuffer away", "EFI" not in guest.shell("cat /proc/fb"), guest.shell("cat /proc/fb"))
    wait_screen(options, guest, qmp, lambda size, colour, mean: size == DRIVER_SIZE, "the driver's mode")


def check_tables(checks, options, guest):
    check_log(checks, guest)
    check_acpi(checks, options, guest)
    dmi = guest.shell("cd /sys/class/dmi/id; cat sys_vendor product_name chassis_vendor; cd /")
    checks.equal("SMBIOS names the machine", dmi.splitlines(), ["Alcove", "Virtual Machine", "Alcove"])
    checks.equal("2 CPUs are online", guest.shell("nproc"), "2")
    memory = int(re.search(r"(\d+)", guest.shell("grep MemTotal /proc/meminfo")).group(1))
    checks.check("the memory is there", 420000 < memory < 524288, memory)


def add_boot_entry(checks, guest):
    """A boot entry like the firmware's own for the disk, under another name, first in the order."""
    guest.shell(f"mount -t efivarfs efivarfs {EFIVARS}")
    current = guest.file(f"{EFIVARS}/BootCurrent-{GLOBAL_VARIABLE}")[4:]
    name = f"Boot{int.from_bytes(current, 'little'):04X}"
    entry = guest.file(f"{EFIVARS}/{name}-{GLOBAL_VARIABLE}")[4:]
    path_size = int.from_bytes(entry[4:6], "little")
    name_size = next(i for i in range(6, len(entry), 2) if entry[i:i + 2] == b"\0\0") + 2
    ours = entry[:6] + OUR_NAME.encode("utf-16-le") + b"\0\0" + entry[name_size:name_size + path_size]
    order = guest.file(f"{EFIVARS}/BootOrder-{GLOBAL_VARIABLE}")[4:]
    for variable, value in ((OUR_ENTRY, ours), ("BootOrder", int(OUR_ENTRY[4:], 16).to_bytes(2, "little") + order)):
        # One write a variable.
        text = base64.b64encode((7).to_bytes(4, "little") + value).decode()
        guest.shell(f"echo {text} | base64 -d >/tmp/v; dd if=/tmp/v of={EFIVARS}/{variable}-{GLOBAL_VARIABLE} bs=8192 2>/dev/null")
    checks.check("a boot entry is made", True)


def test_boot(checks, options):
    nvram = options.nvram
    uefi_disk.write_grub_cfg(options.disk, PICTURE_CFG)
    with Guest(options, "--disk", f"file={options.disk},format=raw", "--nvram", str(nvram), form="uefi", cpus=2) as guest:
        qmp = guest.connect()
        check_pictures(checks, options, guest, qmp)
        print(f"kernel, all pictures seen, after {guest.seconds():.1f} s", flush=True)
        check_tables(checks, options, guest)
        add_boot_entry(checks, guest)
        guest.send("poweroff -f\n")
        checks.equal("power off ends with 0", guest.wait_end(), 0)
        checks.equal("nothing to complain about", [line for line in guest.messages().splitlines() if "made, with fresh" not in line], [])
    checks.check("NVRAM has been made from the template and written", nvram.stat().st_size == os.path.getsize(TEMPLATE) and
                 nvram.read_bytes() != open(TEMPLATE, "rb").read())


def test_order(checks, options):
    """Another start: the entry is kept and first; then what --boot and QMP say is."""
    nvram = options.nvram
    uefi_disk.write_grub_cfg(options.disk, WAIT_CFG)
    with Guest(options, "--disk", f"file={options.disk},format=raw", "--cdrom", options.material["uefi-cd"], "--nvram", str(nvram), form="uefi") as guest:
        qmp = guest.connect()
        found = guest.expect(r'BdsDxe: starting (Boot\w+) "([^"]*)"')
        checks.equal("the boot entry survives a restart", found.groups(), (OUR_ENTRY, OUR_NAME))
        guest.expect("ALCOVE-DISK")
        print(f"GRUB after {guest.seconds():.1f} s", flush=True)
        for device, said in (("cdrom", "ALCOVE-CD"), ("disk", "ALCOVE-DISK")):
            qmp.run("x-alcove-set-boot", device=device)
            qmp.run("system_reset")
            found = guest.expect("ALCOVE-(DISK|CD)")
            checks.equal(f"from the {device} after x-alcove-set-boot", found.group(0), said)


def change_a_byte(path):
    with open(path, "r+b") as file:
        file.seek(0x8000)
        byte = file.read(1)
        file.seek(0x8000)
        file.write(bytes((byte[0] ^ 1,)))


def secure_disks(options):
    """A disk whose loader was changed by a byte, one whose loader nobody signed, and Debian's, where GRUB tries a changed kernel first."""
    disks = {name: f"/tmp/{name}.raw" for name in ("changed", "unsigned")}
    loader, kernel = "/tmp/loader.efi", "/tmp/kernel"
    for disk in disks.values():
        shutil.copyfile(options.disk, disk)
    for name, file in (("EFI/BOOT/BOOTX64.EFI", loader), ("vmlinuz", kernel)):
        subprocess.run(["mcopy", "-n", "-i", f"{options.disk}@@{uefi_disk.ESP_START}", f"::{name}", file], check=True)
        change_a_byte(file)
    uefi_disk.esp_copy(disks["changed"], uefi_disk.ESP_START, "EFI/BOOT/BOOTX64.EFI", loader)
    uefi_disk.esp_copy(disks["unsigned"], uefi_disk.ESP_START, "EFI/BOOT/BOOTX64.EFI", options.material["systemd-boot"])
    uefi_disk.esp_copy(options.disk, uefi_disk.ESP_START, "changed", kernel)
    return [*disks.values(), options.disk]


def test_secure_boot(checks, options):
    nvram = "/tmp/secure.fd"
    shutil.copyfile(SECURE_TEMPLATE, nvram)
    uefi_disk.write_grub_cfg(options.disk, SECURE_CFG)
    disks = [word for disk in secure_disks(options) for word in ("--disk", f"file={disk},format=raw")]
    with Guest(options, *disks, "--nvram", str(nvram), form="uefi") as guest:
        guest.connect()
        refused = {guest.expect(r"BdsDxe: failed to load (Boot\w+).*: (Access Denied|Security Violation)", LONG).group(1) for _ in range(2)}
        checks.equal("Secure Boot refuses a loader that was changed, and one that nobody signed", len(refused), 2)
        started = guest.expect(r"BdsDxe: starting (Boot\w+)", LONG).group(1)
        checks.check("and starts Debian's signed shim", started not in refused, (started, refused))
        guest.expect("bad shim signature", LONG)
        checks.check("whose GRUB refuses a kernel that was changed", True)
        guest.wait_ready()
        print(f"Debian's signed kernel after {guest.seconds():.1f} s", flush=True)
        log = guest.shell("dmesg | grep -iE 'secure ?boot'")
        checks.check("and starts Debian's, which knows of it", "Secure boot enabled" in log and "locked down from EFI Secure Boot" in log, log)


def main():
    options, checks = Options(), Checks()
    # In the appliance's memory: what is read by 9p comes at a tenth of the speed.
    options.disk, options.nvram = "/tmp/disk.raw", pathlib.Path("/tmp/nvram.fd")
    shutil.copyfile(options.material["uefi-esp"], options.disk)
    for part in (check_refused, test_boot, test_order, test_secure_boot):
        checks.part(part, options)
    return checks.end()


sys.exit(main())
