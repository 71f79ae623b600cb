"""Disks that are not raw: what the guest writes goes through the storage daemon into the image, and back; nothing is lost when the daemon dies."""

import hashlib
import os
import pathlib
import random
import shutil
import signal
import struct
import subprocess
import sys
import time

from guest import Checks, Guest, GuestError, Options

MIB = 1 << 20
SIZE = 64 * MIB
FILES = 10
CHUNKS = 14  # of 4 MiB


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


def check_image(checks, what, path, killed=False):
    """killed: its daemon was, and may have left clusters behind that it had taken and not used yet (status 3), which harms nobody."""
    checked = qemu_img("check", path)
    checks.check(f"qemu-img check: {what}", checked.returncode in ((0, 3) if killed else (0,)), checked.stdout + checked.stderr)


def refused(function, *arguments):
    """The error's text, or "" where there was none."""
    try:
        function(*arguments)
    except GuestError as error:
        return str(error)
    return ""


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
    checks.equal("the guest reads what the backing file holds", guest.shell("head -c 4194304 /dev/vda | sha256sum").split()[0],
                 hashlib.sha256(base).hexdigest())
    guest.shell("yes written-by-the-guest | head -c 4194304 >/tmp/data && dd if=/tmp/data of=/dev/vda bs=64k seek=96 conv=notrunc,fsync 2>/dev/null")
    counts = [sum(map(int, line.split()[1:3])) for line in guest.shell("grep 'virtio[0-9]*-req' /proc/interrupts").splitlines()]
    checks.check("each queue has an interrupt", len(counts) >= 2 and sum(counts) > 0, counts)


