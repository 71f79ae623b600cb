#pragma once

#include "display.h"
#include "transport/display-transport.h"

G_BEGIN_DECLS

/* For tests: connects over a transport of theirs instead of a SPICE one. As alcove_display_connect (); the transport is referenced. */
void alcove_display_connect_transport (AlcoveDisplay *self, DisplayTransport *transport);

G_END_DECLS
