"""`make demo`, as its user runs it: twice. Usage: test-demo.py BUILD_FOLDER; ends 77 without what it needs.

Runs under with-display. The system is the demo's own entry, with a server on 127.0.0.1 in the vendor's place that has the files of Debian's
package and counts who asks: the first run downloads and verifies, the second takes what is there.
"""

import functools
import hashlib
import http.server
import json
import pathlib
import shutil
import subprocess
import sys
import tempfile
import threading
import unittest

BUILD = pathlib.Path(sys.argv[1]).absolute()
HERE = pathlib.Path(__file__).resolve().parent
FILES = pathlib.Path("/usr/lib/debian-installer/images/12/amd64/text/debian-installer/amd64")
STAGES = ("download", "verify", "unpack", "create", "start", "first picture", "userspace", "installer")


class CountingHandler(http.server.SimpleHTTPRequestHandler):
    asked = []

    def do_GET(self):
        self.asked.append(self.path)
        super().do_GET()

    def log_message(self, *_):
        pass


def write_entry(path, server):
    """debian-12-netboot with this server's files, and their hashes in the entry."""
    entry = json.loads((HERE / "debian-12-netboot.json").read_text())
    for file in entry["files"]:
        name = pathlib.PurePosixPath(file["urls"][0]).name
        file["urls"] = [f"http://127.0.0.1:{server.server_port}/{name}"]
        file["checksum"] = {"hash": "sha256", "value": hashlib.sha256((FILES / name).read_bytes()).hexdigest()}
    path.write_text(json.dumps(entry))


def demo(*words):
    """The lines of a run that went well, as stage -> seconds, and its picture."""
    result = subprocess.run([sys.executable, HERE / "demo.py", BUILD, *words], capture_output=True, text=True)
    print(result.stdout, result.stderr, file=sys.stderr, flush=True)
    if result.returncode:
        raise AssertionError(f"the demo ended {result.returncode}")
    lines = [line.removeprefix("demo: ") for line in result.stdout.splitlines() if line.startswith("demo: ")]
    seconds = {stage: float(line[len(stage):].split()[0]) for stage in STAGES for line in lines if line.startswith(f"{stage} ")}
    return seconds, pathlib.Path(lines[-1].rpartition(": ")[2])


class DemoTest(unittest.TestCase):
    def test_twice(self):
        handler = functools.partial(CountingHandler, directory=FILES)
        # Below the build folder, and with a name of its own: a demo of the user's may be open.
        with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server, tempfile.TemporaryDirectory(prefix="demo-test-", dir=BUILD) as name:
            threading.Thread(target=server.serve_forever, daemon=True).start()
            folder = pathlib.Path(name)
            write_entry(folder / "entry.json", server)
            words = ("--folder", folder / "demo", "--entry", folder / "entry.json")
            first, picture = demo(*words)
            self.assertEqual(tuple(first), STAGES)
            self.assertEqual(sorted(CountingHandler.asked), ["/initrd.gz", "/linux"])
            colours = subprocess.run(["convert", picture, "-format", "%k %w %h", "info:"], capture_output=True, text=True, check=True).stdout
            count, width, height = map(int, colours.split())
            self.assertGreater(count, 16, "the picture is of one piece")
            self.assertTrue(width >= 800 and height >= 600, colours)
            picture.unlink()

            CountingHandler.asked.clear()
            second, picture = demo(*words)
            self.assertEqual(tuple(second), STAGES)
            self.assertEqual(CountingHandler.asked, [], "downloaded again")
            self.assertTrue(picture.exists())
            server.shutdown()


if not FILES.exists() or not shutil.which("convert"):
    print("debian-installer-12-netboot-amd64 or imagemagick is not installed", file=sys.stderr)
    sys.exit(77)
unittest.main(argv=sys.argv[:1])
