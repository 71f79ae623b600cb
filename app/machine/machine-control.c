#define G_LOG_DOMAIN "app-machine"

#include "machine/machine-control-private.h"

#include "base/json-guard.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <gio/gunixfdmessage.h>
#include <gio/gunixsocketaddress.h>

/* Theory of operation: one non-blocking socket with two sources. The read source gathers bytes
 * until a newline and hands each line to receive_line (); the write source exists only while
 * `outgoing` holds something. A descriptor belongs to the first byte of its message: it is sent
 * with the first piece of it and never again.
 *
 * Life: connecting -> greeting -> negotiating -> asking for the commands -> open -> closed.
 * `connect_task` is there until open. Commands wait in `pending` by their id. close_with () is the only way to closed, and
 * fails everything that waits. */

#define READ_PIECE (64 * 1024)
#define TEXT_MAX   256 /* of texts of the peer that are shown */

/* A display that maps the scanout's memory asks for it by the second, where there is such a
 * command; by the first a peer sends what any SPICE client understands. */
#define ADD_CLIENT     "add_client"
#define ADD_OWN_CLIENT "x-alcove-add-client"

G_DEFINE_QUARK (machine - control - error - quark, machine_control_error)

typedef struct Message
{
  GBytes *bytes;
  gsize sent;
  int fd; /* -1: none, or sent */
} Message;

struct _MachineControl
{
  GObject parent;
  GMainContext *context;
  GSocket *socket;
  GSource *read_source;
  GSource *write_source;
  GSource *greeting_timeout;
  GTask *connect_task;
  gulong connect_cancelled_id;
  GByteArray *line;    /* what was received after the last newline */
  GQueue outgoing;     /* of Message */
  GHashTable *pending; /* id (string) -> GTask */
  guint64 last_id;
  char *peer;
  const char *add_client; /* the command's name, one of those below */
  gboolean greeted;
  gboolean open;
};

G_DEFINE_FINAL_TYPE (MachineControl, machine_control, G_TYPE_OBJECT)

static guint event_signal;
static guint closed_signal;

static void close_with (MachineControl *self, const GError *reason);

static void
message_free (Message *message)
{
  g_bytes_unref (message->bytes);
  if (message->fd >= 0)
    close (message->fd);
  g_free (message);
}

/* A text of the peer for people: valid UTF-8, one line, short. */
static char *
clean_text (const char *text)
{
  g_autofree char *valid = g_utf8_make_valid (text, strnlen (text, TEXT_MAX));

  return g_strdelimit (g_steal_pointer (&valid), "\n\r\t", ' ');
}

static void
clear_source (GSource **source)
{
  if (*source == NULL)
    return;
  g_source_destroy (*source);
  g_clear_pointer (source, g_source_unref);
}

/* --- sending ------------------------------------------------------------------------------- */

static gssize
send_piece (MachineControl *self, Message *message, GError **error)
{
  gsize length;
  const char *data = g_bytes_get_data (message->bytes, &length);
  GOutputVector vector = { data + message->sent, length - message->sent };
  g_autoptr (GSocketControlMessage) rights = NULL;
  gssize sent;

  if (message->fd >= 0)
    {
      rights = g_unix_fd_message_new ();
      if (!g_unix_fd_message_append_fd (G_UNIX_FD_MESSAGE (rights), message->fd, error))
        return -1;
    }
  sent = g_socket_send_message (self->socket, NULL, &vector, 1, rights != NULL ? &rights : NULL,
                                rights != NULL ? 1 : 0, G_SOCKET_MSG_NONE, NULL, error);
  if (sent > 0 && message->fd >= 0)
    {
      close (message->fd);
      message->fd = -1;
    }
  return sent;
}

