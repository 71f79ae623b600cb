#pragma once

#include <gio/gio.h>
#include "gallery/gallery-entry.h"
#include "gallery/gallery-progress.h"

G_BEGIN_DECLS

/* Takes archives apart with libarchive, in a worker thread. The archive is hostile: names that
 * are absolute or climb, links that lead out, devices, and more bytes than allowed are refused,
 * and what was written is removed. Runs of zeroes become holes. */

typedef struct GalleryUnpackOptions
{
  const char *archive;
  GalleryUnpackKind kind;
  const char
      *member; /* zip and tar, unpacking one file: which. NULL: the only regular file there is */
  guint64 size_max; /* bytes that may be written in all; 0: see GALLERY_UNPACK_RATIO_MAX */
} GalleryUnpackOptions;

/* Without a bound of its own an archive may grow by this factor, but always to 1 GiB. */
#define GALLERY_UNPACK_RATIO_MAX 100
#define GALLERY_UNPACK_FILES_MAX 100000

/* One file to `path` (which must not exist). */
void gallery_unpack_file_async (const GalleryUnpackOptions *options, const char *path,
                                GalleryProgressFunc progress, gpointer progress_data,
                                GCancellable *cancellable, GAsyncReadyCallback callback,
                                gpointer data);
gboolean gallery_unpack_file_finish (GAsyncResult *result, GError **error);

/* Everything into `folder` (made if it is not there; what it held stays). On failure what this
 * call wrote is removed. */
void gallery_unpack_folder_async (const GalleryUnpackOptions *options, const char *folder,
                                  GalleryProgressFunc progress, gpointer progress_data,
                                  GCancellable *cancellable, GAsyncReadyCallback callback,
                                  gpointer data);
gboolean gallery_unpack_folder_finish (GAsyncResult *result, GError **error);

G_END_DECLS
