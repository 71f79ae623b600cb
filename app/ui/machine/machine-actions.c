#include "ui/machine/machine-actions.h"

#include <adwaita.h>
#include <glib/gi18n.h>
#include <string.h>
#include "ui/alcove-application.h"
#include "ui/alcove-window.h"
#include "ui/machine/machine-disc.h"
#include "ui/machine/machine-properties.h"
#include "ui/machine/machine-rename.h"

#define SHUT_DOWN_PATIENCE_SECONDS 25

/* One thing that was asked for, while it is under way or a question is open. The widget may go
 * away meanwhile. */
typedef struct Request
{
  AlcoveMachine *machine;
  GWeakRef widget;
  const char *problem; /* "“%s” Could Not Be Started" */
} Request;

static Request *
request_new (AlcoveMachine *machine, GtkWidget *widget, const char *problem)
{
  Request *request = g_new0 (Request, 1);

  request->machine = g_object_ref (machine);
  request->problem = problem;
  g_weak_ref_init (&request->widget, widget);
  return request;
}

static void
request_free (Request *request)
{
  g_object_unref (request->machine);
  g_weak_ref_clear (&request->widget);
  g_free (request);
}
G_DEFINE_AUTOPTR_CLEANUP_FUNC (Request, request_free)

/* The window to ask and tell in; any of the program's when the one that asked is gone. */
static GtkWindow *
request_get_window (Request *request)
{
  g_autoptr (GtkWidget) widget = g_weak_ref_get (&request->widget);
  GtkRoot *root = widget != NULL ? gtk_widget_get_root (widget) : NULL;

  if (GTK_IS_WINDOW (root))
    return GTK_WINDOW (root);
  return gtk_application_get_active_window (GTK_APPLICATION (alcove_application_get ()));
}

static void
request_fail (Request *request, const GError *error)
{
  GtkWindow *window = request_get_window (request);
  g_autofree char *heading = NULL;
  GtkWidget *dialog;

  if (g_error_matches (error, G_IO_ERROR, G_IO_ERROR_CANCELLED))
    return;
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
  heading = g_strdup_printf (request->problem, alcove_machine_get_name (request->machine));
#pragma GCC diagnostic pop
  if (window == NULL)
    {
      g_autoptr (GNotification) notification = g_notification_new (heading);

      g_warning ("%s: %s", heading, error->message);
      g_notification_set_body (notification, error->message);
      g_application_send_notification (G_APPLICATION (alcove_application_get ()), NULL,
                                       notification);
      return;
    }
  dialog = adw_message_dialog_new (window, heading, error->message);
  adw_message_dialog_add_response (ADW_MESSAGE_DIALOG (dialog), "close", _ ("_Close"));
  gtk_window_present (GTK_WINDOW (dialog));
}

/* --- the actions --------------------------------------------------------------------------- */

