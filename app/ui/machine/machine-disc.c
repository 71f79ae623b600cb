#include "ui/machine/machine-disc.h"

#include <adwaita.h>
#include <glib/gi18n.h>
#include <string.h>
#include "ui/assistant/disc-chooser.h"

/* One disc on its way in or out, until the machine has taken it or the user given up. */
typedef struct Change
{
  AlcoveMachine *machine;
  GWeakRef parent;
  char *file; /* NULL: out */
} Change;

static Change *
change_new (AlcoveMachine *machine, const char *file, GtkWindow *parent)
{
  Change *change = g_new0 (Change, 1);

  change->machine = g_object_ref (machine);
  change->file = g_strdup (file);
  g_weak_ref_init (&change->parent, parent);
  return change;
}

static void
change_free (gpointer data)
{
  Change *change = data;

  g_object_unref (change->machine);
  g_weak_ref_clear (&change->parent);
  g_free (change->file);
  g_free (change);
}
G_DEFINE_AUTOPTR_CLEANUP_FUNC (Change, change_free)

static void run (Change *change, gboolean force);

static void
on_response (AdwMessageDialog *dialog, const char *response, Change *change)
{
  g_autoptr (GtkWindow) parent = g_weak_ref_get (&change->parent);

  if (strcmp (response, "force") == 0)
    run (change_new (change->machine, change->file, parent), TRUE);
}

static void
change_free_with_closure (gpointer change, GClosure *closure)
{
  change_free (change);
}

/* The guest may hold the disc: then it can be taken away like with a paper clip. */
static void
tell (Change *change, gboolean may_force, const GError *error)
{
  g_autoptr (GtkWindow) parent = g_weak_ref_get (&change->parent);
  g_autofree char *heading =
      g_strdup_printf (change->file != NULL ? _ ("The Disc of “%s” Could Not Be Changed")
                                            : _ ("The Disc of “%s” Could Not Be Ejected"),
                       alcove_machine_get_name (change->machine));
  GtkWidget *dialog = adw_message_dialog_new (parent, NULL, error->message);
  AdwMessageDialog *message = ADW_MESSAGE_DIALOG (dialog);

  adw_message_dialog_set_heading (message, heading);
  adw_message_dialog_add_response (message, "close", _ ("_Close"));
  adw_message_dialog_set_close_response (message, "close");
  if (may_force)
    {
      adw_message_dialog_add_response (message, "force", _ ("_Force"));
      adw_message_dialog_set_response_appearance (message, "force", ADW_RESPONSE_DESTRUCTIVE);
    }
  g_signal_connect_data (dialog, "response", G_CALLBACK (on_response),
                         change_new (change->machine, change->file, parent),
                         change_free_with_closure, 0);
  gtk_window_present (GTK_WINDOW (dialog));
}

static void
on_changed (GObject *source, GAsyncResult *result, gpointer data)
{
  g_autoptr (Change) change = data;
  g_autoptr (GError) error = NULL;

  if (!alcove_machine_change_disc_finish (change->machine, result, &error))
    tell (change, g_error_matches (error, MACHINE_CONTROL_ERROR, MACHINE_CONTROL_ERROR_GENERIC),
          error);
}

static void
run (Change *change, gboolean force)
{
  g_debug ("%s: disc %s%s", alcove_machine_get_name (change->machine),
           change->file != NULL ? change->file : "out", force ? ", by force" : "");
  alcove_machine_change_disc_async (change->machine, change->file, force, NULL, on_changed, change);
}

void
machine_disc_insert_file (AlcoveMachine *machine, const char *path, GtkWindow *parent)
{
  run (change_new (machine, path, parent), FALSE);
}

void
machine_disc_eject (AlcoveMachine *machine, GtkWindow *parent)
{
  run (change_new (machine, NULL, parent), FALSE);
}

static void
on_chosen (const char *path, GtkWindow *parent, gpointer machine)
{
  machine_disc_insert_file (machine, path, parent);
}

void
machine_disc_insert (AlcoveMachine *machine, GtkWindow *parent)
{
  disc_chooser_present (parent, on_chosen, g_object_ref (machine), g_object_unref);
}
