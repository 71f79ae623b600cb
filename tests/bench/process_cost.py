"""What a machine monitor costs: KVM exits (debugfs), CPU seconds and resident memory of its process and of the helpers below it."""

import glob
import os
import re

TICKS = os.sysconf("SC_CLK_TCK")


def read_exits(pid):
    names = glob.glob(f"/sys/kernel/debug/kvm/{pid}-*/exits")
    if not names:
        raise SystemExit(f"no counters of process {pid} in /sys/kernel/debug/kvm: this needs root, KVM and debugfs")
    return sum(int(open(name).read()) for name in names)


def children(pid):
    return [int(child) for name in glob.glob(f"/proc/{pid}/task/*/children") for child in open(name).read().split()]


def tree(pid):
    """The process and all below it."""
    return [pid] + [below for child in children(pid) for below in tree(child)]


def seconds_of(pid, numbers):
    """The sum of these fields of proc(5)'s stat."""
    fields = open(f"/proc/{pid}/stat").read().rsplit(")", 1)[1].split()
    return sum(int(fields[number - 3]) for number in numbers) / TICKS


def cpu_seconds(pid):
    """User and system time of all threads and of the helpers, the guest's own included."""
    return sum(seconds_of(one, (14, 15)) for one in tree(pid))


def work_seconds(pid):
    """Those of them that the guest did not have."""
    return cpu_seconds(pid) - seconds_of(pid, (43,))


def mappings(pid):
    """(bytes, name, file, resident KiB) of each; file is None for anonymous memory."""
    found = []
    for line in open(f"/proc/{pid}/smaps"):
        header = re.match(r"([0-9a-f]+)-([0-9a-f]+) \S+ \S+ (\S+) (\d+) *(.*)", line)
        if header:
            size = int(header[2], 16) - int(header[1], 16)
            found.append([size, header[5], (header[3], header[4]) if header[4] != "0" else None, 0])
        elif line.startswith("Rss:"):
            found[-1][3] = int(line.split()[1])
    return found


def read_beyond(pid, memory):
    """MiB resident in the process and its helpers outside of the guest's RAM.

    That is the mapping which is as large (memory, in MiB) and anonymous or a memfd, and in the helpers the same memfd. The kernel may merge
    a neighbour with it, which then is not counted. A page that two of the processes share is counted twice.
    """
    own = mappings(pid)
    guest = [one for one in own if one[0] >= memory << 20 and (not one[1] or one[1].startswith("/memfd:"))]
    if not sum(one[3] for one in guest):
        raise SystemExit(f"found no guest RAM in the mappings of process {pid}")
    shared = {one[2] for one in guest if one[2]}
    total = sum(one[3] for one in own) - sum(one[3] for one in guest)
    for helper in tree(pid)[1:]:
        total += sum(one[3] for one in mappings(helper) if one[2] not in shared)
    return total / 1024
