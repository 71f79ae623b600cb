#include "ui/widgets/log-tail.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

char *
log_tail_read (const char *path, gsize size_max)
{
  g_autofree char *text = NULL;
  gsize length = 0;
  ssize_t got;
  off_t size;
  int fd = open (path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);

  if (fd < 0)
    return NULL;
  size = lseek (fd, 0, SEEK_END);
  lseek (fd, size > (off_t) size_max ? size - (off_t) size_max : 0, SEEK_SET);
  text = g_malloc (size_max + 1);
  while (length < size_max && (got = read (fd, text + length, size_max - length)) != 0)
    if (got > 0)
      length += got;
    else if (errno != EINTR)
      break;
  close (fd);
  for (gsize i = 0; i < length; i++)
    if (text[i] == '\0')
      text[i] = ' ';
  return length > 0 ? g_utf8_make_valid (text, (gssize) length) : NULL;
}
