#include "ui/alcove-application.h"

#include <glib/gi18n.h>
#include "base/app-dirs.h"
#include "cli/cli.h"
#include "ui/alcove-window.h"
#include "ui/machine/machine-actions.h"
#include "ui/preferences/preferences-window.h"
#include "ui/show-request.h"

struct _AlcoveApplication
{
  AdwApplication parent_instance;

  MachineStore *store; /* NULL when the library cannot be opened, see store_error */
  GError *store_error;
  GalleryCatalog *catalog;
  GalleryCache *cache;
  InstallJobs *jobs;
  UiState *ui_state;
  gboolean held_for_jobs;
};

G_DEFINE_FINAL_TYPE (AlcoveApplication, alcove_application, ADW_TYPE_APPLICATION)

AlcoveApplication *
alcove_application_get (void)
{
  return ALCOVE_APPLICATION (g_application_get_default ());
}

MachineStore *
alcove_application_get_store (AlcoveApplication *self)
{
  return self->store;
}

GalleryCatalog *
alcove_application_get_catalog (AlcoveApplication *self)
{
  return self->catalog;
}

GalleryCache *
alcove_application_get_cache (AlcoveApplication *self)
{
  return self->cache;
}

InstallJobs *
alcove_application_get_jobs (AlcoveApplication *self)
{
  return self->jobs;
}

UiState *
alcove_application_get_ui_state (AlcoveApplication *self)
{
  return self->ui_state;
}

static AlcoveWindow *
get_any_window (AlcoveApplication *self)
{
  for (GList *l = gtk_application_get_windows (GTK_APPLICATION (self)); l != NULL; l = l->next)
    if (ALCOVE_IS_WINDOW (l->data))
      return l->data;
  return NULL;
}

static AlcoveWindow *
find_window_of (AlcoveApplication *self, AlcoveMachine *machine)
{
  for (GList *l = gtk_application_get_windows (GTK_APPLICATION (self)); l != NULL; l = l->next)
    if (ALCOVE_IS_WINDOW (l->data) && alcove_window_get_machine (l->data) == machine)
      return l->data;
  return NULL;
}

void
alcove_application_show_machine (AlcoveApplication *self, AlcoveMachine *machine, GtkWindow *window)
{
  AlcoveWindow *target = find_window_of (self, machine);

  if (target == NULL && ALCOVE_IS_WINDOW (window))
    target = ALCOVE_WINDOW (window);
  if (target == NULL)
    target = get_any_window (self);
  if (target == NULL)
    target = alcove_window_new (self);
  alcove_window_show_machine (target, machine);
  gtk_window_present (GTK_WINDOW (target));
}

void
alcove_application_open_window (AlcoveApplication *self, AlcoveMachine *machine)
{
  AlcoveWindow *shown = find_window_of (self, machine);
  AlcoveWindow *window = alcove_window_new (self);

  if (shown != NULL)
    alcove_window_let_go_of_machine (shown);
  alcove_window_show_machine (window, machine);
  gtk_window_present (GTK_WINDOW (window));
}

void
alcove_application_forget_machine (AlcoveApplication *self, AlcoveMachine *machine)
{
  AlcoveWindow *window = find_window_of (self, machine);

  if (window != NULL)
    alcove_window_show_library (window);
}

/* The library could not be opened: nothing but telling it is possible. */
static void
present_store_error (AlcoveApplication *self)
{
  GtkWidget *window = adw_application_window_new (GTK_APPLICATION (self));
  GtkWidget *box = gtk_box_new (GTK_ORIENTATION_VERTICAL, 0);
  GtkWidget *page = adw_status_page_new ();

  adw_status_page_set_icon_name (ADW_STATUS_PAGE (page), "dialog-error-symbolic");
  adw_status_page_set_title (ADW_STATUS_PAGE (page), _ ("The Library Cannot Be Opened"));
  adw_status_page_set_description (ADW_STATUS_PAGE (page), self->store_error->message);
  gtk_widget_set_vexpand (page, TRUE);
  gtk_box_append (GTK_BOX (box), adw_header_bar_new ());
  gtk_box_append (GTK_BOX (box), page);
  adw_application_window_set_content (ADW_APPLICATION_WINDOW (window), box);
  gtk_window_set_title (GTK_WINDOW (window), "Alcove");
  gtk_window_set_default_size (GTK_WINDOW (window), 640, 480);
  gtk_window_present (GTK_WINDOW (window));
}

static void
present (AlcoveApplication *self)
{
  AlcoveWindow *window = get_any_window (self);

  if (self->store == NULL)
    {
      present_store_error (self);
      return;
    }
  gtk_window_present (GTK_WINDOW (window != NULL ? window : alcove_window_new (self)));
}

