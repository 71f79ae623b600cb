#define G_LOG_DOMAIN "app-machine"

#include "machine/machine-settings-private.h"

#include <string.h>

G_DEFINE_ENUM_TYPE (MachineFirmware, machine_firmware,
                    G_DEFINE_ENUM_VALUE (MACHINE_FIRMWARE_UEFI, "uefi"),
                    G_DEFINE_ENUM_VALUE (MACHINE_FIRMWARE_LINUX, "linux"))
G_DEFINE_ENUM_TYPE (MachineDiskFormat, machine_disk_format,
                    G_DEFINE_ENUM_VALUE (MACHINE_DISK_RAW, "raw"),
                    G_DEFINE_ENUM_VALUE (MACHINE_DISK_QCOW2, "qcow2"))
G_DEFINE_ENUM_TYPE (MachineNetwork, machine_network,
                    G_DEFINE_ENUM_VALUE (MACHINE_NETWORK_NONE, "none"),
                    G_DEFINE_ENUM_VALUE (MACHINE_NETWORK_USER, "user"))
G_DEFINE_QUARK (machine - settings - error - quark, machine_settings_error)

enum
{
  PROP_CPUS = N_TEXTS + 1, /* the strings' properties are TEXT_X + 1 */
  PROP_MEMORY,
  PROP_FIRMWARE,
  PROP_NETWORK,
  PROP_CREATED,
  N_PROPS
};

const MachineSettingsText machine_settings_texts[N_TEXTS] = {
  [TEXT_NAME] = { "name", FALSE },         [TEXT_KERNEL] = { "kernel", TRUE },
  [TEXT_INITRD] = { "initrd", TRUE },      [TEXT_CMDLINE] = { "cmdline", FALSE },
  [TEXT_NVRAM] = { "nvram", TRUE },        [TEXT_CDROM] = { "cdrom", TRUE },
  [TEXT_ENTRY_ID] = { "entry-id", FALSE }, [TEXT_NOTE] = { "note", FALSE },
  [TEXT_SERIAL] = { "serial", TRUE },
};

G_DEFINE_FINAL_TYPE (MachineSettings, machine_settings, G_TYPE_OBJECT)

static GParamSpec *properties[N_PROPS];
static guint changed_signal;

static void
disk_clear (gpointer data)
{
  Disk *disk = data;

  g_free (disk->file);
}

/* Whether that changed anything. (g_set_str () is newer than our GLib.) */
gboolean
machine_settings_replace_text (char **text, const char *value)
{
  char *old = *text;

  if (g_strcmp0 (old, value) == 0)
    return FALSE;
  *text = g_strdup (value);
  g_free (old);
  return TRUE;
}

GKeyFile *
machine_settings_copy_key_file (GKeyFile *from)
{
  GKeyFile *copy = g_key_file_new ();
  gsize length;
  g_autofree char *data = g_key_file_to_data (from, &length, NULL);

  if (length > 0)
    g_key_file_load_from_data (copy, data, length, G_KEY_FILE_KEEP_COMMENTS, NULL);
  return copy;
}

/* --- the object ---------------------------------------------------------------------------- */

MachineSettings *
machine_settings_new (const char *name)
{
  return g_object_new (MACHINE_TYPE_SETTINGS, "name", name, NULL);
}

static void
assign_fields (MachineSettings *self, MachineSettings *from)
{
  for (guint i = 0; i < N_TEXTS; i++)
    machine_settings_replace_text (&self->texts[i], from->texts[i]);
  self->cpus = from->cpus;
  self->memory = from->memory;
  self->firmware = from->firmware;
  self->network = from->network;
  self->created = from->created;
  g_array_set_size (self->disks, 0);
  for (guint i = 0; i < from->disks->len; i++)
    {
      Disk disk = g_array_index (from->disks, Disk, i);

      disk.file = g_strdup (disk.file);
      g_array_append_val (self->disks, disk);
    }
  g_key_file_unref (self->kept);
  self->kept = machine_settings_copy_key_file (from->kept);
}

MachineSettings *
machine_settings_copy (MachineSettings *self)
{
  MachineSettings *copy = g_object_new (MACHINE_TYPE_SETTINGS, NULL);

  assign_fields (copy, self);
  return copy;
}

void
machine_settings_assign (MachineSettings *self, MachineSettings *from)
{
  if (self == from)
    return;
  g_object_freeze_notify (G_OBJECT (self));
  assign_fields (self, from);
  for (guint i = 1; i < N_PROPS; i++)
    g_object_notify_by_pspec (G_OBJECT (self), properties[i]);
  g_object_thaw_notify (G_OBJECT (self));
  g_signal_emit (self, changed_signal, 0);
}

static void
notify_changed (MachineSettings *self, guint property)
{
  g_object_notify_by_pspec (G_OBJECT (self), properties[property]);
  g_signal_emit (self, changed_signal, 0);
}