/* Sends what the socket takes now. FALSE: the connection was closed. */
static gboolean
flush_outgoing (MachineControl *self)
{
  Message *message;

  while ((message = g_queue_peek_head (&self->outgoing)) != NULL)
    {
      g_autoptr (GError) error = NULL;
      gssize sent = send_piece (self, message, &error);

      if (sent < 0 && g_error_matches (error, G_IO_ERROR, G_IO_ERROR_WOULD_BLOCK))
        return TRUE;
      if (sent < 0)
        {
          g_prefix_error (&error, "The connection to the machine broke: ");
          close_with (self, error);
          return FALSE;
        }
      message->sent += sent;
      if (message->sent == g_bytes_get_size (message->bytes))
        message_free (g_queue_pop_head (&self->outgoing));
    }
  return TRUE;
}

static gboolean
on_writable (GSocket *socket, GIOCondition condition, gpointer data)
{
  g_autoptr (MachineControl) self = g_object_ref (data);

  if (!flush_outgoing (self))
    return G_SOURCE_REMOVE;
  if (!g_queue_is_empty (&self->outgoing))
    return G_SOURCE_CONTINUE;
  clear_source (&self->write_source);
  return G_SOURCE_REMOVE;
}

static void
queue_message (MachineControl *self, JsonObject *object, int fd)
{
  g_autoptr (JsonNode) node = json_node_init_object (json_node_alloc (), object);
  char *text = json_to_string (node, FALSE);
  gsize length = strlen (text);
  Message *message = g_new0 (Message, 1);

  text[length] = '\n'; /* in the place of the terminating zero, which GBytes does not need */
  message->bytes = g_bytes_new_take (text, length + 1);
  message->fd = fd;
  g_queue_push_tail (&self->outgoing, message);
  if (self->write_source != NULL)
    return;
  self->write_source = g_socket_create_source (self->socket, G_IO_OUT, NULL);
  g_source_set_callback (self->write_source, G_SOURCE_FUNC (on_writable), self, NULL);
  g_source_attach (self->write_source, self->context);
}

/* --- commands ------------------------------------------------------------------------------ */

/* Frees what a task needs while it waits; the id lets a cancelled task leave `pending`. */
typedef struct Call
{
  MachineControl *control; /* borrowed: the task holds it */
  char *id;
  gulong cancelled_id;
} Call;

static void
call_free (Call *call)
{
  g_free (call->id);
  g_free (call);
}

static void
call_disconnect (GTask *task)
{
  Call *call = g_task_get_task_data (task);
  GCancellable *cancellable = g_task_get_cancellable (task);

  if (call->cancelled_id != 0)
    g_signal_handler_disconnect (cancellable, call->cancelled_id);
  call->cancelled_id = 0;
}

static gboolean
return_cancelled (gpointer data)
{
  GTask *task = data;
  Call *call = g_task_get_task_data (task);
  g_autoptr (GTask) waiting = NULL;
  gpointer key;
  gpointer value;

  /* The answer may have come first; then there is nothing left to do. */
  if (!g_hash_table_steal_extended (call->control->pending, call->id, &key, &value))
    return G_SOURCE_REMOVE;
  waiting = value;
  call_disconnect (waiting);
  g_task_return_error_if_cancelled (waiting);
  return G_SOURCE_REMOVE;
}

/* May run in any thread and inside g_cancellable_connect (): the work is done in the context. */
static void
on_call_cancelled (GCancellable *cancellable, gpointer data)
{
  GTask *task = data;
  g_autoptr (GSource) source = g_idle_source_new ();

  g_source_set_priority (source, G_PRIORITY_DEFAULT);
  g_source_set_callback (source, return_cancelled, g_object_ref (task), g_object_unref);
  g_source_attach (source, g_task_get_context (task));
}

static void
execute_internal (MachineControl *self, const char *command, JsonObject *arguments, int fd,
                  GTask *task)
{
  g_autoptr (JsonObject) object = json_object_new ();
  GCancellable *cancellable = g_task_get_cancellable (task);
  Call *call = g_new0 (Call, 1);

  call->control = self;
  call->id = g_strdup_printf ("alcove-%" G_GUINT64_FORMAT, ++self->last_id);
  g_task_set_task_data (task, call, (GDestroyNotify) call_free);
  json_object_set_string_member (object, "execute", command);
  if (arguments != NULL)
    json_object_set_object_member (object, "arguments", arguments);
  json_object_set_string_member (object, "id", call->id);
  g_debug ("control: %s as %s", command, call->id);
  g_hash_table_insert (self->pending, call->id, g_object_ref (task));
  queue_message (self, object, fd);
  if (cancellable != NULL)
    call->cancelled_id =
        g_signal_connect (cancellable, "cancelled", G_CALLBACK (on_call_cancelled), task);
  if (g_cancellable_is_cancelled (cancellable))
    on_call_cancelled (cancellable, task);
}

