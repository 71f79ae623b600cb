"""A guest under test: alcove-vmm with its serial console, its control socket and a tally of checks. Runs where /dev/kvm is real."""

import base64
import json
import os
import pathlib
import re
import selectors
import shutil
import socket
import subprocess
import sys
import tempfile
import time

# Of one step; nested guests on a busy machine are slow, and a step that hangs must end before the appliance does.
PATIENCE = 90
READY = "ALCOVE-GUEST-READY"
CONSOLE_KEPT = 3000


class GuestError(Exception):
    """A guest did not do what a later check needs."""


class Checks:
    """Counts, prints as it goes, and is the exit status in the end."""

    def __init__(self):
        self.passed = self.failed = 0
        self.start = time.monotonic()

    def check(self, what, is_so, detail=""):
        seconds = time.monotonic() - self.start
        if is_so:
            self.passed += 1
        else:
            self.failed += 1
        print(f"{'ok' if is_so else 'FAILED'} [{seconds:6.1f} s] {what}" + ("" if is_so else f": {detail}"), flush=True)

    def equal(self, what, seen, expected):
        self.check(what, seen == expected, f"{seen!r}, not {expected!r}")

    def part(self, function, *arguments):
        """Runs one part; what it raises fails that part and not the others."""
        try:
            function(self, *arguments)
        except (GuestError, OSError, ValueError, KeyError, IndexError) as error:
            self.check(function.__name__, False, f"{type(error).__name__}: {error}")

    def end(self):
        print(f"{self.passed} passed, {self.failed} failed", flush=True)
        return 1 if self.failed or not self.passed else 0


class Qmp:
    """Of our own, so that what is on the wire is what is tested; events gather in .events."""

    def __init__(self, path):
        self.socket = socket.socket(socket.AF_UNIX)
        end = time.monotonic() + PATIENCE
        while True:
            try:
                self.socket.connect(path)
                break
            except (FileNotFoundError, ConnectionRefusedError):
                if time.monotonic() > end:
                    raise GuestError(f"no control socket at {path}")
                time.sleep(0.05)
        self.buffer = b""
        self.events = []
        self.greeting = self.read(PATIENCE)
        self.run("qmp_capabilities")

    def read(self, seconds):
        self.socket.settimeout(seconds)
        while b"\n" not in self.buffer:
            try:
                piece = self.socket.recv(65536)
            except TimeoutError:
                raise GuestError("QMP: no answer")
            if not piece:
                raise GuestError("QMP: the connection was closed")
            self.buffer += piece
        line, self.buffer = self.buffer.split(b"\n", 1)
        return json.loads(line)

    def run(self, command, fd=None, **arguments):
        request = json.dumps({"execute": command, "arguments": arguments}).encode() + b"\n"
        if fd is None:
            self.socket.sendall(request)
        else:
            socket.send_fds(self.socket, [request], [fd])
        while True:
            answer = self.read(PATIENCE)
            if "event" in answer:
                self.events.append(answer)
            elif "error" in answer:
                raise GuestError(f"QMP {command}: {answer['error']}")
            else:
                return answer["return"]

    def wait_event(self, name, seconds=PATIENCE):
        """The event, be it seen before or still to come; it is taken out of .events."""
        end = time.monotonic() + seconds
        while True:
            for event in self.events:
                if event["event"] == name:
                    self.events.remove(event)
                    return event
            if time.monotonic() > end:
                raise GuestError(f"QMP: no event {name}; seen {self.events}")
            self.events.append(self.read(max(end - time.monotonic(), 0.01)))


