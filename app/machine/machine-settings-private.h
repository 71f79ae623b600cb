#pragma once

#include "machine/machine-settings.h"

/* The body of the settings, for its two files: machine-settings.c holds the values,
 * machine-settings-file.c reads, checks and writes them. */

typedef struct Disk
{
  char *file;
  MachineDiskFormat format;
  gboolean readonly;
} Disk;

/* The strings are one array, so that loading, saving, copying and the properties are one table. */
enum
{
  TEXT_NAME,
  TEXT_KERNEL,
  TEXT_INITRD,
  TEXT_CMDLINE,
  TEXT_NVRAM,
  TEXT_CDROM,
  TEXT_ENTRY_ID,
  TEXT_NOTE,
  TEXT_SERIAL,
  N_TEXTS
};

/* In the order of the above. */
typedef struct MachineSettingsText
{
  const char *key; /* in the group [machine]; also the property's name */
  gboolean is_file;
} MachineSettingsText;
extern const MachineSettingsText machine_settings_texts[N_TEXTS];

struct _MachineSettings
{
  GObject parent;
  char *texts[N_TEXTS];
  guint cpus;
  guint64 memory;
  MachineFirmware firmware;
  MachineNetwork network;
  gint64 created;
  GArray *disks; /* of Disk */
  GKeyFile *kept;
};

/* Whether that changed anything. */
gboolean machine_settings_replace_text (char **text, const char *value);

/* An independent copy, with its comments. */
GKeyFile *machine_settings_copy_key_file (GKeyFile *from);
