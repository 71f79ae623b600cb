#include "ui/assistant/disc-chooser.h"

#include <glib/gi18n.h>

typedef struct Choice
{
  DiscChosenFunc chosen;
  gpointer data;
  GDestroyNotify destroy;
} Choice;

static void
on_response (GtkNativeDialog *dialog, int response, Choice *choice)
{
  g_autoptr (GFile) file = gtk_file_chooser_get_file (GTK_FILE_CHOOSER (dialog));
  g_autofree char *path = file != NULL ? g_file_get_path (file) : NULL;
  GtkWindow *transient = gtk_native_dialog_get_transient_for (dialog);
  g_autoptr (GtkWindow) parent = transient != NULL ? g_object_ref (transient) : NULL;

  gtk_native_dialog_hide (dialog);
  if (response == GTK_RESPONSE_ACCEPT && path != NULL)
    choice->chosen (path, parent, choice->data);
  if (choice->destroy != NULL)
    choice->destroy (choice->data);
  g_free (choice);
  g_object_unref (dialog);
}

static void
add_filter (GtkFileChooser *chooser, const char *name, const char *const *suffixes)
{
  g_autoptr (GtkFileFilter) filter = gtk_file_filter_new ();

  gtk_file_filter_set_name (filter, name);
  for (; suffixes != NULL && *suffixes != NULL; suffixes++)
    gtk_file_filter_add_suffix (filter, *suffixes);
  if (suffixes == NULL)
    gtk_file_filter_add_pattern (filter, "*");
  gtk_file_chooser_add_filter (chooser, filter);
}

void
disc_chooser_present (GtkWindow *parent, DiscChosenFunc chosen, gpointer data,
                      GDestroyNotify destroy)
{
  static const char *const discs[] = { "iso", "img", "udf", NULL };
  GtkFileChooserNative *native =
      gtk_file_chooser_native_new (_ ("Choose a Disc Image"), parent, GTK_FILE_CHOOSER_ACTION_OPEN,
                                   _ ("_Choose"), _ ("_Cancel"));
  Choice *choice = g_new0 (Choice, 1);

  choice->chosen = chosen;
  choice->data = data;
  choice->destroy = destroy;
  gtk_native_dialog_set_modal (GTK_NATIVE_DIALOG (native), TRUE);
  add_filter (GTK_FILE_CHOOSER (native), _ ("Disc images"), discs);
  add_filter (GTK_FILE_CHOOSER (native), _ ("All files"), NULL);
  g_signal_connect (native, "response", G_CALLBACK (on_response), choice);
  gtk_native_dialog_show (GTK_NATIVE_DIALOG (native));
}
