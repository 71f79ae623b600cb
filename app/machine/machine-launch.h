#pragma once

#include <gio/gio.h>
#include "machine/machine-control.h"
#include "machine/machine-settings.h"

G_BEGIN_DECLS

/* Starts `alcove-vmm` for a machine's folder: the launch contract.
 *
 * The VMM is to outlive the app: it gets a session of its own, its output goes to `vmm.log` in
 * the machine's folder, and it inherits the folder's lock. Its control socket is in the runtime
 * folder, not in the machine's, because a socket's path is limited to 107 bytes. */

#define MACHINE_LAUNCH_LOG "vmm.log"

/* The alcove-vmm to run (free it): $ALCOVE_VMM, else the build tree's beside this program, else
 * the installed one, else $PATH's. NULL with G_IO_ERROR_NOT_FOUND. */
char *machine_launch_find_vmm (GError **error);

/* Where the control socket of the machine in `folder` is (free it); the same answer in every
 * process of this user. */
char *machine_launch_dup_control_path (const char *folder);

/* The whole command line, NULL-terminated; checks that every file it names is there and can be
 * opened as needed, naming the one that can not. */
char **machine_launch_build_argv (MachineSettings *settings, const char *folder, const char *vmm,
                                  const char *control_path, GError **error);

/* Runs it and waits for the control socket to answer. `lock_fd` is the held lock (borrowed),
 * handed on to the child. A child that ends before is an error with the last line it wrote;
 * cancelling kills the child. The subprocess is NULL-able for callers that do not want it;
 * unreffing it does not end the child. */
void machine_launch_async (MachineSettings *settings, const char *folder, int lock_fd,
                           GCancellable *cancellable, GAsyncReadyCallback callback, gpointer data);
MachineControl *machine_launch_finish (GAsyncResult *result, GSubprocess **subprocess,
                                       GError **error);

/* The last non-empty line of the machine's log, made valid UTF-8 (free it); NULL when there is
 * none. Reads at most the last 8 KiB. */
char *machine_launch_dup_last_line (const char *folder);

G_END_DECLS
