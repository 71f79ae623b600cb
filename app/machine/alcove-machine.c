#define G_LOG_DOMAIN "app-machine"

#include "machine/alcove-machine-private.h"

#include "machine/machine-launch.h"
#include "machine/machine-lock.h"
#include "machine/machine-thumbnail.h"

#include <string.h>
#include <unistd.h>
#include <glib/gstdio.h>

/* Theory of operation: without a session the machine is stopped, crashed, broken or starting;
 * with one its state is the session's. A session comes from start or from reconnect and goes
 * with its "ended". The folder is watched: another process that changes machine.ini, takes the
 * lock (it starts the machine) or saves a thumbnail makes this object look again. */

/* How often a machine that someone else runs, but that does not answer yet, is asked again. */
#define THUMBNAIL_SECONDS 3
/* Longer than the window waits until it offers to force it off. */
#define SHUT_DOWN_PATIENCE_MS 30000
#define PROBE_AGAIN_MS        1000

G_DEFINE_FINAL_TYPE (AlcoveMachine, alcove_machine, G_TYPE_OBJECT)

enum
{
  PROP_ID = 1,
  PROP_FOLDER,
  PROP_NAME,
  PROP_STATE,
  PROP_ACCELERATOR,
  PROP_THUMBNAIL,
  PROP_LAST_ERROR,
  PROP_SETTINGS,
  PROP_ACTIVE,
  N_PROPS
};

static GParamSpec *properties[N_PROPS];
static guint ended_signal;

static void
notify (AlcoveMachine *self, guint property)
{
  g_object_notify_by_pspec (G_OBJECT (self), properties[property]);
}

static void
set_last_error (AlcoveMachine *self, const char *text)
{
  char *copy;

  if (g_strcmp0 (self->last_error, text) == 0)
    return;
  copy = g_strdup (text);
  g_free (self->last_error);
  self->last_error = copy;
  notify (self, PROP_LAST_ERROR);
}

static void
set_state (AlcoveMachine *self, MachineState state, MachineAccelerator accelerator)
{
  gboolean was_active = alcove_machine_is_active (self);

  g_object_freeze_notify (G_OBJECT (self));
  if (self->accelerator != accelerator)
    {
      self->accelerator = accelerator;
      notify (self, PROP_ACCELERATOR);
    }
  if (self->state != state)
    {
      g_debug ("%s: %s", self->id, machine_state_to_string (state));
      self->state = state;
      notify (self, PROP_STATE);
    }
  if (was_active != alcove_machine_is_active (self))
    notify (self, PROP_ACTIVE);
  g_object_thaw_notify (G_OBJECT (self));
}

/* --- settings ------------------------------------------------------------------------------ */

static void
load_settings (AlcoveMachine *self)
{
  g_autofree char *path = g_build_filename (self->folder, MACHINE_SETTINGS_FILE, NULL);
  g_autoptr (GError) error = NULL;
  g_autoptr (MachineSettings) loaded = machine_settings_load (path, &error);

  if (loaded == NULL)
    {
      /* What runs goes on with the settings it was started with. */
      set_last_error (self, error->message);
      if (!alcove_machine_is_active (self))
        {
          g_clear_object (&self->settings);
          set_state (self, MACHINE_STATE_BROKEN, MACHINE_ACCELERATOR_UNKNOWN);
        }
    }
  else if (self->settings == NULL)
    {
      self->settings = g_steal_pointer (&loaded);
      set_last_error (self, NULL);
      if (self->state == MACHINE_STATE_BROKEN)
        set_state (self, MACHINE_STATE_STOPPED, MACHINE_ACCELERATOR_UNKNOWN);
    }
  else
    machine_settings_assign (self->settings, loaded);
  notify (self, PROP_SETTINGS);
  notify (self, PROP_NAME);
}

