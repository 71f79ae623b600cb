#include "ui/machine/machine-page.h"

#include <adwaita.h>
#include <glib/gi18n.h>
#include <string.h>
#include "ui/alcove-window.h"
#include "ui/machine/emulated-pill.h"
#include "ui/machine/machine-actions.h"
#include "ui/machine/machine-screen.h"
#include "ui/widgets/log-tail.h"
#include "ui/widgets/screen-thumbnail.h"
#include "ui/widgets/size-text.h"

/* The page follows the machine's state. While a VMM runs for it the screen is connected; a
 * connection that breaks although the machine goes on is made again a few times. */

#define RECONNECT_MS   400
#define RECONNECTS_MAX 3
#define HINT_SECONDS   5
#define LOG_TAIL_MAX   8192
/* In full screen the header comes when the pointer touches the top. */
#define EDGE_PIXELS   2
#define HEADER_PIXELS 56

struct _MachinePage
{
  GtkWidget parent_instance;

  AdwFlap *flap;
  AdwWindowTitle *window_title;
  GtkWidget *back_button;
  GtkWidget *emulated_pill;
  GtkMenuButton *menu_button;
  GtkButton *power_button;
  GtkWidget *tools;
  GtkButton *pause_button;
  GtkWidget *keys_button;
  GtkButton *fullscreen_button;
  GtkStack *stack;
  ScreenThumbnail *thumbnail;
  GtkLabel *off_name;
  GtkLabel *off_detail;
  GtkLabel *off_note;
  GtkWidget *start_button;
  AdwStatusPage *crash_page;
  GtkWidget *restart_button;
  GtkWidget *log_expander;
  GtkTextView *log_view;
  GtkOverlay *screen;
  GtkWidget *waiting;
  GtkWidget *waiting_image; /* still: see set_waiting () */
  GtkLabel *waiting_label;
  GtkWidget *reconnect_button;
  GtkRevealer *hint_revealer;
  GtkLabel *hint_label;

  AlcoveDisplay *display;
  AlcoveMachine *machine;
  guint reconnect_timeout;
  guint hint_timeout;
  guint n_reconnects;
};

G_DEFINE_FINAL_TYPE (MachinePage, machine_page, GTK_TYPE_WIDGET)

static void update (MachinePage *self);

/* --- the screen ---------------------------------------------------------------------------- */

/* Nothing here moves while the screen connects: an animation that takes all of a slow renderer's time starves spice-client-glib,
 * which works at idle priority, below every redraw. */
static void
set_waiting (MachinePage *self, const char *text, gboolean busy)
{
  gtk_widget_set_visible (self->waiting, text != NULL);
  gtk_label_set_text (self->waiting_label, text != NULL ? text : "");
  gtk_widget_set_visible (self->waiting_image, busy);
  gtk_widget_set_visible (self->reconnect_button, text != NULL && !busy);
}

static void
connect_screen (MachinePage *self)
{
  g_debug ("%s: the screen connects", alcove_machine_get_name (self->machine));
  set_waiting (self, _ ("Waiting for the screen…"), TRUE);
  alcove_display_connect (self->display);
}

static gboolean
on_reconnect (gpointer data)
{
  MachinePage *self = data;

  self->reconnect_timeout = 0;
  if (self->machine != NULL && alcove_machine_is_active (self->machine))
    connect_screen (self);
  return G_SOURCE_REMOVE;
}

static gboolean
is_connected_or_connecting (MachinePage *self)
{
  gboolean connecting;

  g_object_get (self->display, "connecting", &connecting, NULL);
  return connecting || alcove_display_is_connected (self->display) || self->reconnect_timeout != 0;
}

static void
on_connected (MachinePage *self)
{
  if (!alcove_display_has_picture (self->display))
    set_waiting (self, _ ("The machine shows nothing yet"), TRUE);
}

static void
on_first_picture (MachinePage *self)
{
  self->n_reconnects = 0;
  set_waiting (self, NULL, FALSE);
}

