#define G_LOG_DOMAIN "app-machine"

#include "machine/machine-session.h"

#include "base/json-guard.h"
#include "machine/machine-launch.h"
#include "machine/machine-lock.h"

#include <signal.h>
#include <string.h>

/* Theory of operation: `control` is NULL between the loss of one connection and the next. While
 * it is, a timer looks at the lock: free means that the VMM is gone. A VMM that we started is
 * also our child, whose exit status tells more; so with a child the end is its exit. */

#define GONE_POLL_MS       50
#define RECONNECT_EVERY    20 /* polls */
#define QUIT_PATIENCE_SECS 5

/* Exit statuses of the launch contract. */
#define EXIT_GUEST_CRASHED 3

struct _MachineSession
{
  GObject parent;
  char *folder;
  MachineControl *control;
  GSubprocess *child;
  MachineState state;
  MachineAccelerator accelerator;
  guint gone_source;
  guint kill_source;
  guint patience_source; /* while "stopping" may end by itself */
  guint gone_polls;
  gboolean reconnecting;
  gboolean end_expected; /* the guest powered off, or we told it to */
  gboolean panicked;
  gboolean ended;
};

G_DEFINE_FINAL_TYPE (MachineSession, machine_session, G_TYPE_OBJECT)

enum
{
  PROP_STATE = 1,
  PROP_ACCELERATOR,
  N_PROPS
};

static GParamSpec *properties[N_PROPS];
static guint ended_signal;

static void set_control (MachineSession *self, MachineControl *control);

static void
set_state (MachineSession *self, MachineState state)
{
  if (self->state == state)
    return;
  self->state = state;
  g_object_notify_by_pspec (G_OBJECT (self), properties[PROP_STATE]);
}

/* --- the end ------------------------------------------------------------------------------- */

static char *
describe_problem (MachineSession *self, int exit_status)
{
  g_autofree char *line = NULL;

  if (self->panicked || exit_status == EXIT_GUEST_CRASHED)
    return g_strdup (
        "The guest system crashed. Its last picture and the machine's log may tell why.");
  if (exit_status == 0 || self->end_expected)
    return NULL;
  line = machine_launch_dup_last_line (self->folder);
  if (line != NULL)
    return g_strdup_printf ("The machine ended unexpectedly: %s", line);
  if (exit_status > 0)
    return g_strdup_printf ("The machine ended unexpectedly with exit status %d.", exit_status);
  return g_strdup ("The machine ended unexpectedly.");
}

static void
end (MachineSession *self, int exit_status)
{
  g_autoptr (MachineSession) keep G_GNUC_UNUSED = g_object_ref (self);
  g_autofree char *problem = NULL;

  if (self->ended)
    return;
  self->ended = TRUE;
  g_clear_handle_id (&self->gone_source, g_source_remove);
  g_clear_handle_id (&self->kill_source, g_source_remove);
  g_clear_handle_id (&self->patience_source, g_source_remove);
  set_control (self, NULL);
  problem = describe_problem (self, exit_status);
  g_debug ("session: ended with %d: %s", exit_status, problem != NULL ? problem : "as it should");
  set_state (self, problem != NULL ? MACHINE_STATE_CRASHED : MACHINE_STATE_STOPPED);
  g_signal_emit (self, ended_signal, 0, exit_status, problem);
}

static void
on_child_ended (GObject *source, GAsyncResult *result, gpointer data)
{
  g_autoptr (MachineSession) self = data;
  GSubprocess *child = G_SUBPROCESS (source);

  g_subprocess_wait_finish (child, result, NULL);
  end (self, g_subprocess_get_if_exited (child) ? g_subprocess_get_exit_status (child) : -1);
}

static void
on_reconnected (GObject *source, GAsyncResult *result, gpointer data)
{
  g_autoptr (MachineSession) self = data;
  g_autoptr (GError) error = NULL;
  g_autoptr (MachineControl) control = machine_control_connect_finish (result, &error);

  self->reconnecting = FALSE;
  if (control == NULL)
    {
      g_debug ("session: %s", error->message);
      return;
    }
  if (self->ended)
    return;
  g_clear_handle_id (&self->gone_source, g_source_remove);
  set_control (self, control);
  machine_session_query_async (self, NULL, NULL, NULL);
}

static gboolean
look_whether_gone (gpointer data)
{
  MachineSession *self = data;

  self->gone_polls++;
  if (self->child == NULL && !machine_lock_is_held (self->folder, NULL, NULL))
    {
      self->gone_source = 0;
      end (self, -1);
      return G_SOURCE_REMOVE;
    }
  if (self->gone_polls % RECONNECT_EVERY == 0 && !self->reconnecting)
    {
      g_autofree char *path = machine_launch_dup_control_path (self->folder);

      self->reconnecting = TRUE;
      machine_control_connect_async (path, NULL, on_reconnected, g_object_ref (self));
    }
  return G_SOURCE_CONTINUE;
}