void
machine_control_execute_fd_async (MachineControl *self, const char *command, JsonObject *arguments,
                                  int fd, GCancellable *cancellable, GAsyncReadyCallback callback,
                                  gpointer data)
{
  g_autoptr (GTask) task = g_task_new (self, cancellable, callback, data);
  int own_fd = -1;

  g_return_if_fail (MACHINE_IS_CONTROL (self));
  g_task_set_source_tag (task, machine_control_execute_async);
  if (!self->open || g_hash_table_size (self->pending) >= MACHINE_CONTROL_PENDING_MAX)
    {
      g_clear_pointer (&arguments, json_object_unref);
      g_task_return_new_error (task, G_IO_ERROR, self->open ? G_IO_ERROR_BUSY : G_IO_ERROR_CLOSED,
                               self->open ? "The machine does not answer: too many commands wait"
                                          : "The connection to the machine is closed");
      return;
    }
  if (fd >= 0)
    {
      own_fd = fcntl (fd, F_DUPFD_CLOEXEC, 0);
      if (own_fd < 0)
        {
          g_clear_pointer (&arguments, json_object_unref);
          g_task_return_new_error (task, G_IO_ERROR, g_io_error_from_errno (errno),
                                   "Cannot pass a descriptor to the machine");
          return;
        }
    }
  execute_internal (self, command, arguments, own_fd, task);
}

void
machine_control_execute_async (MachineControl *self, const char *command, JsonObject *arguments,
                               GCancellable *cancellable, GAsyncReadyCallback callback,
                               gpointer data)
{
  machine_control_execute_fd_async (self, command, arguments, -1, cancellable, callback, data);
}

JsonNode *
machine_control_execute_finish (MachineControl *self, GAsyncResult *result, GError **error)
{
  g_return_val_if_fail (g_task_is_valid (result, self), NULL);
  return g_task_propagate_pointer (G_TASK (result), error);
}

/* --- receiving ----------------------------------------------------------------------------- */

static const char *
get_string (JsonObject *object, const char *member)
{
  JsonNode *node = object != NULL ? json_object_get_member (object, member) : NULL;

  return node != NULL && JSON_NODE_HOLDS_VALUE (node) ? json_node_get_string (node) : NULL;
}

static JsonObject *
get_object (JsonObject *object, const char *member)
{
  JsonNode *node = object != NULL ? json_object_get_member (object, member) : NULL;

  return node != NULL && JSON_NODE_HOLDS_OBJECT (node) ? json_node_get_object (node) : NULL;
}

static MachineControlError
error_from_class (const char *class_name)
{
  static const struct
  {
    const char *name;
    MachineControlError code;
  } classes[] = {
    { "CommandNotFound", MACHINE_CONTROL_ERROR_COMMAND_NOT_FOUND },
    { "DeviceNotFound", MACHINE_CONTROL_ERROR_DEVICE_NOT_FOUND },
    { "DeviceNotActive", MACHINE_CONTROL_ERROR_DEVICE_NOT_ACTIVE },
  };

  for (guint i = 0; i < G_N_ELEMENTS (classes); i++)
    if (g_strcmp0 (class_name, classes[i].name) == 0)
      return classes[i].code;
  return MACHINE_CONTROL_ERROR_GENERIC;
}

static GError *
error_from_peer (JsonObject *answer)
{
  JsonObject *object = get_object (answer, "error");
  const char *desc = get_string (object, "desc");
  g_autofree char *clean = clean_text (desc != NULL ? desc : "an error without a description");

  return g_error_new_literal (MACHINE_CONTROL_ERROR,
                              error_from_class (get_string (object, "class")), clean);
}