static void
on_disconnected (MachinePage *self, GError *error)
{
  if (error == NULL || self->machine == NULL)
    return;
  g_debug ("the screen is gone: %s", error->message);
  /* Most often the machine just ended, which its state will say in a moment. */
  if (self->n_reconnects++ < RECONNECTS_MAX)
    {
      g_clear_handle_id (&self->reconnect_timeout, g_source_remove);
      self->reconnect_timeout =
          g_timeout_add (RECONNECT_MS << self->n_reconnects, on_reconnect, self);
    }
  else
    set_waiting (self, error->message, FALSE);
}

static gboolean
on_hint_over (gpointer data)
{
  MachinePage *self = data;

  self->hint_timeout = 0;
  gtk_revealer_set_reveal_child (self->hint_revealer, FALSE);
  return G_SOURCE_REMOVE;
}

static void
on_captured (MachinePage *self)
{
  g_autofree char *text = NULL;

  if (!alcove_display_is_keyboard_captured (self->display))
    {
      gtk_revealer_set_reveal_child (self->hint_revealer, FALSE);
      return;
    }
  text = g_strdup_printf (_ ("All keys go to the machine. %s gives them back."),
                          ALCOVE_DISPLAY_RELEASE_KEYS);
  gtk_label_set_text (self->hint_label, text);
  gtk_revealer_set_reveal_child (self->hint_revealer, TRUE);
  g_clear_handle_id (&self->hint_timeout, g_source_remove);
  self->hint_timeout = g_timeout_add_seconds (HINT_SECONDS, on_hint_over, self);
}

/* --- following the machine ----------------------------------------------------------------- */

static void
update_log (MachinePage *self)
{
  g_autofree char *path = alcove_machine_dup_log_path (self->machine);
  g_autofree char *text = path != NULL ? log_tail_read (path, LOG_TAIL_MAX) : NULL;

  gtk_widget_set_visible (self->log_expander, text != NULL);
  if (text != NULL)
    gtk_text_buffer_set_text (gtk_text_view_get_buffer (self->log_view), text, -1);
}

static void
update_off (MachinePage *self)
{
  MachineSettings *settings = alcove_machine_get_settings (self->machine);
  g_autofree char *memory = NULL;
  g_autofree char *detail = NULL;
  const char *note = NULL;

  gtk_label_set_text (self->off_name, alcove_machine_get_name (self->machine));
  screen_thumbnail_set_path (self->thumbnail, alcove_machine_get_thumbnail (self->machine));
  if (settings != NULL)
    {
      guint cpus = machine_settings_get_cpus (settings);

      memory = size_text_new (machine_settings_get_memory (settings));
      detail = g_strdup_printf (
          g_dngettext (NULL, "%u CPU · %s memory", "%u CPUs · %s memory", cpus), cpus, memory);
      note = machine_settings_get_note (settings);
    }
  gtk_label_set_text (self->off_detail, detail != NULL ? detail : "");
  gtk_label_set_text (self->off_note, note != NULL ? note : "");
  gtk_widget_set_visible (GTK_WIDGET (self->off_note), note != NULL);
}

static void
update_crashed (MachinePage *self)
{
  gboolean broken = alcove_machine_get_state (self->machine) == MACHINE_STATE_BROKEN;
  const char *error = alcove_machine_get_last_error (self->machine);
  g_autofree char *escaped = error != NULL ? g_markup_escape_text (error, -1) : NULL;

  adw_status_page_set_title (self->crash_page, broken ? _ ("This Machine Cannot Be Read")
                                                      : _ ("The Machine Crashed"));
  adw_status_page_set_description (self->crash_page, escaped);
  gtk_widget_set_visible (self->restart_button, !broken);
  update_log (self);
}

