#pragma once

#include <spice.h>

#include "ports/input-port.h"

/* Keyboard, mouse and tablet of a SPICE server, onto an input port. Thread: main. */
typedef struct SpiceInput SpiceInput;

/* Adds the interfaces to server. port is borrowed. */
SpiceInput *spice_input_new (SpiceServer *server, InputPort *port);
/* After the server is destroyed: it cannot take a keyboard back. */
void spice_input_free (SpiceInput *input);

/* The client is gone: no key or button stays down. */
void spice_input_release_all (SpiceInput *input);
