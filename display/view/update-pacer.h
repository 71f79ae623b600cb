#pragma once

#include <gtk/gtk.h>

#include "transport/display-transport.h"

G_BEGIN_DECLS

/* When what the transport told is drawn, and when it is answered: after the widget was drawn, or a little later where it is not.
 *
 * Thread: main. */
typedef struct _UpdatePacer UpdatePacer;

/* The widget is borrowed and outlives this. */
UpdatePacer *update_pacer_new (GtkWidget *widget);
void update_pacer_free (UpdatePacer *self);

/* Whose updates they are; NULL: nobody's. Referenced. The old one is answered first. */
void update_pacer_set_transport (UpdatePacer *self, DisplayTransport *transport);
/* An update has come. */
void update_pacer_add (UpdatePacer *self);
/* All that came is drawn, or will not be. */
void update_pacer_answer (UpdatePacer *self);

G_END_DECLS