class Guest:
    """with Guest (options, ...) as guest: started, and at the end killed if it still is there. form: vmlinux, kernel or uefi.
    command: another monitor's, whole, with the serial port on stdio."""

    def __init__(self, options, *arguments, flavour="generic", form="vmlinux", cmdline="", memory="512M", cpus=1,
                 console="console=ttyS0 quiet", initrd=None, command=None):
        self.console = ""
        self.mark = 0
        self.qmp = None
        self.shell_ready = False
        self.folder = tempfile.mkdtemp(prefix="guest-")
        self.control = f"{self.folder}/control"
        start = [] if command else ["--firmware", "uefi"] if form == "uefi" else [
            "--kernel", options.material[f"{form}-{flavour}"], "--initrd", options.material[f"initrd-{initrd or flavour}"],
            "--cmdline", f"{console} {cmdline}".strip()]
        command = command or [options.vmm, "--accel", "kvm", *start,
                   "--memory", memory, *(["--cpus", str(cpus)] if cpus else []), "--serial", "stdio", "--control", f"unix:{self.control}", *arguments]
        self.errors = open(f"{self.folder}/stderr", "w+")
        self.start = time.monotonic()
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.errors)
        os.set_blocking(self.process.stdout.fileno(), False)
        self.selector = selectors.DefaultSelector()
        self.selector.register(self.process.stdout, selectors.EVENT_READ)

    def __enter__(self):
        return self

    def __exit__(self, kind, error, trace):
        if kind:
            print(f"the console's end:\n{self.console[-CONSOLE_KEPT:]}\nits messages: {self.messages()}", flush=True)
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        self.process.stdin.close()
        self.process.stdout.close()
        self.errors.close()
        if self.qmp:
            self.qmp.socket.close()
        shutil.rmtree(self.folder, ignore_errors=True)

    def messages(self):
        """What alcove-vmm itself has said on stderr."""
        return pathlib.Path(self.errors.name).read_text()

    def wait_message(self, text, seconds=PATIENCE):
        """Waits until alcove-vmm itself has said this on stderr; takes in the console meanwhile."""
        end = time.monotonic() + seconds
        while text not in self.messages():
            if time.monotonic() > end:
                raise GuestError(f"alcove-vmm did not say {text!r}: {self.messages()}")
            self.pump(0.05)

    def connect(self):
        self.qmp = Qmp(self.control)
        return self.qmp

    def storage_daemon(self, image):
        """The process id of the VMM's storage daemon for an image."""
        children = pathlib.Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        found = [int(pid) for pid in children if f'"{image}"' in pathlib.Path(f"/proc/{pid}/cmdline").read_text()]
        if len(found) != 1:
            raise GuestError(f"not one storage daemon but {found}")
        return found[0]

    def pump(self, seconds):
        """Takes in what the console has said; false when it is at its end."""
        if not self.selector.select(timeout=seconds):
            return True
        piece = os.read(self.process.stdout.fileno(), 65536)
        self.console += piece.decode(errors="replace").replace("\r", "")
        return bool(piece)

    def expect(self, pattern, seconds=PATIENCE):
        """Waits until the console, behind what was expected before, matches."""
        end = time.monotonic() + seconds
        while True:
            found = re.search(pattern, self.console[self.mark:])
            if found:
                self.mark += found.end()
                return found
            if time.monotonic() > end:
                raise GuestError(f"the console did not say {pattern!r} in {seconds} s")
            if not self.pump(1):
                raise GuestError(f"the console ended without {pattern!r}; {self.messages().strip()}")

    def wait_ready(self):
        """Seconds from the start of the process to userspace."""
        self.expect(READY)
        self.shell_ready = False
        return self.seconds()

    def seconds(self):
        """Since the process was started."""
        return time.monotonic() - self.start

    def send(self, text):
        self.process.stdin.write(text.encode())
        self.process.stdin.flush()

    def prepare_shell(self):
        # A plain loop in place of the interactive shell: no echo, no prompt, nothing that a test would have to undo.
        self.expect("# ")
        self.send("stty -echo; while read -r l; do eval \"$l\"; echo \"@$?@\"; done\n")
        self.send("true\n")
        self.expect(r"@0@\n")
        self.shell_ready = True

    def shell(self, command, seconds=PATIENCE, status=0):
        """A command's output on the guest's shell; another exit status than `status` is an error, None takes any."""
        if not self.shell_ready:
            self.prepare_shell()
        self.send(command + "\n")
        start = self.mark
        found = self.expect(r"@(\d+)@\n", seconds)
        output = self.console[start:self.mark - len(found.group(0))]
        if status is not None and int(found.group(1)) != status:
            raise GuestError(f"in the guest: {command}: status {found.group(1)}: {output}")
        return output.strip("\n")

    def read_events(self, name, number, act):
        """The first `number` events of an evdev device after act () in the guest, as (type, code, value)."""
        self.send(f"guest-events '{name}' {number}\n")
        self.expect("reading\n")
        start = self.mark
        act()
        found = self.expect(r"@(\d+)@\n", 30)
        text = self.console[start:self.mark - len(found.group(0))]
        return [tuple(int(word) for word in line.split()) for line in text.splitlines()]

    def file(self, path):
        """The bytes of a small file in the guest."""
        return base64.b64decode(self.shell(f"base64 {path}"))

    def wait_end(self, seconds=PATIENCE):
        """The exit status of alcove-vmm."""
        end = time.monotonic() + seconds
        while self.pump(0.2) and time.monotonic() < end:
            pass
        try:
            return self.process.wait(timeout=max(end - time.monotonic(), 1))
        except subprocess.TimeoutExpired:
            raise GuestError(f"alcove-vmm did not end in {seconds} s")


class Eye:
    """A SPICE client, spice-eye.c, told what to do line by line."""

    def __init__(self, options, *arguments):
        self.process = subprocess.Popen([options.material["eye"], *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.expect("ready")

    def __enter__(self):
        return self

    def __exit__(self, kind, error, trace):
        self.process.kill()
        self.process.wait()
        self.process.stdin.close()
        self.process.stdout.close()

    def expect(self, word):
        with selectors.DefaultSelector() as selector:
            selector.register(self.process.stdout, selectors.EVENT_READ)
            if not selector.select(timeout=PATIENCE):
                raise GuestError("spice-eye: no answer")
        line = self.process.stdout.readline().split()
        if not line or line[0] != word:
            raise GuestError(f"spice-eye: {line}, not {word}")
        return line[1:]

    def ask(self, line, word="ok"):
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()
        return self.expect(word)

    def wait_pixel(self, x, y, rgb, seconds=20):
        """The pixel in the end, which is rgb unless time is up."""
        end = time.monotonic() + seconds
        while (seen := self.ask(f"pixel {x} {y}", "pixel")[0]) != rgb and time.monotonic() < end:
            time.sleep(0.1)
        return seen


class Options:
    """The arguments of a test: alcove-vmm, a folder that is ours, and paths of material as NAME=PATH."""

    def __init__(self):
        self.vmm = sys.argv[1]
        self.folder = pathlib.Path(sys.argv[2])
        self.material = dict(word.split("=", 1) for word in sys.argv[3:])
