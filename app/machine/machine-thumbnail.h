#pragma once

#include <gio/gio.h>
#include "machine/machine-control.h"

G_BEGIN_DECLS

/* Keeps `thumbnail.png` in a machine's folder like its screen, by QMP screendump. The file is
 * complete whenever it is there: the dump goes to a file beside it, which is checked and then
 * renamed. */

#define MACHINE_THUMBNAIL_FILE "thumbnail.png"

/* One picture now. The screen's own size, not scaled. */
void machine_thumbnail_save_async (MachineControl *control, const char *folder,
                                   GCancellable *cancellable, GAsyncReadyCallback callback,
                                   gpointer data);
gboolean machine_thumbnail_save_finish (GAsyncResult *result, GError **error);

G_END_DECLS
