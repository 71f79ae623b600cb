"""fio in one guest on a raw and on a qcow2 disk, under alcove-vmm and under QEMU with an I/O thread and io_uring, compared.

Usage: bench-disk.py --vmm FILE --kernel VMLINUX --initrd FILE --tools FILE [--ramdisk MODULE,...] [--only CASE] [--runs N] [--json FILE]

Runs where /dev/kvm is real: on a host that has it, or in tests/nested/appliance. --tools is an ext4 image with fio in it
(tests/nested/material.py fio-disk). The disks lie in memory, so that the monitors are compared and not what is below them. They take turns
(A B A B ...); ratios are of the medians of one run of this program.

Cases, each with a raw and with a qcow2 image:
  cached   on tmpfs, which has no direct I/O: both use the host's page cache; one vCPU, one queue, one job
  direct   on an ext4 with direct I/O, which both use: in the appliance a RAM disk, of its kernel's modules --ramdisk, else in
           /var/tmp if that can; two vCPUs, two queues, two jobs at once, each on its own half of the disk

Each job does a fixed amount of work past the guest's page cache, and so exits and CPU seconds are of the same work:
  seq-read, seq-write    1 GiB by 1 MiB, on 64 MiB, 4 in flight (direct: by each of the two)
  rand-read, rand-write  8 000 requests of 4 KiB, 16 in flight (direct: 4 000 by each of the two)
Figures: KiB/s or requests/s of each job; exits: KVM exits of the machine from before the first job to behind the last; cpu: CPU seconds of the
process and of its storage daemon in that time; beyond_mib: resident memory beyond the guest's of both at the end (process_cost.py).
Ends as limits.py says: no job slower than QEMU's, no more exits, no more CPU, at most a third of the memory.
"""

import argparse
import contextlib
import dataclasses
import json
import os
import pathlib
import selectors
import statistics
import subprocess
import sys
import tempfile
import time

from limits import Limits
from process_cost import cpu_seconds, read_beyond, read_exits

MEMORY = 512
SIZE = "128M"
RAMDISK_MIB = 512
JOBS = {"seq-read": "--rw=read", "seq-write": "--rw=write", "rand-read": "--rw=randread", "rand-write": "--rw=randwrite"}
SHAPES = {"seq": "--bs=1M --size=64M --io_size=1G --iodepth=4", "rand": "--bs=4k --size=128M --io_size=32000k --iodepth=16"}
SHAPES_OF_TWO = {"seq": "--bs=1M --size=64M --io_size=1G --offset_increment=64M --iodepth=4 --numjobs=2 --group_reporting",
                 "rand": "--bs=4k --size=64M --offset_increment=64M --io_size=16000k --iodepth=16 --numjobs=2 --group_reporting"}
# Fields of fio's terse output, version 3: KiB/s and requests/s read, and written.
FIELDS = "7,8,48,49"
COMMAND_LINE = ("console=ttyS0 panic=-1 quiet alcove.run=mount_-t_ext4_-o_ro_/dev/vdb_/newroot;mount_--bind_/dev_/newroot/dev;"
                "mount_-t_tmpfs_tmp_/newroot/tmp;mount_-t_proc_proc_/newroot/proc;chroot_/newroot_/bin/sh_/run;sleep_1000")


@dataclasses.dataclass
class Case:
    name: str
    folder: pathlib.Path
    is_direct: bool

    @property
    def cpus(self):
        return 2 if self.is_direct else 1


def script(case):
    """What the guest runs: asks for the start of each measurement by a line, and waits for one."""
    fio = "fio --filename=/dev/vda --direct=1 --ioengine=libaio --randseed=7 --minimal --terse-version=3"
    shapes = SHAPES_OF_TWO if case.is_direct else SHAPES
    jobs = "".join(f"echo JOB {name} $({fio} --name={name} {words} {shapes[name.split('-')[0]]} | cut -d';' -f{FIELDS})\n"
                   for name, words in JOBS.items())
    warm = f"echo WARM $({fio} --name=warm --rw=write --bs=1M --size={SIZE} | cut -c1-20)\n"
    return f"export PATH=/usr/bin:/bin\ncd /tmp\n{warm}echo BENCH-BEGIN\nread go\n{jobs}echo BENCH-END\n"


def alcove(options, case, disk, kind):
    return [options.vmm, "--accel", "kvm", "--cpus", str(case.cpus), "--memory", f"{MEMORY}M", "--kernel", options.kernel, "--initrd", options.initrd,
            "--cmdline", COMMAND_LINE, "--disk", f"file={disk},format={kind}", "--disk", f"file={options.tools},format=raw,readonly=on", "--net", "none",
            "--serial", "stdio", "--display", "none"]


