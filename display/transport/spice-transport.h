#pragma once

#include "transport/display-transport.h"
#include "transport/fd-request.h"

G_BEGIN_DECLS

/* A SPICE server's first screen, its keyboard and its pointer, by spice-client-glib. The
 * server may be hostile: what it announces is checked before it is believed. */
#define TYPE_SPICE_TRANSPORT (spice_transport_get_type ())
G_DECLARE_FINAL_TYPE (SpiceTransport, spice_transport, ALCOVE, SPICE_TRANSPORT, DisplayTransport)

/* `provider` is asked for one descriptor a channel; `data` must outlive the transport's closing. */
DisplayTransport *spice_transport_new (FdRequestFunc provider, gpointer data);

G_END_DECLS
