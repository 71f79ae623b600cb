#pragma once

#include <gio/gio.h>
#include "gallery/gallery-entry.h"
#include "gallery/gallery-progress.h"

G_BEGIN_DECLS

/* Makes a machine's disks of what was downloaded and unpacked. A machine's disk is a raw, sparse
 * file: the format that every VMM runs in its own process. The source's format is told to
 * qemu-img, never guessed; an image that refers to another file (a backing file, a data file),
 * is encrypted, or is larger than a disk may be, is refused before qemu-img sees it. */

#define GALLERY_PROVISION_DISK_MAX (G_GUINT64_CONSTANT (1) << 40) /* bytes */

typedef struct GalleryProvisionOptions
{
  const char *source; /* the image */
  MachineDiskFormat source_format;
  const char *target; /* must not exist */
  guint64 size;       /* grown to this many bytes; 0 or less than the image: the image's own size */
} GalleryProvisionOptions;

/* Progress counts hundredths of a percent, of 10000. On failure no target is left. */
void gallery_provision_disk_async (const GalleryProvisionOptions *options,
                                   GalleryProgressFunc progress, gpointer progress_data,
                                   GCancellable *cancellable, GAsyncReadyCallback callback,
                                   gpointer data);
gboolean gallery_provision_disk_finish (GAsyncResult *result, GError **error);

/* An empty disk: a file that is all hole. Quick. */
gboolean gallery_provision_empty_disk (const char *path, guint64 size, GError **error);

/* Whether the first bytes of a qcow2 image, at least GALLERY_QCOW2_HEADER, are of one that
 * qemu-img may be given; sets the size of its disk in bytes. */
#define GALLERY_QCOW2_HEADER 104
gboolean gallery_provision_check_qcow2 (const guint8 *header, gsize length, guint64 *size,
                                        GError **error);

G_END_DECLS
