#pragma once

#include <stdbool.h>
#include <glib.h>

/* What a distribution says of the firmware that it installs: QEMU's descriptors (docs/interop/firmware.json of QEMU). */

/* Whether a descriptor in one of the folders (NULL-terminated) says that this code needs System Management Mode. What cannot be read, or is
 * no descriptor, says nothing. */
bool firmware_descriptor_needs_smm (const char *code, const char *const *folders);

/* Where descriptors are. */
extern const char *const firmware_descriptor_folders[];
