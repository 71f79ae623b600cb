#include "firmware/uefi-nvram.h"

#include <glib/gstdio.h>
#include <string.h>
#include <sys/resource.h>
#include <signal.h>

typedef struct Fixture
{
  char *folder;
  char *path;
} Fixture;

static void
set_up (Fixture *fixture, const void *data)
{
  fixture->folder = g_dir_make_tmp ("alcove-nvram-XXXXXX", NULL);
  fixture->path = g_build_filename (fixture->folder, "nvram", NULL);
  g_assert_true (g_file_set_contents (fixture->path, "variables", 9, NULL));
}

static void
tear_down (Fixture *fixture, const void *data)
{
  g_remove (fixture->path);
  g_rmdir (fixture->folder);
  g_free (fixture->path);
  g_free (fixture->folder);
}

static char *
read_file (const Fixture *fixture)
{
  char *text = NULL;

  g_assert_true (g_file_get_contents (fixture->path, &text, NULL, NULL));
  return text;
}

static void
test_a_store_is_in_the_file_at_once (Fixture *fixture, const void *data)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (UefiNvram) nvram = uefi_nvram_new (fixture->path, "/none", &error);

  g_assert_no_error (error);
  g_assert_cmpmem (uefi_nvram_get_contents (nvram), uefi_nvram_get_size (nvram), "variables", 9);
  memcpy (uefi_nvram_get_contents (nvram), "VARIables", 9);
  g_assert_true (uefi_nvram_store (nvram, 1, 2));
  g_autofree char *text = read_file (fixture);
  g_assert_cmpstr (text, ==, "vARiables");
}

static void
test_one_machine_at_a_time (Fixture *fixture, const void *data)
{
  g_autoptr (GError) error = NULL;
  UefiNvram *nvram = uefi_nvram_new (fixture->path, "/none", NULL);

  g_assert_null (uefi_nvram_new (fixture->path, "/none", &error));
  g_assert_nonnull (strstr (error->message, fixture->path));
  g_assert_nonnull (strstr (error->message, "in use"));
  uefi_nvram_free (nvram);
  g_autoptr (UefiNvram) next = uefi_nvram_new (fixture->path, "/none", NULL);
  g_assert_nonnull (next);
}

static void
test_kept_nowhere (Fixture *fixture, const void *data)
{
  g_autoptr (UefiNvram) nvram = uefi_nvram_new (NULL, fixture->path, NULL);

  uefi_nvram_get_contents (nvram)[0] = 'X';
  g_assert_true (uefi_nvram_store (nvram, 0, 1));
  g_autofree char *text = read_file (fixture);
  g_assert_cmpstr (text, ==, "variables");
}

static void
test_missing (Fixture *fixture, const void *data)
{
  g_autoptr (GError) error = NULL;

  g_remove (fixture->path);
  g_assert_null (uefi_nvram_new (fixture->path, "/none", &error));
  g_assert_true (g_str_has_prefix (error->message, "--nvram: "));
}

/* The host cannot write: told once, and each time to the guest. */
static void
test_the_host_cannot_write (Fixture *fixture, const void *data)
{
  struct rlimit old, none;
  g_autoptr (UefiNvram) nvram = uefi_nvram_new (fixture->path, "/none", NULL);

  signal (SIGXFSZ, SIG_IGN);
  getrlimit (RLIMIT_FSIZE, &old);
  none = old;
  none.rlim_cur = 0;
  setrlimit (RLIMIT_FSIZE, &none);
  g_test_expect_message ("vmm-firmware", G_LOG_LEVEL_WARNING, "*cannot be written*");
  g_assert_false (uefi_nvram_store (nvram, 0, 1));
  g_assert_false (uefi_nvram_store (nvram, 0, 1));
  g_test_assert_expected_messages ();
  setrlimit (RLIMIT_FSIZE, &old);
  g_assert_true (uefi_nvram_store (nvram, 0, 1));
}

static void
add (const char *name, void (*test) (Fixture *fixture, const void *data))
{
  g_autofree char *path = g_strconcat ("/uefi-nvram/", name, NULL);

  g_test_add (path, Fixture, NULL, set_up, test, tear_down);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  add ("store", test_a_store_is_in_the_file_at_once);
  add ("lock", test_one_machine_at_a_time);
  add ("nowhere", test_kept_nowhere);
  add ("missing", test_missing);
  add ("cannot-write", test_the_host_cannot_write);
  return g_test_run ();
}
