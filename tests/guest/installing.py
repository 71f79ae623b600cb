"""What the tests of installers share: the boot loader's menu, seen and chosen from, and the login prompt in the end."""

import re
import subprocess
import time

from guest import PATIENCE, GuestError

TEXT_SIZE, GRAPHICS_SIZE = (1280, 800), (800, 600)
MENU_LIGHT = 0.005  # of a picture with a whole line in reverse; the text before it has a fifth of that
# Firmware, boot loader and an installer's initrd come from a CD, block by block.
SLOW = 2 * PATIENCE


def picture(options, qmp, name):
    """Size, and how bright it is, by screendump."""
    file = options.folder / f"{name}.png"
    qmp.run("screendump", filename=str(file), format="png")
    said = subprocess.run(["convert", file, "-format", "%w %h %[fx:mean]", "info:"], capture_output=True, text=True, check=True).stdout.split()
    return (int(said[0]), int(said[1])), float(said[2])


def check_menu(checks, options, guest, qmp, menu_size):
    """The firmware has found the CD by itself, and GRUB from it has drawn its menu: as text in the firmware's mode, or in its own."""
    found = guest.expect(r'BdsDxe: starting \w+ "([^"]*)"', SLOW)
    print(f"boot loader after {guest.seconds():.1f} s", flush=True)
    checks.check("the firmware starts the CD by itself: the disk is empty", "DVD-ROM" in found.group(1), found.group(1))
    end = time.monotonic() + SLOW
    size, mean = picture(options, qmp, "menu")
    while (size != menu_size or mean < MENU_LIGHT) and time.monotonic() < end:
        guest.pump(0.5)
        size, mean = picture(options, qmp, "menu")
    checks.check("the boot loader's menu is to be seen", size == menu_size and mean > MENU_LIGHT, (size, mean))
    print(f"menu, {mean:.3f} bright, after {guest.seconds():.1f} s", flush=True)


def choose(guest, is_started, seconds=SLOW):
    """Enter, again and again until is_started: GRUB may be busy with its drawing."""
    end = time.monotonic() + seconds
    while not is_started():
        if time.monotonic() > end:
            raise GuestError("the boot loader starts nothing")
        guest.send("\r")
        again = time.monotonic() + 5
        while not is_started() and time.monotonic() < again:
            guest.pump(0.5)


def check_installation(checks, guest, qmp, seconds):
    found = guest.expect("ALCOVE-INSTALL(ED|-FAILED.*)", seconds)
    print(f"installed after {guest.seconds():.1f} s:", *re.findall(r"guest-install: (\[.*)", guest.console), flush=True)
    checks.equal("the installation comes to its end", found.group(1), "ED")
    checks.equal("which ejects the CD", qmp.wait_event("DEVICE_TRAY_MOVED")["data"]["tray-open"], True)
    guest.expect("# ", SLOW)


def log_in(guest, name, seconds=SLOW):
    """As root, who has no password."""
    guest.expect(f"{name} login: ", seconds)
    print(f"login prompt after {guest.seconds():.1f} s", flush=True)
    guest.send("root\n")
    guest.shell_ready = False
