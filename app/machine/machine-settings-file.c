#define G_LOG_DOMAIN "app-machine"

#include "machine/machine-settings-private.h"

#include <string.h>

/* Theory of operation: the values live in typed fields; `kept` is the key file as it was read.
 * Writing starts from `kept`, so whatever this version does not know survives, and replaces what
 * it does know. */

#define INI_MAX     (256 * 1024)
#define TEXT_MAX    4096
#define CMDLINE_MAX 2047 /* Linux's COMMAND_LINE_SIZE on x86 less the terminating zero */

#define GROUP      "machine"
#define DISK_GROUP "disk "

static const char *
enum_nick (GType type, int value)
{
  g_autoptr (GEnumClass) klass = g_type_class_ref (type);
  GEnumValue *found = g_enum_get_value (klass, value);

  return found != NULL ? found->value_nick : "";
}

/* Sets `value` if `text` is one of the words of the type. */
static gboolean
enum_from_nick (GType type, const char *text, int *value)
{
  g_autoptr (GEnumClass) klass = g_type_class_ref (type);
  GEnumValue *found = g_enum_get_value_by_nick (klass, text);

  if (found == NULL)
    return FALSE;
  *value = found->value;
  return TRUE;
}

const char *
machine_disk_format_to_string (MachineDiskFormat format)
{
  return enum_nick (MACHINE_TYPE_DISK_FORMAT, format);
}

gboolean
machine_disk_format_from_string (const char *text, MachineDiskFormat *format)
{
  int value;

  if (!enum_from_nick (MACHINE_TYPE_DISK_FORMAT, text, &value))
    return FALSE;
  *format = value;
  return TRUE;
}

static gboolean invalid (GError **error, const char *format, ...) G_GNUC_PRINTF (2, 3);

static gboolean
invalid (GError **error, const char *format, ...)
{
  g_autofree char *text = NULL;
  va_list args;

  va_start (args, format);
  text = g_strdup_vprintf (format, args);
  va_end (args);
  g_set_error_literal (error, MACHINE_SETTINGS_ERROR, MACHINE_SETTINGS_ERROR_INVALID, text);
  return FALSE;
}

/* --- reading ------------------------------------------------------------------------------- */

/* What the key file says for `key`; missing is fine (FALSE without an error). */
static gboolean
read_text (GKeyFile *ini, const char *group, const char *key, char **text, GError **error)
{
  g_autoptr (GError) local_error = NULL;
  g_autofree char *value = NULL;

  if (!g_key_file_has_key (ini, group, key, NULL))
    return FALSE;
  value = g_key_file_get_string (ini, group, key, &local_error);
  if (value == NULL)
    {
      invalid (error, "“%s” in [%s] cannot be read: %s", key, group, local_error->message);
      return FALSE;
    }
  *text = g_steal_pointer (&value);
  return TRUE;
}

static gboolean
read_number (GKeyFile *ini, const char *group, const char *key, guint64 min, guint64 max,
             guint64 *number, GError **error)
{
  g_autofree char *text = NULL;
  g_autoptr (GError) local_error = NULL;

  if (!read_text (ini, group, key, &text, &local_error))
    {
      if (local_error == NULL)
        return TRUE;
      g_propagate_error (error, g_steal_pointer (&local_error));
      return FALSE;
    }
  if (!g_ascii_string_to_unsigned (text, 10, min, max, number, NULL))
    return invalid (error,
                    "“%s” is “%s”: a number from %" G_GUINT64_FORMAT " to %" G_GUINT64_FORMAT
                    " is needed",
                    key, text, min, max);
  return TRUE;
}

static gboolean
read_word (GKeyFile *ini, const char *group, const char *key, GType type, int *value,
           GError **error)
{
  g_autofree char *text = NULL;
  g_autoptr (GError) local_error = NULL;

  if (!read_text (ini, group, key, &text, &local_error))
    {
      if (local_error == NULL)
        return TRUE;
      g_propagate_error (error, g_steal_pointer (&local_error));
      return FALSE;
    }
  if (!enum_from_nick (type, text, value))
    return invalid (error, "“%s” in [%s] is “%s”, which this Alcove does not know", key, group,
                    text);
  return TRUE;
}

