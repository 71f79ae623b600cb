/* What a user reads, or hears from a screen reader, of widgets that a window is not needed for. */

#include <adwaita.h>
#include <string.h>
#include "gallery/gallery-catalog.h"
#include "machine/host-check.h"
#include "ui/gallery/gallery-card.h"
#include "ui/machine/emulated-pill.h"

/* The label below `widget` that is on the screen and reads `text`. */
static GtkWidget *
find_text (GtkWidget *widget, const char *text)
{
  if (GTK_IS_LABEL (widget) && gtk_widget_get_mapped (widget) &&
      strcmp (gtk_label_get_text (GTK_LABEL (widget)), text) == 0)
    return widget;
  for (GtkWidget *child = gtk_widget_get_first_child (widget); child != NULL;
       child = gtk_widget_get_next_sibling (child))
    {
      GtkWidget *found = find_text (child, text);

      if (found != NULL)
        return found;
    }
  return NULL;
}

static void
wait_for_text (GtkWidget *widget, const char *text)
{
  gint64 end = g_get_monotonic_time () + 30 * G_USEC_PER_SEC;

  while (find_text (widget, text) == NULL)
    {
      if (g_get_monotonic_time () > end)
        g_error ("“%s” is not shown", text);
      if (!g_main_context_iteration (NULL, FALSE))
        g_usleep (5000);
    }
}

/* The pill, and, when it is pressed, the sentence that says why and what can be done. */
static void
test_emulated (void)
{
  GtkWidget *window = gtk_window_new ();
  GtkWidget *pill = g_object_new (EMULATED_TYPE_PILL, NULL);
  HostCheckVerdict verdict = host_check_run (NULL, NULL);

  gtk_window_set_child (GTK_WINDOW (window), pill);
  gtk_window_present (GTK_WINDOW (window));
  wait_for_text (pill, "Emulated");
  g_assert_null (find_text (pill, "This Machine Is Emulated"));
  gtk_menu_button_popup (GTK_MENU_BUTTON (gtk_widget_get_first_child (pill)));
  wait_for_text (pill, "This Machine Is Emulated");
  if (verdict != HOST_CHECK_FULL_SPEED)
    {
      wait_for_text (pill, host_check_get_sentence (verdict));
      wait_for_text (pill, host_check_get_advice (verdict));
    }
  gtk_window_destroy (GTK_WINDOW (window));
}

/* Two entries of one system are told apart. */
static void
test_cards (void)
{
  g_autoptr (GalleryCatalog) catalog = gallery_catalog_new ();
  g_autoptr (GHashTable) labels = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, NULL);
  guint n;

  gallery_catalog_load_folder (catalog, GALLERY_FOLDER);
  n = g_list_model_get_n_items (G_LIST_MODEL (catalog));
  g_assert_cmpuint (n, >, 5);
  for (guint i = 0; i < n; i++)
    {
      g_autoptr (GalleryEntry) entry = g_list_model_get_item (G_LIST_MODEL (catalog), i);
      GtkWidget *card = g_object_ref_sink (gallery_card_new (entry));
      g_autofree char *title = gallery_entry_dup_title (entry);
      g_autofree char *size = gallery_card_dup_size_text (entry);
      const char *kind = gallery_card_describe_kind (gallery_entry_get_kind (entry));
      g_autofree char *label =
          g_strdup_printf ("%s, %s · %s, %s", title, kind, gallery_entry_get_variant (entry), size);

      gtk_test_accessible_assert_property (GTK_ACCESSIBLE (card), GTK_ACCESSIBLE_PROPERTY_LABEL,
                                           label);
      g_assert_true (g_hash_table_add (labels, g_steal_pointer (&label)));
      g_object_unref (card);
    }
}

int
main (int argc, char **argv)
{
  g_setenv ("GTK_A11Y", "test", TRUE);
  gtk_test_init (&argc, &argv, NULL);
  adw_init ();
  g_test_add_func ("/ui-texts/emulated", test_emulated);
  g_test_add_func ("/ui-texts/cards", test_cards);
  return g_test_run ();
}
