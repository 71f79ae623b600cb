#pragma once

#include <gio/gio.h>
#include "gallery/gallery-entry.h"
#include "gallery/gallery-progress.h"

G_BEGIN_DECLS

/* Makes a machine's files of what was downloaded and unpacked. Formats are always told to
 * qemu-img, never guessed, and an image that refers to other files (a backing file, a data file)
 * is refused. */

typedef struct GalleryProvisionOptions
{
  const char *source; /* the image */
  MachineDiskFormat source_format;
  const char *target; /* must not exist */
  MachineDiskFormat target_format;
  guint64 size; /* grown to this many bytes; 0 or less than the image: the image's own size */
} GalleryProvisionOptions;

void gallery_provision_disk_async (const GalleryProvisionOptions *options,
                                   GalleryProgressFunc progress, gpointer progress_data,
                                   GCancellable *cancellable, GAsyncReadyCallback callback,
                                   gpointer data);
gboolean gallery_provision_disk_finish (GAsyncResult *result, GError **error);

/* An empty raw disk: a sparse file. Quick. */
gboolean gallery_provision_empty_disk (const char *path, guint64 size, GError **error);

/* A copy of a plain file (kernel, initrd, ISO), sharing blocks where the file system can. */
void gallery_provision_copy_async (const char *source, const char *target,
                                   GCancellable *cancellable, GAsyncReadyCallback callback,
                                   gpointer data);
gboolean gallery_provision_copy_finish (GAsyncResult *result, GError **error);

G_END_DECLS
