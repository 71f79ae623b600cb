#pragma once

#include <gio/gio.h>
#include "gallery/gallery-entry.h"
#include "gallery/gallery-progress.h"

G_BEGIN_DECLS

/* Brings one file from its vendor, or a mirror, to `path`.
 *
 * While it is under way the bytes are in `path`.part, and `path`.part.meta says where they are
 * from and the ETag or date of that version. A later download, of this or another process, goes
 * on from there (Range with If-Range); a server that has a new version or no ranges sends it all
 * again. Bytes that are already there are hashed again, so the digest always covers the whole
 * file on disk. A break is retried a few times with growing pauses, then the next mirror is
 * tried. */

typedef struct GalleryDownloadOptions
{
  const char *const *urls; /* tried in order; http, https, file */
  const char *path;
  guint64 size;     /* what it should be; 0: not known */
  guint64 size_max; /* more than this is refused; 0: `size`, or 64 GiB if that is not known */
  GalleryHash hash; /* to compute; GALLERY_HASH_NONE for none */
  guint retries;    /* after a break, for each URL, as long as each brings no byte */
  guint retry_ms;   /* pause before the first retry; doubles */
} GalleryDownloadOptions;

void gallery_download_async (const GalleryDownloadOptions *options, GalleryProgressFunc progress,
                             gpointer progress_data, GCancellable *cancellable,
                             GAsyncReadyCallback callback, gpointer data);
/* FALSE: the part is kept for the next time, unless what it holds cannot be right. `digest`
 * (free it; may be NULL) is of the whole file. */
gboolean gallery_download_finish (GAsyncResult *result, char **digest, GError **error);

/* A small text (a list of checksums) in memory, at most `size_max` bytes. */
void gallery_download_text_async (const char *url, gsize size_max, GCancellable *cancellable,
                                  GAsyncReadyCallback callback, gpointer data);
GBytes *gallery_download_text_finish (GAsyncResult *result, GError **error);

G_END_DECLS
