"""The memory balloon: what the guest frees or is asked for is the host's again, and the guest's when it needs it."""

import re
import sys
import time

from guest import Checks, Guest, Options

MIB = 1 << 20
MEMORY = 512
HOARD = 200  # MiB that the guest takes and frees


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
    checks.check("memory that the guest uses is resident", full >= HOARD, full)
    start = time.monotonic()
    guest.shell("umount /mnt")
    freed = wait_until(lambda: resident(guest), lambda value: value <= full - HOARD * 3 // 4)
    checks.check("what an idle guest has freed is given back", freed <= full - HOARD * 3 // 4, f"{full} MiB -> {freed} MiB")
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


def test_balloon(checks, options):
    with Guest(options, memory=f"{MEMORY}M", initrd="pc") as guest:
        guest.wait_ready()
        qmp = guest.connect()
        check_balloon(checks, guest, qmp)
        check_stats(checks, guest, qmp)
        check_reporting(checks, guest)
        checks.equal("nothing to complain about", guest.messages(), "")


def main():
    options, checks = Options(), Checks()
    checks.part(test_balloon, options)
    return checks.end()


sys.exit(main())
