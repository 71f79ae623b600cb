"""Boots one kernel and initrd under alcove-vmm, QEMU microvm and QEMU q35, all on KVM, and compares them.

Usage: bench-boot.py --vmm FILE --kernel VMLINUX --initrd FILE [--runs N] [--memory MIB] [--json FILE]

Runs where /dev/kvm is real: on a host that has it, or in tests/nested/appliance. All have the same devices (virtio graphics, keyboard,
tablet, entropy, on PCI) and QEMU's own kind of memory. The three take turns (A B C A B C ...), so that a drift of the machine's speed falls on all; ratios are of the medians of one run of this program.

Figures, each taken when the guest's userspace prints its first line on the serial port:
  seconds     from the start of the process
  exits       KVM exits of that machine (debugfs: /sys/kernel/debug/kvm/PID-FD/exits)
  beyond_mib  resident memory of the process less that of the mapping which is the guest's RAM (a kernel may merge it with
              its neighbour, which is then not counted, with all three alike)
Ends 1 when a machine did not get there, or when a limit of the project is missed: boot and exits no worse than microvm's,
memory beyond the guest's at most a third of q35's.
"""

import argparse
import glob
import json
import os
import re
import selectors
import statistics
import subprocess
import sys
import time

MARKER = b"ALCOVE-GUEST-READY"
COMMAND_LINE = "console=ttyS0 reboot=t panic=-1 quiet"
# A run is noisy by this much on a shared machine; a limit is missed only beyond it.
NOISE = 1.10


def alcove(options):
    return [options.vmm, "--accel", "kvm", "--cpus", "1", "--memory", f"{options.memory}M", "--kernel", options.kernel,
            "--initrd", options.initrd, "--cmdline", COMMAND_LINE, "--net", "none", "--serial", "stdio", "--display", "none"]


def qemu(options, machine):
    devices = [word for name in ("gpu", "keyboard", "tablet", "rng") for word in ("-device", f"virtio-{name}-pci")]
    return ["qemu-system-x86_64", "-M", machine, *devices, "-accel", "kvm", "-cpu", "host", "-smp", "1", "-m", f"{options.memory}M",
            "-nodefaults", "-no-user-config", "-no-reboot", "-display", "none", "-kernel", options.kernel,
            "-initrd", options.initrd, "-append", COMMAND_LINE, "-serial", "stdio"]


MACHINES = {
    "alcove-vmm": alcove,
    "microvm": lambda options: qemu(options, "microvm,pit=on,rtc=on,pcie=on"),
    "q35": lambda options: qemu(options, "q35"),
}


def wait_for_marker(process, seconds):
    seen = b""
    end = time.monotonic() + seconds
    with selectors.DefaultSelector() as selector:
        selector.register(process.stdout, selectors.EVENT_READ)
        while time.monotonic() < end:
            if not selector.select(timeout=1):
                continue
            piece = os.read(process.stdout.fileno(), 65536)
            if not piece:
                break
            seen += piece
            if MARKER in seen:
                return seen, True
    return seen, False


def read_exits(pid):
    files = glob.glob(f"/sys/kernel/debug/kvm/{pid}-*/exits")
    return sum(int(open(name).read()) for name in files) if files else None


def read_beyond(pid, memory):
    """MiB resident outside the guest's RAM, which is the one mapping that is as large."""
    total = guest = current = 0
    guest_mapping = False
    for line in open(f"/proc/{pid}/smaps"):
        header = re.match(r"([0-9a-f]+)-([0-9a-f]+) \S+ \S+ \S+ \S+ *(.*)", line)
        if header:
            size = int(header[2], 16) - int(header[1], 16)
            guest_mapping = size >= memory * 1024 * 1024 and not header[3]
        elif line.startswith("Rss:"):
            current = int(line.split()[1])
            total += current
            guest += current if guest_mapping else 0
    if not guest:
        raise SystemExit(f"bench-boot: found no guest RAM in the mappings of process {pid}")
    return (total - guest) / 1024


def boot(name, options):
    command = MACHINES[name](options)
    start = time.monotonic()
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    try:
        output, reached = wait_for_marker(process, options.timeout)
        seconds = time.monotonic() - start
        if not reached:
            sys.stderr.write(output[-2000:].decode(errors="replace") + "\n")
            raise SystemExit(f"bench-boot: {name} did not reach userspace in {options.timeout} s: {' '.join(command)}")
        return {"seconds": seconds, "exits": read_exits(process.pid), "beyond_mib": read_beyond(process.pid, options.memory)}
    finally:
        process.kill()
        process.wait()


def main():
    parser = argparse.ArgumentParser()
    for name in ("vmm", "kernel", "initrd"):
        parser.add_argument(f"--{name}", required=True)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--memory", type=int, default=512)
    parser.add_argument("--timeout", type=int, default=90)
    parser.add_argument("--json")
    options = parser.parse_args()

    for name in MACHINES:
        boot(name, options)  # one warm-up each, not counted: the page cache fills
    runs = {name: [] for name in MACHINES}
    for _ in range(options.runs):
        for name in MACHINES:
            runs[name].append(boot(name, options))

    medians = {name: {figure: statistics.median(run[figure] for run in taken) for figure in taken[0] if taken[0][figure] is not None}
               for name, taken in runs.items()}
    for name, figures in medians.items():
        print(f"{name:12}", "  ".join(f"{figure} {value:.2f}" for figure, value in figures.items()))
    ours = medians["alcove-vmm"]
    limits = [("seconds", "microvm", 1.0), ("exits", "microvm", 1.0), ("beyond_mib", "q35", 1 / 3)]
    missed = 0
    for figure, peer, limit in limits:
        ratio = ours[figure] / medians[peer][figure]
        good = ratio <= limit * (NOISE if figure == "seconds" else 1)
        missed += not good
        print(f"ratio {figure}: alcove-vmm / {peer} = {ratio:.3f} (limit {limit:.2f}) {'ok' if good else 'MISSED'}")
    if options.json:
        with open(options.json, "w") as file:
            json.dump({"runs": runs, "medians": medians}, file, indent=1)
    return 1 if missed else 0


sys.exit(main())