static void
receive_answer (MachineControl *self, JsonObject *answer)
{
  const char *id = get_string (answer, "id");
  g_autoptr (GTask) task = NULL;
  gpointer key;
  gpointer value;

  /* Answers nobody waits for: of cancelled commands, or of a confused peer. */
  if (id == NULL || !g_hash_table_steal_extended (self->pending, id, &key, &value))
    {
      g_debug ("control: an answer nobody waits for");
      return;
    }
  task = value;
  call_disconnect (task);
  if (json_object_has_member (answer, "error"))
    g_task_return_error (task, error_from_peer (answer));
  else
    g_task_return_pointer (task, json_object_dup_member (answer, "return"),
                           (GDestroyNotify) json_node_unref);
}

static void
receive_event (MachineControl *self, JsonObject *message)
{
  g_autofree char *name = clean_text (get_string (message, "event"));

  g_debug ("control: event %s", name);
  /* Details are quarks, which are for ever: only names that someone listens to may become one. */
  g_signal_emit (self, event_signal, g_quark_try_string (name), name, get_object (message, "data"));
}

static void
disconnect_cancelled (MachineControl *self)
{
  if (self->connect_cancelled_id != 0)
    g_signal_handler_disconnect (g_task_get_cancellable (self->connect_task),
                                 self->connect_cancelled_id);
  self->connect_cancelled_id = 0;
}

/* Whether the answer to query-commands, [{"name": "stop"}, ...], has `command` in it. */
static gboolean
lists_command (JsonNode *node, const char *command)
{
  JsonArray *list =
      node != NULL && JSON_NODE_HOLDS_ARRAY (node) ? json_node_get_array (node) : NULL;
  guint length = list != NULL ? json_array_get_length (list) : 0;

  for (guint i = 0; i < length; i++)
    {
      JsonNode *element = json_array_get_element (list, i);

      if (JSON_NODE_HOLDS_OBJECT (element) &&
          g_strcmp0 (get_string (json_node_get_object (element), "name"), command) == 0)
        return TRUE;
    }
  return FALSE;
}

/* A peer that cannot say what it knows is taken to know what every one does. */
static void
on_commands (GObject *source, GAsyncResult *result, gpointer data)
{
  MachineControl *self = MACHINE_CONTROL (source);
  g_autoptr (JsonNode) node = g_task_propagate_pointer (G_TASK (result), NULL);
  g_autoptr (GTask) task = NULL;

  if (self->connect_task == NULL)
    return; /* close_with () was here */
  self->add_client = lists_command (node, ADD_OWN_CLIENT) ? ADD_OWN_CLIENT : ADD_CLIENT;
  g_debug ("control: screens are opened by %s", self->add_client);
  self->open = TRUE;
  clear_source (&self->greeting_timeout);
  disconnect_cancelled (self);
  task = g_steal_pointer (&self->connect_task);
  g_task_return_pointer (task, g_object_ref (self), g_object_unref);
}

static void
on_negotiated (GObject *source, GAsyncResult *result, gpointer data)
{
  MachineControl *self = MACHINE_CONTROL (source);
  g_autoptr (GError) error = NULL;
  g_autoptr (JsonNode) node = g_task_propagate_pointer (G_TASK (result), &error);
  g_autoptr (GTask) asking = NULL;

  if (self->connect_task == NULL)
    return; /* close_with () was here */
  if (node == NULL)
    {
      g_prefix_error (&error, "The machine refused the connection: ");
      close_with (self, error);
      return;
    }
  asking = g_task_new (self, NULL, on_commands, NULL);
  execute_internal (self, "query-commands", NULL, -1, asking);
}

/* {"QMP": {"version": {"qemu": {"major": 7, "minor": 2, "micro": 22}, "package": "..."},
 * "capabilities": []}} */
