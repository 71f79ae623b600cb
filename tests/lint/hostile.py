"""tests/vmm/hostile-guest.md names the tests that are there, and all of them. Usage: hostile.py SOURCE_ROOT

The last cell of a line is `PROGRAM`, ...: `NAME`, ... among words, where NAME may have a * and stands for hostile-LINE-NAME in test-PROGRAM.c.
"""

import fnmatch
import pathlib
import re
import sys

ROW = re.compile(r"^\| (\d+) \|.*\| (.*) \|$")
TOKEN = re.compile(r"`([a-z0-9*/-]+)`")
NAME = re.compile(r'"(?:/[a-z0-9-]+/)?hostile-(\d+)-([a-z0-9/-]+?)/?"')
NONE = "there are none"


def read_cell(cell, programs_there):
    """Pairs of program and name. Several programs in a row have all the names that follow."""
    programs, after_name = [], True
    for word in TOKEN.findall(cell):
        if word in programs_there:
            programs = [word] if after_name else [*programs, word]
            after_name = False
        else:
            yield from ((program, word) for program in programs)
            after_name = True


root = pathlib.Path(sys.argv[1])
sources = {path.stem.removeprefix("test-"): path for path in (root / "tests/vmm").rglob("test-*.c")}
there = {(program, int(line), name) for program, path in sources.items() for line, name in NAME.findall(path.read_text())}
named, complaints = set(), []
for text in (root / "tests/vmm/hostile-guest.md").read_text().splitlines():
    row = ROW.match(text)
    if not row:
        continue
    line, cell = int(row[1]), row[2]
    pairs = list(read_cell(cell, sources))
    if not pairs and cell != NONE:
        complaints.append(f"line {line} names no test")
    for program, pattern in pairs:
        found = {test for test in there if test[:2] == (program, line) and fnmatch.fnmatchcase(test[2], pattern)}
        if not found:
            complaints.append(f"line {line}: test-{program}.c has no hostile-{line}-{pattern}")
        named |= found
complaints += [f"test-{program}.c: hostile-{line}-{name} is not named" for program, line, name in sorted(there - named)]
for complaint in complaints:
    print(f"tests/vmm/hostile-guest.md: {complaint}")
print(f"hostile: {len(there)} tests")
sys.exit(bool(complaints))
