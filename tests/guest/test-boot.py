"""Kernels boot to userspace and end as alcove-vmm's exit status says."""

import sys

from guest import Checks, Guest, Options


def test_generic_pvh(checks, options):
    """An uncompressed kernel by PVH; then the guest powers off."""
    with Guest(options, cpus=2) as guest:
        print(f"userspace after {guest.wait_ready():.1f} s", flush=True)
        checks.equal("2 CPUs are online", guest.shell("nproc"), "2")
        guest.send("poweroff -f\n")
        checks.equal("power off by the guest ends with 0", guest.wait_end(), 0)
        checks.equal("nothing to complain about", guest.messages(), "")


def main():
    options, checks = Options(), Checks()
    checks.part(test_generic_pvh, options)
    return checks.end()


sys.exit(main())
