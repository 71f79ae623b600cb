#include "ui/library/machine-card.h"

#include <adwaita.h>
#include <glib/gi18n.h>
#include "ui/machine/machine-actions.h"
#include "ui/widgets/screen-thumbnail.h"
#include "ui/widgets/size-text.h"

struct _MachineCard
{
  GtkFlowBoxChild parent_instance;

  AlcoveMachine *machine;
  ScreenThumbnail *thumbnail;
  GtkLabel *state_pill;
  GtkLabel *name_label;
  GtkLabel *detail_label;
  GtkRevealer *start_revealer;
  GtkMenuButton *menu_button;
  GtkEventControllerMotion *motion;
  const char *state_class;
};

G_DEFINE_FINAL_TYPE (MachineCard, machine_card, GTK_TYPE_FLOW_BOX_CHILD)

static const char *const state_classes[] = {
  [MACHINE_STATE_STOPPED] = "off",     [MACHINE_STATE_STARTING] = "busy",
  [MACHINE_STATE_RUNNING] = "running", [MACHINE_STATE_PAUSED] = "paused",
  [MACHINE_STATE_STOPPING] = "busy",   [MACHINE_STATE_CRASHED] = "crashed",
  [MACHINE_STATE_BROKEN] = "crashed",
};

static gboolean
can_start (MachineCard *self)
{
  MachineState state = alcove_machine_get_state (self->machine);

  return state == MACHINE_STATE_STOPPED || state == MACHINE_STATE_CRASHED;
}

static void
update_start_button (MachineCard *self)
{
  gboolean pointed = gtk_event_controller_motion_contains_pointer (self->motion);

  gtk_revealer_set_reveal_child (self->start_revealer, pointed && can_start (self));
  gtk_widget_set_can_target (GTK_WIDGET (self->start_revealer), can_start (self));
}

static void
on_hover (MachineCard *self)
{
  update_start_button (self);
}

static char *
describe (MachineCard *self)
{
  MachineSettings *settings = alcove_machine_get_settings (self->machine);
  gboolean emulated =
      alcove_machine_get_accelerator (self->machine) == MACHINE_ACCELERATOR_EMULATED;
  g_autofree char *memory = NULL;
  g_autofree char *hardware = NULL;
  guint cpus;

  if (settings == NULL)
    return g_strdup (alcove_machine_get_last_error (self->machine));
  cpus = machine_settings_get_cpus (settings);
  memory = size_text_new (machine_settings_get_memory (settings));
  hardware =
      g_strdup_printf (g_dngettext (NULL, "%u CPU · %s", "%u CPUs · %s", cpus), cpus, memory);
  return emulated ? g_strdup_printf (_ ("Emulated · %s"), hardware) : g_steal_pointer (&hardware);
}

static void
update (MachineCard *self)
{
  MachineState state = alcove_machine_get_state (self->machine);
  const char *shown_state = machine_actions_describe_state (self->machine);
  const char *name = alcove_machine_get_name (self->machine);
  g_autofree char *detail = describe (self);
  g_autofree char *description = g_strdup_printf ("%s, %s", name, shown_state);

  gtk_label_set_text (self->name_label, name);
  gtk_label_set_text (self->detail_label, detail != NULL ? detail : "");
  gtk_label_set_text (self->state_pill, shown_state);
  if (self->state_class != NULL)
    gtk_widget_remove_css_class (GTK_WIDGET (self->state_pill), self->state_class);
  self->state_class = state_classes[state];
  gtk_widget_add_css_class (GTK_WIDGET (self->state_pill), self->state_class);
  screen_thumbnail_set_dimmed (self->thumbnail, !alcove_machine_is_active (self->machine));
  gtk_accessible_update_property (GTK_ACCESSIBLE (self), GTK_ACCESSIBLE_PROPERTY_LABEL, description,
                                  -1);
  update_start_button (self);
}

static void
update_thumbnail (MachineCard *self)
{
  screen_thumbnail_set_path (self->thumbnail, alcove_machine_get_thumbnail (self->machine));
}

