#pragma once

#include <gtk/gtk.h>

#include "transport/display-transport.h"
#include "view/display-geometry.h"

G_BEGIN_DECLS

/* The user's pointer over a widget as the guest's: where it is on the picture, its buttons and its wheel.
 *
 * Thread: main. */
typedef struct _PointerInput PointerInput;

/* Called with each button that goes down. */
typedef void (*PointerInputClicked) (gpointer data);

/* The widget is borrowed and outlives this. */
PointerInput *pointer_input_new (GtkWidget *widget, PointerInputClicked clicked, gpointer data);
void pointer_input_free (PointerInput *self);

/* Where it goes; NULL: nowhere. Referenced. Buttons that are down are let go at the old one first. */
void pointer_input_set_transport (PointerInput *self, DisplayTransport *transport);
/* Where the picture is. */
void pointer_input_set_geometry (PointerInput *self, const DisplayGeometry *geometry);
void pointer_input_release_all (PointerInput *self);

G_END_DECLS