static void
alcove_application_activate (GApplication *application)
{
  present (ALCOVE_APPLICATION (application));
}

static int
alcove_application_command_line (GApplication *application, GApplicationCommandLine *command_line)
{
  AlcoveApplication *self = ALCOVE_APPLICATION (application);
  g_auto (GStrv) argv = NULL;
  g_autoptr (CliShow) show = NULL;
  g_autoptr (GError) error = NULL;
  int argc;

  argv = g_application_command_line_get_arguments (command_line, &argc);
  if (argc < 2 || g_strcmp0 (argv[1], "show") != 0)
    {
      present (self);
      return CLI_EXIT_DONE;
    }
  show = cli_show_parse (argc - 1, argv + 1, g_application_command_line_get_cwd (command_line),
                         &error);
  if (show == NULL)
    {
      g_application_command_line_printerr (command_line, "alcove: %s\n", error->message);
      return CLI_EXIT_USAGE;
    }
  if (self->store == NULL)
    {
      g_application_command_line_printerr (command_line, "alcove: %s\n",
                                           self->store_error->message);
      return CLI_EXIT_FAILED;
    }
  show_request_run (self, command_line, g_steal_pointer (&show));
  return CLI_EXIT_DONE;
}

static void
on_job_done (InstallJobs *jobs, InstallJob *job, AlcoveApplication *self)
{
  AlcoveMachine *machine = install_job_get_machine (job);
  g_autoptr (GNotification) notification = NULL;
  g_autofree char *title = NULL;

  for (GList *l = gtk_application_get_windows (GTK_APPLICATION (self)); l != NULL; l = l->next)
    if (ALCOVE_IS_WINDOW (l->data) && alcove_window_take_job (l->data, job))
      return;
  /* “Create and Start”: also for who went elsewhere meanwhile. */
  machine_actions_run_command (machine, "start", "", GTK_WIDGET (get_any_window (self)));
  if (get_any_window (self) != NULL)
    {
      alcove_window_tell_ready (get_any_window (self), machine);
      return;
    }
  title = g_strdup_printf (_ ("“%s” Is Ready and Starts"), alcove_machine_get_name (machine));
  notification = g_notification_new (title);
  g_notification_set_default_action_and_target (notification, "app.open-machine", "s",
                                                alcove_machine_get_id (machine));
  g_application_send_notification (G_APPLICATION (self), alcove_machine_get_id (machine),
                                   notification);
}

/* Downloads go on when the last window is closed. */
static void
on_jobs_changed (AlcoveApplication *self)
{
  gboolean busy = install_jobs_is_busy (self->jobs);

  if (busy == self->held_for_jobs)
    return;
  self->held_for_jobs = busy;
  if (busy)
    g_application_hold (G_APPLICATION (self));
  else
    g_application_release (G_APPLICATION (self));
}

static void
on_jobs_items_changed (GListModel *jobs, guint position, guint removed, guint added,
                       AlcoveApplication *self)
{
  for (guint i = position; i < position + added; i++)
    {
      g_autoptr (InstallJob) job = g_list_model_get_item (jobs, i);

      g_signal_connect_object (job, "notify::state", G_CALLBACK (on_jobs_changed), self,
                               G_CONNECT_SWAPPED | G_CONNECT_AFTER);
    }
  on_jobs_changed (self);
}

/* What is in the trash at the start was deleted by a run whose undo is over. */
static void
purge_trash (AlcoveApplication *self)
{
  machine_store_purge_async (self->store, NULL, NULL, NULL, NULL);
}

static void
activate_quit (GSimpleAction *action, GVariant *parameter, gpointer data)
{
  GtkApplication *application = data;
  GList *windows = g_list_copy (gtk_application_get_windows (application));

  for (GList *l = windows; l != NULL; l = l->next)
    gtk_window_close (l->data);
  g_list_free (windows);
  g_application_quit (G_APPLICATION (application));
}

static void
activate_about (GSimpleAction *action, GVariant *parameter, gpointer data)
{
  adw_show_about_window (gtk_application_get_active_window (data), "application-name", "Alcove",
                         "application-icon", ALCOVE_APP_ID, "version", ALCOVE_VERSION,
                         "developer-name", _ ("The Alcove developers"), "license-type",
                         GTK_LICENSE_GPL_3_0, "comments",
                         _ ("Take a system from the gallery and run it in a window."), NULL);
}

static void
activate_preferences (GSimpleAction *action, GVariant *parameter, gpointer data)
{
  AlcoveApplication *self = data;
  GtkWidget *window = preferences_window_new (self);

  gtk_window_set_transient_for (GTK_WINDOW (window),
                                gtk_application_get_active_window (GTK_APPLICATION (self)));
  gtk_window_present (GTK_WINDOW (window));
}