static gboolean
read_disk (MachineSettings *self, GKeyFile *ini, const char *group, GError **error)
{
  g_autofree char *file = NULL;
  g_autofree char *readonly = NULL;
  g_autoptr (GError) local_error = NULL;
  int format = -1;

  if (!read_text (ini, group, "file", &file, &local_error))
    {
      if (local_error == NULL)
        return invalid (error, "[%s] has no “file”", group);
      g_propagate_error (error, g_steal_pointer (&local_error));
      return FALSE;
    }
  if (!read_word (ini, group, "format", MACHINE_TYPE_DISK_FORMAT, &format, error))
    return FALSE;
  if (format < 0)
    return invalid (error, "[%s] has no “format”; it is never guessed", group);
  if (read_text (ini, group, "readonly", &readonly, &local_error) &&
      !g_str_equal (readonly, "true") && !g_str_equal (readonly, "false"))
    return invalid (error, "“readonly” in [%s] is “%s”: true or false is needed", group, readonly);
  if (local_error != NULL)
    {
      g_propagate_error (error, g_steal_pointer (&local_error));
      return FALSE;
    }
  if (self->disks->len >= MACHINE_DISKS_MAX)
    return invalid (error, "there are more than %d disks", MACHINE_DISKS_MAX);
  machine_settings_add_disk (self, file, format, g_strcmp0 (readonly, "true") == 0);
  return TRUE;
}

static gboolean
read_disks (MachineSettings *self, GKeyFile *ini, GError **error)
{
  /* [disk 0], [disk 1], ... in order; a gap ends them only when nothing follows. */
  g_auto (GStrv) groups = g_key_file_get_groups (ini, NULL);
  guint found = 0;

  for (guint i = 0; groups[i] != NULL; i++)
    if (g_str_has_prefix (groups[i], DISK_GROUP))
      found++;
  for (guint i = 0; i < found; i++)
    {
      g_autofree char *group = g_strdup_printf (DISK_GROUP "%u", i);

      if (!g_key_file_has_group (ini, group))
        return invalid (error, "there are %u disks but no [%s]", found, group);
      if (!read_disk (self, ini, group, error))
        return FALSE;
    }
  return TRUE;
}

static gboolean
read_values (MachineSettings *self, GKeyFile *ini, GError **error)
{
  guint64 cpus = self->cpus;
  guint64 created = self->created;
  int firmware = self->firmware;
  int network = self->network;

  for (guint i = 0; i < N_TEXTS; i++)
    {
      g_autoptr (GError) local_error = NULL;
      g_autofree char *text = NULL;

      if (read_text (ini, GROUP, machine_settings_texts[i].key, &text, &local_error))
        machine_settings_replace_text (&self->texts[i], text);
      else if (local_error != NULL)
        {
          g_propagate_error (error, g_steal_pointer (&local_error));
          return FALSE;
        }
    }
  if (!read_number (ini, GROUP, "cpus", 1, MACHINE_CPUS_MAX, &cpus, error) ||
      !read_number (ini, GROUP, "memory", MACHINE_MEMORY_MIN, MACHINE_MEMORY_MAX, &self->memory,
                    error) ||
      !read_number (ini, GROUP, "created", 0, G_MAXINT64, &created, error) ||
      !read_word (ini, GROUP, "firmware", MACHINE_TYPE_FIRMWARE, &firmware, error) ||
      !read_word (ini, GROUP, "network", MACHINE_TYPE_NETWORK, &network, error))
    return FALSE;
  self->cpus = cpus;
  self->created = created;
  self->firmware = firmware;
  self->network = network;
  return read_disks (self, ini, error);
}

static gboolean
check_version (GKeyFile *ini, GError **error)
{
  g_autofree char *text = g_key_file_get_string (ini, GROUP, "version", NULL);
  guint64 version;

  if (!g_key_file_has_group (ini, GROUP) || text == NULL ||
      !g_ascii_string_to_unsigned (text, 10, 1, G_MAXUINT32, &version, NULL))
    {
      g_set_error (error, MACHINE_SETTINGS_ERROR, MACHINE_SETTINGS_ERROR_CORRUPT,
                   "it has no group [" GROUP "] with a “version”");
      return FALSE;
    }
  if (version > MACHINE_SETTINGS_VERSION)
    {
      g_set_error (error, MACHINE_SETTINGS_ERROR, MACHINE_SETTINGS_ERROR_NEWER,
                   "it was written by a newer Alcove (version %s, this one knows %d); update "
                   "Alcove to use this machine",
                   text, MACHINE_SETTINGS_VERSION);
      return FALSE;
    }
  return TRUE;
}

