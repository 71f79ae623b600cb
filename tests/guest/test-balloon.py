"""The memory balloon: what the guest frees or is asked for is the host's again, and the guest's when it needs it. And vsock."""

import random
import re
import socket
import subprocess
import sys
import threading
import time

from guest import Checks, Guest, Options

MIB = 1 << 20
MEMORY = 512
CID = 42
HOARD = 120  # MiB that the guest takes and frees


def resident(guest):
    """MiB of the host that alcove-vmm holds."""
    with open(f"/proc/{guest.process.pid}/status") as status:
        return int(re.search(r"VmRSS:\s+(\d+) kB", status.read()).group(1)) // 1024


def memory(guest, name):
    """MiB, as the guest's kernel counts them."""
    return int(guest.shell(f"awk '/{name}:/ {{ print $2 }}' /proc/meminfo")) // 1024


def wait_until(get, is_enough, seconds=40):
    """The value in the end."""
    end = time.monotonic() + seconds
    while not is_enough(value := get()) and time.monotonic() < end:
        time.sleep(0.5)
    return value


def hoard(guest):
    guest.shell(f"mount -t tmpfs -o size={HOARD + 10}m none /mnt && dd if=/dev/urandom of=/tmp/piece bs=1M count=4 2>/dev/null")
    guest.shell(f"i=0; while [ $i -lt {HOARD // 4} ]; do cat /tmp/piece; i=$((i + 1)); done >/mnt/hoard")


def check_reporting(checks, guest):
    hoard(guest)
    full = resident(guest)
    enough = full - HOARD * 3 // 4
    checks.check("memory that the guest uses is resident", full >= HOARD, full)
    start = time.monotonic()
    guest.shell("umount /mnt")
    freed = wait_until(lambda: resident(guest), lambda value: value <= enough)
    checks.check("what an idle guest has freed is given back", freed <= enough, f"{full} MiB -> {freed} MiB")
    print(f"resident: {full} MiB, {freed} MiB {time.monotonic() - start:.1f} s after the guest freed {HOARD} MiB", flush=True)
    hoard(guest)
    checks.equal("and is the guest's again", guest.shell("wc -c </mnt/hoard"), str(HOARD * MIB))
    guest.shell("umount /mnt")


def check_balloon(checks, guest, qmp):
    checks.equal("query-balloon: all of it at first", qmp.run("query-balloon"), {"actual": MEMORY * MIB})
    before = memory(guest, "MemFree")
    qmp.run("balloon", value=(MEMORY - 128) * MIB)
    actual = wait_until(lambda: qmp.run("query-balloon")["actual"], lambda value: value == (MEMORY - 128) * MIB)
    checks.equal("the guest gives 128 MiB", actual, (MEMORY - 128) * MIB)
    checks.check("BALLOON_CHANGE", qmp.wait_event("BALLOON_CHANGE", 5)["data"]["actual"] < MEMORY * MIB)
    given = before - memory(guest, "MemFree")
    checks.check("it has so much less", 120 <= given <= 136, given)
    qmp.run("balloon", value=MEMORY * MIB)
    actual = wait_until(lambda: qmp.run("query-balloon")["actual"], lambda value: value == MEMORY * MIB)
    checks.equal("and gets it back", actual, MEMORY * MIB)


def check_stats(checks, guest, qmp):
    path = "/machine/peripheral/balloon0"
    qmp.run("qom-set", path=path, property="guest-stats-polling-interval", value=1)
    stats = wait_until(lambda: qmp.run("qom-get", path=path, property="guest-stats"), lambda stats: stats["stats"]["stat-total-memory"] > 0, 10)
    checks.equal("statistics: the guest's memory", stats["stats"]["stat-total-memory"] // MIB, memory(guest, "MemTotal"))
    first = stats["last-update"]
    stats = wait_until(lambda: qmp.run("qom-get", path=path, property="guest-stats"), lambda stats: stats["last-update"] > first, 10)
    checks.check("they are told again and again", stats["last-update"] > first, stats)


def echo(connection, data):
    """data as it comes back; sent from a thread, or both sides would wait."""
    sender = threading.Thread(target=lambda: (connection.sendall(data), connection.shutdown(socket.SHUT_WR)))
    sender.start()
    back = b""
    while piece := connection.recv(65536):
        back += piece
    sender.join()
    return back


def check_vsock(checks, options, guest):
    data = random.Random(3).randbytes(MIB)
    guest.shell("guest-vsock echo 1024 >/tmp/echo & while ! grep -q listening /tmp/echo; do sleep 0.1; done")
    with socket.socket(socket.AF_VSOCK) as connection:
        connection.settimeout(30)
        connection.connect((CID, 1024))
        checks.check("vsock: a MiB from the host comes back from the guest", echo(connection, data) == data)
    with socket.socket(socket.AF_VSOCK) as listener:
        listener.bind((socket.VMADDR_CID_ANY, 1025))
        listener.listen()
        guest.send("echo from-the-guest | guest-vsock send 2 1025; echo @$?@\n")
        listener.settimeout(30)
        connection, (cid, _) = listener.accept()
        with connection:
            checks.equal("and the guest reaches the host, by its own address", (cid, connection.recv(100)), (CID, b"from-the-guest\n"))
            connection.sendall(b"from-the-host\n")
    checks.check("and hears its answer", bool(guest.expect("from-the-host\n@0@\n@0@\n")))
    second = subprocess.run([options.vmm, "--accel", "kvm", "--vsock", str(CID), "--kernel", options.material["vmlinux-generic"]],
                            capture_output=True, text=True, timeout=60)
    checks.check("another machine cannot have its address", second.returncode == 1 and "choose another" in second.stderr, second.stderr)


def test_balloon(checks, options):
    with Guest(options, "--vsock", str(CID), memory=f"{MEMORY}M", initrd="pc") as guest:
        guest.wait_ready()
        qmp = guest.connect()
        check_balloon(checks, guest, qmp)
        check_stats(checks, guest, qmp)
        check_reporting(checks, guest)
        check_vsock(checks, options, guest)
        checks.equal("nothing to complain about", guest.messages(), "")


def main():
    options, checks = Options(), Checks()
    checks.part(test_balloon, options)
    return checks.end()


sys.exit(main())
