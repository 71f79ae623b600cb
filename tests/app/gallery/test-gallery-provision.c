#include "gallery/gallery-provision.h"

#include "app-test.h"

#include <string.h>
#include <unistd.h>
#include <sys/stat.h>

#define MIB (G_GUINT64_CONSTANT (1) << 20)

/* A version 3 header of an empty disk of 1 MiB, as qemu-img writes it. */
static void
put (guint8 *header, guint offset, guint length, guint64 value)
{
  for (guint i = 0; i < length; i++)
    header[offset + i] = (guint8) (value >> 8 * (length - 1 - i));
}

static void
make_header (guint8 *header)
{
  memset (header, 0, GALLERY_QCOW2_HEADER);
  memcpy (header, "QFI\xfb", 4);
  put (header, 4, 4, 3);
  put (header, 20, 4, 16);
  put (header, 24, 8, MIB);
  put (header, 100, 4, GALLERY_QCOW2_HEADER);
}

static void
test_headers (void)
{
  static const struct
  {
    guint offset, length;
    guint64 value;
    const char *why; /* NULL: may be given to qemu-img */
  } cases[] = {
    { 24, 8, MIB, NULL },
    { 4, 4, 2, NULL },
    { 24, 8, GALLERY_PROVISION_DISK_MAX, NULL },
    { 0, 4, 0x4b444d56, "not in the format" },
    { 4, 4, 1, "unknown version" },
    { 4, 4, 4, "unknown version" },
    { 8, 8, 200, "another file as its base" },
    { 20, 4, 8, "damaged" },
    { 20, 4, 22, "damaged" },
    { 32, 4, 1, "encrypted" },
    { 32, 4, 2, "encrypted" },
    { 72, 8, 4, "data in another file" },
    { 24, 8, 0, "not possible" },
    { 24, 8, MIB + 1, "not possible" },
    { 24, 8, GALLERY_PROVISION_DISK_MAX + 512, "not possible" },
    { 24, 8, G_GUINT64_CONSTANT (1) << 60, "not possible" },
  };

  for (guint i = 0; i < G_N_ELEMENTS (cases); i++)
    {
      guint8 header[GALLERY_QCOW2_HEADER];
      g_autoptr (GError) error = NULL;
      guint64 size = 0;

      g_test_message ("%u", i);
      make_header (header);
      put (header, cases[i].offset, cases[i].length, cases[i].value);
      g_assert_cmpint (gallery_provision_check_qcow2 (header, sizeof header, &size, &error), ==,
                       cases[i].why == NULL);
      if (cases[i].why != NULL)
        app_test_assert_error (error, G_IO_ERROR, G_IO_ERROR_INVALID_DATA, cases[i].why);
      else
        g_assert_cmpuint (size, ==, cases[i].offset == 24 ? cases[i].value : MIB);
      g_assert_false (gallery_provision_check_qcow2 (header, sizeof header - 1, &size, NULL));
    }
}

/* Whether it went well; the error is the caller's. */
static gboolean
provision (const char *source, MachineDiskFormat format, const char *target, guint64 size,
           GError **error)
{
  const GalleryProvisionOptions options = { source, format, target, size };
  AppTestWait wait = {};

  gallery_provision_disk_async (&options, NULL, NULL, NULL, app_test_callback, &wait);
  g_autoptr (GAsyncResult) result = app_test_wait (&wait);
  return gallery_provision_disk_finish (result, error);
}

/* `size` bytes that begin with a word. */
static char *
make_raw (guint64 size)
{
  char *path = app_test_path ("image.raw");

  app_test_write (path, "the first sector");
  g_assert_cmpint (truncate (path, (off_t) size), ==, 0);
  return path;
}

static char *
make_qcow2 (const char *raw)
{
  char *path = app_test_path ("image.qcow2");
  const char *const command[] = { "qemu-img", "convert", "-O", "qcow2", raw, path, NULL };
  g_autoptr (GError) error = NULL;
  int status;

  g_spawn_sync (NULL, (char **) command, NULL, G_SPAWN_SEARCH_PATH, NULL, NULL, NULL, NULL, &status,
                &error);
  g_assert_no_error (error);
  g_assert_cmpint (status, ==, 0);
  return path;
}

static void
assert_disk (const char *path, guint64 size)
{
  g_autofree char *contents = NULL;
  gsize length;

  g_assert_true (g_file_get_contents (path, &contents, &length, NULL));
  g_assert_cmpuint (length, ==, size);
  g_assert_true (g_str_has_prefix (contents, "the first sector"));
}

static void
test_disks (void)
{
  g_autofree char *raw = make_raw (MIB + 100);
  g_autofree char *whole = make_raw (MIB);
  g_autofree char *qcow2 = make_qcow2 (whole);
  static const struct
  {
    gboolean is_raw;
    guint64 asked, size;
  } cases[] = {
    { FALSE, 0, MIB },
    { FALSE, MIB / 2, MIB },
    { FALSE, 3 * MIB, 3 * MIB },
    { TRUE, 0, MIB + 512 },
    { TRUE, 2 * MIB + 700, 2 * MIB + 512 },
  };

  for (guint i = 0; i < G_N_ELEMENTS (cases); i++)
    {
      g_autofree char *target = app_test_path ("disk.raw");
      g_autoptr (GError) error = NULL;

      g_test_message ("%u", i);
      g_assert_true (provision (cases[i].is_raw ? raw : qcow2,
                                cases[i].is_raw ? MACHINE_DISK_RAW : MACHINE_DISK_QCOW2, target,
                                cases[i].asked, &error));
      g_assert_no_error (error);
      assert_disk (target, cases[i].size);
    }
}

