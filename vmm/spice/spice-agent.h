#pragma once

#include <spice.h>

#include "ports/char-port.h"

/* The port of the guest's agent (spice-vdagent: the clipboard, files dropped, sizes of screens), joined to the server's channel for it.
 *
 * The server knows of an agent always, also where no program in the guest has the port open: a client sends its wish for a size only
 * where an agent is, and the server hands that to the screen itself. What else a client sends ends here then.
 *
 * Thread: main.
 */
typedef struct SpiceAgent SpiceAgent;

/* Both are borrowed. port NULL: no guest has an agent. */
SpiceAgent *spice_agent_new (SpiceServer *server, CharPort *port);
/* The server is gone already. */
void spice_agent_free (SpiceAgent *agent);
