"""Keyboard and mouse before and without a driver for virtio: a boot loader's menu, then Linux, by keys that a SPICE client sends."""

import os
import re
import shutil
import sys
import time

from guest import READY, Checks, Eye, Guest, GuestError, Options

sys.path.insert(0, f"{os.path.dirname(os.path.abspath(__file__))}/../nested")
import uefi_disk  # noqa: E402

DOWN, ENTER, A = 0x150, 0x1c, 0x1e  # XT scan codes; 0x100: extended
EV_KEY, EV_REL, KEY_A, BTN_LEFT, REL_X, REL_Y = 1, 2, 30, 0x110, 0, 1
PS2_KEYBOARD, PS2_MOUSE, VIRTIO_KEYBOARD = "AT Translated Set 2 keyboard", "ImExPS/2 Generic Explorer Mouse", "Alcove Virtual Keyboard"
GRUB_CFG = """set timeout=-1
menuentry "first" { echo ALCOVE-FIRST
 sleep 1000 }
menuentry "second" { echo ALCOVE-SECOND
 sleep 1000 }
menuentry "third" {
  linux /vmlinuz console=ttyS0 quiet alcove.later=virtio_input
  initrd /initrd
}
"""


PRESSED_AGAIN, OF_THE_MENU = 5, 150  # seconds


def marked(guest):
    """The line of the boot loader's menu that it has marked last, by what the serial port says of its screen."""
    lines = re.findall(r"\*(first|second|third)\b", re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", guest.console[guest.mark:]))
    return lines[-1] if lines else None


def press_until(guest, eye, key, is_so, what):
    """Firmware and boot loader look at the keyboard when they come to it, and what is typed before may be lost: it is typed again."""
    end = time.monotonic() + OF_THE_MENU
    while not is_so():
        if time.monotonic() > end:
            raise GuestError(f"{what}: no key did it; marked is {marked(guest)}")
        eye.ask(f"key {key}")
        again = time.monotonic() + PRESSED_AGAIN
        while not is_so() and time.monotonic() < again:
            guest.pump(0.2)


def read_events(guest, device, kind, n, do):
    """The next n events of one type, as (code, value)."""
    guest.shell(f"guest-events '{device}' 200 >/tmp/events & echo $! >/tmp/reader; while ! grep -q reading /tmp/events; do sleep 0.1; done")
    do()
    guest.shell(f"i=0; while [ $(grep -c '^{kind} ' /tmp/events) -lt {n} ] && [ $i -lt 100 ]; do sleep 0.1; i=$((i + 1)); done; kill $(cat /tmp/reader)")
    lines = [tuple(int(word) for word in line.split()) for line in guest.shell("cat /tmp/events").splitlines()[1:]]
    return [line[1:] for line in lines if line[0] == kind]


def check_menu(checks, guest, eye):
    end = time.monotonic() + OF_THE_MENU
    while marked(guest) != "first" and time.monotonic() < end:
        guest.pump(1)
    if marked(guest) != "first":
        raise GuestError("the boot loader's menu did not come")
    checks.check("the boot loader's menu marks its first line", True)
    # At the last line the key for the next one stays there, so that one too many does no harm.
    press_until(guest, eye, DOWN, lambda: marked(guest) == "third", "down to the third line")
    press_until(guest, eye, ENTER, lambda: READY in guest.console, "its start")
    guest.wait_ready()
    checks.check("keys typed at the client choose the third line of the boot loader's menu", "ALCOVE-FIRST" not in guest.console and
                 "ALCOVE-SECOND" not in guest.console)


def check_linux(checks, guest, eye):
    log = guest.shell("dmesg | grep -E 'i8042|serio|atkbd|psmouse'")
    checks.check("Linux finds keyboard and mouse", "KBD port at 0x60,0x64 irq 1" in log and "AUX port" in log, log)
    checks.check("and has nothing to complain about", not any(word in log.lower() for word in ("fail", "error", "unexpected", "spurious", "lost sync")), log)
    keys = read_events(guest, PS2_KEYBOARD, EV_KEY, 2, lambda: eye.ask(f"key {A}"))
    checks.equal("a key, read by evdev", keys, [(KEY_A, 1), (KEY_A, 0)])

    def move():
        eye.ask("move 100 100")
        eye.ask("move 300 100")

    moves = read_events(guest, PS2_MOUSE, EV_REL, 1, move)
    checks.check("the mouse moves to the right", sum(value for code, value in moves if code == REL_X) > 50, moves)
    buttons = read_events(guest, PS2_MOUSE, EV_KEY, 2, lambda: (eye.ask("button 1 1"), eye.ask("button 1 0")))
    checks.equal("a click", buttons, [(BTN_LEFT, 1), (BTN_LEFT, 0)])


def check_driver(checks, guest, eye):
    guest.shell("insmod /modules/virtio_input.ko; sleep 1")
    guest.shell(f"guest-events '{PS2_KEYBOARD}' 200 >/tmp/other & echo $! >/tmp/other-reader; while ! grep -q reading /tmp/other; do sleep 0.1; done")
    keys = read_events(guest, VIRTIO_KEYBOARD, EV_KEY, 2, lambda: eye.ask(f"key {A}"))
    checks.equal("with virtio's driver the key is read there", keys, [(KEY_A, 1), (KEY_A, 0)])
    checks.equal("and not from the other keyboard as well", guest.shell("kill $(cat /tmp/other-reader); cat /tmp/other"), "reading")


def test_keys(checks, options):
    with Guest(options, "--disk", f"file={options.disk},format=raw", "--nvram", "/tmp/nvram.fd", form="uefi") as guest:
        guest.connect()
        with Eye(options, "qmp", guest.control) as eye:
            check_menu(checks, guest, eye)
            check_linux(checks, guest, eye)
            check_driver(checks, guest, eye)
        guest.send("reboot -f\n")
        checks.check("a reboot", bool(guest.expect("BdsDxe: starting", OF_THE_MENU)))


def main():
    options, checks = Options(), Checks()
    options.disk = "/tmp/disk.raw"
    shutil.copyfile(options.material["uefi-esp"], options.disk)
    uefi_disk.write_grub_cfg(options.disk, GRUB_CFG)
    uefi_disk.esp_copy(options.disk, uefi_disk.ESP_START, "initrd", options.material["initrd-pc"])
    checks.part(test_keys, options)
    return checks.end()


sys.exit(main())
