#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <glib.h>

#include "config/vm-config.h"

/* The UEFI firmware for virtual machines (OVMF) as the distributions install it, and where a machine's variables are kept. */
typedef struct OvmfFiles
{
  char *code;     /* read-only */
  char *template; /* the variables of a new machine */
  /* This machine's own: its --nvram; or, after ovmf_files_keep_in_memory (), a copy in memory that goes with the process. NULL: none. */
  char *variables;
} OvmfFiles;

/* Finds the firmware that config names, or the distribution's, and makes config's nvram from its template when that file does not exist yet.
 * An existing one that does not hold this firmware's variables is refused, not touched. Errors: VM_CONFIG_ERROR_HOST, with what to do. */
bool ovmf_files_prepare (OvmfFiles *files, const VmConfig *config, GError **error);
/* For a program that wants a file: the template's contents behind a descriptor that stays open over exec. */
bool ovmf_files_keep_in_memory (OvmfFiles *files, GError **error);
void ovmf_files_clear (OvmfFiles *files);

/* Whether these are the variables of an OVMF of this size. The error says what is wrong, not with which file. */
bool ovmf_files_check_variables (const uint8_t *bytes, size_t size, GError **error);
/* Whether that is OVMF's code, which ends with the reset vector. */
bool ovmf_files_check_code (const uint8_t *bytes, size_t size, GError **error);
