#include <fcntl.h>
#include <string.h>
#include <unistd.h>
#include <glib/gstdio.h>
#include <time.h>
#include <sys/stat.h>

#include "block/block-image.h"

/* Time runs as it does, or by an hour from one look at it to the next. */
static bool hurry;

gint64
g_get_monotonic_time (void)
{
  static gint64 ahead;
  struct timespec now;

  clock_gettime (CLOCK_MONOTONIC, &now);
  if (hurry)
    ahead += G_TIME_SPAN_HOUR;
  return now.tv_sec * G_TIME_SPAN_SECOND + now.tv_nsec / 1000 + ahead;
}

typedef struct Fixture
{
  char *folder;
  char *path;
} Fixture;

static void
setup (Fixture *f, gconstpointer data)
{
  f->folder = g_dir_make_tmp ("alcove-image-XXXXXX", NULL);
  f->path = g_build_filename (f->folder, "disk.raw", NULL);
}

static void
teardown (Fixture *f, gconstpointer data)
{
  g_unlink (f->path);
  g_rmdir (f->folder);
  g_free (f->path);
  g_free (f->folder);
}

static void
make (Fixture *f, uint64_t size)
{
  int fd = open (f->path, O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0600);

  g_assert_cmpint (fd, >=, 0);
  g_assert_cmpint (ftruncate (fd, size), ==, 0);
  close (fd);
}

typedef bool (*OpenImage) (BlockImage *image, const char *path, bool readonly, GError **error);

/* The image is untouched by a failure. */
static void
assert_refused_by (OpenImage open_image, const char *path, bool readonly, const char *why)
{
  BlockImage image = { .fd = -7 };
  g_autoptr (GError) error = NULL;
  g_autofree char *line = g_strdup_printf ("%s: %s", path, why);

  g_assert_false (open_image (&image, path, readonly, &error));
  g_assert_cmpint (error->domain, ==, G_FILE_ERROR);
  g_assert_cmpstr (error->message, ==, line);
  g_assert_cmpint (image.fd, ==, -7);
}

static void
assert_refused (const char *path, bool readonly, const char *why)
{
  assert_refused_by (block_image_open, path, readonly, why);
}

static void
test_open (Fixture *f, gconstpointer data)
{
  BlockImage image;
  g_autoptr (GError) error = NULL;

  make (f, 3 * 512);
  g_assert_true (block_image_open (&image, f->path, false, &error));
  g_assert_no_error (error);
  g_assert_cmpuint (image.size, ==, 3 * 512);
  g_assert_false (image.readonly);
  g_assert_true (fcntl (image.fd, F_GETFD) & FD_CLOEXEC);
  if (image.direct_fd >= 0)
    g_assert_cmpuint (image.alignment % 512, ==, 0);
  block_image_close (&image);
  g_assert_cmpint (image.fd, ==, -1);
  block_image_close (&image);
}

/* A loop device on the file, or NULL where one cannot be had. */
static char *
attach_loop (const char *path)
{
  const char *arguments[] = { "losetup", "--find", "--show", path, NULL };
  char *name = NULL;
  int status = -1;

  if (geteuid () != 0 || !g_spawn_sync (NULL, (char **) arguments, NULL,
                                        G_SPAWN_SEARCH_PATH | G_SPAWN_STDERR_TO_DEV_NULL, NULL,
                                        NULL, &name, NULL, &status, NULL))
    return NULL;
  if (status != 0)
    g_clear_pointer (&name, g_free);
  return name ? g_strstrip (name) : NULL;
}

static void
detach_loop (const char *name)
{
  const char *arguments[] = { "losetup", "--detach", name, NULL };

  g_spawn_sync (NULL, (char **) arguments, NULL, G_SPAWN_SEARCH_PATH, NULL, NULL, NULL, NULL, NULL,
                NULL);
}

/* As a mounted one is, a device that somebody has for himself is not to be written; and one that we have is nobody else's. */
static void
test_block_device (Fixture *f, gconstpointer data)
{
  BlockImage image;

  make (f, 64 * 512);
  g_autofree char *name = attach_loop (f->path);
  if (!name)
    {
      g_test_skip ("no loop devices for this user");
      return;
    }
  g_assert_true (block_image_open (&image, name, false, NULL));
  g_assert_cmpuint (image.size, ==, 64 * 512);
  assert_refused (name, false,
                  "is in use by this computer: unmount what is on it, or say readonly=on");
  block_image_close (&image);
  const int fd = open (name, O_RDONLY | O_EXCL | O_CLOEXEC);
  g_assert_cmpint (fd, >=, 0);
  assert_refused (name, false,
                  "is in use by this computer: unmount what is on it, or say readonly=on");
  g_assert_true (block_image_open (&image, name, true, NULL));
  block_image_close (&image);
  close (fd);
  detach_loop (name);
}

static void
test_missing (Fixture *f, gconstpointer data)
{
  assert_refused (f->path, false, "No such file or directory");
  assert_refused (f->path, true, "No such file or directory");
}

