#pragma once

#include <stdbool.h>
#include <glib.h>

/* Makes path free for a Unix socket that is about to be bound there: nothing is there, or a socket that nobody answers on
 * any more, which is removed. Anything else stays and is an error, for whoever binds (QEMU, libspice-server) may remove first
 * and ask nobody. option names the source of path in messages. */
bool socket_path_clear (const char *option, const char *path, GError **error);

/* Clears path and listens there: a stream socket that does not block, closed on exec, whose file is for this user alone whatever the umask.
 * Returns its descriptor, -1 on error. Who closes it unlinks path. */
int socket_path_listen (const char *option, const char *path, GError **error);
