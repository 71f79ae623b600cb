#define G_LOG_DOMAIN "app-gallery"

#include "gallery/gallery-part.h"

#include "gallery/gallery-verify.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>
#include <glib/gstdio.h>

#define META_GROUP    "part"
#define META_MAX      (64 * 1024)
#define VALIDATOR_MAX 256
#define PIECE         (1024 * 1024)
/* Left free on the user's disk. */
#define ROOM_TO_SPARE (64 * 1024 * 1024)

struct GalleryPart
{
  char *path;
  char *part_path;
  char *meta_path;
  int fd;
  guint64 length;
  GalleryHash hash;
  GChecksum *checksum;
  char *validator; /* for If-Range; NULL: not to be resumed */
};

static gboolean
fail (GalleryPart *self, const char *verb, GError **error)
{
  int saved_errno = errno;

  if (saved_errno == ENOSPC || saved_errno == EDQUOT || saved_errno == EFBIG)
    {
      g_autofree char *folder = g_path_get_dirname (self->path);

      g_set_error (error, G_IO_ERROR, G_IO_ERROR_NO_SPACE,
                   "There is no room left on the disk of “%s” (%s); what was downloaded is kept: "
                   "make room and try again",
                   folder, g_strerror (saved_errno));
    }
  else
    g_set_error (error, G_IO_ERROR, g_io_error_from_errno (saved_errno), "Cannot %s “%s”: %s", verb,
                 self->part_path, g_strerror (saved_errno));
  return FALSE;
}

void
gallery_part_free (GalleryPart *self)
{
  if (self == NULL)
    return;
  /* An empty part is of no use; after completion there is none. */
  if (self->fd >= 0 && self->length == 0)
    g_unlink (self->part_path);
  if (self->fd >= 0)
    close (self->fd);
  g_checksum_free (self->checksum);
  g_free (self->validator);
  g_free (self->path);
  g_free (self->part_path);
  g_free (self->meta_path);
  g_free (self);
}

/* What it holds without a validator it cannot go on from. */
static void
load_meta (GalleryPart *self)
{
  g_autoptr (GKeyFile) meta = g_key_file_new ();
  g_autofree char *validator = NULL;
  struct stat st;

  if (stat (self->meta_path, &st) != 0 || st.st_size > META_MAX ||
      !g_key_file_load_from_file (meta, self->meta_path, G_KEY_FILE_NONE, NULL))
    return;
  validator = g_key_file_get_string (meta, META_GROUP, "validator", NULL);
  if (validator != NULL && strlen (validator) <= VALIDATOR_MAX &&
      strpbrk (validator, "\r\n") == NULL)
    self->validator = g_steal_pointer (&validator);
}