static void
on_menu_pressed (MachineCard *self, int n_press, double x, double y, GtkGesture *gesture)
{
  gtk_gesture_set_state (gesture, GTK_EVENT_SEQUENCE_CLAIMED);
  gtk_menu_button_popup (self->menu_button);
}

static void
on_long_pressed (MachineCard *self, double x, double y, GtkGesture *gesture)
{
  on_menu_pressed (self, 1, x, y, gesture);
}

static void
action_menu (GtkWidget *widget, const char *name, GVariant *parameter)
{
  gtk_menu_button_popup (MACHINE_CARD (widget)->menu_button);
}

void
machine_card_open (MachineCard *self)
{
  gtk_widget_activate_action (GTK_WIDGET (self), "machine.open", NULL);
}

GtkWidget *
machine_card_new (AlcoveMachine *machine)
{
  MachineCard *self = g_object_new (MACHINE_TYPE_CARD, NULL);
  g_autoptr (GSimpleActionGroup) actions = machine_actions_new (machine, GTK_WIDGET (self));
  g_autoptr (GMenuModel) menu = machine_actions_new_menu ();

  self->machine = g_object_ref (machine);
  gtk_widget_insert_action_group (GTK_WIDGET (self), "machine", G_ACTION_GROUP (actions));
  gtk_menu_button_set_menu_model (self->menu_button, menu);
  g_signal_connect_object (machine, "notify::state", G_CALLBACK (update), self, G_CONNECT_SWAPPED);
  g_signal_connect_object (machine, "notify::name", G_CALLBACK (update), self, G_CONNECT_SWAPPED);
  g_signal_connect_object (machine, "notify::accelerator", G_CALLBACK (update), self,
                           G_CONNECT_SWAPPED);
  g_signal_connect_object (machine, "notify::settings", G_CALLBACK (update), self,
                           G_CONNECT_SWAPPED);
  g_signal_connect_object (machine, "notify::thumbnail", G_CALLBACK (update_thumbnail), self,
                           G_CONNECT_SWAPPED);
  update (self);
  update_thumbnail (self);
  return GTK_WIDGET (self);
}

static void
machine_card_dispose (GObject *object)
{
  MachineCard *self = MACHINE_CARD (object);

  gtk_widget_insert_action_group (GTK_WIDGET (self), "machine", NULL);
  g_clear_object (&self->machine);
  G_OBJECT_CLASS (machine_card_parent_class)->dispose (object);
}

static void
machine_card_class_init (MachineCardClass *klass)
{
  GtkWidgetClass *widget_class = GTK_WIDGET_CLASS (klass);

  G_OBJECT_CLASS (klass)->dispose = machine_card_dispose;
  g_type_ensure (SCREEN_TYPE_THUMBNAIL);
  gtk_widget_class_set_template_from_resource (widget_class,
                                               "/org/alcove/Alcove/library/machine-card.ui");
  gtk_widget_class_bind_template_child (widget_class, MachineCard, thumbnail);
  gtk_widget_class_bind_template_child (widget_class, MachineCard, state_pill);
  gtk_widget_class_bind_template_child (widget_class, MachineCard, name_label);
  gtk_widget_class_bind_template_child (widget_class, MachineCard, detail_label);
  gtk_widget_class_bind_template_child (widget_class, MachineCard, start_revealer);
  gtk_widget_class_bind_template_child (widget_class, MachineCard, menu_button);
  gtk_widget_class_bind_template_child (widget_class, MachineCard, motion);
  gtk_widget_class_bind_template_callback (widget_class, on_menu_pressed);
  gtk_widget_class_bind_template_callback (widget_class, on_long_pressed);
  gtk_widget_class_bind_template_callback (widget_class, on_hover);
  gtk_widget_class_install_action (widget_class, "card.menu", NULL, action_menu);
  gtk_widget_class_add_binding_action (widget_class, GDK_KEY_F10, GDK_SHIFT_MASK, "card.menu",
                                       NULL);
  gtk_widget_class_add_binding_action (widget_class, GDK_KEY_Menu, 0, "card.menu", NULL);
}

static void
machine_card_init (MachineCard *self)
{
  gtk_widget_init_template (GTK_WIDGET (self));
  gtk_widget_add_controller (GTK_WIDGET (self), machine_actions_new_shortcuts ());
}
