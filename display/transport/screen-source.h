#pragma once

#include <spice-client.h>

#include "transport/display-transport.h"

G_BEGIN_DECLS

/* What a SPICE display channel shows, as frames and damage of a transport. Part of spice-transport. */
typedef struct _ScreenSource ScreenSource;

/* What the server sent cannot be shown. Owns `error`; may free the screen. */
typedef void (*ScreenSourceBroken) (GError *error, gpointer transport);

ScreenSource *screen_source_new (SpiceDisplayChannel *channel, DisplayTransport *transport,
                                 ScreenSourceBroken broken);
void screen_source_free (ScreenSource *self);

void screen_source_update_done (ScreenSource *self);

/* Where the shown part begins in the guest's own coordinates. */
void screen_source_get_origin (ScreenSource *self, int *x, int *y);

G_END_DECLS
