#pragma once

#include <glib.h>

#include "ports/char-port.h"

/* A CharPort at whose other end is who connects to a Unix socket: one client at a time, the next one waits until it has gone.
 *
 * Thread: main.
 */
typedef struct CharSocket CharSocket;

/* Listens on path, for this user only, as socket_path_listen () says; option names the source of path in errors. */
CharSocket *char_socket_new (const char *option, const char *path, GError **error);
/* Disconnects, removes the socket. The device has let go of the port. */
void char_socket_free (CharSocket *socket);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (CharSocket, char_socket_free)

/* Borrowed. */
CharPort *char_socket_get_port (CharSocket *socket);