/* One clear line, and no disk is left. */
static void
test_what_is_no_image (void)
{
  g_autofree char *raw = make_raw (MIB);
  g_autofree char *empty = app_test_path ("empty");
  g_autofree char *damaged = app_test_path ("damaged");
  g_autofree char *target = app_test_path ("disk.raw");
  char header[GALLERY_QCOW2_HEADER];
  g_autoptr (GError) error = NULL;

  app_test_write (empty, "");
  make_header ((guint8 *) header);
  g_assert_true (g_file_set_contents (damaged, header, sizeof header, NULL));

  g_assert_false (provision ("/nowhere/image", MACHINE_DISK_RAW, target, 0, &error));
  app_test_assert_error (error, G_IO_ERROR, G_IO_ERROR_NOT_FOUND, "/nowhere/image");
  g_assert_false (provision ("/dev/null", MACHINE_DISK_RAW, target, 0, &error));
  app_test_assert_error (error, G_IO_ERROR, G_IO_ERROR_INVALID_DATA, "not a plain file");
  g_assert_false (provision (empty, MACHINE_DISK_RAW, target, 0, &error));
  app_test_assert_error (error, G_IO_ERROR, G_IO_ERROR_INVALID_DATA, "not possible");
  g_assert_false (provision (raw, MACHINE_DISK_QCOW2, target, 0, &error));
  app_test_assert_error (error, G_IO_ERROR, G_IO_ERROR_INVALID_DATA, "not in the format");
  /* Its tables are missing, which only qemu-img finds out. */
  g_assert_false (provision (damaged, MACHINE_DISK_QCOW2, target, 0, &error));
  app_test_assert_error (error, G_IO_ERROR, G_IO_ERROR_FAILED, "cannot be converted");
  g_assert_false (app_test_exists (target));
}

static void
cancel_under_way (const GalleryProgress *progress, gpointer data)
{
  if (progress->done > 0)
    g_cancellable_cancel (data);
}

/* When qemu-img has done something, there is a disk. */
static void
test_cancelled (void)
{
  g_autofree char *raw = make_raw (MIB);
  g_autofree char *target = app_test_path ("disk.raw");
  const GalleryProvisionOptions options = { raw, MACHINE_DISK_RAW, target, 0 };
  g_autoptr (GCancellable) cancellable = g_cancellable_new ();
  g_autoptr (GError) error = NULL;
  AppTestWait wait = {};

  gallery_provision_disk_async (&options, cancel_under_way, cancellable, cancellable,
                                app_test_callback, &wait);
  g_autoptr (GAsyncResult) result = app_test_wait (&wait);
  g_assert_false (gallery_provision_disk_finish (result, &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_CANCELLED);
  g_assert_false (app_test_exists (target));
}

static void
test_empty_disks (void)
{
  g_autofree char *path = app_test_path ("empty.raw");
  g_autoptr (GError) error = NULL;
  struct stat st;

  g_assert_false (gallery_provision_empty_disk (path, 511, &error));
  app_test_assert_error (error, G_IO_ERROR, G_IO_ERROR_INVALID_ARGUMENT, "not possible");
  g_assert_false (gallery_provision_empty_disk (path, GALLERY_PROVISION_DISK_MAX + 1, &error));
  app_test_assert_error (error, G_IO_ERROR, G_IO_ERROR_INVALID_ARGUMENT, "1024 GiB");
  g_assert_false (app_test_exists (path));

  g_assert_true (gallery_provision_empty_disk (path, 5 * MIB + 3, &error));
  g_assert_no_error (error);
  g_assert_cmpint (stat (path, &st), ==, 0);
  g_assert_cmpint (st.st_size, ==, 5 * MIB);
  g_assert_cmpint (st.st_blocks, ==, 0);
  g_assert_cmphex (st.st_mode & 0777, ==, 0600);

  /* Never over a disk that is there. */
  g_assert_false (gallery_provision_empty_disk (path, MIB, &error));
  app_test_assert_error (error, G_IO_ERROR, G_IO_ERROR_EXISTS, path);
  g_assert_cmpint (stat (path, &st), ==, 0);
  g_assert_cmpint (st.st_size, ==, 5 * MIB);
}

int
main (int argc, char **argv)
{
  app_test_init (&argc, &argv);
  g_test_add_func ("/gallery-provision/headers", test_headers);
  g_test_add_func ("/gallery-provision/disks", test_disks);
  g_test_add_func ("/gallery-provision/no-image", test_what_is_no_image);
  g_test_add_func ("/gallery-provision/cancelled", test_cancelled);
  g_test_add_func ("/gallery-provision/empty", test_empty_disks);
  return g_test_run ();
}
