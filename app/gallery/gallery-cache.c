#define G_LOG_DOMAIN "app-gallery"

#include "gallery/gallery-cache.h"

#include "base/app-dirs.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <glib/gstdio.h>

/* Theory of operation: NAME.ok is a key file with the digest and with the size and time of the
 * file at that moment, so a file that was changed or exchanged afterwards counts as not verified
 * and is hashed again. */

#define OK_SUFFIX    ".ok"
#define PART_SUFFIX  ".part"
#define META_SUFFIX  ".part.meta"
#define OK_GROUP     "verified"
#define OK_MAX       4096
#define NAME_MAX_LEN 80

struct _GalleryCache
{
  GObject parent;
  char *folder;
};

G_DEFINE_FINAL_TYPE (GalleryCache, gallery_cache, G_TYPE_OBJECT)

GalleryCache *
gallery_cache_new (const char *folder)
{
  GalleryCache *self = g_object_new (GALLERY_TYPE_CACHE, NULL);

  self->folder = folder != NULL ? g_canonicalize_filename (folder, NULL) : app_dirs_dup_cache ();
  return self;
}

const char *
gallery_cache_get_folder (GalleryCache *self)
{
  return self->folder;
}

/* HASH-NAME: the hash tells two vendors' disk.img apart, the name is for people. */
char *
gallery_cache_dup_path (GalleryCache *self, const char *url)
{
  g_autofree char *digest = g_compute_checksum_for_string (G_CHECKSUM_SHA256, url, -1);
  g_autofree char *plain = g_strndup (url, strcspn (url, "?#"));
  g_autofree char *base = g_path_get_basename (plain);
  g_autofree char *name = NULL;

  g_strcanon (base, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789.-_", '_');
  name = g_strdup_printf ("%.16s-%.*s", digest, NAME_MAX_LEN, base);
  return g_build_filename (self->folder, name, NULL);
}

/* --- verified ------------------------------------------------------------------------------ */

static GKeyFile *
load_ok (const char *path)
{
  g_autofree char *ok_path = g_strconcat (path, OK_SUFFIX, NULL);
  g_autoptr (GKeyFile) ok = g_key_file_new ();
  struct stat st;

  if (stat (ok_path, &st) != 0 || st.st_size > OK_MAX ||
      !g_key_file_load_from_file (ok, ok_path, G_KEY_FILE_NONE, NULL))
    return NULL;
  return g_steal_pointer (&ok);
}

static gint64
time_ns (const struct stat *st)
{
  return (gint64) st->st_mtim.tv_sec * 1000000000 + st->st_mtim.tv_nsec;
}

char *
gallery_cache_dup_verified_digest (GalleryCache *self, const char *path)
{
  g_autoptr (GKeyFile) ok = load_ok (path);
  struct stat st;

  if (ok == NULL || lstat (path, &st) != 0 || !S_ISREG (st.st_mode) ||
      g_key_file_get_int64 (ok, OK_GROUP, "size", NULL) != st.st_size ||
      g_key_file_get_int64 (ok, OK_GROUP, "mtime", NULL) != time_ns (&st))
    return NULL;
  return g_key_file_get_string (ok, OK_GROUP, "digest", NULL);
}

gboolean
gallery_cache_is_verified (GalleryCache *self, const char *path, const char *digest)
{
  g_autofree char *marked = gallery_cache_dup_verified_digest (self, path);

  return marked != NULL && g_ascii_strcasecmp (marked, digest) == 0;
}

gboolean
gallery_cache_mark_verified (GalleryCache *self, const char *path, const char *digest,
                             GError **error)
{
  g_autofree char *ok_path = g_strconcat (path, OK_SUFFIX, NULL);
  g_autoptr (GKeyFile) ok = g_key_file_new ();
  struct stat st;

  if (stat (path, &st) != 0)
    {
      int saved_errno = errno;

      g_set_error (error, G_IO_ERROR, g_io_error_from_errno (saved_errno), "Cannot read “%s”: %s",
                   path, g_strerror (saved_errno));
      return FALSE;
    }
  g_key_file_set_string (ok, OK_GROUP, "digest", digest);
  g_key_file_set_int64 (ok, OK_GROUP, "size", st.st_size);
  g_key_file_set_int64 (ok, OK_GROUP, "mtime", time_ns (&st));
  return g_key_file_save_to_file (ok, ok_path, error);
}

/* --- housekeeping -------------------------------------------------------------------------- */

static gboolean
unlink_if_there (const char *path, GError **error)
{
  int saved_errno;

  if (g_unlink (path) == 0 || errno == ENOENT)
    return TRUE;
  saved_errno = errno;
  g_set_error (error, G_IO_ERROR, g_io_error_from_errno (saved_errno), "Cannot remove “%s”: %s",
               path, g_strerror (saved_errno));
  return FALSE;
}

gboolean
gallery_cache_remove (GalleryCache *self, const char *path, GError **error)
{
  static const char *const suffixes[] = { OK_SUFFIX, META_SUFFIX, PART_SUFFIX, "" };

  for (guint i = 0; i < G_N_ELEMENTS (suffixes); i++)
    {
      g_autofree char *full = g_strconcat (path, suffixes[i], NULL);

      if (!unlink_if_there (full, error))
        return FALSE;
    }
  return TRUE;
}

void
gallery_cache_item_free (GalleryCacheItem *item)
{
  g_free (item->name);
  g_free (item->path);
  g_free (item);
}

static int
compare_items (gconstpointer a, gconstpointer b)
{
  const GalleryCacheItem *one = *(const GalleryCacheItem *const *) a;
  const GalleryCacheItem *other = *(const GalleryCacheItem *const *) b;

  return one->used == other->used  ? strcmp (one->name, other->name)
         : one->used < other->used ? 1
                                   : -1;
}

GPtrArray *
gallery_cache_list (GalleryCache *self)
{
  GPtrArray *items = g_ptr_array_new_with_free_func ((GDestroyNotify) gallery_cache_item_free);
  g_autoptr (GDir) dir = g_dir_open (self->folder, 0, NULL);
  const char *name;

  while (dir != NULL && (name = g_dir_read_name (dir)) != NULL)
    {
      g_autofree char *path = g_build_filename (self->folder, name, NULL);
      GalleryCacheItem *item;
      struct stat st;

      if (g_str_has_suffix (name, OK_SUFFIX) || g_str_has_suffix (name, META_SUFFIX) ||
          lstat (path, &st) != 0 || !S_ISREG (st.st_mode))
        continue;
      item = g_new0 (GalleryCacheItem, 1);
      item->partial = g_str_has_suffix (name, PART_SUFFIX);
      item->name = g_strdup (name);
      item->path = g_steal_pointer (&path);
      item->size = (guint64) st.st_blocks * 512;
      item->used = MAX (st.st_atim.tv_sec, st.st_mtim.tv_sec);
      g_ptr_array_add (items, item);
    }
  g_ptr_array_sort (items, compare_items);
  return items;
}

guint64
gallery_cache_get_size (GalleryCache *self)
{
  g_autoptr (GPtrArray) items = gallery_cache_list (self);
  guint64 size = 0;

  for (guint i = 0; i < items->len; i++)
    size += ((GalleryCacheItem *) items->pdata[i])->size;
  return size;
}

static void
purge_thread (GTask *task, gpointer source, gpointer data, GCancellable *cancellable)
{
  GalleryCache *self = source;
  const char *const *keep = data;
  g_autoptr (GPtrArray) items = gallery_cache_list (self);
  gssize freed = 0;

  for (guint i = 0; i < items->len; i++)
    {
      GalleryCacheItem *item = items->pdata[i];
      GError *error = NULL;

      if (item->partial)
        item->path[strlen (item->path) - strlen (PART_SUFFIX)] = '\0';
      if (g_strv_contains (keep, item->path))
        continue;
      if (!gallery_cache_remove (self, item->path, &error))
        {
          g_task_return_error (task, error);
          return;
        }
      freed += (gssize) item->size;
    }
  g_task_return_int (task, freed);
}

void
gallery_cache_purge_async (GalleryCache *self, const char *const *keep, GCancellable *cancellable,
                           GAsyncReadyCallback callback, gpointer data)
{
  static const char *const none[] = { NULL };
  g_autoptr (GTask) task = g_task_new (self, cancellable, callback, data);

  g_task_set_source_tag (task, gallery_cache_purge_async);
  g_task_set_task_data (task, g_strdupv ((char **) (keep != NULL ? keep : none)),
                        (GDestroyNotify) g_strfreev);
  g_task_run_in_thread (task, purge_thread);
}

gint64
gallery_cache_purge_finish (GalleryCache *self, GAsyncResult *result, GError **error)
{
  g_return_val_if_fail (g_task_is_valid (result, self), -1);
  return g_task_propagate_int (G_TASK (result), error);
}

static void
gallery_cache_finalize (GObject *object)
{
  g_free (GALLERY_CACHE (object)->folder);
  G_OBJECT_CLASS (gallery_cache_parent_class)->finalize (object);
}

static void
gallery_cache_class_init (GalleryCacheClass *klass)
{
  G_OBJECT_CLASS (klass)->finalize = gallery_cache_finalize;
}

static void
gallery_cache_init (GalleryCache *self)
{
}
