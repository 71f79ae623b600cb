"""The program as a user meets it: windows, keys, machines that run. Usage: test-app-window.py ALCOVE ALCOVE_VMM FAKE_VMM

Runs under with-display. Each test has a library, downloads and settings of its own; the gallery has one system, the distribution's
installer kernel served by HTTP on 127.0.0.1, and one whose checksum is wrong. The window is driven by keys (xdotool) and asked
where it is (`alcove show` without a machine says it); machines are the real monitor's.
"""

import configparser
import hashlib
import http.server
import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import unittest

ALCOVE, VMM, FAKE_VMM = map(os.path.abspath, sys.argv[1:4])
GALLERY = pathlib.Path(__file__).resolve().parents[2] / "data/gallery"
KERNEL = pathlib.Path("/usr/lib/debian-installer/images/12/amd64/text/debian-installer/amd64/linux")
PIECE = 256 * 1024
PATIENCE = int(os.environ.get("UI_PATIENCE", 120))  # seconds that a slow computer may take for any one step


def disc(path, label):
    """An ISO 9660 volume with nothing in it but the boot catalog's word that UEFI starts it."""
    block, blocks = 2048, 24
    image = bytearray(block * blocks)

    def put(number, offset, data):
        image[number * block + offset:number * block + offset + len(data)] = data

    put(16, 0, b"\1CD001\1")
    put(16, 40, label.encode().ljust(32))
    put(16, 80, blocks.to_bytes(4, "little"))
    put(17, 0, b"\0CD001\1EL TORITO SPECIFICATION")
    put(17, 0x47, (20).to_bytes(4, "little"))
    put(20, 0, b"\1\xef")
    put(20, 30, b"\x55\xaa\x88")
    path.write_bytes(image)


class Vendor(http.server.BaseHTTPRequestHandler):
    """A server of the kernel that can go on in the middle, and be slow."""
    protocol_version = "HTTP/1.1"
    pause = 0.0  # seconds after each piece
    ranges = []  # asked for

    def do_GET(self):
        data, start = KERNEL.read_bytes(), 0
        asked = self.headers.get("Range")
        if asked:
            self.ranges.append(asked)
            start = int(asked.removeprefix("bytes=").removesuffix("-"))
        self.send_response(206 if asked else 200)
        self.send_header("Content-Length", str(len(data) - start))
        self.send_header("ETag", '"kernel"')
        self.send_header("Accept-Ranges", "bytes")
        if asked:
            self.send_header("Content-Range", f"bytes {start}-{len(data) - 1}/{len(data)}")
        self.end_headers()
        try:
            for position in range(start, len(data), PIECE):
                self.wfile.write(data[position:position + PIECE])
                time.sleep(Vendor.pause)
        except OSError:
            self.close_connection = True

    def log_message(self, *_):
        pass


def entry(name, url, digest):
    return {
        "schema": 1, "id": name, "name": name.capitalize(), "vendor": "Test", "arch": "x86_64", "kind": "installer", "status": "supported",
        "summary": "A kernel and nothing else.", "tested": "by this test", "firmware": "linux", "cmdline": "console=tty0 panic=0",
        "network": "none", "minimum": {"cpus": 1, "memory": "128M"}, "recommended": {"cpus": 1, "memory": "256M"},
        "files": [{"role": "kernel", "urls": [url], "size": KERNEL.stat().st_size, "checksum": {"hash": "sha256", "value": digest}}],
    }


def shipped_cloud_entries():
    """The catalogue's own systems that make their user at their first start."""
    entries = [json.loads(path.read_text()) for path in sorted(GALLERY.glob("*.json"))]
    return [entry for entry in entries if "cloud-init" in entry]


class AppTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Vendor)
        threading.Thread(target=cls.server.serve_forever, daemon=True).start()
        cls.url = f"http://127.0.0.1:{cls.server.server_port}/linux"
        cls.digest = hashlib.sha256(KERNEL.read_bytes()).hexdigest()

    @classmethod
    def tearDownClass(cls):
        cls.server.shutdown()
        cls.server.server_close()

    def setUp(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="alcove-ui-"))
        gallery = self.folder / "gallery"
        gallery.mkdir()
        for name, digest in (("able", self.digest), ("wrong", "0" * 64)):
            (gallery / f"{name}.json").write_text(json.dumps(entry(name, self.url, digest)))
        self.environment = dict(os.environ, ALCOVE_VMM=VMM, ALCOVE_DATA_DIR=str(self.folder / "data"),
                                ALCOVE_CACHE_DIR=str(self.folder / "cache"), ALCOVE_RUNTIME_DIR=str(self.folder / "run"),
                                ALCOVE_GALLERY_DIR=str(gallery), XDG_CONFIG_HOME=str(self.folder / "config"))
        self.app = None
        Vendor.pause = 0.0
        Vendor.ranges.clear()

    def tearDown(self):
        self.kill_app()
        for machine in self.machines():
            self.alcove("force-off", machine["id"], check=False)
        messages = self.folder / "messages"
        complaints = [line for line in messages.read_text().splitlines() if "CRITICAL" in line] if messages.exists() else []
        shutil.rmtree(self.folder)
        self.assertEqual(complaints, [])

    # --- the program ---

    def alcove(self, *words, check=True):
        result = subprocess.run([ALCOVE, *words], env=self.environment, capture_output=True, text=True, timeout=PATIENCE * 2)
        if check and result.returncode:
            self.fail(f"alcove {' '.join(words)} ended {result.returncode}: {result.stderr}")
        return result

    def machines(self):
        return [json.loads(line) for line in self.alcove("list", "--json").stdout.splitlines()]

    def machine(self):
        machines = self.machines()
        self.assertEqual(len(machines), 1)
        return machines[0]

    def machine_state(self, id):
        return next(machine["state"] for machine in self.machines() if machine["id"] == id)

    def open_app(self, *words):
        """The window is there when this returns."""
        with open(self.folder / "messages", "a") as messages:
            self.app = subprocess.Popen([ALCOVE, "show", *words], env=self.environment, stdout=subprocess.PIPE, stderr=messages, text=True)
        told = json.loads(self.app.stdout.readline())
        self.assertEqual(told["stage"], "window")
        self.focus()
        return told["place"]

    def kill_app(self):
        if self.app:
            self.app.kill()
            self.app.wait()
            self.app.stdout.close()
            self.app = None

    def place(self):
        """Where the window of the running app is."""
        return json.loads(self.alcove("show").stdout.splitlines()[0])["place"]

    def told(self, stage):
        """What the process of the window tells of a stage."""
        for line in self.app.stdout:
            told = json.loads(line)
            if told["stage"] == stage:
                return told
        return self.fail(f"the app ended before “{stage}”")

    def wait_for(self, what, reached):
        end = time.monotonic() + PATIENCE
        while True:
            value = reached()
            if value:
                return value
            if time.monotonic() > end:
                logs = "".join(path.read_text(errors="replace") for path in self.folder.glob("data/machines/*/*.log"))
                self.fail(f"{what}: not within {PATIENCE} s; machines {self.alcove('list', '--json').stdout} {logs}")
            time.sleep(0.3)

    def wait_place(self, place):
        self.wait_for(place, lambda: self.place() == place)

    # --- keys ---

    def windows(self):
        found = subprocess.run(["xdotool", "search", "--onlyvisible", "--class", "alcove"], capture_output=True, text=True).stdout
        return found.split()

    def focus(self):
        """There is no window manager: the newest window gets the keys."""
        window = self.wait_for("a window of the app", self.windows)[-1]
        subprocess.run(["xdotool", "windowfocus", "--sync", window], check=True, timeout=PATIENCE)

    def press(self, *keys):
        for key in keys:
            subprocess.run(["xdotool", "key", key], check=True)
            time.sleep(0.1)

    def wait_dialog(self, n_before):
        self.wait_for("a dialog", lambda: len(self.windows()) > n_before)
        self.focus()

    def choose_file(self, keys, path):
        """In the file chooser that the keys open."""
        before = len(self.windows())
        self.press(keys)
        self.wait_dialog(before)
        time.sleep(1)
        subprocess.run(["xdotool", "type", "--delay", "30", str(path)], check=True)
        time.sleep(0.5)
        self.press("Return")

    def disc_of(self, machine):
        """What the machine's settings have in its drive."""
        settings = configparser.RawConfigParser()
        settings.read(self.folder / "data/machines" / machine["id"] / "machine.ini")
        return settings["machine"].get("cdrom")

    # --- tests ---

    def test_an_empty_library_leads_to_the_gallery(self):
        self.assertEqual(self.open_app(), "library/empty")
        self.press("Return")  # the button “Open the Gallery” has the focus
        self.wait_place("gallery/list")
        self.press("alt+1")
        self.wait_place("library/empty")
        self.press("ctrl+g")
        self.wait_place("gallery/list")
        self.press("Return")  # the first system has the focus
        self.wait_place("install")
        self.press("Escape")
        self.wait_place("gallery/list")
        self.assertEqual(self.machines(), [])

    def test_from_the_gallery_to_a_running_machine_that_outlives_the_window(self):
        self.open_app("--gallery")
        self.press("Return")
        self.wait_place("install")
        self.press("Return")  # the button that makes the machine
        self.wait_place("machine")
        self.wait_for("the machine is started", lambda: self.machine()["state"] != "stopped")
        name = self.machine()["name"]

        # Killed, not asked: the machine does not notice.
        self.kill_app()
        self.wait_for("the machine runs", lambda: self.machine()["state"] == "running")
        self.assertEqual(self.open_app(), "library/grid")
        self.kill_app()
        self.open_app(name, "--wait-picture", "--timeout", str(PATIENCE))
        self.assertIn(self.told("running")["accelerator"], ("kvm", "emulated"))
        picture = self.told("picture")
        self.assertGreater(picture["colors"], 1)
        self.assertGreaterEqual(picture["width"], 640)

        # And ends by a key, after a question.
        self.press("ctrl+alt+Home", "alt+Left")
        self.wait_place("library/grid")
        before = len(self.windows())
        self.press("ctrl+shift+End")
        self.wait_dialog(before)
        self.press("alt+f")
        self.wait_for("the machine is off", lambda: self.machine()["state"] == "stopped")

    def test_a_machine_starts_though_its_page_was_left(self):
        Vendor.pause = 2.0
        self.open_app("--gallery")
        self.press("Return")
        self.wait_place("install")
        self.press("Return", "Escape", "alt+1")
        self.wait_place("library/grid")
        self.assertEqual(self.machines(), [])
        Vendor.pause = 0.0
        self.wait_for("the machine is started", lambda: any(machine["state"] != "stopped" for machine in self.machines()))
        self.assertEqual(self.place(), "library/grid")

    def test_an_install_goes_on_after_the_app_was_killed(self):
        Vendor.pause = 2.0
        self.open_app("--gallery")
        self.press("Return")
        self.wait_place("install")
        self.press("Return")
        parts = self.folder / "cache"
        self.wait_for("a part is there", lambda: sum(path.stat().st_size for path in parts.rglob("*.part")) > PIECE)
        self.kill_app()
        self.assertEqual(self.machines(), [])
        self.assertEqual(Vendor.ranges, [])
        Vendor.pause = 0.0
        self.assertEqual(self.open_app(), "library/grid")
        self.wait_for("the machine is made", self.machines)
        self.assertEqual(len(Vendor.ranges), 1)
        self.assertNotEqual(Vendor.ranges[0], "bytes=0-")
        self.wait_for("the machine is started", lambda: self.machine()["state"] != "stopped")

    def test_a_machine_from_a_disc_image_whose_disc_is_changed(self):
        first, second = self.folder / "My_Installer-1.iso", self.folder / "second.iso"
        disc(first, "FIRST")
        disc(second, "SECOND")
        self.assertEqual(self.open_app(), "library/empty")
        before = len(self.windows())
        self.choose_file("ctrl+shift+n", first)
        self.wait_for("the chooser is gone and the machine's window there", lambda: len(self.windows()) == before + 1)
        time.sleep(1)
        self.focus()
        self.press("Return")  # the button that makes the machine
        self.wait_place("machine")
        machine = self.machine()
        # The one connection is the app's: it tells when the machine runs.
        self.alcove("show", machine["id"], "--wait-picture", "--timeout", str(PATIENCE))
        self.assertEqual(machine["name"], "My Installer-1")
        self.assertEqual(self.disc_of(machine), str(first))

        self.focus()
        self.press("ctrl+alt+Home", "alt+Left")
        self.wait_place("library/grid")
        self.press("ctrl+shift+d")
        self.wait_for("the disc is out", lambda: self.disc_of(machine) is None)
        self.choose_file("ctrl+d", second)
        self.wait_for("the other one is in", lambda: self.disc_of(machine) == str(second))
        self.kill_app()
        self.wait_for("the machine still runs", lambda: self.machine()["state"] == "running")

    def test_the_command_line_makes_a_machine_from_a_disc_image(self):
        path = self.folder / "system.iso"
        disc(path, "SYSTEM")
        made = json.loads(self.alcove("install", str(path), "--name", "Mine", "--disk", "3G", "--json").stdout)
        machine = self.machine()
        self.assertEqual((made["id"], machine["name"], self.disc_of(machine)), (machine["id"], "Mine", str(path)))
        self.assertEqual((pathlib.Path(made["folder"]) / "disk.raw").stat().st_size, 3 << 30)
        os.truncate(path, 22 * 2048)
        refused = self.alcove("install", str(path), check=False)
        self.assertEqual((refused.returncode, len(refused.stderr.splitlines())), (1, 1))
        self.assertIn("cut off", refused.stderr)
        started = self.alcove("start", machine["id"], check=False)
        self.alcove("force-off", machine["id"])
        self.assertEqual(started.returncode, 0, started.stderr)

    def test_a_file_that_is_no_disc_makes_no_machine(self):
        foreign, cut = self.folder / "foreign.iso", self.folder / "cut.iso"
        foreign.write_bytes(b"no disc" * 10000)
        disc(cut, "CUT")
        os.truncate(cut, 22 * 2048)
        self.open_app()
        for path in (foreign, cut):
            before = len(self.windows())
            self.choose_file("ctrl+shift+n", path)
            self.wait_for("a dialog says so", lambda: len(self.windows()) == before + 1)
            time.sleep(1)
            self.focus()
            self.press("Escape")
            self.wait_for("it is gone", lambda: len(self.windows()) == before)
            self.focus()
        self.assertEqual(self.machines(), [])

    def serve_cloud_images(self):
        """Each shipped cloud image as it is in the catalogue, but with an empty disk from this test's server."""
        image = self.folder / "image.qcow2"
        subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", str(image), "1M"], check=True)
        entries = shipped_cloud_entries()
        for system in entries:
            file = system["files"][0]
            file.pop("signature", None)
            file["urls"] = [image.as_uri()]
            file["checksum"] = {"hash": "sha256", "value": hashlib.sha256(image.read_bytes()).hexdigest()}
            (self.folder / "gallery" / f"{system['id']}.json").write_text(json.dumps(system))
        return entries

    def seed_of(self, machine):
        """The text of the seed, in which files are stored as they are."""
        return (self.folder / "data/machines" / machine["id"] / "seed.iso").read_bytes().decode(errors="replace")

    def test_each_cloud_image_asks_for_a_password_and_gets_its_user(self):
        entries = self.serve_cloud_images()
        self.assertGreaterEqual(len(entries), 2)
        for system in entries:
            for path in (self.folder / "gallery").glob("*.json"):
                path.unlink()
            (self.folder / "gallery" / "one.json").write_text(json.dumps(system))
            self.open_app("--gallery")
            self.press("Return")
            self.wait_place("install")
            self.press("Return")  # no password yet: nothing happens
            subprocess.run(["xdotool", "type", "correct horse"], check=True)
            self.press("Return")
            self.wait_place("machine")
            machine = next(machine for machine in self.machines() if machine["name"].startswith(system["name"]))
            seed = self.seed_of(machine)
            self.assertIn(f'"name" : "{system["cloud-init"]["user"]}"', seed)
            self.assertIn('"passwd" : "$6$', seed)
            self.assertNotIn("correct horse", seed)
            self.wait_for("the machine is started", lambda: self.machine_state(machine["id"]) != "stopped")
            self.kill_app()
            self.alcove("force-off", machine["id"])

    def test_a_cloud_image_by_the_command_line(self):
        system = self.serve_cloud_images()[0]
        refused = self.alcove("install", system["id"], check=False)
        self.assertEqual(refused.returncode, 2)
        self.assertIn("--password-file", refused.stderr)
        password, key = self.folder / "password", self.folder / "id.pub"
        password.write_text("correct horse\n")
        key.write_text("ssh-ed25519 AAAA anna@home\n")
        self.alcove("install", system["id"], "--user", "anna", "--password-file", str(password), "--ssh-key", str(key))
        seed = self.seed_of(self.machine())
        for word in ('"name" : "anna"', '"passwd" : "$6$', "ssh-ed25519 AAAA anna@home"):
            self.assertIn(word, seed)
        refused = self.alcove("install", "able", "--user", "anna", "--password-file", str(password), check=False)
        self.assertIn("makes no user", refused.stderr)

    def test_a_wrong_checksum_makes_no_machine_and_says_which(self):
        result = self.alcove("install", "wrong", check=False)
        self.assertEqual(result.returncode, 1)
        self.assertIn("linux", result.stderr)
        self.assertIn(self.digest, result.stderr)
        self.assertEqual(self.machines(), [])

    def test_rename_delete_and_undo_by_key(self):
        self.alcove("install", "able", "--name", "Before")
        self.assertEqual(self.open_app(), "library/grid")
        before = len(self.windows())
        self.press("F2")
        self.wait_dialog(before)
        self.press("ctrl+a")
        subprocess.run(["xdotool", "type", "After"], check=True)
        self.press("Return")
        self.wait_for("the new name", lambda: self.machine()["name"] == "After")
        self.focus()
        self.press("Delete")
        self.wait_for("the machine is gone", lambda: not self.machines())
        self.wait_place("library/empty")
        self.press("alt+u")
        self.wait_for("the machine is back", lambda: self.machines())
        self.assertEqual(self.machine()["name"], "After")
        self.wait_place("library/grid")

    def test_a_second_window_and_the_end(self):
        """The machine moves to the new window; the program ends with the last one. None stays that nobody sees."""
        self.alcove("install", "able", "--name", "Mine")
        self.open_app("Mine")
        before = self.windows()
        self.press("ctrl+o")
        self.wait_for("a second window", lambda: len(self.windows()) == len(before) + 1)
        self.focus()
        self.wait_for("it shows the machine", lambda: self.place() == "machine")
        self.press("ctrl+w")
        self.wait_for("it is gone", lambda: len(self.windows()) == len(before))
        self.focus()
        self.wait_place("library/grid")
        self.press("ctrl+w")
        self.assertEqual(self.app.wait(PATIENCE), 0)
        self.app.stdout.close()
        self.app = None

    def test_a_broken_machine_is_opened_and_says_why(self):
        self.alcove("install", "able", "--name", "Mine")
        (self.folder / "data/machines" / self.machine()["id"] / "machine.ini").write_text("garbage")
        self.assertEqual(self.open_app(), "library/grid")
        self.press("Return")
        self.wait_place("machine")

    def test_a_machine_by_keys_alone(self):
        """Started, shut down, started again and deleted while it runs; the monitor is one that powers off when it is asked to."""
        self.environment["ALCOVE_VMM"] = FAKE_VMM
        self.alcove("install", "able", "--name", "Mine")
        self.assertEqual(self.open_app(), "library/grid")
        for again in (False, True):
            self.press("ctrl+Return")
            self.wait_place("machine")
            self.wait_for("it is started", lambda: self.machine()["state"] != "stopped")
            self.press("ctrl+alt+Home", "alt+Left")
            self.wait_place("library/grid")
            if not again:
                self.press("ctrl+End")
                self.wait_for("it is off", lambda: self.machine()["state"] == "stopped")
        before = len(self.windows())
        self.press("Delete")
        self.wait_dialog(before)
        self.press("alt+d")
        self.wait_for("the machine is gone", lambda: not self.machines())
        self.wait_place("library/empty")

    def test_the_command_line_reaches_this_library_only(self):
        self.alcove("install", "able", "--name", "Here")
        self.open_app()
        other = dict(self.environment, ALCOVE_DATA_DIR=str(self.folder / "other"))
        told = subprocess.run([ALCOVE, "show", "--exit-after"], env=other, capture_output=True, text=True, timeout=PATIENCE)
        self.assertEqual(json.loads(told.stdout.splitlines()[0])["place"], "library/empty")
        self.assertEqual(self.place(), "library/grid")


if __name__ == "__main__":
    if not KERNEL.exists() or not shutil.which("xdotool"):
        print("debian-installer-12-netboot-amd64 or xdotool is not installed", file=sys.stderr)
        sys.exit(77)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    unittest.main(argv=[sys.argv[0], "-v", *sys.argv[4:]])
