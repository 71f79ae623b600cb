"""SATA: a CD-ROM drive whose medium is read, locked, ejected and changed while the guest runs, and a disk that it writes."""

import hashlib
import os
import pathlib
import random
import signal
import subprocess
import sys

from guest import Checks, Guest, GuestError, Options

MIB = 1 << 20
DISK_SIZE = 8 * MIB
FILE_SIZE = 3 * MIB
SERVED_SIZE = 64 * MIB
TROUBLE = "ata[0-9.]+: .*(exception|failed|[Ee]rror|timeout|reset)|s[rd] .*(failed|[Ee]rror)|I/O error"


def make_iso(folder, label, seed):
    tree, iso = folder / f"tree-{label}", folder / f"{label}.iso"
    tree.mkdir()
    (tree / "data.bin").write_bytes(random.Random(seed).randbytes(FILE_SIZE))
    (tree / "name.txt").write_text(label)
    subprocess.run(["xorriso", "-as", "mkisofs", "-quiet", "-J", "-r", "-V", label, "-o", iso, tree], check=True, capture_output=True)
    return iso


def refusal(function, *arguments, **words):
    """The error's text, or "" where there was none."""
    try:
        function(*arguments, **words)
    except GuestError as error:
        return str(error)
    return ""


def block(qmp, name):
    return next(entry for entry in qmp.run("query-block") if entry["qdev"] == name)


def check_reading(checks, guest, folder, iso):
    checks.equal("the guest knows the drive", guest.shell("cat /sys/block/sr0/device/vendor /sys/block/sr0/device/model").split(), ["ALCOVE", "DVD-ROM"])
    checks.equal("nothing can be written", guest.shell("cat /sys/block/sr0/ro; dd if=/dev/zero of=/dev/sr0 count=1 2>/dev/null || echo no").split(), ["1", "no"])
    guest.shell("mount -t iso9660 -o ro /dev/sr0 /mnt")
    expected = hashlib.sha256((folder / "tree-ALCOVE_ONE/data.bin").read_bytes()).hexdigest()
    checks.equal("a file of the mounted image", guest.shell("sha256sum </mnt/data.bin").split()[0], expected)
    checks.equal("the whole image, block by block", guest.shell("sha256sum </dev/sr0").split()[0], hashlib.sha256(iso.read_bytes()).hexdigest())


def check_lock(checks, guest, qmp, second):
    checks.equal("a mounted medium is locked", block(qmp, "cdrom0")["locked"], True)
    checks.check("and not ejected", "is locked" in refusal(qmp.run, "eject", id="cdrom0"))
    checks.check("and not changed", "is locked" in refusal(qmp.run, "blockdev-change-medium", id="cdrom0", filename=str(second)))
    guest.shell("cat /mnt/name.txt && umount /mnt")
    checks.equal("after umount it is not", block(qmp, "cdrom0")["locked"], False)


def check_change(checks, guest, qmp, folder, second):
    qmp.run("eject", id="cdrom0")
    checks.equal("eject: the tray opens", qmp.wait_event("DEVICE_TRAY_MOVED")["data"], {"device": "", "id": "cdrom0", "tray-open": True})
    seen = block(qmp, "cdrom0")
    checks.equal("and is empty", (seen["tray_open"], "inserted" in seen), (True, False))
    guest.shell("dd if=/dev/sr0 of=/dev/null count=1 2>/dev/null", status=1)
    qmp.run("blockdev-change-medium", id="cdrom0", filename=str(second), format="raw")
    checks.equal("change: the tray closes", qmp.wait_event("DEVICE_TRAY_MOVED")["data"]["tray-open"], False)
    checks.equal("query-block names the file", block(qmp, "cdrom0")["inserted"]["file"], str(second))
    checks.equal("the guest sees the new label", guest.shell("dd if=/dev/sr0 bs=1 skip=32808 count=10 2>/dev/null"), "ALCOVE_TWO")
    guest.shell("mount -t iso9660 -o ro /dev/sr0 /mnt")
    expected = hashlib.sha256((folder / "tree-ALCOVE_TWO/data.bin").read_bytes()).hexdigest()
    checks.equal("and the new contents", guest.shell("sha256sum </mnt/data.bin; umount /mnt").split()[0], expected)
    checks.check("a file that does not exist changes nothing", "No such file" in refusal(
        qmp.run, "blockdev-change-medium", id="cdrom0", filename="/nowhere.iso") and "inserted" in block(qmp, "cdrom0"))