static void
on_closed (MachineControl *control, const GError *reason, gpointer data)
{
  MachineSession *self = data;

  set_control (self, NULL);
  self->gone_polls = 0;
  if (self->gone_source == 0 && !self->ended)
    self->gone_source = g_timeout_add (GONE_POLL_MS, look_whether_gone, self);
}

/* --- events -------------------------------------------------------------------------------- */

static void
on_event (MachineControl *control, const char *name, JsonObject *event, gpointer data)
{
  MachineSession *self = data;

  if (g_str_equal (name, "SHUTDOWN"))
    {
      self->end_expected = TRUE;
      set_state (self, MACHINE_STATE_STOPPING);
    }
  else if (g_str_equal (name, "GUEST_PANICKED"))
    self->panicked = TRUE;
  /* A VMM that shuts down stops its processors first; that is no pause. */
  else if (g_str_equal (name, "STOP") && self->state == MACHINE_STATE_RUNNING)
    set_state (self, MACHINE_STATE_PAUSED);
  else if (g_str_equal (name, "RESUME") && self->state == MACHINE_STATE_PAUSED)
    set_state (self, MACHINE_STATE_RUNNING);
  else if (g_str_equal (name, "RESET") && self->state == MACHINE_STATE_STOPPING &&
           !self->end_expected)
    set_state (self, MACHINE_STATE_RUNNING);
}

static void
set_control (MachineSession *self, MachineControl *control)
{
  if (self->control != NULL)
    g_signal_handlers_disconnect_by_data (self->control, self);
  g_set_object (&self->control, control);
  if (control == NULL)
    return;
  g_signal_connect (control, "event", G_CALLBACK (on_event), self);
  g_signal_connect (control, "closed", G_CALLBACK (on_closed), self);
}

static JsonObject *
answer_object (JsonNode *node)
{
  return node != NULL && JSON_NODE_HOLDS_OBJECT (node) ? json_node_get_object (node) : NULL;
}

static void
on_status (GObject *source, GAsyncResult *result, gpointer data)
{
  g_autoptr (GTask) task = data;
  g_autoptr (GError) error = NULL;
  MachineSession *self = g_task_get_source_object (task);
  g_autoptr (JsonNode) node =
      machine_control_execute_finish (MACHINE_CONTROL (source), result, &error);
  JsonObject *answer = answer_object (node);

  if (answer == NULL)
    {
      if (error == NULL)
        g_set_error (&error, G_IO_ERROR, G_IO_ERROR_INVALID_DATA,
                     "The machine's answer to query-status is not an object");
      g_task_return_error (task, g_steal_pointer (&error));
      return;
    }
  if (self->state != MACHINE_STATE_STOPPING && !self->ended)
    set_state (self, json_guard_get_boolean (answer, "running", TRUE) ? MACHINE_STATE_RUNNING
                                                                      : MACHINE_STATE_PAUSED);
  g_task_return_boolean (task, TRUE);
}

static void
on_kvm (GObject *source, GAsyncResult *result, gpointer data)
{
  g_autoptr (GTask) task = data;
  MachineControl *control = MACHINE_CONTROL (source);
  MachineSession *self = g_task_get_source_object (task);
  g_autoptr (JsonNode) node = machine_control_execute_finish (control, result, NULL);
  JsonObject *answer = answer_object (node);

  if (answer != NULL)
    {
      self->accelerator = json_guard_get_boolean (answer, "enabled", FALSE)
                              ? MACHINE_ACCELERATOR_KVM
                              : MACHINE_ACCELERATOR_EMULATED;
      g_object_notify_by_pspec (G_OBJECT (self), properties[PROP_ACCELERATOR]);
    }
  machine_control_execute_async (control, "query-status", NULL, g_task_get_cancellable (task),
                                 on_status, g_object_ref (task));
}

void
machine_session_query_async (MachineSession *self, GCancellable *cancellable,
                             GAsyncReadyCallback callback, gpointer data)
{
  g_autoptr (GTask) task = g_task_new (self, cancellable, callback, data);

  g_task_set_source_tag (task, machine_session_query_async);
  if (self->control == NULL)
    {
      g_task_return_new_error (task, G_IO_ERROR, G_IO_ERROR_CLOSED,
                               "The connection to the machine is closed");
      return;
    }
  machine_control_execute_async (self->control, "query-kvm", NULL, cancellable, on_kvm,
                                 g_object_ref (task));
}

gboolean
machine_session_query_finish (MachineSession *self, GAsyncResult *result, GError **error)
{
  g_return_val_if_fail (g_task_is_valid (result, self), FALSE);
  return g_task_propagate_boolean (G_TASK (result), error);
}

