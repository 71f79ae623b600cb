#include "machine/machine.h"

#include <assert.h>

/* RunState and ShutdownCause of QEMU's qapi/run-state.json: these words go over the control socket. */
static const char *const state_words[] = {
  [MACHINE_STATE_PRELAUNCH] = "prelaunch",
  [MACHINE_STATE_RUNNING] = "running",
  [MACHINE_STATE_PAUSED] = "paused",
  [MACHINE_STATE_IO_ERROR] = "io-error",
  [MACHINE_STATE_SHUTDOWN] = "shutdown",
  [MACHINE_STATE_INTERNAL_ERROR] = "internal-error",
  [MACHINE_STATE_GUEST_PANICKED] = "guest-panicked",
};
static_assert (G_N_ELEMENTS (state_words) == MACHINE_N_STATES, "a word for each state");

static const char *const cause_words[] = {
  [MACHINE_CAUSE_NONE] = "none",
  [MACHINE_CAUSE_HOST_QMP_QUIT] = "host-qmp-quit",
  [MACHINE_CAUSE_HOST_QMP_SYSTEM_RESET] = "host-qmp-system-reset",
  [MACHINE_CAUSE_HOST_SIGNAL] = "host-signal",
  [MACHINE_CAUSE_GUEST_SHUTDOWN] = "guest-shutdown",
  [MACHINE_CAUSE_GUEST_RESET] = "guest-reset",
  [MACHINE_CAUSE_GUEST_PANIC] = "guest-panic",
  [MACHINE_CAUSE_HOST_ERROR] = "host-error",
};
static_assert (G_N_ELEMENTS (cause_words) == MACHINE_N_CAUSES, "a word for each cause");

const char *
machine_state_to_string (MachineState state)
{
  g_return_val_if_fail ((unsigned) state < MACHINE_N_STATES, NULL);
  return state_words[state];
}

const char *
machine_cause_to_string (MachineCause cause)
{
  g_return_val_if_fail ((unsigned) cause < MACHINE_N_CAUSES, NULL);
  return cause_words[cause];
}
