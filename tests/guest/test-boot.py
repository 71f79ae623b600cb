"""Kernels of both flavours, by PVH and as bzImage, with little and much memory, start, restart and end as design and manual say."""

import hashlib
import pathlib
import re
import subprocess
import sys
import time

from guest import READY, Checks, Guest, Options
from machine_checks import check_acpi, check_log


def check_machine(checks, options, guest):
    checks.equal("2 CPUs are online", guest.shell("nproc"), "2")
    check_log(checks, guest)
    checks.equal("the clock is KVM's", guest.shell("cat /sys/devices/system/clocksource/clocksource0/current_clocksource"), "kvm-clock")
    checks.equal("random numbers are virtio's", guest.shell("cat /sys/class/misc/hw_random/rng_current"), "virtio_rng.0")
    checks.equal("they come", guest.shell("head -c 32 /dev/hwrng | wc -c"), "32")
    clock = int(guest.shell("hwclock -u >/dev/null && date +%s"))
    now = int(subprocess.run(["date", "+%s"], capture_output=True).stdout)
    checks.check("the guest's clock is right", abs(clock - now) <= 3, f"{clock} against {now}")


def check_streams(checks, guest, console):
    """What goes through the serial port and the virtio console in a hurry arrives whole."""
    text = "".join(f"{i:06d} {'abcdefghij' * 5}\n" for i in range(100))
    guest.send(f"head -c {len(text)} | sha256sum\n{text}")
    seen = guest.expect(r"([0-9a-f]{64})  -\n@0@\n").group(1)
    checks.equal("100 lines typed at once into the serial port", seen, hashlib.sha256(text.encode()).hexdigest())
    guest.shell("(stty raw; head -c 300000 /bin/busybox >&0) <>/dev/hvc0")
    expected = pathlib.Path("/bin/busybox").read_bytes()[:300000]
    end = time.monotonic() + 20
    while console.stat().st_size < len(expected) and time.monotonic() < end:
        guest.pump(0.2)
    checks.check("300000 bytes through the virtio console", console.read_bytes() == expected, console.stat().st_size)


def test_generic_pvh(checks, options):
    """The whole machine looked at; then stop, cont, and the kernel's panic."""
    console = pathlib.Path("/tmp/console")
    with Guest(options, "--console", f"file={console}", cpus=2) as guest:
        qmp = guest.connect()
        print(f"userspace after {guest.wait_ready():.1f} s", flush=True)
        check_machine(checks, options, guest)
        check_acpi(checks, options, guest)
        check_streams(checks, guest, console)

        qmp.run("stop")
        checks.equal("stop: query-status", qmp.run("query-status")["status"], "paused")
        guest.send("echo alive\n")
        checks.check("a stopped guest says nothing", guest.pump(1.5) and "alive" not in guest.console[guest.mark:])
        qmp.run("cont")
        guest.expect(r"alive\n@0@\n")
        checks.check("cont: it goes on", True)

        guest.send("echo c >/proc/sysrq-trigger\n")
        qmp.wait_event("GUEST_PANICKED")
        checks.equal("a panic ends with 3", guest.wait_end(), 3)
        checks.check("and says so", "panicked" in guest.messages(), guest.messages())


def test_cloud_pvh_small(checks, options):
    """Little memory (a Debian kernel's own least is above 64 MiB), two restarts in one process, the power button, power off."""
    with Guest(options, flavour="cloud", memory="96M") as guest:
        qmp = guest.connect()
        print(f"userspace after {guest.wait_ready():.1f} s", flush=True)
        total = int(re.search(r"MemTotal: +(\d+)", guest.shell("grep MemTotal /proc/meminfo")).group(1))
        checks.check("96 MiB are enough", total < 96 << 10, total)
        guest.shell("echo only-once >/tmp/flag")

        guest.send("reboot -f\n")
        guest.wait_ready()
        checks.equal("the guest's reboot is a RESET by the guest", qmp.wait_event("RESET")["data"]["guest"], True)
        guest.shell("test -e /tmp/flag", status=1)
        checks.check("it is a fresh system in the same process", guest.process.poll() is None)
        qmp.run("system_reset")
        guest.wait_ready()
        checks.equal("system_reset is a RESET by the host", qmp.wait_event("RESET")["data"]["guest"], False)

        number = guest.shell("grep -A 5 'Power Button' /proc/bus/input/devices | sed -n 's/.*event\\([0-9]*\\).*/\\1/p'")
        guest.send(f"head -c 24 /dev/input/event{number} | hexdump -v -e '/1 \"%02x\"'\n")
        guest.pump(1)
        qmp.run("system_powerdown")
        # Type EV_KEY, code KEY_POWER (116), value 1.
        guest.expect("0100740001000000@0@")
        checks.check("the power button is pressed in the guest", True)
        qmp.wait_event("POWERDOWN")
        guest.send("poweroff -f\n")
        checks.equal("power off by the guest: why", qmp.wait_event("SHUTDOWN")["data"]["reason"], "guest-shutdown")
        checks.equal("it ends with 0", guest.wait_end(), 0)
        checks.equal("nothing to complain about", guest.messages(), "")


def test_cloud_bzimage_large(checks, options):
    with Guest(options, flavour="cloud", form="kernel", memory="5G", cpus=8) as guest:
        qmp = guest.connect()
        print(f"userspace after {guest.wait_ready():.1f} s", flush=True)
        checks.equal("8 CPUs are online", guest.shell("nproc"), "8")
        total = int(re.search(r"MemTotal: +(\d+)", guest.shell("grep MemTotal /proc/meminfo")).group(1))
        checks.check("5 GiB are there", 4.7 < total / (1 << 20) < 5, total)
        iomem = guest.shell("grep 'System RAM' /proc/iomem")
        checks.check("some of them above 4 GiB", re.search("^100000000-", iomem, re.M), iomem)
        check_log(checks, guest)
        check_acpi(checks, options, guest)
        qmp.run("quit")
        checks.equal("quit: why", qmp.wait_event("SHUTDOWN")["data"]["reason"], "host-qmp-quit")
        checks.equal("quit ends with 0", guest.wait_end(), 0)


def test_triple_fault(checks, options):
    """reboot=t makes Linux restart by a triple fault."""
    with Guest(options, flavour="cloud", cmdline="reboot=t alcove.end=reboot", memory="128M") as guest:
        guest.expect(READY)
        checks.equal("a triple fault ends with 3", guest.wait_end(), 3)
        checks.check("and says so", "triple fault" in guest.messages(), guest.messages())


def main():
    options, checks = Options(), Checks()
    for part in (test_generic_pvh, test_cloud_pvh_small, test_cloud_bzimage_large, test_triple_fault):
        checks.part(part, options)
    return checks.end()


sys.exit(main())
