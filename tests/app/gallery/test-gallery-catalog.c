#include "gallery/gallery-catalog.h"

#include "app-test.h"

#include <string.h>
#include <glib/gstdio.h>
#include <libglib-testing/signal-logger.h>

/* An entry that uses every field of the schema, each in a way that is right. */
#define DIGEST "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
static const char full[] =
    "{'schema': 1, 'id': 'full', 'name': 'Full', 'version': '1', 'codename': 'code', 'variant': "
    "'variant', 'vendor': 'Vendor', 'arch': 'x86_64', 'kind': 'installer', 'status': 'supported', "
    "'summary': 'Has it all.', 'homepage': 'https://example.org/', 'licence': 'Free', 'logo': "
    "'icon', 'released': '2023-06-10', 'end-of-life': '2028-06', 'login': 'As root.', 'tested': "
    "'never', 'firmware': 'linux', 'cmdline': 'quiet', 'network': 'none', 'cloud-init': {'user': "
    "'me'}, 'minimum': {'cpus': 1, 'memory': '256M', 'disk': '1G'}, 'recommended': {'cpus': 2, "
    "'memory': '1G', 'disk': '2G'}, 'files': ["
    "{'role': 'kernel', 'urls': ['https://example.org/a', 'http://example.org/a'], 'size': 10, "
    "'size-about': 10, 'unpack': 'tar', 'member': 'boot/vmlinuz', 'unpacked-size': 100, "
    "'checksum': {'hash': 'sha256', 'value': '" DIGEST "'}, 'signature': {'url': "
    "'https://example.org/s', 'key': '0123456789abcdef0123456789abcdef01234567'}}, "
    "{'role': 'initrd', 'urls': ['file:///b'], 'checksum': {'hash': 'md5', 'package': 'pack', "
    "'file': 'b'}}, "
    "{'role': 'disk', 'format': 'raw', 'urls': ['https://example.org/c'], 'checksum': {'hash': "
    "'sha512', 'url': 'https://example.org/SUMS', 'file': 'c'}}]}";

static char *
with_quotes (const char *text)
{
  return g_strdelimit (g_strdup (text), "'", '"');
}

static GalleryEntry *
parse (const char *text, GError **error)
{
  g_autofree char *json = with_quotes (text);

  return gallery_entry_parse (json, strlen (json), "test.json", error);
}

static void
test_full (void)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (GalleryEntry) entry = parse (full, &error);
  g_autofree char *title = NULL;
  const GalleryFile *file;

  g_assert_no_error (error);
  title = gallery_entry_dup_title (entry);
  g_assert_cmpstr (title, ==, "Full 1 (code)");
  g_assert_cmpstr (gallery_entry_get_cmdline (entry), ==, "quiet");
  g_assert_cmpstr (gallery_entry_get_cloud_user (entry), ==, "me");
  g_assert_cmpint (gallery_entry_get_network (entry), ==, MACHINE_NETWORK_NONE);
  g_assert_cmpuint (gallery_entry_get_cpus (entry), ==, 2);
  g_assert_cmpuint (gallery_entry_get_memory (entry), ==, 1 << 30);
  g_assert_cmpuint (gallery_entry_get_minimum_disk_size (entry), ==, 1 << 30);
  g_assert_cmpuint (gallery_entry_get_n_files (entry), ==, 3);
  file = gallery_entry_get_file (entry, 0);
  g_assert_cmpstr (file->urls[1], ==, "http://example.org/a");
  g_assert_cmpint (file->unpack, ==, GALLERY_UNPACK_TAR);
  g_assert_cmpstr (file->checksum.value, ==, DIGEST);
  g_assert_cmpint (gallery_entry_get_file (entry, 1)->checksum.kind, ==, GALLERY_CHECKSUM_PACKAGE);
  g_assert_cmpint (gallery_entry_get_file (entry, 2)->checksum.kind, ==, GALLERY_CHECKSUM_URL);
  g_assert_true (gallery_entry_matches (entry, "FULL vendor"));
  g_assert_false (gallery_entry_matches (entry, "full nothing"));
}

