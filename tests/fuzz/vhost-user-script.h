#pragma once

#include "fuzz-input.h"

/* A vhost-user back end whose answers are written down beforehand: it has said all of them, whatever it will be asked.
 *
 * Nobody waits for what it does not say: poll () is wrapped by the linker and returns at once, as if the time was over.
 */

/* The script is a row of [with an fd 1 bit, length 7 bits][bytes], each sent as a piece of its own; one of no bytes hangs up. peer: its
 * side of the connection, borrowed. */
void vhost_user_script_run (int peer, FuzzInput script);
