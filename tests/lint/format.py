"""Checks that clang-format would change nothing. Usage: format.py SOURCE_ROOT; ends 77 without clang-format."""

import pathlib
import shutil
import subprocess
import sys


def main():
    root = pathlib.Path(sys.argv[1])
    tool = shutil.which("clang-format")
    if not tool:
        print("format: clang-format is not installed")
        return 77
    files = [str(p) for top in ("vmm", "display", "app", "tests") for p in sorted((root / top).rglob("*.[ch]"))]
    if not files:
        print("format: no source file found under", root)
        return 2
    result = subprocess.run([tool, "--dry-run", "--Werror", *files], capture_output=True, text=True)
    if result.returncode:
        bad = sorted({line.split(":")[0] for line in result.stderr.splitlines() if "error:" in line})
        print("\n".join(f"{name}: run clang-format -i on it" for name in bad))
        return 1
    print(f"format: {len(files)} files")
    return 0


sys.exit(main())
