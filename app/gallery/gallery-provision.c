#define G_LOG_DOMAIN "app-gallery"

#include "gallery/gallery-provision.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>
#include <glib/gstdio.h>

/* qemu-img works on an image that a stranger made: it gets no more memory than this. */
#define CHILD_MEMORY_MAX (G_GUINT64_CONSTANT (4) << 30)
#define STDERR_MAX       4096
#define PROGRESS_TOTAL   10000
#define SECTOR           512

static gboolean
fail_errno (GError **error, const char *verb, const char *path)
{
  int saved_errno = errno;

  if (saved_errno == ENOSPC || saved_errno == EDQUOT || saved_errno == EFBIG)
    g_set_error (error, G_IO_ERROR, G_IO_ERROR_NO_SPACE,
                 "There is no room for “%s” (%s): make room and try again", path,
                 g_strerror (saved_errno));
  else
    g_set_error (error, G_IO_ERROR, g_io_error_from_errno (saved_errno), "Cannot %s “%s”: %s", verb,
                 path, g_strerror (saved_errno));
  return FALSE;
}

/* --- what qemu-img is given ---------------------------------------------------------------- */

static guint64
be (const guint8 *bytes, guint length)
{
  guint64 value = 0;

  for (guint i = 0; i < length; i++)
    value = value << 8 | bytes[i];
  return value;
}

static gboolean
refuse (GError **error, const char *why)
{
  g_set_error (error, G_IO_ERROR, G_IO_ERROR_INVALID_DATA, "The disk image is refused: %s", why);
  return FALSE;
}

/* docs/interop/qcow2.txt of QEMU: all big-endian; 0 magic, 4 version, 8 backing file's offset,
 * 20 cluster bits, 24 size, 32 encryption, from version 3 on 72 incompatible features (bit 2:
 * external data file). */
gboolean
gallery_provision_check_qcow2 (const guint8 *header, gsize length, guint64 *size, GError **error)
{
  guint64 version;

  if (length < GALLERY_QCOW2_HEADER || memcmp (header, "QFI\xfb", 4) != 0)
    return refuse (error, "it is not in the format qcow2 that the catalogue says");
  version = be (header + 4, 4);
  if (version != 2 && version != 3)
    return refuse (error, "it is of an unknown version of qcow2");
  if (be (header + 8, 8) != 0)
    return refuse (error, "it refers to another file as its base");
  if (be (header + 20, 4) < 9 || be (header + 20, 4) > 21)
    return refuse (error, "its header is damaged");
  if (be (header + 32, 4) != 0)
    return refuse (error, "it is encrypted");
  if (version == 3 && (be (header + 72, 8) & (1 << 2)) != 0)
    return refuse (error, "it keeps its data in another file");
  *size = be (header + 24, 8);
  if (*size == 0 || *size > GALLERY_PROVISION_DISK_MAX || *size % SECTOR != 0)
    return refuse (error, "the size of its disk is not possible");
  return TRUE;
}

static gboolean
check_source (const GalleryProvisionOptions *options, guint64 *size, GError **error)
{
  guint8 header[GALLERY_QCOW2_HEADER];
  int fd = open (options->source, O_RDONLY | O_CLOEXEC);
  ssize_t got = -1;
  struct stat st;

  if (fd >= 0 && fstat (fd, &st) == 0)
    got = pread (fd, header, sizeof header, 0);
  if (got < 0)
    {
      fail_errno (error, "read", options->source);
      if (fd >= 0)
        close (fd);
      return FALSE;
    }
  close (fd);
  if (!S_ISREG (st.st_mode))
    return refuse (error, "it is not a plain file");
  if (options->source_format == MACHINE_DISK_QCOW2)
    return gallery_provision_check_qcow2 (header, got, size, error);
  *size = st.st_size;
  if (st.st_size == 0 || st.st_size > GALLERY_PROVISION_DISK_MAX)
    return refuse (error, "the size of its disk is not possible");
  return TRUE;
}

/* --- a disk from an image ------------------------------------------------------------------ */

typedef struct Convert
{
  char *target;
  guint64 size; /* what the target shall have */
  GSubprocess *child;
  GCancellable *cancellable;
  gulong cancelled_id;
  GalleryProgressFunc progress;
  gpointer progress_data;
  GString *line;   /* of qemu-img's progress */
  GString *errors; /* what it said on stderr, shortened */
  char piece[512];
  char error_piece[512];
  guint waiting; /* for both pipes and the exit */
} Convert;

