"""Checks a manual page against its program. Usage: man.py PAGE PROGRAM CONTROL

Every option that PROGRAM --help lists is a heading of the page, with the same argument, the page has no option besides, and man
finds nothing to warn of. The page's section CONTROL has every command and every event of the tables in the folder CONTROL, and no other event.
"""

import os
import re
import shutil
import subprocess
import sys


COMMANDS, EVENTS = "qmp-command.c", "qmp-message.c"


def control_problems(text, folder):
    """What section and tables differ in. A name is printed bold; in lower case it is a command, in upper case an event."""
    commands = re.findall(r'^  \{ "([\w-]+)",', open(os.path.join(folder, COMMANDS), encoding="utf-8").read(), re.M)
    events = re.findall(r'^  \[MACHINE_EVENT_\w+\] = "(\w+)"', open(os.path.join(folder, EVENTS), encoding="utf-8").read(), re.M)
    problems = [f"{folder}: no table in {name}" for name, found in ((COMMANDS, commands), (EVENTS, events)) if not found]
    section = re.search(r"^\.SH CONTROL\n(.*?)^\.SH ", text, re.M | re.S)
    bold = " ".join(re.findall(r"^\.BR? (.*)$", section.group(1) if section else "", re.M))
    words = set(re.findall(r"[A-Za-z][\w-]*", bold))
    problems += [f"the section CONTROL lacks {name}" for name in sorted({*commands, *events} - words)]
    return problems + [f"{name} of the section CONTROL is no event" for name in sorted(words - set(events)) if name.isupper()]


def main():
    page, program, control = sys.argv[1:]
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
    problems += control_problems(text, control)
    if not listed:
        problems.append(f"{program} --help lists no option")
    print("\n".join(problems) if problems else f"man: {len(listed)} options")
    return 1 if problems else 0


sys.exit(main())
