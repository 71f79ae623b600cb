"""64 GiB on a host that has a few. Not in the suite: the kernel alone takes half a minute to write down so many pages."""

import re
import subprocess
import sys

from guest import Checks, Guest, Options


def test_much_memory(checks, options):
    """64 GiB on a host that has a few: as far as they are touched."""
    command = [options.vmm, "--accel", "kvm", "--memory", "64G", "--kernel", options.material["vmlinux-cloud"]]
    refused = subprocess.run(command, capture_output=True, text=True, timeout=60)
    checks.check("more memory than the host has is refused", refused.returncode == 1 and "overcommit=on" in refused.stderr, refused.stderr)
    with Guest(options, memory="64G,overcommit=on", flavour="cloud", cpus=2) as guest:
        print(f"userspace with 64 GiB after {guest.wait_ready():.1f} s", flush=True)
        total = int(re.search(r"MemTotal: +(\d+)", guest.shell("grep MemTotal /proc/meminfo")).group(1))
        checks.check("64 GiB are there", 62 < total / (1 << 20) < 64, total)
        guest.shell("mount -t tmpfs -o size=1g none /mnt && head -c 67108864 /dev/zero >/mnt/some")
        checks.equal("and can be used", guest.shell("wc -c </mnt/some"), "67108864")


def main():
    options, checks = Options(), Checks()
    checks.part(test_much_memory, options)
    return checks.end()


sys.exit(main())
