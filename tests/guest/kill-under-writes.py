"""The VMM is killed while a guest writes, at a random moment; what the guest was told to be on the disk has to be there.

Usage: as test-qcow2.py, by run-in-appliance, with vmlinux-cloud, initrd-cloud and perhaps rounds=N (else 200; the suite makes 3). The rounds take turns: the VMM
alone is killed, and its storage daemon writes back what it caches; the daemon is killed with it, without a moment for that; a raw disk, which has no
daemon. Each round boots a guest that mounts the disk, writes files and says which have been flushed, is killed, and then: `qemu-img check` finds
no fault (clusters that a killed daemon had taken and not yet used may be lost), the ext4 is clean after its journal was replayed, and every file that was
flushed is there and whole.
"""

import os
import pathlib
import random
import signal
import subprocess
import sys
import time

from guest import Checks, Guest, Options

ROUNDS = "200"
FILE_SIZE = 40000
ALONE, DAEMON_TOO, RAW = TURNS = ("qcow2, the VMM killed", "qcow2, VMM and daemon killed", "raw, the VMM killed")
LEAKS = 3  # qemu-img check: clusters are lost, nothing else is wrong
# busybox: the last thing that a round tells is that file N has been flushed, with its folder's entry (ext4 does both).
WRITER = ("mount -t ext4 /dev/vda /mnt; n=0; while :; do n=$((n+1)); yes file-$n | head -c %d | dd of=/mnt/$n bs=4k conv=fsync 2>/dev/null && "
          "echo FLUSHED-$n; [ $((n %% 3)) = 0 ] && rm /mnt/$n; done\n" % FILE_SIZE)


def make_disk(folder, kind):
    raw, disk = folder / "new.raw", folder / f"disk.{kind}"
    raw.unlink(missing_ok=True)
    subprocess.run(["mke2fs", "-q", "-F", "-t", "ext4", raw, "48M"], check=True, capture_output=True)
    subprocess.run(["qemu-img", "convert", "-f", "raw", "-O", kind, raw, disk], check=True)
    return disk


def kill(guest, disk, turn):
    daemon = guest.storage_daemon(disk) if turn == DAEMON_TOO else 0
    # It gets SIGTERM when the VMM dies: stopped, it cannot act on that before it is killed as well.
    if daemon:
        os.kill(daemon, signal.SIGSTOP)
    guest.process.kill()
    if daemon:
        os.kill(daemon, signal.SIGKILL)
    guest.process.wait()


def write_and_kill(options, disk, kind, turn, delay):
    """The number of the last file that the guest was told to be flushed."""
    with Guest(options, "--disk", f"file={disk},format={kind}", flavour="cloud") as guest:
        guest.wait_ready()
        guest.prepare_shell()
        guest.send(WRITER)
        guest.expect("FLUSHED-1\n")
        time.sleep(delay)
        kill(guest, disk, turn)
        while guest.pump(0.2):
            pass
        # Only whole lines: the last may have been cut off.
        return max([int(line[8:]) for line in guest.console[guest.mark:].split("\n")[:-1] if line.startswith("FLUSHED-")], default=1)


def check_when_free(disk):
    """A daemon that was left alone writes back what it caches, and then gives its lock back."""
    for _ in range(100):
        checked = subprocess.run(["qemu-img", "check", disk], capture_output=True, text=True)
        if "lock" not in checked.stderr:
            break
        time.sleep(0.1)
    return checked


def check_round(checks, disk, kind, turn, last, what):
    if kind == "qcow2":
        checked = check_when_free(disk)
        allowed = (0, LEAKS) if turn == DAEMON_TOO else (0,)
        checks.check(f"{what}: qemu-img check", checked.returncode in allowed, checked.stdout + checked.stderr)
    raw = disk.with_suffix(".seen")
    subprocess.run(["qemu-img", "convert", "-f", kind, "-O", "raw", disk, raw], check=True)
    replayed = subprocess.run(["e2fsck", "-fp", raw], capture_output=True, text=True)
    clean = subprocess.run(["e2fsck", "-fn", raw], capture_output=True, text=True)
    checks.check(f"{what}: the ext4 is clean", replayed.returncode in (0, 1) and clean.returncode == 0, replayed.stdout + clean.stdout)
    wrong = []
    for n in (n for n in range(1, last + 1) if n % 3):
        seen = subprocess.run(["debugfs", "-R", f"cat /{n}", raw], capture_output=True).stdout
        if seen != (f"file-{n}\n".encode() * FILE_SIZE)[:FILE_SIZE]:
            wrong.append(n)
    checks.equal(f"{what}: all {last} flushed files are there", wrong, [])


def run_round(checks, options, folder, n, generator):
    turn = TURNS[n % len(TURNS)]
    kind = "raw" if turn == RAW else "qcow2"
    disk = make_disk(folder, kind)
    delay = generator.uniform(0, 2)
    last = write_and_kill(options, disk, kind, turn, delay)
    check_round(checks, disk, kind, turn, last, f"{n}: {turn} {delay:.3f} s after the first flush")


def main():
    options, checks = Options(), Checks()
    # run-in-appliance makes a path of it.
    rounds = int(pathlib.Path(options.material.get("rounds", ROUNDS)).name)
    folder = pathlib.Path("/tmp/killed")
    folder.mkdir(exist_ok=True)
    seed = time.time_ns()
    print(f"seed {seed}", flush=True)
    generator = random.Random(seed)
    for n in range(rounds):
        checks.part(run_round, options, folder, n, generator)
    return checks.end()


sys.exit(main())
