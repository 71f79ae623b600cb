#define G_LOG_DOMAIN "app-gallery"

#include "gallery/gallery-unpack.h"

#include "gallery/gallery-meter.h"

#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <glib/gstdio.h>

#define READ_PIECE   (256 * 1024)
#define HOLE_PIECE   4096
#define SIZE_MAX_LOW (G_GUINT64_CONSTANT (1) << 30)

typedef struct Unpack
{
  char *archive_path;
  char *path;
  char *member;
  GalleryUnpackKind kind;
  guint64 size_max;
  guint64 skip_max; /* of all that is read and not wanted */
  guint64 skipped;
  GalleryMeter *meter;
  struct archive *archive;
  int fd; /* of the new file */
} Unpack;

static void
unpack_free (gpointer data)
{
  Unpack *job = data;

  gallery_meter_unref (job->meter);
  g_free (job->archive_path);
  g_free (job->path);
  g_free (job->member);
  g_free (job);
}

static gboolean
fail_archive (Unpack *job, GError **error)
{
  const char *text = archive_error_string (job->archive);
  g_autofree char *valid = g_utf8_make_valid (text != NULL ? text : "it is damaged", -1);

  g_set_error (error, G_IO_ERROR, G_IO_ERROR_INVALID_DATA, "The archive cannot be read: %s", valid);
  return FALSE;
}

static gboolean
fail_write (Unpack *job, GError **error)
{
  int saved_errno = errno;
  g_autofree char *folder = g_path_get_dirname (job->path);

  if (saved_errno == ENOSPC || saved_errno == EDQUOT || saved_errno == EFBIG)
    g_set_error (error, G_IO_ERROR, G_IO_ERROR_NO_SPACE,
                 "There is no room left on the disk of “%s” (%s): make room and try again", folder,
                 g_strerror (saved_errno));
  else
    g_set_error (error, G_IO_ERROR, g_io_error_from_errno (saved_errno), "Cannot write “%s”: %s",
                 job->path, g_strerror (saved_errno));
  return FALSE;
}

/* --- what an honest archive does not have --------------------------------------------------- */

/* Whether `path`, taken from inside the folder `depth` levels down, stays within the archive's
 * root. */
static gboolean
stays_inside (const char *path, int depth)
{
  g_auto (GStrv) parts = g_strsplit (path, "/", -1);

  if (path[0] == '/')
    return FALSE;
  for (guint i = 0; parts[i] != NULL; i++)
    {
      if (g_str_equal (parts[i], ".."))
        depth--;
      else if (parts[i][0] != '\0' && !g_str_equal (parts[i], "."))
        depth++;
      if (depth < 0)
        return FALSE;
    }
  return TRUE;
}

static int
depth_of (const char *path)
{
  int depth = 0;

  for (const char *p = path; *p != '\0'; p++)
    if (*p == '/' && p > path)
      depth++;
  return depth;
}

static gboolean
refuse (const char *name, const char *why, GError **error)
{
  g_autofree char *shown = g_utf8_make_valid (name, strnlen (name, 100));

  g_set_error (error, G_IO_ERROR, G_IO_ERROR_INVALID_DATA,
               "The archive is refused: its entry “%s” %s", shown, why);
  return FALSE;
}

static gboolean
check_entry (struct archive_entry *entry, GError **error)
{
  const char *name = archive_entry_pathname (entry);
  const char *link = archive_entry_symlink (entry);
  const char *hard = archive_entry_hardlink (entry);
  g_auto (GStrv) parts = NULL;

  if (name == NULL || name[0] == '\0')
    return refuse ("", "has no name", error);
  parts = g_strsplit (name, "/", -1);
  if (name[0] == '/')
    return refuse (name, "is an absolute path", error);
  if (g_strv_contains ((const char *const *) parts, ".."))
    return refuse (name, "climbs out of its folder", error);
  if (link != NULL && !stays_inside (link, depth_of (name)))
    return refuse (name, "is a link that leads out of its folder", error);
  if (hard != NULL && !stays_inside (hard, 0))
    return refuse (name, "is a link that leads out of its folder", error);
  switch (archive_entry_filetype (entry))
    {
    case AE_IFREG:
    case AE_IFDIR:
    case AE_IFLNK:
    case 0: /* a hard link */
      return TRUE;
    default:
      return refuse (name, "is a device, a pipe or a socket", error);
    }
}

/* --- writing ------------------------------------------------------------------------------- */

static gboolean
write_at (Unpack *job, const guint8 *data, gsize length, guint64 offset, GError **error)
{
  while (length > 0)
    {
      ssize_t written = pwrite (job->fd, data, length, offset);

      if (written < 0 && errno == EINTR)
        continue;
      if (written < 0)
        return fail_write (job, error);
      data += written;
      length -= written;
      offset += written;
    }
  return TRUE;
}

static gboolean
is_zero (const guint8 *data, gsize length)
{
  return data[0] == 0 && memcmp (data, data + 1, length - 1) == 0;
}

