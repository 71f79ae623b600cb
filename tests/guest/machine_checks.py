"""What a kernel says about the machine, whatever started it: its log and the ACPI tables."""

import os
import re
import shutil
import subprocess

# Words of the kernel's that blame the machine for a fault; sought in the guest, for the serial line is slow.
BLAME = ("firmware bug|bios bug|acpi error|acpi warning|acpi bios|\\bbug:|oops|warning: cpu|virtio.*(fail|error)|"
         "unable to|pci.*(conflict|can.t|no compatible|failed)|spurious|lockup|unstable|timed out")
# Debian's modules, once stripped, have no signature. And the chipset's watchdog is switched off, as by a strap of the board: its driver, which
# comes with every LPC bridge of the kind, says so.
EXCUSED = "module verification failed|unable to reset NO_REBOOT flag, device disabled by hardware"
# The outer QEMU's doing, seen in the same way with QEMU as the monitor: TCG does not intercept XSETBV, so KVM's CPUID leaf Dh lags
# behind, and its processors' counters differ.
if "ALCOVE_IN_APPLIANCE" in os.environ:
    EXCUSED += "|fpu__init_system_xstate|TSCs unsynchronized"

# What iasl counts when there is nothing.
QUIET = re.compile(r"\b0 (Errors|Warnings|Remarks)")


def check_log(checks, guest):
    checks.check("the kernel's log can be read", int(guest.shell("dmesg | wc -l")) > 100)
    checks.equal("the kernel blames the machine for nothing", guest.shell(f"dmesg | grep -iE '{BLAME}' | grep -vE '{EXCUSED}'", status=None), "")


def check_acpi(checks, options, guest):
    """iasl takes the tables apart and puts each together again, without a remark."""
    folder = options.folder / "acpi"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    for name in guest.shell("ls /sys/firmware/acpi/tables").split():
        if name in ("data", "dynamic"):
            continue
        (folder / f"{name}.dat").write_bytes(guest.file(f"/sys/firmware/acpi/tables/{name}"))
    names = sorted(file.stem for file in folder.glob("*.dat"))
    checks.check("FACP, APIC, MCFG, DSDT are among the ACPI tables", {"FACP", "APIC", "MCFG", "DSDT"} <= set(names), names)
    for name in names:
        apart = subprocess.run(["iasl", "-d", f"{name}.dat"], cwd=folder, capture_output=True, text=True)
        said = apart.stdout + apart.stderr
        checks.check(f"iasl takes {name} apart", apart.returncode == 0 and not re.search(r"error|warning|invalid", said, re.I), said)
        # -we: a warning is an error; remarks are counted.
        again = subprocess.run(["iasl", "-we", "-tc", f"{name}.dsl"], cwd=folder, capture_output=True, text=True)
        said = again.stdout + again.stderr
        checks.check(f"iasl makes {name} again without a remark", again.returncode == 0 and not re.search(r"error|warning|remark", QUIET.sub("", said), re.I),
                     said)
