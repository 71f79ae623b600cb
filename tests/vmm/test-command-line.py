"""Starts alcove-vmm as a user would who gets something wrong, and reads what it says.

Usage: test-command-line.py ALCOVE_VMM KERNELS, a folder of good and bad kernel files (the corpus of fuzz-kernel-image).

Each refusal is one line on stderr, nothing on stdout, status 2 for wrong usage and 1 for what the host has not. No QEMU is
found here, so that a machine that is not refused does not run.
"""

import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import unittest

VMM = os.path.abspath(sys.argv[1])
KERNELS = pathlib.Path(sys.argv[2]).absolute()
KERNEL = KERNELS / "bzimage"
LIMIT = 60  # seconds
# Values that an option does not take. Every option of --help that takes one is here.
WRONG = {
    "--name": ["", "two\nlines", "x" * 65],
    "--vsock": ["2", "0", "4294967295", "x", ""],
    "--hyperv": ["yes", "", "1"],
    "--cpus": ["0", "17", "-1", "1.5", "two", "", "99999999999999999999"],
    "--memory": ["63M", "257G", "1.5G", "64", "0", "-64M", "1T", "", "100000000000000000000M"],
    "--accel": ["xen", "", "KVM"],
    "--firmware": ["bios", "", "uefi,code=a", "code=a,variables=b", "uefi,uefi", "uefi,code=a,variables="],
    "--nvram": [""],
    "--boot": ["floppy", "", "disk,cdrom", "disk,menu=maybe", "menu=on,menu=on"],
    "--kernel": [""],
    "--initrd": [""],
    "--cmdline": ["x" * 2048],
    "--disk": ["disk.raw", "file=a", "format=raw", "file=a,format=floppy", "file=a,format=qcow2,backing=b", "file=,format=raw", "file=a,format=raw,readonly=maybe",
               "file=a,format=raw,file=b", "file=a,format=raw,cache=none"],
    "--cdrom": [""],
    "--net": ["bridge", "", "none,forward=tcp:1:1", "none,restrict=on", "user,restrict=maybe", "user,forward=tcp:0:22", "user,forward=tcp:65536:22", "user,forward=sctp:1:1",
              "user,forward=tcp:::1:1-:1", "user,forward=tcp:[::1]:1:1"],
    "--serial": ["tcp", "file=", "stdio,file=a"],
    "--console": ["tcp", "file=", ""],
    "--port": ["name=a", "socket=unix:/tmp/x", "name=a/b,socket=unix:/tmp/x", "name=a,socket=tcp:1", ""],
    "--display": ["gtk", "spice", "spice=tcp:1", "spice=unix:", "spice=unix:/" + "x" * 107],
    "--control": ["/tmp/x", "tcp:1", "unix:", "unix:/" + "x" * 107],
    "--config": [""],
}


