"""Debian's own installer from an ISO: its boot loader's menu, and its first question, the language, on the screen."""

import pathlib
import shutil
import subprocess
import sys

from guest import Checks, Guest, Options
from installing import GRAPHICS_SIZE, check_menu, choose, picture

# Newt's colours: the text console's blue behind everything, its light grey for windows, red for the line that is chosen.
BLUE, GREY, RED = "#0000AA", "#AAAAAA", "#AA0000"


def share(picture, colour):
    """How much of a picture is of a colour, from 0 to 1."""
    said = subprocess.run(["convert", picture, "-fill", "black", "+opaque", colour, "-fill", "white", "-opaque", colour, "-format", "%[fx:mean]", "info:"],
                          capture_output=True, text=True, check=True).stdout
    return float(said)


def test_installer(checks, options):
    with Guest(options, "--cdrom", options.material["debian-installer-iso"], "--nvram", "/tmp/nvram.fd", form="uefi", cpus=2, memory="1G") as guest:
        qmp = guest.connect()
        check_menu(checks, options, guest, qmp, GRAPHICS_SIZE)
        file = options.folder / "language.png"

        def is_seen():
            picture(options, qmp, "language")
            return share(file, BLUE) > 0.03 and share(file, GREY) > 0.5 and 0.003 < share(file, RED) < 0.05

        try:
            choose(guest, is_seen, 400)
        finally:
            shutil.copy(file, options.pictures / "debian-installer.png")
        print(f"the language menu after {guest.seconds():.1f} s", flush=True)
        checks.check("the installer's first question is to be seen: a grey window on blue, a red line in it", True)


def main():
    options, checks = Options(), Checks()
    # Kept, to be looked at.
    options.pictures = pathlib.Path(options.material["debian-installer-iso"]).parent
    options.material["debian-installer-iso"] = shutil.copy(options.material["debian-installer-iso"], "/tmp/installer.iso")
    checks.part(test_installer, options)
    return checks.end()


sys.exit(main())