gboolean
alcove_machine_apply_settings (AlcoveMachine *self, MachineSettings *settings, GError **error)
{
  g_autofree char *path = g_build_filename (self->folder, MACHINE_SETTINGS_FILE, NULL);

  g_return_val_if_fail (MACHINE_IS_SETTINGS (settings), FALSE);
  if (self->settings == NULL)
    {
      g_set_error (error, G_IO_ERROR, G_IO_ERROR_NOT_SUPPORTED,
                   "The settings of “%s” are kept as they are, because they cannot be read: %s",
                   self->id, self->last_error != NULL ? self->last_error : "unknown");
      return FALSE;
    }
  if (!machine_settings_save (settings, path, error))
    return FALSE;
  machine_settings_assign (self->settings, settings);
  notify (self, PROP_NAME);
  notify (self, PROP_SETTINGS);
  return TRUE;
}

gboolean
alcove_machine_rename (AlcoveMachine *self, const char *name, GError **error)
{
  g_autoptr (MachineSettings) settings = NULL;
  g_autofree char *stripped = g_strstrip (g_strdup (name));

  if (self->settings != NULL)
    settings = machine_settings_copy (self->settings);
  else
    settings = machine_settings_new (stripped);
  machine_settings_set_name (settings, stripped);
  return alcove_machine_apply_settings (self, settings, error);
}

/* --- thumbnails ---------------------------------------------------------------------------- */

static void
look_for_thumbnail (AlcoveMachine *self)
{
  g_autofree char *path = g_build_filename (self->folder, MACHINE_THUMBNAIL_FILE, NULL);

  g_free (self->thumbnail);
  self->thumbnail = access (path, R_OK) == 0 ? g_steal_pointer (&path) : NULL;
  notify (self, PROP_THUMBNAIL);
}

static void
on_thumbnail_saved (GObject *source, GAsyncResult *result, gpointer data)
{
  g_autoptr (AlcoveMachine) self = data;
  g_autoptr (GError) error = NULL;

  /* A machine without a picture yet is nothing to bother the user with. */
  if (!machine_thumbnail_save_finish (result, &error))
    g_debug ("%s: %s", self->id, error->message);
}

void
alcove_machine_save_thumbnail (AlcoveMachine *self)
{
  MachineControl *control = alcove_machine_get_control (self);

  if (control != NULL)
    machine_thumbnail_save_async (control, self->folder, NULL, on_thumbnail_saved,
                                  g_object_ref (self));
}

static gboolean
on_thumbnail_due (gpointer data)
{
  alcove_machine_save_thumbnail (data);
  return G_SOURCE_CONTINUE;
}

static void
update_thumbnail_timer (AlcoveMachine *self)
{
  g_clear_handle_id (&self->thumbnail_source, g_source_remove);
  if (self->n_watchers > 0 && self->session != NULL)
    self->thumbnail_source = g_timeout_add_seconds (THUMBNAIL_SECONDS, on_thumbnail_due, self);
}

void
alcove_machine_watch_thumbnail (AlcoveMachine *self)
{
  if (self->n_watchers++ > 0)
    return;
  update_thumbnail_timer (self);
  alcove_machine_save_thumbnail (self);
}

void
alcove_machine_unwatch_thumbnail (AlcoveMachine *self)
{
  g_return_if_fail (self->n_watchers > 0);
  if (--self->n_watchers == 0)
    update_thumbnail_timer (self);
}

/* --- the session --------------------------------------------------------------------------- */

/* With the lock held, so that it is not the socket of a machine that somebody starts just now. Whoever has the lock removes it
 * himself. */
static void
remove_stale_socket (AlcoveMachine *self)
{
  g_autofree char *path = machine_launch_dup_control_path (self->folder);
  int fd;

  if (access (path, F_OK) != 0)
    return;
  fd = machine_lock_take (self->folder, "Alcove", NULL);
  if (fd < 0)
    return;
  g_unlink (path);
  close (fd);
}

static void
on_session_changed (MachineSession *session, GParamSpec *pspec, gpointer data)
{
  AlcoveMachine *self = data;
  MachineState state = machine_session_get_state (session);

  /* Stopped and crashed come with "ended". */
  if (state != MACHINE_STATE_STOPPED && state != MACHINE_STATE_CRASHED)
    set_state (self, state, machine_session_get_accelerator (session));
}

