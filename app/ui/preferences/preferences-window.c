#include "ui/preferences/preferences-window.h"

#include <glib/gi18n.h>
#include "base/app-dirs.h"
#include "machine/host-check.h"

static AdwActionRow *
add_row (AdwPreferencesGroup *group, const char *title, const char *subtitle)
{
  GtkWidget *row = adw_action_row_new ();
  g_autofree char *escaped = g_markup_escape_text (subtitle, -1);

  adw_preferences_row_set_title (ADW_PREFERENCES_ROW (row), title);
  adw_action_row_set_subtitle (ADW_ACTION_ROW (row), escaped);
  adw_action_row_set_subtitle_lines (ADW_ACTION_ROW (row), 4);
  adw_preferences_group_add (group, row);
  return ADW_ACTION_ROW (row);
}

static GtkWidget *
new_speed_group (void)
{
  GtkWidget *group = adw_preferences_group_new ();
  HostCheckVerdict verdict = host_check_run (NULL, NULL);
  gboolean full = verdict == HOST_CHECK_FULL_SPEED;
  AdwActionRow *row;

  adw_preferences_group_set_title (ADW_PREFERENCES_GROUP (group), _ ("Speed"));
  row = add_row (ADW_PREFERENCES_GROUP (group), full ? _ ("Full Speed") : _ ("Emulated"),
                 host_check_get_sentence (verdict));
  adw_action_row_set_icon_name (row, full ? "emblem-ok-symbolic" : "alcove-turtle-symbolic");
  if (!full)
    add_row (ADW_PREFERENCES_GROUP (group), _ ("What to Do"), host_check_get_advice (verdict));
  return group;
}

static void
update_cache_row (AdwActionRow *row, GalleryCache *cache)
{
  g_autofree char *size = g_format_size (gallery_cache_get_size (cache));
  g_autofree char *text = g_strdup_printf (
      _ ("%s are kept, so that a second machine of a system needs no download"), size);

  adw_action_row_set_subtitle (row, text);
}

static void
on_cleared (GObject *source, GAsyncResult *result, gpointer data)
{
  g_autoptr (AdwActionRow) row = data;
  GtkRoot *root = gtk_widget_get_root (GTK_WIDGET (row));
  g_autoptr (GError) error = NULL;
  g_autofree char *text = NULL;
  g_autofree char *size = NULL;
  gint64 freed = gallery_cache_purge_finish (GALLERY_CACHE (source), result, &error);

  size = g_format_size ((guint64) MAX (freed, 0));
  text = error != NULL ? g_markup_escape_text (error->message, -1)
                       : g_strdup_printf (_ ("%s freed"), size);
  if (ADW_IS_PREFERENCES_WINDOW (root))
    adw_preferences_window_add_toast (ADW_PREFERENCES_WINDOW (root), adw_toast_new (text));
  update_cache_row (row, GALLERY_CACHE (source));
}

/* What an install is writing, or will go on with, stays. */
static void
on_clear (GtkButton *button, AdwActionRow *row)
{
  AlcoveApplication *application = alcove_application_get ();
  g_auto (GStrv) keep = install_jobs_dup_downloads (alcove_application_get_jobs (application));

  gallery_cache_purge_async (alcove_application_get_cache (application), (const char *const *) keep,
                             NULL, on_cleared, g_object_ref (row));
}

static GtkWidget *
new_storage_group (AlcoveApplication *application)
{
  GtkWidget *group = adw_preferences_group_new ();
  GtkWidget *button = gtk_button_new_with_mnemonic (_ ("_Clear"));
  g_autofree char *machines = app_dirs_dup_machines ();
  AdwActionRow *row;

  adw_preferences_group_set_title (ADW_PREFERENCES_GROUP (group), _ ("Storage"));
  add_row (ADW_PREFERENCES_GROUP (group), _ ("Machines"), machines);
  row = add_row (ADW_PREFERENCES_GROUP (group), _ ("Downloads"), "");
  update_cache_row (row, alcove_application_get_cache (application));
  gtk_widget_set_valign (button, GTK_ALIGN_CENTER);
  g_signal_connect (button, "clicked", G_CALLBACK (on_clear), row);
  adw_action_row_add_suffix (row, button);
  adw_action_row_set_activatable_widget (row, button);
  return group;
}

/* Catalogue files that were left out, with the reasons. NULL: none. */
static GtkWidget *
new_gallery_group (AlcoveApplication *application)
{
  const char *const *problems =
      gallery_catalog_get_problems (alcove_application_get_catalog (application));
  GtkWidget *group;

  if (problems == NULL || problems[0] == NULL)
    return NULL;
  group = adw_preferences_group_new ();
  adw_preferences_group_set_title (ADW_PREFERENCES_GROUP (group), _ ("Left Out of the Gallery"));
  for (; *problems != NULL; problems++)
    add_row (ADW_PREFERENCES_GROUP (group), _ ("Unusable Catalogue File"), *problems);
  return group;
}

GtkWidget *
preferences_window_new (AlcoveApplication *application)
{
  GtkWidget *window = adw_preferences_window_new ();
  GtkWidget *page = adw_preferences_page_new ();
  GtkWidget *gallery = new_gallery_group (application);

  adw_preferences_page_add (ADW_PREFERENCES_PAGE (page),
                            ADW_PREFERENCES_GROUP (new_speed_group ()));
  adw_preferences_page_add (ADW_PREFERENCES_PAGE (page),
                            ADW_PREFERENCES_GROUP (new_storage_group (application)));
  if (gallery != NULL)
    adw_preferences_page_add (ADW_PREFERENCES_PAGE (page), ADW_PREFERENCES_GROUP (gallery));
  adw_preferences_window_add (ADW_PREFERENCES_WINDOW (window), ADW_PREFERENCES_PAGE (page));
  adw_preferences_window_set_search_enabled (ADW_PREFERENCES_WINDOW (window), FALSE);
  gtk_window_set_modal (GTK_WINDOW (window), TRUE);
  gtk_window_set_default_size (GTK_WINDOW (window), 560, 480);
  return window;
}
