"""Checks a manual page against its program. Usage: man.py PAGE PROGRAM

Every option that PROGRAM --help lists is a heading of the page, with the same argument, the page has no option besides, and man
finds nothing to warn of.
"""

import os
import re
import shutil
import subprocess
import sys


def main():
    page, program = sys.argv[1:]
    text = open(page, encoding="utf-8").read().replace("\\-", "-")
    usages = re.findall(r"^  (--.+)$", subprocess.run([program, "--help"], capture_output=True, text=True, check=True).stdout, re.M)
    listed = [usage.split()[0] for usage in usages]
    headings = re.findall(r"^\.TP\n\.[A-Z]+ \"?(--[a-z-]+)", text, re.M)
    problems = [f"{option} is not a heading of {page}" for option in listed if option not in headings]
    problems += [f"{option} of {page} is not listed by --help" for option in headings if option not in listed]
    if shutil.which("man"):
        # As it is read, without blanks; a short heading has its text behind it.
        page_text = subprocess.run(["man", "-E", "ascii", "-l", page], env={**os.environ, "MANWIDTH": "200"}, capture_output=True, text=True).stdout
        shown = ["".join(line.split()) for line in re.sub(".\b", "", page_text).splitlines()]
        for usage in usages:
            plain = "".join(usage.split())
            if not any(line == plain or (" " not in usage and line.startswith(plain)) for line in shown):
                problems.append(f"{page} has no heading {usage!r}, which is how --help has it")
        warnings = subprocess.run(["man", "--warnings", "-E", "UTF-8", "-l", "-Tutf8", "-Z", page],
                                  stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True).stderr
        problems += warnings.splitlines()
    if not listed:
        problems.append(f"{program} --help lists no option")
    print("\n".join(problems) if problems else f"man: {len(listed)} options")
    return 1 if problems else 0


sys.exit(main())