static void
convert_free (gpointer data)
{
  Convert *job = data;

  g_clear_object (&job->child);
  g_string_free (job->line, TRUE);
  g_string_free (job->errors, TRUE);
  g_free (job->target);
  g_free (job);
}

/* The size after the child's work: grown to what was asked, and to whole sectors. */
static gboolean
grow (Convert *job, GError **error)
{
  int fd = open (job->target, O_WRONLY | O_CLOEXEC);
  struct stat st;
  gboolean ok;

  ok = fd >= 0 && fstat (fd, &st) == 0;
  if (ok)
    {
      guint64 whole = ((guint64) st.st_size + SECTOR - 1) / SECTOR * SECTOR;
      guint64 wanted = MAX (whole, job->size / SECTOR * SECTOR);

      ok = wanted == (guint64) st.st_size || ftruncate (fd, wanted) == 0;
    }
  if (!ok)
    fail_errno (error, "resize", job->target);
  if (fd >= 0)
    close (fd);
  return ok;
}

static void
finish_convert (GTask *task)
{
  Convert *job = g_task_get_task_data (task);
  GError *error = NULL;

  g_cancellable_disconnect (job->cancellable, job->cancelled_id);
  if (g_cancellable_set_error_if_cancelled (job->cancellable, &error))
    ;
  else if (g_subprocess_get_if_exited (job->child) &&
           g_subprocess_get_exit_status (job->child) == 0)
    {
      if (grow (job, &error))
        {
          g_task_return_boolean (task, TRUE);
          return;
        }
    }
  else
    {
      g_autofree char *said = g_utf8_make_valid (g_strstrip (job->errors->str), -1);

      g_set_error (&error, G_IO_ERROR,
                   strstr (said, "No space left") != NULL ? G_IO_ERROR_NO_SPACE : G_IO_ERROR_FAILED,
                   "The disk image cannot be converted: %s",
                   said[0] != '\0' ? said : "qemu-img failed");
    }
  g_unlink (job->target);
  g_task_return_error (task, error);
}

static void
one_less (GTask *task)
{
  Convert *job = g_task_get_task_data (task);

  job->waiting--;
  if (job->waiting == 0)
    finish_convert (task);
}

static void
on_exited (GObject *source, GAsyncResult *result, gpointer data)
{
  g_autoptr (GTask) task = data;

  g_subprocess_wait_finish (G_SUBPROCESS (source), result, NULL);
  one_less (task);
}

/* "    (12.50/100%)\r" over and over. */
static void
take_progress (Convert *job, gsize length)
{
  for (gsize i = 0; i < length; i++)
    {
      const char *open;

      if (job->piece[i] != '\r' && job->piece[i] != '\n' && job->line->len < 64)
        {
          g_string_append_c (job->line, job->piece[i]);
          continue;
        }
      open = strchr (job->line->str, '(');
      if (open != NULL && job->progress != NULL)
        {
          double percent = CLAMP (g_ascii_strtod (open + 1, NULL), 0, 100);
          GalleryProgress progress = { .done = (guint64) (percent * PROGRESS_TOTAL / 100),
                                       .total = PROGRESS_TOTAL,
                                       .seconds_left = -1 };

          job->progress (&progress, job->progress_data);
        }
      g_string_truncate (job->line, 0);
    }
}

static void
on_progress (GObject *source, GAsyncResult *result, gpointer data)
{
  GTask *task = data;
  Convert *job = g_task_get_task_data (task);
  gssize got = g_input_stream_read_finish (G_INPUT_STREAM (source), result, NULL);

  if (got <= 0)
    {
      one_less (task);
      g_object_unref (task);
      return;
    }
  take_progress (job, got);
  g_input_stream_read_async (G_INPUT_STREAM (source), job->piece, sizeof job->piece,
                             G_PRIORITY_DEFAULT, NULL, on_progress, task);
}

static void
on_errors (GObject *source, GAsyncResult *result, gpointer data)
{
  GTask *task = data;
  Convert *job = g_task_get_task_data (task);
  gssize got = g_input_stream_read_finish (G_INPUT_STREAM (source), result, NULL);

  if (got <= 0)
    {
      one_less (task);
      g_object_unref (task);
      return;
    }
  if (job->errors->len < STDERR_MAX)
    g_string_append_len (job->errors, job->error_piece, got);
  g_input_stream_read_async (G_INPUT_STREAM (source), job->error_piece, sizeof job->error_piece,
                             G_PRIORITY_DEFAULT, NULL, on_errors, task);
}

