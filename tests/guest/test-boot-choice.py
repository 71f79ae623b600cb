"""What UEFI firmware starts when it is told to by --boot: nothing before its wait is over, its own setup when a key asks for it, the network."""

import os
import shutil
import sys
import time

from guest import Checks, Eye, Guest, Options

sys.path.insert(0, f"{os.path.dirname(os.path.abspath(__file__))}/../nested")
import uefi_disk  # noqa: E402

LONG = 240  # seconds
WAIT = 10  # seconds, of vmm/firmware/uefi.c
ESCAPE = 0x01  # XT scan code
PRESS_SECONDS = 2


def test_wait(checks, options):
    """--boot menu=on: the firmware waits for a key before it starts anything; else it does not (half a second)."""
    with Guest(options, "--disk", f"file={options.disk},format=raw", "--boot", "menu=on", form="uefi") as guest:
        while not guest.console and guest.seconds() < LONG:
            guest.pump(0.1)
        start = guest.seconds()
        guest.expect("BdsDxe: loading", LONG)
        waited = guest.seconds() - start
    checks.check(f"the firmware waits for {WAIT} s", waited > WAIT - 1, waited)


def press_until_started(guest, eye):
    """What the firmware starts while the key is pressed again and again, from its first sign on the console on. Its driver first empties the
    keyboard, waiting 65 ms for more each time, and gives the keyboard up when that does not end: below an emulated processor the 65 ms take a good
    part of a second, and a key must not come as soon again."""
    end = time.monotonic() + LONG
    while not guest.console[guest.mark:] and time.monotonic() < end:
        guest.pump(0.1)
    while "BdsDxe: starting" not in guest.console[guest.mark:] and time.monotonic() < end:
        eye.ask(f"key {ESCAPE}")
        pressed = time.monotonic()
        while (left := pressed + PRESS_SECONDS - time.monotonic()) > 0:
            guest.pump(left)
    return guest.expect(r'BdsDxe: starting Boot\w+ "([^"]*)"').group(1)


def test_menu(checks, options):
    """A key of the client's opens the firmware's setup instead of what it would start."""
    with Guest(options, "--disk", f"file={options.disk},format=raw", "--boot", "menu=on", form="uefi") as guest:
        qmp = guest.connect()
        with Eye(options, "qmp", guest.control) as eye:
            # On a busy computer the wait can be over before the firmware has looked at its keyboard.
            while (started := press_until_started(guest, eye)) != "UiApp" and guest.seconds() < LONG:
                qmp.run("system_reset")
        checks.equal("Esc opens the firmware's setup while it waits", started, "UiApp")
        checks.check("which is seen", bool(guest.expect("Boot Maintenance Manager", LONG)))


def test_network(checks, options):
    """--boot network: PXE before the disk. The user network's DHCP server offers an address and no file to start."""
    with Guest(options, "--disk", f"file={options.disk},format=raw", "--net", "user", "--boot", "network", form="uefi") as guest:
        first = guest.expect(r'Start PXE over IPv4|BdsDxe: starting Boot\w+ "[^"]*"', LONG).group(0)
        checks.equal("the firmware tries the network first", first, "Start PXE over IPv4")
        said = guest.expect(r'BdsDxe: (failed to load|starting) Boot\w+ "UEFI PXEv4[^"]*"', LONG).group(1)
        checks.equal("where there is nothing to start", said, "failed to load")


def main():
    options, checks = Options(), Checks()
    options.disk = "/tmp/disk.raw"
    shutil.copyfile(options.material["uefi-esp"], options.disk)
    uefi_disk.write_grub_cfg(options.disk, "echo ALCOVE-DISK\nsleep 1000\n")
    for part in (test_wait, test_menu, test_network):
        checks.part(part, options)
    return checks.end()


sys.exit(main())
