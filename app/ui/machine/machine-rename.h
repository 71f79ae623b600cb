#pragma once

#include <gtk/gtk.h>
#include "machine/alcove-machine.h"

/* Asks for another name of `machine` in a dialog over `parent`. */
void machine_rename_present (AlcoveMachine *machine, GtkWindow *parent);
