"""po/POTFILES names every file with a text that is translated, and no other. Usage: potfiles.py SOURCE_ROOT"""

import pathlib
import re
import sys

root = pathlib.Path(sys.argv[1])
MARKS = {".c": re.compile(r'\b(?:N?_|g_dngettext) \('), ".ui": re.compile('translatable="yes"')}


def has_texts(path):
    return MARKS[path.suffix].search(path.read_text()) is not None


wanted = {str(path.relative_to(root)) for part in ("app", "display") for path in (root / part).rglob("*")
          if path.suffix in MARKS and has_texts(path)}
wanted |= {str(path.relative_to(root)) for suffix in ("desktop.in", "metainfo.xml.in") for path in (root / "data").glob(f"*.{suffix}")}
named = set((root / "po" / "POTFILES").read_text().split())
for path in sorted(wanted - named):
    print(f"po/POTFILES: {path} has texts to translate and is missing")
for path in sorted(named - wanted):
    print(f"po/POTFILES: {path} is not there or has no texts")
sys.exit(wanted != named)
