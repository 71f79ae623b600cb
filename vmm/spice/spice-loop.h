#pragma once

#include <spice.h>

/* What libspice-server needs of an event loop, on GLib's default main context. Fills in timers and watches; the channel event is the
 * caller's. Thread: main (the server's own worker has a loop of its own). */
void spice_loop_fill (SpiceCoreInterface *core);
