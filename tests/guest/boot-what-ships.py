"""What others ship, as it is, through stock UEFI firmware: each is started, and must come to where it is of use.

Which of them is said by the material that it is given: uefi-esp with memtest or ipxe, grub-rescue, debian-server, debian-systemd-boot,
debian-desktop; without any of them, or with grub-rescue, the firmware's own shell as well.
"""

import shutil
import subprocess
import sys

import guest as guest_module
from guest import Checks, Guest, GuestError, Options
from machine_checks import check_log

sys.path.insert(0, f"{guest_module.pathlib.Path(__file__).resolve().parent}/../nested")
import uefi_disk  # noqa: E402

LONG = 400  # seconds, for one step of a start
DRIVER_SIZE = (1024, 768)
MEMTEST_CFG = "linux /memtest.efi console=ttyS0,115200\nboot\n"
PANEL_HEIGHT = 32


class Screen:
    def __init__(self, options, qmp):
        self.png, self.qmp = options.folder / "screen.png", qmp

    def area(self, part=""):
        """(width, height), mean and standard deviation of the screen's brightness, or of a part's, WxH+X+Y."""
        self.qmp.run("screendump", filename=str(self.png), format="png")
        crop = ["-crop", part, "+repage"] if part else []
        said = subprocess.run(["convert", self.png, *crop, "-colorspace", "gray", "-format", "%w %h %[fx:mean] %[fx:standard_deviation]", "info:"],
                              capture_output=True, text=True, check=True).stdout.split()
        return (int(said[0]), int(said[1])), float(said[2]), float(said[3])

    def wait(self, guest, is_it, what, part=""):
        end = guest.seconds() + LONG
        while guest.seconds() < end:
            seen = self.area(part)
            if is_it(*seen):
                return seen
            guest.pump(0.5)
        raise GuestError(f"the screen never showed {what}; last {seen}")


def copied(options, name):
    """In the appliance's memory, and to be written to."""
    disk = f"/tmp/{name}.raw"
    subprocess.run(["cp", "--sparse=always", options.material[name], disk], check=True)
    return disk


def efi_shell(checks, options):
    with Guest(options, form="uefi", memory="256M") as guest:
        guest.expect(r"BdsDxe: starting .*Shell", LONG)
        guest.expect("Shell> ", LONG)
        guest.send("ver\r")
        checks.check("the firmware's shell answers", bool(guest.expect(r"UEFI v2\.\d+ \(EDK II", LONG)))
        print(f"after {guest.seconds():.1f} s", flush=True)
        guest.send("reset -s\r")
        checks.equal("and switches the machine off", guest.wait_end(LONG), 0)


def grub_rescue(checks, options):
    iso = shutil.copyfile(options.material["grub-rescue"], "/tmp/rescue.iso")
    with Guest(options, "--cdrom", iso, form="uefi", memory="256M") as guest:
        guest.expect("grub> ", LONG)
        guest.send("ls\r")
        checks.check("the rescue CD's shell sees the CD", bool(guest.expect(r"\(cd0", LONG)))
        print(f"after {guest.seconds():.1f} s", flush=True)
        guest.send("halt\r")
        checks.equal("and switches the machine off", guest.wait_end(LONG), 0)


def memtest(checks, options):
    disk = copied(options, "uefi-esp")
    uefi_disk.esp_copy(disk, uefi_disk.ESP_START, "memtest.efi", options.material["memtest"])
    uefi_disk.write_grub_cfg(disk, MEMTEST_CFG)
    with Guest(options, "--disk", f"file={disk},format=raw", form="uefi", memory="128M") as guest:
        screen = Screen(options, guest.connect())
        guest.expect("Memtest86", LONG)
        guest.expect("Testing", LONG)
        checks.check("memtest86+ tests", True)
        _, mean, deviation = screen.area()
        checks.check("and shows it", mean > 0.02 and deviation > 0.05, (mean, deviation))
        seen = set()
        end = guest.seconds() + LONG
        while len(seen) < 3 and guest.seconds() < end:
            guest.pump(1)
            seen = set(guest_module.re.findall(r"(\d+)%", guest.console[guest.mark:]))
        checks.check("its first pass goes on", len(seen) >= 3, seen)
        print(f"after {guest.seconds():.1f} s", flush=True)