static void
receive_greeting (MachineControl *self, JsonObject *qmp)
{
  JsonObject *version = get_object (qmp, "version");
  JsonObject *number = get_object (version, "qemu");
  const char *package = get_string (version, "package");
  g_autoptr (GTask) task = g_task_new (self, NULL, on_negotiated, NULL);

  self->greeted = TRUE;
  if (number != NULL)
    self->peer = g_strdup_printf (
        "QEMU %" G_GINT64_FORMAT ".%" G_GINT64_FORMAT ".%" G_GINT64_FORMAT,
        json_guard_get_int (number, "major", 0), json_guard_get_int (number, "minor", 0),
        json_guard_get_int (number, "micro", 0));
  if (package != NULL && g_ascii_strncasecmp (package, "alcove", strlen ("alcove")) == 0)
    {
      g_free (self->peer);
      self->peer = clean_text (package);
    }
  execute_internal (self, "qmp_capabilities", NULL, -1, task);
}

/* FALSE with an error: the peer does not speak QMP. */
static gboolean
receive_line (MachineControl *self, const char *line, gsize length, GError **error)
{
  g_autoptr (JsonNode) node = NULL;
  JsonObject *object;

  while (length > 0 && g_ascii_isspace (line[length - 1]))
    length--;
  if (length == 0)
    return TRUE;
  node = json_guard_parse (line, length, MACHINE_CONTROL_LINE_MAX, error);
  if (node == NULL)
    return FALSE;
  if (!JSON_NODE_HOLDS_OBJECT (node))
    {
      g_set_error (error, MACHINE_CONTROL_ERROR, MACHINE_CONTROL_ERROR_PROTOCOL, "not an object");
      return FALSE;
    }
  object = json_node_get_object (node);
  if (!self->greeted)
    {
      JsonObject *qmp = get_object (object, "QMP");

      if (qmp != NULL)
        receive_greeting (self, qmp);
      else
        g_set_error (error, MACHINE_CONTROL_ERROR, MACHINE_CONTROL_ERROR_PROTOCOL, "no greeting");
      return qmp != NULL;
    }
  if (get_string (object, "event") != NULL)
    receive_event (self, object);
  else if (json_object_has_member (object, "return") || json_object_has_member (object, "error"))
    receive_answer (self, object);
  return TRUE;
}

/* Takes the complete lines out of `line`. Handlers may close the connection meanwhile. */
static gboolean
take_lines (MachineControl *self, gsize searched, GError **error)
{
  g_autoptr (GByteArray) bytes = g_byte_array_ref (self->line);
  gsize start = 0;

  while (self->socket != NULL)
    {
      gsize from = MAX (start, searched);
      guint8 *newline =
          from < bytes->len ? memchr (bytes->data + from, '\n', bytes->len - from) : NULL;

      if (newline == NULL)
        break;
      if (!receive_line (self, (char *) bytes->data + start, newline - (bytes->data + start),
                         error))
        return FALSE;
      start = newline - bytes->data + 1;
    }
  if (start > 0)
    g_byte_array_remove_range (bytes, 0, MIN (start, bytes->len));
  if (bytes->len > MACHINE_CONTROL_LINE_MAX)
    {
      g_set_error (error, MACHINE_CONTROL_ERROR, MACHINE_CONTROL_ERROR_PROTOCOL,
                   "a line longer than %d MiB", MACHINE_CONTROL_LINE_MAX >> 20);
      return FALSE;
    }
  return TRUE;
}

static gboolean
on_readable (GSocket *socket, GIOCondition condition, gpointer data)
{
  g_autoptr (MachineControl) self = g_object_ref (data);
  g_autoptr (GError) error = NULL;
  gsize before = self->line->len;
  gssize got;

  g_byte_array_set_size (self->line, before + READ_PIECE);
  got =
      g_socket_receive (self->socket, (char *) self->line->data + before, READ_PIECE, NULL, &error);
  g_byte_array_set_size (self->line, before + MAX (got, 0));
  if (got < 0 && g_error_matches (error, G_IO_ERROR, G_IO_ERROR_WOULD_BLOCK))
    return G_SOURCE_CONTINUE;
  if (got == 0)
    g_set_error (&error, G_IO_ERROR, G_IO_ERROR_CLOSED, "The machine closed the connection");
  else if (got < 0)
    g_prefix_error (&error, "The connection to the machine broke: ");
  else if (take_lines (self, before, &error))
    return self->socket != NULL ? G_SOURCE_CONTINUE : G_SOURCE_REMOVE;
  else
    g_prefix_error (&error, "The machine's control socket does not speak QMP: ");
  close_with (self, error);
  return G_SOURCE_REMOVE;
}