/* --- every field with every wrong type ----------------------------------------------------- */

static void visit_object (JsonNode *root, JsonObject *object, const char *path);

static void
assert_refused (JsonNode *root, const char *path)
{
  g_autofree char *text = json_to_string (root, FALSE);
  g_autofree char *start = g_strdup_printf ("test.json: %s", path);
  g_autoptr (GError) error = NULL;
  g_autoptr (GalleryEntry) entry = gallery_entry_parse (text, strlen (text), "test.json", &error);

  if (entry != NULL)
    g_error ("%s: this was accepted: %s", path, text);
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_INVALID_DATA);
  if (!g_str_has_prefix (error->message, start))
    g_error ("“%s” does not start with “%s”", error->message, start);
}

static const char *
kind_of (JsonNode *node)
{
  return JSON_NODE_HOLDS_VALUE (node) ? g_type_name (json_node_get_value_type (node))
                                      : json_node_type_name (node);
}

/* `field` of `object`, which is somewhere in `root`. */
static void
try_wrong_types (JsonNode *root, JsonObject *object, const char *field, const char *path)
{
  static const char *const values[] = { "null", "true",  "7",  "-1", "1.5",
                                        "\"\"", "\"?\"", "{}", "[]", "[7]" };
  g_autoptr (JsonNode) right = json_object_dup_member (object, field);

  for (guint i = 0; i < G_N_ELEMENTS (values); i++)
    {
      g_autoptr (JsonNode) wrong = json_from_string (values[i], NULL);

      /* A text or a number of the right kind is the business of the tests of values. */
      if (g_str_equal (kind_of (right), kind_of (wrong)) && !g_str_equal (values[i], "\"\"") &&
          !g_str_equal (values[i], "-1"))
        continue;
      json_object_set_member (object, field, g_steal_pointer (&wrong));
      assert_refused (root, path);
    }
  json_object_set_member (object, field, g_steal_pointer (&right));
}

static void
visit_member (JsonNode *root, JsonObject *object, const char *field, const char *path)
{
  JsonNode *node = json_object_get_member (object, field);

  try_wrong_types (root, object, field, path);
  node = json_object_get_member (object, field);
  if (JSON_NODE_HOLDS_OBJECT (node))
    visit_object (root, json_node_get_object (node), path);
  if (JSON_NODE_HOLDS_ARRAY (node))
    for (guint i = 0; i < json_array_get_length (json_node_get_array (node)); i++)
      {
        JsonNode *element = json_array_get_element (json_node_get_array (node), i);
        g_autofree char *name = g_strdup_printf ("%s[%u]", path, i);

        if (JSON_NODE_HOLDS_OBJECT (element))
          visit_object (root, json_node_get_object (element), name);
      }
}

static void
visit_object (JsonNode *root, JsonObject *object, const char *path)
{
  g_autoptr (GList) fields = json_object_get_members (object);
  g_autoptr (GPtrArray) names = g_ptr_array_new_with_free_func (g_free);
  const char *dot = path[0] != '\0' ? "." : "";
  g_autofree char *unknown = g_strdup_printf ("%s%sunknown", path, dot);

  for (GList *l = fields; l != NULL; l = l->next)
    g_ptr_array_add (names, g_strdup (l->data));
  for (guint i = 0; i < names->len; i++)
    {
      g_autofree char *inner = g_strdup_printf ("%s%s%s", path, dot, (char *) names->pdata[i]);

      visit_member (root, object, names->pdata[i], inner);
    }
  json_object_set_int_member (object, "unknown", 1);
  assert_refused (root, unknown);
  json_object_remove_member (object, "unknown");
}

static void
test_wrong_types (void)
{
  g_autofree char *json = with_quotes (full);
  g_autoptr (JsonNode) root = json_from_string (json, NULL);

  visit_object (root, json_node_get_object (root), "");
}