static void
on_session_ended (MachineSession *session, int exit_status, const char *problem, gpointer data)
{
  g_autoptr (AlcoveMachine) self = g_object_ref (data);
  g_autoptr (GPtrArray) tasks = g_steal_pointer (&self->off_tasks);

  self->off_tasks = g_ptr_array_new_with_free_func (g_object_unref);
  g_signal_handlers_disconnect_by_data (session, self);
  g_clear_object (&self->session);
  update_thumbnail_timer (self);
  remove_stale_socket (self);
  set_last_error (self, problem);
  set_state (self, problem != NULL ? MACHINE_STATE_CRASHED : MACHINE_STATE_STOPPED,
             MACHINE_ACCELERATOR_UNKNOWN);
  load_settings (self);
  for (guint i = 0; i < tasks->len; i++)
    g_task_return_boolean (tasks->pdata[i], TRUE);
  g_signal_emit (self, ended_signal, 0, exit_status, problem != NULL);
}

static void
adopt_session (AlcoveMachine *self, MachineControl *control, GSubprocess *child)
{
  self->session = machine_session_new (self->folder, control, child);
  g_signal_connect (self->session, "notify", G_CALLBACK (on_session_changed), self);
  g_signal_connect (self->session, "ended", G_CALLBACK (on_session_ended), self);
  update_thumbnail_timer (self);
}

/* --- start --------------------------------------------------------------------------------- */

/* Ends the start: gives up our descriptor of the lock; the child has its own. */
static void
finish_start (AlcoveMachine *self)
{
  g_clear_object (&self->start_cancellable);
  if (self->lock_fd >= 0)
    close (self->lock_fd);
  self->lock_fd = -1;
}

static void
on_start_queried (GObject *source, GAsyncResult *result, gpointer data)
{
  g_autoptr (GTask) task = data;
  g_autoptr (GError) error = NULL;

  /* It answered; should it be gone again, "ended" tells. */
  if (!machine_session_query_finish (MACHINE_SESSION (source), result, &error))
    g_debug ("start: %s", error->message);
  g_task_return_boolean (task, TRUE);
}

static void
fail_start (AlcoveMachine *self, GTask *task, GError *error)
{
  gboolean cancelled = g_error_matches (error, G_IO_ERROR, G_IO_ERROR_CANCELLED);

  finish_start (self);
  set_last_error (self, cancelled ? NULL : error->message);
  set_state (self, cancelled ? MACHINE_STATE_STOPPED : MACHINE_STATE_CRASHED,
             MACHINE_ACCELERATOR_UNKNOWN);
  for (guint i = 0; i < self->off_tasks->len; i++)
    g_task_return_boolean (self->off_tasks->pdata[i], TRUE);
  g_ptr_array_set_size (self->off_tasks, 0);
  g_task_return_error (task, error);
}

static void
on_launched (GObject *source, GAsyncResult *result, gpointer data)
{
  g_autoptr (GTask) task = data;
  AlcoveMachine *self = g_task_get_source_object (task);
  g_autoptr (GSubprocess) child = NULL;
  g_autoptr (MachineControl) control = NULL;
  g_autoptr (GError) local_error = NULL;
  GError *error = NULL;
  const char *pid;

  control = machine_launch_finish (result, &child, &error);
  if (control == NULL)
    {
      fail_start (self, task, error);
      return;
    }
  pid = g_subprocess_get_identifier (child);
  if (pid != NULL &&
      !machine_lock_set_holder (self->lock_fd, "alcove-vmm", (GPid) g_ascii_strtoll (pid, NULL, 10),
                                &local_error))
    g_warning ("%s: %s", self->id, local_error->message);
  finish_start (self);
  adopt_session (self, control, child);
  machine_session_query_async (self->session, NULL, on_start_queried, g_object_ref (task));
}

static gboolean
refuse_start (AlcoveMachine *self, GTask *task)
{
  if (self->settings == NULL)
    g_task_return_new_error (task, G_IO_ERROR, G_IO_ERROR_INVALID_DATA, "%s",
                             self->last_error != NULL ? self->last_error : "It is broken");
  else if (alcove_machine_is_active (self))
    g_task_return_new_error (task, G_IO_ERROR, G_IO_ERROR_BUSY, "“%s” is running already",
                             alcove_machine_get_name (self));
  else
    return FALSE;
  return TRUE;
}

