"""alcove-viewer and QEMU's SPICE server: what the viewer saves is what QEMU itself says it shows.

Usage: test-viewer.py VIEWER, on a display (tests/ui/with-display). QEMU runs its firmware alone, in software; 77 when it is not
installed. TAP.
"""

import json
import pathlib
import shutil
import socket
import subprocess
import sys
import tempfile
import time

PATIENCE = 90


class Machine:
    def __init__(self, folder):
        self.spice = folder / "spice.sock"
        monitor = folder / "qmp.sock"
        self.process = subprocess.Popen(
            ["qemu-system-x86_64", "-nodefaults", "-no-user-config", "-accel", "tcg", "-m", "32", "-display", "none",
             "-vga", "qxl", "-spice", f"unix=on,addr={self.spice},disable-ticketing=on",
             "-qmp", f"unix:{monitor},server=on,wait=off"], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        end = time.monotonic() + PATIENCE
        while not monitor.exists() or not self.spice.exists():
            assert self.process.poll() is None and time.monotonic() < end, "QEMU did not start"
            time.sleep(0.1)
        self.monitor = socket.socket(socket.AF_UNIX)
        self.monitor.settimeout(PATIENCE)
        self.monitor.connect(str(monitor))
        self.answers = self.monitor.makefile()
        self.answers.readline()
        self.execute("qmp_capabilities")

    def execute(self, command, **arguments):
        self.monitor.sendall(json.dumps({"execute": command, "arguments": arguments}).encode() + b"\n")
        while True:
            answer = json.loads(self.answers.readline())
            assert "error" not in answer, answer
            if "return" in answer:
                return answer["return"]

    def end(self):
        self.process.kill()
        self.process.wait()


def pixels(path):
    """(size, RGB bytes) of a picture."""
    size = subprocess.run(["identify", "-format", "%wx%h", path], check=True, capture_output=True, text=True).stdout
    return size, subprocess.run(["convert", path, "-depth", "8", "rgb:-"], check=True, capture_output=True).stdout


def shows_what_qemu_shows(viewer, folder):
    """The firmware writes for a while, hence the repetition; an empty screen does not count."""
    machine = Machine(folder)
    try:
        end = time.monotonic() + PATIENCE
        while True:
            seen, told = folder / "seen.png", folder / "told.ppm"
            subprocess.run([viewer, "--screenshot", seen, machine.spice], check=True, timeout=PATIENCE,
                           stdout=subprocess.DEVNULL)
            machine.execute("screendump", filename=str(told))
            if pixels(seen) == pixels(told) and any(pixels(seen)[1]):
                return
            assert time.monotonic() < end, f"{pixels(seen)[0]} seen, {pixels(told)[0]} told, or other pixels, or all black"
            time.sleep(0.5)
    finally:
        machine.end()


def ends_when_the_machine_does(viewer, folder):
    machine = Machine(folder)
    window = subprocess.Popen([viewer, machine.spice], stderr=subprocess.PIPE, text=True)
    try:
        time.sleep(2)
        assert window.poll() is None, "the viewer ended by itself"
        machine.end()
        _, told = window.communicate(timeout=PATIENCE)
        assert "connection to the machine's screen ended" in told, told
    finally:
        machine.end()
        window.kill()
        window.wait()


def refuses_what_is_no_server(viewer, folder):
    for path in (folder / "nothing.sock", folder):
        run = subprocess.run([viewer, path], capture_output=True, text=True, timeout=PATIENCE)
        assert run.returncode == 1 and "cannot be reached" in run.stderr, (run.returncode, run.stderr)
    run = subprocess.run([viewer], capture_output=True, text=True, timeout=PATIENCE)
    assert run.returncode == 2 and "PATH" in run.stderr, (run.returncode, run.stderr)


def main():
    viewer = sys.argv[1]
    if not shutil.which("qemu-system-x86_64"):
        print("1..0 # SKIP qemu-system-x86_64 is not installed")
        return 77
    tests = [shows_what_qemu_shows, ends_when_the_machine_does, refuses_what_is_no_server]
    print(f"1..{len(tests)}")
    failed = 0
    for number, test in enumerate(tests, 1):
        with tempfile.TemporaryDirectory(prefix="viewer-") as name:
            try:
                test(viewer, pathlib.Path(name))
                print(f"ok {number} {test.__name__}")
            except (AssertionError, subprocess.SubprocessError, OSError) as error:
                failed += 1
                print(f"not ok {number} {test.__name__}\n# {error!r}")
    return 1 if failed else 0


sys.exit(main())
