#include "ui/machine/machine-properties.h"

#include <glib/gi18n.h>
#include "ui/assistant/install-job.h"

#define MIB           (G_GUINT64_CONSTANT (1) << 20)
#define SAVE_DELAY_MS 400

struct _MachineProperties
{
  AdwWindow parent_instance;

  AlcoveMachine *machine;
  AdwToastOverlay *toasts;
  GtkWidget *settings_group;
  AdwPreferencesGroup *facts_group;
  GtkEditable *name_row;
  GtkAdjustment *cpus;
  GtkAdjustment *memory;
  GtkSwitch *network;
  gboolean filling;
  gboolean told_later;
  guint save_timeout;
};

G_DEFINE_FINAL_TYPE (MachineProperties, machine_properties, ADW_TYPE_WINDOW)

static void
tell (MachineProperties *self, const char *text)
{
  g_autofree char *escaped = g_markup_escape_text (text, -1);

  adw_toast_overlay_add_toast (self->toasts, adw_toast_new (escaped));
}

static void
save (MachineProperties *self)
{
  MachineSettings *current = alcove_machine_get_settings (self->machine);
  g_autoptr (MachineSettings) settings = NULL;
  g_autoptr (GError) error = NULL;

  if (current == NULL)
    return;
  settings = machine_settings_copy (current);
  machine_settings_set_cpus (settings, (guint) gtk_adjustment_get_value (self->cpus));
  machine_settings_set_memory (settings, (guint64) gtk_adjustment_get_value (self->memory) * MIB);
  machine_settings_set_network (settings, gtk_switch_get_active (self->network)
                                              ? MACHINE_NETWORK_USER
                                              : MACHINE_NETWORK_NONE);
  if (!alcove_machine_apply_settings (self->machine, settings, &error))
    tell (self, error->message);
  else if (alcove_machine_is_active (self->machine) && !self->told_later)
    {
      self->told_later = TRUE;
      tell (self, _ ("This counts from the machine’s next start on"));
    }
}

static gboolean
on_save (gpointer data)
{
  MachineProperties *self = data;

  self->save_timeout = 0;
  save (self);
  return G_SOURCE_REMOVE;
}

/* A number that is still being typed or spun is saved once. */
static void
on_changed (MachineProperties *self)
{
  if (self->filling)
    return;
  g_clear_handle_id (&self->save_timeout, g_source_remove);
  self->save_timeout = g_timeout_add (SAVE_DELAY_MS, on_save, self);
}

static void
on_name_applied (MachineProperties *self)
{
  g_autoptr (GError) error = NULL;
  g_autofree char *name = g_strstrip (g_strdup (gtk_editable_get_text (self->name_row)));

  if (alcove_machine_rename (self->machine, name, &error))
    return;
  tell (self, error->message);
  gtk_editable_set_text (self->name_row, alcove_machine_get_name (self->machine));
}

static void
add_fact (MachineProperties *self, const char *title, const char *value)
{
  GtkWidget *row;
  g_autofree char *escaped = NULL;

  if (value == NULL || *value == '\0')
    return;
  row = adw_action_row_new ();
  escaped = g_markup_escape_text (value, -1);
  adw_preferences_row_set_title (ADW_PREFERENCES_ROW (row), title);
  adw_action_row_set_subtitle (ADW_ACTION_ROW (row), escaped);
  adw_action_row_set_subtitle_lines (ADW_ACTION_ROW (row), 3);
  adw_preferences_group_add (self->facts_group, row);
}

