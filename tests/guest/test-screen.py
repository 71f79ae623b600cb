"""The screen, pixel by pixel, on every way out: the boot framebuffer, then the guest's DRM driver; and what the user types comes in."""

import re
import subprocess
import sys
import time

from guest import Checks, Eye, Guest, Options

WIDTH, HEIGHT = 1024, 768
SOCKET = "/tmp/screen.socket"
PATCH = (300, 200, 64)
ORANGE = bytes((0xff, 0x80, 0x00))
SCAN_CODE_A, KEY_A = 0x1e, 30
EV_SYN, EV_KEY, EV_ABS = 0, 1, 3
BTN_LEFT = 0x110
ABS_MAX = 0x7fff


def picture():
    """As guest-picture.c draws it, as rows of RGB."""
    rows = []
    columns = bytes(x & 0xff for x in range(WIDTH))
    for y in range(HEIGHT):
        row = bytearray(3 * WIDTH)
        row[0::3] = columns
        row[1::3] = bytes((y & 0xff,)) * WIDTH
        row[2::3] = bytes((x >> 8 & 0xf) << 4 | y >> 8 & 0xf for x in range(WIDTH))
        rows.append(row)
    return rows


def patched():
    rows = picture()
    x, y, size = PATCH
    for row in rows[y:y + size]:
        row[3 * x:3 * (x + size)] = ORANGE * size
    return rows


def pixel(rows, x, y):
    return rows[y][3 * x:3 * x + 3].hex()


def read_ppm(path):
    data = path.read_bytes()
    header = re.match(rb"P6\s(\d+)\s(\d+)\s255\s", data)
    return (int(header.group(1)), int(header.group(2))), data[header.end():]


