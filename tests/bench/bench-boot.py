"""Boots one kernel and initrd under alcove-vmm, QEMU microvm and QEMU q35, all on KVM, and compares them.

Usage: bench-boot.py --vmm FILE --kernel VMLINUX --initrd FILE [--runs N] [--memory MIB] [--json FILE]

Runs where /dev/kvm is real: on a host that has it, or in tests/nested/appliance. All have the same devices (virtio graphics, keyboard,
tablet, entropy, ports and balloon, on PCI: those that each of our machines has) and QEMU's own kind of memory; microvm is there once more as it is by itself, without PCI and without a device but the
serial port, which alcove-vmm cannot be: what that peer saves is what those devices cost. They take turns (A B C A B C ...), so that a drift of
the machine's speed falls on all; ratios are of the medians of one run of this program.

Figures, each taken when the guest's userspace prints its first line on the serial port:
  seconds     from the start of the process
  exits       KVM exits of that machine
  beyond_mib  resident memory beyond the guest's (process_cost.py)
Ends as limits.py says: boot and exits no worse than microvm's, memory beyond the guest's at most a third of q35's.
"""

import argparse
import json
import os
import selectors
import statistics
import subprocess
import sys
import time

from limits import Limits
from process_cost import read_beyond, read_exits

MARKER = b"ALCOVE-GUEST-READY"
COMMAND_LINE = "console=ttyS0 reboot=t panic=-1 quiet"
# Each figure against each peer; the project's limits are on some.
PEERS = ("microvm", "q35", "bare microvm")
FIGURES = ("seconds", "exits", "beyond_mib")
LIMITS = {("seconds", "microvm"): 1.0, ("exits", "microvm"): 1.0, ("beyond_mib", "q35"): 1 / 3}


def alcove(options):
    return [options.vmm, "--accel", "kvm", "--cpus", "1", "--memory", f"{options.memory}M", "--kernel", options.kernel,
            "--initrd", options.initrd, "--cmdline", COMMAND_LINE, "--net", "none", "--serial", "stdio", "--display", "none"]


def qemu(options, machine, names=("gpu-pci", "keyboard-pci", "tablet-pci", "rng-pci", "serial-pci,max_ports=2", "balloon-pci")):
    devices = [word for name in names for word in ("-device", f"virtio-{name}")]
    return ["qemu-system-x86_64", "-M", machine, *devices, "-accel", "kvm", "-cpu", "host", "-smp", "1", "-m", f"{options.memory}M",
            "-nodefaults", "-no-user-config", "-no-reboot", "-display", "none", "-kernel", options.kernel,
            "-initrd", options.initrd, "-append", COMMAND_LINE, "-serial", "stdio"]


MACHINES = {
    "alcove-vmm": alcove,
    "microvm": lambda options: qemu(options, "microvm,pit=on,rtc=on,pcie=on"),
    "q35": lambda options: qemu(options, "q35"),
    "bare microvm": lambda options: qemu(options, "microvm", ()),
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

    medians = {name: {figure: statistics.median(run[figure] for run in taken) for figure in FIGURES} for name, taken in runs.items()}
    for name, figures in medians.items():
        print(f"{name:12}", "  ".join(f"{figure} {value:.2f}" for figure, value in figures.items()))
    limits = Limits()
    for peer in PEERS:
        for figure in FIGURES:
            limits.judge(f"{figure}: alcove-vmm / {peer}", medians["alcove-vmm"][figure] / medians[peer][figure],
                         LIMITS.get((figure, peer)), is_counted=figure != "seconds")
    if options.json:
        with open(options.json, "w") as file:
            json.dump({"runs": runs, "medians": medians}, file, indent=1)
    return limits.status()


sys.exit(main())