static void
update_buttons (MachinePage *self)
{
  MachineState state = alcove_machine_get_state (self->machine);
  gboolean live = state == MACHINE_STATE_RUNNING || state == MACHINE_STATE_PAUSED ||
                  state == MACHINE_STATE_STOPPING;
  gboolean paused = state == MACHINE_STATE_PAUSED;
  gboolean stopping = state == MACHINE_STATE_STOPPING || state == MACHINE_STATE_STARTING;

  gtk_widget_set_visible (self->tools, live);
  gtk_button_set_icon_name (self->pause_button, paused ? "media-playback-start-symbolic"
                                                       : "media-playback-pause-symbolic");
  gtk_widget_set_tooltip_text (GTK_WIDGET (self->pause_button),
                               paused ? _ ("Continue (Ctrl+P)") : _ ("Pause (Ctrl+P)"));
  gtk_actionable_set_action_name (GTK_ACTIONABLE (self->pause_button),
                                  paused ? "machine.resume" : "machine.pause");
  gtk_widget_set_visible (GTK_WIDGET (self->power_button), live || stopping);
  gtk_actionable_set_action_name (GTK_ACTIONABLE (self->power_button),
                                  stopping ? "machine.force-off" : "machine.shut-down");
  gtk_widget_set_tooltip_text (GTK_WIDGET (self->power_button),
                               stopping ? _ ("Force Off") : _ ("Shut Down (Ctrl+End)"));
  gtk_widget_set_visible (self->emulated_pill, alcove_machine_get_accelerator (self->machine) ==
                                                   MACHINE_ACCELERATOR_EMULATED);
}

static const char *
get_child_for_state (MachineState state)
{
  switch (state)
    {
    case MACHINE_STATE_STARTING:
      return "starting";
    case MACHINE_STATE_RUNNING:
    case MACHINE_STATE_PAUSED:
    case MACHINE_STATE_STOPPING:
      return "screen";
    case MACHINE_STATE_CRASHED:
    case MACHINE_STATE_BROKEN:
      return "crashed";
    case MACHINE_STATE_STOPPED:
      break;
    }
  return "off";
}

static void
update_title (MachinePage *self)
{
  MachineState state = alcove_machine_get_state (self->machine);
  gboolean plain = state == MACHINE_STATE_RUNNING || state == MACHINE_STATE_STOPPED;
  g_autofree char *screen =
      g_strdup_printf (_ ("Screen of “%s”"), alcove_machine_get_name (self->machine));

  gtk_accessible_update_property (GTK_ACCESSIBLE (self->display), GTK_ACCESSIBLE_PROPERTY_LABEL,
                                  screen, -1);
  adw_window_title_set_title (self->window_title, alcove_machine_get_name (self->machine));
  adw_window_title_set_subtitle (self->window_title,
                                 plain ? "" : machine_actions_describe_state (self->machine));
}

/* Whether the focus may be moved: when the machine changes behind another page it is that page's, also while the two slide. */
static gboolean
has_focus (MachinePage *self)
{
  GtkRoot *root = gtk_widget_get_root (GTK_WIDGET (self));
  GtkWidget *focus = root != NULL ? gtk_root_get_focus (root) : NULL;

  return focus == NULL ? gtk_widget_get_mapped (GTK_WIDGET (self))
                       : gtk_widget_is_ancestor (focus, GTK_WIDGET (self));
}

static void
update (MachinePage *self)
{
  const char *child = get_child_for_state (alcove_machine_get_state (self->machine));
  gboolean changed = g_strcmp0 (gtk_stack_get_visible_child_name (self->stack), child) != 0;
  gboolean screen = strcmp (child, "screen") == 0;
  gboolean focused = has_focus (self);

  update_title (self);
  update_buttons (self);
  if (screen && !is_connected_or_connecting (self))
    connect_screen (self);
  if (!screen)
    {
      g_clear_handle_id (&self->reconnect_timeout, g_source_remove);
      self->n_reconnects = 0;
      alcove_display_disconnect (self->display);
    }
  if (strcmp (child, "off") == 0)
    update_off (self);
  if (strcmp (child, "crashed") == 0)
    update_crashed (self);
  gtk_stack_set_visible_child_name (self->stack, child);
  if (changed && focused)
    machine_page_focus (self);
}

static void
on_thumbnail (MachinePage *self)
{
  screen_thumbnail_set_path (self->thumbnail, alcove_machine_get_thumbnail (self->machine));
}

