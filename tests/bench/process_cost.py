"""What a machine monitor costs: KVM exits (debugfs) and CPU seconds of its process and of its children."""

import glob
import os

TICKS = os.sysconf("SC_CLK_TCK")


def read_exits(pid):
    return sum(int(open(name).read()) for name in glob.glob(f"/sys/kernel/debug/kvm/{pid}-*/exits"))


def children(pid):
    return [int(child) for name in glob.glob(f"/proc/{pid}/task/*/children") for child in open(name).read().split()]


def cpu_seconds(pid):
    """User and system time of all threads and of the helper processes below it, the guest's own included."""
    def own(pid):
        fields = open(f"/proc/{pid}/stat").read().rsplit(")", 1)[1].split()
        return sum(int(fields[number - 3]) for number in (14, 15)) / TICKS

    return own(pid) + sum(cpu_seconds(child) for child in children(pid))
