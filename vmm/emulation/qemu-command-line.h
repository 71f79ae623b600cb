#pragma once

#include <glib.h>

#include "config/vm-config.h"
#include "firmware/ovmf-files.h"

/* The same machine in QEMU's words: q35 under TCG with the devices that ours has, and no others. Differences that the words cannot
 * remove are in the man page, section EMULATION.
 *
 * Pure: looks at nothing of the host. ovmf is for VM_FIRMWARE_UEFI, else NULL. The result is NULL-terminated and owned by the
 * caller; its first element is program. */
char **qemu_command_line_new (const VmConfig *config, const char *program, const OvmfFiles *ovmf);
