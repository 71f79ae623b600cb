#pragma once

#include "machine/machine-control.h"

/* For machine-control-display.c: the command by which this peer takes a display of ours, known
 * from when the connection is open. Static. */
const char *machine_control_get_add_client (MachineControl *self);
