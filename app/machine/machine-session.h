#pragma once

#include <gio/gio.h>
#include "machine/machine-control.h"
#include "machine/machine-status.h"

G_BEGIN_DECLS

/* One run of a machine, from the moment its VMM answers until it is gone: follows its events,
 * and finds out how it ended.
 *
 * That the control connection closes is not yet the end: the machine's lock, which the VMM holds
 * as long as it lives, is. Should only the connection be lost, the session makes a new one.
 *
 * Thread: the main context in which it was made. */

/* Properties, read only, notifying: "state" (MachineState: running, paused, stopping; stopped or
 * crashed after "ended"), "accelerator" (MachineAccelerator). Signal "ended" (int exit_status,
 * -1 if not known; const char *problem, NULL if it ended as it should): once. */
#define MACHINE_TYPE_SESSION (machine_session_get_type ())
G_DECLARE_FINAL_TYPE (MachineSession, machine_session, MACHINE, SESSION, GObject)

/* `child` is NULL for a machine that was found running. */
MachineSession *machine_session_new (const char *folder, MachineControl *control,
                                     GSubprocess *child);

MachineControl *machine_session_get_control (MachineSession *self);
MachineState machine_session_get_state (MachineSession *self);
MachineAccelerator machine_session_get_accelerator (MachineSession *self);

/* Asks the VMM for its state and accelerator; done when both properties are right. */
void machine_session_query_async (MachineSession *self, GCancellable *cancellable,
                                  GAsyncReadyCallback callback, gpointer data);
gboolean machine_session_query_finish (MachineSession *self, GAsyncResult *result, GError **error);

/* Its power button was pressed: "stopping" from now on. A guest may not mind: when it has not powered off within the time, what
 * the VMM says of its state counts again. */
void machine_session_expect_shutdown (MachineSession *self, guint patience_ms);

/* QMP quit, and after a few seconds without effect SIGKILL. "ended" follows. */
void machine_session_force_off (MachineSession *self);

G_END_DECLS