def check_guest_ejects(checks, guest, qmp):
    qmp.events.clear()
    guest.shell("guest-tray /dev/sr0 open")
    checks.equal("the guest opens the tray", qmp.wait_event("DEVICE_TRAY_MOVED")["data"]["tray-open"], True)
    guest.shell("guest-tray /dev/sr0 close")
    checks.equal("and closes it", qmp.wait_event("DEVICE_TRAY_MOVED")["data"]["tray-open"], False)
    checks.equal("with the medium still in it", guest.shell("dd if=/dev/sr0 bs=1 skip=32808 count=10 2>/dev/null"), "ALCOVE_TWO")


def find_disk(guest, serial):
    """The guest's name for it: the kernel looks at all ports at once, and who answers first is sda."""
    return guest.shell(f"for disk in /sys/block/sd*; do if grep -q {serial} $disk/device/vpd_pg80; then basename $disk; fi; done").strip()


def check_disk(checks, guest, disk, content):
    name = find_disk(guest, "disk0")
    checks.equal("the disk's size in sectors", guest.shell(f"cat /sys/block/{name}/size"), str(DISK_SIZE // 512))
    checks.equal("commands are queued", guest.shell(f"cat /sys/block/{name}/device/queue_depth"), "32")
    checks.equal("serial number", guest.shell(f"tr -cd 'a-z0-9' </sys/block/{name}/device/vpd_pg80"), "disk0")
    checks.equal("the guest reads what the file holds", guest.shell(f"sha256sum </dev/{name}").split()[0], hashlib.sha256(content).hexdigest())
    guest.shell("yes written-by-the-guest | head -c 1048576 >/tmp/data; for i in 0 1 2 3; do "
                f"dd if=/tmp/data of=/dev/{name} bs=64k seek=$((i * 16)) conv=notrunc,fsync 2>/dev/null & done; wait")
    expected = (b"written-by-the-guest\n" * (MIB // 20))[:MIB]
    seen = disk.read_bytes()
    checks.check("the file holds what four writers wrote and flushed", seen[:4 * MIB] == expected * 4)
    checks.check("and nothing else changed", seen[4 * MIB:] == content[4 * MIB:])
    guest.shell(f"printf odd | dd of=/dev/{name} bs=1 seek=6234567 conv=notrunc,fsync 2>/dev/null")
    checks.equal("three bytes at an odd place", disk.read_bytes()[6234567:6234570], b"odd")
    before = disk.stat().st_blocks
    guest.shell(f"blkdiscard -o {4 * MIB} -l {MIB} /dev/{name}")
    checks.check("TRIM gives the host its room back", before - disk.stat().st_blocks >= MIB // 512, f"{before} -> {disk.stat().st_blocks}")


def check_served_disk(checks, guest, qmp, image):
    """A disk that is not raw, on a host that is full: the storage daemon serves it, is killed, and nothing is lost."""
    name = find_disk(guest, "disk1")
    checks.equal("a qcow2 disk on SATA", guest.shell(f"cat /sys/block/{name}/size"), str(SERVED_SIZE // 512))
    guest.shell("yes served | head -c 8388608 >/tmp/served")
    guest.send(f"(dd if=/tmp/served of=/dev/{name} bs=64k conv=notrunc,fsync 2>/dev/null; echo FILLED-$?) & true\n")
    guest.expect("@0@\n")
    error = qmp.wait_event("BLOCK_IO_ERROR")["data"]
    checks.check("a full host pauses the machine", error["node-name"] == "disk1" and error["nospace"], error)
    qmp.wait_event("STOP")
    # Several requests have failed, of which some may be told of only now.
    qmp.events.clear()
    qmp.run("cont")
    checks.check("cont without more room: the same once more", qmp.wait_event("BLOCK_IO_ERROR")["data"]["nospace"])
    qmp.wait_event("STOP")
    checks.equal("query-block says why", [entry["io-status"] for entry in qmp.run("query-block")][1], "nospace")
    qmp.events.clear()
    os.kill(guest.storage_daemon(image), signal.SIGKILL)
    # Else cont might come before anybody has noticed. There may be no event of its own: of one disk's errors the first is told.
    guest.wait_message("the process that serves the disk has ended")
    subprocess.run(["mount", "-o", "remount,size=32m", image.parent], check=True)
    qmp.run("cont")
    guest.expect("FILLED-0")
    guest.shell("echo 3 >/proc/sys/vm/drop_caches")
    checks.equal("with room nothing is lost, although the daemon was killed besides", guest.shell(f"cmp -n 8388608 /dev/{name} /tmp/served"), "")
    before = image.stat().st_blocks
    guest.shell(f"blkdiscard -o {4 * MIB} -l {4 * MIB} /dev/{name}")
    checks.check("TRIM gives the host its room back", before - image.stat().st_blocks >= 3 * MIB // 512, f"{before} -> {image.stat().st_blocks}")


def check_served_image(checks, folder, image):
    checked = subprocess.run(["qemu-img", "check", image], capture_output=True, text=True)
    # 3: a daemon that was killed had taken clusters that it had not used yet; they are lost, nothing else is wrong.
    checks.check("qemu-img check", checked.returncode in (0, 3), checked.stdout + checked.stderr)
    subprocess.run(["qemu-img", "convert", "-O", "raw", image, folder / "served.raw"], check=True)
    checks.check("the image holds what the guest wrote", (folder / "served.raw").read_bytes()[:4 * MIB] == b"served\n" * (4 * MIB // 7) + b"served\n"[:4 * MIB % 7])


def make_served(folder):
    image = folder / "full/disk.qcow2"
    image.parent.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", image.parent], check=True)
    subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", image, str(SERVED_SIZE)], check=True)
    return image


def check_force(checks, guest, qmp):
    """What a user forces is done, whatever the guest thinks of it: that goes on running."""
    guest.shell("mount -t iso9660 -o ro /dev/sr0 /mnt")
    qmp.run("eject", id="cdrom0", force=True)
    checks.equal("a forced eject of a mounted medium", "inserted" in block(qmp, "cdrom0"), False)
    guest.shell("cat /mnt/data.bin >/dev/null 2>&1; umount -l /mnt", status=None)


def check_cut_off(checks, guest, qmp, folder, iso):
    cut, odd = folder / "cut.iso", folder / "odd.iso"
    size = iso.stat().st_size // 2 // 2048 * 2048
    cut.write_bytes(iso.read_bytes()[:size])
    odd.write_bytes(iso.read_bytes()[:size + 1000])
    said = refusal(qmp.run, "blockdev-change-medium", id="cdrom0", filename=str(odd))
    checks.check("an image cut off inside a block: refused in a clear line", "cut off" in said and "fetch it again" in said, said)
    said = refusal(qmp.run, "blockdev-change-medium", id="cdrom0", filename=str(cut))
    checks.check("an image cut off in the middle: refused in a clear line", f"{cut}: is cut off: its volume has" in said and "fetch it again" in said, said)
    cut.write_bytes(iso.read_bytes())
    qmp.run("blockdev-change-medium", id="cdrom0", filename=str(cut))
    os.truncate(cut, size)
    guest.shell("mount -t iso9660 -o ro /dev/sr0 /mnt")
    guest.shell("cat /mnt/data.bin >/dev/null 2>&1", status=1)
    checks.check("one that is cut off while it is in the drive: what is missing is an error of the medium", "Medium Error" in guest.shell(
        "dmesg | grep -A3 'sr 0:0:0:0'", status=None) or "Medium Error" in guest.shell("dmesg | tail -20"), guest.shell("dmesg | tail -8"))
    checks.equal("the guest lives", guest.shell("umount /mnt; echo yes"), "yes")


def test_cdrom(checks, options):
    folder = pathlib.Path("/tmp/cdrom")
    folder.mkdir()
    first, second = make_iso(folder, "ALCOVE_ONE", 1), make_iso(folder, "ALCOVE_TWO", 2)
    content = random.Random(7).randbytes(DISK_SIZE)
    disk = folder / "disk.raw"
    disk.write_bytes(content)
    served = make_served(folder)
    with Guest(options, "--cdrom", str(first), "--disk", f"file={disk},format=raw,bus=ahci", "--disk", f"file={served},format=qcow2,bus=ahci", cpus=2, initrd="sata") as guest:
        guest.wait_ready()
        print(f"userspace after {guest.seconds():.1f} s", flush=True)
        qmp = guest.connect()
        guest.shell("i=0; while [ ! -b /dev/sr0 -o ! -b /dev/sda -o ! -b /dev/sdb ] && [ $i -lt 60 ]; do sleep 0.5; i=$((i + 1)); done")
        check_reading(checks, guest, folder, first)
        check_disk(checks, guest, disk, content)
        check_served_disk(checks, guest, qmp, served)
        checks.equal("the kernel complains of nothing", guest.shell(f"dmesg | grep -E '{TROUBLE}'", status=None), "")
        check_lock(checks, guest, qmp, second)
        check_change(checks, guest, qmp, folder, second)
        check_guest_ejects(checks, guest, qmp)
        checks.equal("nor of trays that move", guest.shell("dmesg | grep -E 'ata[0-9.]+: .*(exception|failed|timeout)'", status=None), "")
        check_force(checks, guest, qmp)
        check_cut_off(checks, guest, qmp, folder, first)
        qmp.run("quit")
        checks.equal("and it ends well", guest.wait_end(), 0)
    check_served_image(checks, folder, served)


def main():
    options, checks = Options(), Checks()
    checks.part(test_cdrom, options)
    return checks.end()


sys.exit(main())
