#define G_LOG_DOMAIN "app-machine"

#include "machine/disc-image.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define BLOCK 2048u

enum
{
  FIRST_DESCRIPTOR = 16, /* block; ECMA-119, 6.7.1 */
  TYPE_BOOT = 0,
  TYPE_PRIMARY = 1,
  LABEL_OFFSET = 40,
  VOLUME_BLOCKS_OFFSET = 80,
  CATALOG_OFFSET = 0x47, /* El Torito, 2.0 */
  ENTRY_SIZE = 32,
  PLATFORM_EFI = 0xef, /* UEFI, 13.3.2.1 */
  ENTRY_BOOTABLE = 0x88,
  HEADER_MORE = 0x90,
  HEADER_LAST = 0x91,
};

static guint32
get_u32 (const guint8 *bytes)
{
  return bytes[0] | bytes[1] << 8 | bytes[2] << 16 | (guint32) bytes[3] << 24;
}

/* The first descriptor of a type, of ISO 9660; NULL if there is none. */
static const guint8 *
find_descriptor (const guint8 *head, gsize length, guint8 type)
{
  for (gsize at = FIRST_DESCRIPTOR * BLOCK; at + BLOCK <= length; at += BLOCK)
    if (memcmp (head + at + 1, "CD001", 5) == 0 && head[at] == type)
      return head + at;
  return NULL;
}

/* ECMA-167, 3/9.1: the volume recognition sequence. */
static gboolean
is_udf (const guint8 *head, gsize length)
{
  for (gsize at = FIRST_DESCRIPTOR * BLOCK; at + BLOCK <= length; at += BLOCK)
    if (memcmp (head + at + 1, "NSR02", 5) == 0 || memcmp (head + at + 1, "NSR03", 5) == 0)
      return TRUE;
  return FALSE;
}

static void
take_label (DiscImage *image, const guint8 *bytes)
{
  g_autofree char *raw = g_strndup ((const char *) bytes, DISC_IMAGE_LABEL_MAX);
  g_autofree char *text = g_utf8_make_valid (raw, -1);

  for (char *c = text; *c != '\0'; c++)
    if (g_ascii_iscntrl (*c))
      *c = ' ';
  g_strlcpy (image->label, g_strstrip (text), sizeof image->label);
}

gboolean
disc_image_parse (const guint8 *head, gsize length, guint64 size, DiscImage *image)
{
  const guint8 *primary = find_descriptor (head, length, TYPE_PRIMARY);

  *image = (DiscImage){ .size = size };
  if (primary != NULL)
    {
      image->volume_size = get_u32 (primary + VOLUME_BLOCKS_OFFSET) * (guint64) BLOCK;
      take_label (image, primary + LABEL_OFFSET);
    }
  return primary != NULL || is_udf (head, length);
}

guint32
disc_image_find_catalog (const guint8 *head, gsize length)
{
  const guint8 *boot = find_descriptor (head, length, TYPE_BOOT);

  if (boot == NULL || memcmp (boot + 7, "EL TORITO SPECIFICATION", 23) != 0)
    return 0;
  return get_u32 (boot + CATALOG_OFFSET);
}

gboolean
disc_image_catalog_has_uefi (const guint8 *catalog, gsize length)
{
  guint8 platform;

  if (length < 2 * ENTRY_SIZE || catalog[0] != 1 || catalog[30] != 0x55 || catalog[31] != 0xaa)
    return FALSE;
  platform = catalog[1];
  for (gsize at = ENTRY_SIZE; at + ENTRY_SIZE <= length; at += ENTRY_SIZE)
    {
      const guint8 *entry = catalog + at;

      if (entry[0] == HEADER_MORE || entry[0] == HEADER_LAST)
        platform = entry[1];
      else if (entry[0] == ENTRY_BOOTABLE && platform == PLATFORM_EFI)
        return TRUE;
    }
  return FALSE;
}

static ssize_t
read_at (int fd, guint8 *bytes, gsize size, guint64 offset)
{
  gsize done = 0;
  ssize_t n;

  while (done < size && (n = pread (fd, bytes + done, size - done, (off_t) (offset + done))) != 0)
    {
      if (n < 0 && errno == EINTR)
        continue;
      if (n < 0)
        return -1;
      done += (gsize) n;
    }
  return (ssize_t) done;
}

static gboolean
fail (GError **error, const char *path, GIOErrorEnum code, const char *why)
{
  g_set_error (error, G_IO_ERROR, code, "“%s” %s", path, why);
  return FALSE;
}