def check_discard(checks, guest, image):
    before = image.stat().st_blocks
    guest.shell("mount -t ext4 /dev/vdb /mnt && rm /mnt/big && sync && fstrim /mnt && umount /mnt")
    after = image.stat().st_blocks
    checks.check("a deleted file gives the host its room back", before - after >= 12 * MIB // 512, f"{before} -> {after} blocks")


def check_full_host(checks, guest, qmp, full):
    """The raw disk lies on a file system with room for a quarter of what the guest writes to it."""
    guest.send("(dd if=/tmp/data of=/dev/vdc bs=64k conv=notrunc,fsync 2>/dev/null; echo FILLED-$?) & true\n")
    guest.expect("@0@\n")
    error = qmp.wait_event("BLOCK_IO_ERROR")["data"]
    checks.check("a full host is an I/O error of that disk", error["node-name"] == "disk2" and error["nospace"] and error["operation"] == "write", error)
    qmp.wait_event("STOP")
    checks.equal("and pauses the machine", qmp.run("query-status")["status"], "io-error")
    checks.equal("query-block says why", qmp.run("query-block")[2]["io-status"], "nospace")
    qmp.run("cont")
    checks.check("cont without more room: the same once more", qmp.wait_event("BLOCK_IO_ERROR")["data"]["nospace"])
    subprocess.run(["mount", "-o", "remount,size=16m", full], check=True)
    qmp.run("cont")
    guest.expect("FILLED-0")
    checks.equal("with room nothing is lost", guest.shell("cmp -n 4194304 /dev/vdc /tmp/data"), "")


def check_little_room(checks, guest, qmp, room):
    """The daemon's disk grows on a file system with less room than the guest writes: the machine is paused before the daemon meets its end."""
    qmp.events.clear()
    guest.send(f"(n=0; while [ $n -lt {CHUNKS} ]; do dd if=/tmp/data of=/dev/vde bs=64k seek=$((n * 64)) conv=notrunc,fsync 2>/dev/null || break; n=$((n+1)); done; "
               "echo CHUNKS-$n) & true\n")
    guest.expect("@0@\n")
    error = qmp.wait_event("BLOCK_IO_ERROR")["data"]
    checks.check("little room below a daemon's disk is an I/O error of it", error["node-name"] == "disk4" and error["nospace"] and error["operation"] == "write", error)
    qmp.wait_event("STOP")
    checks.equal("and pauses the machine", qmp.run("query-status")["status"], "io-error")
    checks.equal("query-block says why", qmp.run("query-block")[4]["io-status"], "nospace")
    left = shutil.disk_usage(room).free
    checks.check(f"before there is none: {left >> 20} MiB are left", left > MIB, left)
    qmp.run("cont")
    error = qmp.wait_event("BLOCK_IO_ERROR")["data"]
    checks.check("cont without more room: the same once more, some writes later", error["nospace"] and 0 < shutil.disk_usage(room).free < left,
                 f"{error}, {shutil.disk_usage(room).free} bytes free")
    (room / "ballast").unlink()
    qmp.run("cont")
    guest.expect(f"CHUNKS-{CHUNKS}\n")
    guest.shell("echo 3 >/proc/sys/vm/drop_caches")
    wrong = guest.shell(f"for n in $(seq 0 {CHUNKS - 1}); do dd if=/dev/vde bs=64k skip=$((n * 64)) count=64 2>/dev/null | cmp - /tmp/data || echo $n; done", status=None)
    checks.equal("with room nothing is lost", wrong, "")
    checks.equal("and the guest has seen no I/O error", guest.shell("dmesg | grep 'I/O error' || true"), "")


def check_death(checks, guest, qmp, image):
    """The daemon is killed while the guest writes; `cont` starts another, and the guest sees nothing but a pause."""
    guest.send("(failed=0; for i in 1 2; do dd if=/tmp/data of=/dev/vda bs=4k seek=$((2048 + i * 1024)) conv=notrunc,fsync 2>/dev/null || failed=$i; done; "
               "echo WRITERS-$failed-DONE) & true\n")
    guest.expect("@0@\n")
    time.sleep(0.3)
    first = guest.storage_daemon(image)
    os.kill(first, signal.SIGKILL)
    error = qmp.wait_event("BLOCK_IO_ERROR")["data"]
    checks.check("its death is an I/O error of that disk", error["node-name"] == "disk0" and error["action"] == "stop" and not error["nospace"], error)
    qmp.wait_event("STOP")
    checks.equal("and pauses the machine", qmp.run("query-status")["status"], "io-error")
    checks.equal("query-block says which", [b["io-status"] for b in qmp.run("query-block")], ["failed", "ok", "ok", "ok", "ok"])
    checks.check("nothing of it is left", is_gone(first))
    hidden = image.rename(image.with_suffix(".hidden"))
    checks.check("cont without the image: refused in a line that names it", str(image) in refused(qmp.run, "cont"))
    checks.equal("and query-block goes on saying which", [b["io-status"] for b in qmp.run("query-block")], ["failed", "ok", "ok", "ok", "ok"])
    hidden.rename(image)
    qmp.run("cont")
    qmp.wait_event("RESUME")
    checks.check("cont starts another", guest.storage_daemon(image) != first)
    guest.expect("WRITERS-0-DONE")
    checks.equal("which finished what the guest had begun", guest.shell("sync; for i in 1 2; do dd if=/dev/vda bs=4k skip=$((2048 + i * 1024)) count=1024 2>/dev/null "
                                                                      "| cmp - /tmp/data || echo differs; done"), "")


def check_death_without_flush(checks, guest, qmp, image):
    """What the guest has written and not flushed is there as well: a file system on clusters that are new, its pages written back soon, its journal late."""
    guest.shell("echo 5 >/proc/sys/vm/dirty_writeback_centisecs; echo 5 >/proc/sys/vm/dirty_expire_centisecs; mount -t ext4 -o commit=300 /dev/vdd /mnt")
    guest.send(f"(n=0; while [ $n -lt {FILES} ]; do n=$((n+1)); cat /tmp/data >/mnt/$n || break; usleep 300000; echo WRITTEN-$n; done) & true\n")
    guest.expect("WRITTEN-5\n")
    os.kill(guest.storage_daemon(image), signal.SIGKILL)
    qmp.wait_event("BLOCK_IO_ERROR")
    qmp.wait_event("STOP")
    qmp.run("cont")
    guest.expect(f"WRITTEN-{FILES}\n")
    guest.shell("umount /mnt && echo 3 >/proc/sys/vm/drop_caches && mount -t ext4 /dev/vdd /mnt")
    wrong = guest.shell(f"for n in $(seq {FILES}); do cmp /tmp/data /mnt/$n || echo $n; done", status=None)
    checks.equal("a daemon that is killed takes nothing along that was not flushed", wrong, "")
    guest.shell("umount /mnt")


def make_empty(folder):
    """A qcow2 image with an ext4 in which nothing is, and clusters for that only."""
    image = folder / "empty.qcow2"
    subprocess.run(["mke2fs", "-q", "-F", "-t", "ext4", folder / "empty.raw", "64M"], check=True, capture_output=True)
    subprocess.run(["qemu-img", "convert", "-O", "qcow2", folder / "empty.raw", image], check=True)
    return image


def make_ext4(folder):
    """A qcow2 image with an ext4 that has a file of 16 MiB in it."""
    (folder / "tree").mkdir(exist_ok=True)
    (folder / "tree/big").write_bytes(random.Random(6).randbytes(16 * MIB))
    subprocess.run(["mke2fs", "-q", "-F", "-t", "ext4", "-d", folder / "tree", folder / "ext4.raw", "32M"], check=True)
    subprocess.run(["qemu-img", "convert", "-O", "qcow2", folder / "ext4.raw", folder / "ext4.qcow2"], check=True)
    return folder / "ext4.qcow2"


def make_full(folder):
    full = folder / "full"
    full.mkdir(exist_ok=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", full], check=True)
    with open(full / "disk.raw", "wb") as file:
        file.truncate(8 * MIB)
    return full


def make_little_room(folder):
    """A file system of 256 MiB with room for 44, and there a qcow2 image."""
    room = folder / "room"
    room.mkdir(exist_ok=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256m", "tmpfs", room], check=True)
    create(room / "disk.qcow2", size=128 * MIB)
    with open(room / "ballast", "wb") as file:
        os.posix_fallocate(file.fileno(), 0, 212 * MIB)
    return room


def test_qcow2(checks, options, folder):
    base = random.Random(5).randbytes(4 * MIB)
    (folder / "base.raw").write_bytes(base)
    image, ext4, full, empty = folder / "disk.qcow2", make_ext4(folder), make_full(folder), make_empty(folder)
    room = make_little_room(folder)
    create(image, "-b", "base.raw", "-F", "raw")
    with Guest(options, "--disk", f"file={image},format=qcow2,backing={folder}/base.raw,backing-format=raw",
               "--disk", f"file={ext4},format=qcow2", "--disk", f"file={full}/disk.raw,format=raw",
               "--disk", f"file={empty},format=qcow2", "--disk", f"file={room}/disk.qcow2,format=qcow2", flavour="cloud", cpus=2) as guest:
        qmp = guest.connect()
        guest.wait_ready()
        check_reads_and_writes(checks, guest, base)
        check_discard(checks, guest, ext4)
        check_death(checks, guest, qmp, image)
        check_death_without_flush(checks, guest, qmp, empty)
        check_full_host(checks, guest, qmp, full)
        check_little_room(checks, guest, qmp, room)
        daemons = [guest.storage_daemon(file) for file in (image, ext4, empty, room / "disk.qcow2")]
        guest.process.kill()
        checks.check("a VMM that is killed takes its daemons with it", all(is_gone(pid) for pid in daemons))
    check_image(checks, "after a kill", image, killed=True)
    check_image(checks, "after a discard", ext4)
    check_image(checks, "after little room", room / "disk.qcow2")
    check_image(checks, "after the death of its daemon", empty, killed=True)
    qemu_img("convert", "-O", "raw", empty, folder / "empty.raw")
    seen = subprocess.run(["e2fsck", "-fn", folder / "empty.raw"], capture_output=True, text=True)
    checks.check("and its ext4 is clean", seen.returncode == 0, seen.stdout)
    checks.equal("the backing file is as it was", (folder / "base.raw").read_bytes(), base)


def patched(path, source, changes):
    """A copy of an image with other bytes in it."""
    data = bytearray(source.read_bytes())
    for offset, value in changes.items():
        data[offset:offset + len(value)] = value
    path.write_bytes(data)
    return path


def bad_images(folder):
    """Options of --disk, and what is said of them."""
    good, backed, own = folder / "good.qcow2", folder / "backed.qcow2", folder / "own.qcow2"
    create(good)
    create(backed, "-u", "-b", "/etc/passwd", "-F", "raw")
    create(own, "-u", "-b", "own.qcow2", "-F", "qcow2")
    lying = patched(folder / "lying.qcow2", good, {36: struct.pack(">I", 0xffffffff)})  # entries of its first table
    huge = patched(folder / "huge.qcow2", good, {24: b"\xff" * 8})
    cut = folder / "cut.qcow2"
    cut.write_bytes(good.read_bytes()[:100])
    flat = folder / "flat.vmdk"
    flat.write_text('# Disk DescriptorFile\nversion=1\nCID=fffffffe\nparentCID=ffffffff\ncreateType="monolithicFlat"\nRW 8 FLAT "/etc/passwd" 0\n')
    return {
        f"file={backed},format=qcow2": 'it stands on the backing file "/etc/passwd", which is not allowed',
        f"file={own},format=qcow2": 'it stands on the backing file "own.qcow2", which is not allowed',
        f"file={own},format=qcow2,backing={own},backing-format=qcow2": "it cannot be its own backing file",
        f"file={backed},format=qcow2,backing={folder}/base.raw,backing-format=raw": 'its backing file is "/etc/passwd", not',
        f"file={huge},format=qcow2": "a disk of 18446744073709551615 bytes cannot be",
        f"file={lying},format=qcow2": "L1 table",
        f"file={cut},format=qcow2": f"{cut}: qemu-storage-daemon: ",
        f"file={good},format=vdi": f"{good}: qemu-storage-daemon: ",
        f"file={flat},format=vmdk": "not a VMDK image in one file",
    }


def refusal(options, disk, **environment):
    kernel = ["--kernel", options.material["vmlinux-cloud"], "--initrd", options.material["initrd-cloud"]]
    ended = subprocess.run([options.vmm, "--accel", "kvm", *kernel, "--disk", disk], capture_output=True, text=True, timeout=60,
                           env={**os.environ, **environment})
    return ended.returncode, ended.stderr


def digests(folder):
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.iterdir() if path.is_file()}


def test_bad_input(checks, options, folder):
    bad = bad_images(folder)
    before = digests(folder)
    for disk, words in bad.items():
        status, said = refusal(options, disk)
        checks.check(f"one line: {words}", status == 1 and words in said and said.count("\n") == 1, f"{status}: {said}")
    checks.equal("what was refused is as it was", digests(folder), before)
    status, said = refusal(options, f"file={folder}/good.qcow2,format=qcow2", PATH="/nonexistent")
    checks.check("no storage daemon: the package to install", status == 1 and "install the package qemu-system-common" in said and said.count("\n") == 1, said)


def test_formats(checks, options, folder):
    """A machine on every format, after all those that were refused: what it writes is what other readers of the formats find."""
    images = {"qcow2": folder / "good.qcow2", **{kind: folder / f"new.{kind}" for kind in ("vmdk", "vdi", "vhdx")}}
    for kind, image in images.items():
        if kind != "qcow2":
            qemu_img("create", "-q", "-f", kind, image, SIZE)
    with Guest(options, *(word for kind, image in images.items() for word in ("--disk", f"file={image},format={kind}")), flavour="cloud") as guest:
        guest.wait_ready()
        guest.shell("yes every-format | head -c 4194304 >/tmp/data; for d in a b c d; do dd if=/tmp/data of=/dev/vd$d bs=64k seek=3 conv=notrunc,fsync 2>/dev/null || break; done")
        guest.send("poweroff -f\n")
        checks.equal("a machine on four formats ends well", guest.wait_end(), 0)
    expected = folder / "expected.raw"
    with open(expected, "wb") as file:
        file.truncate(SIZE)
        file.seek(3 * 65536)
        file.write((b"every-format\n" * (4 * MIB // 13 + 1))[:4 * MIB])
    for kind, image in images.items():
        compared = qemu_img("compare", "-f", "raw", "-F", kind, expected, image)
        checks.check(f"{kind}: what the guest wrote and nothing else", compared.returncode == 0, compared.stdout + compared.stderr)


def main():
    options, checks = Options(), Checks()
    folder = pathlib.Path("/tmp/qcow2")
    folder.mkdir(exist_ok=True)
    for part in (test_qcow2, test_bad_input, test_formats):
        checks.part(part, options, folder)
    return checks.end()


sys.exit(main())