MachineSettings *
machine_settings_parse (const char *data, gsize length, GError **error)
{
  g_autoptr (MachineSettings) self = g_object_new (MACHINE_TYPE_SETTINGS, NULL);
  g_autoptr (GError) local_error = NULL;

  if (length > INI_MAX)
    {
      g_set_error (error, MACHINE_SETTINGS_ERROR, MACHINE_SETTINGS_ERROR_CORRUPT,
                   "it is larger than %d KiB", INI_MAX / 1024);
      return NULL;
    }
  if (!g_key_file_load_from_data (self->kept, data, length, G_KEY_FILE_KEEP_COMMENTS, &local_error))
    {
      g_set_error (error, MACHINE_SETTINGS_ERROR, MACHINE_SETTINGS_ERROR_CORRUPT, "%s",
                   local_error->message);
      return NULL;
    }
  if (!check_version (self->kept, error) || !read_values (self, self->kept, error) ||
      !machine_settings_validate (self, error))
    return NULL;
  return g_steal_pointer (&self);
}

MachineSettings *
machine_settings_load (const char *path, GError **error)
{
  g_autofree char *data = NULL;
  g_autoptr (GFile) file = g_file_new_for_path (path);
  g_autoptr (GFileInputStream) stream = g_file_read (file, NULL, error);
  MachineSettings *self;
  gsize length;

  if (stream == NULL)
    return NULL;
  data = g_malloc (INI_MAX + 1);
  if (!g_input_stream_read_all (G_INPUT_STREAM (stream), data, INI_MAX + 1, &length, NULL, error))
    {
      g_prefix_error (error, "Cannot read “%s”: ", path);
      return NULL;
    }
  self = machine_settings_parse (data, length, error);
  if (self == NULL)
    g_prefix_error (error, "The machine's settings “%s” cannot be used: ", path);
  return self;
}

/* --- checking ------------------------------------------------------------------------------ */

static gboolean
check_text (const char *key, const char *text, GError **error)
{
  if (text == NULL)
    return TRUE;
  if (strlen (text) > TEXT_MAX)
    return invalid (error, "“%s” is longer than %d bytes", key, TEXT_MAX);
  if (!g_utf8_validate (text, -1, NULL))
    return invalid (error, "“%s” is not UTF-8", key);
  for (const char *p = text; *p != '\0'; p = g_utf8_next_char (p))
    if (g_unichar_iscntrl (g_utf8_get_char (p)) && !(*p == '\n' && g_str_equal (key, "note")))
      return invalid (error, "“%s” has a control character in it", key);
  return TRUE;
}

static gboolean
check_file (const char *key, const char *file, GError **error)
{
  g_auto (GStrv) parts = NULL;
  gboolean names_something = FALSE;

  if (file == NULL || !check_text (key, file, error))
    return file == NULL;
  if (file[0] == '\0')
    return invalid (error, "“%s” is empty: the name of a file is needed", key);
  if (g_path_is_absolute (file))
    return TRUE;
  parts = g_strsplit (file, "/", -1);
  for (guint i = 0; parts[i] != NULL; i++)
    {
      if (g_str_equal (parts[i], ".."))
        return invalid (error, "“%s” is “%s”, which leads out of the machine's folder", key, file);
      names_something |= parts[i][0] != '\0' && !g_str_equal (parts[i], ".");
    }
  if (!names_something)
    return invalid (error,
                    "“%s” is “%s”, the machine's folder itself: the name of a file is needed", key,
                    file);
  return TRUE;
}

