#pragma once

#include <spice.h>

#include "ports/input-port.h"
#include "ports/scanout-port.h"

/* Keyboard, mouse and tablet of a SPICE server, onto an input port. Thread: main. */
typedef struct SpiceInput SpiceInput;

/* Adds the interfaces to server. The ports are borrowed; scanout is what the client points at. */
SpiceInput *spice_input_new (SpiceServer *server, InputPort *port, ScanoutPort *scanout);
/* After the server is destroyed: it cannot take a keyboard back. */
void spice_input_free (SpiceInput *input);

/* The client is gone: no key or button stays down. */
void spice_input_release_all (SpiceInput *input);