def qemu(options, case, disk, kind):
    def drive(name, path, kind, read_only, is_direct):
        file = {"driver": "file", "filename": str(path), "aio": "io_uring", "node-name": f"{name}-file", "read-only": read_only, "cache": {"direct": is_direct}}
        top = {"driver": kind, "file": f"{name}-file", "node-name": name, "read-only": read_only, "cache": {"direct": is_direct}}
        return ["-blockdev", json.dumps(file), "-blockdev", json.dumps(top),
                "-device", f"virtio-blk-pci,drive={name},iothread=io,num-queues={case.cpus}"]

    return ["qemu-system-x86_64", "-M", "q35", "-accel", "kvm", "-cpu", "host", "-smp", str(case.cpus), "-m", f"{MEMORY}M", "-nodefaults", "-no-user-config",
            "-display", "none", "-kernel", options.kernel, "-initrd", options.initrd, "-append", COMMAND_LINE, "-serial", "stdio", "-object", "iothread,id=io",
            *drive("disk", disk, kind, False, case.is_direct), *drive("tools", options.tools, "raw", True, False)]


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


def measure(name, options, case, kind):
    disk = case.folder / f"disk.{kind}"
    disk.unlink(missing_ok=True)
    subprocess.run(["qemu-img", "create", "-q", "-f", kind, disk, SIZE], check=True)
    command = MACHINES[name](options, case, disk, kind)
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
        figures |= {"exits": read_exits(process.pid) - exits, "cpu": cpu_seconds(process.pid) - cpu, "beyond_mib": read_beyond(process.pid, MEMORY)}
    finally:
        process.kill()
        process.wait()
    print(f"{name:12}{case.name} {kind:7}", "  ".join(f"{figure} {value:.2f}" for figure, value in figures.items()), flush=True)
    return figures


def compare(limits, title, runs):
    for figure in runs["qemu"][0]:
        ours, theirs = (statistics.median(run[figure] for run in runs[name]) for name in ("alcove-vmm", "qemu"))
        is_rate = figure in JOBS
        limits.judge(f"{title}, {figure}: alcove-vmm / qemu", ours / theirs, 1 / 3 if figure == "beyond_mib" else 1, at_least=is_rate,
                     is_counted=figure in ("exits", "beyond_mib"))


def has_direct(folder):
    try:
        os.close(os.open(folder / "probe", os.O_RDWR | os.O_CREAT | os.O_DIRECT))
    except OSError:
        return False
    return True


@contextlib.contextmanager
def direct_folder(modules, folder):
    """A folder on a file system with direct I/O, or None."""
    if not modules or "ALCOVE_IN_APPLIANCE" not in os.environ:
        with tempfile.TemporaryDirectory(dir="/var/tmp") as name:
            yield pathlib.Path(name) if has_direct(pathlib.Path(name)) else None
        return
    for module in modules.split(","):
        words = ["rd_nr=1", f"rd_size={RAMDISK_MIB << 10}"] if pathlib.Path(module).name == "brd.ko" else []
        subprocess.run(["insmod", module, *words], check=True)
    subprocess.run(["mke2fs", "-q", "-t", "ext4", "/dev/ram0"], check=True)
    mounted = pathlib.Path(folder) / "ramdisk"
    mounted.mkdir()
    subprocess.run(["mount", "-t", "ext4", "/dev/ram0", mounted], check=True)
    try:
        yield mounted if has_direct(mounted) else None
    finally:
        subprocess.run(["umount", mounted], check=True)


def write_script(tools, folder, case):
    path = pathlib.Path(folder) / "run"
    path.write_text(script(case))
    subprocess.run(["debugfs", "-w", "-R", "rm run", tools], check=True, capture_output=True)
    subprocess.run(["debugfs", "-w", "-R", f"write {path} run", tools], check=True, capture_output=True)


def main():
    parser = argparse.ArgumentParser()
    for name in ("vmm", "kernel", "initrd", "tools"):
        parser.add_argument(f"--{name}", required=True)
    parser.add_argument("--ramdisk")
    parser.add_argument("--only", choices=("cached", "direct"))
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--timeout", type=int, default=200)
    parser.add_argument("--json")
    options = parser.parse_args()
    limits, all_runs = Limits(), {}
    with tempfile.TemporaryDirectory() as folder, direct_folder(options.ramdisk, folder) as direct:
        tools = pathlib.Path(folder) / "tools.raw"
        subprocess.run(["cp", "--sparse=always", options.tools, tools], check=True)
        options.tools = tools
        if not direct:
            print("bench-disk: no file system with direct I/O: the direct cases are left out", flush=True)
        cases = [Case("cached", pathlib.Path(folder), False)] + ([Case("direct", direct, True)] if direct else [])
        for case in cases:
            if options.only in (None, case.name):
                write_script(tools, folder, case)
                for kind in ("raw", "qcow2"):
                    runs = all_runs[f"{case.name} {kind}"] = {name: [] for name in MACHINES}
                    for _ in range(options.runs):
                        for name in MACHINES:
                            runs[name].append(measure(name, options, case, kind))
                    (case.folder / f"disk.{kind}").unlink()
                    compare(limits, f"{case.name} {kind}", runs)
    if options.json:
        pathlib.Path(options.json).write_text(json.dumps(all_runs, indent=1))
    return limits.status()


sys.exit(main())
