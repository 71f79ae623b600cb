"""Starts one Debian disk through stock UEFI firmware under alcove-vmm and QEMU q35, both on KVM, to its login prompt, and compares them.

Usage: bench-uefi.py --vmm FILE --disk FILE [--runs N] [--memory MIB] [--json FILE]

Runs where /dev/kvm is real: on a host that has it, or in tests/nested/appliance. --disk is raw (tests/nested/material.py debian-server); it
is copied into memory once, and each start has it and fresh variables as they were. Both have the same firmware, devices (virtio disk, graphics
that show firmware and boot loader as well, keyboard, tablet and entropy, on PCI) and take turns (A B A B ...), so that a drift of the machine's speed falls on both; ratios are of the medians.

Figures, from the start of the process to the login prompt on the serial port:
  firmware, grub, login    seconds until the firmware starts a boot entry, GRUB begins, the login prompt is there
  exits                    KVM exits of that machine (debugfs), and those of each kind
  user_exits               of them, exits to the VMM for a port or for memory that is a device's
  cpu                      CPU seconds of the process; work: those that its guest did not have
  beyond_mib               resident memory beyond the guest's (process_cost.py)
Ends as limits.py says: login in at most 0.8 of q35's time, exits and CPU seconds at most q35's, memory beyond the guest's at most a third.
"""

import argparse
import glob
import json
import os
import re
import selectors
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

from limits import Limits
from process_cost import cpu_seconds, read_beyond, work_seconds

FIRMWARE = ("/usr/share/OVMF/OVMF_CODE_4M.fd", "/usr/share/OVMF/OVMF_VARS_4M.fd")
STAGES = {"firmware": rb"BdsDxe: starting", "grub": rb"Welcome to GRUB", "login": rb"login: "}
# None: told, not judged.
LIMITS = {"firmware": None, "grub": None, "user_exits": None, "work": None, "login": 0.8, "exits": 1.0, "cpu": 1.0, "beyond_mib": 1 / 3}
# The debugfs counters that say of what kind exits are.
KINDS = ("exits", "io_exits", "mmio_exits", "halt_exits", "irq_exits", "irq_window_exits", "pf_fixed", "insn_emulation", "signal_exits", "fpu_reload")


def alcove(options, disk, nvram):
    return [options.vmm, "--accel", "kvm", "--cpus", "1", "--memory", f"{options.memory}M", "--firmware", "uefi", "--nvram", nvram,
            "--disk", f"file={disk},format=raw", "--net", "none", "--serial", "stdio", "--display", "none"]


def q35(options, disk, nvram):
    devices = [word for name in ("virtio-vga", "virtio-keyboard-pci", "virtio-tablet-pci", "virtio-rng-pci") for word in ("-device", name)]
    return ["qemu-system-x86_64", "-M", "q35", "-accel", "kvm", "-cpu", "host", "-smp", "1", "-m", f"{options.memory}M", "-nodefaults",
            "-no-user-config", "-display", "none", "-serial", "stdio",
            "-drive", f"if=pflash,unit=0,format=raw,readonly=on,file={FIRMWARE[0]}", "-drive", f"if=pflash,unit=1,format=raw,file={nvram}",
            "-drive", f"if=none,id=disk,format=raw,file={disk}", "-device", "virtio-blk-pci,drive=disk,bootindex=0", *devices]


MACHINES = {"alcove-vmm": alcove, "q35": q35}


def watch(process, seconds):
    """The seconds of each stage that was seen, and what was said."""
    said, seen, start = b"", {}, time.monotonic()
    with selectors.DefaultSelector() as selector:
        selector.register(process.stdout, selectors.EVENT_READ)
        while len(seen) < len(STAGES) and time.monotonic() < start + seconds:
            if not selector.select(timeout=1):
                continue
            piece = os.read(process.stdout.fileno(), 65536)
            if not piece:
                break
            said += piece
            for stage, pattern in STAGES.items():
                if stage not in seen and re.search(pattern, said):
                    seen[stage] = time.monotonic() - start
    return seen, said


def counters(pid):
    totals = {}
    for folder in glob.glob(f"/sys/kernel/debug/kvm/{pid}-*"):
        for kind in KINDS:
            try:
                totals[kind] = totals.get(kind, 0) + int(open(f"{folder}/{kind}").read())
            except FileNotFoundError:
                pass
    return totals


class Stalled(Exception):
    pass


def boot_or_again(name, options, folder):
    """A nested start that stalls is tried once more, and said so."""
    try:
        return boot(name, options, folder)
    except Stalled as error:
        print(error, "; once more", flush=True)
    try:
        return boot(name, options, folder)
    except Stalled as error:
        raise SystemExit(str(error)) from error


def boot(name, options, folder):
    disk, nvram = f"{folder}/disk.raw", f"{folder}/nvram.fd"
    subprocess.run(["cp", "--sparse=always", f"{folder}/master.raw", disk], check=True)
    shutil.copyfile(FIRMWARE[1], nvram)
    command = MACHINES[name](options, disk, nvram)
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    try:
        seen, said = watch(process, options.timeout)
        if "login" not in seen:
            sys.stderr.write(said[-2000:].decode(errors="replace") + "\n")
            raise Stalled(f"bench-uefi: {name} did not reach the login prompt in {options.timeout} s (only {seen}): {' '.join(command)}")
        figures = counters(process.pid)
        figures["user_exits"] = figures.get("io_exits", 0) + figures.get("mmio_exits", 0)
        figures["cpu"], figures["work"] = cpu_seconds(process.pid), work_seconds(process.pid)
        figures["beyond_mib"] = read_beyond(process.pid, options.memory)
        print(f"{name:12}", "  ".join(f"{stage} {seconds:.1f}" for stage, seconds in seen.items()), figures, flush=True)
        return {**seen, **figures}
    finally:
        process.kill()
        process.wait()


def main():
    parser = argparse.ArgumentParser()
    for name in ("vmm", "disk"):
        parser.add_argument(f"--{name}", required=True)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--memory", type=int, default=512)
    parser.add_argument("--timeout", type=int, default=400)
    parser.add_argument("--json")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run(["cp", "--sparse=always", options.disk, f"{folder}/master.raw"], check=True)
        runs = {name: [] for name in MACHINES}
        for _ in range(options.runs):
            for name in MACHINES:
                runs[name].append(boot_or_again(name, options, folder))
    medians = {name: {figure: statistics.median(run[figure] for run in taken) for figure in taken[0]} for name, taken in runs.items()}
    limits = Limits()
    for figure, limit in LIMITS.items():
        ratio = medians["alcove-vmm"][figure] / max(medians["q35"][figure], 1e-9)
        limits.judge(f"{figure}: alcove-vmm / q35", ratio, limit, is_counted=figure in ("exits", "beyond_mib"))
    if options.json:
        with open(options.json, "w") as file:
            json.dump({"runs": runs, "medians": medians}, file, indent=1)
    return limits.status()


sys.exit(main())
