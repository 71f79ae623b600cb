#include "ui/show-request.h"

#include <glib/gi18n.h>
#include <json-glib/json-glib.h>
#include "display/display.h"
#include "ui/alcove-window.h"
#include "ui/machine/machine-page.h"
#include "ui/widgets/widget-snapshot.h"

/* The request looks every few milliseconds where the window and the machine are, and goes on to the
 * next step when a step's condition holds: whatever happens in between, in whatever order, it ends
 * by the last step or by its time limit. */

/* At the lowest priority: to look at the window is to render it, which on a slow renderer takes longer than the time between two
 * looks, and would leave none to spice-client-glib, which works at idle priority. */
#define POLL_MS      40
#define SETTLE_POLLS 12 /* of a window that shows what was asked for, before it is photographed */

typedef enum
{
  STEP_WINDOW,
  STEP_RUNNING,
  STEP_CONNECTED,
  STEP_PICTURE,
  STEP_SETTLE,
  STEP_SCREENSHOT,
} Step;

typedef struct ShowRequest
{
  AlcoveApplication *application;
  GApplicationCommandLine *command_line; /* its process lives as long as this reference */
  CliShow *show;
  AlcoveWindow *window;
  AlcoveMachine *machine;
  char *machine_id;
  gint64 began;
  Step step;
  gboolean started;
  guint n_settled;
} ShowRequest;

static void
show_request_free (ShowRequest *self)
{
  if (self->window != NULL)
    g_object_remove_weak_pointer (G_OBJECT (self->window), (gpointer *) &self->window);
  g_application_release (G_APPLICATION (self->application));
  g_object_unref (self->command_line);
  g_clear_object (&self->machine);
  cli_show_free (self->show);
  g_free (self);
}

static JsonBuilder *
stage_new (ShowRequest *self, const char *stage)
{
  JsonBuilder *builder = json_builder_new ();

  json_builder_begin_object (builder);
  json_builder_set_member_name (builder, "stage");
  json_builder_add_string_value (builder, stage);
  json_builder_set_member_name (builder, "seconds");
  json_builder_add_double_value (builder,
                                 (double) (g_get_monotonic_time () - self->began) / G_USEC_PER_SEC);
  return builder;
}

static void
stage_print (ShowRequest *self, JsonBuilder *builder)
{
  g_autoptr (JsonBuilder) held G_GNUC_UNUSED = builder;
  g_autoptr (JsonNode) root = NULL;
  g_autofree char *text = NULL;

  json_builder_end_object (builder);
  root = json_builder_get_root (builder);
  text = json_to_string (root, FALSE);
  g_application_command_line_print (self->command_line, "%s\n", text);
}

static void
finish (ShowRequest *self, int status, const char *problem)
{
  if (problem != NULL)
    g_application_command_line_printerr (self->command_line, "alcove: %s\n", problem);
  g_application_command_line_set_exit_status (self->command_line, status);
  if (self->show->exit_after && self->window != NULL)
    gtk_window_close (GTK_WINDOW (self->window));
}

/* --- the steps: TRUE when it is done ------------------------------------------------------- */

static gboolean
step_window (ShowRequest *self)
{
  g_autofree char *place = NULL;
  JsonBuilder *builder;

  if (!gtk_widget_get_mapped (GTK_WIDGET (self->window)))
    return FALSE;
  place = alcove_window_dup_place (self->window);
  builder = stage_new (self, "window");
  json_builder_set_member_name (builder, "place");
  json_builder_add_string_value (builder, place);
  stage_print (self, builder);
  return TRUE;
}

static void
on_started (GObject *source, GAsyncResult *result, gpointer data)
{
  g_autoptr (GApplicationCommandLine) command_line = data;
  g_autoptr (GError) error = NULL;

  if (!alcove_machine_start_finish (ALCOVE_MACHINE (source), result, &error))
    g_application_command_line_printerr (command_line, "alcove: %s\n", error->message);
}

