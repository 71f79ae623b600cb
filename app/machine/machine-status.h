#pragma once

#include <glib-object.h>

G_BEGIN_DECLS

typedef enum
{
  MACHINE_STATE_STOPPED,
  MACHINE_STATE_STARTING,
  MACHINE_STATE_RUNNING,
  MACHINE_STATE_PAUSED,
  MACHINE_STATE_STOPPING, /* asked to shut down; the guest has not done it yet */
  MACHINE_STATE_CRASHED,  /* not running; "last-error" says why it ended. Can be started */
  MACHINE_STATE_BROKEN,   /* its machine.ini is unreadable, see "last-error"; it can be deleted */
} MachineState;

typedef enum
{
  MACHINE_ACCELERATOR_UNKNOWN, /* not running */
  MACHINE_ACCELERATOR_KVM,
  MACHINE_ACCELERATOR_EMULATED,
} MachineAccelerator;

#define MACHINE_TYPE_STATE       (machine_state_get_type ())
#define MACHINE_TYPE_ACCELERATOR (machine_accelerator_get_type ())
GType machine_state_get_type (void);
GType machine_accelerator_get_type (void);

/* "stopped", "starting", ...: stable words for a command line; not translated. */
const char *machine_state_to_string (MachineState state);

G_END_DECLS
