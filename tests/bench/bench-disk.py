"""fio in one guest on a raw and on a qcow2 disk, under alcove-vmm and under QEMU with an I/O thread and io_uring, compared.

Usage: bench-disk.py --vmm FILE --kernel VMLINUX --initrd FILE --tools FILE [--runs N] [--json FILE]

Runs where /dev/kvm is real: on a host that has it, or in tests/nested/appliance. --tools is an ext4 image with fio in it
(tests/nested/material.py fio-disk). The disks lie in memory, so that the monitors are compared and not what is below them; both use the host's
page cache, both have one queue and one vCPU. They take turns (A B A B ...); ratios are of the medians of one run of this program.

Each job does a fixed amount of work past the guest's page cache, and so exits and CPU seconds are of the same work:
  seq-read, seq-write    64 MiB by 1 MiB, 4 in flight
  rand-read, rand-write  8 000 requests of 4 KiB, 16 in flight
Figures: KiB/s or requests/s of each job; exits: KVM exits of the machine from before the first job to behind the last; cpu: CPU seconds of the
process and of its storage daemon in that time. Ends 1 when a limit of the project is missed: no job slower than QEMU's, no more exits, no more CPU.
"""

import argparse
import json
import os
import pathlib
import selectors
import statistics
import subprocess
import sys
import tempfile
import time

from process_cost import cpu_seconds, read_exits

SIZE = "128M"
JOBS = {
    "seq-read": "--rw=read --bs=1M --size=64M --iodepth=4",
    "seq-write": "--rw=write --bs=1M --size=64M --iodepth=4",
    "rand-read": "--rw=randread --bs=4k --size=128M --io_size=32000k --iodepth=16",
    "rand-write": "--rw=randwrite --bs=4k --size=128M --io_size=32000k --iodepth=16",
}
# Fields of fio's terse output, version 3: KiB/s and requests/s read, and written.
FIELDS = "7,8,48,49"
NOISE = 1.10
COMMAND_LINE = ("console=ttyS0 panic=-1 quiet alcove.run=mount_-t_ext4_-o_ro_/dev/vdb_/newroot;mount_--bind_/dev_/newroot/dev;"
                "mount_-t_tmpfs_tmp_/newroot/tmp;mount_-t_proc_proc_/newroot/proc;chroot_/newroot_/bin/sh_/run;sleep_1000")


def script():
    """What the guest runs: asks for the start of each measurement by a line, and waits for one."""
    fio = "fio --filename=/dev/vda --direct=1 --ioengine=libaio --randseed=7 --minimal --terse-version=3"
    jobs = "".join(f"echo JOB {name} $({fio} --name={name} {words} | cut -d';' -f{FIELDS})\n" for name, words in JOBS.items())
    return f"export PATH=/usr/bin:/bin\ncd /tmp\necho WARM $({fio} --name=warm --rw=write --bs=1M --size=128M | cut -c1-20)\necho BENCH-BEGIN\nread go\n{jobs}echo BENCH-END\n"


def alcove(options, disk, kind):
    return [options.vmm, "--accel", "kvm", "--cpus", "1", "--memory", "512M", "--kernel", options.kernel, "--initrd", options.initrd, "--cmdline", COMMAND_LINE,
            "--disk", f"file={disk},format={kind}", "--disk", f"file={options.tools},format=raw,readonly=on", "--net", "none", "--serial", "stdio", "--display", "none"]


def qemu(options, disk, kind):
    def drive(name, path, kind, read_only):
        file = {"driver": "file", "filename": str(path), "aio": "io_uring", "node-name": f"{name}-file", "read-only": read_only}
        top = {"driver": kind, "file": f"{name}-file", "node-name": name, "read-only": read_only}
        return ["-blockdev", json.dumps(file), "-blockdev", json.dumps(top), "-device", f"virtio-blk-pci,drive={name},iothread=io,num-queues=1"]

    return ["qemu-system-x86_64", "-M", "q35", "-accel", "kvm", "-cpu", "host", "-smp", "1", "-m", "512M", "-nodefaults", "-no-user-config", "-display", "none",
            "-kernel", options.kernel, "-initrd", options.initrd, "-append", COMMAND_LINE, "-serial", "stdio", "-object", "iothread,id=io",
            *drive("disk", disk, kind, False), *drive("tools", options.tools, "raw", True)]