static gboolean
step_running (ShowRequest *self)
{
  static const char *const accelerators[] = {
    [MACHINE_ACCELERATOR_UNKNOWN] = "unknown",
    [MACHINE_ACCELERATOR_KVM] = "kvm",
    [MACHINE_ACCELERATOR_EMULATED] = "emulated",
  };
  MachineState state;
  JsonBuilder *builder;

  if (!self->show->start && !self->show->wait_picture)
    return TRUE;
  state = alcove_machine_get_state (self->machine);
  if (self->show->start && !self->started &&
      (state == MACHINE_STATE_STOPPED || state == MACHINE_STATE_CRASHED))
    {
      self->started = TRUE;
      alcove_machine_start_async (self->machine, NULL, on_started,
                                  g_object_ref (self->command_line));
      return FALSE;
    }
  if (state != MACHINE_STATE_RUNNING && state != MACHINE_STATE_PAUSED)
    return FALSE;
  builder = stage_new (self, "running");
  json_builder_set_member_name (builder, "accelerator");
  json_builder_add_string_value (builder,
                                 accelerators[alcove_machine_get_accelerator (self->machine)]);
  stage_print (self, builder);
  return TRUE;
}

static AlcoveDisplay *
get_display (ShowRequest *self)
{
  GtkWidget *page = alcove_window_get_machine_page (self->window);

  return page != NULL ? ALCOVE_DISPLAY (machine_page_get_display (MACHINE_PAGE (page))) : NULL;
}

static gboolean
step_connected (ShowRequest *self)
{
  AlcoveDisplay *display = get_display (self);

  if (!self->show->wait_picture)
    return TRUE;
  if (display == NULL || !alcove_display_is_connected (display))
    return FALSE;
  stage_print (self, stage_new (self, "connected"));
  return TRUE;
}

static void
add_figures (JsonBuilder *builder, AlcoveDisplay *display, guint colors)
{
  AlcoveDisplayStats stats;

  alcove_display_get_stats (display, &stats);
  json_builder_set_member_name (builder, "width");
  json_builder_add_int_value (builder, alcove_display_get_guest_width (display));
  json_builder_set_member_name (builder, "height");
  json_builder_add_int_value (builder, alcove_display_get_guest_height (display));
  json_builder_set_member_name (builder, "colors");
  json_builder_add_int_value (builder, colors);
  json_builder_set_member_name (builder, "shared-memory");
  json_builder_add_boolean_value (builder, stats.shared_memory);
  json_builder_set_member_name (builder, "gl");
  json_builder_add_boolean_value (builder, stats.gl);
}

/* What counts is what the window draws: the widget is rendered and its pixels are looked at. */
static gboolean
step_picture (ShowRequest *self)
{
  AlcoveDisplay *display = get_display (self);
  g_autoptr (GdkTexture) texture = NULL;
  JsonBuilder *builder;
  guint colors;

  if (!self->show->wait_picture)
    return TRUE;
  if (display == NULL || !alcove_display_has_picture (display))
    return FALSE;
  texture = widget_snapshot_take (GTK_WIDGET (display), NULL);
  if (texture == NULL || !widget_snapshot_has_picture (texture, &colors, NULL))
    return FALSE;
  builder = stage_new (self, "picture");
  add_figures (builder, display, colors);
  stage_print (self, builder);
  return TRUE;
}

/* Transitions end, thumbnails load. */
static gboolean
step_settle (ShowRequest *self)
{
  return self->show->screenshot == NULL || ++self->n_settled >= SETTLE_POLLS;
}

static gboolean
step_screenshot (ShowRequest *self, GError **error)
{
  g_autoptr (GdkTexture) texture = NULL;
  JsonBuilder *builder;

  if (self->show->screenshot == NULL)
    return TRUE;
  texture = widget_snapshot_take (GTK_WIDGET (self->window), error);
  if (texture == NULL)
    return FALSE;
  if (!gdk_texture_save_to_png (texture, self->show->screenshot))
    {
      g_set_error (error, G_IO_ERROR, G_IO_ERROR_FAILED,
                   "The screenshot could not be written to %s: is the folder there, and writable?",
                   self->show->screenshot);
      return FALSE;
    }
  builder = stage_new (self, "screenshot");
  json_builder_set_member_name (builder, "file");
  json_builder_add_string_value (builder, self->show->screenshot);
  stage_print (self, builder);
  return TRUE;
}

static gboolean
run_step (ShowRequest *self, GError **error)
{
  switch (self->step)
    {
    case STEP_WINDOW:
      return step_window (self);
    case STEP_RUNNING:
      return step_running (self);
    case STEP_CONNECTED:
      return step_connected (self);
    case STEP_PICTURE:
      return step_picture (self);
    case STEP_SETTLE:
      return step_settle (self);
    case STEP_SCREENSHOT:
      return step_screenshot (self, error);
    }
  return TRUE;
}

