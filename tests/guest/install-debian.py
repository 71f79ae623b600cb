"""A whole Debian from an installer's ISO to an empty virtio disk, by sfdisk, mke2fs and grub-install in the guest; that disk's first boot,
by the entry that grub-install made with the firmware, and another one as a SATA disk. Minutes: by hand."""

import re
import shutil
import sys

from guest import Checks, Guest, Options
from installing import TEXT_SIZE, check_installation, check_menu, choose, log_in

DISK_SIZE = 1 << 30
INSTALL_SECONDS, LOGIN_SECONDS = 900, 600


def check_installed(checks, guest, disk):
    checks.equal("the root is the disk's second partition", guest.shell("findmnt -n -o SOURCE,FSTYPE /").split(), [f"/dev/{disk}2", "ext4"])
    checks.equal("and the first is mounted for the firmware", guest.shell("findmnt -n -o SOURCE,FSTYPE /boot/efi").split(), [f"/dev/{disk}1", "vfat"])
    entries = guest.shell("efibootmgr")
    current = re.search(r"BootCurrent: (\w+)", entries).group(1)
    checks.check("the firmware has started the entry that grub-install made", re.search(rf"^Boot{current}\* debian", entries, re.M), entries)
    checks.equal("no unit failed", guest.shell("systemctl --failed --no-legend --plain"), "")


def test_install(checks, options):
    with Guest(options, "--disk", f"file={options.disk},format=raw", "--cdrom", options.material["installer-iso"], "--nvram", options.nvram,
               form="uefi", cpus=2, memory="768M") as guest:
        qmp = guest.connect()
        check_menu(checks, options, guest, qmp, TEXT_SIZE)
        choose(guest, lambda: "guest-install: [" in guest.console)
        print(f"installer after {guest.seconds():.1f} s", flush=True)
        check_installation(checks, guest, qmp, INSTALL_SECONDS)
        guest.send("reboot -f\n")
        log_in(guest, "alcove-installed", LOGIN_SECONDS)
        check_installed(checks, guest, "vda")
        guest.send("poweroff\n")
        checks.equal("and it is switched off", guest.wait_end(), 0)


def test_other_controller(checks, options):
    with Guest(options, "--disk", f"file={options.disk},format=raw,bus=ahci", "--nvram", options.nvram, form="uefi", cpus=2, memory="768M") as guest:
        log_in(guest, "alcove-installed", LOGIN_SECONDS)
        checks.equal("the root is the SATA disk's", guest.shell("findmnt -n -o SOURCE /"), "/dev/sda2")
        guest.send("poweroff\n")
        checks.equal("and it is switched off", guest.wait_end(), 0)


def main():
    options, checks = Options(), Checks()
    options.disk, options.nvram = "/tmp/disk.raw", "/tmp/nvram.fd"
    with open(options.disk, "wb") as file:
        file.truncate(DISK_SIZE)
    options.material["installer-iso"] = shutil.copy(options.material["installer-iso"], "/tmp/installer.iso")
    checks.part(test_install, options)
    if not checks.failed:
        checks.part(test_other_controller, options)
    return checks.end()


sys.exit(main())