void
machine_page_set_machine (MachinePage *self, AlcoveMachine *machine)
{
  g_autoptr (GSimpleActionGroup) actions = NULL;

  g_return_if_fail (MACHINE_IS_PAGE (self));
  if (self->machine == machine)
    return;
  g_clear_handle_id (&self->reconnect_timeout, g_source_remove);
  gtk_widget_insert_action_group (GTK_WIDGET (self), "machine", NULL);
  alcove_display_disconnect (self->display);
  if (self->machine != NULL)
    g_signal_handlers_disconnect_by_data (self->machine, self);
  g_set_object (&self->machine, machine);
  if (machine == NULL)
    return;
  self->n_reconnects = 0;
  actions = machine_actions_new (machine, GTK_WIDGET (self));
  gtk_widget_insert_action_group (GTK_WIDGET (self), "machine", G_ACTION_GROUP (actions));
  machine_screen_attach (self->display, machine);
  g_signal_connect_swapped (machine, "notify::state", G_CALLBACK (update), self);
  g_signal_connect_swapped (machine, "notify::name", G_CALLBACK (update), self);
  g_signal_connect_swapped (machine, "notify::accelerator", G_CALLBACK (update), self);
  g_signal_connect_swapped (machine, "notify::last-error", G_CALLBACK (update), self);
  g_signal_connect_swapped (machine, "notify::thumbnail", G_CALLBACK (on_thumbnail), self);
  update (self);
}

AlcoveMachine *
machine_page_get_machine (MachinePage *self)
{
  return self->machine;
}

GtkWidget *
machine_page_get_display (MachinePage *self)
{
  return GTK_WIDGET (self->display);
}

void
machine_page_focus (MachinePage *self)
{
  const char *child = gtk_stack_get_visible_child_name (self->stack);

  if (g_strcmp0 (child, "screen") == 0)
    gtk_widget_grab_focus (GTK_WIDGET (self->display));
  else if (g_strcmp0 (child, "crashed") == 0)
    gtk_widget_grab_focus (self->restart_button);
  else
    gtk_widget_grab_focus (self->start_button);
}

/* --- full screen --------------------------------------------------------------------------- */

static void
on_fullscreened (GtkWindow *window, GParamSpec *pspec, MachinePage *self)
{
  gboolean fullscreen = gtk_window_is_fullscreen (window);

  adw_flap_set_fold_policy (self->flap,
                            fullscreen ? ADW_FLAP_FOLD_POLICY_ALWAYS : ADW_FLAP_FOLD_POLICY_NEVER);
  adw_flap_set_reveal_flap (self->flap, !fullscreen);
  gtk_button_set_icon_name (self->fullscreen_button,
                            fullscreen ? "view-restore-symbolic" : "view-fullscreen-symbolic");
}

static void
on_motion (GtkEventControllerMotion *motion, double x, double y, MachinePage *self)
{
  GtkRoot *root = gtk_widget_get_root (GTK_WIDGET (self));

  if (!GTK_IS_WINDOW (root) || !gtk_window_is_fullscreen (GTK_WINDOW (root)))
    return;
  if (y <= EDGE_PIXELS)
    adw_flap_set_reveal_flap (self->flap, TRUE);
  else if (y > HEADER_PIXELS)
    adw_flap_set_reveal_flap (self->flap, FALSE);
}

static void
machine_page_root (GtkWidget *widget)
{
  GtkRoot *root;

  GTK_WIDGET_CLASS (machine_page_parent_class)->root (widget);
  root = gtk_widget_get_root (widget);
  g_signal_connect_object (root, "notify::fullscreened", G_CALLBACK (on_fullscreened), widget, 0);
}

/* --- actions ------------------------------------------------------------------------------- */

static void
action_send_keys (GtkWidget *widget, const char *name, GVariant *parameter)
{
  MachinePage *self = MACHINE_PAGE (widget);

  machine_screen_send_keys (self->display, g_variant_get_string (parameter, NULL));
  gtk_widget_grab_focus (GTK_WIDGET (self->display));
}