static void
test_missing (void)
{
  static const char *const required[] = { "schema",   "id",      "name",       "vendor", "arch",
                                          "kind",     "status",  "summary",    "tested", "files",
                                          "firmware", "minimum", "recommended" };

  for (guint i = 0; i < G_N_ELEMENTS (required); i++)
    {
      g_autofree char *json = with_quotes (full);
      g_autoptr (JsonNode) root = json_from_string (json, NULL);

      json_object_remove_member (json_node_get_object (root), required[i]);
      assert_refused (root, required[i]);
    }
}

/* --- values -------------------------------------------------------------------------------- */

static void
test_bad_values (void)
{
  static const struct
  {
    const char *from; /* in `full` */
    const char *to;
    const char *message;
  } cases[] = {
    { "'schema': 1", "'schema': 2", "test.json: schema: is 2: written for a newer Alcove" },
    { "'id': 'full'", "'id': '../full'", "test.json: id: is “../full”" },
    { "'x86_64'", "'riscv64'", "test.json: arch: is “riscv64”, allowed are: x86_64" },
    { "'supported'", "'sup'", "test.json: status: is “sup”" },
    { "'2028-06'", "'2028-13'", "test.json: end-of-life: is “2028-13”" },
    { "'2023-06-10'", "'2023-02-30'", "test.json: released: is “2023-02-30”" },
    { "'homepage': 'https://example.org/'", "'homepage': 'javascript:x'",
      "test.json: homepage: is of the scheme" },
    { "'firmware': 'linux'", "'firmware': 'uefi'", "test.json: cmdline: is for firmware “linux”" },
    { "'cpus': 2", "'cpus': 0", "test.json: recommended.cpus: is 0" },
    { "'cpus': 2", "'cpus': 99", "test.json: recommended.cpus: is 99" },
    { "'memory': '1G'", "'memory': '9999G'", "test.json: recommended.memory: is" },
    { "'memory': '1G'", "'memory': '64M'", "test.json: recommended: is less than the minimum" },
    { "'role': 'disk'", "'role': 'floppy'", "test.json: files[2].role: is “floppy”" },
    { "'role': 'initrd'", "'role': 'kernel'", "test.json: files: a role is given twice" },
    { "'format': 'raw', ", "", "test.json: files[2].format: is missing" },
    { "'format': 'raw'", "'format': 'vmdk'", "test.json: files[2].format: is “vmdk”" },
    { "['https://example.org/c']", "[]", "test.json: files[2].urls: has 0 entries" },
    { "'file:///b'", "'file:b'", "test.json: files[1].urls[0]: is not the URL of a file" },
    { "'https://example.org/c'", "'ftp://example.org/c'",
      "test.json: files[2].urls[0]: is of the" },
    { "'https://example.org/c'", "'https:///c'", "test.json: files[2].urls[0]: names no host" },
    { "'https://example.org/SUMS'", "'http://example.org/SUMS'",
      "test.json: files[2].checksum.url: is http: checksums need https" },
    { "'value': '" DIGEST "'", "'value': 'abc'",
      "test.json: files[0].checksum.value: has 3 digits" },
    { "'value': '0", "'value': 'x", "test.json: files[0].checksum.value: is not hexadecimal" },
    { "'hash': 'sha256'", "'hash': 'none'", "test.json: files[0].checksum.hash: is “none”" },
    { "'hash': 'sha512'", "'hash': 'md5'", "test.json: files[2].checksum.hash: is “md5”" },
    { "'package': 'pack'", "'package': '../../pack'",
      "test.json: files[1].checksum.package: is not" },
    { "'boot/vmlinuz'", "'../vmlinuz'", "test.json: files[0].member: is “../vmlinuz”" },
    { "'boot/vmlinuz'", "'/vmlinuz'", "test.json: files[0].member: is “/vmlinuz”" },
    { "'unpack': 'tar'", "'unpack': 'gz'", "test.json: files[0].member: is for zip and tar only" },
    { "'name': 'Full'", "'name': 'a\\u0007'", "test.json: name: has a control character" },
  };

  for (guint i = 0; i < G_N_ELEMENTS (cases); i++)
    {
      g_auto (GStrv) parts = g_strsplit (full, cases[i].from, 2);
      g_autofree char *text = g_strjoinv (cases[i].to, parts);
      g_autoptr (GError) error = NULL;

      g_assert_cmpuint (g_strv_length (parts), ==, 2);
      g_assert_null (parse (text, &error));
      app_test_assert_error (error, G_IO_ERROR, G_IO_ERROR_INVALID_DATA, cases[i].message);
    }
}