static void
test_not_a_disk (Fixture *f, gconstpointer data)
{
  assert_refused (f->folder, true, "is neither a regular file nor a block device");
  assert_refused (f->folder, false, "Is a directory");
  assert_refused ("/dev/null", false, "is neither a regular file nor a block device");
  /* Does not wait for somebody at the other end. */
  g_assert_cmpint (mkfifo (f->path, 0600), ==, 0);
  assert_refused (f->path, true, "is neither a regular file nor a block device");
}

static void
test_size (Fixture *f, gconstpointer data)
{
  make (f, 0);
  assert_refused (f->path, false, "is empty; give it a size (truncate -s 10G FILE)");
  g_assert_cmpint (truncate (f->path, 512 + 1), ==, 0);
  assert_refused (f->path, false,
                  "its size of 513 bytes is not a multiple of 512: it is cut off, or no raw image");
}

static void
test_cannot_be_written (Fixture *f, gconstpointer data)
{
  /* Not even the superuser may write this one. */
  const char *path = geteuid () == 0 ? "/sys/kernel/uevent_seqnum" : f->path;
  BlockImage image;

  make (f, 4096);
  g_assert_cmpint (chmod (f->path, 0444), ==, 0);
  if (access (path, R_OK) < 0)
    {
      g_test_skip ("no file that root cannot write");
      return;
    }
  assert_refused (path, false, "cannot be written; make it writable or say readonly=on");
  g_assert_true (block_image_open (&image, path, true, NULL));
  g_assert_true (image.readonly);
  g_assert_cmpint (fcntl (image.fd, F_GETFL) & O_ACCMODE, ==, O_RDONLY);
  block_image_close (&image);
}

static void
test_one_writer_or_many_readers (Fixture *f, gconstpointer data)
{
  static const char in_use[] = "is in use by another machine or program";
  BlockImage first, second;

  make (f, 4096);
  g_assert_true (block_image_open (&first, f->path, false, NULL));
  assert_refused (f->path, false, in_use);
  assert_refused (f->path, true, in_use);
  block_image_close (&first);
  g_assert_true (block_image_open (&first, f->path, true, NULL));
  g_assert_true (block_image_open (&second, f->path, true, NULL));
  assert_refused (f->path, false, in_use);
  block_image_close (&first);
  block_image_close (&second);
  g_assert_true (block_image_open (&first, f->path, false, NULL));
  block_image_close (&first);
}

/* Whoever serves it has a lock on it, and gets no other. */
static void
test_beside (Fixture *f, gconstpointer data)
{
  BlockImage image;
  g_autoptr (GError) error = NULL;

  make (f, 513); /* a size that no raw disk has */
  const int server = open (f->path, O_RDWR | O_CLOEXEC);
  /* As QEMU's programs. */
  g_assert_cmpint (fcntl (server, F_OFD_SETLK,
                          &(struct flock){ .l_type = F_WRLCK, .l_start = 100, .l_len = 164 }),
                   ==, 0);
  g_assert_false (block_image_open (&image, f->path, true, NULL));
  for (unsigned readonly = 0; readonly < 2; readonly++)
    {
      g_assert_true (block_image_open_beside (&image, f->path, readonly, &error));
      g_assert_no_error (error);
      g_assert_true (image.readonly == readonly);
      g_assert_cmpuint (image.size, ==, 0);
      g_assert_cmpint (fcntl (image.fd, F_GETFL) & O_ACCMODE, ==, readonly ? O_RDONLY : O_RDWR);
      g_assert_true (fcntl (image.fd, F_GETFD) & FD_CLOEXEC);
      block_image_close (&image);
    }
  close (server);
}

/* Two of us, one of whom writes; it is waited for, by a clock that hurries. */
static void
test_two_beside (Fixture *f, gconstpointer data)
{
  BlockImage one, two;

  make (f, 512);
  g_assert_true (block_image_open_beside (&one, f->path, true, NULL));
  g_assert_true (block_image_open_beside (&two, f->path, true, NULL));
  block_image_close (&two);
  hurry = true;
  assert_refused_by (block_image_open_beside, f->path, false, "is in use by another machine");
  hurry = false;
  block_image_close (&one);
  g_assert_true (block_image_open_beside (&one, f->path, false, NULL));
  block_image_close (&one);
}

static void
test_refused_beside (Fixture *f, gconstpointer data)
{
  const OpenImage beside = block_image_open_beside;

  assert_refused_by (beside, f->path, false, "No such file or directory");
  assert_refused_by (beside, f->path, true, "No such file or directory");
  assert_refused_by (beside, f->folder, true, "is neither a regular file nor a block device");
  assert_refused_by (beside, f->folder, false, "Is a directory");
  g_assert_cmpint (mkfifo (f->path, 0600), ==, 0);
  assert_refused_by (beside, f->path, true, "is neither a regular file nor a block device");
}

#define ADD(name, func) g_test_add ("/block-image/" name, Fixture, NULL, setup, func, teardown)

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  ADD ("open", test_open);
  ADD ("missing", test_missing);
  ADD ("block-device", test_block_device);
  ADD ("not-a-disk", test_not_a_disk);
  ADD ("size", test_size);
  ADD ("cannot-be-written", test_cannot_be_written);
  ADD ("one-writer-or-many-readers", test_one_writer_or_many_readers);
  ADD ("beside", test_beside);
  ADD ("two-beside", test_two_beside);
  ADD ("refused-beside", test_refused_beside);
  return g_test_run ();
}
