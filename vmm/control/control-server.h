#pragma once

#include <stdbool.h>
#include <glib.h>

#include "control/control-target.h"

/* The QMP server on a Unix socket: clients one after another or several at a time, events to all that have negotiated.
 *
 * Nothing that a client does blocks the machine: every call on a socket is non-blocking, what a client does not read is kept up to
 * CONTROL_OUTPUT_MAX and then the client is dropped, and at most CONTROL_CLIENTS_MAX are served.
 *
 * Thread: the main thread; sockets are sources of the default GMainContext.
 */
#define CONTROL_CLIENTS_MAX 8u
#define CONTROL_OUTPUT_MAX  (4u << 20) /* bytes waiting for one client */

typedef struct ControlServer ControlServer;

/* Listens on path, for this user only (mode 0600). A socket left there by a process that is gone is replaced; anything else that is
 * there is an error. target is copied, what it points to is borrowed. */
ControlServer *control_server_new (const char *path, const ControlTarget *target, GError **error);
/* Sends what the clients take without waiting, closes them and removes the socket. */
void control_server_free (ControlServer *server);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (ControlServer, control_server_free)

void control_server_emit (ControlServer *server, MachineEvent event, MachineCause cause);

unsigned control_server_get_n_clients (const ControlServer *server);