/* --- life ---------------------------------------------------------------------------------- */

static void
close_with (MachineControl *self, const GError *reason)
{
  g_autoptr (MachineControl) keep G_GNUC_UNUSED = g_object_ref (self);
  g_autoptr (GTask) connect_task = NULL;
  g_autoptr (GPtrArray) tasks = NULL;
  GHashTableIter iter;
  gpointer task;
  gboolean was_open = self->open;

  if (self->socket == NULL)
    return;
  disconnect_cancelled (self);
  connect_task = g_steal_pointer (&self->connect_task);
  g_debug ("control: closed: %s", reason->message);
  self->open = FALSE;
  clear_source (&self->read_source);
  clear_source (&self->write_source);
  clear_source (&self->greeting_timeout);
  g_socket_close (self->socket, NULL);
  g_clear_object (&self->socket);
  g_queue_clear_full (&self->outgoing, (GDestroyNotify) message_free);
  tasks = g_ptr_array_new_with_free_func (g_object_unref);
  g_hash_table_iter_init (&iter, self->pending);
  while (g_hash_table_iter_next (&iter, NULL, &task))
    g_ptr_array_add (tasks, g_object_ref (task));
  g_hash_table_remove_all (self->pending);
  for (guint i = 0; i < tasks->len; i++)
    {
      call_disconnect (tasks->pdata[i]);
      g_task_return_error (tasks->pdata[i], g_error_copy (reason));
    }
  if (connect_task != NULL)
    g_task_return_error (connect_task, g_error_copy (reason));
  if (was_open)
    g_signal_emit (self, closed_signal, 0, reason);
}

void
machine_control_close (MachineControl *self)
{
  g_autoptr (GError) reason = g_error_new_literal (G_IO_ERROR, G_IO_ERROR_CANCELLED,
                                                   "The connection to the machine was closed");

  g_return_if_fail (MACHINE_IS_CONTROL (self));
  close_with (self, reason);
}

gboolean
machine_control_is_open (MachineControl *self)
{
  return self->open;
}

const char *
machine_control_get_add_client (MachineControl *self)
{
  return self->add_client;
}

const char *
machine_control_get_peer (MachineControl *self)
{
  return self->peer;
}

/* QEMU serves one QMP client a socket; the second is accepted by the kernel and hears nothing. */
static gboolean
on_greeting_timeout (gpointer data)
{
  MachineControl *self = data;
  g_autoptr (GError) reason =
      g_error_new (G_IO_ERROR, G_IO_ERROR_TIMED_OUT,
                   "The machine does not answer on its control socket; another program may be "
                   "connected to it");

  close_with (self, reason);
  return G_SOURCE_REMOVE;
}

static gboolean
cancel_connecting (gpointer data)
{
  MachineControl *self = data;

  if (self->connect_task != NULL)
    machine_control_close (self);
  return G_SOURCE_REMOVE;
}

static void
on_connect_cancelled (GCancellable *cancellable, gpointer data)
{
  MachineControl *self = data;
  g_autoptr (GSource) source = g_idle_source_new ();

  g_source_set_priority (source, G_PRIORITY_DEFAULT);
  g_source_set_callback (source, cancel_connecting, g_object_ref (self), g_object_unref);
  g_source_attach (source, self->context);
}

