#pragma once

#include <stdbool.h>
#include <glib.h>

#include "config/vm-config.h"
#include "ports/char-port.h"
#include "ports/input-port.h"
#include "ports/scanout-port.h"

/* Who looks at the machine and types into it: the SPICE server, which is made when the machine listens for clients, or with the first
 * client that is handed over. A machine that nobody looks at has none.
 *
 * Thread: main.
 */
typedef struct MachineDisplay MachineDisplay;

/* Everything is borrowed and outlives this. gpu_address and agent: as in SpiceFrontOptions. Error: the socket cannot be had. */
MachineDisplay *machine_display_new (const VmConfig *config, const char *gpu_address,
                                     ScanoutPort *scanout, InputPort *input, CharPort *agent,
                                     GError **error);
void machine_display_free (MachineDisplay *display);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (MachineDisplay, machine_display_free)

/* As spice_front_add_client (). */
bool machine_display_add_client (MachineDisplay *display, int fd, bool skip_auth, bool memfd,
                                 GError **error);