static void
set_text (MachineSettings *self, guint which, const char *value)
{
  g_return_if_fail (MACHINE_IS_SETTINGS (self));
  if (machine_settings_replace_text (&self->texts[which], value))
    notify_changed (self, which + 1);
}

const char *
machine_settings_get_name (MachineSettings *self)
{
  return self->texts[TEXT_NAME];
}

void
machine_settings_set_name (MachineSettings *self, const char *name)
{
  set_text (self, TEXT_NAME, name);
}

guint
machine_settings_get_cpus (MachineSettings *self)
{
  return self->cpus;
}

void
machine_settings_set_cpus (MachineSettings *self, guint cpus)
{
  if (self->cpus == cpus)
    return;
  self->cpus = cpus;
  notify_changed (self, PROP_CPUS);
}

guint64
machine_settings_get_memory (MachineSettings *self)
{
  return self->memory;
}

void
machine_settings_set_memory (MachineSettings *self, guint64 bytes)
{
  if (self->memory == bytes)
    return;
  self->memory = bytes;
  notify_changed (self, PROP_MEMORY);
}

MachineFirmware
machine_settings_get_firmware (MachineSettings *self)
{
  return self->firmware;
}

void
machine_settings_set_firmware (MachineSettings *self, MachineFirmware firmware)
{
  if (self->firmware == firmware)
    return;
  self->firmware = firmware;
  notify_changed (self, PROP_FIRMWARE);
}

const char *
machine_settings_get_kernel (MachineSettings *self)
{
  return self->texts[TEXT_KERNEL];
}

void
machine_settings_set_kernel (MachineSettings *self, const char *file)
{
  set_text (self, TEXT_KERNEL, file);
}

const char *
machine_settings_get_initrd (MachineSettings *self)
{
  return self->texts[TEXT_INITRD];
}

void
machine_settings_set_initrd (MachineSettings *self, const char *file)
{
  set_text (self, TEXT_INITRD, file);
}

const char *
machine_settings_get_cmdline (MachineSettings *self)
{
  return self->texts[TEXT_CMDLINE];
}

void
machine_settings_set_cmdline (MachineSettings *self, const char *cmdline)
{
  set_text (self, TEXT_CMDLINE, cmdline);
}

const char *
machine_settings_get_nvram (MachineSettings *self)
{
  return self->texts[TEXT_NVRAM];
}

void
machine_settings_set_nvram (MachineSettings *self, const char *file)
{
  set_text (self, TEXT_NVRAM, file);
}

const char *
machine_settings_get_cdrom (MachineSettings *self)
{
  return self->texts[TEXT_CDROM];
}

void
machine_settings_set_cdrom (MachineSettings *self, const char *file)
{
  set_text (self, TEXT_CDROM, file);
}

MachineNetwork
machine_settings_get_network (MachineSettings *self)
{
  return self->network;
}

void
machine_settings_set_network (MachineSettings *self, MachineNetwork network)
{
  if (self->network == network)
    return;
  self->network = network;
  notify_changed (self, PROP_NETWORK);
}

const char *
machine_settings_get_entry_id (MachineSettings *self)
{
  return self->texts[TEXT_ENTRY_ID];
}

void
machine_settings_set_entry_id (MachineSettings *self, const char *id)
{
  set_text (self, TEXT_ENTRY_ID, id);
}

const char *
machine_settings_get_note (MachineSettings *self)
{
  return self->texts[TEXT_NOTE];
}

void
machine_settings_set_note (MachineSettings *self, const char *note)
{
  set_text (self, TEXT_NOTE, note);
}

const char *
machine_settings_get_serial (MachineSettings *self)
{
  return self->texts[TEXT_SERIAL];
}

void
machine_settings_set_serial (MachineSettings *self, const char *file)
{
  set_text (self, TEXT_SERIAL, file);
}

gint64
machine_settings_get_created (MachineSettings *self)
{
  return self->created;
}

guint
machine_settings_get_n_disks (MachineSettings *self)
{
  return self->disks->len;
}

MachineDisk
machine_settings_get_disk (MachineSettings *self, guint index)
{
  Disk *disk;

  g_return_val_if_fail (index < self->disks->len, (MachineDisk){ "" });
  disk = &g_array_index (self->disks, Disk, index);
  return (MachineDisk){ .file = disk->file, .format = disk->format, .readonly = disk->readonly };
}

void
machine_settings_add_disk (MachineSettings *self, const char *file, MachineDiskFormat format,
                           gboolean readonly)
{
  Disk disk = { .file = g_strdup (file), .format = format, .readonly = readonly };

  g_return_if_fail (file != NULL && self->disks->len < MACHINE_DISKS_MAX);
  g_array_append_val (self->disks, disk);
  g_signal_emit (self, changed_signal, 0);
}

