#pragma once

#include <stdbool.h>
#include <glib.h>

#include "config/vm-config.h"

/* passt as a child: it gives the guest this computer's own address and makes its connections, in a process that can do nothing else.
 * It ends with this process, however that ends.
 */
typedef struct Passt Passt;

/* Starts it with the forwards of config; *fd is a socket to it (net/net-stream.h), owned by the caller. Errors are one line, in
 * G_IO_ERROR: it is not installed, a port is in use. Main thread: the child ends with the thread that starts it. */
Passt *passt_new (const VmConfig *config, int *fd, GError **error);
/* Ends it and waits. */
void passt_free (Passt *passt);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (Passt, passt_free)

/* The last line that it wrote to stderr; owned by the caller; NULL: nothing. Any thread. */
char *passt_get_complaint (Passt *passt);
