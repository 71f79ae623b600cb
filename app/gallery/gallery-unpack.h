#pragma once

#include <gio/gio.h>
#include "gallery/gallery-entry.h"
#include "gallery/gallery-progress.h"

G_BEGIN_DECLS

/* Takes one file out of an archive with libarchive, in a worker thread.
 *
 * The archive is hostile. Nothing but the one file named by the caller is ever written, so no
 * name in the archive decides where; an archive with names that are absolute or climb, with
 * links that lead out, or with devices is refused all the same, as nobody honest publishes one.
 * More bytes than allowed are refused. Runs of zeroes become holes. */

/* Without a bound of its own an archive may grow by this factor, but always to 1 GiB. */
#define GALLERY_UNPACK_RATIO_MAX 100
#define GALLERY_UNPACK_FILES_MAX 100000

typedef struct GalleryUnpackOptions
{
  const char *archive;
  const char *path; /* of the new file; must not exist */
  GalleryUnpackKind kind;
  const char *member; /* zip and tar: which file; NULL: the only one there is */
  guint64 size_max;   /* bytes that may be written; 0: see GALLERY_UNPACK_RATIO_MAX */
} GalleryUnpackOptions;

/* Progress counts bytes of the archive. On failure nothing is left behind. */
void gallery_unpack_async (const GalleryUnpackOptions *options, GalleryProgressFunc progress,
                           gpointer progress_data, GCancellable *cancellable,
                           GAsyncReadyCallback callback, gpointer data);
gboolean gallery_unpack_finish (GAsyncResult *result, GError **error);

G_END_DECLS
