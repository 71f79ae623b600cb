#include "ui/assistant/entry-facts.h"

#include <adwaita.h>
#include <glib/gi18n.h>
#include "gallery/gallery-verify.h"
#include "ui/gallery/gallery-card.h"

static AdwActionRow *
add_row (GtkListBox *list, const char *title, const char *value)
{
  GtkWidget *row;
  g_autofree char *escaped = NULL;

  if (value == NULL || *value == '\0')
    return NULL;
  row = adw_action_row_new ();
  escaped = g_markup_escape_text (value, -1);
  adw_preferences_row_set_title (ADW_PREFERENCES_ROW (row), title);
  adw_action_row_set_subtitle (ADW_ACTION_ROW (row), escaped);
  gtk_widget_add_css_class (row, "property");
  gtk_list_box_append (list, row);
  return ADW_ACTION_ROW (row);
}

static char *
host_of (const char *url)
{
  g_autoptr (GUri) uri = g_uri_parse (url, G_URI_FLAGS_NONE, NULL);

  return uri != NULL && g_uri_get_host (uri) != NULL ? g_strdup (g_uri_get_host (uri)) : NULL;
}

char *
entry_facts_dup_verification (GalleryEntry *entry)
{
  const GalleryFile *file = gallery_entry_get_file (entry, 0);
  g_autofree char *hash = g_ascii_strup (gallery_hash_to_string (file->checksum.hash), -1);
  g_autofree char *host = NULL;
  GString *text = g_string_new (NULL);

  switch (file->checksum.kind)
    {
    case GALLERY_CHECKSUM_INLINE:
      g_string_append_printf (text, _ ("%s checksum that this gallery knows"), hash);
      break;
    case GALLERY_CHECKSUM_URL:
      host = host_of (file->checksum.url);
      g_string_append_printf (text, _ ("%s checksum that %s publishes"), hash,
                              host != NULL ? host : file->checksum.url);
      break;
    case GALLERY_CHECKSUM_PACKAGE:
      g_string_append_printf (text, _ ("%s checksum of the installed package %s"), hash,
                              file->checksum.package);
      break;
    }
  if (file->signature_url != NULL)
    g_string_append (text, _ ("; the vendor also signs it, which Alcove does not check yet"));
  return g_string_free (text, FALSE);
}

static char *
describe_support (GalleryEntry *entry)
{
  const char *status = gallery_entry_get_status (entry);
  const char *end = gallery_entry_get_end_of_life (entry);

  if (g_strcmp0 (status, "rolling") == 0)
    return g_strdup (_ ("Rolling: always the newest"));
  if (g_strcmp0 (status, "prerelease") == 0)
    return g_strdup (_ ("Not released yet"));
  if (g_strcmp0 (status, "end-of-life") == 0)
    return g_strdup (_ ("Ended: there are no security updates any more"));
  return end != NULL ? g_strdup_printf (_ ("Until %s"), end) : NULL;
}

static char *
describe_version (GalleryEntry *entry)
{
  const char *version = gallery_entry_get_version (entry);
  const char *released = gallery_entry_get_released (entry);

  if (version == NULL || released == NULL)
    return g_strdup (version);
  return g_strdup_printf (_ ("%s, released %s"), version, released);
}

static void
add_homepage (GtkListBox *list, GalleryEntry *entry)
{
  const char *homepage = gallery_entry_get_homepage (entry);
  AdwActionRow *row = add_row (list, _ ("Vendor"), gallery_entry_get_vendor (entry));
  GtkWidget *button;

  if (row == NULL || homepage == NULL)
    return;
  button = gtk_link_button_new_with_label (homepage, _ ("Home Page"));
  gtk_widget_set_valign (button, GTK_ALIGN_CENTER);
  adw_action_row_add_suffix (row, button);
}

void
entry_facts_fill (GtkListBox *list, GalleryEntry *entry)
{
  g_autofree char *version = describe_version (entry);
  g_autofree char *size = gallery_card_dup_size_text (entry);
  g_autofree char *verification = entry_facts_dup_verification (entry);
  g_autofree char *support = describe_support (entry);
  const char *firmware = gallery_entry_get_firmware (entry) == MACHINE_FIRMWARE_UEFI
                             ? _ ("UEFI")
                             : _ ("None: its Linux is started directly");
  GtkWidget *child;

  while ((child = gtk_widget_get_first_child (GTK_WIDGET (list))) != NULL)
    gtk_list_box_remove (list, child);
  add_row (list, _ ("Version"), version);
  add_homepage (list, entry);
  add_row (list, _ ("Download"), size);
  add_row (list, _ ("Verified by"), verification);
  add_row (list, _ ("Firmware"), firmware);
  add_row (list, _ ("Support"), support);
  add_row (list, _ ("Licence"), gallery_entry_get_licence (entry));
  add_row (list, _ ("Last Tested"), gallery_entry_get_tested (entry));
}
