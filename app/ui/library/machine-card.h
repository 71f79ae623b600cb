#pragma once

#include <gtk/gtk.h>
#include "machine/alcove-machine.h"

G_BEGIN_DECLS

/* A machine in the grid: its picture, its name, its state, and what can be done with it, by
 * pointer, menu and keys. */
#define MACHINE_TYPE_CARD (machine_card_get_type ())
G_DECLARE_FINAL_TYPE (MachineCard, machine_card, MACHINE, CARD, GtkFlowBoxChild)

GtkWidget *machine_card_new (AlcoveMachine *machine);
void machine_card_open (MachineCard *self);

G_END_DECLS