static gboolean
check_whole (const char *path, const DiscImage *image, GError **error)
{
  g_autofree char *is = NULL;
  g_autofree char *should = NULL;

  if (image->volume_size <= image->size)
    return TRUE;
  is = g_format_size (image->size);
  should = g_format_size (image->volume_size);
  g_set_error (error, G_IO_ERROR, G_IO_ERROR_PARTIAL_INPUT,
               "“%s” is cut off: it has %s of the disc’s %s. Its download ended early: fetch it "
               "again",
               path, is, should);
  return FALSE;
}

static gboolean
read_image (int fd, const char *path, guint64 size, DiscImage *image, GError **error)
{
  g_autofree guint8 *head = g_malloc (DISC_IMAGE_HEAD);
  guint8 catalog[BLOCK];
  guint32 block;
  ssize_t length = read_at (fd, head, DISC_IMAGE_HEAD, 0);

  if (length < 0)
    return fail (error, path, g_io_error_from_errno (errno), g_strerror (errno));
  if (!disc_image_parse (head, (gsize) length, size, image))
    return fail (error, path, G_IO_ERROR_INVALID_DATA,
                 "is no image of a CD or DVD: it has neither an ISO 9660 nor a UDF file system. "
                 "Choose a file that ends in .iso");
  if (!check_whole (path, image, error))
    return FALSE;
  if (size % BLOCK != 0)
    return fail (error, path, G_IO_ERROR_PARTIAL_INPUT,
                 "is cut off: its size is not a multiple of 2048 bytes. Fetch it again");
  block = disc_image_find_catalog (head, (gsize) length);
  if (block != 0)
    {
      length = read_at (fd, catalog, sizeof catalog, (guint64) block * BLOCK);
      image->starts_by_uefi = length > 0 && disc_image_catalog_has_uefi (catalog, (gsize) length);
    }
  g_debug ("disc %s: label “%s”, %" G_GUINT64_FORMAT " of %" G_GUINT64_FORMAT " bytes, %s UEFI",
           path, image->label, size, image->volume_size, image->starts_by_uefi ? "by" : "not by");
  return TRUE;
}

gboolean
disc_image_read (const char *path, DiscImage *image, GError **error)
{
  struct stat st;
  gboolean ok;
  int fd, saved_errno;

  if (!g_utf8_validate (path, -1, NULL))
    {
      /* It goes into JSON and into a key file. */
      g_autofree char *shown = g_filename_display_name (path);

      return fail (error, shown, G_IO_ERROR_INVALID_FILENAME,
                   "has a name that is not UTF-8: rename it");
    }
  fd = open (path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
  saved_errno = errno;
  if (fd < 0)
    {
      g_set_error (error, G_IO_ERROR, g_io_error_from_errno (saved_errno),
                   "“%s” cannot be read: %s", path, g_strerror (saved_errno));
      return FALSE;
    }
  if (fstat (fd, &st) != 0 || S_ISDIR (st.st_mode))
    ok = fail (error, path, G_IO_ERROR_IS_DIRECTORY, "is a folder: choose the file of a disc");
  else if (!S_ISREG (st.st_mode))
    ok = fail (error, path, G_IO_ERROR_NOT_REGULAR_FILE,
               "is not a regular file: copy the disc into one");
  else
    ok = read_image (fd, path, (guint64) st.st_size, image, error);
  close (fd);
  return ok;
}

static void
read_thread (GTask *task, gpointer source, gpointer data, GCancellable *cancellable)
{
  g_autofree DiscImage *image = g_new0 (DiscImage, 1);
  GError *error = NULL;

  if (disc_image_read (data, image, &error))
    g_task_return_pointer (task, g_steal_pointer (&image), g_free);
  else
    g_task_return_error (task, error);
}

void
disc_image_read_async (const char *path, GCancellable *cancellable, GAsyncReadyCallback callback,
                       gpointer data)
{
  g_autoptr (GTask) task = g_task_new (NULL, cancellable, callback, data);

  g_task_set_source_tag (task, disc_image_read_async);
  g_task_set_task_data (task, g_strdup (path), g_free);
  g_task_run_in_thread (task, read_thread);
}

gboolean
disc_image_read_finish (GAsyncResult *result, DiscImage *image, GError **error)
{
  g_autofree DiscImage *own = NULL;

  g_return_val_if_fail (g_task_is_valid (result, NULL), FALSE);
  own = g_task_propagate_pointer (G_TASK (result), error);
  if (own == NULL)
    return FALSE;
  *image = *own;
  return TRUE;
}