class CommandLineTest(unittest.TestCase):
    def setUp(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="alcove-command-line-"))
        self.addCleanup(shutil.rmtree, self.folder)

    def run_vmm(self, *words):
        return subprocess.run([VMM, *[str(word) for word in words]], stdin=subprocess.DEVNULL, capture_output=True, text=True,
                              timeout=LIMIT, env={**os.environ, "PATH": str(self.folder), "LC_ALL": "C.UTF-8"}, cwd=self.folder)

    def refused(self, status, line, *words):
        result = self.run_vmm(*words)
        self.assertEqual((result.stderr, result.stdout, result.returncode), (f"alcove-vmm: {line}\n", "", status), words)

    def refused_emulated(self, line, *words):
        self.refused(1, line, "--accel", "tcg", *words)

    def file(self, name, content=b"", size=None):
        path = self.folder / name
        path.write_bytes(content)
        if size is not None:
            os.truncate(path, size)
        return path

    def test_help_and_version(self):
        result = self.run_vmm("--help")
        self.assertEqual((result.stderr, result.returncode), ("", 0))
        self.assertTrue(result.stdout.startswith("Usage: alcove-vmm "))
        listed = re.findall(r"^  (--[a-z-]+)( ?)", result.stdout, re.M)
        self.assertEqual({option for option, argument in listed if argument}, set(WRONG))
        result = self.run_vmm("--version")
        self.assertEqual((result.stderr, result.returncode), ("", 0))
        self.assertRegex(result.stdout, r"^alcove-vmm \d+\.\d+\.\d+\n$")

    def test_wrong_values(self):
        for option, values in WRONG.items():
            for value in values:
                for words in ((option, value), (f"{option}={value}",)):
                    result = self.run_vmm(*words)
                    self.assertEqual((result.stdout, result.returncode), ("", 2), words)
                    shown = re.escape(value.replace("\n", "\\u000a")[:20])
                    self.assertRegex(result.stderr, rf"^alcove-vmm: {option}: \"{shown}[^\n]*\" is not allowed: [^\n]+\n$")
                    self.assertLess(len(result.stderr), 500)

    def test_wrong_words(self):
        self.refused(2, "nothing to start: give --kernel FILE or --firmware uefi")
        self.refused(2, "--bogus: there is no such option; --help lists them", "--bogus")
        self.refused(2, '"disk.raw" is not an option; --help lists them', "disk.raw")
        self.refused(2, "--cpus: needs a value: a number from 1 to 16, and how many sockets, cores a socket and threads a core they are", "--kernel", KERNEL, "--cpus")
        self.refused(2, "--nvram: allowed only with --firmware uefi", "--kernel", KERNEL, "--nvram", "x")
        self.refused(2, "--console: stdio is the serial port's already: give one of them a file",
                     "--kernel", KERNEL, "--serial", "stdio", "--console", "stdio")

    def test_configuration_files(self):
        self.refused(1, "--config: none: No such file or directory", "--config", "none")
        self.refused(1, "--config: .: Is a directory", "--config", ".")
        self.file("bad.json", b'{"cpus": 17}')
        self.refused(2, 'bad.json: --cpus: "17" is not allowed: a number from 1 to 16, and how many sockets, cores a socket and threads a core they are', "--config", "bad.json")

    def test_kernels(self):
        say = "not a usable Linux kernel: "
        self.refused_emulated("--kernel: none: No such file or directory", "--kernel", "none")
        self.refused_emulated("--kernel: .: not a regular file", "--kernel", ".")
        self.file("text", b"#!/bin/sh\necho I am no kernel\n" * 100)
        self.refused_emulated(f"--kernel: text: {say}it is neither a bzImage nor an ELF file", "--kernel", "text")
        self.file("empty")
        self.refused_emulated(f"--kernel: empty: {say}it is empty", "--kernel", "empty")
        for name, line in (
            ("arm64-image", "it is for 64-bit ARM processors: a 64-bit x86 (amd64) kernel is needed"),
            ("vmlinux-arm", "it is an ELF file, but not for 64-bit x86 processors"),
            ("bzimage-truncated", "it is truncated: 1300 bytes long where its header says 1792"),
            ("bzimage-32", "it is for 32-bit processors: a 64-bit (amd64) kernel is needed"),
            ("vmlinux-no-note", "it is an ELF file without a PVH entry: a kernel built with CONFIG_PVH, or its bzImage, is needed"),
        ):
            self.refused_emulated(f"--kernel: {KERNELS / name}: {say}{line}", "--kernel", KERNELS / name)
            self.refused(1, f"--kernel: {KERNELS / name}: {say}{line}", "--accel", "auto", "--kernel", KERNELS / name)

    def test_a_good_kernel_is_not_refused(self):
        """What the other tests rely on: the next thing that is missing is QEMU."""
        for name in ("bzimage", "vmlinux"):
            result = self.run_vmm("--accel", "tcg", "--kernel", KERNELS / name)
            self.assertEqual(result.returncode, 1)
            self.assertIn("install the package qemu-system-x86", result.stderr)

    def test_initrds(self):
        kernel = ("--kernel", KERNEL, "--memory", "64M")
        self.refused_emulated("--initrd: none: No such file or directory", *kernel, "--initrd", "none")
        self.refused_emulated("--initrd: .: not a regular file", *kernel, "--initrd", ".")
        self.file("empty")
        self.refused_emulated("--initrd: empty: it is not a regular file with something in it", *kernel, "--initrd", "empty")
        self.file("large", size=64 << 20)
        self.refused_emulated("--initrd: large: its 64 MiB do not fit beside the kernel; the machine needs about 66 MiB of memory",
                              *kernel, "--initrd", "large")
        self.file("larger", size=1 << 40)
        self.refused_emulated("--initrd: larger: its 1048576 MiB do not fit beside the kernel; the machine needs about 1048578 MiB of "
                              "memory", *kernel, "--initrd", "larger")

    def test_disks(self):
        for name, what in (("none", "No such file or directory"), (".", "not a regular file or block device"), ("/dev/null", "not a regular file or block device")):
            self.refused_emulated(f"--disk: {name}: {what}", "--kernel", KERNEL, "--disk", f"file={name},format=raw")
        self.file("odd", size=1000)
        self.refused_emulated("--disk: odd: its size, 1000 bytes, is not a multiple of 512; is it a raw image?",
                              "--kernel", KERNEL, "--disk", "file=odd,format=raw")
        self.file("empty")
        self.refused_emulated("--disk: empty: its size, 0 bytes, is not at least 512; is it a raw image?",
                              "--kernel", KERNEL, "--disk", "file=empty,format=raw")

    def test_block_device(self):
        path = self.file("device", size=1 << 20)
        made = subprocess.run(["losetup", "--find", "--show", path], capture_output=True, text=True) if os.geteuid() == 0 and shutil.which("losetup") else None
        if made is None or made.returncode != 0:
            self.skipTest("no loop devices for this user")
        device = made.stdout.strip()
        try:
            disk = ("--kernel", KERNEL, "--disk", f"file={device},format=raw")
            self.assertIn("install the package qemu-system-x86", self.run_vmm("--accel", "tcg", *disk).stderr)
            mounted = os.open(device, os.O_RDONLY | os.O_EXCL)
            self.refused_emulated(f"--disk: {device}: is in use by this computer: unmount what is on it, or say readonly=on", *disk)
            os.close(mounted)
        finally:
            subprocess.run(["losetup", "--detach", device], check=True)

    def test_cd_that_is_cut_off(self):
        volume = bytearray(64 * 2048)
        volume[16 * 2048:16 * 2048 + 6] = b"\1CD001"
        volume[16 * 2048 + 80:16 * 2048 + 84] = (1000).to_bytes(4, "little")
        self.file("cut.iso", volume)
        line = "--cdrom: cut.iso: is cut off: its volume has 2048000 bytes, the file 131072: fetch it again"
        self.refused_emulated(line, "--kernel", KERNEL, "--cdrom", "cut.iso")
        self.refused(1, line, "--accel", "auto", "--kernel", KERNEL, "--cdrom", "cut.iso")
        os.truncate(self.folder / "cut.iso", 2048000)
        result = self.run_vmm("--accel", "tcg", "--kernel", KERNEL, "--cdrom", "cut.iso")
        self.assertIn("install the package qemu-system-x86", result.stderr)

    def test_disk_that_cannot_be_written(self):
        path = self.file("locked", size=4096)
        path.chmod(0o444)
        if os.geteuid() == 0:  # who may write that: a file that not even root may
            path = pathlib.Path("/sys/kernel/uevent_seqnum")
            if not path.exists():
                self.skipTest("no file that root cannot write")
        self.refused_emulated(f"--disk: {path}: cannot be written: Permission denied; add readonly=on to use it read-only",
                              "--kernel", KERNEL, "--disk", f"file={path},format=raw")
        result = self.run_vmm("--accel", "tcg", "--kernel", KERNEL, "--disk", f"file={path},format=raw,readonly=on")
        self.assertIn("install the package qemu-system-x86", result.stderr)

    def test_network_that_is_not_emulated(self):
        self.file("qemu-system-x86_64").chmod(0o755)
        self.refused_emulated("--net passt is not for emulated machines: say --net user", "--kernel", KERNEL, "--net", "passt")
        self.refused_emulated("--net forward= of IPv6 is not for emulated machines: say an IPv4 address",
                              "--kernel", KERNEL, "--net", "user,forward=tcp:2222:22,forward=tcp:[::1]:2222-:22")

    def test_memory(self):
        have = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") >> 20
        if have >= 256 << 10:
            self.skipTest("this computer has all the memory that a machine can ask for")
        self.refused_emulated(f"--memory: 262144 MiB are more than the {have} MiB of this computer; overcommit=on allows it",
                              "--kernel", KERNEL, "--memory", "256G")

    def test_places(self):
        for option, before in (("--serial", "file="), ("--console", "file="), ("--control", "unix:"), ("--port", "name=a,socket=unix:"), ("--display", "spice=unix:")):
            self.refused_emulated(f"{option}: none/x: nothing can be made in the folder none: No such file or directory",
                                  "--kernel", KERNEL, option, f"{before}none/x")
        self.refused_emulated("--serial: .: cannot be written: Is a directory", "--kernel", KERNEL, "--serial", "file=.")

    def test_kvm_that_cannot_be_used(self):
        """One sentence why, and what to do; the same that --accel auto tells."""
        flags = re.search(r"^flags\s*:(.*)$", pathlib.Path("/proc/cpuinfo").read_text(), re.M)
        flags = set(flags.group(1).split()) if flags else set()
        if not os.path.exists("/dev/kvm"):
            module = "kvm_intel" if "vmx" in flags else "kvm_amd"
            reason = "there is no /dev/kvm" + (
                f" though the processor has virtualisation: load the module {module} (sudo modprobe {module}); if it does not load, switch "
                "virtualisation on in the computer's firmware setup" if {"vmx", "svm"} & flags else
                ": this system is itself a virtual machine, without virtualisation: switch nested virtualisation on around it" if "hypervisor" in flags else
                " and the processor shows no virtualisation (vmx or svm): switch it on in the computer's firmware setup (Intel VT-x, AMD-V or SVM)")
        elif not {"vmx", "svm"} & flags:
            reason = ("the processor shows no virtualisation (vmx or svm), so /dev/kvm is itself an emulation: run on hardware, or switch "
                      "nested virtualisation on around this system")
        elif not os.access("/dev/kvm", os.R_OK | os.W_OK):
            reason = "/dev/kvm is not open to this user: add the user to the group kvm and log in again"
        else:
            self.skipTest("KVM can be used here")
        self.refused(1, f"--accel: KVM cannot be used: {reason}; or say --accel auto to run emulated", "--accel", "kvm", "--kernel", KERNEL)
        result = self.run_vmm("--accel", "auto", "--kernel", KERNEL)
        self.assertEqual(result.returncode, 1)
        self.assertTrue(result.stderr.startswith(f"alcove-vmm: {reason}; and qemu-system-x86_64 is not installed"), result.stderr)


unittest.main(argv=sys.argv[:1], verbosity=2)