void
machine_settings_remove_disk (MachineSettings *self, guint index)
{
  g_return_if_fail (index < self->disks->len);
  g_array_remove_index (self->disks, index);
  g_signal_emit (self, changed_signal, 0);
}

char *
machine_settings_resolve (const char *folder, const char *file)
{
  return file != NULL ? g_canonicalize_filename (file, folder) : NULL;
}

static void
machine_settings_get_property (GObject *object, guint id, GValue *value, GParamSpec *pspec)
{
  MachineSettings *self = MACHINE_SETTINGS (object);

  switch (id)
    {
    case TEXT_NAME + 1 ... N_TEXTS:
      g_value_set_string (value, self->texts[id - 1]);
      break;
    case PROP_CPUS:
      g_value_set_uint (value, self->cpus);
      break;
    case PROP_MEMORY:
      g_value_set_uint64 (value, self->memory);
      break;
    case PROP_FIRMWARE:
      g_value_set_enum (value, self->firmware);
      break;
    case PROP_NETWORK:
      g_value_set_enum (value, self->network);
      break;
    case PROP_CREATED:
      g_value_set_int64 (value, self->created);
      break;
    default:
      G_OBJECT_WARN_INVALID_PROPERTY_ID (object, id, pspec);
    }
}

static void
machine_settings_set_property (GObject *object, guint id, const GValue *value, GParamSpec *pspec)
{
  MachineSettings *self = MACHINE_SETTINGS (object);

  switch (id)
    {
    case TEXT_NAME + 1 ... N_TEXTS:
      set_text (self, id - 1, g_value_get_string (value));
      break;
    case PROP_CPUS:
      machine_settings_set_cpus (self, g_value_get_uint (value));
      break;
    case PROP_MEMORY:
      machine_settings_set_memory (self, g_value_get_uint64 (value));
      break;
    case PROP_FIRMWARE:
      machine_settings_set_firmware (self, g_value_get_enum (value));
      break;
    case PROP_NETWORK:
      machine_settings_set_network (self, g_value_get_enum (value));
      break;
    default:
      G_OBJECT_WARN_INVALID_PROPERTY_ID (object, id, pspec);
    }
}

static void
machine_settings_finalize (GObject *object)
{
  MachineSettings *self = MACHINE_SETTINGS (object);

  for (guint i = 0; i < N_TEXTS; i++)
    g_free (self->texts[i]);
  g_array_unref (self->disks);
  g_key_file_unref (self->kept);
  G_OBJECT_CLASS (machine_settings_parent_class)->finalize (object);
}

static void
machine_settings_class_init (MachineSettingsClass *klass)
{
  GObjectClass *object_class = G_OBJECT_CLASS (klass);
  const GParamFlags flags = G_PARAM_READWRITE | G_PARAM_STATIC_STRINGS | G_PARAM_EXPLICIT_NOTIFY;

  object_class->get_property = machine_settings_get_property;
  object_class->set_property = machine_settings_set_property;
  object_class->finalize = machine_settings_finalize;
  for (guint i = 0; i < N_TEXTS; i++)
    properties[i + 1] =
        g_param_spec_string (machine_settings_texts[i].key, NULL, NULL, NULL, flags);
  properties[PROP_CPUS] = g_param_spec_uint ("cpus", NULL, NULL, 0, G_MAXUINT, 1, flags);
  properties[PROP_MEMORY] = g_param_spec_uint64 ("memory", NULL, NULL, 0, G_MAXUINT64,
                                                 G_GUINT64_CONSTANT (1) << 30, flags);
  properties[PROP_FIRMWARE] = g_param_spec_enum ("firmware", NULL, NULL, MACHINE_TYPE_FIRMWARE,
                                                 MACHINE_FIRMWARE_UEFI, flags);
  properties[PROP_NETWORK] =
      g_param_spec_enum ("network", NULL, NULL, MACHINE_TYPE_NETWORK, MACHINE_NETWORK_USER, flags);
  properties[PROP_CREATED] = g_param_spec_int64 ("created", NULL, NULL, 0, G_MAXINT64, 0,
                                                 G_PARAM_READABLE | G_PARAM_STATIC_STRINGS);
  g_object_class_install_properties (object_class, N_PROPS, properties);
  changed_signal = g_signal_new ("changed", MACHINE_TYPE_SETTINGS, G_SIGNAL_RUN_LAST, 0, NULL, NULL,
                                 NULL, G_TYPE_NONE, 0);
}

static void
machine_settings_init (MachineSettings *self)
{
  self->cpus = 1;
  self->memory = G_GUINT64_CONSTANT (1) << 30;
  self->firmware = MACHINE_FIRMWARE_UEFI;
  self->network = MACHINE_NETWORK_USER;
  self->created = g_get_real_time () / G_USEC_PER_SEC;
  self->disks = g_array_new (FALSE, TRUE, sizeof (Disk));
  g_array_set_clear_func (self->disks, disk_clear);
  self->kept = g_key_file_new ();
}
