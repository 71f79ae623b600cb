#include "ui/machine/machine-rename.h"

#include <adwaita.h>
#include <glib/gi18n.h>
#include <string.h>

typedef struct Rename
{
  AlcoveMachine *machine;
  GtkEditable *entry;
} Rename;

static void
rename_free (gpointer data, GClosure *closure)
{
  Rename *self = data;

  g_object_unref (self->machine);
  g_free (self);
}

static void
on_changed (GtkEditable *entry, AdwMessageDialog *dialog)
{
  g_autofree char *name = g_strstrip (g_strdup (gtk_editable_get_text (entry)));
  gboolean valid = name[0] != '\0' && g_utf8_strlen (name, -1) <= MACHINE_NAME_MAX;

  adw_message_dialog_set_response_enabled (dialog, "rename", valid);
}

static void
on_response (AdwMessageDialog *dialog, const char *response, Rename *self)
{
  g_autofree char *name = g_strstrip (g_strdup (gtk_editable_get_text (self->entry)));
  GtkWindow *parent = gtk_window_get_transient_for (GTK_WINDOW (dialog));
  g_autoptr (GError) error = NULL;
  GtkWidget *complaint;

  if (strcmp (response, "rename") != 0 || alcove_machine_rename (self->machine, name, &error))
    return;
  complaint =
      adw_message_dialog_new (parent, _ ("The Machine Could Not Be Renamed"), error->message);
  adw_message_dialog_add_response (ADW_MESSAGE_DIALOG (complaint), "close", _ ("_Close"));
  gtk_window_present (GTK_WINDOW (complaint));
}

void
machine_rename_present (AlcoveMachine *machine, GtkWindow *parent)
{
  GtkWidget *dialog = adw_message_dialog_new (parent, _ ("Rename Machine"), NULL);
  GtkWidget *entry = gtk_entry_new ();
  AdwMessageDialog *message = ADW_MESSAGE_DIALOG (dialog);
  Rename *self = g_new0 (Rename, 1);

  self->machine = g_object_ref (machine);
  self->entry = GTK_EDITABLE (entry);
  gtk_editable_set_text (self->entry, alcove_machine_get_name (machine));
  gtk_entry_set_activates_default (GTK_ENTRY (entry), TRUE);
  gtk_entry_set_max_length (GTK_ENTRY (entry), MACHINE_NAME_MAX);
  gtk_accessible_update_property (GTK_ACCESSIBLE (entry), GTK_ACCESSIBLE_PROPERTY_LABEL, _ ("Name"),
                                  -1);
  adw_message_dialog_set_extra_child (message, entry);
  adw_message_dialog_add_response (message, "cancel", _ ("_Cancel"));
  adw_message_dialog_add_response (message, "rename", _ ("_Rename"));
  adw_message_dialog_set_response_appearance (message, "rename", ADW_RESPONSE_SUGGESTED);
  adw_message_dialog_set_default_response (message, "rename");
  adw_message_dialog_set_close_response (message, "cancel");
  g_signal_connect_object (entry, "changed", G_CALLBACK (on_changed), dialog, 0);
  g_signal_connect_data (dialog, "response", G_CALLBACK (on_response), self, rename_free, 0);
  gtk_window_present (GTK_WINDOW (dialog));
  gtk_widget_grab_focus (entry);
}
