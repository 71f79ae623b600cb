#pragma once

#include "frame/frame.h"

G_BEGIN_DECLS

/* What a frame shows now as a PNG file: copied at once, encoded by a worker thread, and put in its place when it is complete. The
 * longer side is scaled down to max_size when that is not 0. Errors name the file. */
void frame_png_save_async (Frame *frame, const char *path, guint max_size, GObject *source,
                           GCancellable *cancellable, GAsyncReadyCallback callback, gpointer data);
gboolean frame_png_save_finish (GAsyncResult *result, GError **error);

G_END_DECLS
