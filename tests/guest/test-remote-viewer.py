"""A client that is not ours: virt-viewer's remote-viewer shows and drives a machine on KVM, is killed, and the next one finds the whole picture.

Usage: test-remote-viewer.py ALCOVE-VMM FOLDER kernel-generic=FILE initrd-generic=FILE        (run-in-appliance calls it)
"""

import os
import pathlib
import re
import subprocess
import sys
import time

from guest import Checks, Guest, GuestError, Options

WITH_DISPLAY = pathlib.Path(__file__).resolve().parents[1] / "ui" / "with-display"
SOCKET = "/tmp/remote-viewer.socket"
PATIENCE = 120
WIDTH, HEIGHT = 1024, 768
PATCH = (300, 200, 64)
INSIDE = PATCH[2] - 2
ORANGE = "#FF8000"
EV_SYN, EV_KEY, EV_ABS = 0, 1, 3
KEY_A, BTN_LEFT = 30, 0x110
ABS_MAX = 0x7fff


def find_orange(png):
    """(number of orange pixels, left, top) of what is on the X display, without their outermost row: an icon may have a single one."""
    subprocess.run(["import", "-window", "root", png], check=True, timeout=PATIENCE)
    said = subprocess.run(["convert", png, "-fill", "black", "+opaque", ORANGE, "-fill", "white", "-opaque", ORANGE,
                           "-morphology", "Erode", "Square:1", "-format", "%[fx:round(mean*w*h)] %@", "info:"],
                          capture_output=True, text=True, timeout=PATIENCE).stdout
    found = re.match(r"(\d+) \d+x\d+\+(\d+)\+(\d+)", said)
    return tuple(int(number) for number in found.groups()) if found else (0, 0, 0)


class Viewer:
    def __init__(self):
        # GStreamer loads every plugin once to know them: minutes in the appliance, and a screen needs none.
        environment = os.environ | {"GST_PLUGIN_SYSTEM_PATH_1_0": "/nonexistent", "NO_AT_BRIDGE": "1"}
        self.process = subprocess.Popen(["remote-viewer", f"spice+unix://{SOCKET}"], env=environment,
                                        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def __enter__(self):
        return self

    def __exit__(self, kind, error, trace):
        self.process.kill()
        self.process.wait()

    def wait_picture(self, png):
        """Where the picture's left upper corner is on the display, once the guest's orange square is all there."""
        end = time.monotonic() + PATIENCE
        while (seen := find_orange(png))[0] != INSIDE ** 2:
            if self.process.poll() is not None:
                raise GuestError(f"remote-viewer ended with {self.process.returncode}")
            if time.monotonic() > end:
                raise GuestError(f"remote-viewer shows {seen[0]} orange pixels, not {INSIDE ** 2}")
            time.sleep(2)
        return seen[1] - 1 - PATCH[0], seen[2] - 1 - PATCH[1]


def xdotool(*words):
    subprocess.run(["xdotool", *(str(word) for word in words)], check=True, timeout=PATIENCE)


def check_input(checks, guest, left, top):
    x, y = 512, 384
    events = guest.read_events("Alcove Virtual Tablet", 3, lambda: xdotool("mousemove", left + x, top + y))
    places = {code: value for kind, code, value in events if kind == EV_ABS}
    expected = {0: x * ABS_MAX // (WIDTH - 1), 1: y * ABS_MAX // (HEIGHT - 1)}
    step = ABS_MAX // HEIGHT + 1
    checks.check("a pointer moved in remote-viewer, read by evdev",
                 places and all(abs(places[axis] - expected[axis]) <= step for axis in places), f"{events}, not {expected}")
    events = guest.read_events("Alcove Virtual Tablet", 4, lambda: xdotool("click", 1))
    pressed = [event for event in events if event[0] == EV_KEY]
    checks.equal("a click", pressed, [(EV_KEY, BTN_LEFT, 1), (EV_KEY, BTN_LEFT, 0)])
    events = guest.read_events("Alcove Virtual Keyboard", 4, lambda: xdotool("key", "a"))
    checks.equal("a key typed into it", events, [(EV_KEY, KEY_A, 1), (EV_SYN, 0, 0), (EV_KEY, KEY_A, 0), (EV_SYN, 0, 0)])


def test_remote_viewer(checks, options):
    png = str(options.folder / "viewer.png")
    with Guest(options, "--display", f"spice=unix:{SOCKET}", form="kernel", console="console=tty0 quiet alcove.console=ttyS0") as guest:
        print(f"userspace after {guest.wait_ready():.1f} s", flush=True)
        guest.shell("mkfifo /tmp/orders; (guest-picture drm </tmp/orders >/tmp/said 2>&1 &); exec 9>/tmp/orders")
        guest.shell("while ! grep -q drawn /tmp/said; do sleep 0.2; done; echo patch %u %u %u >&9" % PATCH)
        with Viewer() as viewer:
            left, top = viewer.wait_picture(png)
            checks.check("remote-viewer shows the machine", True)
            check_input(checks, guest, left, top)
        checks.check("the machine outlives a client that is killed", guest.shell("echo alive") == "alive")
        with Viewer() as viewer:
            viewer.wait_picture(png)
            checks.check("the next client finds the whole picture", True)
        guest.send("poweroff -f\n")
        checks.equal("power off ends with 0", guest.wait_end(), 0)


def main():
    if "DISPLAY" not in os.environ:
        return subprocess.run([str(WITH_DISPLAY), "--size", "1400x1000", "python3", *sys.argv]).returncode
    options, checks = Options(), Checks()
    checks.part(test_remote_viewer, options)
    return checks.end()


sys.exit(main())
