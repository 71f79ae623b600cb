#pragma once

#include <glib.h>

#include "config/vm-config.h"

/* Becomes QEMU with the same machine. Returns only when that is not possible, with error (VM_CONFIG_ERROR_HOST).
 * reason: why the machine is emulated, told on stderr; or NULL. */
void emulation_become (const VmConfig *config, const char *reason, GError **error);
