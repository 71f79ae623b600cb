#include "firmware/ovmf-files.h"

#include <string.h>
#include <unistd.h>

#include "config/vm-config.h"

/* Only where a distribution's firmware is installed. */
static bool
prepare (OvmfFiles *files, const char *nvram, GError **error)
{
  const VmConfig config = { .nvram = (char *) nvram };
  g_autoptr (GError) problem = NULL;

  if (ovmf_files_prepare (files, &config, &problem) &&
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

/* A whole one, then with each byte of its two headers changed but for the store's size, which nothing else tells. */
static void
test_damaged_variables (void)
{
  OvmfFiles files;
  g_autofree char *bytes = NULL;
  size_t size = 0;
  g_autoptr (GError) error = NULL;

  if (!prepare (&files, NULL, &error))
    return;
  g_assert_true (g_file_get_contents (files.template, &bytes, &size, NULL));
  uint8_t *variables = (uint8_t *) bytes;
  g_assert_true (ovmf_files_check_variables (variables, size, NULL));
  for (unsigned i = 0; i < 0x48 + 22; i++)
    {
      if (i >= 0x48 + 16 && i < 0x48 + 20)
        continue;
      variables[i] ^= 0x40;
      g_assert_false (ovmf_files_check_variables (variables, size, NULL));
      variables[i] ^= 0x40;
    }
  for (size_t cut = 0; cut < 200; cut++)
    {
      g_autofree uint8_t *exact = g_memdup2 (variables, cut);
      g_assert_false (ovmf_files_check_variables (exact, cut, NULL));
    }
  ovmf_files_clear (&files);
}

/* What the user names instead of the distribution's. */
static void
test_no_firmware (void)
{
  static const char *const wrong[] = { "/etc/passwd", "/dev/zero", "/none", "/" };
  OvmfFiles files;
  g_autoptr (GError) error = NULL;

  if (!prepare (&files, NULL, &error))
    return;
  VmConfig config = { .firmware_code = files.code, .firmware_variables = files.template };
  OvmfFiles own;
  g_assert_true (ovmf_files_prepare (&own, &config, &error));
  ovmf_files_clear (&own);
  /* The one taken for the other, and what is neither. */
  VmConfig swapped = { .firmware_code = files.template, .firmware_variables = files.code };
  g_assert_false (ovmf_files_prepare (&own, &swapped, &error));
  g_assert_error (error, VM_CONFIG_ERROR, VM_CONFIG_ERROR_HOST);
  ovmf_files_clear (&own);
  for (unsigned i = 0; i < G_N_ELEMENTS (wrong); i++)
    {
      g_clear_error (&error);
      config.firmware_code = (char *) wrong[i];
      g_assert_false (ovmf_files_prepare (&own, &config, &error));
      g_assert_error (error, VM_CONFIG_ERROR, VM_CONFIG_ERROR_HOST);
      g_assert_true (g_str_has_prefix (error->message, "--firmware: "));
      g_assert_nonnull (strstr (error->message, wrong[i]));
      g_assert_null (strchr (error->message, '\n'));
      ovmf_files_clear (&own);
    }
  ovmf_files_clear (&files);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/ovmf-files/in-memory", test_in_memory);
  g_test_add_func ("/ovmf-files/damaged", test_damaged_variables);
  g_test_add_func ("/ovmf-files/no-firmware", test_no_firmware);
  g_test_add_func ("/ovmf-files/own-file", test_own_file);
  return g_test_run ();
}
