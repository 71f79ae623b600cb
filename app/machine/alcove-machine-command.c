#define G_LOG_DOMAIN "app-machine"

#include "machine/alcove-machine-private.h"

#include "machine/disc-image.h"

#define DISC_DRIVE "cdrom0" /* its id with the VMM */

/* Theory of operation: all but force off is one command of the control connection, whose answer is
 * the result. Force off is answered by the machine's end, in alcove-machine.c: until then its tasks
 * wait in `off_tasks`. */

static void
on_command_done (GObject *source, GAsyncResult *result, gpointer data)
{
  g_autoptr (GTask) task = data;
  AlcoveMachine *self = g_task_get_source_object (task);
  g_autoptr (JsonNode) node = NULL;
  GError *error = NULL;

  node = machine_control_execute_finish (MACHINE_CONTROL (source), result, &error);
  if (node == NULL)
    {
      g_task_return_error (task, error);
      return;
    }
  if (g_task_get_source_tag (task) == alcove_machine_shut_down_async && self->session != NULL)
    machine_session_expect_shutdown (self->session, self->shut_down_patience_ms);
  g_task_return_boolean (task, TRUE);
}

/* A task, or NULL when it was answered: the machine is not there to be told. */
static GTask *
command_task (AlcoveMachine *self, gpointer tag, GCancellable *cancellable,
              GAsyncReadyCallback callback, gpointer data)
{
  g_autoptr (GTask) task = g_task_new (self, cancellable, callback, data);

  g_task_set_source_tag (task, tag);
  if (alcove_machine_get_control (self) != NULL)
    return g_steal_pointer (&task);
  g_task_return_new_error (task, G_IO_ERROR, G_IO_ERROR_CLOSED,
                           alcove_machine_is_active (self) ? "“%s” does not answer at the moment"
                                                           : "“%s” is not running",
                           alcove_machine_get_name (self));
  return NULL;
}

static void
run_command (AlcoveMachine *self, const char *command, gpointer tag, GCancellable *cancellable,
             GAsyncReadyCallback callback, gpointer data)
{
  GTask *task = command_task (self, tag, cancellable, callback, data);

  if (task != NULL)
    machine_control_execute_async (alcove_machine_get_control (self), command, NULL, cancellable,
                                   on_command_done, task);
}

void
alcove_machine_shut_down_async (AlcoveMachine *self, GCancellable *cancellable,
                                GAsyncReadyCallback callback, gpointer data)
{
  MachineControl *control = alcove_machine_get_control (self);

  alcove_machine_save_thumbnail (self);
  /* A guest whose processors stand still sees no button. Commands are carried out in order. */
  if (self->state == MACHINE_STATE_PAUSED && control != NULL)
    machine_control_execute_async (control, "cont", NULL, cancellable, NULL, NULL);
  run_command (self, "system_powerdown", alcove_machine_shut_down_async, cancellable, callback,
               data);
}

gboolean
alcove_machine_shut_down_finish (AlcoveMachine *self, GAsyncResult *result, GError **error)
{
  return alcove_machine_finish_boolean (self, result, error);
}

void
alcove_machine_force_off_async (AlcoveMachine *self, GCancellable *cancellable,
                                GAsyncReadyCallback callback, gpointer data)
{
  g_autoptr (GTask) task = g_task_new (self, cancellable, callback, data);

  g_task_set_source_tag (task, alcove_machine_force_off_async);
  if (!alcove_machine_is_active (self))
    {
      g_task_return_boolean (task, TRUE);
      return;
    }
  if (self->session == NULL && self->start_cancellable == NULL)
    {
      g_task_return_new_error (task, G_IO_ERROR, G_IO_ERROR_BUSY,
                               "“%s” is being started by another program",
                               alcove_machine_get_name (self));
      return;
    }
  g_ptr_array_add (self->off_tasks, g_object_ref (task));
  if (self->session == NULL)
    {
      g_cancellable_cancel (self->start_cancellable);
      return;
    }
  alcove_machine_save_thumbnail (
      self); /* commands are carried out in order: this one comes before quit */
  machine_session_force_off (self->session);
}

gboolean
alcove_machine_force_off_finish (AlcoveMachine *self, GAsyncResult *result, GError **error)
{
  return alcove_machine_finish_boolean (self, result, error);
}

void
alcove_machine_pause_async (AlcoveMachine *self, GCancellable *cancellable,
                            GAsyncReadyCallback callback, gpointer data)
{
  run_command (self, "stop", alcove_machine_pause_async, cancellable, callback, data);
}

gboolean
alcove_machine_pause_finish (AlcoveMachine *self, GAsyncResult *result, GError **error)
{
  return alcove_machine_finish_boolean (self, result, error);
}

void
alcove_machine_resume_async (AlcoveMachine *self, GCancellable *cancellable,
                             GAsyncReadyCallback callback, gpointer data)
{
  run_command (self, "cont", alcove_machine_resume_async, cancellable, callback, data);
}

gboolean
alcove_machine_resume_finish (AlcoveMachine *self, GAsyncResult *result, GError **error)
{
  return alcove_machine_finish_boolean (self, result, error);
}

void
alcove_machine_reset_async (AlcoveMachine *self, GCancellable *cancellable,
                            GAsyncReadyCallback callback, gpointer data)
{
  run_command (self, "system_reset", alcove_machine_reset_async, cancellable, callback, data);
}

gboolean
alcove_machine_reset_finish (AlcoveMachine *self, GAsyncResult *result, GError **error)
{
  return alcove_machine_finish_boolean (self, result, error);
}