static char *
describe_timeout (ShowRequest *self)
{
  static const char *const missing[] = {
    [STEP_WINDOW] = "the window did not appear",
    [STEP_RUNNING] = "the machine does not run; --start starts it",
    [STEP_CONNECTED] = "its screen could not be connected",
    [STEP_PICTURE] = "it has shown no picture",
    [STEP_SETTLE] = "the window did not come to rest",
    [STEP_SCREENSHOT] = "the screenshot was not taken",
  };
  const char *error = self->machine != NULL ? alcove_machine_get_last_error (self->machine) : NULL;

  return g_strdup_printf ("after %d s %s%s%s", self->show->timeout, missing[self->step],
                          error != NULL ? ": " : "", error != NULL ? error : "");
}

static gboolean
has_ended_badly (ShowRequest *self)
{
  return self->machine != NULL && self->step > STEP_RUNNING && self->step < STEP_SETTLE &&
         self->show->wait_picture && !alcove_machine_is_active (self->machine);
}

static gboolean
on_poll (gpointer data)
{
  ShowRequest *self = data;
  g_autoptr (GError) error = NULL;
  g_autofree char *problem = NULL;

  if (self->window == NULL)
    problem = g_strdup ("the window was closed before all was done");
  while (problem == NULL && run_step (self, &error))
    if (self->step++ == STEP_SCREENSHOT)
      {
        finish (self, CLI_EXIT_DONE, NULL);
        return G_SOURCE_REMOVE;
      }
  if (problem == NULL && error != NULL)
    problem = g_strdup (error->message);
  else if (problem == NULL && has_ended_badly (self))
    problem = g_strdup_printf ("the machine ended before it showed a picture: %s",
                               alcove_machine_get_last_error (self->machine) != NULL
                                   ? alcove_machine_get_last_error (self->machine)
                                   : "it powered off");
  else if (problem == NULL &&
           g_get_monotonic_time () - self->began > (gint64) self->show->timeout * G_USEC_PER_SEC)
    problem = describe_timeout (self);
  if (problem == NULL)
    return G_SOURCE_CONTINUE;
  finish (self, CLI_EXIT_FAILED, problem);
  return G_SOURCE_REMOVE;
}

/* --- the beginning ------------------------------------------------------------------------- */

static AlcoveWindow *
open_window (ShowRequest *self)
{
  GtkWindow *active = gtk_application_get_active_window (GTK_APPLICATION (self->application));
  AlcoveWindow *window =
      ALCOVE_IS_WINDOW (active) ? ALCOVE_WINDOW (active) : alcove_window_new (self->application);

  if (self->show->width > 0)
    gtk_window_set_default_size (GTK_WINDOW (window), self->show->width, self->show->height);
  if (self->machine != NULL)
    alcove_window_show_machine (window, self->machine);
  else if (self->show->gallery)
    alcove_window_show_gallery (window);
  gtk_window_present (GTK_WINDOW (window));
  return window;
}

/* All machines have told whether they run. */
static void
on_store_settled (GObject *source, GAsyncResult *result, gpointer data)
{
  ShowRequest *self = data;
  MachineStore *store = MACHINE_STORE (source);
  g_autofree char *problem = NULL;

  machine_store_settle_finish (store, result, NULL);
  if (self->show->machine != NULL)
    {
      AlcoveMachine *machine = machine_store_find (store, self->show->machine);

      if (machine == NULL)
        {
          problem = g_strdup_printf (
              "there is no machine “%s”; “alcove list” shows those there are", self->show->machine);
          finish (self, CLI_EXIT_FAILED, problem);
          show_request_free (self);
          return;
        }
      self->machine = g_object_ref (machine);
    }
  self->window = open_window (self);
  g_object_add_weak_pointer (G_OBJECT (self->window), (gpointer *) &self->window);
  g_timeout_add_full (G_PRIORITY_LOW, POLL_MS, on_poll, self, (GDestroyNotify) show_request_free);
}

void
show_request_run (AlcoveApplication *application, GApplicationCommandLine *command_line,
                  CliShow *show)
{
  ShowRequest *self = g_new0 (ShowRequest, 1);

  self->application = application;
  self->command_line = g_object_ref (command_line);
  self->show = show;
  self->began = g_get_monotonic_time ();
  g_application_hold (G_APPLICATION (application));
  machine_store_settle_async (alcove_application_get_store (application), NULL, on_store_settled,
                              self);
}