void
alcove_machine_start_async (AlcoveMachine *self, GCancellable *cancellable,
                            GAsyncReadyCallback callback, gpointer data)
{
  g_autoptr (GTask) task = g_task_new (self, cancellable, callback, data);
  GError *error = NULL;

  g_task_set_source_tag (task, alcove_machine_start_async);
  g_task_set_check_cancellable (task, FALSE);
  if (refuse_start (self, task))
    return;
  self->lock_fd = machine_lock_take (self->folder, "Alcove", &error);
  if (self->lock_fd < 0)
    {
      g_prefix_error (&error, "“%s” cannot be started: ", alcove_machine_get_name (self));
      g_task_return_error (task, error);
      alcove_machine_reconnect_async (self, NULL, NULL, NULL);
      return;
    }
  set_last_error (self, NULL);
  set_state (self, MACHINE_STATE_STARTING, MACHINE_ACCELERATOR_UNKNOWN);
  self->start_cancellable = cancellable != NULL ? g_object_ref (cancellable) : g_cancellable_new ();
  machine_launch_async (self->settings, self->folder, self->lock_fd, self->start_cancellable,
                        on_launched, g_object_ref (task));
}

gboolean
alcove_machine_finish_boolean (AlcoveMachine *self, GAsyncResult *result, GError **error)
{
  g_return_val_if_fail (g_task_is_valid (result, self), FALSE);
  return g_task_propagate_boolean (G_TASK (result), error);
}

gboolean
alcove_machine_start_finish (AlcoveMachine *self, GAsyncResult *result, GError **error)
{
  return alcove_machine_finish_boolean (self, result, error);
}

/* --- reconnect ----------------------------------------------------------------------------- */

static gboolean
on_probe_due (gpointer data)
{
  AlcoveMachine *self = data;

  self->probe_source = 0;
  alcove_machine_reconnect_async (self, NULL, NULL, NULL);
  return G_SOURCE_REMOVE;
}

static void
probe_later (AlcoveMachine *self)
{
  if (self->probe_source == 0)
    self->probe_source = g_timeout_add (PROBE_AGAIN_MS, on_probe_due, self);
}

static void
on_found_queried (GObject *source, GAsyncResult *result, gpointer data)
{
  g_autoptr (GTask) task = data;

  machine_session_query_finish (MACHINE_SESSION (source), result, NULL);
  g_task_return_boolean (task, TRUE);
}

static void
on_found (GObject *source, GAsyncResult *result, gpointer data)
{
  g_autoptr (GTask) task = data;
  g_autoptr (GError) error = NULL;
  AlcoveMachine *self = g_task_get_source_object (task);
  g_autoptr (MachineControl) control = machine_control_connect_finish (result, &error);

  self->probing = FALSE;
  if (self->session != NULL || self->start_cancellable != NULL)
    {
      g_task_return_boolean (task, TRUE);
      return;
    }
  if (control == NULL)
    {
      /* It is held, so something runs: we are not the one to talk to it, yet. */
      g_debug ("%s: %s", self->id, error->message);
      set_state (self, MACHINE_STATE_STARTING, MACHINE_ACCELERATOR_UNKNOWN);
      probe_later (self);
      g_task_return_boolean (task, TRUE);
      return;
    }
  set_last_error (self, NULL);
  adopt_session (self, control, NULL);
  set_state (self, MACHINE_STATE_RUNNING, MACHINE_ACCELERATOR_UNKNOWN);
  machine_session_query_async (self->session, NULL, on_found_queried, g_object_ref (task));
}

void
alcove_machine_reconnect_async (AlcoveMachine *self, GCancellable *cancellable,
                                GAsyncReadyCallback callback, gpointer data)
{
  g_autoptr (GTask) task = g_task_new (self, cancellable, callback, data);
  g_autofree char *path = machine_launch_dup_control_path (self->folder);

  g_task_set_source_tag (task, alcove_machine_reconnect_async);
  if (self->session != NULL || self->start_cancellable != NULL || self->probing)
    {
      g_task_return_boolean (task, TRUE);
      return;
    }
  if (!machine_lock_is_held (self->folder, NULL, NULL))
    {
      remove_stale_socket (self);
      /* Somebody else had begun to start it and did not get there. */
      if (self->state == MACHINE_STATE_STARTING)
        set_state (self, MACHINE_STATE_STOPPED, MACHINE_ACCELERATOR_UNKNOWN);
      g_task_return_boolean (task, TRUE);
      return;
    }
  self->probing = TRUE;
  machine_control_connect_async (path, cancellable, on_found, g_object_ref (task));
}

