#include "firmware/firmware-descriptor.h"

#include <unistd.h>
#include <glib/gstdio.h>

static char *folder, *code, *by_link, *other;

static void
describe (const char *text)
{
  g_autofree char *path = g_build_filename (folder, "50-test.json", NULL);

  g_assert_true (g_file_set_contents (path, text, -1, NULL));
}

static bool
needs_smm (const char *file)
{
  const char *const folders[] = { "/none", folder, NULL };

  return firmware_descriptor_needs_smm (file, folders);
}

/* Of `code`. */
static char *
descriptor (const char *features)
{
  return g_strdup_printf (
      "{ \"mapping\": { \"executable\": { \"filename\": \"%s\" } }, \"features\": %s }", code,
      features);
}

static void
test_feature (void)
{
  g_autofree char *with = descriptor ("[ \"acpi-s3\", \"requires-smm\" ]");
  g_autofree char *without = descriptor ("[ \"acpi-s3\" ]");

  describe (with);
  g_assert_true (needs_smm (code));
  g_assert_true (needs_smm (by_link));
  g_assert_false (needs_smm (other));
  g_assert_false (needs_smm ("/none/of/these"));
  describe (without);
  g_assert_false (needs_smm (code));
}

static void
test_no_descriptor (void)
{
  static const char *const texts[] = {
    "",
    "no JSON",
    "[]",
    "7",
    "{}",
    "{ \"mapping\": 5 }",
    "{ \"mapping\": { \"executable\": [] } }",
    "{ \"mapping\": { \"executable\": { \"filename\": {} } }, \"features\": [ \"requires-smm\" ] }",
    "{ \"mapping\": { \"executable\": {} }, \"features\": [ \"requires-smm\" ] }",
  };

  for (unsigned i = 0; i < G_N_ELEMENTS (texts); i++)
    {
      describe (texts[i]);
      g_assert_false (needs_smm (code));
    }
  g_autofree char *wrong = descriptor ("[ 1, [], {}, null ]");
  describe (wrong);
  g_assert_false (needs_smm (code));
  g_autofree char *no_list = descriptor ("\"requires-smm\"");
  describe (no_list);
  g_assert_false (needs_smm (code));
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  folder = g_dir_make_tmp ("alcove-descriptor-XXXXXX", NULL);
  code = g_build_filename (folder, "code.fd", NULL);
  by_link = g_build_filename (folder, "link.fd", NULL);
  other = g_build_filename (folder, "other.fd", NULL);
  g_assert_true (g_file_set_contents (code, "a", -1, NULL));
  g_assert_true (g_file_set_contents (other, "b", -1, NULL));
  g_assert_cmpint (symlink (code, by_link), ==, 0);
  g_test_add_func ("/firmware-descriptor/feature", test_feature);
  g_test_add_func ("/firmware-descriptor/hostile-19-no-descriptor", test_no_descriptor);
  int status = g_test_run ();
  g_autofree char *json = g_build_filename (folder, "50-test.json", NULL);
  for (const char *const *file = (const char *const[]){ code, by_link, other, json, folder, NULL };
       *file; file++)
    g_remove (*file);
  g_free (code);
  g_free (by_link);
  g_free (other);
  g_free (folder);
  return status;
}
