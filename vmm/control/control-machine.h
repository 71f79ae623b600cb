#pragma once

#include "control/control-server.h"
#include "control/control-target.h"
#include "machine/machine.h"

/* The target that is a real machine, which must outlive whoever uses it. */
ControlTarget control_machine_get_target (Machine *machine);

/* A MachineEventFunc; opaque is the ControlServer that tells its clients. */
void control_machine_on_event (Machine *machine, MachineEvent event, MachineCause cause,
                               void *opaque);
