#include "ui/assistant/disc-window.h"

#include <glib/gi18n.h>
#include "gallery/disc-machine.h"
#include "ui/alcove-application.h"
#include "ui/assistant/disc-chooser.h"
#include "ui/assistant/install-job.h"
#include "ui/machine/machine-actions.h"

#define MIB (G_GUINT64_CONSTANT (1) << 20)
#define GIB (G_GUINT64_CONSTANT (1) << 30)

struct _DiscWindow
{
  AdwWindow parent_instance;

  AdwToastOverlay *toasts;
  AdwActionRow *disc_row;
  GtkEditable *name_row;
  GtkAdjustment *cpus;
  GtkAdjustment *memory;
  GtkAdjustment *disk;
  GtkSwitch *network;
  GtkWidget *create_button;

  DiscMachine *plan;
};

G_DEFINE_FINAL_TYPE (DiscWindow, disc_window, ADW_TYPE_WINDOW)

static char *
dup_name (DiscWindow *self)
{
  return g_strstrip (g_strdup (gtk_editable_get_text (self->name_row)));
}

static void
on_name_changed (DiscWindow *self)
{
  g_autofree char *name = dup_name (self);
  gboolean valid = name[0] != '\0' && g_utf8_strlen (name, -1) <= MACHINE_NAME_MAX;

  if (valid)
    gtk_widget_remove_css_class (GTK_WIDGET (self->name_row), "error");
  else
    gtk_widget_add_css_class (GTK_WIDGET (self->name_row), "error");
  gtk_widget_action_set_enabled (GTK_WIDGET (self), "disc.create", valid);
}

static void
read_plan (DiscWindow *self)
{
  g_free (self->plan->name);
  self->plan->name = dup_name (self);
  self->plan->cpus = (guint) gtk_adjustment_get_value (self->cpus);
  self->plan->memory = (guint64) gtk_adjustment_get_value (self->memory) * MIB;
  self->plan->disk_size = (guint64) gtk_adjustment_get_value (self->disk) * GIB;
  self->plan->network =
      gtk_switch_get_active (self->network) ? MACHINE_NETWORK_USER : MACHINE_NETWORK_NONE;
}

static void
action_create (GtkWidget *widget, const char *name, GVariant *parameter)
{
  DiscWindow *self = DISC_WINDOW (widget);
  AlcoveApplication *application = alcove_application_get ();
  GtkWindow *parent = gtk_window_get_transient_for (GTK_WINDOW (self));
  g_autoptr (AlcoveMachine) machine = NULL;
  g_autoptr (GError) error = NULL;

  read_plan (self);
  machine = disc_machine_create (self->plan, alcove_application_get_store (application), &error);
  if (machine == NULL)
    {
      g_autofree char *escaped = g_markup_escape_text (error->message, -1);

      adw_toast_overlay_add_toast (self->toasts, adw_toast_new (escaped));
      return;
    }
  alcove_application_show_machine (application, machine, parent);
  machine_actions_run_command (machine, "start", "", GTK_WIDGET (parent));
  gtk_window_destroy (GTK_WINDOW (self));
}

static void
fill (DiscWindow *self)
{
  const DiscMachine *plan = self->plan;
  const guint64 host_memory = MIN (install_plan_get_host_memory (), MACHINE_MEMORY_MAX);
  g_autofree char *folder = g_path_get_dirname (plan->file);
  g_autofree char *base = g_path_get_basename (plan->file);

  adw_preferences_row_set_use_markup (ADW_PREFERENCES_ROW (self->disc_row), FALSE);
  adw_preferences_row_set_title (ADW_PREFERENCES_ROW (self->disc_row), base);
  adw_action_row_set_subtitle (self->disc_row, folder);
  gtk_editable_set_text (self->name_row, plan->name);
  gtk_adjustment_set_upper (self->cpus,
                            MAX (MIN (g_get_num_processors (), MACHINE_CPUS_MAX), plan->cpus));
  gtk_adjustment_set_value (self->cpus, plan->cpus);
  gtk_adjustment_set_upper (self->memory, (double) (MAX (host_memory, plan->memory) / MIB));
  gtk_adjustment_set_value (self->memory, (double) (plan->memory / MIB));
  gtk_adjustment_set_value (self->disk, (double) (plan->disk_size / GIB));
  gtk_switch_set_active (self->network, plan->network == MACHINE_NETWORK_USER);
}

static void
disc_window_finalize (GObject *object)
{
  disc_machine_free (DISC_WINDOW (object)->plan);
  G_OBJECT_CLASS (disc_window_parent_class)->finalize (object);
}

static void
disc_window_class_init (DiscWindowClass *klass)
{
  GtkWidgetClass *widget_class = GTK_WIDGET_CLASS (klass);

  G_OBJECT_CLASS (klass)->finalize = disc_window_finalize;
  gtk_widget_class_set_template_from_resource (widget_class,
                                               "/org/alcove/Alcove/assistant/disc-window.ui");
  gtk_widget_class_bind_template_child (widget_class, DiscWindow, toasts);
  gtk_widget_class_bind_template_child (widget_class, DiscWindow, disc_row);
  gtk_widget_class_bind_template_child (widget_class, DiscWindow, name_row);
  gtk_widget_class_bind_template_child (widget_class, DiscWindow, cpus);
  gtk_widget_class_bind_template_child (widget_class, DiscWindow, memory);
  gtk_widget_class_bind_template_child (widget_class, DiscWindow, disk);
  gtk_widget_class_bind_template_child (widget_class, DiscWindow, network);
  gtk_widget_class_bind_template_child (widget_class, DiscWindow, create_button);
  gtk_widget_class_bind_template_callback (widget_class, on_name_changed);
  gtk_widget_class_install_action (widget_class, "disc.create", NULL, action_create);
  gtk_widget_class_add_binding_action (widget_class, GDK_KEY_Escape, 0, "window.close", NULL);
}

static void
disc_window_init (DiscWindow *self)
{
  gtk_widget_init_template (GTK_WIDGET (self));
}

static void
on_planned (GObject *source, GAsyncResult *result, gpointer data)
{
  g_autoptr (GtkWindow) parent = data;
  g_autoptr (GError) error = NULL;
  DiscMachine *plan = disc_machine_new_finish (MACHINE_STORE (source), result, &error);
  DiscWindow *self;
  GtkWidget *dialog;

  if (plan == NULL)
    {
      dialog =
          adw_message_dialog_new (parent, _ ("No Machine Starts From This File"), error->message);
      adw_message_dialog_add_response (ADW_MESSAGE_DIALOG (dialog), "close", _ ("_Close"));
      gtk_window_present (GTK_WINDOW (dialog));
      return;
    }
  self = g_object_new (DISC_TYPE_WINDOW, "transient-for", parent, NULL);
  self->plan = plan;
  fill (self);
  gtk_window_present (GTK_WINDOW (self));
  gtk_widget_grab_focus (self->create_button);
}

void
disc_window_present (const char *path, GtkWindow *parent)
{
  disc_machine_new_async (path, alcove_application_get_store (alcove_application_get ()),
                          on_planned, g_object_ref (parent));
}

static void
on_chosen (const char *path, GtkWindow *parent, gpointer data)
{
  disc_window_present (path, parent);
}

void
disc_window_choose (GtkWindow *parent)
{
  disc_chooser_present (parent, on_chosen, NULL, NULL);
}
