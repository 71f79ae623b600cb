#include "firmware/ovmf-files.h"

#include <string.h>
#include <unistd.h>

#include "config/vm-config.h"

/* Only where a distribution's firmware is installed. */
static bool
prepare (OvmfFiles *files, const char *nvram, GError **error)
{
  g_autoptr (GError) problem = NULL;

  if (ovmf_files_prepare (files, nvram, &problem) &&
      (nvram != NULL || ovmf_files_keep_in_memory (files, &problem)))
    return true;
  g_assert_error (problem, VM_CONFIG_ERROR, VM_CONFIG_ERROR_HOST);
  if (strstr (problem->message, "is not installed") != NULL)
    g_test_skip (problem->message);
  g_propagate_error (error, g_steal_pointer (&problem));
  return false;
}

static void
test_in_memory (void)
{
  OvmfFiles files;
  g_autoptr (GError) error = NULL;
  g_autofree char *bytes = NULL;
  size_t size = 0;

  if (!prepare (&files, NULL, &error))
    return;
  g_assert_true (g_str_has_prefix (files.variables, "/proc/self/fd/"));
  g_assert_true (g_file_get_contents (files.variables, &bytes, &size, NULL));
  g_assert_cmpuint (size, >, 100000);
  close (g_ascii_strtoull (files.variables + strlen ("/proc/self/fd/"), NULL, 10));
  ovmf_files_clear (&files);
}

static void
test_own_file (void)
{
  g_autofree char *folder = g_dir_make_tmp ("alcove-nvram-XXXXXX", NULL);
  g_autofree char *path = g_build_filename (folder, "nvram", NULL);
  g_autofree char *bytes = NULL;
  size_t size = 0;
  OvmfFiles files;
  g_autoptr (GError) error = NULL;

  if (prepare (&files, path, &error))
    {
      g_assert_cmpstr (files.variables, ==, path);
      ovmf_files_clear (&files);
      /* A second start keeps what the firmware wrote. */
      g_assert_true (g_file_get_contents (path, &bytes, &size, NULL));
      bytes[1000] ^= 0x55;
      g_assert_true (g_file_set_contents (path, bytes, size, NULL));
      g_assert_true (prepare (&files, path, &error));
      ovmf_files_clear (&files);
      g_autofree char *again = NULL;
      g_assert_true (g_file_get_contents (path, &again, &size, NULL));
      g_assert_cmpmem (again, size, bytes, size);
      /* A foreign file is left as it is. */
      g_assert_true (g_file_set_contents (path, "precious", -1, NULL));
      g_assert_false (prepare (&files, path, &error));
      g_assert_nonnull (strstr (error->message, path));
      g_autofree char *kept = NULL;
      g_assert_true (g_file_get_contents (path, &kept, NULL, NULL));
      g_assert_cmpstr (kept, ==, "precious");
      ovmf_files_clear (&files);
    }
  unlink (path);
  rmdir (folder);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/ovmf-files/in-memory", test_in_memory);
  g_test_add_func ("/ovmf-files/own-file", test_own_file);
  return g_test_run ();
}
