#include "transport/path-provider.h"

#include <errno.h>
#include <fcntl.h>
#include <gio/gunixsocketaddress.h>

static void
on_connected (GObject *source, GAsyncResult *result, gpointer data)
{
  FdRequest *request = data;
  g_autoptr (GSocketConnection) connection = NULL;
  g_autoptr (GError) error = NULL;
  int fd = -1;

  connection = g_socket_client_connect_finish (G_SOCKET_CLIENT (source), result, &error);
  if (connection != NULL)
    {
      fd =
          fcntl (g_socket_get_fd (g_socket_connection_get_socket (connection)), F_DUPFD_CLOEXEC, 3);
      if (fd < 0)
        g_set_error (&error, G_IO_ERROR, g_io_error_from_errno (errno),
                     "The connection cannot be handed over: %s", g_strerror (errno));
    }
  else
    {
      g_prefix_error (&error, "The machine's screen cannot be reached: ");
    }
  fd_request_answer (request, fd, g_steal_pointer (&error));
}

void
path_provider_answer (FdRequest *request, gpointer data)
{
  g_autoptr (GSocketClient) client = g_socket_client_new ();
  g_autoptr (GSocketAddress) address = g_unix_socket_address_new (data);

  g_socket_client_connect_async (client, G_SOCKET_CONNECTABLE (address),
                                 fd_request_get_cancellable (request), on_connected, request);
}