static void
start_greeting (MachineControl *self)
{
  GCancellable *cancellable = g_task_get_cancellable (self->connect_task);

  self->read_source = g_socket_create_source (self->socket, G_IO_IN, NULL);
  g_source_set_callback (self->read_source, G_SOURCE_FUNC (on_readable), self, NULL);
  g_source_attach (self->read_source, self->context);
  self->greeting_timeout = g_timeout_source_new_seconds (MACHINE_CONTROL_GREETING_SECONDS);
  g_source_set_callback (self->greeting_timeout, on_greeting_timeout, self, NULL);
  g_source_attach (self->greeting_timeout, self->context);
  if (cancellable != NULL)
    self->connect_cancelled_id =
        g_signal_connect (cancellable, "cancelled", G_CALLBACK (on_connect_cancelled), self);
}

void
machine_control_connect_async (const char *path, GCancellable *cancellable,
                               GAsyncReadyCallback callback, gpointer data)
{
  g_autoptr (GTask) task = g_task_new (NULL, cancellable, callback, data);
  g_autoptr (MachineControl) self = g_object_new (MACHINE_TYPE_CONTROL, NULL);
  g_autoptr (GSocketAddress) address = g_unix_socket_address_new (path);
  g_autoptr (GError) error = NULL;

  g_task_set_source_tag (task, machine_control_connect_async);
  if (g_task_return_error_if_cancelled (task))
    return;
  self->socket =
      g_socket_new (G_SOCKET_FAMILY_UNIX, G_SOCKET_TYPE_STREAM, G_SOCKET_PROTOCOL_DEFAULT, &error);
  /* A Unix socket connects at once or not at all, so it need not be waited for. */
  if (self->socket != NULL)
    g_socket_set_blocking (self->socket, FALSE);
  if (self->socket == NULL || !g_socket_connect (self->socket, address, NULL, &error))
    {
      g_prefix_error (&error, "Cannot connect to the machine's control socket “%s”: ", path);
      g_task_return_error (task, g_steal_pointer (&error));
      return;
    }
  self->connect_task = g_steal_pointer (&task);
  /* The task is in the object and the object in the task: on_negotiated () or close_with () cut
   * the circle. */
  g_task_set_task_data (self->connect_task, g_object_ref (self), g_object_unref);
  start_greeting (self);
}

MachineControl *
machine_control_connect_finish (GAsyncResult *result, GError **error)
{
  g_return_val_if_fail (g_task_is_valid (result, NULL), NULL);
  return g_task_propagate_pointer (G_TASK (result), error);
}

static void
machine_control_dispose (GObject *object)
{
  MachineControl *self = MACHINE_CONTROL (object);

  if (self->socket != NULL)
    machine_control_close (self);
  G_OBJECT_CLASS (machine_control_parent_class)->dispose (object);
}

static void
machine_control_finalize (GObject *object)
{
  MachineControl *self = MACHINE_CONTROL (object);

  g_byte_array_unref (self->line);
  g_hash_table_unref (self->pending);
  g_main_context_unref (self->context);
  g_free (self->peer);
  G_OBJECT_CLASS (machine_control_parent_class)->finalize (object);
}

static void
machine_control_class_init (MachineControlClass *klass)
{
  GObjectClass *object_class = G_OBJECT_CLASS (klass);

  object_class->dispose = machine_control_dispose;
  object_class->finalize = machine_control_finalize;
  event_signal =
      g_signal_new ("event", MACHINE_TYPE_CONTROL, G_SIGNAL_RUN_LAST | G_SIGNAL_DETAILED, 0, NULL,
                    NULL, NULL, G_TYPE_NONE, 2, G_TYPE_STRING, JSON_TYPE_OBJECT);
  closed_signal = g_signal_new ("closed", MACHINE_TYPE_CONTROL, G_SIGNAL_RUN_LAST, 0, NULL, NULL,
                                NULL, G_TYPE_NONE, 1, G_TYPE_ERROR);
}

static void
machine_control_init (MachineControl *self)
{
  self->context = g_main_context_ref_thread_default ();
  self->line = g_byte_array_new ();
  self->pending = g_hash_table_new_full (g_str_hash, g_str_equal, NULL, g_object_unref);
  g_queue_init (&self->outgoing);
}
