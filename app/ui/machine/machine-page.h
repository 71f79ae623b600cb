#pragma once

#include <gtk/gtk.h>
#include "machine/alcove-machine.h"

G_BEGIN_DECLS

/* One machine: its screen while it runs, and what can be done while it does not. */
#define MACHINE_TYPE_PAGE (machine_page_get_type ())
G_DECLARE_FINAL_TYPE (MachinePage, machine_page, MACHINE, PAGE, GtkWidget)

/* NULL: nothing; the screen is disconnected. */
void machine_page_set_machine (MachinePage *self, AlcoveMachine *machine);
AlcoveMachine *machine_page_get_machine (MachinePage *self);
/* Puts the focus on the screen, or on the button that starts the machine. */
void machine_page_focus (MachinePage *self);

/* The screen (an AlcoveDisplay), there also when it is not connected. Borrowed. */
GtkWidget *machine_page_get_display (MachinePage *self);

G_END_DECLS