static void
on_screenshot (GObject *source, GAsyncResult *result, gpointer data)
{
  g_autoptr (MachinePage) self = data;
  g_autoptr (GError) error = NULL;
  g_autofree char *path = machine_screen_save_finish (result, &error);
  g_autofree char *name = path != NULL ? g_path_get_basename (path) : NULL;
  GtkRoot *root = gtk_widget_get_root (GTK_WIDGET (self));
  g_autofree char *text = name != NULL ? g_strdup_printf (_ ("Saved and copied: %s"), name) : NULL;

  if (ALCOVE_IS_WINDOW (root))
    alcove_window_tell (ALCOVE_WINDOW (root), text != NULL ? text : error->message);
}

static void
action_screenshot (GtkWidget *widget, const char *name, GVariant *parameter)
{
  MachinePage *self = MACHINE_PAGE (widget);

  if (self->machine != NULL)
    machine_screen_save_async (self->display, alcove_machine_get_name (self->machine),
                               on_screenshot, g_object_ref (self));
}

static void
action_reconnect (GtkWidget *widget, const char *name, GVariant *parameter)
{
  MachinePage *self = MACHINE_PAGE (widget);

  self->n_reconnects = 0;
  connect_screen (self);
}

static void
action_leave_screen (GtkWidget *widget, const char *name, GVariant *parameter)
{
  MachinePage *self = MACHINE_PAGE (widget);

  adw_flap_set_reveal_flap (self->flap, TRUE);
  gtk_widget_grab_focus (self->back_button);
}

/* Before the screen sees them: the few ways out of a guest that takes every key. */
static void
add_ways_out (MachinePage *self)
{
  GtkEventController *controller = gtk_shortcut_controller_new ();

  gtk_event_controller_set_propagation_phase (controller, GTK_PHASE_CAPTURE);
  gtk_shortcut_controller_add_shortcut (
      GTK_SHORTCUT_CONTROLLER (controller),
      gtk_shortcut_new (gtk_shortcut_trigger_parse_string ("<Control><Alt>Return"),
                        gtk_named_action_new ("win.fullscreen")));
  gtk_shortcut_controller_add_shortcut (
      GTK_SHORTCUT_CONTROLLER (controller),
      gtk_shortcut_new (gtk_shortcut_trigger_parse_string ("<Control><Alt>Home"),
                        gtk_named_action_new ("page.leave-screen")));
  gtk_widget_add_controller (GTK_WIDGET (self), controller);
}

static void
add_page_actions (MachinePage *self)
{
  g_autoptr (GSimpleActionGroup) group = g_simple_action_group_new ();
  g_autoptr (GPropertyAction) capture =
      g_property_action_new ("capture-keyboard", self->display, "capture-keyboard");

  g_action_map_add_action (G_ACTION_MAP (group), G_ACTION (capture));
  gtk_widget_insert_action_group (GTK_WIDGET (self->keys_button), "page-keys",
                                  G_ACTION_GROUP (group));
}

static void
machine_page_dispose (GObject *object)
{
  MachinePage *self = MACHINE_PAGE (object);

  if (self->machine != NULL)
    machine_page_set_machine (self, NULL);
  g_clear_handle_id (&self->reconnect_timeout, g_source_remove);
  g_clear_handle_id (&self->hint_timeout, g_source_remove);
  if (self->display != NULL)
    g_signal_handlers_disconnect_by_data (self->display, self);
  self->display = NULL;
  g_clear_pointer ((GtkWidget **) &self->flap, gtk_widget_unparent);
  G_OBJECT_CLASS (machine_page_parent_class)->dispose (object);
}

