"""Checks the walls of the house: who may include whom.

Usage: layers.py SOURCE_ROOT. Ends 1 and names each crossing; ends 2 when it found nothing to check.

Within vmm/ a file includes from its own folder and from lower layers only. Devices (virtio/, platform/)
never include kvm/ or spice/. Folders of app/ and of display/ lie one above the other as well. app/ takes one header of display/, and only
app/ui does; none of vmm/. GTK is for app/ui, display/view, display/input, what is in display/ itself and its demo viewer.
"""

import pathlib
import re
import sys

VMM_LAYERS = [
    {"base"},
    {"config"},
    {"bus", "block", "net", "ports", "acpi", "sandbox"},
    {"kvm", "pci", "spice"},
    {"virtio", "platform"},
    {"firmware", "helpers"},
    {"machine"},
    {"snapshot", "control", "emulation"},
]
VMM_LEVEL = {folder: level for level, folders in enumerate(VMM_LAYERS) for folder in folders}
# Folders that may not see one another although their levels would allow it.
VMM_FORBIDDEN = {
    ("virtio", "kvm"), ("virtio", "spice"), ("platform", "kvm"), ("platform", "spice"),
    ("block", "bus"), ("net", "bus"), ("pci", "kvm"), ("spice", "kvm"), ("spice", "pci"),
    ("kvm", "pci"), ("kvm", "spice"),
}
# Lowest first; what is in app/ or display/ itself, and the demo viewer, sees all of it.
APP_LAYERS = ["base", "machine", "gallery", "cli", "ui"]
DISPLAY_LAYERS = ["frame", "transport", "view", "input"]
# By folder, and by file where a file is in app/ or display/ itself.
GTK = ("app/ui/", "display/view/", "display/input/", "display/demo/", "display/display")
GTK_HEADERS = ("gtk/", "gdk/", "gsk/", "graphene", "adwaita")
INCLUDE = re.compile(r'^\s*#\s*include\s+([<"])([^>"]+)[>"]', re.M)


def check_vmm(path, header, root):
    parts = path.parts
    target = header.split("/")[0]
    if header.startswith(("app/", "display/")):
        return "vmm shares no code with app or display"
    if len(parts) < 3 or target not in VMM_LEVEL:
        return None
    folder = parts[1]
    if folder == target:
        return None
    if folder not in VMM_LEVEL:
        return f"vmm/{folder} is not in the table of layers"
    if (folder, target) in VMM_FORBIDDEN:
        return f"{folder}/ never includes {target}/"
    if VMM_LEVEL[target] >= VMM_LEVEL[folder] and VMM_LEVEL[target] != VMM_LEVEL[folder]:
        return f"{folder}/ is below {target}/"
    if VMM_LEVEL[target] == VMM_LEVEL[folder]:
        return f"{folder}/ and {target}/ are neighbours of one layer"
    return None


def check_order(path, header, layers):
    """Within app or display."""
    folder, target = path.parts[1], header.split("/")[0]
    if folder in layers and target in layers and layers.index(target) > layers.index(folder):
        return f"{folder}/ is below {target}/"
    return None


def check_app(path, header):
    if header.startswith("vmm/"):
        return "app and vmm meet in contracts, not in code"
    if header.startswith("display/"):
        if header != "display/display.h":
            return "app sees display/display.h only"
        return None if path.parts[1] == "ui" else "the display is a widget, and widgets are app/ui's"
    return check_order(path, header, APP_LAYERS)


def check_file(path, root):
    text = (root / path).read_text(errors="replace")
    for quote, header in INCLUDE.findall(text):
        where = str(path)
        if quote == "<" and header.startswith(GTK_HEADERS) and not where.startswith(GTK):
            yield f"{where}: includes <{header}>: no GTK here"
        if quote != '"':
            continue
        if path.parts[0] == "vmm":
            reason = check_vmm(path, header, root)
        elif path.parts[0] == "app":
            reason = check_app(path, header)
        elif header.startswith(("app/", "vmm/")):
            reason = "display knows neither app nor vmm"
        else:
            reason = check_order(path, header, DISPLAY_LAYERS)
        if reason:
            yield f'{where}: includes "{header}": {reason}'


def main():
    root = pathlib.Path(sys.argv[1])
    paths = [p.relative_to(root) for top in ("vmm", "display", "app") for p in sorted((root / top).rglob("*.[ch]"))]
    if not paths:
        print("layers: no source file found under", root)
        return 2
    problems = [line for path in paths for line in check_file(path, root)]
    names = {}
    for path in paths:
        if path.name != "main.c":
            names.setdefault(path.name, []).append(str(path))
    problems += [f"{' and '.join(where)}: base names are unique in the tree" for where in names.values() if len(where) > 1]
    print("\n".join(problems) if problems else f"layers: {len(paths)} files, no wall crossed")
    return 1 if problems else 0


sys.exit(main())
