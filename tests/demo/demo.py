"""The whole way, as a user goes it: a system of the gallery, a machine of it, its picture in the window.

Usage: demo.py BUILD_FOLDER [--nested] [--entry ID|FILE.json] [--folder FOLDER] [--leave-window]

The system is Debian's text installer: from the vendor where that can be reached (debian-12-netboot.json here, which the demo adds to the
gallery: kernel and initrd, which need nobody to press a key), else the gallery's entry of the same as Debian's own packages carry it.

Everything lives in BUILD_FOLDER/demo, or --folder (machines, downloads, pictures); nothing of the user's own library is touched. The
window is a real one, on a session bus of its own, driven by the same `alcove` commands that a person can type. Ends 0 only if the
guest's userspace was reached, which its first script says on the serial port, and the window really showed the installer, which is
looked at in the pixels of the window.

--nested: said by the appliance's side of `make demo NESTED=1`: the machine must run on KVM.
"""

import argparse
import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import time
import urllib.request

SOURCE = pathlib.Path(__file__).resolve().parents[2]
OWN_ENTRY = SOURCE / "tests" / "demo" / "debian-12-netboot.json"
PACKAGED = "debian-12-installer"
NAME = "demo"
STAGES = ("download", "verify", "unpack", "create")
# What the installer's first script says on the serial port; the kernel does not.
USERSPACE = b"Starting system log daemon"
SIZE = "1100x850"
PAUSE = 3  # seconds; a picture of the window costs some time itself


class DemoError(Exception):
    pass


