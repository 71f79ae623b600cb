#include "base/socket-path.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>
#include <gio/gio.h>

#define BACKLOG 16

static bool
is_answered (const char *path)
{
  struct sockaddr_un address = { .sun_family = AF_UNIX };
  int fd = socket (AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

  strcpy (address.sun_path, path);
  bool refused = fd >= 0 && connect (fd, (struct sockaddr *) &address, sizeof address) < 0 &&
                 errno == ECONNREFUSED;
  if (fd >= 0)
    close (fd);
  return !refused;
}

bool
socket_path_clear (const char *option, const char *path, GError **error)
{
  struct stat info;
  struct sockaddr_un address;

  if (strlen (path) >= sizeof address.sun_path)
    g_set_error (error, G_IO_ERROR, G_IO_ERROR_INVALID_FILENAME,
                 "%s: %s: the path is too long for a Unix socket", option, path);
  else if (lstat (path, &info) < 0 && errno == ENOENT)
    return true;
  else if (lstat (path, &info) < 0)
    g_set_error (error, G_IO_ERROR, g_io_error_from_errno (errno), "%s: %s: %s", option, path,
                 g_strerror (errno));
  else if (!S_ISSOCK (info.st_mode))
    g_set_error (error, G_IO_ERROR, G_IO_ERROR_EXISTS,
                 "%s: %s: the file exists and is not a socket; choose another path", option, path);
  else if (is_answered (path))
    g_set_error (error, G_IO_ERROR, G_IO_ERROR_ADDRESS_IN_USE,
                 "%s: %s: somebody answers there; is the machine running already?", option, path);
  else if (unlink (path) < 0)
    g_set_error (error, G_IO_ERROR, g_io_error_from_errno (errno),
                 "%s: %s: the socket of a process that is gone cannot be removed: %s", option, path,
                 g_strerror (errno));
  else
    return true;
  return false;
}

static bool
bind_and_listen (int fd, const char *path)
{
  struct sockaddr_un address = { .sun_family = AF_UNIX };

  strcpy (address.sun_path, path);
  /* unix(7): the file gets the mode of the socket. */
  return fchmod (fd, 0600) == 0 && bind (fd, (struct sockaddr *) &address, sizeof address) == 0 &&
         listen (fd, BACKLOG) == 0;
}

int
socket_path_listen (const char *option, const char *path, GError **error)
{
  if (!socket_path_clear (option, path, error))
    return -1;
  int fd = socket (AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (fd >= 0 && bind_and_listen (fd, path))
    return fd;
  g_set_error (error, G_IO_ERROR, g_io_error_from_errno (errno), "%s: cannot listen on %s: %s",
               option, path, g_strerror (errno));
  if (fd >= 0)
    close (fd);
  return -1;
}