def ipxe(checks, options):
    disk = copied(options, "uefi-esp")
    uefi_disk.esp_copy(disk, uefi_disk.ESP_START, "EFI/BOOT/BOOTX64.EFI", options.material["ipxe"])
    with Guest(options, "--disk", f"file={disk},format=raw", "--net", "user", form="uefi", memory="256M") as guest:
        guest.expect("iPXE", LONG)
        found = guest.expect(r"net0: (\d+\.\d+\.\d+\.\d+)/", LONG)
        checks.equal("iPXE gets an address", found.group(1), "10.0.2.15")
        print(f"after {guest.seconds():.1f} s", flush=True)


def check_installed(checks, guest):
    """Logged in on the serial port."""
    checks.check("the console of the screen has a login prompt", "alcove-guest login:" in guest.shell("cat /dev/vcs1"))
    checks.check("drawn by virtio-gpu's driver", "virtio_gpu" in guest.shell("cat /proc/fb"))
    checks.equal("no unit has failed", guest.shell("systemctl --failed --no-legend --plain"), "")
    check_log(checks, guest)


def debian(checks, options, name):
    disk = copied(options, name)
    with Guest(options, "--disk", f"file={disk},format=raw", form="uefi", memory="768M") as guest:
        screen = Screen(options, guest.connect())
        guest.expect("BdsDxe: starting", LONG)
        guest.expect("alcove-guest login: ", LONG)
        checks.check(f"{name}: login prompt on the serial port", True)
        print(f"{name}: login prompt after {guest.seconds():.1f} s", flush=True)
        guest.send("root\n")
        screen.wait(guest, lambda size, mean, deviation: size == DRIVER_SIZE and mean > 0.0005, "a console")
        check_installed(checks, guest)
        guest.send("poweroff\n")
        checks.equal("power off", guest.wait_end(LONG), 0)


def desktop(checks, options):
    disk = copied(options, "debian-desktop")
    with Guest(options, "--disk", f"file={disk},format=raw", form="uefi", memory="1G", cpus=2) as guest:
        screen = Screen(options, guest.connect())
        guest.expect("ALCOVE-WESTON", LONG)
        seen = screen.wait(guest, lambda size, mean, deviation: size == DRIVER_SIZE and mean > 0.1 and deviation > 0.01, "a desktop")
        print(f"desktop after {guest.seconds():.1f} s: {seen}", flush=True)
        panel = screen.wait(guest, lambda size, mean, deviation: deviation > 0.02, "a panel", f"{DRIVER_SIZE[0]}x{PANEL_HEIGHT}+0+0")
        below = screen.area(f"{DRIVER_SIZE[0]}x{PANEL_HEIGHT}+0+{2 * PANEL_HEIGHT}")
        checks.check("the compositor's panel is above its background", abs(panel[1] - below[1]) > 0.03, (panel, below))
        shutil.copyfile(screen.png, options.folder.parent / "desktop.png")
        guest.send("\n")
        guest.expect("login: ", LONG)
        guest.send("root\n")
        checks.equal("the compositor runs", guest.shell("systemctl is-active weston"), "active")
        check_log(checks, guest)


def main():
    options, checks = Options(), Checks()
    if not options.material or "grub-rescue" in options.material:
        checks.part(efi_shell, options)
    for part, name in ((grub_rescue, "grub-rescue"), (memtest, "memtest"), (ipxe, "ipxe"), (desktop, "debian-desktop")):
        if name in options.material:
            checks.part(part, options)
    for name in ("debian-server", "debian-systemd-boot"):
        if name in options.material:
            checks.part(debian, options, name)
    return checks.end()


sys.exit(main())