/* Leaves out the pieces that are zero: the file is cut to its length at the end. */
static gboolean
write_sparse (Unpack *job, const guint8 *data, gsize length, guint64 offset, GError **error)
{
  while (length > 0)
    {
      gsize piece = MIN (length, HOLE_PIECE - offset % HOLE_PIECE);

      if (!is_zero (data, piece) && !write_at (job, data, piece, offset, error))
        return FALSE;
      data += piece;
      length -= piece;
      offset += piece;
    }
  return TRUE;
}

static gboolean
write_data (Unpack *job, GCancellable *cancellable, GError **error)
{
  const void *data;
  size_t length;
  la_int64_t offset;
  guint64 end = 0;
  int result;

  while ((result = archive_read_data_block (job->archive, &data, &length, &offset)) == ARCHIVE_OK ||
         result == ARCHIVE_RETRY)
    {
      if (g_cancellable_set_error_if_cancelled (cancellable, error))
        return FALSE;
      if (result == ARCHIVE_RETRY)
        continue;
      if (offset < 0 || (guint64) offset > job->size_max || length > job->size_max - offset)
        {
          g_autofree char *limit = g_format_size_full (job->size_max, G_FORMAT_SIZE_IEC_UNITS);

          g_set_error (error, G_IO_ERROR, G_IO_ERROR_MESSAGE_TOO_LARGE,
                       "The archive is refused: it unpacks to more than %s", limit);
          return FALSE;
        }
      if (!write_sparse (job, data, length, offset, error))
        return FALSE;
      end = MAX (end, offset + length);
      gallery_meter_set (job->meter, archive_filter_bytes (job->archive, -1));
    }
  if (result != ARCHIVE_EOF)
    return fail_archive (job, error);
  if (ftruncate (job->fd, end) != 0)
    return fail_write (job, error);
  return TRUE;
}

/* An entry that is not wanted has to be read through all the same where the archive is compressed as a whole. */
static gboolean
skip_data (Unpack *job, GCancellable *cancellable, GError **error)
{
  const void *data;
  size_t length;
  la_int64_t offset;
  int result;

  while ((result = archive_read_data_block (job->archive, &data, &length, &offset)) == ARCHIVE_OK ||
         result == ARCHIVE_RETRY)
    {
      if (g_cancellable_set_error_if_cancelled (cancellable, error))
        return FALSE;
      if (result == ARCHIVE_RETRY)
        continue;
      if (length > job->skip_max - job->skipped)
        {
          g_autofree char *limit = g_format_size_full (job->skip_max, G_FORMAT_SIZE_IEC_UNITS);

          g_set_error (error, G_IO_ERROR, G_IO_ERROR_MESSAGE_TOO_LARGE,
                       "The archive is refused: it has more than %s besides the file", limit);
          return FALSE;
        }
      job->skipped += length;
      gallery_meter_set (job->meter, archive_filter_bytes (job->archive, -1));
    }
  return result == ARCHIVE_EOF || fail_archive (job, error);
}

/* --- reading ------------------------------------------------------------------------------- */

static void
choose_formats (Unpack *job)
{
  switch (job->kind)
    {
    case GALLERY_UNPACK_GZ:
      archive_read_support_filter_gzip (job->archive);
      archive_read_support_format_raw (job->archive);
      break;
    case GALLERY_UNPACK_XZ:
      archive_read_support_filter_xz (job->archive);
      archive_read_support_format_raw (job->archive);
      break;
    case GALLERY_UNPACK_ZST:
      archive_read_support_filter_zstd (job->archive);
      archive_read_support_format_raw (job->archive);
      break;
    case GALLERY_UNPACK_ZIP:
      archive_read_support_format_zip (job->archive);
      break;
    case GALLERY_UNPACK_TAR:
      archive_read_support_filter_gzip (job->archive);
      archive_read_support_filter_xz (job->archive);
      archive_read_support_filter_zstd (job->archive);
      archive_read_support_filter_bzip2 (job->archive);
      archive_read_support_format_tar (job->archive);
      break;
    case GALLERY_UNPACK_NONE:
    default:
      g_assert_not_reached ();
    }
}

static gboolean
is_compressed_only (GalleryUnpackKind kind)
{
  return kind == GALLERY_UNPACK_GZ || kind == GALLERY_UNPACK_XZ || kind == GALLERY_UNPACK_ZST;
}

static gboolean
open_archive (Unpack *job, GError **error)
{
  struct stat st;

  if (stat (job->archive_path, &st) != 0)
    {
      int saved_errno = errno;

      g_set_error (error, G_IO_ERROR, g_io_error_from_errno (saved_errno), "Cannot read “%s”: %s",
                   job->archive_path, g_strerror (saved_errno));
      return FALSE;
    }
  job->skip_max = MAX (SIZE_MAX_LOW, (guint64) st.st_size * GALLERY_UNPACK_RATIO_MAX);
  if (job->size_max == 0)
    job->size_max = job->skip_max;
  gallery_meter_begin (job->meter, 0, st.st_size);
  choose_formats (job);
  if (archive_read_open_filename (job->archive, job->archive_path, READ_PIECE) != ARCHIVE_OK)
    return fail_archive (job, error);
  return TRUE;
}