typedef struct DiscChange
{
  char *file; /* NULL: out */
  gboolean force;
} DiscChange;

static void
disc_change_free (gpointer data)
{
  DiscChange *change = data;

  g_free (change->file);
  g_free (change);
}

/* For its next starts. */
static gboolean
save_disc (AlcoveMachine *self, const char *file, GError **error)
{
  g_autoptr (MachineSettings) settings = NULL;

  if (self->settings == NULL)
    {
      g_set_error (error, G_IO_ERROR, G_IO_ERROR_NOT_SUPPORTED,
                   "The settings of “%s” cannot be read", self->id);
      return FALSE;
    }
  settings = machine_settings_copy (self->settings);
  machine_settings_set_cdrom (settings, file);
  return alcove_machine_apply_settings (self, settings, error);
}

static void
on_disc_changed (GObject *source, GAsyncResult *result, gpointer data)
{
  g_autoptr (GTask) task = data;
  AlcoveMachine *self = g_task_get_source_object (task);
  g_autoptr (JsonNode) node = NULL;
  const DiscChange *change = g_task_get_task_data (task);
  GError *error = NULL;

  node = machine_control_execute_finish (MACHINE_CONTROL (source), result, &error);
  if (node == NULL &&
      g_error_matches (error, MACHINE_CONTROL_ERROR, MACHINE_CONTROL_ERROR_DEVICE_NOT_FOUND))
    {
      g_clear_error (&error);
      g_task_return_new_error (task, G_IO_ERROR, G_IO_ERROR_NOT_SUPPORTED,
                               "“%s” runs without a CD-ROM drive: shut it down and try again",
                               alcove_machine_get_name (self));
    }
  else if (node == NULL || !save_disc (self, change->file, &error))
    g_task_return_error (task, error);
  else
    g_task_return_boolean (task, TRUE);
}

/* Consumes the task. */
static void
tell_disc (AlcoveMachine *self, GTask *task, const char *file, gboolean force)
{
  JsonObject *arguments = json_object_new ();

  json_object_set_string_member (arguments, "id", DISC_DRIVE);
  json_object_set_boolean_member (arguments, "force", force);
  if (file != NULL)
    {
      json_object_set_string_member (arguments, "filename", file);
      json_object_set_string_member (arguments, "format", "raw");
    }
  machine_control_execute_async (alcove_machine_get_control (self),
                                 file != NULL ? "blockdev-change-medium" : "eject", arguments,
                                 g_task_get_cancellable (task), on_disc_changed, task);
}

/* As the machine is now: it may have been started or have ended while the image was looked at. Consumes the task. */
static void
change_disc (AlcoveMachine *self, GTask *task)
{
  g_autoptr (GTask) own = task;
  const DiscChange *change = g_task_get_task_data (task);
  GError *error = NULL;

  if (alcove_machine_get_control (self) != NULL)
    tell_disc (self, g_steal_pointer (&own), change->file, change->force);
  else if (alcove_machine_is_active (self))
    g_task_return_new_error (own, G_IO_ERROR, G_IO_ERROR_CLOSED,
                             "“%s” does not answer at the moment", alcove_machine_get_name (self));
  else if (!save_disc (self, change->file, &error))
    g_task_return_error (own, error);
  else
    g_task_return_boolean (own, TRUE);
}

static void
on_disc_read (GObject *source, GAsyncResult *result, gpointer data)
{
  g_autoptr (GTask) task = data;
  DiscImage image;
  GError *error = NULL;

  if (disc_image_read_finish (result, &image, &error))
    change_disc (g_task_get_source_object (task), g_object_ref (task));
  else
    g_task_return_error (task, error);
}

void
alcove_machine_change_disc_async (AlcoveMachine *self, const char *file, gboolean force,
                                  GCancellable *cancellable, GAsyncReadyCallback callback,
                                  gpointer data)
{
  GTask *task = g_task_new (self, cancellable, callback, data);
  DiscChange *change = g_new0 (DiscChange, 1);

  g_return_if_fail (file == NULL || g_path_is_absolute (file));
  change->file = g_strdup (file);
  change->force = force;
  g_task_set_source_tag (task, alcove_machine_change_disc_async);
  g_task_set_task_data (task, change, disc_change_free);
  if (file != NULL)
    disc_image_read_async (file, cancellable, on_disc_read, task);
  else
    change_disc (self, task);
}

gboolean
alcove_machine_change_disc_finish (AlcoveMachine *self, GAsyncResult *result, GError **error)
{
  return alcove_machine_finish_boolean (self, result, error);
}

static void
on_display_opened (GObject *source, GAsyncResult *result, gpointer data)
{
  g_autoptr (GTask) task = data;
  GError *error = NULL;
  int fd = machine_control_open_display_finish (MACHINE_CONTROL (source), result, &error);

  if (fd >= 0)
    g_task_return_int (task, fd);
  else
    g_task_return_error (task, error);
}

void
alcove_machine_open_display_async (AlcoveMachine *self, GCancellable *cancellable,
                                   GAsyncReadyCallback callback, gpointer data)
{
  GTask *task = command_task (self, alcove_machine_open_display_async, cancellable, callback, data);

  if (task != NULL)
    machine_control_open_display_async (alcove_machine_get_control (self), cancellable,
                                        on_display_opened, task);
}

int
alcove_machine_open_display_finish (AlcoveMachine *self, GAsyncResult *result, GError **error)
{
  g_return_val_if_fail (g_task_is_valid (result, self), -1);
  return g_task_propagate_int (G_TASK (result), error);
}