GalleryPart *
gallery_part_open (const char *path, GalleryHash hash, GError **error)
{
  g_autofree char *folder = g_path_get_dirname (path);
  GalleryPart *self = g_new0 (GalleryPart, 1);
  struct stat st;

  self->path = g_strdup (path);
  self->part_path = g_strconcat (path, ".part", NULL);
  self->meta_path = g_strconcat (path, ".part.meta", NULL);
  self->hash = hash;
  self->checksum = g_checksum_new (gallery_hash_get_checksum_type (hash));
  self->fd = -1;
  if (g_mkdir_with_parents (folder, 0700) == 0)
    self->fd = open (self->part_path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
  if (self->fd < 0 || fstat (self->fd, &st) != 0)
    {
      fail (self, "write", error);
      gallery_part_free (self);
      return NULL;
    }
  if (flock (self->fd, LOCK_EX | LOCK_NB) != 0)
    {
      g_set_error (error, G_IO_ERROR, G_IO_ERROR_BUSY, "It is being downloaded already");
      /* The other's file: not to be removed as an empty part of ours. */
      close (self->fd);
      self->fd = -1;
      gallery_part_free (self);
      return NULL;
    }
  load_meta (self);
  self->length = st.st_size;
  if (self->validator == NULL && self->length > 0)
    gallery_part_discard (self);
  return self;
}

gboolean
gallery_part_hash_again (GalleryPart *self, GalleryMeter *meter, GCancellable *cancellable,
                         GError **error)
{
  g_autofree guint8 *piece = NULL;
  guint64 done = 0;

  if (self->length == 0)
    return TRUE;
  g_debug ("part: %" G_GUINT64_FORMAT " bytes are there", self->length);
  piece = g_malloc (PIECE);
  g_checksum_reset (self->checksum);
  gallery_meter_begin (meter, 0, self->length);
  while (done < self->length)
    {
      ssize_t got = pread (self->fd, piece, MIN (PIECE, self->length - done), done);

      if (g_cancellable_set_error_if_cancelled (cancellable, error))
        return FALSE;
      if (got < 0 && errno == EINTR)
        continue;
      if (got <= 0)
        return fail (self, "read", error);
      g_checksum_update (self->checksum, piece, got);
      done += got;
      gallery_meter_set (meter, done);
    }
  return TRUE;
}

guint64
gallery_part_get_length (GalleryPart *self)
{
  return self->length;
}

void
gallery_part_ask_for_rest (GalleryPart *self, SoupMessageHeaders *request)
{
  if (self->length == 0 || self->validator == NULL)
    return;
  soup_message_headers_set_range (request, self->length, -1);
  soup_message_headers_replace (request, "If-Range", self->validator);
}

/* Only what is a date or a strong tag may stand in If-Range. */
static char *
validator_from (SoupMessageHeaders *response)
{
  const char *modified;
  const char *tag;

  if (response == NULL)
    return NULL;
  modified = soup_message_headers_get_one (response, "Last-Modified");
  tag = soup_message_headers_get_one (response, "ETag");
  if (modified != NULL)
    {
      g_autoptr (GDateTime) date = soup_date_time_new_from_http_string (modified);

      if (date != NULL)
        return g_strdup (modified);
    }
  if (tag != NULL && tag[0] == '"' && strlen (tag) <= VALIDATOR_MAX)
    return g_strdup (tag);
  return NULL;
}

static gboolean
save_meta (GalleryPart *self, GError **error)
{
  g_autoptr (GKeyFile) meta = g_key_file_new ();

  if (self->validator == NULL)
    {
      g_unlink (self->meta_path);
      return TRUE;
    }
  g_key_file_set_string (meta, META_GROUP, "validator", self->validator);
  return g_key_file_save_to_file (meta, self->meta_path, error);
}

gboolean
gallery_part_restart (GalleryPart *self, SoupMessageHeaders *response, GError **error)
{
  gallery_part_discard (self);
  self->validator = validator_from (response);
  if (self->length != 0)
    return fail (self, "empty", error);
  return save_meta (self, error);
}

gboolean
gallery_part_check_room (GalleryPart *self, guint64 total, GError **error)
{
  struct statvfs fs;
  guint64 missing = total > self->length ? total - self->length : 0;
  g_autofree char *wanted = NULL;
  g_autofree char *there = NULL;
  g_autofree char *folder = NULL;

  if (missing == 0 || fstatvfs (self->fd, &fs) != 0 ||
      (guint64) fs.f_bavail * fs.f_frsize >= missing + ROOM_TO_SPARE)
    return TRUE;
  wanted = g_format_size (missing);
  there = g_format_size ((guint64) fs.f_bavail * fs.f_frsize);
  folder = g_path_get_dirname (self->path);
  g_set_error (error, G_IO_ERROR, G_IO_ERROR_NO_SPACE,
               "It needs %s on the disk of “%s”, where %s are free: make room and try again",
               wanted, folder, there);
  return FALSE;
}

gboolean
gallery_part_append (GalleryPart *self, const guint8 *data, gsize length, GError **error)
{
  while (length > 0)
    {
      ssize_t written = pwrite (self->fd, data, length, self->length);

      if (written < 0 && errno == EINTR)
        continue;
      if (written < 0)
        return fail (self, "write", error);
      g_checksum_update (self->checksum, data, written);
      self->length += written;
      data += written;
      length -= written;
    }
  return TRUE;
}

void
gallery_part_discard (GalleryPart *self)
{
  g_clear_pointer (&self->validator, g_free);
  g_unlink (self->meta_path);
  g_checksum_reset (self->checksum);
  if (ftruncate (self->fd, 0) == 0)
    self->length = 0;
}

gboolean
gallery_part_complete (GalleryPart *self, GError **error)
{
  if (fsync (self->fd) != 0)
    return fail (self, "write", error);
  if (g_rename (self->part_path, self->path) != 0)
    return fail (self, "rename", error);
  g_unlink (self->meta_path);
  return TRUE;
}

char *
gallery_part_dup_digest (GalleryPart *self)
{
  g_autoptr (GChecksum) copy = g_checksum_copy (self->checksum);

  return g_strdup (g_checksum_get_string (copy));
}