gboolean
alcove_machine_reconnect_finish (AlcoveMachine *self, GAsyncResult *result, GError **error)
{
  return alcove_machine_finish_boolean (self, result, error);
}

/* --- the object ---------------------------------------------------------------------------- */

static void
on_folder_changed (GFileMonitor *monitor, GFile *file, GFile *other, GFileMonitorEvent event,
                   gpointer data)
{
  AlcoveMachine *self = data;
  g_autofree char *name =
      g_file_get_basename (event == G_FILE_MONITOR_EVENT_RENAMED ? other : file);

  if (event == G_FILE_MONITOR_EVENT_DELETED || event == G_FILE_MONITOR_EVENT_MOVED_OUT)
    return; /* the store sees a folder that goes */
  if (g_str_equal (name, MACHINE_SETTINGS_FILE) && event != G_FILE_MONITOR_EVENT_CHANGED)
    load_settings (self);
  else if (g_str_equal (name, MACHINE_LOCK_FILE) && self->session == NULL)
    alcove_machine_reconnect_async (self, NULL, NULL, NULL);
  else if (g_str_equal (name, MACHINE_THUMBNAIL_FILE) && event != G_FILE_MONITOR_EVENT_CHANGED)
    look_for_thumbnail (self);
}

static void
watch_folder (AlcoveMachine *self)
{
  g_autoptr (GFile) file = g_file_new_for_path (self->folder);
  g_autoptr (GError) error = NULL;

  self->monitor = g_file_monitor_directory (file, G_FILE_MONITOR_WATCH_MOVES, NULL, &error);
  if (self->monitor == NULL)
    {
      g_debug ("%s is not watched: %s", self->folder, error->message);
      return;
    }
  g_signal_connect (self->monitor, "changed", G_CALLBACK (on_folder_changed), self);
}

AlcoveMachine *
alcove_machine_new (const char *folder)
{
  AlcoveMachine *self = g_object_new (ALCOVE_TYPE_MACHINE, NULL);

  self->folder = g_canonicalize_filename (folder, NULL);
  self->id = g_path_get_basename (self->folder);
  load_settings (self);
  look_for_thumbnail (self);
  watch_folder (self);
  return self;
}

const char *
alcove_machine_get_id (AlcoveMachine *self)
{
  return self->id;
}

const char *
alcove_machine_get_folder (AlcoveMachine *self)
{
  return self->folder;
}

const char *
alcove_machine_get_name (AlcoveMachine *self)
{
  return self->settings != NULL ? machine_settings_get_name (self->settings) : self->id;
}

MachineState
alcove_machine_get_state (AlcoveMachine *self)
{
  return self->state;
}

MachineAccelerator
alcove_machine_get_accelerator (AlcoveMachine *self)
{
  return self->accelerator;
}

const char *
alcove_machine_get_thumbnail (AlcoveMachine *self)
{
  return self->thumbnail;
}

const char *
alcove_machine_get_last_error (AlcoveMachine *self)
{
  return self->last_error;
}

gboolean
alcove_machine_is_active (AlcoveMachine *self)
{
  return self->state != MACHINE_STATE_STOPPED && self->state != MACHINE_STATE_CRASHED &&
         self->state != MACHINE_STATE_BROKEN;
}

MachineSettings *
alcove_machine_get_settings (AlcoveMachine *self)
{
  return self->settings;
}

MachineControl *
alcove_machine_get_control (AlcoveMachine *self)
{
  return self->session != NULL ? machine_session_get_control (self->session) : NULL;
}

char *
alcove_machine_dup_log_path (AlcoveMachine *self)
{
  return g_build_filename (self->folder, MACHINE_LAUNCH_LOG, NULL);
}