static void
fill (MachineProperties *self, MachineSettings *settings)
{
  g_autoptr (GDateTime) created =
      g_date_time_new_from_unix_local (machine_settings_get_created (settings));
  g_autofree char *when = created != NULL ? g_date_time_format (created, "%x %X") : NULL;
  double cpus_max = MIN (g_get_num_processors (), MACHINE_CPUS_MAX);
  double memory = (double) (machine_settings_get_memory (settings) / MIB);
  double memory_max = (double) (MIN (install_plan_get_host_memory (), MACHINE_MEMORY_MAX) / MIB);

  gtk_adjustment_set_upper (self->cpus, MAX (cpus_max, machine_settings_get_cpus (settings)));
  gtk_adjustment_set_value (self->cpus, machine_settings_get_cpus (settings));
  gtk_adjustment_set_upper (self->memory, MAX (memory_max, memory));
  gtk_adjustment_set_value (self->memory, memory);
  gtk_switch_set_active (self->network,
                         machine_settings_get_network (settings) == MACHINE_NETWORK_USER);
  add_fact (self, _ ("Logging In"), machine_settings_get_note (settings));
  add_fact (self, _ ("Made"), when);
  add_fact (self, _ ("From the Gallery"), machine_settings_get_entry_id (settings));
  for (guint i = 0; i < machine_settings_get_n_disks (settings); i++)
    {
      MachineDisk disk = machine_settings_get_disk (settings, i);

      add_fact (self, _ ("Disk"), disk.file);
    }
}

GtkWidget *
machine_properties_new (AlcoveMachine *machine)
{
  MachineProperties *self = g_object_new (MACHINE_TYPE_PROPERTIES, NULL);
  MachineSettings *settings = alcove_machine_get_settings (machine);

  self->machine = g_object_ref (machine);
  self->filling = TRUE;
  gtk_editable_set_text (self->name_row, alcove_machine_get_name (machine));
  gtk_widget_set_sensitive (self->settings_group, settings != NULL);
  if (settings != NULL)
    fill (self, settings);
  add_fact (self, _ ("Folder"), alcove_machine_get_folder (machine));
  self->filling = FALSE;
  return GTK_WIDGET (self);
}

static gboolean
machine_properties_close_request (GtkWindow *window)
{
  MachineProperties *self = MACHINE_PROPERTIES (window);

  if (self->save_timeout != 0)
    {
      g_clear_handle_id (&self->save_timeout, g_source_remove);
      save (self);
    }
  return GTK_WINDOW_CLASS (machine_properties_parent_class)->close_request (window);
}

static void
machine_properties_dispose (GObject *object)
{
  MachineProperties *self = MACHINE_PROPERTIES (object);

  g_clear_handle_id (&self->save_timeout, g_source_remove);
  g_clear_object (&self->machine);
  G_OBJECT_CLASS (machine_properties_parent_class)->dispose (object);
}

static void
machine_properties_class_init (MachinePropertiesClass *klass)
{
  GtkWidgetClass *widget_class = GTK_WIDGET_CLASS (klass);

  G_OBJECT_CLASS (klass)->dispose = machine_properties_dispose;
  GTK_WINDOW_CLASS (klass)->close_request = machine_properties_close_request;
  gtk_widget_class_set_template_from_resource (widget_class,
                                               "/org/alcove/Alcove/machine/machine-properties.ui");
  gtk_widget_class_bind_template_child (widget_class, MachineProperties, toasts);
  gtk_widget_class_bind_template_child (widget_class, MachineProperties, settings_group);
  gtk_widget_class_bind_template_child (widget_class, MachineProperties, facts_group);
  gtk_widget_class_bind_template_child (widget_class, MachineProperties, name_row);
  gtk_widget_class_bind_template_child (widget_class, MachineProperties, cpus);
  gtk_widget_class_bind_template_child (widget_class, MachineProperties, memory);
  gtk_widget_class_bind_template_child (widget_class, MachineProperties, network);
  gtk_widget_class_bind_template_callback (widget_class, on_changed);
  gtk_widget_class_bind_template_callback (widget_class, on_name_applied);
  gtk_widget_class_add_binding_action (widget_class, GDK_KEY_Escape, 0, "window.close", NULL);
}

static void
machine_properties_init (MachineProperties *self)
{
  gtk_widget_init_template (GTK_WIDGET (self));
}