#define DEFINE_FINISHED(NAME)                                                                      \
  static void on_##NAME##_finished (GObject *source, GAsyncResult *result, gpointer data)          \
  {                                                                                                \
    g_autoptr (Request) request = data;                                                            \
    g_autoptr (GError) error = NULL;                                                               \
                                                                                                   \
    if (!alcove_machine_##NAME##_finish (ALCOVE_MACHINE (source), result, &error))                 \
      request_fail (request, error);                                                               \
  }

DEFINE_FINISHED (shut_down)
DEFINE_FINISHED (force_off)
DEFINE_FINISHED (pause)
DEFINE_FINISHED (resume)
DEFINE_FINISHED (reset)

static void
do_open (AlcoveMachine *machine, GtkWidget *widget)
{
  GtkRoot *root = widget != NULL ? gtk_widget_get_root (widget) : NULL;

  alcove_application_show_machine (alcove_application_get (), machine,
                                   GTK_IS_WINDOW (root) ? GTK_WINDOW (root) : NULL);
}

static void
do_open_window (AlcoveMachine *machine, GtkWidget *widget)
{
  alcove_application_open_window (alcove_application_get (), machine);
}

static void
on_start_finished (GObject *source, GAsyncResult *result, gpointer data)
{
  g_autoptr (Request) request = data;
  g_autoptr (GError) error = NULL;

  if (!alcove_machine_start_finish (ALCOVE_MACHINE (source), result, &error))
    request_fail (request, error);
  g_application_release (G_APPLICATION (alcove_application_get ()));
}

/* The program stays until it is known whether the machine runs, though the last window may be closed. */
static void
do_start (AlcoveMachine *machine, GtkWidget *widget)
{
  g_application_hold (G_APPLICATION (alcove_application_get ()));
  alcove_machine_start_async (machine, NULL, on_start_finished,
                              request_new (machine, widget, _ ("“%s” Could Not Be Started")));
}

static void
do_start_and_open (AlcoveMachine *machine, GtkWidget *widget)
{
  do_start (machine, widget);
  do_open (machine, widget);
}

static gboolean
on_patience_ends (gpointer data)
{
  Request *request = data;
  GtkWindow *window = request_get_window (request);

  if (alcove_machine_get_state (request->machine) == MACHINE_STATE_STOPPING &&
      ALCOVE_IS_WINDOW (window))
    alcove_window_tell_stubborn (ALCOVE_WINDOW (window), request->machine);
  return G_SOURCE_REMOVE;
}

static void
do_shut_down (AlcoveMachine *machine, GtkWidget *widget)
{
  const char *problem = _ ("“%s” Could Not Be Asked to Shut Down");

  alcove_machine_shut_down_async (machine, NULL, on_shut_down_finished,
                                  request_new (machine, widget, problem));
  g_timeout_add_seconds_full (G_PRIORITY_DEFAULT, SHUT_DOWN_PATIENCE_SECONDS, on_patience_ends,
                              request_new (machine, widget, problem),
                              (GDestroyNotify) request_free);
}

static void
force_off_now (AlcoveMachine *machine, GtkWidget *widget)
{
  alcove_machine_force_off_async (
      machine, NULL, on_force_off_finished,
      request_new (machine, widget, _ ("“%s” Could Not Be Forced Off")));
}

static void
on_force_off_response (AdwMessageDialog *dialog, const char *response, Request *request)
{
  g_autoptr (GtkWidget) widget = g_weak_ref_get (&request->widget);

  if (strcmp (response, "force-off") == 0)
    force_off_now (request->machine, widget);
}

static void
request_free_with_closure (gpointer request, GClosure *closure)
{
  request_free (request);
}

static void
ask (Request *request, const char *heading, const char *body, const char *response,
     const char *label, GCallback callback)
{
  GtkWidget *dialog = adw_message_dialog_new (request_get_window (request), NULL, body);

  adw_message_dialog_set_heading (ADW_MESSAGE_DIALOG (dialog), heading);
  adw_message_dialog_add_response (ADW_MESSAGE_DIALOG (dialog), "cancel", _ ("_Cancel"));
  adw_message_dialog_add_response (ADW_MESSAGE_DIALOG (dialog), response, label);
  adw_message_dialog_set_response_appearance (ADW_MESSAGE_DIALOG (dialog), response,
                                              ADW_RESPONSE_DESTRUCTIVE);
  adw_message_dialog_set_close_response (ADW_MESSAGE_DIALOG (dialog), "cancel");
  g_signal_connect_data (dialog, "response", callback, request, request_free_with_closure, 0);
  gtk_window_present (GTK_WINDOW (dialog));
}

static void
do_force_off (AlcoveMachine *machine, GtkWidget *widget)
{
  g_autofree char *heading =
      g_strdup_printf (_ ("Force Off “%s”?"), alcove_machine_get_name (machine));

  ask (request_new (machine, widget, NULL), heading,
       _ ("This pulls the machine’s plug: what it has not saved is lost."), "force-off",
       _ ("_Force Off"), G_CALLBACK (on_force_off_response));
}

static void
do_pause (AlcoveMachine *machine, GtkWidget *widget)
{
  alcove_machine_pause_async (machine, NULL, on_pause_finished,
                              request_new (machine, widget, _ ("“%s” Could Not Be Paused")));
}

static void
do_resume (AlcoveMachine *machine, GtkWidget *widget)
{
  alcove_machine_resume_async (machine, NULL, on_resume_finished,
                               request_new (machine, widget, _ ("“%s” Could Not Go On")));
}

static void
on_reset_response (AdwMessageDialog *dialog, const char *response, Request *request)
{
  g_autoptr (GtkWidget) widget = g_weak_ref_get (&request->widget);

  if (strcmp (response, "reset") == 0)
    alcove_machine_reset_async (
        request->machine, NULL, on_reset_finished,
        request_new (request->machine, widget, _ ("“%s” Could Not Be Restarted")));
}

static void
do_reset (AlcoveMachine *machine, GtkWidget *widget)
{
  g_autofree char *heading =
      g_strdup_printf (_ ("Restart “%s”?"), alcove_machine_get_name (machine));

  ask (request_new (machine, widget, NULL), heading,
       _ ("This presses the machine’s reset button: what it has not saved is lost."), "reset",
       _ ("_Restart"), G_CALLBACK (on_reset_response));
}

static void
do_rename (AlcoveMachine *machine, GtkWidget *widget)
{
  Request *request = request_new (machine, widget, NULL);

  machine_rename_present (machine, request_get_window (request));
  request_free (request);
}

static void
do_properties (AlcoveMachine *machine, GtkWidget *widget)
{
  g_autoptr (Request) request = request_new (machine, widget, NULL);
  GtkWidget *window = machine_properties_new (machine);

  gtk_window_set_transient_for (GTK_WINDOW (window), request_get_window (request));
  gtk_window_present (GTK_WINDOW (window));
}

static void
do_insert_disc (AlcoveMachine *machine, GtkWidget *widget)
{
  g_autoptr (Request) request = request_new (machine, widget, NULL);

  machine_disc_insert (machine, request_get_window (request));
}

static void
do_eject_disc (AlcoveMachine *machine, GtkWidget *widget)
{
  g_autoptr (Request) request = request_new (machine, widget, NULL);

  machine_disc_eject (machine, request_get_window (request));
}

static gboolean
has_disc (AlcoveMachine *machine)
{
  MachineSettings *settings = alcove_machine_get_settings (machine);

  return settings != NULL && machine_settings_get_cdrom (settings) != NULL;
}

static void
delete_now (Request *request)
{
  AlcoveApplication *application = alcove_application_get ();
  GtkWindow *window = request_get_window (request);
  g_autoptr (GError) error = NULL;
  g_autofree char *trashed = NULL;

  alcove_application_forget_machine (application, request->machine);
  trashed =
      machine_store_trash (alcove_application_get_store (application), request->machine, &error);
  if (trashed == NULL)
    request_fail (request, error);
  else if (ALCOVE_IS_WINDOW (window))
    alcove_window_tell_deleted (ALCOVE_WINDOW (window), alcove_machine_get_name (request->machine),
                                trashed);
}

static void
on_off_before_delete (GObject *source, GAsyncResult *result, gpointer data)
{
  g_autoptr (Request) request = data;
  g_autoptr (GError) error = NULL;

  if (alcove_machine_force_off_finish (ALCOVE_MACHINE (source), result, &error))
    delete_now (request);
  else
    request_fail (request, error);
}

static void
on_delete_response (AdwMessageDialog *dialog, const char *response, Request *request)
{
  g_autoptr (GtkWidget) widget = g_weak_ref_get (&request->widget);

  if (strcmp (response, "delete") == 0)
    alcove_machine_force_off_async (request->machine, NULL, on_off_before_delete,
                                    request_new (request->machine, widget, request->problem));
}

static void
do_delete (AlcoveMachine *machine, GtkWidget *widget)
{
  Request *request = request_new (machine, widget, _ ("“%s” Could Not Be Deleted"));
  g_autofree char *heading = NULL;

  if (!alcove_machine_is_active (machine))
    {
      delete_now (request);
      request_free (request);
      return;
    }
  heading = g_strdup_printf (_ ("Delete “%s” While It Runs?"), alcove_machine_get_name (machine));
  ask (request, heading, _ ("It is forced off first; what it has not saved is lost."), "delete",
       _ ("Force Off and _Delete"), G_CALLBACK (on_delete_response));
}

/* --- the table ----------------------------------------------------------------------------- */

#define IN(STATE) (1u << MACHINE_STATE_##STATE)
#define IDLE      (IN (STOPPED) | IN (CRASHED))
#define LIVE      (IN (RUNNING) | IN (PAUSED) | IN (STOPPING))
#define ALL       (IDLE | LIVE | IN (STARTING))

typedef struct ActionInfo
{
  const char *name;
  void (*run) (AlcoveMachine *machine, GtkWidget *widget);
  guint states;
  const char *accelerator;
  gboolean (*applies) (AlcoveMachine *machine); /* NULL: in each of the states */
} ActionInfo;

static const ActionInfo infos[] = {
  { "open", do_open, ALL | IN (BROKEN), NULL },
  { "open-window", do_open_window, ALL, "<Control>o" },
  { "start", do_start_and_open, IDLE, "<Control>Return" },
  { "pause", do_pause, IN (RUNNING), "<Control>p" },
  { "resume", do_resume, IN (PAUSED), "<Control>p" },
  { "shut-down", do_shut_down, LIVE, "<Control>End" },
  { "reset", do_reset, LIVE, NULL },
  { "force-off", do_force_off, LIVE | IN (STARTING), "<Control><Shift>End" },
  { "rename", do_rename, ALL, "F2" },
  { "properties", do_properties, ALL, "<Alt>Return" },
  { "insert-disc", do_insert_disc, IDLE | LIVE, "<Control>d" },
  { "eject-disc", do_eject_disc, IDLE | LIVE, "<Control><Shift>d", has_disc },
  { "delete", do_delete, ALL | IN (BROKEN), "Delete" },
};

typedef struct Binding
{
  const ActionInfo *info;
  AlcoveMachine *machine;
  GtkWidget *widget; /* outlives the group */
} Binding;

static void
on_activate (GSimpleAction *action, GVariant *parameter, Binding *binding)
{
  g_debug ("%s: %s", alcove_machine_get_name (binding->machine), binding->info->name);
  binding->info->run (binding->machine, binding->widget);
}

static void
update_enabled (GSimpleAction *action, AlcoveMachine *machine, const ActionInfo *info)
{
  gboolean enabled = (info->states >> alcove_machine_get_state (machine)) & 1;

  if (enabled && info->applies != NULL)
    enabled = info->applies (machine);
  g_simple_action_set_enabled (action, enabled);
}

static void
on_state (AlcoveMachine *machine, GParamSpec *pspec, GSimpleActionGroup *group)
{
  for (gsize i = 0; i < G_N_ELEMENTS (infos); i++)
    {
      GAction *action = g_action_map_lookup_action (G_ACTION_MAP (group), infos[i].name);

      update_enabled (G_SIMPLE_ACTION (action), machine, &infos[i]);
    }
}

static void
binding_free (gpointer data, GClosure *closure)
{
  Binding *binding = data;

  g_object_unref (binding->machine);
  g_free (binding);
}

GSimpleActionGroup *
machine_actions_new (AlcoveMachine *machine, GtkWidget *widget)
{
  GSimpleActionGroup *group = g_simple_action_group_new ();

  for (gsize i = 0; i < G_N_ELEMENTS (infos); i++)
    {
      g_autoptr (GSimpleAction) action = g_simple_action_new (infos[i].name, NULL);
      Binding *binding = g_new0 (Binding, 1);

      binding->info = &infos[i];
      binding->machine = g_object_ref (machine);
      binding->widget = widget;
      g_signal_connect_data (action, "activate", G_CALLBACK (on_activate), binding, binding_free,
                             0);
      update_enabled (action, machine, &infos[i]);
      g_action_map_add_action (G_ACTION_MAP (group), G_ACTION (action));
    }
  g_signal_connect_object (machine, "notify::state", G_CALLBACK (on_state), group, 0);
  g_signal_connect_object (machine, "notify::settings", G_CALLBACK (on_state), group, 0);
  return group;
}

GtkEventController *
machine_actions_new_shortcuts (void)
{
  GtkEventController *controller = gtk_shortcut_controller_new ();

  for (gsize i = 0; i < G_N_ELEMENTS (infos); i++)
    {
      g_autofree char *name = g_strconcat ("machine.", infos[i].name, NULL);

      if (infos[i].accelerator != NULL)
        gtk_shortcut_controller_add_shortcut (
            GTK_SHORTCUT_CONTROLLER (controller),
            gtk_shortcut_new (gtk_shortcut_trigger_parse_string (infos[i].accelerator),
                              gtk_named_action_new (name)));
    }
  return controller;
}

static void
add_item (GMenu *section, const char *label, const char *name)
{
  g_autofree char *action = g_strconcat ("machine.", name, NULL);
  g_autoptr (GMenuItem) item = g_menu_item_new (label, action);

  g_menu_item_set_attribute (item, "hidden-when", "s", "action-disabled");
  for (gsize i = 0; i < G_N_ELEMENTS (infos); i++)
    if (strcmp (infos[i].name, name) == 0 && infos[i].accelerator != NULL)
      g_menu_item_set_attribute (item, "accel", "s", infos[i].accelerator);
  g_menu_append_item (section, item);
}

GMenuModel *
machine_actions_new_menu (void)
{
  g_autoptr (GMenu) power = g_menu_new ();
  g_autoptr (GMenu) disc = g_menu_new ();
  g_autoptr (GMenu) edit = g_menu_new ();
  g_autoptr (GMenu) end = g_menu_new ();
  GMenu *menu = g_menu_new ();

  add_item (power, _ ("_Start"), "start");
  add_item (power, _ ("_Pause"), "pause");
  add_item (power, _ ("_Continue"), "resume");
  add_item (power, _ ("Sh_ut Down"), "shut-down");
  add_item (power, _ ("R_estart…"), "reset");
  add_item (power, _ ("_Force Off…"), "force-off");
  add_item (disc, _ ("_Insert Disc…"), "insert-disc");
  add_item (disc, _ ("E_ject Disc"), "eject-disc");
  add_item (edit, _ ("Open in New _Window"), "open-window");
  add_item (edit, _ ("Re_name…"), "rename");
  add_item (edit, _ ("P_roperties"), "properties");
  add_item (end, _ ("_Delete"), "delete");
  g_menu_append_section (menu, NULL, G_MENU_MODEL (power));
  g_menu_append_section (menu, NULL, G_MENU_MODEL (disc));
  g_menu_append_section (menu, NULL, G_MENU_MODEL (edit));
  g_menu_append_section (menu, NULL, G_MENU_MODEL (end));
  return G_MENU_MODEL (menu);
}

void
machine_actions_run_command (AlcoveMachine *machine, const char *command, const char *argument,
                             GtkWidget *widget)
{
  g_autoptr (GError) error = NULL;

  if (strcmp (command, "start") == 0)
    do_start (machine, widget);
  else if (strcmp (command, "shut-down") == 0)
    do_shut_down (machine, widget);
  else if (strcmp (command, "force-off") == 0)
    force_off_now (machine, widget);
  else if (strcmp (command, "rename") != 0)
    g_warning ("A command line asked for an unknown command “%s”", command);
  else if (!alcove_machine_rename (machine, argument, &error))
    g_warning ("“%s” could not be renamed: %s", alcove_machine_get_name (machine), error->message);
}

const char *
machine_actions_describe_state (AlcoveMachine *machine)
{
  switch (alcove_machine_get_state (machine))
    {
    case MACHINE_STATE_STOPPED:
      return _ ("Off");
    case MACHINE_STATE_STARTING:
      return _ ("Starting");
    case MACHINE_STATE_RUNNING:
      return _ ("Running");
    case MACHINE_STATE_PAUSED:
      return _ ("Paused");
    case MACHINE_STATE_STOPPING:
      return _ ("Shutting Down");
    case MACHINE_STATE_CRASHED:
      return _ ("Crashed");
    case MACHINE_STATE_BROKEN:
      return _ ("Broken");
    }
  return "";
}
