"""Checks a manual page against its program. Usage: man.py PAGE PROGRAM

Every option that PROGRAM --help lists is a heading of the page, the page has no option besides, and man finds nothing to warn of.
"""

import re
import shutil
import subprocess
import sys


def main():
    page, program = sys.argv[1:]
    text = open(page, encoding="utf-8").read().replace("\\-", "-")
    listed = re.findall(r"^  (--[a-z-]+)", subprocess.run([program, "--help"], capture_output=True, text=True, check=True).stdout, re.M)
    headings = re.findall(r"^\.TP\n\.[A-Z]+ \"?(--[a-z-]+)", text, re.M)
    problems = [f"{option} is not a heading of {page}" for option in listed if option not in headings]
    problems += [f"{option} of {page} is not listed by --help" for option in headings if option not in listed]
    if shutil.which("man"):
        warnings = subprocess.run(["man", "--warnings", "-E", "UTF-8", "-l", "-Tutf8", "-Z", page],
                                  stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True).stderr
        problems += warnings.splitlines()
    if not listed:
        problems.append(f"{program} --help lists no option")
    print("\n".join(problems) if problems else f"man: {len(listed)} options")
    return 1 if problems else 0


sys.exit(main())
