#pragma once

#include <gio/gio.h>

G_BEGIN_DECLS

/* What an image of a CD or DVD says of itself: ISO 9660 (ECMA-119), UDF (ECMA-167) and El Torito 1.0. Nothing of it is trusted.
 *
 * Thread: any. */

#define DISC_IMAGE_LABEL_MAX 32 /* characters */

typedef struct DiscImage
{
  guint64 size;                             /* of the file, bytes */
  guint64 volume_size;                      /* what the volume says; 0: it does not */
  char label[DISC_IMAGE_LABEL_MAX * 3 + 1]; /* UTF-8, without spaces around it; may be empty */
  gboolean starts_by_uefi;
} DiscImage;

/* Reads a few blocks of the file: blocks for that long. Errors (G_IO_ERROR) name the file, what is wrong with it and what to do:
 * it is not there, not named in UTF-8, no regular file, no image of a disc, or cut off, which a download that ended early is. */
gboolean disc_image_read (const char *path, DiscImage *image, GError **error);

/* The same in a thread. */
void disc_image_read_async (const char *path, GCancellable *cancellable,
                            GAsyncReadyCallback callback, gpointer data);
gboolean disc_image_read_finish (GAsyncResult *result, DiscImage *image, GError **error);

/* The same of its first bytes; `size` is the file's. FALSE: it is no disc. */
#define DISC_IMAGE_HEAD (32 * 2048)
gboolean disc_image_parse (const guint8 *head, gsize length, guint64 size, DiscImage *image);

/* Whether the boot catalog, a block of the disc, has something that UEFI starts. */
gboolean disc_image_catalog_has_uefi (const guint8 *catalog, gsize length);

/* The block of the boot catalog, 0 if there is none. */
guint32 disc_image_find_catalog (const guint8 *head, gsize length);

G_END_DECLS