static void
alcove_machine_get_property (GObject *object, guint id, GValue *value, GParamSpec *pspec)
{
  AlcoveMachine *self = ALCOVE_MACHINE (object);

  switch (id)
    {
    case PROP_ID:
      g_value_set_string (value, self->id);
      break;
    case PROP_FOLDER:
      g_value_set_string (value, self->folder);
      break;
    case PROP_NAME:
      g_value_set_string (value, alcove_machine_get_name (self));
      break;
    case PROP_STATE:
      g_value_set_enum (value, self->state);
      break;
    case PROP_ACCELERATOR:
      g_value_set_enum (value, self->accelerator);
      break;
    case PROP_THUMBNAIL:
      g_value_set_string (value, self->thumbnail);
      break;
    case PROP_LAST_ERROR:
      g_value_set_string (value, self->last_error);
      break;
    case PROP_SETTINGS:
      g_value_set_object (value, self->settings);
      break;
    case PROP_ACTIVE:
      g_value_set_boolean (value, alcove_machine_is_active (self));
      break;
    default:
      G_OBJECT_WARN_INVALID_PROPERTY_ID (object, id, pspec);
    }
}

static void
alcove_machine_dispose (GObject *object)
{
  AlcoveMachine *self = ALCOVE_MACHINE (object);

  if (self->session != NULL)
    g_signal_handlers_disconnect_by_data (self->session, self);
  g_clear_object (&self->session);
  if (self->monitor != NULL)
    g_signal_handlers_disconnect_by_data (self->monitor, self);
  g_clear_object (&self->monitor);
  g_clear_handle_id (&self->probe_source, g_source_remove);
  g_clear_handle_id (&self->thumbnail_source, g_source_remove);
  g_clear_object (&self->settings);
  finish_start (self);
  G_OBJECT_CLASS (alcove_machine_parent_class)->dispose (object);
}

static void
alcove_machine_finalize (GObject *object)
{
  AlcoveMachine *self = ALCOVE_MACHINE (object);

  g_ptr_array_unref (self->off_tasks);
  g_free (self->folder);
  g_free (self->id);
  g_free (self->last_error);
  g_free (self->thumbnail);
  G_OBJECT_CLASS (alcove_machine_parent_class)->finalize (object);
}

static void
alcove_machine_class_init (AlcoveMachineClass *klass)
{
  GObjectClass *object_class = G_OBJECT_CLASS (klass);
  const GParamFlags flags = G_PARAM_READABLE | G_PARAM_STATIC_STRINGS;

  object_class->get_property = alcove_machine_get_property;
  object_class->dispose = alcove_machine_dispose;
  object_class->finalize = alcove_machine_finalize;
  properties[PROP_ID] = g_param_spec_string ("id", NULL, NULL, NULL, flags);
  properties[PROP_FOLDER] = g_param_spec_string ("folder", NULL, NULL, NULL, flags);
  properties[PROP_NAME] = g_param_spec_string ("name", NULL, NULL, NULL, flags);
  properties[PROP_STATE] =
      g_param_spec_enum ("state", NULL, NULL, MACHINE_TYPE_STATE, MACHINE_STATE_STOPPED, flags);
  properties[PROP_ACCELERATOR] = g_param_spec_enum (
      "accelerator", NULL, NULL, MACHINE_TYPE_ACCELERATOR, MACHINE_ACCELERATOR_UNKNOWN, flags);
  properties[PROP_THUMBNAIL] = g_param_spec_string ("thumbnail", NULL, NULL, NULL, flags);
  properties[PROP_LAST_ERROR] = g_param_spec_string ("last-error", NULL, NULL, NULL, flags);
  properties[PROP_SETTINGS] =
      g_param_spec_object ("settings", NULL, NULL, MACHINE_TYPE_SETTINGS, flags);
  properties[PROP_ACTIVE] = g_param_spec_boolean ("active", NULL, NULL, FALSE, flags);
  g_object_class_install_properties (object_class, N_PROPS, properties);
  ended_signal = g_signal_new ("ended", ALCOVE_TYPE_MACHINE, G_SIGNAL_RUN_LAST, 0, NULL, NULL, NULL,
                               G_TYPE_NONE, 2, G_TYPE_INT, G_TYPE_BOOLEAN);
}

static void
alcove_machine_init (AlcoveMachine *self)
{
  self->lock_fd = -1;
  self->shut_down_patience_ms = SHUT_DOWN_PATIENCE_MS;
  self->off_tasks = g_ptr_array_new_with_free_func (g_object_unref);
}
