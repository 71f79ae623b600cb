#pragma once

#include <stdbool.h>
#include <glib.h>

/* The UEFI firmware for QEMU as the distributions install it, and where a machine's variables are kept. */
typedef struct OvmfFiles
{
  char *code; /* read-only */
  char *
      variables; /* this machine's own: its --nvram, or a copy in memory that goes with the process */
} OvmfFiles;

/* Finds the firmware, and makes nvram from its template when that file does not exist yet (nvram NULL: in memory, held by a descriptor
 * that stays open over exec). An existing nvram that is not of the template's size is refused, not touched. */
bool ovmf_files_prepare (OvmfFiles *files, const char *nvram, GError **error);
void ovmf_files_clear (OvmfFiles *files);
