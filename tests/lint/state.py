"""Checks that the monitor's core has no state outside of its objects: two machines in one process have nothing in common.

Usage: state.py OBJDUMP ARCHIVE. Looks at the writable data of each object file, as the compiler laid it out; ends 1 and names what is
not allowed below; ends 2 when it found no object file.
"""

import re
import subprocess
import sys

# File and name, with the reason.
ALLOWED = {
    # G_DEFINE_QUARK: a number that GLib gives once for all.
    (r"[\w-]+", r"q\.\d+"),
    # Tables of functions, which g_source_new () takes without const; nobody writes to them.
    (r"[\w-]+", r"\w+_funcs"),
    # libspice-server calls back without saying for whom; the fronts are all that there are, and are only looked up here. Main thread.
    ("spice-front", "fronts"),
}
# objdump -t: value, flags (O: an object, blank: one of a thread), section, size, name. What is only relocated is read-only afterwards.
SYMBOL = re.compile(r"^[0-9a-f]+ .{6}[O ] (\.(?:t?bss|t?data)\S*|\*COM\*)\s+[0-9a-f]+ (?:\.hidden )?([^.\s]\S*)$")


def main():
    objdump, archive = sys.argv[1:]
    table = subprocess.run([objdump, "-t", archive], capture_output=True, text=True, check=True).stdout
    file, files, problems = None, 0, []
    for line in table.splitlines():
        if ".o: " in line or line.endswith(".o:"):
            # FOLDER_NAME.c.o, as meson calls it.
            file, files = re.split(r"[/_]", line.split(".c.o:")[0])[-1], files + 1
            continue
        found = SYMBOL.match(line)
        if found and "rel.ro" not in found[1] and not any(re.fullmatch(a, file) and re.fullmatch(b, found[2]) for a, b in ALLOWED):
            problems.append(f"{file}.c: {found[2]}: writable, and of no machine")
    print("\n".join(problems) if problems else f"state: {files} object files")
    return 2 if not files else 1 if problems else 0


sys.exit(main())