static void
bind_children (GtkWidgetClass *widget_class)
{
  gtk_widget_class_bind_template_child (widget_class, MachinePage, flap);
  gtk_widget_class_bind_template_child (widget_class, MachinePage, window_title);
  gtk_widget_class_bind_template_child (widget_class, MachinePage, back_button);
  gtk_widget_class_bind_template_child (widget_class, MachinePage, emulated_pill);
  gtk_widget_class_bind_template_child (widget_class, MachinePage, menu_button);
  gtk_widget_class_bind_template_child (widget_class, MachinePage, power_button);
  gtk_widget_class_bind_template_child (widget_class, MachinePage, tools);
  gtk_widget_class_bind_template_child (widget_class, MachinePage, pause_button);
  gtk_widget_class_bind_template_child (widget_class, MachinePage, keys_button);
  gtk_widget_class_bind_template_child (widget_class, MachinePage, fullscreen_button);
  gtk_widget_class_bind_template_child (widget_class, MachinePage, stack);
  gtk_widget_class_bind_template_child (widget_class, MachinePage, thumbnail);
  gtk_widget_class_bind_template_child (widget_class, MachinePage, off_name);
  gtk_widget_class_bind_template_child (widget_class, MachinePage, off_detail);
  gtk_widget_class_bind_template_child (widget_class, MachinePage, off_note);
  gtk_widget_class_bind_template_child (widget_class, MachinePage, start_button);
  gtk_widget_class_bind_template_child (widget_class, MachinePage, crash_page);
  gtk_widget_class_bind_template_child (widget_class, MachinePage, restart_button);
  gtk_widget_class_bind_template_child (widget_class, MachinePage, log_expander);
  gtk_widget_class_bind_template_child (widget_class, MachinePage, log_view);
  gtk_widget_class_bind_template_child (widget_class, MachinePage, screen);
  gtk_widget_class_bind_template_child (widget_class, MachinePage, waiting);
  gtk_widget_class_bind_template_child (widget_class, MachinePage, waiting_image);
  gtk_widget_class_bind_template_child (widget_class, MachinePage, waiting_label);
  gtk_widget_class_bind_template_child (widget_class, MachinePage, reconnect_button);
  gtk_widget_class_bind_template_child (widget_class, MachinePage, hint_revealer);
  gtk_widget_class_bind_template_child (widget_class, MachinePage, hint_label);
}

static void
machine_page_class_init (MachinePageClass *klass)
{
  GtkWidgetClass *widget_class = GTK_WIDGET_CLASS (klass);

  G_OBJECT_CLASS (klass)->dispose = machine_page_dispose;
  widget_class->root = machine_page_root;
  g_type_ensure (SCREEN_TYPE_THUMBNAIL);
  g_type_ensure (EMULATED_TYPE_PILL);
  gtk_widget_class_set_template_from_resource (widget_class,
                                               "/org/alcove/Alcove/machine/machine-page.ui");
  bind_children (widget_class);
  gtk_widget_class_install_action (widget_class, "page.send-keys", "s", action_send_keys);
  gtk_widget_class_install_action (widget_class, "page.screenshot", NULL, action_screenshot);
  gtk_widget_class_install_action (widget_class, "page.reconnect", NULL, action_reconnect);
  gtk_widget_class_install_action (widget_class, "page.leave-screen", NULL, action_leave_screen);
}

static void
machine_page_init (MachinePage *self)
{
  g_autoptr (GMenuModel) menu = machine_actions_new_menu ();
  GtkEventController *motion = gtk_event_controller_motion_new ();

  gtk_widget_init_template (GTK_WIDGET (self));
  self->display = ALCOVE_DISPLAY (alcove_display_new ());
  gtk_overlay_set_child (self->screen, GTK_WIDGET (self->display));
  gtk_menu_button_set_menu_model (self->menu_button, menu);
  screen_thumbnail_set_dimmed (self->thumbnail, TRUE);
  add_page_actions (self);
  add_ways_out (self);
  gtk_widget_add_controller (GTK_WIDGET (self), machine_actions_new_shortcuts ());
  g_signal_connect (motion, "motion", G_CALLBACK (on_motion), self);
  gtk_event_controller_set_propagation_phase (motion, GTK_PHASE_CAPTURE);
  gtk_widget_add_controller (GTK_WIDGET (self), motion);
  g_signal_connect_swapped (self->display, "connected", G_CALLBACK (on_connected), self);
  g_signal_connect_swapped (self->display, "first-picture", G_CALLBACK (on_first_picture), self);
  g_signal_connect_swapped (self->display, "disconnected", G_CALLBACK (on_disconnected), self);
  g_signal_connect_swapped (self->display, "notify::keyboard-captured", G_CALLBACK (on_captured),
                            self);
}
