"""virtio-blk: what the guest reads and writes is what the host's file holds; then a Debian from an ext4 root to its login prompt."""

import hashlib
import pathlib
import random
import signal
import subprocess
import sys

from guest import Checks, Guest, Options

MIB = 1 << 20
SIZE = 16 * MIB
# Where each check has its own part of the disk.
PLAIN, DISCARDED, ZEROED, PARALLEL = 0, 4 * MIB, 8 * MIB, 12 * MIB


def part_of(path, offset, size):
    with open(path, "rb") as file:
        file.seek(offset)
        return file.read(size)


def check_identity(checks, guest, content):
    checks.equal("serial number", guest.shell("cat /sys/block/vda/serial"), "disk0")
    checks.equal("size in sectors", guest.shell("cat /sys/block/vda/size"), str(SIZE // 512))
    checks.equal("a queue for each CPU", guest.shell("ls /sys/block/vda/mq | wc -l"), "2")
    checks.equal("the guest reads what the file holds", guest.shell("sha256sum </dev/vda").split()[0], hashlib.sha256(content).hexdigest())


def check_write(checks, guest, disk, content):
    """A flush is part of the guest's fsync; the host looks as soon as that has returned."""
    guest.shell("yes written-by-the-guest | head -c 1048576 >/tmp/data && dd if=/tmp/data of=/dev/vda bs=4k seek=3 conv=notrunc,fsync 2>/dev/null")
    expected = (b"written-by-the-guest\n" * (MIB // 20))[:MIB]
    checks.check("the file holds what the guest wrote", part_of(disk, PLAIN + 3 * 4096, MIB) == expected)
    checks.check("and nothing around it changed", part_of(disk, PLAIN, 3 * 4096) == content[:3 * 4096] and
                 part_of(disk, PLAIN + 3 * 4096 + MIB, MIB) == content[3 * 4096 + MIB:3 * 4096 + 2 * MIB])
    guest.shell("printf odd | dd of=/dev/vda bs=1 seek=1234567 conv=notrunc,fsync 2>/dev/null")
    checks.equal("three bytes at an odd place", part_of(disk, 1234567, 3), b"odd")


def check_discard(checks, guest, disk, content):
    before = disk.stat().st_blocks
    guest.shell(f"blkdiscard -o {DISCARDED} -l {2 * MIB} /dev/vda")
    checks.check("discard gives the host its room back", before - disk.stat().st_blocks >= 2 * MIB // 512, f"{before} -> {disk.stat().st_blocks}")
    checks.equal("and leaves zeroes", part_of(disk, DISCARDED, 2 * MIB), bytes(2 * MIB))
    checks.check("only there", part_of(disk, DISCARDED + 2 * MIB, 4096) == content[DISCARDED + 2 * MIB:DISCARDED + 2 * MIB + 4096])
    guest.shell(f"guest-zeroout /dev/vda {ZEROED} {MIB}")
    checks.equal("write zeroes", part_of(disk, ZEROED, MIB), bytes(MIB))
    checks.check("only there", part_of(disk, ZEROED + MIB, 4096) == content[ZEROED + MIB:ZEROED + MIB + 4096])


def check_parallel(checks, guest, disk):
    """Both CPUs write at once, each by its own queue."""
    writers = " ".join(f"taskset -c {cpu} dd if=/tmp/data of=/dev/vda bs=64k seek={PARALLEL // 65536 + cpu * 16} conv=notrunc,fsync 2>/dev/null &"
                       for cpu in (0, 1))
    guest.shell(f"{writers} wait")
    expected = (b"written-by-the-guest\n" * (MIB // 20))[:MIB]
    checks.check("two CPUs write at once", part_of(disk, PARALLEL, MIB) == expected and part_of(disk, PARALLEL + MIB, MIB) == expected)
    lines = guest.shell("grep 'virtio[0-9]*-req' /proc/interrupts").splitlines()
    counts = [sum(int(word) for word in line.split()[1:3]) for line in lines]
    checks.check("each queue of the disk has an interrupt, and used it", len([c for c in counts if c > 0]) >= 2, lines)


def check_file_system(checks, guest, folder):
    guest.shell("mount -t ext4 /dev/vdc /mnt && cp /bin/busybox /mnt/copy && rm /mnt/old && umount /mnt")
    image = folder / "ext4.raw"
    checked = subprocess.run(["e2fsck", "-fn", image], capture_output=True, text=True)
    checks.check("e2fsck finds the guest's file system clean", checked.returncode == 0, checked.stdout)
    subprocess.run(["debugfs", "-R", f"dump /copy {folder}/copy", image], capture_output=True)
    checks.check("and the file in it whole", (folder / "copy").read_bytes() == pathlib.Path("/bin/busybox").read_bytes())


def test_disk(checks, options):
    folder = pathlib.Path("/tmp/disks")  # tmpfs: punches holes, and has no direct I/O
    folder.mkdir(exist_ok=True)
    content = random.Random(7).randbytes(SIZE)
    disk, fixed, ext4 = folder / "disk.raw", folder / "fixed.raw", folder / "ext4.raw"
    disk.write_bytes(content)
    fixed.write_bytes(content[:MIB])
    (folder / "tree").mkdir(exist_ok=True)
    (folder / "tree/old").write_text("to be removed")
    subprocess.run(["mke2fs", "-q", "-F", "-t", "ext4", "-d", folder / "tree", ext4, "16M"], check=True)
    with Guest(options, "--disk", f"file={disk},format=raw", "--disk", f"file={fixed},format=raw,readonly=on",
               "--disk", f"file={ext4},format=raw", cpus=2) as guest:
        guest.wait_ready()
        check_identity(checks, guest, content)
        check_write(checks, guest, disk, content)
        check_discard(checks, guest, disk, content)
        check_parallel(checks, guest, disk)
        check_file_system(checks, guest, folder)
        checks.equal("a read-only disk says so", guest.shell("cat /sys/block/vdb/ro"), "1")
        guest.shell("dd if=/tmp/data of=/dev/vdb bs=64k count=1 conv=fsync", status=1)
        checks.check("and stays as it was", fixed.read_bytes() == content[:MIB])
        guest.process.send_signal(signal.SIGTERM)
        checks.equal("SIGTERM ends with 0", guest.wait_end(), 0)
        checks.equal("nothing to complain about", guest.messages(), "")


def test_login(checks, options):
    """An unmodified Debian: systemd, udev and a getty, from an ext4 root; the power button shuts it down."""
    image = options.material["root"]
    with Guest(options, "--disk", f"file={image},format=raw", cmdline="alcove.root=/dev/vda") as guest:
        qmp = guest.connect()
        guest.expect("alcove-guest login: ", 180)
        print(f"login prompt after {guest.seconds():.1f} s", flush=True)
        guest.send("root\n")
        guest.expect(r"root@alcove-guest:~# ")
        checks.check("root logs in", True)
        guest.send("findmnt -no SOURCE,FSTYPE /; echo kept >/root/note\n")
        checks.check("the root is ext4 on virtio-blk", bool(guest.expect(r"/dev/vda +ext4")))
        guest.expect(r"# ")
        qmp.run("system_powerdown")
        checks.equal("system_powerdown: why it ended", qmp.wait_event("SHUTDOWN", 120)["data"]["reason"], "guest-shutdown")
        checks.equal("and how", guest.wait_end(), 0)
    checked = subprocess.run(["e2fsck", "-fn", image], capture_output=True, text=True)
    checks.check("the root was unmounted clean", checked.returncode == 0 and "recovering" not in checked.stdout, checked.stdout)
    checks.equal("what was written at the end is there", subprocess.run(["debugfs", "-R", "cat /root/note", image], capture_output=True).stdout, b"kept\n")


def main():
    options, checks = Options(), Checks()
    for part in (test_disk, test_login):
        checks.part(part, options)
    return checks.end()


sys.exit(main())
