#define G_LOG_DOMAIN "vmm-control"

#include "control/control-server.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>
#include <gio/gio.h>
#include <glib-unix.h>

#include "base/socket-path.h"
#include "control/qmp-message.h"
#include "control/qmp-session.h"

#define READ_SIZE 65536

/* A client lives as long as it has an input source. What happens inside its own session (an output that overflows, a write
 * that fails) only marks it; it is freed by the dispatch of its input, and a marked client is shut down so that this comes at once. */
typedef struct Client
{
  ControlServer *server;
  int fd;
  QmpSession *session;
  GByteArray *waiting; /* output that the socket did not take */
  unsigned input_source;
  unsigned output_source; /* 0: nothing waits */
  bool dropped;
} Client;

struct ControlServer
{
  char *path;
  ControlTarget target;
  int fd;
  unsigned source;
  GPtrArray *clients; /* Client, owned */
};

static void
drop (Client *client, const char *reason)
{
  if (client->dropped)
    return;
  g_debug ("client dropped: %s", reason);
  client->dropped = true;
  g_byte_array_set_size (client->waiting, 0);
  shutdown (client->fd, SHUT_RDWR);
}

/* How much of bytes the socket took now. */
static size_t
send_now (Client *client, const void *bytes, size_t size)
{
  size_t done = 0;

  while (done < size && !client->dropped)
    {
      ssize_t n =
          send (client->fd, (const char *) bytes + done, size - done, MSG_NOSIGNAL | MSG_DONTWAIT);
      if (n >= 0)
        done += n;
      else if (errno == EAGAIN || errno == EWOULDBLOCK)
        break;
      else if (errno != EINTR)
        drop (client, g_strerror (errno));
    }
  return done;
}

static gboolean
on_writable (int fd, GIOCondition condition, void *opaque)
{
  Client *client = opaque;
  size_t done = send_now (client, client->waiting->data, client->waiting->len);

  if (done > 0 && done <= client->waiting->len)
    g_byte_array_remove_range (client->waiting, 0, done);
  if (client->waiting->len > 0)
    return G_SOURCE_CONTINUE;
  client->output_source = 0;
  return G_SOURCE_REMOVE;
}

static void
output (const char *bytes, size_t size, void *opaque)
{
  Client *client = opaque;

  if (client->dropped)
    return;
  size_t done = client->waiting->len == 0 ? send_now (client, bytes, size) : 0;
  if (client->dropped || done == size)
    return;
  if (client->waiting->len + size - done > CONTROL_OUTPUT_MAX)
    {
      drop (client, "it does not read");
      return;
    }
  g_byte_array_append (client->waiting, (const uint8_t *) bytes + done, size - done);
  if (client->output_source == 0)
    client->output_source = g_unix_fd_add (client->fd, G_IO_OUT, on_writable, client);
}

static void
client_free (void *opaque)
{
  Client *client = opaque;

  g_clear_handle_id (&client->input_source, g_source_remove);
  g_clear_handle_id (&client->output_source, g_source_remove);
  qmp_session_free (client->session);
  g_byte_array_unref (client->waiting);
  close (client->fd);
  g_free (client);
}

static void
receive_fds (Client *client, struct msghdr *message)
{
  for (struct cmsghdr *c = CMSG_FIRSTHDR (message); c != NULL; c = CMSG_NXTHDR (message, c))
    if (c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS)
      {
        int fds[QMP_SESSION_FDS_MAX];
        unsigned n = (c->cmsg_len - CMSG_LEN (0)) / sizeof (int);
        n = MIN (n, QMP_SESSION_FDS_MAX);
        memcpy (fds, CMSG_DATA (c), n * sizeof (int));
        qmp_session_receive_fds (client->session, fds, n);
      }
}

