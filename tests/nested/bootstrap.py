"""A Debian as an image file, made by mmdebstrap for whoever calls: root, or a user by a namespace of its own (uidmap).

In that namespace the files have their right owners, and so the image is made there; but it is another user there, who cannot write into the
caller's folders. The image is therefore made beside the tree, put into it and handed out by mmdebstrap itself ("download").
"""

import os
import shlex

# $tree: the system, on a bind mount and so without what is mounted in it; $image: the file to be made.
MAKE = """set -e
work=$(mktemp -d -p "$(dirname "$1")")
tree=$work/tree
image=$work/image
mkdir "$tree"
mount --bind "$1" "$tree"
trap 'umount "$tree"; rm -f "$image"; rmdir "$tree" "$work"' EXIT
{}
mv "$image" "$1/alcove-image"
"""


def ext4(label, size):
    return f'mke2fs -q -t ext4 -F -L {label} -d "$tree" "$image" {size}'


def make(path, make_image, packages, mirror, run, hooks=(), essential_hooks=(), left_out=()):
    """path: a new file. make_image: a shell command for $tree and $image. run: what runs a command or raises. Each hook has the tree as $1."""
    whole = path.with_name(path.name + ".whole")
    try:
        run("mmdebstrap", "--variant=minbase", "--format=null", f"--include={packages}", *(f"--dpkgopt=path-exclude={name}" for name in left_out),
            *(f"--essential-hook={hook}" for hook in essential_hooks), *(f"--customize-hook={hook}" for hook in hooks),
            f"--customize-hook={MAKE.format(make_image)}", f"--customize-hook=download /alcove-image {shlex.quote(os.fspath(whole))}",
            "bookworm", "/dev/null", *mirror)
        # It came through a pipe, with every zero.
        run("cp", "--sparse=always", whole, path)
    finally:
        whole.unlink(missing_ok=True)
