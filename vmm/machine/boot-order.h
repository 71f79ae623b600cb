#pragma once

#include <glib.h>

#include "config/vm-config.h"

/* What a machine can start from, in the words of OpenFirmware that stock UEFI firmware translates to its own (QEMU's "bootorder": IEEE 1275;
 * 00:03.0 is "/pci@i0cf8/NAME@3"). A device puts itself in as it is plugged.
 *
 * Thread: main.
 */
typedef struct BootOrder BootOrder;

BootOrder *boot_order_new (void);
void boot_order_free (BootOrder *order);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (BootOrder, boot_order_free)

/* A device of that kind at a function of bus 0. node: what it is called there, as "scsi"; rest: the path behind it, as "disk@0,0". Both
 * static strings. */
void boot_order_add (BootOrder *order, VmBoot kind, const char *node, unsigned devfn,
                     const char *rest);

/* A line a device: those of the kind `first`, then disks, CDs, network cards, each in the order of boot_order_add (). NULL for
 * VM_BOOT_UNSAID. */
char *boot_order_to_text (const BootOrder *order, VmBoot first);
