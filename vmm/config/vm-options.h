#pragma once

#include <stdbool.h>
#include <glib.h>

#include "config/vm-config.h"

/* The two spellings of a VmConfig. One table of options serves the command line, the JSON file and --help. */

typedef enum
{
  VM_OPTIONS_RUN,
  VM_OPTIONS_HELP,
  VM_OPTIONS_VERSION
} VmOptionsAction;

/* argv[0] is skipped. --config FILE counts as said first: other options override it and add disks to its own. The result is
 * validated; with HELP or VERSION it is NULL without an error. Owned by the caller. Errors: VM_CONFIG_ERROR. */
VmConfig *vm_options_parse (int argc, char **argv, VmOptionsAction *action, GError **error);

/* Applies the members of a JSON object to config: the option's name, and as value its text, a number, a boolean or an object
 * of its words; an array for an option that may be repeated. Not validated as a whole. config is in an unspecified but valid state
 * after an error. source: the name that messages begin with. */
bool vm_options_apply_json (VmConfig *config, const char *source, const char *json, gsize size,
                            GError **error);

/* The same of a file: at most 1 MiB is read of it. Errors name it. */
bool vm_options_apply_file (VmConfig *config, const char *path, GError **error);

/* The text of --help; owned by the caller. */
char *vm_options_to_help (void);
