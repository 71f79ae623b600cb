#pragma once

#include <gtk/gtk.h>

#include "transport/display-transport.h"

G_BEGIN_DECLS

/* Asks the guest for a screen of the widget's size, where that is wished and the guest takes a size.
 *
 * Thread: main. */
typedef struct _GuestSize GuestSize;

/* Not wished at first. The widget is borrowed and outlives this. */
GuestSize *guest_size_new (GtkWidget *widget);
void guest_size_free (GuestSize *self);

void guest_size_set_wished (GuestSize *self, gboolean wished);
/* Who is asked: a transport that is open, or NULL: nobody. Referenced. It has not been asked for anything yet. */
void guest_size_set_transport (GuestSize *self, DisplayTransport *transport);
/* The widget's size may be another one: asks when it rests. */
void guest_size_changed (GuestSize *self);
/* What the guest takes may be another thing. */
void guest_size_guest_changed (GuestSize *self);

G_END_DECLS
