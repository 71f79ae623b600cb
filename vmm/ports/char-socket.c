#define G_LOG_DOMAIN "vmm-ports"

#include "ports/char-socket.h"

#include <sys/socket.h>
#include <unistd.h>
#include <glib-unix.h>

#include "base/socket-path.h"

struct CharSocket
{
  char *path;
  int fd;
  unsigned source; /* 0: somebody is connected */
  CharPort *port;
};

static gboolean
on_connection (int fd, GIOCondition condition, void *opaque)
{
  CharSocket *socket = opaque;
  const int connection = accept4 (fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

  if (connection < 0)
    return G_SOURCE_CONTINUE;
  g_debug ("%s: connected", socket->path);
  socket->source = 0;
  char_port_connect (socket->port, connection);
  return G_SOURCE_REMOVE;
}

static void
on_gone (void *opaque)
{
  CharSocket *socket = opaque;

  g_debug ("%s: gone", socket->path);
  socket->source = g_unix_fd_add (socket->fd, G_IO_IN, on_connection, socket);
}

static const CharHostOps host_ops = { .gone = on_gone };

CharSocket *
char_socket_new (const char *option, const char *path, GError **error)
{
  const int fd = socket_path_listen (option, path, error);

  if (fd < 0)
    return NULL;
  CharSocket *socket = g_new0 (CharSocket, 1);
  socket->path = g_strdup (path);
  socket->fd = fd;
  socket->source = g_unix_fd_add (fd, G_IO_IN, on_connection, socket);
  socket->port = char_port_new_vacant ();
  char_port_set_host (socket->port, &host_ops, socket);
  return socket;
}

void
char_socket_free (CharSocket *socket)
{
  if (!socket)
    return;
  g_clear_handle_id (&socket->source, g_source_remove);
  char_port_free (socket->port);
  close (socket->fd);
  unlink (socket->path);
  g_free (socket->path);
  g_free (socket);
}

CharPort *
char_socket_get_port (CharSocket *socket)
{
  return socket->port;
}
