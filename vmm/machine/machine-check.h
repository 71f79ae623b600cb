#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <glib.h>

#include "config/vm-config.h"

/* What can be said against a machine before anything of it is made, on KVM and emulated alike: the host has not the memory, a
 * disk's image names files that it may not, the kernel is no kernel that we start, kernel and initrd do not fit into the memory. Errors are one line that names the option,
 * what is wrong and what is needed. Files may change later: whoever loads them checks again. */
bool machine_check (const VmConfig *config, GError **error);

/* Part of it: whether the host has so much at all. */
bool machine_check_memory (uint64_t bytes, bool overcommit, GError **error);
