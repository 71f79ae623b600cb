"""iperf3 from a guest to this computer and back, by alcove-vmm's user network and QEMU's (-netdev user), both on KVM.

Usage: bench-net.py --vmm FILE --kernel VMLINUX --initrd FILE [--rounds N] [--seconds N] [--json FILE]

Runs where /dev/kvm is real and as root: in tests/nested/appliance. The initrd is material.py's for `net`, with iperf3 in it. Both machines
run from the start, with one CPU, virtio-net and the same kernel; they take turns (A B A B ...), the other idle, so that a drift of this
computer's speed falls on both. Ratios are of the medians of one run of this program.

Figures, of each direction:
  mbits       megabits a second
  cpu         CPU seconds of the monitor, its vCPU's included, for a gigabyte
  exits       KVM exits of that machine for a megabyte (debugfs)
and of each machine after it all:
  beyond_mib  resident memory beyond the guest's (process_cost.py)
Ends as limits.py says: mbits at least QEMU's in both directions, cpu and exits at most, memory at most a third.
"""

import argparse
import json
import pathlib
import statistics
import subprocess
import sys
import time
import types

from limits import Limits
from process_cost import cpu_seconds, read_beyond, read_exits

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "guest"))
from guest import Guest  # noqa: E402

WORLD = "10.99.0.1"
# Of iperf3's own arguments: from the guest, and with -R to it.
DIRECTIONS = {"from the guest": "", "to the guest": "-R"}
FIGURES = ("mbits", "cpu", "exits")
MEMORY = 512  # MiB


def qemu(options):
    return ["qemu-system-x86_64", "-M", "q35", "-accel", "kvm", "-cpu", "host", "-smp", "1", "-m", f"{MEMORY}M", "-nodefaults", "-no-user-config",
            "-display", "none", "-kernel", options.kernel, "-initrd", options.initrd, "-append", "console=ttyS0 quiet", "-serial", "stdio",
            "-netdev", "user,id=net0", "-device", "virtio-net-pci,netdev=net0,romfile="]


def wait_listening():
    """Without connecting, which would be the server's one test."""
    end = time.monotonic() + 30
    while time.monotonic() < end:
        if any(line.split()[1].endswith(":1451") and line.split()[3] == "0A" for line in open("/proc/net/tcp")):
            return
        time.sleep(0.05)
    raise SystemExit("bench-net: iperf3's server did not start")


def measure(guest, arguments, seconds):
    server = subprocess.Popen(["iperf3", "-s", "-1", "-J", "-B", WORLD], stdout=subprocess.PIPE, text=True)
    pid = guest.process.pid
    try:
        wait_listening()
        before = cpu_seconds(pid), read_exits(pid)
        guest.shell(f"/usr/bin/iperf3 -c {WORLD} -t {seconds} {arguments} >/tmp/iperf 2>&1 || cat /tmp/iperf", seconds + 60)
        after = cpu_seconds(pid), read_exits(pid)
        # With -R the server is the sender, and is not told what arrived: all but what the sockets hold in the end.
        end = json.loads(server.communicate(timeout=30)[0])["end"]["sum_sent" if arguments else "sum_received"]
    finally:
        server.kill()
        server.wait()
    return {"mbits": end["bits_per_second"] / 1e6, "cpu": (after[0] - before[0]) / (end["bytes"] / 1e9),
            "exits": (after[1] - before[1]) / (end["bytes"] / 1e6)}


def judge(runs, beyond):
    limits = Limits()
    for direction in DIRECTIONS:
        medians = {name: {figure: statistics.median(run[figure] for run in runs[name][direction]) for figure in FIGURES} for name in runs}
        for name, figures in medians.items():
            print(f"{direction}: {name:10}", "  ".join(f"{figure} {value:.2f}" for figure, value in figures.items()))
        for figure in FIGURES:
            # Bytes depend on seconds, and so do exits for one.
            limits.judge(f"{direction}, {figure}: alcove-vmm / qemu", medians["alcove-vmm"][figure] / medians["qemu"][figure], 1, at_least=figure == "mbits")
    limits.judge("beyond_mib: alcove-vmm / qemu", beyond["alcove-vmm"] / beyond["qemu"], 1 / 3, is_counted=True)
    return limits.status()


def main():
    parser = argparse.ArgumentParser()
    for name in ("vmm", "kernel", "initrd"):
        parser.add_argument(f"--{name}", required=True)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=3)
    parser.add_argument("--json")
    options = parser.parse_args()

    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    subprocess.run(["ip", "addr", "replace", f"{WORLD}/32", "dev", "lo"], check=True)
    words = types.SimpleNamespace(vmm=options.vmm, material={"vmlinux-generic": options.kernel, "initrd-net": options.initrd})
    with Guest(words, "--net", "user", memory=f"{MEMORY}M", initrd="net") as ours, Guest(words, command=qemu(options)) as theirs:
        guests = {"alcove-vmm": ours, "qemu": theirs}
        for guest in guests.values():
            guest.wait_ready()
            guest.shell("udhcpc -i eth0 -n -q -t 10 -T 1 >/tmp/lease 2>&1")
        runs = {name: {direction: [] for direction in DIRECTIONS} for name in guests}
        for _ in range(options.rounds):
            for direction, arguments in DIRECTIONS.items():
                for name, guest in guests.items():
                    runs[name][direction].append(measure(guest, arguments, options.seconds))
        beyond = {name: read_beyond(guest.process.pid, MEMORY) for name, guest in guests.items()}
    if options.json:
        with open(options.json, "w") as file:
            json.dump(runs, file, indent=1)
    return judge(runs, beyond)


sys.exit(main())
