#pragma once

#include <gtk/gtk.h>
#include "machine/alcove-machine.h"

/* Asks for a disc image and puts it into the machine's drive; a disc that the guest holds is taken away only when the user says
 * so. What does not work is told in a dialog on `parent`. */
void machine_disc_insert (AlcoveMachine *machine, GtkWindow *parent);
void machine_disc_insert_file (AlcoveMachine *machine, const char *path, GtkWindow *parent);
void machine_disc_eject (AlcoveMachine *machine, GtkWindow *parent);