/* False: the client is gone or has to go. */
static bool
receive (Client *client)
{
  char bytes[READ_SIZE];
  /* Descriptors beyond this are closed by the kernel (MSG_CTRUNC). */
  union
  {
    char bytes[CMSG_SPACE (QMP_SESSION_FDS_MAX * sizeof (int))];
    struct cmsghdr align;
  } control;
  struct iovec iov = { .iov_base = bytes, .iov_len = sizeof bytes };
  struct msghdr message = { .msg_iov = &iov,
                            .msg_iovlen = 1,
                            .msg_control = control.bytes,
                            .msg_controllen = sizeof control.bytes };
  ssize_t n = recvmsg (client->fd, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);

  if (n < 0)
    return errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR;
  if (n == 0)
    return false;
  receive_fds (client, &message);
  return qmp_session_input (client->session, bytes, n);
}

static gboolean
on_readable (int fd, GIOCondition condition, void *opaque)
{
  Client *client = opaque;

  if (!client->dropped && receive (client) && !client->dropped)
    return G_SOURCE_CONTINUE;
  g_debug ("client gone");
  client->input_source = 0;
  g_ptr_array_remove_fast (client->server->clients, client);
  return G_SOURCE_REMOVE;
}

static gboolean
on_connection (int fd, GIOCondition condition, void *opaque)
{
  ControlServer *server = opaque;
  int connection = accept4 (fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

  if (connection < 0)
    return G_SOURCE_CONTINUE;
  if (server->clients->len >= CONTROL_CLIENTS_MAX)
    {
      g_warning ("a client was refused: %u are connected", server->clients->len);
      close (connection);
      return G_SOURCE_CONTINUE;
    }
  g_debug ("client connected");
  Client *client = g_new0 (Client, 1);
  client->server = server;
  client->fd = connection;
  client->waiting = g_byte_array_new ();
  client->input_source =
      g_unix_fd_add (connection, G_IO_IN | G_IO_HUP | G_IO_ERR, on_readable, client);
  g_ptr_array_add (server->clients, client);
  client->session = qmp_session_new (&server->target, output, client);
  return G_SOURCE_CONTINUE;
}

ControlServer *
control_server_new (const char *path, const ControlTarget *target, GError **error)
{
  int fd = socket_path_listen ("--control", path, error);

  if (fd < 0)
    return NULL;
  ControlServer *server = g_new0 (ControlServer, 1);
  server->path = g_strdup (path);
  server->target = *target;
  server->fd = fd;
  server->clients = g_ptr_array_new_with_free_func (client_free);
  server->source = g_unix_fd_add (fd, G_IO_IN, on_connection, server);
  g_debug ("listening on %s", path);
  return server;
}

void
control_server_free (ControlServer *server)
{
  if (server == NULL)
    return;
  g_source_remove (server->source);
  for (unsigned i = 0; i < server->clients->len; i++)
    {
      Client *client = server->clients->pdata[i];
      send_now (client, client->waiting->data, client->waiting->len);
    }
  g_ptr_array_unref (server->clients);
  close (server->fd);
  unlink (server->path);
  g_free (server->path);
  g_free (server);
}

static char *
describe (const ControlServer *server, MachineEvent event, MachineCause cause)
{
  ControlBalloon balloon;

  if (event == MACHINE_EVENT_BLOCK_IO_ERROR)
    return qmp_message_block_io_error (server->target.ops->get_block_error (server->target.opaque));
  if (event != MACHINE_EVENT_BALLOON_CHANGE)
    return qmp_message_event (event, cause);
  server->target.ops->get_balloon (server->target.opaque, &balloon);
  return qmp_message_balloon_change (balloon.actual);
}

void
control_server_emit (ControlServer *server, MachineEvent event, MachineCause cause)
{
  g_autofree char *line = describe (server, event, cause);

  for (unsigned i = 0; i < server->clients->len; i++)
    {
      Client *client = server->clients->pdata[i];
      if (client->session != NULL)
        qmp_session_event (client->session, line);
    }
}

unsigned
control_server_get_n_clients (const ControlServer *server)
{
  return server->clients->len;
}