gboolean
machine_settings_validate (MachineSettings *self, GError **error)
{
  const char *name = self->texts[TEXT_NAME];

  if (name == NULL || name[strspn (name, " ")] == '\0')
    return invalid (error, "The machine needs a name");
  for (guint i = 0; i < N_TEXTS; i++)
    if (!(machine_settings_texts[i].is_file ? check_file : check_text) (
            machine_settings_texts[i].key, self->texts[i], error))
      return FALSE;
  if (g_utf8_strlen (name, -1) > MACHINE_NAME_MAX)
    return invalid (error, "The name is longer than %d characters", MACHINE_NAME_MAX);
  if (self->texts[TEXT_CMDLINE] != NULL && strlen (self->texts[TEXT_CMDLINE]) > CMDLINE_MAX)
    return invalid (error, "“cmdline” is longer than the %d bytes that Linux takes", CMDLINE_MAX);
  if (self->cpus < 1 || self->cpus > MACHINE_CPUS_MAX)
    return invalid (error, "%u processors are not possible: choose 1 to %d", self->cpus,
                    MACHINE_CPUS_MAX);
  if (self->memory < MACHINE_MEMORY_MIN || self->memory > MACHINE_MEMORY_MAX)
    return invalid (error,
                    "%" G_GUINT64_FORMAT
                    " MiB of memory are not possible: choose %" G_GUINT64_FORMAT
                    " MiB to %" G_GUINT64_FORMAT " GiB",
                    self->memory >> 20, MACHINE_MEMORY_MIN >> 20, MACHINE_MEMORY_MAX >> 30);
  if (self->firmware == MACHINE_FIRMWARE_LINUX && self->texts[TEXT_KERNEL] == NULL)
    return invalid (error, "Starting Linux without firmware needs a kernel");
  if (self->memory % (1 << 20) != 0)
    return invalid (error, "%" G_GUINT64_FORMAT " bytes of memory are not a whole number of MiB",
                    self->memory);
  for (guint i = 0; i < self->disks->len; i++)
    {
      g_autofree char *key = g_strdup_printf (DISK_GROUP "%u", i);

      if (!check_file (key, g_array_index (self->disks, Disk, i).file, error))
        return FALSE;
    }
  return TRUE;
}

/* --- writing ------------------------------------------------------------------------------- */

static void
write_disks (MachineSettings *self, GKeyFile *ini)
{
  g_auto (GStrv) groups = g_key_file_get_groups (ini, NULL);

  /* Keys of a disk that we do not know stay with the disk of that number. */
  for (guint i = 0; i < self->disks->len; i++)
    {
      Disk *disk = &g_array_index (self->disks, Disk, i);
      g_autofree char *group = g_strdup_printf (DISK_GROUP "%u", i);

      g_key_file_set_string (ini, group, "file", disk->file);
      g_key_file_set_string (ini, group, "format", machine_disk_format_to_string (disk->format));
      g_key_file_set_boolean (ini, group, "readonly", disk->readonly);
    }
  for (guint i = 0; groups[i] != NULL; i++)
    {
      guint64 number;

      if (g_str_has_prefix (groups[i], DISK_GROUP) &&
          (!g_ascii_string_to_unsigned (groups[i] + strlen (DISK_GROUP), 10, 0, G_MAXUINT32,
                                        &number, NULL) ||
           number >= self->disks->len))
        g_key_file_remove_group (ini, groups[i], NULL);
    }
}

char *
machine_settings_to_data (MachineSettings *self, gsize *length)
{
  g_autoptr (GKeyFile) ini = machine_settings_copy_key_file (self->kept);

  g_key_file_set_integer (ini, GROUP, "version", MACHINE_SETTINGS_VERSION);
  for (guint i = 0; i < N_TEXTS; i++)
    {
      if (self->texts[i] != NULL)
        g_key_file_set_string (ini, GROUP, machine_settings_texts[i].key, self->texts[i]);
      else
        g_key_file_remove_key (ini, GROUP, machine_settings_texts[i].key, NULL);
    }
  g_key_file_set_uint64 (ini, GROUP, "cpus", self->cpus);
  g_key_file_set_uint64 (ini, GROUP, "memory", self->memory);
  g_key_file_set_string (ini, GROUP, "firmware", enum_nick (MACHINE_TYPE_FIRMWARE, self->firmware));
  g_key_file_set_string (ini, GROUP, "network", enum_nick (MACHINE_TYPE_NETWORK, self->network));
  g_key_file_set_int64 (ini, GROUP, "created", self->created);
  write_disks (self, ini);
  return g_key_file_to_data (ini, length, NULL);
}

gboolean
machine_settings_save (MachineSettings *self, const char *path, GError **error)
{
  g_autofree char *data = NULL;
  gsize length;

  if (!machine_settings_validate (self, error))
    return FALSE;
  data = machine_settings_to_data (self, &length);
  return g_file_set_contents_full (path, data, length,
                                   G_FILE_SET_CONTENTS_CONSISTENT | G_FILE_SET_CONTENTS_DURABLE,
                                   0600, error);
}
