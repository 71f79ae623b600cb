"""A private copy of QEMU's TCG module in which a guest of a guest may write CR8.

QEMU's TCG (7.2, 10.0, 11.1) asserts that its big lock is held where a virtual interrupt becomes pending. A guest of the guest that writes
CR8 (OVMF does at each of its timer interrupts, Windows too) comes there without the lock, and QEMU ends. In the copy the assertion is
jumped over and the OR into the interrupt word that follows it is made atomic. Nothing that is installed is changed; the copy is found by
QEMU_MODULE_DIR. A module that does not show the pattern exactly once (another version, a fixed one) is left alone.
"""

import re

# test al,al; jne past the report; its arguments; call; three bytes of padding; or [rbx+n],ebp
PATTERN = re.compile(rb"\x84\xc0\x75\x24\x4c\x8d\x05....\x48\x8d\x0d....\xba....\x31\xff\x48\x8d\x35....\xe8....\x0f\x1f\x00\x09\xab....", re.DOTALL)
JUMP, PREFIX = 2, 0x27
NAMES = ("/usr/lib/x86_64-linux-gnu/qemu/accel-tcg-x86_64.so", "/usr/lib64/qemu/accel-tcg-x86_64.so", "/usr/lib/qemu/accel-tcg-x86_64.so")


def patch(module):
    """The bytes of the copy, or None."""
    found = PATTERN.findall(module)
    if len(found) != 1:
        return None
    at = module.index(found[0])
    copy = bytearray(module)
    # jmp to one byte before the OR; that byte becomes its LOCK prefix.
    copy[at + JUMP:at + JUMP + 2] = bytes((0xEB, PREFIX - JUMP - 2))
    copy[at + PREFIX] = 0xF0
    return bytes(copy)