/* Raw accepts anything, so a file that is not compressed at all would come through as it is. */
static gboolean
check_filter (Unpack *job, GError **error)
{
  if (!is_compressed_only (job->kind) ||
      archive_filter_code (job->archive, 0) != ARCHIVE_FILTER_NONE)
    return TRUE;
  g_set_error (error, G_IO_ERROR, G_IO_ERROR_INVALID_DATA,
               "The file is not compressed as the catalogue says");
  return FALSE;
}

static gboolean
is_wanted (Unpack *job, struct archive_entry *entry)
{
  const char *name = archive_entry_pathname (entry);

  if (is_compressed_only (job->kind))
    return TRUE;
  if (g_str_has_prefix (name, "./"))
    name += 2;
  if (job->member != NULL)
    return g_str_equal (name, job->member);
  return archive_entry_filetype (entry) == AE_IFREG;
}

static gboolean
take_entry (Unpack *job, struct archive_entry *entry, gboolean *found, GCancellable *cancellable,
            GError **error)
{
  if (!is_compressed_only (job->kind) && !check_entry (entry, error))
    return FALSE;
  /* In a zip, libarchive goes to the next entry without reading this one. */
  if (!is_wanted (job, entry))
    return job->kind != GALLERY_UNPACK_TAR || skip_data (job, cancellable, error);
  if (*found)
    {
      g_set_error (
          error, G_IO_ERROR, G_IO_ERROR_INVALID_DATA,
          "The archive has more than one file, and the catalogue does not say which is meant");
      return FALSE;
    }
  if (archive_entry_filetype (entry) != AE_IFREG || archive_entry_hardlink (entry) != NULL)
    return refuse (archive_entry_pathname (entry), "is not a plain file", error);
  *found = TRUE;
  return write_data (job, cancellable, error);
}

static gboolean
read_entries (Unpack *job, GCancellable *cancellable, GError **error)
{
  struct archive_entry *entry;
  gboolean found = FALSE;
  int result;

  for (guint i = 0; (result = archive_read_next_header (job->archive, &entry)) == ARCHIVE_OK ||
                    result == ARCHIVE_WARN;
       i++)
    {
      if (i >= GALLERY_UNPACK_FILES_MAX)
        {
          g_set_error (error, G_IO_ERROR, G_IO_ERROR_INVALID_DATA,
                       "The archive is refused: it has more than %d entries",
                       GALLERY_UNPACK_FILES_MAX);
          return FALSE;
        }
      if ((i == 0 && !check_filter (job, error)) ||
          g_cancellable_set_error_if_cancelled (cancellable, error) ||
          !take_entry (job, entry, &found, cancellable, error))
        return FALSE;
      gallery_meter_set (job->meter, archive_filter_bytes (job->archive, -1));
    }
  if (result != ARCHIVE_EOF)
    return fail_archive (job, error);
  if (found)
    return TRUE;
  g_set_error (error, G_IO_ERROR, G_IO_ERROR_NOT_FOUND, "The archive has no file “%s”",
               job->member != NULL ? job->member : "");
  return FALSE;
}

static void
unpack_thread (GTask *task, gpointer source, gpointer data, GCancellable *cancellable)
{
  Unpack *job = data;
  g_autofree char *name = g_path_get_basename (job->archive_path);
  GError *error = NULL;
  gboolean ok = FALSE;

  job->archive = archive_read_new ();
  job->fd = open (job->path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
  if (job->fd < 0)
    fail_write (job, &error);
  else
    {
      ok = open_archive (job, &error) && read_entries (job, cancellable, &error);
      if (close (job->fd) != 0 && ok)
        ok = fail_write (job, &error);
      if (!ok)
        g_unlink (job->path);
    }
  archive_read_free (job->archive);
  if (ok)
    {
      gallery_meter_end (job->meter);
      g_task_return_boolean (task, TRUE);
      return;
    }
  if (!g_error_matches (error, G_IO_ERROR, G_IO_ERROR_CANCELLED))
    g_prefix_error (&error, "“%s” could not be unpacked: ", name);
  g_task_return_error (task, error);
}

void
gallery_unpack_async (const GalleryUnpackOptions *options, GalleryProgressFunc progress,
                      gpointer progress_data, GCancellable *cancellable,
                      GAsyncReadyCallback callback, gpointer data)
{
  g_autoptr (GTask) task = g_task_new (NULL, cancellable, callback, data);
  Unpack *job = g_new0 (Unpack, 1);

  g_return_if_fail (options->kind != GALLERY_UNPACK_NONE);
  g_task_set_source_tag (task, gallery_unpack_async);
  job->archive_path = g_strdup (options->archive);
  job->path = g_strdup (options->path);
  job->member = g_strdup (options->member);
  job->kind = options->kind;
  job->size_max = options->size_max;
  job->meter = gallery_meter_new (progress, progress_data);
  job->fd = -1;
  g_task_set_task_data (task, job, unpack_free);
  g_task_run_in_thread (task, unpack_thread);
}

gboolean
gallery_unpack_finish (GAsyncResult *result, GError **error)
{
  g_return_val_if_fail (g_task_is_valid (result, NULL), FALSE);
  return g_task_propagate_boolean (G_TASK (result), error);
}