/* Cut anywhere: an error, never a crash. */
static void
test_truncated (void)
{
  for (gsize length = 0; length < strlen (full); length++)
    {
      g_autofree char *json = with_quotes (full);
      g_autoptr (GError) error = NULL;

      g_assert_null (gallery_entry_parse (json, length, "test.json", &error));
      g_assert_error (error, G_IO_ERROR, G_IO_ERROR_INVALID_DATA);
    }
}

/* --- folders ------------------------------------------------------------------------------- */

static char *
write_entry (const char *folder, const char *file, const char *id, const char *name)
{
  g_auto (GStrv) parts = g_strsplit (full, "'id': 'full', 'name': 'Full'", 2);
  g_autofree char *between = g_strdup_printf ("'id': '%s', 'name': '%s'", id, name);
  g_autofree char *text = g_strjoinv (between, parts);
  g_autofree char *json = with_quotes (text);
  char *path = g_build_filename (folder, file, NULL);

  app_test_write (path, json);
  return path;
}

/* One bad file hides no other. */
static void
test_folder (void)
{
  const char *folder = app_test_folder ();
  g_autofree char *one G_GNUC_UNUSED = write_entry (folder, "1.json", "one", "Zulu");
  g_autofree char *two G_GNUC_UNUSED = write_entry (folder, "2.json", "two", "Alpha");
  g_autofree char *hidden G_GNUC_UNUSED = write_entry (folder, ".3.json", "three", "Hidden");
  g_autofree char *bad = g_build_filename (folder, "bad.json", NULL);
  g_autofree char *huge = g_build_filename (folder, "huge.json", NULL);
  g_autofree char *spaces = g_strnfill (GALLERY_CATALOG_FILE_MAX + 1, ' ');
  g_autofree char *readme = g_build_filename (folder, "README", NULL);
  g_autoptr (GalleryCatalog) catalog = gallery_catalog_new ();
  g_autoptr (GalleryEntry) first = NULL;
  const char *const *problems;

  app_test_write (bad, "{\"schema\": \"one\"}");
  app_test_write (huge, spaces);
  app_test_write (readme, "not json");
  g_assert_cmpuint (gallery_catalog_load_folder (catalog, folder), ==, 2);
  g_assert_cmpuint (g_list_model_get_n_items (G_LIST_MODEL (catalog)), ==, 2);
  first = g_list_model_get_item (G_LIST_MODEL (catalog), 0);
  g_assert_cmpstr (gallery_entry_get_name (first), ==, "Alpha");
  problems = gallery_catalog_get_problems (catalog);
  g_assert_cmpuint (g_strv_length ((char **) problems), ==, 2);
  for (guint i = 0; i < 2; i++)
    g_assert_true (g_str_has_prefix (problems[i], "bad.json: schema: ") ||
                   g_str_has_prefix (problems[i], "huge.json: "));
  g_assert_cmpuint (gallery_catalog_load_folder (catalog, "/nonexistent"), ==, 0);
}

/* The user's own file replaces the vendor's of the same id. */
static void
test_later_wins (void)
{
  const char *folder = app_test_folder ();
  g_autofree char *one = write_entry (folder, "1.json", "same", "Old");
  g_autofree char *two = write_entry (folder, "2.json", "same", "New");
  g_autoptr (GalleryCatalog) catalog = gallery_catalog_new ();
  g_autoptr (GtSignalLogger) logger = gt_signal_logger_new ();
  g_autoptr (GError) error = NULL;
  guint position = 9, removed = 9, added = 9;

  g_assert_true (gallery_catalog_load_file (catalog, one, &error));
  gt_signal_logger_connect (logger, catalog, "items-changed");
  g_assert_true (gallery_catalog_load_file (catalog, two, &error));
  gt_signal_logger_assert_emission_pop (logger, catalog, "items-changed", &position, &removed,
                                        &added);
  g_assert_true (position == 0 && removed == 1 && added == 0);
  gt_signal_logger_assert_emission_pop (logger, catalog, "items-changed", &position, &removed,
                                        &added);
  g_assert_true (position == 0 && removed == 0 && added == 1);
  gt_signal_logger_assert_no_emissions (logger);
  g_assert_cmpstr (gallery_entry_get_name (gallery_catalog_find (catalog, "same")), ==, "New");
}