static void
activate_new_window (GSimpleAction *action, GVariant *parameter, gpointer data)
{
  gtk_window_present (GTK_WINDOW (alcove_window_new (data)));
}

static void
activate_open_machine (GSimpleAction *action, GVariant *parameter, gpointer data)
{
  AlcoveApplication *self = data;
  AlcoveMachine *machine = machine_store_find (self->store, g_variant_get_string (parameter, NULL));

  if (machine != NULL)
    alcove_application_show_machine (self, machine, NULL);
  else
    present (self);
}

/* A command line asks for it: see cli_remote_command (). */
static void
activate_machine_command (GSimpleAction *action, GVariant *parameter, gpointer data)
{
  AlcoveApplication *self = data;
  AlcoveMachine *machine;
  const char *command, *id, *argument;

  g_variant_get (parameter, "(&s&s&s)", &command, &id, &argument);
  machine = machine_store_find (self->store, id);
  if (machine == NULL)
    g_warning ("A command line asked for “%s” of a machine “%s” that is not in the library",
               command, id);
  else
    machine_actions_run_command (machine, command, argument, GTK_WIDGET (get_any_window (self)));
}

static const GActionEntry action_entries[] = {
  { .name = "quit", .activate = activate_quit },
  { .name = "about", .activate = activate_about },
  { .name = "preferences", .activate = activate_preferences },
  { .name = "new-window", .activate = activate_new_window },
  { .name = "open-machine", .activate = activate_open_machine, .parameter_type = "s" },
  { .name = "machine-command", .activate = activate_machine_command, .parameter_type = "(sss)" },
};

static void
alcove_application_startup (GApplication *application)
{
  AlcoveApplication *self = ALCOVE_APPLICATION (application);
  const char *const no_accels[] = { NULL };

  G_APPLICATION_CLASS (alcove_application_parent_class)->startup (application);
  gtk_window_set_default_icon_name (ALCOVE_APP_ID);
  self->ui_state = ui_state_load ();
  self->catalog = gallery_catalog_new_default ();
  self->cache = gallery_cache_new (NULL);
  self->store = machine_store_open (NULL, &self->store_error);
  if (self->store == NULL)
    return;
  self->jobs = install_jobs_new (self->catalog, self->store, self->cache);
  g_signal_connect_object (self->jobs, "items-changed", G_CALLBACK (on_jobs_items_changed), self,
                           0);
  g_signal_connect_object (self->jobs, "done", G_CALLBACK (on_job_done), self, 0);
  g_action_map_add_action_entries (G_ACTION_MAP (self), action_entries,
                                   G_N_ELEMENTS (action_entries), self);
  /* Keys that the application takes before its widgets see them never reach a guest: the window
   * has its own shortcuts, which come after the screen. */
  gtk_application_set_accels_for_action (GTK_APPLICATION (self), "win.show-help-overlay",
                                         no_accels);
  purge_trash (self);
  install_jobs_resume (self->jobs);
}

static void
alcove_application_shutdown (GApplication *application)
{
  AlcoveApplication *self = ALCOVE_APPLICATION (application);

  if (self->jobs != NULL)
    g_signal_handlers_disconnect_by_data (self->jobs, self);
  g_clear_object (&self->jobs);
  G_APPLICATION_CLASS (alcove_application_parent_class)->shutdown (application);
}

static void
alcove_application_finalize (GObject *object)
{
  AlcoveApplication *self = ALCOVE_APPLICATION (object);

  g_clear_object (&self->catalog);
  g_clear_object (&self->cache);
  g_clear_object (&self->store);
  g_clear_error (&self->store_error);
  g_clear_pointer (&self->ui_state, ui_state_free);
  G_OBJECT_CLASS (alcove_application_parent_class)->finalize (object);
}

static void
alcove_application_class_init (AlcoveApplicationClass *klass)
{
  GApplicationClass *application_class = G_APPLICATION_CLASS (klass);

  G_OBJECT_CLASS (klass)->finalize = alcove_application_finalize;
  application_class->startup = alcove_application_startup;
  application_class->shutdown = alcove_application_shutdown;
  application_class->activate = alcove_application_activate;
  application_class->command_line = alcove_application_command_line;
}

static void
alcove_application_init (AlcoveApplication *self)
{
}

AlcoveApplication *
alcove_application_new (void)
{
  g_autofree char *id = app_dirs_dup_application_id ();

  return g_object_new (ALCOVE_TYPE_APPLICATION, "application-id", id, "resource-base-path",
                       "/org/alcove/Alcove", "flags", G_APPLICATION_HANDLES_COMMAND_LINE, NULL);
}
