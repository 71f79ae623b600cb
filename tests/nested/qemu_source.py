"""QEMU's own QMP client, taken out of Debian's source package of QEMU: no binary package of Debian has it."""

import os
import pathlib
import re
import subprocess
import tempfile

SOURCES = pathlib.Path("/etc/apt")
WANTED = "*/python/qemu/*"


def source_entries(text, is_deb822):
    """The lines of a list of packages, of the sources beside them."""
    if is_deb822:
        return re.sub(r"(?m)^Types:.*$", "Types: deb-src", text)
    return "".join(f"deb-src {line[4:]}\n" for line in text.splitlines() if line.startswith("deb "))


def write_sources(folder):
    lists = [SOURCES / "sources.list", *sorted((SOURCES / "sources.list.d").glob("*"))]
    for file in lists:
        if file.suffix in (".list", ".sources") and file.is_file():
            (folder / file.name).write_text(source_entries(file.read_text(), file.suffix == ".sources"))


def fetch(target):
    """Puts QEMU's python folder at target, which is not there yet. Raises CalledProcessError where there are no sources to be had."""
    with tempfile.TemporaryDirectory(dir=target.parent) as name:
        folder = pathlib.Path(name)
        for part in ("sources", "lists/partial", "cache/archives/partial"):
            (folder / part).mkdir(parents=True)
        write_sources(folder / "sources")
        own = {"Dir::Etc::sourcelist": "/dev/null", "Dir::Etc::sourceparts": folder / "sources", "Dir::State::lists": folder / "lists",
               "Dir::Cache": folder / "cache", "APT::Sandbox::User": "root"}
        options = [word for key, value in own.items() for word in ("-o", f"{key}={value}")]
        for command in (["update"], ["source", "--download-only", "qemu"]):
            subprocess.run(["apt-get", "-q", *options, *command], cwd=folder, check=True, capture_output=True)
        archive = next(folder.glob("qemu_*.orig.tar.*"))
        subprocess.run(["tar", "-xf", archive, "--strip-components=1", "--wildcards", WANTED], cwd=folder, check=True)
        os.rename(folder / "python", target)
