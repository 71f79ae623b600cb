#define G_LOG_DOMAIN "app-machine"

#include "machine/machine-control-private.h"

#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

/* Theory of operation: a socketpair, one end of which goes to the peer: getfd gives it a name
 * there, add_client makes it a client of the SPICE server. Our end is the result. */

typedef struct Display
{
  int ours;
  int theirs;
  char *name; /* under which the peer keeps theirs until add_client takes it */
} Display;

static void
display_free (Display *display)
{
  if (display->ours >= 0)
    close (display->ours);
  if (display->theirs >= 0)
    close (display->theirs);
  g_free (display->name);
  g_free (display);
}

static void
on_client_added (GObject *source, GAsyncResult *result, gpointer data)
{
  g_autoptr (GTask) task = data;
  g_autoptr (GError) error = NULL;
  Display *display = g_task_get_task_data (task);
  g_autoptr (JsonNode) node =
      machine_control_execute_finish (MACHINE_CONTROL (source), result, &error);
  int fd = display->ours;

  if (node == NULL)
    {
      g_prefix_error (&error, "The machine's screen cannot be opened: ");
      g_task_return_error (task, g_steal_pointer (&error));
      return;
    }
  display->ours = -1;
  g_task_return_int (task, fd);
}

static void
on_fd_given (GObject *source, GAsyncResult *result, gpointer data)
{
  g_autoptr (GTask) task = data;
  g_autoptr (GError) error = NULL;
  MachineControl *self = MACHINE_CONTROL (source);
  Display *display = g_task_get_task_data (task);
  g_autoptr (JsonNode) node = machine_control_execute_finish (self, result, &error);
  JsonObject *arguments;

  if (node == NULL)
    {
      g_prefix_error (&error, "The machine's screen cannot be opened: ");
      g_task_return_error (task, g_steal_pointer (&error));
      return;
    }
  arguments = json_object_new ();
  json_object_set_string_member (arguments, "protocol", "spice");
  json_object_set_string_member (arguments, "fdname", display->name);
  json_object_set_boolean_member (arguments, "skipauth", TRUE);
  machine_control_execute_async (self, machine_control_get_add_client (self), arguments,
                                 g_task_get_cancellable (task), on_client_added,
                                 g_object_ref (task));
}

void
machine_control_open_display_async (MachineControl *self, GCancellable *cancellable,
                                    GAsyncReadyCallback callback, gpointer data)
{
  g_autoptr (GTask) task = g_task_new (self, cancellable, callback, data);
  Display *display = g_new0 (Display, 1);
  JsonObject *arguments;
  int fds[2];

  g_return_if_fail (MACHINE_IS_CONTROL (self));
  g_task_set_source_tag (task, machine_control_open_display_async);
  display->ours = display->theirs = -1;
  g_task_set_task_data (task, display, (GDestroyNotify) display_free);
  if (socketpair (AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) != 0)
    {
      int saved_errno = errno;

      g_task_return_new_error (task, G_IO_ERROR, g_io_error_from_errno (saved_errno),
                               "Cannot make a connection for the machine's screen: %s",
                               g_strerror (saved_errno));
      return;
    }
  display->ours = fds[0];
  display->theirs = fds[1];
  /* Ours alone as long as the descriptor is open; a peer drops what has the same name from before. */
  display->name = g_strdup_printf ("alcove-display-%d", display->theirs);
  arguments = json_object_new ();
  json_object_set_string_member (arguments, "fdname", display->name);
  machine_control_execute_fd_async (self, "getfd", arguments, display->theirs, cancellable,
                                    on_fd_given, g_object_ref (task));
}

int
machine_control_open_display_finish (MachineControl *self, GAsyncResult *result, GError **error)
{
  g_return_val_if_fail (g_task_is_valid (result, self), -1);
  return g_task_propagate_int (G_TASK (result), error);
}
