#include "firmware/ovmf-files.h"

#include <string.h>
#include <unistd.h>

#include "config/vm-config.h"
#include "firmware-file.h"

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
      bytes[0x48 + 28] = '\xaa'; /* the first byte of a variable */
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

/* --- a store made here --- */

/* Returns where the next one goes. */
static size_t
add_variable (uint8_t *bytes, size_t at, uint32_t name_size, uint32_t data_size)
{
  memset (bytes + at, 0, 60);
  firmware_file_put (bytes + at, 0x55aa, 2);
  bytes[at + 2] = 0x3f;
  firmware_file_put (bytes + at + 4, 7, 4);
  firmware_file_put (bytes + at + 36, name_size, 4);
  firmware_file_put (bytes + at + 40, data_size, 4);
  for (uint32_t i = 0; i < name_size + data_size && at + 60 + i < FIRMWARE_FILE_STORE_END; i++)
    bytes[at + 60 + i] = (uint8_t) i;
  return (at + 60 + name_size + data_size + 3) / 4 * 4;
}

static bool
check (const uint8_t *bytes)
{
  return ovmf_files_check_variables (bytes, FIRMWARE_FILE_SIZE, NULL);
}

static void
test_good_variables (void)
{
  g_autofree uint8_t *bytes = firmware_file_variables ();
  size_t at = FIRMWARE_FILE_FIRST;

  g_assert_true (check (bytes));
  for (unsigned i = 0; i < 20; i++)
    {
      at = add_variable (bytes, at, 2 + 2 * i, 5 * i);
      g_assert_true (check (bytes));
    }
  /* To the last byte. */
  add_variable (bytes, at, 2, FIRMWARE_FILE_STORE_END - at - 62);
  g_assert_true (check (bytes));
}

/* Damage in the list: what the firmware would take for its end is refused, with words that say how to go on. */
static void
test_damage_in_the_variables (void)
{
  g_autofree uint8_t *bytes = firmware_file_variables ();
  g_autoptr (GError) error = NULL;
  const size_t second = add_variable (bytes, FIRMWARE_FILE_FIRST, 12, 30);
  const size_t end = add_variable (bytes, second, 12, 30);
  static const struct
  {
    unsigned offset;
    uint64_t value;
    unsigned size;
  } cases[] = {
    { 0, 0x55ab, 2 },
    { 0, 0xffff, 2 },
    { 0, 0, 2 },
    { 36, 13, 4 },
    { 36, FIRMWARE_FILE_STORE_END, 4 },
    { 36, 0x7ffffffe, 4 },
    { 36, 0xfffffffe, 4 },
    { 40, FIRMWARE_FILE_STORE_END, 4 },
    { 40, 0xfffffffe, 4 },
    { 40, 34, 4 },
    { 36, 8, 4 },
    { 40, 26, 4 },
    { 36, UINT64_MAX, 8 },
  };

  g_assert_true (check (bytes));
  for (unsigned i = 0; i < G_N_ELEMENTS (cases); i++)
    {
      g_autofree uint8_t *copy = g_memdup2 (bytes, FIRMWARE_FILE_SIZE);

      firmware_file_put (copy + FIRMWARE_FILE_FIRST + cases[i].offset, cases[i].value,
                         cases[i].size);
      g_assert_false (check (copy));
    }
  bytes[end + 100] = 0;
  g_assert_false (ovmf_files_check_variables (bytes, FIRMWARE_FILE_SIZE, &error));
  g_assert_cmpstr (error->message, ==, "its variables are damaged: some of them would be lost");
}

/* A machine that was killed while it wrote: the firmware goes on with that. */
static void
test_unfinished_writes (void)
{
  g_autofree uint8_t *bytes = firmware_file_variables ();
  const size_t second = add_variable (bytes, FIRMWARE_FILE_FIRST, 12, 30);
  const size_t third = add_variable (bytes, second, 12, 30);

  /* A header byte by byte, its state last; then contents. */
  for (unsigned n = 0; n <= 60 + 12 + 30; n++)
    {
      g_autofree uint8_t *copy = g_memdup2 (bytes, FIRMWARE_FILE_SIZE);

      memset (copy + second + n, 0xff, third - second - n);
      if (n < 60)
        copy[second + 2] = 0xff;
      g_assert_true (check (copy));
    }
  /* The store, erased to be written anew: only with the writer's record of it, and not once that is complete. */
  memset (bytes, 0xff, second + 20);
  g_assert_false (check (bytes));
  bytes[FIRMWARE_FILE_FTW + 32] = 0xfc;
  firmware_file_put (bytes + FIRMWARE_FILE_FTW + 32 + 24, 1, 8);
  firmware_file_put (bytes + FIRMWARE_FILE_FTW + 32 + 32, 0, 8);
  g_assert_true (check (bytes));
  bytes[FIRMWARE_FILE_FTW + 32] = 0xf8;
  g_assert_false (check (bytes));
  /* A second write, of which the first's numbers tell the place. */
  bytes[FIRMWARE_FILE_FTW + 32 + 80] = 0xfe;
  g_assert_true (check (bytes));
  firmware_file_put (bytes + FIRMWARE_FILE_FTW + 32 + 24, UINT64_MAX, 8);
  g_assert_false (check (bytes));
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
  g_test_add_func ("/ovmf-files/good-variables", test_good_variables);
  g_test_add_func ("/ovmf-files/hostile-19-damaged-headers", test_damaged_variables);
  g_test_add_func ("/ovmf-files/hostile-19-damage-in-the-variables", test_damage_in_the_variables);
  g_test_add_func ("/ovmf-files/unfinished-writes", test_unfinished_writes);
  g_test_add_func ("/ovmf-files/hostile-19-no-firmware", test_no_firmware);
  g_test_add_func ("/ovmf-files/own-file", test_own_file);
  return g_test_run ();
}
