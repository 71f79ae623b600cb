"""Runs real machines emulated: alcove-vmm as a user starts it, QEMU's TCG behind it, QMP and SPICE as on KVM.

Usage: test-emulation.py ALCOVE_VMM; ends 77 without QEMU, busybox or the kernel of debian-installer-12-netboot-amd64.

Each machine has a time limit; nothing it starts is left behind.
"""

import array
import json
import os
import pathlib
import select
import shutil
import socket
import struct
import subprocess
import sys
import tempfile
import time
import unittest
import zlib

VMM = sys.argv[1] if len(sys.argv) > 1 else "alcove-vmm"
QEMU = "qemu-system-x86_64"
KERNEL = pathlib.Path("/usr/lib/debian-installer/images/12/amd64/text/debian-installer/amd64/linux")
OVMF = pathlib.Path("/usr/share/OVMF/OVMF_CODE_4M.fd")
LIMIT = 240  # seconds for a guest to reach userspace on a slow and busy machine
REPLY_LIMIT = 60  # seconds for an answer, a socket that appears, a process that ends
# What the guest says of its machine once it is up; then it ends when it is told to.
INIT = """#!/bin/sh
mount -t proc proc /proc
mount -t sysfs sys /sys
echo "cpus=$(grep -c ^processor /proc/cpuinfo)"
echo "memory=$(sed -n 's/^MemTotal: *\\([0-9]*\\) kB/\\1/p' /proc/meminfo)"
echo "pci=$(cat /sys/bus/pci/devices/*/device | tr '\\n' ' ')"
echo "cmdline=$(cat /proc/cmdline)"
echo GUEST-READY
read word
echo "word=$word"
poweroff -f
"""


def make_initrd(folder):
    root = folder / "root"
    for name in ("bin", "proc", "sys", "dev"):
        (root / name).mkdir(parents=True)
    shutil.copy(shutil.which("busybox"), root / "bin/busybox")
    for name in ("sh", "mount", "echo", "grep", "sed", "cat", "tr", "poweroff"):
        (root / "bin" / name).symlink_to("busybox")
    (root / "init").write_text(INIT)
    (root / "init").chmod(0o755)
    names = "\n".join(str(path.relative_to(root)) for path in sorted(root.rglob("*")))
    initrd = folder / "initrd"
    with open(initrd, "wb") as out:
        subprocess.run(["cpio", "-o", "-H", "newc", "--quiet"], cwd=root, input=names.encode(), stdout=out, check=True)
    return initrd


class Qmp:
    """One connection; events are kept until asked for."""

    def __init__(self, path, seconds=REPLY_LIMIT):
        end = time.monotonic() + seconds
        while True:
            self.socket = socket.socket(socket.AF_UNIX)
            try:
                self.socket.connect(str(path))
                break
            except OSError:
                self.socket.close()
                if time.monotonic() > end:
                    raise
                time.sleep(0.05)
        self.socket.settimeout(REPLY_LIMIT)
        self.lines = self.socket.makefile("r")
        self.events = []
        self.greeting = json.loads(self.lines.readline())
        self.run("qmp_capabilities")

    def run(self, command, fd=None, **arguments):
        message = json.dumps({"execute": command, "arguments": arguments}).encode()
        ancillary = [] if fd is None else [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [fd]))]
        self.socket.sendmsg([message], ancillary)
        while True:
            answer = json.loads(self.lines.readline())
            if "event" not in answer:
                break
            self.events.append(answer)
        if "error" in answer:
            raise AssertionError(f"{command}: {answer['error']}")
        return answer["return"]

    def close(self):
        self.lines.close()
        self.socket.close()

    def wait_event(self, name):
        while True:
            for event in self.events:
                if event["event"] == name:
                    self.events.remove(event)
                    return event
            line = self.lines.readline()
            if not line:
                raise AssertionError(f"no event {name} came")
            answer = json.loads(line)
            if "event" in answer:
                self.events.append(answer)


def count_lit_pixels(path):
    """In a PNG of 8-bit RGB, as QEMU and we write them: how many pixels are not black."""
    data = pathlib.Path(path).read_bytes()
    assert data[:8] == b"\x89PNG\r\n\x1a\n"
    width, height, depth, colour = struct.unpack(">IIBB", data[16:26])
    assert (depth, colour) == (8, 2), "not an RGB picture"
    at, packed = 8, b""
    while at < len(data):
        size, kind = struct.unpack(">I4s", data[at:at + 8])
        packed += data[at + 8:at + 8 + size] if kind == b"IDAT" else b""
        at += size + 12
    raw, stride = zlib.decompress(packed), width * 3 + 1
    # Filters only say how a line differs from its neighbours: an all-black picture is all zero under each of them.
    return sum(1 for y in range(height) for x in range(width) if any(raw[y * stride + 1 + x * 3:y * stride + 4 + x * 3]))


