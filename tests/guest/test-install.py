"""An installer's ISO in the CD-ROM drive: stock firmware starts it, it installs a small system to an empty SATA disk, ejects itself,
and the disk boots to its login prompt. No driver but those that firmware and every system have: nothing here is virtio."""

import shutil
import sys

from guest import Checks, Guest, Options
from installing import TEXT_SIZE, check_installation, check_menu, choose, log_in

DISK_SIZE = 128 << 20
LOGIN_SECONDS = 300  # firmware, and a boot loader that reads by the firmware


def test_install(checks, options):
    with Guest(options, "--disk", f"file={options.disk},format=raw,bus=ahci", "--cdrom", options.material["small-installer-iso"],
               "--nvram", "/tmp/nvram.fd", form="uefi", cpus=2) as guest:
        qmp = guest.connect()
        check_menu(checks, options, guest, qmp, TEXT_SIZE)
        choose(guest, lambda: "guest-install: [" in guest.console)
        print(f"installer after {guest.seconds():.1f} s", flush=True)
        check_installation(checks, guest, qmp, 180)
        start = len(guest.console)
        guest.send("reboot -f\n")
        log_in(guest, "alcove-installed", LOGIN_SECONDS)
        checks.check("the firmware has started the disk", "cdrom0" not in guest.console[start:].split("BdsDxe: starting")[-1])
        checks.equal("whose second partition is the root", guest.shell("grep -c '^/dev/sda2 / ext4' /proc/mounts || cat /proc/mounts"), "1")
        checks.equal("the kernel complains of nothing", guest.shell("dmesg | grep -E 'ata[0-9.]+: .*(exception|failed|timeout)|I/O error, dev sd|EXT4-fs error'",
                                                                     status=None), "")
        guest.send("poweroff -f\n")
        checks.equal("and it is switched off", guest.wait_end(), 0)


def main():
    options, checks = Options(), Checks()
    options.disk = "/tmp/disk.raw"
    with open(options.disk, "wb") as file:
        file.truncate(DISK_SIZE)
    # In the appliance's memory: what is read by 9p comes at a tenth of the speed.
    options.material["small-installer-iso"] = shutil.copy(options.material["small-installer-iso"], "/tmp/installer.iso")
    checks.part(test_install, options)
    return checks.end()


sys.exit(main())
