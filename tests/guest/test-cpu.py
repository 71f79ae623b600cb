"""Processors, Hyper-V's interfaces, and the clock after a pause."""

import struct
import sys
import time

from guest import Checks, Guest, Options
from machine_checks import check_acpi, check_log

TOPOLOGY = "/sys/devices/system/cpu/cpu{}/topology/"
CLOCKSOURCE = "cat /sys/devices/system/clocksource/clocksource0/current_clocksource"
PAUSE = 4  # seconds


def leaf(guest, number):
    return tuple(int(word, 16) for word in guest.shell(f"guest-cpuid {number:x}").split()[1:])


def text(*registers):
    return struct.pack(f"<{len(registers)}I", *registers).decode(errors="replace")


def check_clock(checks, guest, qmp):
    """Time goes on for a guest that stands still, as for one whose host slept."""
    guest.shell("cat /proc/uptime")
    qmp.run("stop")
    time.sleep(PAUSE)
    qmp.run("cont")
    seen = int(guest.shell("date +%s"))
    checks.check("the clock is right after a pause", abs(seen - time.time()) <= 2, f"{seen} against {time.time()}")
    rtc = int(guest.shell("hwclock -u >/dev/null; cat /sys/class/rtc/rtc0/since_epoch"))
    checks.check("and that of the chip", abs(rtc - time.time()) <= 2, f"{rtc} against {time.time()}")
    checks.equal("no watchdog minds", guest.shell("dmesg | grep -iE 'lockup|stall|hung'", status=None), "")


def test_sixteen(checks, options):
    with Guest(options, "--cpus", "16,sockets=2,threads=2", cpus=None, memory="1G", flavour="cloud") as guest:
        qmp = guest.connect()
        print(f"userspace on 16 CPUs after {guest.wait_ready():.1f} s", flush=True)
        checks.equal("16 CPUs are online", guest.shell("nproc"), "16")
        packages = guest.shell(f"cat {TOPOLOGY.format('*')}physical_package_id | sort | uniq -c").split()
        checks.equal("8 in each of 2 sockets", packages, ["8", "0", "8", "1"])
        # Linux believes in threads of AMD's only where the host has TOPOEXT, which TCG has not.
        checks.equal("2 threads a core, by the processor's own word", leaf(guest, 0xb)[:3], (1, 2, 0x100))
        checks.equal("8 of them in a socket", leaf(guest, 1)[1] >> 16 & 0xff, 8)
        checks.equal("each does its work", guest.shell("for i in $(seq 0 15); do taskset -c $i true || echo $i; done"), "")
        vmx_svm = guest.shell("grep -cwE 'vmx|svm|sgx' /proc/cpuinfo", status=None)
        checks.equal("no virtualisation in the guest", vmx_svm, "0")
        checks.equal("sleep states: none but of the kernel's own", guest.shell("cat /sys/power/mem_sleep"), "[s2idle]")
        checks.equal("the clock is KVM's, which goes on while the host sleeps", guest.shell(CLOCKSOURCE), "kvm-clock")
        checks.equal("the TSC is not said to do so", guest.shell("grep -cw nonstop_tsc /proc/cpuinfo", status=None), "0")
        check_log(checks, guest)
        check_acpi(checks, options, guest)
        check_clock(checks, guest, qmp)


def test_hyperv(checks, options):
    with Guest(options, "--hyperv", "on", flavour="cloud", cpus=2) as guest:
        guest.wait_ready()
        eax, *vendor = leaf(guest, 0x40000000)
        checks.equal("Hyper-V's leaves are the first", (eax, text(*vendor)), (0x40000005, "Microsoft Hv"))
        checks.equal("its interface", text(leaf(guest, 0x40000001)[0]), "Hv#1")
        features = leaf(guest, 0x40000003)
        checks.equal("hypercalls, VP index, reference counter and TSC, SynIC and its timers", features[0] & 0x26e, 0x26e)
        checks.equal("relaxed timing", leaf(guest, 0x40000004)[0] >> 5 & 1, 1)
        _, *vendor = leaf(guest, 0x40000100)
        checks.equal("KVM's own leaves are behind them", text(*vendor).rstrip("\0"), "KVMKVMKVM")
        checks.equal("and Linux's clock is KVM's", guest.shell(CLOCKSOURCE), "kvm-clock")
        check_log(checks, guest)
        guest.send("reboot -f\n")
        guest.wait_ready()
        checks.check("a reboot", True)


def main():
    options, checks = Options(), Checks()
    for part in (test_sixteen, test_hyperv):
        checks.part(part, options)
    return checks.end()


sys.exit(main())
