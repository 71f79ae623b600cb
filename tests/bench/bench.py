"""Runs every benchmark and says which of the project's limits are met. Usage: bench.py BUILD_FOLDER

The machines that this runs on are often shared and always different: only ratios within one run are told, and a limit that is
missed does not make this fail (limits.py says what counts as met). Ends 1 when a benchmark could not run.
"""

import os
import pathlib
import subprocess
import sys

from limits import MEANING

ROOT = pathlib.Path(__file__).resolve().parents[2]
NESTED = ROOT / "tests" / "nested"
sys.path.insert(0, str(NESTED))
from material import Material  # noqa: E402


def material(*words):
    return subprocess.run([sys.executable, str(NESTED / "material.py"), *words], check=True, capture_output=True, text=True).stdout.strip()


def run(title, command):
    """The statuses of limits.py are answers, everything else is none."""
    print(f"bench: {title}", flush=True)
    status = subprocess.run([str(word) for word in command], cwd=ROOT).returncode
    if status not in MEANING:
        print(f"bench: {title}: could not run (status {status})", flush=True)
    return status


def main():
    build = pathlib.Path(sys.argv[1]).absolute()
    debian = material("debian-server")
    kernel, initrd, initrd_net = material("vmlinux", "generic"), material("initrd", "generic"), material("initrd", "net")
    statuses = {
        "frame paths": run("frames from the monitor to a client", [build / "tests" / "bench" / "bench-scanout"]),
        "boots": run("boots on KVM", [
            NESTED / "appliance", "--timeout", "900", "--rw", pathlib.Path(os.path.commonpath([kernel, initrd])), "--",
            "python3", "tests/bench/bench-boot.py", "--vmm", build / "vmm" / "alcove-vmm", "--kernel", kernel, "--initrd", initrd]),
        "disks": run("disks on KVM", [
            NESTED / "appliance", "--timeout", "2700", "--memory", "4G", "--rw", pathlib.Path(os.path.commonpath([kernel, initrd])), "--",
            "python3", "tests/bench/bench-disk.py", "--vmm", build / "vmm" / "alcove-vmm", "--kernel", material("vmlinux", "cloud"),
            "--initrd", material("initrd", "cloud"), "--tools", material("fio-disk"),
            "--ramdisk", ",".join(map(str, Material().load_order("generic", ["brd", "crc32c_generic", "ext4"])))]),
        "firmware": run("Debian through UEFI firmware on KVM", [
            NESTED / "appliance", "--timeout", "3000", "--memory", "5G", "--rw", pathlib.Path(debian).parent, "--",
            "python3", "tests/bench/bench-uefi.py", "--vmm", build / "vmm" / "alcove-vmm", "--disk", debian, "--runs", "2"]),
        "network": run("the network on KVM", [
            NESTED / "appliance", "--timeout", "600", "--rw", pathlib.Path(os.path.commonpath([kernel, initrd_net])), "--",
            "python3", "tests/bench/bench-net.py", "--vmm", build / "vmm" / "alcove-vmm", "--kernel", kernel, "--initrd", initrd_net]),
    }
    for name, status in statuses.items():
        print(f"bench: {name}:", MEANING.get(status, "did not run"))
    return 0 if all(status in MEANING for status in statuses.values()) else 1


sys.exit(main())
