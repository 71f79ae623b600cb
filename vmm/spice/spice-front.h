#pragma once

#include <stdbool.h>
#include <glib.h>

#include "ports/char-port.h"
#include "ports/input-port.h"
#include "ports/scanout-port.h"

/* A SPICE server that shows a scanout port and feeds an input port. A client that is gone, stalled or sends garbage harms neither the
 * machine nor the next client. That is as far as libspice-server goes: 0.15 does not survive everything that a program could say
 * on purpose once it has linked (a mark of migration, agent data of 4 GiB), so clients are programs of the user, who alone can connect. One
 * client at a time: the next one takes the place of the last.
 *
 * Thread: main.
 */
typedef struct SpiceFront SpiceFront;

typedef struct SpiceFrontOptions
{
  const char *name;        /* of the machine, for the client's window */
  const char *listen_path; /* Unix socket for any client; NULL: only spice_front_add_client () */
  const char *gpu_address; /* "pci/0000/01.0" */
  CharPort *agent;         /* borrowed: the port of the guest's agent; NULL: there is none */
} SpiceFrontOptions;

/* The ports are borrowed. Error: the socket cannot be had. */
SpiceFront *spice_front_new (const SpiceFrontOptions *options, ScanoutPort *scanout,
                             InputPort *input, GError **error);
/* Disconnects, removes the socket. */
void spice_front_free (SpiceFront *front);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (SpiceFront, spice_front_free)

/* One connected socket, that is one channel, of a client; takes fd, also on failure. memfd: the client is one of ours, which maps
 * the memfd that a GL scanout carries; every other client is shown QXL draws. */
bool spice_front_add_client (SpiceFront *front, int fd, bool skip_auth, bool memfd, GError **error);