class EmulationTest(unittest.TestCase):
    def setUp(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="alcove-emulation-"))
        self.addCleanup(shutil.rmtree, self.folder)
        self.started = []
        self.addCleanup(self.end_all)

    def end_all(self):
        for process in self.started:
            process.kill()
            process.wait()
            for pipe in (process.stdin, process.stdout, process.stderr):
                pipe.close()

    def start(self, *words, env=None):
        process = subprocess.Popen([VMM, *[str(word) for word in words]], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                   stderr=subprocess.PIPE, env=env)
        self.started.append(process)
        os.set_blocking(process.stdout.fileno(), False)
        return process

    def connect(self, path):
        qmp = Qmp(path)
        self.addCleanup(qmp.close)
        return qmp

    def refused(self, *words, env=None):
        """The exit status and the one line of a machine that does not start."""
        process = self.start(*words, env=env)
        status = process.wait(REPLY_LIMIT)
        text = process.stderr.read().decode()
        self.assertEqual(text.count("\n"), 1, text)
        return status, text.strip()

    def read_until(self, process, word, seconds):
        heard, end = b"", time.monotonic() + seconds
        while word not in heard:
            left = end - time.monotonic()
            self.assertTrue(select.select([process.stdout], [], [], max(left, 0))[0], f"no {word} within {seconds} s: {heard}")
            piece = process.stdout.read()
            self.assertTrue(piece, f"the machine closed its console without {word}: {heard}")
            heard += piece
        return heard.decode(errors="replace")

    def test_linux_to_userspace_and_back(self):
        disk, control = self.folder / "disk,1.raw", self.folder / "control,1"
        disk.write_bytes(bytes(1 << 20))
        start = time.monotonic()
        vmm = self.start("--name", "A, machine", "--cpus", 2, "--memory", "256M", "--accel", "tcg", "--kernel", KERNEL,
                         "--initrd", make_initrd(self.folder), "--cmdline", "console=tty0 console=ttyS0 mitigations=off",
                         "--disk", f"file={disk},format=raw".replace(",1", ",,1"), "--serial", "stdio",
                         "--control", f"unix:{control}")
        qmp = self.connect(control)
        self.assertEqual(os.stat(control).st_mode & 0o77, 0)
        self.assertEqual(qmp.run("query-kvm")["enabled"], False)
        self.assertEqual(qmp.run("query-name"), {"name": "A, machine"})
        self.check_add_client(qmp)
        said = self.read_until(vmm, b"GUEST-READY", LIMIT)
        print(f"# userspace after {time.monotonic() - start:.1f} s")
        values = dict(line.strip().split("=", 1) for line in said.splitlines() if line.startswith(("cpus=", "memory=", "pci=", "cmdline=")))
        self.assertEqual(values["cpus"], "2")
        self.assertGreater(int(values["memory"]), 150 << 10)
        self.assertIn("mitigations=off", values["cmdline"])
        # virtio-blk (transitional), -gpu, -input twice, -rng, -serial
        for device in ("0x1001", "0x1050", "0x1052", "0x1005", "0x1003"):
            self.assertIn(device, values["pci"])
        self.check_pause(qmp)
        self.check_picture(qmp)
        vmm.stdin.write(b"tea\n")
        vmm.stdin.flush()
        event = qmp.wait_event("SHUTDOWN")
        self.assertEqual(event["data"], {"guest": True, "reason": "guest-shutdown"})
        self.assertEqual(vmm.wait(REPLY_LIMIT), 0)
        self.assertIn(b"word=tea", vmm.stdout.read() or b"")
        # The server may remark on the client that left in the middle of its introduction.
        said = [line for line in vmm.stderr.read().splitlines() if b"warning: Spice:" not in line]
        self.assertEqual(said, [])

    def check_add_client(self, qmp):
        """A SPICE server is at the other end of the socketpair: it answers a link message (REDQ) with one."""
        ours, theirs = socket.socketpair()
        with ours, theirs:
            qmp.run("getfd", fd=theirs.fileno(), fdname="spice")
            qmp.run("add_client", protocol="spice", fdname="spice", skipauth=True)
            theirs.close()
            ours.settimeout(REPLY_LIMIT)
            # SpiceLinkHeader 2.2, SpiceLinkMess: a new connection, the main channel, no capabilities.
            ours.sendall(b"REDQ" + struct.pack("<III", 2, 2, 18) + struct.pack("<IBBIII", 0, 1, 0, 0, 0, 18))
            self.assertEqual(ours.recv(4), b"REDQ")

    def check_pause(self, qmp):
        self.assertEqual(qmp.run("query-status")["status"], "running")
        qmp.run("stop")
        qmp.wait_event("STOP")
        self.assertEqual(qmp.run("query-status")["status"], "paused")
        qmp.run("cont")
        qmp.wait_event("RESUME")

    def check_picture(self, qmp):
        """No driver of virtio-gpu is in that initrd: what is seen is the VGA console."""
        path = self.folder / "screen.png"
        qmp.run("screendump", filename=str(path), format="png")
        self.assertGreater(count_lit_pixels(path), 1000)

    @unittest.skipUnless(OVMF.exists(), "the package ovmf is not installed")
    def test_uefi_shows_itself_and_keeps_its_variables(self):
        nvram, control, path = self.folder / "nvram", self.folder / "control", self.folder / "screen.png"
        vmm = self.start("--firmware", "uefi", "--nvram", nvram, "--memory", "256M", "--accel", "tcg", "--control", f"unix:{control}")
        qmp = self.connect(control)
        template = OVMF.with_name("OVMF_VARS_4M.fd").read_bytes()
        self.assertEqual(nvram.stat().st_size, len(template))
        end = time.monotonic() + LIMIT
        lit = 0
        while lit < 1000 and time.monotonic() < end:
            qmp.run("screendump", filename=str(path), format="png")
            lit = count_lit_pixels(path)
            time.sleep(1)
        self.assertGreaterEqual(lit, 1000)
        qmp.run("quit")
        self.assertEqual(vmm.wait(REPLY_LIMIT), 0)
        self.assertNotEqual(nvram.read_bytes(), template, "the firmware kept nothing")

    def test_spice_socket_is_this_users(self):
        path, control = self.folder / "spice,1", self.folder / "control"
        vmm = self.start("--kernel", KERNEL, "--accel", "tcg", "--display", f"spice=unix:{path}".replace(",1", ",,1"),
                         "--control", f"unix:{control}")
        qmp = self.connect(control)
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(str(path))
        self.assertEqual(os.stat(path).st_mode & 0o77, 0)
        qmp.run("quit")
        self.assertEqual(vmm.wait(REPLY_LIMIT), 0)

    def test_auto_says_why_it_is_emulated(self):
        """Wherever this runs: the choice and the reason agree with what --accel kvm says."""
        control = self.folder / "control"
        vmm = self.start("--kernel", KERNEL, "--accel", "auto", "--firmware=uefi")
        self.assertEqual(vmm.wait(REPLY_LIMIT), 2)  # the two exclude one another
        vmm = self.start("--firmware", "uefi", "--accel", "auto", "--control", f"unix:{control}")
        qmp = self.connect(control)
        self.assertEqual(qmp.run("query-kvm")["enabled"], False)
        qmp.run("quit")
        self.assertEqual(vmm.wait(REPLY_LIMIT), 0)
        line = vmm.stderr.read().decode()
        self.assertRegex(line, r"^alcove-vmm: the machine runs emulated, slowly: .+: .+\n$")

    def test_qemu_is_missing(self):
        status, line = self.refused("--kernel", KERNEL, "--accel", "tcg", env={"PATH": str(self.folder)})
        self.assertEqual(status, 1)
        self.assertIn("install the package qemu-system-x86", line)

    def test_files_in_the_way_stay(self):
        precious = self.folder / "precious"
        precious.write_text("x")
        for option in (("--control", f"unix:{precious}"), ("--display", f"spice=unix:{precious}")):
            status, line = self.refused("--kernel", KERNEL, "--accel", "tcg", *option)
            self.assertEqual(status, 1)
            self.assertIn("not a socket", line)
        self.assertEqual(precious.read_text(), "x")

    def test_bad_disks(self):
        odd, qcow2 = self.folder / "odd", self.folder / "backed.qcow2"
        odd.write_bytes(bytes(1000))
        qcow2.write_bytes(struct.pack(">4sIQIIQ", b"QFI\xfb", 3, 104, 4, 16, 1 << 20).ljust(512, b"\0"))
        cases = [
            (f"file={self.folder}/none,format=raw", "No such file"), (f"file={self.folder},format=raw", "not a regular file"),
            (f"file={odd},format=raw", "not a multiple of 512"), (f"file={odd},format=qcow2", "not a qcow2 image"),
            (f"file={qcow2},format=qcow2", "backing file, which is not allowed"),
        ]
        for value, expected in cases:
            status, line = self.refused("--kernel", KERNEL, "--accel", "tcg", "--disk", value)
            self.assertEqual(status, 1, line)
            self.assertIn(expected, line)


if not (shutil.which(QEMU) and shutil.which("busybox") and KERNEL.exists()):
    print("needs qemu-system-x86, busybox-static and debian-installer-12-netboot-amd64")
    sys.exit(77)
unittest.main(argv=sys.argv[:1], verbosity=2)
