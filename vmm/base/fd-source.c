#include "base/fd-source.h"

#include <glib-unix.h>

GSource *
fd_source_new (int fd, GIOCondition condition, const char *name)
{
  GSource *source = g_unix_fd_source_new (fd, condition);

  g_source_set_name (source, name);
  g_source_set_can_recurse (source, TRUE);
  return source;
}