/* --- what we ship -------------------------------------------------------------------------- */

static GalleryCatalog *
load_shipped (void)
{
  GalleryCatalog *catalog = gallery_catalog_new ();

  gallery_catalog_load_folder (catalog, GALLERY_FOLDER);
  if (gallery_catalog_get_problems (catalog)[0] != NULL)
    g_error ("%s", gallery_catalog_get_problems (catalog)[0]);
  return catalog;
}

static void
test_shipped (void)
{
  static const char *const names[] = { "Debian 12 ", "Debian 13 ", "Ubuntu 24.04 ",      "Fedora",
                                       "Alpine",     "Arch",       "openSUSE Tumbleweed" };
  g_autoptr (GalleryCatalog) catalog = load_shipped ();
  guint n = g_list_model_get_n_items (G_LIST_MODEL (catalog));

  for (guint i = 0; i < G_N_ELEMENTS (names); i++)
    {
      gboolean found = FALSE;

      for (guint j = 0; j < n; j++)
        {
          g_autoptr (GalleryEntry) entry = g_list_model_get_item (G_LIST_MODEL (catalog), j);
          g_autofree char *title = gallery_entry_dup_title (entry);

          found = found || (g_str_has_prefix (title, names[i]) && !gallery_entry_is_local (entry));
        }
      if (!found)
        g_error ("no entry “%s” in the gallery", names[i]);
    }
  g_assert_true (gallery_entry_is_local (gallery_catalog_find (catalog, "debian-12-installer")));
}

/* The file's name is the id; the vendor's checksums, or those of the package, are used; nothing is
 * without what a user has to know. */
static void
test_shipped_quality (void)
{
  g_autoptr (GalleryCatalog) catalog = load_shipped ();

  for (guint i = 0; i < g_list_model_get_n_items (G_LIST_MODEL (catalog)); i++)
    {
      g_autoptr (GalleryEntry) entry = g_list_model_get_item (G_LIST_MODEL (catalog), i);
      g_autofree char *file =
          g_strdup_printf (GALLERY_FOLDER "/%s.json", gallery_entry_get_id (entry));

      g_assert_true (app_test_exists (file));
      g_assert_nonnull (gallery_entry_get_login (entry));
      g_assert_nonnull (gallery_entry_get_homepage (entry));
      g_assert_nonnull (gallery_entry_get_licence (entry));
      g_assert_cmpuint (gallery_entry_get_download_size (entry), >, 0);
      /* What is installed or ready on a disk is started from it the next time; a kernel that is given would start again. */
      if (!gallery_entry_is_local (entry))
        g_assert_cmpint (gallery_entry_get_firmware (entry), ==, MACHINE_FIRMWARE_UEFI);
      for (guint j = 0; j < gallery_entry_get_n_files (entry); j++)
        {
          const GalleryFile *one = gallery_entry_get_file (entry, j);
          const char *url = one->urls[0];

          g_assert_true (g_str_has_prefix (url, "https:") || g_str_has_prefix (url, "file:"));
          g_assert_cmpint (one->checksum.kind, ==,
                           g_str_has_prefix (url, "file:") ? GALLERY_CHECKSUM_PACKAGE
                                                           : GALLERY_CHECKSUM_URL);
          /* The checksums are of the file that is downloaded. */
          if (!g_str_equal (one->checksum.file, "*"))
            g_assert_true (g_str_has_suffix (url, one->checksum.file));
        }
    }
}

/* --- the document -------------------------------------------------------------------------- */

