#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <glib.h>

#include "config/option-words.h"
#include "config/vm-config.h"

/* Every option there is, once: what the command line, the JSON file, --help and the check of the man page go by.
 * A new option is a line in enum and table, and its setter. */
typedef enum
{
  VM_OPTION_NAME,
  VM_OPTION_CPUS,
  VM_OPTION_MEMORY,
  VM_OPTION_ACCEL,
  VM_OPTION_HYPERV,
  VM_OPTION_FIRMWARE,
  VM_OPTION_NVRAM,
  VM_OPTION_BOOT,
  VM_OPTION_KERNEL,
  VM_OPTION_INITRD,
  VM_OPTION_CMDLINE,
  VM_OPTION_DISK,
  VM_OPTION_CDROM,
  VM_OPTION_NET,
  VM_OPTION_VSOCK,
  VM_OPTION_SERIAL,
  VM_OPTION_CONSOLE,
  VM_OPTION_PORT,
  VM_OPTION_DISPLAY,
  VM_OPTION_CONTROL,
  VM_OPTION_CONFIG,
  VM_OPTION_HELP,
  VM_OPTION_VERSION,
  VM_N_OPTIONS
} VmOptionId;

typedef struct VmOption VmOption;
struct VmOption
{
  const char *name;
  const char *argument; /* its shape for --help; NULL: takes none */
  const char *allowed;  /* completes "VALUE is not allowed: " */
  const char *help;
  bool whole;   /* the value is not taken apart at commas */
  bool repeats; /* each adds; else once */
  /* False: words are not allowed. NULL: concerns the command line, not the machine. */
  bool (*set) (VmConfig *config, const VmOption *option, const OptionWords *words);
  size_t offset; /* of the string in VmConfig, for set_string; of the VmStream, for set_stream */
};

extern const VmOption vm_option_table[]; /* VM_N_OPTIONS, by VmOptionId */

/* NULL when there is no option of that name. */
const VmOption *vm_option_find (const char *name);

/* Sets what words say. source: where it was said, NULL for the command line. Error: one line with option, value and what is
 * allowed. */
bool vm_option_apply (VmConfig *config, const VmOption *option, const OptionWords *words,
                      const char *source, GError **error);

/* Sets a VM_CONFIG_ERROR_USAGE; returns false. */
bool vm_option_refuse (GError **error, const char *format, ...) G_GNUC_PRINTF (2, 3);
