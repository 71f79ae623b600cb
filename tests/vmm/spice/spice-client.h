#pragma once

#include <stdbool.h>
#include <spice-client.h>

#include "spice/spice-front.h"

/* A SPICE client (spice-client-glib, unmodified) in the test's own process, connected to a front by socketpairs. */
typedef struct SpiceClient SpiceClient;

/* memfd: as in spice_front_add_client (). Runs the main context until display and inputs are there (at most 10 s, then the test fails). */
SpiceClient *spice_client_new (SpiceFront *front, bool memfd);
void spice_client_free (SpiceClient *client);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (SpiceClient, spice_client_free)

SpiceInputsChannel *spice_client_get_inputs (SpiceClient *client);
SpiceMainChannel *spice_client_get_main (SpiceClient *client);
SpiceDisplayChannel *spice_client_get_display (SpiceClient *client);

/* How often the picture changed: by draws, and by GL draws. */
unsigned spice_client_get_invalidations (SpiceClient *client);
unsigned spice_client_get_gl_draws (SpiceClient *client);
/* From now on it is a client that hangs: its sockets stay open, and nothing is read or written. Of what else is here only
 * spice_client_free () may follow, and the next. */
void spice_client_stall (SpiceClient *client);
/* Its end of the channel of a type, for a test to speak on; it does not block. */
int spice_client_get_fd (SpiceClient *client, int type);
/* A client that does not acknowledge GL draws. */
void spice_client_set_lazy (SpiceClient *client, bool lazy);

/* The pixel that the client would show: of the primary surface, or of the mapped scanout. */
bool spice_client_get_pixel (SpiceClient *client, unsigned x, unsigned y, uint32_t *pixel);
/* Runs the main context until the pixel is this (at most 10 s, then the test fails). */
void spice_client_wait_pixel (SpiceClient *client, unsigned x, unsigned y, uint32_t pixel);
bool spice_client_is_gl (SpiceClient *client);
