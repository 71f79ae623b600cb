"""Disks that are not raw: what the guest writes goes through the storage daemon into the image, and back; nothing is lost when the daemon dies."""

import hashlib
import os
import pathlib
import random
import signal
import subprocess
import sys
import time

from guest import Checks, Guest, GuestError, Options

MIB = 1 << 20
SIZE = 64 * MIB


def qemu_img(*arguments):
    return subprocess.run(["qemu-img", *map(str, arguments)], capture_output=True, text=True)


def create(path, *more, size=SIZE):
    made = qemu_img("create", "-q", "-f", "qcow2", *more, path, size)
    if made.returncode:
        raise GuestError(made.stderr)


def content(path, offset, size):
    """What a part of the disk reads as, by a reader of the format that is not the one under test."""
    raw = path.with_suffix(".part")
    subprocess.run(["qemu-img", "dd", "-U", "-f", "qcow2", "-O", "raw", "bs=4096", f"skip={offset // 4096}", f"count={(offset + size) // 4096}",
                    f"if={path}", f"of={raw}"], check=True, capture_output=True)
    return raw.read_bytes()[:size]


def check_image(checks, what, path):
    checked = qemu_img("check", path)
    checks.check(f"qemu-img check: {what}", checked.returncode == 0, checked.stdout + checked.stderr)


def daemon_of(guest, image):
    """The process id of the VMM's storage daemon for an image."""
    children = pathlib.Path(f"/proc/{guest.process.pid}/task/{guest.process.pid}/children").read_text().split()
    found = [int(pid) for pid in children if f'"{image}"' in pathlib.Path(f"/proc/{pid}/cmdline").read_text()]
    if len(found) != 1:
        raise GuestError(f"not one storage daemon but {found}")
    return found[0]


def is_gone(pid, seconds=20):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            if pathlib.Path(f"/proc/{pid}/stat").read_text().split(")")[1].split()[0] == "Z":
                return True
        except OSError:
            return True
        time.sleep(0.05)
    return False


def check_reads_and_writes(checks, guest, base):
    checks.equal("size in sectors", guest.shell("cat /sys/block/vda/size"), str(SIZE // 512))
    checks.equal("a queue for each CPU", guest.shell("ls /sys/block/vda/mq | wc -l"), "2")
    checks.equal("the guest flushes its writes", guest.shell("cat /sys/block/vda/queue/write_cache"), "write back")
    checks.equal("the guest reads what the backing file holds", guest.shell("head -c 16777216 /dev/vda | sha256sum").split()[0],
                 hashlib.sha256(base).hexdigest())
    guest.shell("yes written-by-the-guest | head -c 4194304 >/tmp/data && dd if=/tmp/data of=/dev/vda bs=64k seek=320 conv=notrunc,fsync 2>/dev/null")
    counts = [sum(map(int, line.split()[1:3])) for line in guest.shell("grep 'virtio[0-9]*-req' /proc/interrupts").splitlines()]
    checks.check("each queue has an interrupt", len(counts) >= 2 and sum(counts) > 0, counts)


def check_discard(checks, guest, image):
    guest.shell("mkfs.ext4 -q /dev/vdb 2>/dev/null || mke2fs -q -t ext4 /dev/vdb; mount -t ext4 -o discard /dev/vdb /mnt; "
                "dd if=/dev/urandom of=/mnt/big bs=1M count=24 2>/dev/null; sync")
    before = image.stat().st_blocks
    guest.shell("rm /mnt/big; sync; fstrim /mnt; umount /mnt")
    after = image.stat().st_blocks
    checks.check("a deleted file gives the host its room back", before - after >= 20 * 2048, f"{before} -> {after} blocks")


def check_death(checks, guest, qmp, image):
    """The daemon is killed while the guest writes; `cont` starts another, and the guest sees nothing but a pause."""
    guest.send("(for i in 1 2 3 4; do dd if=/tmp/data of=/dev/vda bs=4k seek=$((8192 + i * 1024)) conv=notrunc,fsync 2>/dev/null; done; "
               "echo WRITERS-$?-DONE) & true\n")
    guest.expect("@0@\n")
    time.sleep(0.3)
    first = daemon_of(guest, image)
    os.kill(first, signal.SIGKILL)
    error = qmp.wait_event("BLOCK_IO_ERROR")["data"]
    checks.check("its death is an I/O error of that disk", error["node-name"] == "disk0" and error["action"] == "stop" and not error["nospace"], error)
    qmp.wait_event("STOP")
    checks.equal("and pauses the machine", qmp.run("query-status")["status"], "io-error")
    checks.equal("query-block says which", [b["io-status"] for b in qmp.run("query-block")], ["failed", "ok"])
    checks.check("nothing of it is left", is_gone(first))
    qmp.run("cont")
    qmp.wait_event("RESUME")
    checks.check("cont starts another", daemon_of(guest, image) != first)
    guest.expect("WRITERS-0-DONE")
    checks.equal("which finished what the guest had begun", guest.shell("sync; for i in 1 2 3 4; do dd if=/dev/vda bs=4k skip=$((8192 + i * 1024)) count=1024 2>/dev/null "
                                                                      "| cmp - /tmp/data || echo differs; done"), "")


def test_qcow2(checks, options):
    folder = pathlib.Path("/tmp/qcow2")
    folder.mkdir(exist_ok=True)
    base = random.Random(5).randbytes(16 * MIB)
    (folder / "base.raw").write_bytes(base)
    image, empty = folder / "disk.qcow2", folder / "empty.qcow2"
    create(image, "-b", "base.raw", "-F", "raw")
    create(empty)
    with Guest(options, "--disk", f"file={image},format=qcow2,backing={folder}/base.raw,backing-format=raw",
               "--disk", f"file={empty},format=qcow2", cpus=2) as guest:
        qmp = guest.connect()
        guest.wait_ready()
        check_reads_and_writes(checks, guest, base)
        check_death(checks, guest, qmp, image)
        qmp.run("quit")
        checks.equal("quit ends with 0", guest.wait_end(), 0)
    for path in (image, empty):
        check_image(checks, path.name, path)


def main():
    options, checks = Options(), Checks()
    for part in (test_qcow2,):
        checks.part(part, options)
    return checks.end()


sys.exit(main())
