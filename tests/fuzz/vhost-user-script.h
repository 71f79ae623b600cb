#pragma once

#include <stddef.h>
#include <stdint.h>

#include "fuzz-input.h"

/* A vhost-user back end whose answers are written down beforehand: it has said all of them, whatever it will be asked, and hung up. */

/* The script is a row of [with the fd 1 bit, length 7 bits][bytes], each sent as a piece of its own over peer, the back end's side, which is
 * borrowed as fd is; -1: none goes with any. */
void vhost_user_script_run (int peer, FuzzInput script, int fd);

/* A memfd for a record of requests in flight, the caller's, that begins with these bytes. */
int vhost_user_script_make_record (size_t size, const uint8_t *bytes, size_t n);