def compare(checks, what, path, rows):
    size, data = read_ppm(path)
    expected = b"".join(bytes(row) for row in rows)
    if size != (WIDTH, HEIGHT) or len(data) != len(expected):
        checks.check(what, False, f"it is {size}")
        return
    different = sum(data[i:i + 3 * WIDTH] != expected[i:i + 3 * WIDTH] for i in range(0, len(data), 3 * WIDTH))
    first = next((i // 3 for i in range(len(data)) if data[i] != expected[i]), 0) if different else 0
    checks.check(what, different == 0, f"{different} rows differ, first at {first % WIDTH},{first // WIDTH}")


def compare_screendump(checks, what, options, qmp, rows):
    png, ppm = options.folder / "screen.png", options.folder / "screen.ppm"
    qmp.run("screendump", filename=str(png), format="png")
    subprocess.run(["convert", png, "-depth", "8", ppm], check=True)
    compare(checks, what, ppm, rows)


def compare_eye(checks, what, options, eye, rows, way):
    """Waits for the last pixels to come, then compares all."""
    x, y, size = PATCH
    for place in ((0, 0), (WIDTH - 1, HEIGHT - 1), (x + size - 1, y + size - 1)):
        eye.wait_pixel(*place, pixel(rows, *place))
    ppm = options.folder / "eye.ppm"
    checks.equal(f"{what}: size and way", eye.ask(f"dump {ppm}", "dump"), [str(WIDTH), str(HEIGHT), way])
    compare(checks, what, ppm, rows)


def check_boot_framebuffer(checks, options, guest, qmp):
    """Before the DRM driver is loaded: the kernel's messages are to be seen, and what is drawn into /dev/fb0 is what comes out."""
    png = options.folder / "boot.png"
    qmp.run("screendump", filename=str(png))
    mean = float(subprocess.run(["convert", png, "-format", "%[fx:mean]", "info:"], capture_output=True, text=True).stdout)
    checks.check("the kernel's messages are on the screen before any driver", 0.005 < mean < 0.5, mean)
    guest.shell("echo 0 >/sys/class/vtconsole/vtcon1/bind")
    said = guest.shell("guest-picture fb")
    checks.check("the boot framebuffer is EFI's", said == f"drawn {WIDTH} {HEIGHT} on EFI VGA", said)
    with Eye(options, "qmp", guest.control) as eye:
        compare_eye(checks, "boot framebuffer by QXL draws", options, eye, picture(), "draw")
    compare_screendump(checks, "boot framebuffer by screendump", options, qmp, picture())


def check_drm(checks, options, guest, qmp):
    guest.shell("insmod /modules/virtio-gpu.ko")
    guest.shell("mkfifo /tmp/orders; (guest-picture drm </tmp/orders >/tmp/said 2>&1 &); exec 9>/tmp/orders")
    guest.shell("while ! grep -q drawn /tmp/said; do sleep 0.2; done")
    checks.equal("the mode of the DRM driver", guest.shell("cat /tmp/said"), f"drawn {WIDTH} {HEIGHT}")
    with Eye(options, "unix", SOCKET) as eye:
        compare_eye(checks, "DRM driver by QXL draws", options, eye, picture(), "draw")
        guest.shell("echo patch %u %u %u >&9" % PATCH)
        compare_eye(checks, "a rectangle by QXL draws", options, eye, patched(), "draw")
    compare_screendump(checks, "DRM driver by screendump", options, qmp, patched())
    with Eye(options, "qmp", guest.control, "memfd") as eye:
        compare_eye(checks, "DRM driver by the shared memfd", options, eye, patched(), "gl")
        guest.shell("echo cursor 100 120 >&9; sleep 1")
        seen = wait_cursor(eye)
        checks.equal("the guest's cursor", seen, ["64", "64", "3", "5", "ffff0000", "00000000"])
        check_input(checks, guest, eye)
        check_reset(checks, options, guest, qmp, eye)


def check_reset(checks, options, guest, qmp, eye):
    """The client that saw the driver's picture sees the boot framebuffer again, without connecting anew."""
    qmp.run("system_reset")
    guest.wait_ready()
    guest.shell("echo 0 >/sys/class/vtconsole/vtcon1/bind; guest-picture fb")
    compare_eye(checks, "boot framebuffer after a reset, by the shared memfd", options, eye, picture(), "gl")


def wait_cursor(eye):
    end = time.monotonic() + 20
    while (seen := eye.ask("cursor", "cursor"))[0] != "64" and time.monotonic() < end:
        time.sleep(0.2)
    return seen


def check_input(checks, guest, eye):
    events = guest.read_events("Alcove Virtual Keyboard", 4, lambda: eye.ask(f"key {SCAN_CODE_A}"))
    checks.equal("a key typed at the client, read by evdev", events, [(EV_KEY, KEY_A, 1), (EV_SYN, 0, 0), (EV_KEY, KEY_A, 0), (EV_SYN, 0, 0)])

    x, y = 768, 192
    events = guest.read_events("Alcove Virtual Tablet", 3, lambda: eye.ask(f"move {x} {y}"))
    places = {code: value for kind, code, value in events if kind == EV_ABS}
    expected = {0: x * ABS_MAX // (WIDTH - 1), 1: y * ABS_MAX // (HEIGHT - 1)}
    checks.check("a pointer moved at the client, read by evdev", places.keys() == expected.keys() and
                 all(abs(places[axis] - expected[axis]) <= 1 for axis in expected), f"{events}, not {expected}")

    def click():
        eye.ask("button 1 1")
        eye.ask("button 1 0")
    events = guest.read_events("Alcove Virtual Tablet", 4, click)
    checks.equal("a click", events, [(EV_KEY, BTN_LEFT, 1), (EV_SYN, 0, 0), (EV_KEY, BTN_LEFT, 0), (EV_SYN, 0, 0)])


def test_screen(checks, options):
    with Guest(options, "--display", f"spice=unix:{SOCKET}", form="kernel",
               console="console=tty0 loglevel=6 alcove.console=ttyS0", cmdline="alcove.later=virtio-gpu") as guest:
        qmp = guest.connect()
        print(f"userspace after {guest.wait_ready():.1f} s", flush=True)
        check_boot_framebuffer(checks, options, guest, qmp)
        check_drm(checks, options, guest, qmp)
        guest.send("poweroff -f\n")
        checks.equal("power off with clients gone ends with 0", guest.wait_end(), 0)
        checks.equal("nothing to complain about", guest.messages(), "")


def main():
    options, checks = Options(), Checks()
    checks.part(test_screen, options)
    return checks.end()


sys.exit(main())