static void
collect_fields (JsonNode *node, GHashTable *fields)
{
  if (JSON_NODE_HOLDS_ARRAY (node))
    for (guint i = 0; i < json_array_get_length (json_node_get_array (node)); i++)
      collect_fields (json_array_get_element (json_node_get_array (node), i), fields);
  if (JSON_NODE_HOLDS_OBJECT (node))
    {
      JsonObjectIter iter;
      const char *name;
      JsonNode *member;

      json_object_iter_init (&iter, json_node_get_object (node));
      while (json_object_iter_next (&iter, &name, &member))
        {
          g_hash_table_add (fields, g_strdup (name));
          collect_fields (member, fields);
        }
    }
}

static void
assert_documented (const char *json, const char *document)
{
  g_autoptr (GHashTable) fields = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, NULL);
  g_autoptr (JsonNode) root = json_from_string (json, NULL);
  GHashTableIter iter;
  gpointer name;

  collect_fields (root, fields);
  g_hash_table_iter_init (&iter, fields);
  while (g_hash_table_iter_next (&iter, &name, NULL))
    {
      g_autofree char *plain = g_strdup_printf ("`%s`", (char *) name);
      g_autofree char *quoted = g_strdup_printf ("\"%s\"", (char *) name);

      if (strstr (document, plain) == NULL && strstr (document, quoted) == NULL)
        g_error ("the field “%s” is not in SCHEMA.md", (char *) name);
    }
}

static void
test_documented (void)
{
  g_autofree char *document = app_test_read (GALLERY_FOLDER "/SCHEMA.md");
  g_autofree char *json = with_quotes (full);
  g_autoptr (GDir) dir = g_dir_open (GALLERY_FOLDER, 0, NULL);
  const char *name;

  assert_documented (json, document);
  while ((name = g_dir_read_name (dir)) != NULL)
    if (g_str_has_suffix (name, ".json"))
      {
        g_autofree char *path = g_build_filename (GALLERY_FOLDER, name, NULL);
        g_autofree char *text = app_test_read (path);

        assert_documented (text, document);
      }
}

/* And the other way round: a field of the document's tables is one that the parser knows, which is
 * what `full` uses. */
static void
test_document_is_true (void)
{
  g_autofree char *document = app_test_read (GALLERY_FOLDER "/SCHEMA.md");
  g_auto (GStrv) lines = g_strsplit (document, "\n", -1);
  guint n_fields = 0;

  for (guint i = 0; lines[i] != NULL; i++)
    {
      g_auto (GStrv) cells = g_strsplit (lines[i], "|", 3);
      g_auto (GStrv) names = NULL;

      if (g_strv_length (cells) < 3 || strchr (cells[1], '`') == NULL)
        continue;
      names = g_strsplit (cells[1], "`", -1);
      for (guint j = 1; names[j] != NULL && names[j + 1] != NULL; j += 2)
        {
          g_autofree char *field = g_strdup_printf ("'%s':", names[j]);

          if (strstr (full, field) == NULL)
            g_error ("SCHEMA.md has a field “%s” that the parser does not know", names[j]);
          n_fields++;
        }
    }
  g_assert_cmpuint (n_fields, >, 30);
}

int
main (int argc, char **argv)
{
  app_test_init (&argc, &argv);
  g_test_add_func ("/gallery-catalog/full", test_full);
  g_test_add_func ("/gallery-catalog/wrong-types", test_wrong_types);
  g_test_add_func ("/gallery-catalog/missing", test_missing);
  g_test_add_func ("/gallery-catalog/bad-values", test_bad_values);
  g_test_add_func ("/gallery-catalog/truncated", test_truncated);
  g_test_add_func ("/gallery-catalog/folder", test_folder);
  g_test_add_func ("/gallery-catalog/later-wins", test_later_wins);
  g_test_add_func ("/gallery-catalog/shipped", test_shipped);
  g_test_add_func ("/gallery-catalog/shipped-quality", test_shipped_quality);
  g_test_add_func ("/gallery-catalog/documented", test_documented);
  g_test_add_func ("/gallery-catalog/document-is-true", test_document_is_true);
  return g_test_run ();
}
