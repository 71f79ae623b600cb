#include "cli/cli-command.h"
#include "gallery/gallery-catalog.h"

static void
print_entry_json (GalleryEntry *entry)
{
  g_autoptr (JsonBuilder) builder = json_builder_new ();
  g_autofree char *missing = NULL;
  g_autofree char *title = gallery_entry_dup_title (entry);

  json_builder_begin_object (builder);
  cli_add_string (builder, "id", gallery_entry_get_id (entry));
  cli_add_string (builder, "title", title);
  cli_add_string (builder, "vendor", gallery_entry_get_vendor (entry));
  cli_add_string (builder, "version", gallery_entry_get_version (entry));
  cli_add_string (builder, "variant", gallery_entry_get_variant (entry));
  cli_add_string (builder, "kind", gallery_entry_get_kind (entry));
  cli_add_string (builder, "status", gallery_entry_get_status (entry));
  cli_add_string (builder, "login", gallery_entry_get_login (entry));
  json_builder_set_member_name (builder, "download-size");
  json_builder_add_int_value (builder, gallery_entry_get_download_size (entry));
  json_builder_set_member_name (builder, "available");
  json_builder_add_boolean_value (builder, gallery_entry_is_available (entry, &missing));
  cli_add_string (builder, "missing", missing);
  json_builder_end_object (builder);
  cli_print_json (builder);
}

static void
print_table (GPtrArray *entries)
{
  static const char *const titles[] = { "ID", "SYSTEM", "KIND", "DOWNLOAD", "VENDOR", NULL };
  g_autoptr (CliTable) table = cli_table_new (titles);

  for (guint i = 0; i < entries->len; i++)
    {
      GalleryEntry *entry = entries->pdata[i];
      guint64 bytes = gallery_entry_get_download_size (entry);
      g_autofree char *title = gallery_entry_dup_title (entry);
      g_autofree char *size = gallery_entry_is_local (entry) ? g_strdup ("none")
                              : bytes == 0                   ? g_strdup ("?")
                                                             : g_format_size (bytes);
      const char *cells[] = {
        gallery_entry_get_id (entry),     title, gallery_entry_get_kind (entry), size,
        gallery_entry_get_vendor (entry),
      };

      cli_table_add (table, cells);
    }
  cli_table_print (table);
}

int
cli_gallery_run (int argc, char **argv)
{
  gboolean json = FALSE;
  const GOptionEntry options[] = {
    { "json", 0, 0, G_OPTION_ARG_NONE, &json, "One JSON object an entry, one a line", NULL },
    { NULL },
  };
  g_autoptr (GalleryCatalog) catalog = NULL;
  g_autoptr (GPtrArray) entries = g_ptr_array_new_with_free_func (g_object_unref);
  g_autofree char *words = NULL;
  int first = 1;

  if (!cli_parse (&argc, &argv, "[list] [WORD...]",
                  "The systems that can be installed, or those with all the words", options, 0,
                  G_MAXINT))
    return CLI_EXIT_USAGE;
  if (argc > 1 && g_str_equal (argv[1], "list"))
    first = 2;
  words = g_strjoinv (" ", argv + first);
  catalog = gallery_catalog_new_default ();
  for (guint i = 0; i < g_list_model_get_n_items (G_LIST_MODEL (catalog)); i++)
    {
      g_autoptr (GalleryEntry) entry = g_list_model_get_item (G_LIST_MODEL (catalog), i);

      if (gallery_entry_matches (entry, words))
        g_ptr_array_add (entries, g_steal_pointer (&entry));
    }
  for (const char *const *p = gallery_catalog_get_problems (catalog); p != NULL && *p != NULL; p++)
    g_printerr ("alcove: left out of the gallery: %s\n", *p);
  if (json)
    for (guint i = 0; i < entries->len; i++)
      print_entry_json (entries->pdata[i]);
  else
    print_table (entries);
  if (entries->len == 0)
    return cli_fail_text (*words == '\0' ? "the gallery is empty: no catalogue file was found"
                                         : "no system of the gallery has all these words");
  return CLI_EXIT_DONE;
}
