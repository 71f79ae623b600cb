#pragma once

#include <gio/gio.h>

/* Removes `path` and everything below it without following a symbolic link. A path that is not
 * there is no error. Stops at the first failure or when `cancellable` is cancelled.
 *
 * Blocks: call it in a worker thread unless the folder is known to be small. */
gboolean file_tree_remove (const char *path, GCancellable *cancellable, GError **error);

/* Bytes that `path` and everything below it occupy on disk (allocated blocks, so that sparse
 * images count what they take); 0 for a path that is not there. Blocks. */
guint64 file_tree_get_size (const char *path);