class Demo:
    def __init__(self, options):
        self.build = pathlib.Path(options.build).absolute()
        self.folder = pathlib.Path(options.folder or self.build / ("demo-nested" if options.nested else "demo")).absolute()
        self.nested = options.nested
        # The appliance's own memory is quicker than the host's files, which it sees through a slow channel.
        self.store = pathlib.Path("/tmp/alcove-demo-store") if options.nested else self.folder
        self.leave_window = options.leave_window
        self.own_entry, self.entry = OWN_ENTRY, options.entry
        if self.entry and self.entry.endswith(".json"):
            self.own_entry = pathlib.Path(self.entry)
            self.entry = json.loads(self.own_entry.read_text())["id"]
        self.alcove = self.build / "app" / "alcove"
        self.picture = self.folder / "window.png"
        self.id = None
        self.window = None
        self.bus = None
        # Emulation, and KVM in an emulated computer, are some ten times slower than a laptop's KVM.
        self.limit = 1500 if self.nested else 600
        # Sockets have short names: their folder is not in the build folder, which may be deep.
        runtime = pathlib.Path(os.environ.get("XDG_RUNTIME_DIR") or f"/tmp/alcove-demo-{os.getuid()}") / f"alcove-{self.folder.name}"
        runtime.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.store.mkdir(parents=True, exist_ok=True)
        self.environment = {
            **os.environ,
            "ALCOVE_DATA_DIR": str(self.store / "data"),
            "ALCOVE_CACHE_DIR": str(self.store / "cache"),
            "ALCOVE_RUNTIME_DIR": str(runtime),
            "ALCOVE_GALLERY_DIR": str(self.make_gallery()),
            "ALCOVE_VMM": str(self.build / "vmm" / "alcove-vmm"),
        }
        if self.nested:
            # GL without a GPU, on a processor that is itself emulated, takes seconds a frame.
            self.environment.setdefault("GSK_RENDERER", "cairo")

    def make_gallery(self):
        """The project's, and the demo's own entry."""
        gallery = self.store / "gallery"
        shutil.rmtree(gallery, ignore_errors=True)
        shutil.copytree(SOURCE / "data" / "gallery", gallery)
        shutil.copy(self.own_entry, gallery)
        return gallery

    def run(self, *words, check=True):
        result = subprocess.run([str(self.alcove), *words], env=self.environment, capture_output=True, text=True, timeout=self.limit)
        if check and result.returncode:
            raise DemoError(f"alcove {' '.join(words)}: {result.stderr.strip() or result.returncode}")
        return result

    def say(self, stage, seconds, note=""):
        print(f"demo: {stage:<14} {seconds:7.1f} s  {note}".rstrip(), flush=True)

    # --- the system and the machine ---

    def choose(self):
        if self.entry:
            return [self.entry]
        if self.nested:
            return [PACKAGED]
        try:
            entry = json.loads(OWN_ENTRY.read_text())
            url = entry["files"][0]["checksum"]["url"]
            urllib.request.urlopen(urllib.request.Request(url, method="HEAD"), timeout=5).close()
            return [entry["id"], PACKAGED]
        except OSError:
            print("demo: the vendor's server cannot be reached: taking the installer that Debian's packages carry", flush=True)
            return [PACKAGED]

    def forget_the_last_run(self):
        pid_file = self.folder / "window.pid"
        try:
            pid = int(pid_file.read_text())
            if b"alcove" in pathlib.Path(f"/proc/{pid}/cmdline").read_bytes():
                os.killpg(pid, signal.SIGTERM)
        except (OSError, ValueError):
            pass
        pid_file.unlink(missing_ok=True)
        for machine in map(json.loads, self.run("list", "--json").stdout.splitlines()):
            self.run("force-off", machine["id"], check=False)
            self.run("delete", machine["id"], "--yes")

    def install(self):
        entries = self.choose()
        for entry in entries:
            result = self.run("install", entry, "--name", NAME, "--json", check=entry == entries[-1])
            if result.returncode == 0:
                break
            print(f"demo: {entry}: {result.stderr.strip()}", flush=True)
        made = json.loads(result.stdout)
        for stage in STAGES:
            self.say(stage, made["seconds"].get(stage, 0.0), entry if stage == "download" else "")
        self.id = made["id"]
        self.run("set", self.id, "--serial", "serial.log")
        self.serial = pathlib.Path(made["folder"]) / "serial.log"

    # --- the window ---

    def open_window(self):
        """A window with a session bus of its own, which ends with it; the bus's address is its first line."""
        script = 'echo "$DBUS_SESSION_BUS_ADDRESS"; exec "$@"'
        log = open(self.folder / "window.log", "w")
        self.window = subprocess.Popen(
            ["dbus-run-session", "--", "sh", "-c", script, "sh", str(self.alcove), "show", self.id, "--start", "--wait-picture",
             "--timeout", str(self.limit), "--size", SIZE],
            env=self.environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=log, text=True, start_new_session=True)
        (self.folder / "window.pid").write_text(str(self.window.pid))
        self.began = time.monotonic()
        self.bus = self.window.stdout.readline().strip()
        if not self.bus:
            raise DemoError(f"no session bus (see {log.name})")

    def wait_for_first_picture(self):
        for line in self.window.stdout:
            stage = json.loads(line)
            if stage["stage"] == "running":
                self.say("start", time.monotonic() - self.began, f"on {stage['accelerator']}")
                if self.nested and stage["accelerator"] != "kvm":
                    raise DemoError("the machine was to run on KVM and is emulated")
            elif stage["stage"] == "picture":
                self.say("first picture", time.monotonic() - self.began,
                         f"{stage['width']}x{stage['height']}, {'memfd' if stage['shared-memory'] else 'QXL'}, "
                         f"{'GL' if stage['gl'] else 'without GL'}")
                return
        raise DemoError(f"the window showed no picture: {(self.folder / 'window.log').read_text().strip().splitlines()[-1:]}")

    def photograph(self):
        """The running window saves itself, as for any other caller on its bus."""
        result = subprocess.run(
            [str(self.alcove), "show", self.id, "--screenshot", str(self.picture)],
            env={**self.environment, "DBUS_SESSION_BUS_ADDRESS": self.bus}, capture_output=True, text=True, timeout=self.limit)
        if result.returncode:
            raise DemoError(f"the window cannot be photographed: {result.stderr.strip()}")

    def wait_until(self, reached, missing):
        """Calls reached () until it gives something, which is returned; the seconds are counted from the start."""
        while True:
            value = reached()
            if value:
                return time.monotonic() - self.began, value
            if self.window.poll() is not None:
                raise DemoError("the window has gone")
            if time.monotonic() - self.began > self.limit:
                raise DemoError(f"{missing} within {self.limit} s; the window last showed {self.picture}, the serial port {self.serial}")
            time.sleep(PAUSE)

    def wait_for_userspace(self):
        seconds, _ = self.wait_until(lambda: self.serial.exists() and USERSPACE in self.serial.read_bytes(),
                                     f"“{USERSPACE.decode()}” was not written on the serial port")
        self.say("userspace", seconds)

    def wait_for_installer(self):
        """Debian's installer paints the screen blue with a grey box, which no kernel message does."""
        def shown():
            self.photograph()
            blue, grey = count_colours(self.picture)
            return blue > 0.03 and blue + grey > 0.5 and f"in the window: {blue:.0%} of it blue, {grey:.0%} grey"

        seconds, note = self.wait_until(shown, "the installer's screen did not appear")
        self.say("installer", seconds, note)

    def close(self, failed):
        if self.leave_window and not failed:
            print("demo: the window stays open; the machine runs on when it is closed", flush=True)
            return
        if self.window and self.window.poll() is None:
            os.killpg(self.window.pid, signal.SIGTERM)
            self.window.wait(30)
        if self.id:
            self.run("force-off", self.id, check=False)

    def main(self):
        failed = True
        try:
            self.forget_the_last_run()
            self.install()
            self.open_window()
            self.wait_for_first_picture()
            self.wait_for_userspace()
            self.wait_for_installer()
            failed = False
        except (DemoError, subprocess.TimeoutExpired) as error:
            print(f"demo: FAILED: {error}", flush=True)
        finally:
            self.close(failed)
        if not failed:
            print(f"demo: the window with the running machine: {self.picture}", flush=True)
        return 1 if failed else 0


def count_colours(picture):
    """The shares of the installer's blue and grey (VGA's 0000aa and aaaaaa) among the window's pixels."""
    histogram = subprocess.run(["convert", str(picture), "-depth", "8", "-alpha", "off", "-format", "%c", "histogram:info:-"],
                               capture_output=True, text=True, check=True).stdout
    total = blue = grey = 0
    for line in histogram.splitlines():
        count, _, rest = line.strip().partition(":")
        red, green, third = (int(float(value)) for value in rest.split("(")[1].split(")")[0].split(",")[:3])
        total += int(count)
        if red < 16 and green < 16 and 150 < third < 190:
            blue += int(count)
        elif all(150 < value < 190 for value in (red, green, third)):
            grey += int(count)
    return blue / total, grey / total


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("build")
    parser.add_argument("--nested", action="store_true")
    parser.add_argument("--entry", default=os.environ.get("ENTRY"))
    parser.add_argument("--folder")
    parser.add_argument("--leave-window", action="store_true")
    options = parser.parse_args()
    if not shutil.which("convert"):
        raise SystemExit("demo: ImageMagick's convert is not installed")
    return Demo(options).main()


sys.exit(main())
