/* A machine.ini, which a user or another program may have written. What is accepted can be saved, and reads back the same; but that GKeyFile
 * takes a carriage return for a part of the line's end, each time it reads, also in what this version does not know. */
#include "fuzz-target.h"

#include <string.h>

#include "machine/machine-settings.h"

#define FOLDER "/machines/one"

static void
check_name (const char *file)
{
  g_autofree char *path = machine_settings_resolve (FOLDER, file);

  if (file && !g_path_is_absolute (file))
    g_assert_true (g_str_has_prefix (path, FOLDER "/") && strstr (path, "/../") == NULL);
}

int
LLVMFuzzerTestOneInput (const uint8_t *data, size_t size)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (MachineSettings) settings = machine_settings_parse ((const char *) data, size, &error);

  g_assert_true ((settings != NULL) == (error == NULL));
  if (!settings || !machine_settings_validate (settings, NULL))
    return 0;
  for (guint i = 0; i < machine_settings_get_n_disks (settings); i++)
    check_name (machine_settings_get_disk (settings, i).file);
  check_name (machine_settings_get_kernel (settings));
  check_name (machine_settings_get_initrd (settings));
  check_name (machine_settings_get_nvram (settings));
  check_name (machine_settings_get_cdrom (settings));
  check_name (machine_settings_get_serial (settings));

  gsize length, again_length;
  g_autofree char *text = machine_settings_to_data (settings, &length);
  g_autoptr (MachineSettings) again = machine_settings_parse (text, length, &error);
  g_assert_no_error (error);
  g_autofree char *again_text = machine_settings_to_data (again, &again_length);
  if (memchr (text, '\r', length) == NULL)
    g_assert_cmpmem (text, length, again_text, again_length);
  return 0;
}
