#pragma once

#include <gio/gio.h>

G_BEGIN_DECLS

/* Downloads that are kept, each under a name made of its URL and file name, so that a second
 * machine of the same system downloads nothing.
 *
 * NAME.part, NAME.part.meta  under way, see gallery-download.h
 * NAME                       complete
 * NAME.ok                    its hash was right: which hash, and the size and time of the file
 * it was taken of. A file without it is never used.
 *
 * Thread: any; calls on one cache are not concurrent. */

#define GALLERY_TYPE_CACHE (gallery_cache_get_type ())
G_DECLARE_FINAL_TYPE (GalleryCache, gallery_cache, GALLERY, CACHE, GObject)

/* NULL: the user's. The folder is made when it is first needed. */
GalleryCache *gallery_cache_new (const char *folder);
const char *gallery_cache_get_folder (GalleryCache *self);

/* Where the download of `url` goes (free it). */
char *gallery_cache_dup_path (GalleryCache *self, const char *url);

/* Whether the file at `path` is there, unchanged since it was marked, and had this hash. */
gboolean gallery_cache_is_verified (GalleryCache *self, const char *path, const char *digest);
/* The digest it was marked with (free it), NULL if it is not verified. */
char *gallery_cache_dup_verified_digest (GalleryCache *self, const char *path);
gboolean gallery_cache_mark_verified (GalleryCache *self, const char *path, const char *digest,
                                      GError **error);

/* Removes one download with what belongs to it. */
gboolean gallery_cache_remove (GalleryCache *self, const char *path, GError **error);

typedef struct GalleryCacheItem
{
  char *name;
  char *path;
  guint64 size;     /* bytes on disk */
  gint64 used;      /* seconds since 1970 */
  gboolean partial; /* not complete yet */
} GalleryCacheItem;
void gallery_cache_item_free (GalleryCacheItem *item);

/* All downloads, the last used first (g_ptr_array_unref ()). Reads the folder. */
GPtrArray *gallery_cache_list (GalleryCache *self);
guint64 gallery_cache_get_size (GalleryCache *self);

/* Removes, in a thread, everything but the downloads `keep` (their final paths, see gallery_cache_dup_path (); NULL: none), which
 * may be under way; the result is how many bytes that freed, -1 on failure. Machines are not touched: they have copies. */
void gallery_cache_purge_async (GalleryCache *self, const char *const *keep,
                                GCancellable *cancellable, GAsyncReadyCallback callback,
                                gpointer data);
gint64 gallery_cache_purge_finish (GalleryCache *self, GAsyncResult *result, GError **error);

G_END_DECLS
