#pragma once

#include <glib.h>

/* A source that waits for a file descriptor (a GUnixFDSourceFunc is its callback), for what happens often. Its callback must not run its
 * context itself.
 *
 * While GLib calls a source that may not recurse it takes the source's descriptors out of its context and puts them back, and wakes the
 * context up each time: every event costs two system calls and a further round of the loop. Ours may, and cost nothing.
 *
 * name: copied; for debuggers. Owned by the caller, who sets the callback and attaches it. */
GSource *fd_source_new (int fd, GIOCondition condition, const char *name);