/* --- what the machine asks of it ----------------------------------------------------------- */

MachineControl *
machine_session_get_control (MachineSession *self)
{
  return self->control;
}

MachineState
machine_session_get_state (MachineSession *self)
{
  return self->state;
}

MachineAccelerator
machine_session_get_accelerator (MachineSession *self)
{
  return self->accelerator;
}

static gboolean
on_patience_ends (gpointer data)
{
  MachineSession *self = data;

  self->patience_source = 0;
  if (self->state != MACHINE_STATE_STOPPING || self->end_expected)
    return G_SOURCE_REMOVE;
  g_debug ("session: the guest did not power off");
  set_state (self, MACHINE_STATE_RUNNING);
  machine_session_query_async (self, NULL, NULL, NULL);
  return G_SOURCE_REMOVE;
}

void
machine_session_expect_shutdown (MachineSession *self, guint patience_ms)
{
  if (self->ended)
    return;
  set_state (self, MACHINE_STATE_STOPPING);
  g_clear_handle_id (&self->patience_source, g_source_remove);
  self->patience_source = g_timeout_add (patience_ms, on_patience_ends, self);
}

static gboolean
kill_vmm (gpointer data)
{
  MachineSession *self = data;
  GPid pid = 0;

  self->kill_source = 0;
  if (self->child != NULL)
    g_subprocess_force_exit (self->child);
  else if (machine_lock_is_held (self->folder, NULL, &pid) && pid > 1)
    kill (pid, SIGKILL);
  return G_SOURCE_REMOVE;
}

void
machine_session_force_off (MachineSession *self)
{
  if (self->ended)
    return;
  self->end_expected = TRUE;
  set_state (self, MACHINE_STATE_STOPPING);
  if (self->control != NULL)
    machine_control_execute_async (self->control, "quit", NULL, NULL, NULL, NULL);
  if (self->kill_source == 0)
    self->kill_source =
        g_timeout_add_seconds (self->control != NULL ? QUIT_PATIENCE_SECS : 0, kill_vmm, self);
}

/* --- the object ---------------------------------------------------------------------------- */

MachineSession *
machine_session_new (const char *folder, MachineControl *control, GSubprocess *child)
{
  MachineSession *self = g_object_new (MACHINE_TYPE_SESSION, NULL);

  self->folder = g_strdup (folder);
  set_control (self, control);
  if (child != NULL)
    {
      self->child = g_object_ref (child);
      g_subprocess_wait_async (child, NULL, on_child_ended, g_object_ref (self));
    }
  return self;
}

static void
machine_session_get_property (GObject *object, guint id, GValue *value, GParamSpec *pspec)
{
  MachineSession *self = MACHINE_SESSION (object);

  if (id == PROP_STATE)
    g_value_set_enum (value, self->state);
  else if (id == PROP_ACCELERATOR)
    g_value_set_enum (value, self->accelerator);
  else
    G_OBJECT_WARN_INVALID_PROPERTY_ID (object, id, pspec);
}

static void
machine_session_finalize (GObject *object)
{
  MachineSession *self = MACHINE_SESSION (object);

  g_clear_handle_id (&self->gone_source, g_source_remove);
  g_clear_handle_id (&self->kill_source, g_source_remove);
  g_clear_handle_id (&self->patience_source, g_source_remove);
  set_control (self, NULL);
  g_clear_object (&self->child);
  g_free (self->folder);
  G_OBJECT_CLASS (machine_session_parent_class)->finalize (object);
}

static void
machine_session_class_init (MachineSessionClass *klass)
{
  GObjectClass *object_class = G_OBJECT_CLASS (klass);
  const GParamFlags flags = G_PARAM_READABLE | G_PARAM_STATIC_STRINGS;

  object_class->get_property = machine_session_get_property;
  object_class->finalize = machine_session_finalize;
  properties[PROP_STATE] =
      g_param_spec_enum ("state", NULL, NULL, MACHINE_TYPE_STATE, MACHINE_STATE_RUNNING, flags);
  properties[PROP_ACCELERATOR] = g_param_spec_enum (
      "accelerator", NULL, NULL, MACHINE_TYPE_ACCELERATOR, MACHINE_ACCELERATOR_UNKNOWN, flags);
  g_object_class_install_properties (object_class, N_PROPS, properties);
  ended_signal = g_signal_new ("ended", MACHINE_TYPE_SESSION, G_SIGNAL_RUN_LAST, 0, NULL, NULL,
                               NULL, G_TYPE_NONE, 2, G_TYPE_INT, G_TYPE_STRING);
}

static void
machine_session_init (MachineSession *self)
{
  self->state = MACHINE_STATE_RUNNING;
}
