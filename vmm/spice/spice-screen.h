#pragma once

#include <stdbool.h>
#include <spice.h>

#include "ports/scanout-port.h"
#include "spice/spice-connections.h"

/* The display and cursor channels of a SPICE server, showing a scanout port.
 *
 * There are two ways for a picture to reach the client. The memfd scanout hands the surface's memfd over as a GL scanout and then names
 * rectangles: nothing is copied, but only a client that is ours can read it (others take it for a dma-buf). QXL draws copy the
 * rectangles into messages that every SPICE client understands. spice_screen_set_memfd () says which; it may change at any time.
 *
 * Whatever a client does, a flush is answered within SPICE_SCREEN_PATIENCE_MS.
 * Thread: main.
 */
typedef struct SpiceScreen SpiceScreen;

#define SPICE_SCREEN_PATIENCE_MS 100

/* Adds the interface to server and attaches to port; these and connections are borrowed. address: where the guest has the card,
 * "pci/0000/01.0". */
SpiceScreen *spice_screen_new (SpiceServer *server, ScanoutPort *port,
                               SpiceConnections *connections, const char *address);
/* Detaches from the port, answers what is owed. Before the server is destroyed; the screen's memory is given back by
 * spice_screen_free () after it. */
void spice_screen_detach (SpiceScreen *screen);
void spice_screen_free (SpiceScreen *screen);

void spice_screen_set_memfd (SpiceScreen *screen, bool memfd);
/* How many clients there are. is_new: one of them has a new display channel, and is sent the whole picture. */
void spice_screen_set_clients (SpiceScreen *screen, unsigned n_clients, bool is_new);