MACHINES = {"alcove-vmm": alcove, "qemu": qemu}


class Console:
    def __init__(self, process, seconds):
        self.process, self.end, self.said = process, time.monotonic() + seconds, ""
        self.selector = selectors.DefaultSelector()
        self.selector.register(process.stdout, selectors.EVENT_READ)

    def wait(self, marker):
        while marker not in self.said:
            if time.monotonic() > self.end:
                raise SystemExit(f"bench-disk: no {marker} in time: {self.said[-1500:]}")
            if self.selector.select(timeout=1):
                piece = os.read(self.process.stdout.fileno(), 65536)
                if not piece:
                    raise SystemExit(f"bench-disk: ended before {marker}: {self.said[-1500:]}")
                self.said += piece.decode(errors="replace")


def read_jobs(text):
    figures = {}
    for line in text.splitlines():
        words = line.split()
        if len(words) == 3 and words[0] == "JOB":
            read_rate, read_requests, write_rate, write_requests = map(float, words[2].split(";"))
            figures[words[1]] = (read_rate or write_rate) if words[1].startswith("seq") else (read_requests or write_requests)
    return figures


def measure(name, options, kind, folder):
    disk = pathlib.Path(folder) / f"disk.{kind}"
    disk.unlink(missing_ok=True)
    subprocess.run(["qemu-img", "create", "-q", "-f", kind, disk, SIZE], check=True)
    command = MACHINES[name](options, disk, kind)
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    try:
        console = Console(process, options.timeout)
        console.wait("BENCH-BEGIN")
        exits, cpu = read_exits(process.pid), cpu_seconds(process.pid)
        process.stdin.write(b"\n")
        process.stdin.flush()
        console.wait("BENCH-END")
        figures = read_jobs(console.said)
        if set(figures) != set(JOBS):
            raise SystemExit(f"bench-disk: {name}: fio failed: {console.said[-1500:]}")
        figures |= {"exits": read_exits(process.pid) - exits, "cpu": cpu_seconds(process.pid) - cpu}
    finally:
        process.kill()
        process.wait()
    print(f"{name:12}{kind:7}", "  ".join(f"{figure} {value:.2f}" for figure, value in figures.items()), flush=True)
    return figures


def compare(kind, runs):
    """The number of limits that were missed."""
    missed = 0
    for figure in runs["qemu"][0]:
        ours, theirs = (statistics.median(run[figure] for run in runs[name]) for name in ("alcove-vmm", "qemu"))
        cost = figure in ("exits", "cpu")
        ratio = ours / theirs
        good = ratio <= (NOISE if figure == "cpu" else 1) if cost else ratio >= 1 / NOISE
        missed += not good
        print(f"ratio {kind} {figure}: alcove-vmm / qemu = {ratio:.3f} ({'at most' if cost else 'at least'} 1) {'ok' if good else 'MISSED'}")
    return missed


def main():
    parser = argparse.ArgumentParser()
    for name in ("vmm", "kernel", "initrd", "tools"):
        parser.add_argument(f"--{name}", required=True)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--timeout", type=int, default=200)
    parser.add_argument("--json")
    options = parser.parse_args()
    missed, all_runs = 0, {}
    with tempfile.TemporaryDirectory() as folder:
        tools = pathlib.Path(folder) / "tools.raw"
        subprocess.run(["cp", "--sparse=always", options.tools, tools], check=True)
        options.tools = tools
        write_script(tools, folder)
        for kind in ("raw", "qcow2"):
            runs = all_runs[kind] = {name: [] for name in MACHINES}
            for _ in range(options.runs):
                for name in MACHINES:
                    runs[name].append(measure(name, options, kind, folder))
            missed += compare(kind, runs)
    if options.json:
        pathlib.Path(options.json).write_text(json.dumps(all_runs, indent=1))
    return 1 if missed else 0


def write_script(tools, folder):
    path = pathlib.Path(folder) / "run"
    path.write_text(script())
    subprocess.run(["debugfs", "-w", "-R", f"write {path} run", tools], check=True, capture_output=True)


sys.exit(main())
