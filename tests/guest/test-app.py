"""The whole program on real KVM: a system of a gallery, a machine of it, its picture in the window, a line typed into it, and its end.

Usage: test-app.py ALCOVE-VMM FOLDER kernel-generic=FILE initrd-generic=FILE alcove=FILE        (run-in-appliance calls it)
"""

import hashlib
import json
import os
import pathlib
import subprocess
import sys
import time

from guest import Checks, GuestError

WITH_DISPLAY = pathlib.Path(__file__).resolve().parents[1] / "ui" / "with-display"
PATIENCE = 240
COMMAND_LINE = "console=ttyS0 console=tty0"
TYPED = "echo heard-$((6*7)) >/dev/ttyS0"


def write_entry(folder, kernel, initrd):
    files = [{"role": role, "urls": [f"file://{path}"], "size": os.path.getsize(path),
              "checksum": {"hash": "sha256", "value": hashlib.sha256(pathlib.Path(path).read_bytes()).hexdigest()}}
             for role, path in (("kernel", kernel), ("initrd", initrd))]
    (folder / "small.json").write_text(json.dumps({
        "schema": 1, "id": "small", "name": "Small", "vendor": "Test", "arch": "x86_64", "kind": "installer", "status": "supported",
        "summary": "A kernel and a shell.", "tested": "by this test", "firmware": "linux", "cmdline": COMMAND_LINE, "network": "user",
        "minimum": {"cpus": 1, "memory": "256M"}, "recommended": {"cpus": 1, "memory": "512M"}, "files": files}))


class App:
    """Commands of one library; the window is a process that is asked over the session bus."""

    def __init__(self, program):
        self.program = program
        self.window = None

    def run(self, *words):
        result = subprocess.run([self.program, *words], capture_output=True, text=True, timeout=PATIENCE)
        if result.returncode:
            raise GuestError(f"alcove {' '.join(words)}: {result.stderr.strip()}")
        return result.stdout

    def state(self):
        return json.loads(self.run("list", "--json").splitlines()[0])["state"]

    def open_window(self, machine):
        self.window = subprocess.Popen([self.program, "show", machine, "--start", "--wait-picture", "--timeout", str(PATIENCE)],
                                       stdout=subprocess.PIPE, text=True)

    def stages(self):
        """What the window tells until the picture is there, by stage."""
        told = {}
        for line in self.window.stdout:
            stage = json.loads(line)
            told[stage["stage"]] = stage
            if stage["stage"] == "picture":
                break
        return told


def wait_for(what, reached):
    end = time.monotonic() + PATIENCE
    while not reached():
        if time.monotonic() > end:
            raise GuestError(f"{what}: not within {PATIENCE} s")
        time.sleep(0.5)


def type_line(text):
    """There is no window manager: the window is given the keys, the widget has the focus."""
    window = subprocess.run(["xdotool", "search", "--onlyvisible", "--class", "alcove"], capture_output=True, text=True).stdout.split()[-1]
    subprocess.run(["xdotool", "windowfocus", "--sync", window], check=True, timeout=PATIENCE)
    subprocess.run(["xdotool", "type", "--delay", "120", text], check=True, timeout=PATIENCE)
    subprocess.run(["xdotool", "key", "Return"], check=True, timeout=PATIENCE)


def whole_way(checks, app):
    made = json.loads(app.run("install", "small", "--json"))
    serial = pathlib.Path(made["folder"]) / "serial.log"
    app.run("set", made["id"], "--serial", "serial.log")
    app.open_window(made["id"])
    stages = app.stages()
    checks.equal("the machine runs on KVM", stages.get("running", {}).get("accelerator"), "kvm")
    checks.check("the window shows a picture", "picture" in stages, stages)
    checks.equal("its pixels are in shared memory", stages.get("picture", {}).get("shared-memory"), True)
    # The shell is on the screen's console; the serial port hears the kernel, and what is written to it on purpose.
    wait_for("the screen's driver", lambda: b"virtio_gpudrmfb frame buffer device" in serial.read_bytes())
    wait_for("a line typed into the window", lambda: type_line(TYPED) or heard(serial))
    checks.check("what was typed into the window was carried out by the guest", heard(serial))
    app.window.kill()
    app.window.wait()
    checks.equal("the machine outlives its window", app.state(), "running")
    app.run("force-off", made["id"])
    checks.equal("and can be switched off without one", app.state(), "stopped")


def heard(serial):
    time.sleep(2)
    return b"heard-42" in serial.read_bytes()


def main():
    if "DISPLAY" not in os.environ:
        return subprocess.run([str(WITH_DISPLAY), "python3", *sys.argv]).returncode
    vmm, folder = sys.argv[1], pathlib.Path("/tmp/alcove-app")
    material = dict(word.split("=", 1) for word in sys.argv[3:])
    (folder / "gallery").mkdir(parents=True)
    write_entry(folder / "gallery", material["kernel-generic"], material["initrd-generic"])
    # GL without a GPU, on a processor that is itself emulated, takes seconds a frame.
    os.environ.update(ALCOVE_VMM=vmm, ALCOVE_DATA_DIR=str(folder / "data"), ALCOVE_CACHE_DIR=str(folder / "cache"),
                      ALCOVE_RUNTIME_DIR=str(folder / "run"), ALCOVE_GALLERY_DIR=str(folder / "gallery"),
                      XDG_CONFIG_HOME=str(folder / "config"), GSK_RENDERER="cairo")
    checks, app = Checks(), App(material["alcove"])
    try:
        checks.part(whole_way, app)
    finally:
        if app.window and app.window.poll() is None:
            app.window.kill()
            app.window.wait()
    return checks.end()


sys.exit(main())