static void
on_cancelled (GCancellable *cancellable, gpointer data)
{
  g_subprocess_force_exit (data);
}

/* Between fork and exec: async-signal-safe calls only. */
static void
limit_child (gpointer data)
{
  const struct rlimit memory = { CHILD_MEMORY_MAX, CHILD_MEMORY_MAX };

  setrlimit (RLIMIT_AS, &memory);
}

static GSubprocess *
spawn_convert (const GalleryProvisionOptions *options, GError **error)
{
  g_autoptr (GSubprocessLauncher) launcher =
      g_subprocess_launcher_new (G_SUBPROCESS_FLAGS_STDOUT_PIPE | G_SUBPROCESS_FLAGS_STDERR_PIPE);
  g_autofree char *source = g_strconcat ("file:", options->source, NULL);
  g_autofree char *target = g_strconcat ("file:", options->target, NULL);

  g_subprocess_launcher_setenv (launcher, "LC_ALL", "C", TRUE);
  g_subprocess_launcher_set_child_setup (launcher, limit_child, NULL, NULL);
  /* "file:" keeps a name with a colon from being taken for a protocol. */
  return g_subprocess_launcher_spawn (launcher, error, "qemu-img", "convert", "-p", "-f",
                                      machine_disk_format_to_string (options->source_format), "-O",
                                      "raw", source, target, NULL);
}

void
gallery_provision_disk_async (const GalleryProvisionOptions *options, GalleryProgressFunc progress,
                              gpointer progress_data, GCancellable *cancellable,
                              GAsyncReadyCallback callback, gpointer data)
{
  g_autoptr (GTask) task = g_task_new (NULL, cancellable, callback, data);
  Convert *job = g_new0 (Convert, 1);
  GError *error = NULL;
  guint64 image_size;

  g_task_set_source_tag (task, gallery_provision_disk_async);
  g_task_set_task_data (task, job, convert_free);
  job->target = g_strdup (options->target);
  job->size = options->size;
  job->cancellable = cancellable;
  job->progress = progress;
  job->progress_data = progress_data;
  job->line = g_string_new (NULL);
  job->errors = g_string_new (NULL);
  if (check_source (options, &image_size, &error))
    job->child = spawn_convert (options, &error);
  if (job->child == NULL)
    {
      if (g_error_matches (error, G_SPAWN_ERROR, G_SPAWN_ERROR_NOENT))
        g_prefix_error (&error, "The program qemu-img (package qemu-utils) is needed: ");
      g_task_return_error (task, error);
      return;
    }
  job->waiting = 3;
  if (cancellable != NULL)
    job->cancelled_id = g_cancellable_connect (cancellable, G_CALLBACK (on_cancelled),
                                               g_object_ref (job->child), g_object_unref);
  g_input_stream_read_async (g_subprocess_get_stdout_pipe (job->child), job->piece,
                             sizeof job->piece, G_PRIORITY_DEFAULT, NULL, on_progress,
                             g_object_ref (task));
  g_input_stream_read_async (g_subprocess_get_stderr_pipe (job->child), job->error_piece,
                             sizeof job->error_piece, G_PRIORITY_DEFAULT, NULL, on_errors,
                             g_object_ref (task));
  g_subprocess_wait_async (job->child, NULL, on_exited, g_object_ref (task));
}

gboolean
gallery_provision_disk_finish (GAsyncResult *result, GError **error)
{
  g_return_val_if_fail (g_task_is_valid (result, NULL), FALSE);
  return g_task_propagate_boolean (G_TASK (result), error);
}

/* --- an empty disk ------------------------------------------------------------------------- */

gboolean
gallery_provision_empty_disk (const char *path, guint64 size, GError **error)
{
  gboolean ok;
  int fd;

  if (size < SECTOR || size > GALLERY_PROVISION_DISK_MAX)
    {
      g_autofree char *text = g_format_size_full (size, G_FORMAT_SIZE_IEC_UNITS);

      g_set_error (error, G_IO_ERROR, G_IO_ERROR_INVALID_ARGUMENT,
                   "A disk of %s is not possible: choose up to %u GiB", text,
                   (guint) (GALLERY_PROVISION_DISK_MAX >> 30));
      return FALSE;
    }
  fd = open (path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
  if (fd < 0)
    return fail_errno (error, "make the disk", path);
  ok = ftruncate (fd, size / SECTOR * SECTOR) == 0;
  if (!ok)
    fail_errno (error, "make the disk", path);
  close (fd);
  if (!ok)
    g_unlink (path);
  return ok;
}
