#pragma once

#include <adwaita.h>
#include "machine/alcove-machine.h"

G_BEGIN_DECLS

/* The settings of a machine and where it lives. What is changed is saved at once; a machine that
 * runs takes it over at its next start. */
#define MACHINE_TYPE_PROPERTIES (machine_properties_get_type ())
G_DECLARE_FINAL_TYPE (MachineProperties, machine_properties, MACHINE, PROPERTIES, AdwWindow)

GtkWidget *machine_properties_new (AlcoveMachine *machine);

G_END_DECLS
