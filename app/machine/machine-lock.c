#include "machine/machine-lock.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>
#include <glib/gstdio.h>

/* The file's text, "HOLDER PID\n", is short; anything longer is not ours. */
#define HOLDER_TEXT_MAX 128

static int
open_lock (const char *folder, int flags, GError **error)
{
  g_autofree char *path = g_build_filename (folder, MACHINE_LOCK_FILE, NULL);
  int fd = open (path, flags | O_CLOEXEC | O_NOFOLLOW, 0600);
  int saved_errno = errno;

  if (fd < 0)
    g_set_error (error, G_IO_ERROR, g_io_error_from_errno (saved_errno),
                 "Cannot open the lock “%s”: %s", path, g_strerror (saved_errno));
  return fd;
}

static void
read_holder (int fd, char **holder, GPid *pid)
{
  char text[HOLDER_TEXT_MAX + 1];
  ssize_t length = pread (fd, text, HOLDER_TEXT_MAX, 0);
  char *space;

  *holder = NULL;
  *pid = 0;
  if (length <= 0)
    return;
  text[length] = '\0';
  g_strchomp (text);
  space = strrchr (text, ' ');
  if (space == NULL || !g_utf8_validate (text, -1, NULL))
    return;
  *space = '\0';
  *holder = g_strdup (text);
  *pid = (GPid) g_ascii_strtoll (space + 1, NULL, 10);
}

gboolean
machine_lock_set_holder (int fd, const char *holder, GPid pid, GError **error)
{
  g_autofree char *text = g_strdup_printf ("%.*s %d\n", HOLDER_TEXT_MAX - 16, holder, (int) pid);
  size_t length = strlen (text);

  if (ftruncate (fd, 0) != 0 || pwrite (fd, text, length, 0) != (ssize_t) length)
    {
      int saved_errno = errno;

      g_set_error (error, G_IO_ERROR, g_io_error_from_errno (saved_errno),
                   "Cannot write the machine's lock: %s", g_strerror (saved_errno));
      return FALSE;
    }
  return TRUE;
}

static struct flock
whole_file (short type)
{
  return (struct flock){ .l_type = type, .l_whence = SEEK_SET };
}

int
machine_lock_take (const char *folder, const char *holder, GError **error)
{
  struct flock lock = whole_file (F_WRLCK);
  g_autofree char *other = NULL;
  GPid other_pid;
  int fd = open_lock (folder, O_RDWR | O_CREAT, error);

  if (fd < 0)
    return -1;
  if (fcntl (fd, F_OFD_SETLK, &lock) == 0)
    {
      if (machine_lock_set_holder (fd, holder, getpid (), error))
        return fd;
      close (fd);
      return -1;
    }
  if (errno != EAGAIN && errno != EACCES)
    {
      int saved_errno = errno;

      g_set_error (error, G_IO_ERROR, g_io_error_from_errno (saved_errno),
                   "Cannot lock the machine's folder “%s”: %s", folder, g_strerror (saved_errno));
      close (fd);
      return -1;
    }
  read_holder (fd, &other, &other_pid);
  close (fd);
  if (other != NULL && other_pid > 0)
    g_set_error (error, G_IO_ERROR, G_IO_ERROR_BUSY, "The machine is in use by %s (process %d)",
                 other, (int) other_pid);
  else
    g_set_error (error, G_IO_ERROR, G_IO_ERROR_BUSY, "The machine is in use by another process");
  return -1;
}

gboolean
machine_lock_is_held (const char *folder, char **holder, GPid *pid)
{
  struct flock lock = whole_file (F_RDLCK);
  g_autofree char *who = NULL;
  GPid who_pid = 0;
  gboolean held = FALSE;
  int fd = open_lock (folder, O_RDONLY, NULL);

  if (fd >= 0)
    {
      /* This asks without taking, so that who looks is in nobody's way. */
      held = fcntl (fd, F_OFD_GETLK, &lock) == 0 && lock.l_type != F_UNLCK;
      if (held)
        read_holder (fd, &who, &who_pid);
      close (fd);
    }
  if (holder != NULL)
    *holder = g_steal_pointer (&who);
  if (pid != NULL)
    *pid = who_pid;
  return held;
}
