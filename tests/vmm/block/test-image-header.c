#include "block/image-header.h"

#include <string.h>
#include <unistd.h>
#include <glib/gstdio.h>

#include "config/vm-config.h"

#define SIZE 256

/* What is said about such a file, less its path; or "allowed". */
static char *
check_as (VmDiskFormat format, const uint8_t *bytes, gssize size)
{
  g_autofree char *path = NULL;
  g_autoptr (GError) error = NULL;
  int fd = g_file_open_tmp ("alcove-qcow2-XXXXXX", &path, NULL);

  g_assert_cmpint (write (fd, bytes, size), ==, size);
  close (fd);
  bool allowed = image_header_check (&(VmDiskConfig){ .file = path, .format = format }, &error);
  unlink (path);
  if (allowed)
    return g_strdup ("allowed");
  g_assert_error (error, VM_CONFIG_ERROR, VM_CONFIG_ERROR_HOST);
  const char *rest = strstr (error->message, path);
  g_assert_nonnull (rest);
  return g_strdup (rest + strlen (path));
}

#define assert_check(bytes, size, expected)                                                        \
  do                                                                                               \
    {                                                                                              \
      g_autofree char *said = check_as (VM_DISK_FORMAT_QCOW2, bytes, size);                        \
      g_assert_cmpstr (said, ==, expected);                                                        \
    }                                                                                              \
  while (0)

#define FOREIGN ": not a qcow2 image of version 2 or 3; say its real format"

/* An image of version 3 with a disk of 1 MiB. */
static void
init_header (uint8_t *header)
{
  static const uint8_t start[] = { 'Q', 'F', 'I', 0xfb, 0, 0, 0, 3 };

  memset (header, 0, SIZE);
  memcpy (header, start, sizeof start);
  header[23] = 16;
  header[29] = 0x10;
}

static void
test_headers (void)
{
  uint8_t header[SIZE];

  init_header (header);
  assert_check (header, SIZE, "allowed");
  header[7] = 2;
  assert_check (header, 72, "allowed");
  header[7] = 4;
  assert_check (header, SIZE, FOREIGN);
  header[7] = 3;
  assert_check (header, 71, FOREIGN);
  assert_check (header, 0, FOREIGN);
  header[79] = 1 << 2;
  assert_check (header, SIZE,
                ": its data are in another file, which is not allowed; join them with qemu-img "
                "convert -O qcow2");
  /* In version 2 that is not part of the header yet. */
  header[7] = 2;
  assert_check (header, SIZE, "allowed");
  header[0] = 'q';
  assert_check (header, SIZE, FOREIGN);
}

static void
test_lies (void)
{
  uint8_t header[SIZE];

  init_header (header);
  header[23] = 8;
  assert_check (header, SIZE,
                ": its header is damaged: clusters of 2^8 bytes; they have 2^9 to 2^21");
  header[20] = 0xff;
  header[23] = 22;
  assert_check (header, SIZE,
                ": its header is damaged: clusters of 2^4278190102 bytes; they have 2^9 to 2^21");
  init_header (header);
  memset (header + 24, 0xff, 8);
  assert_check (header, SIZE,
                ": its header is damaged: a disk of 18446744073709551615 bytes cannot be; make a "
                "new image");
}

static void
assert_clusters (const uint8_t *bytes, gssize size, unsigned cluster, unsigned granularity)
{
  g_autofree char *path = NULL;
  const int fd = g_file_open_tmp ("alcove-qcow2-XXXXXX", &path, NULL);

  g_assert_cmpint (write (fd, bytes, size), ==, size);
  close (fd);
  const ImageClusters clusters = image_header_get_clusters (path);
  unlink (path);
  g_assert_cmpuint (clusters.size, ==, cluster);
  g_assert_cmpuint (clusters.granularity, ==, granularity);
}

static void
test_clusters (void)
{
  uint8_t header[SIZE];

  init_header (header);
  assert_clusters (header, SIZE, 65536, 65536);
  header[79] = 1 << 4; /* extended L2 */
  assert_clusters (header, SIZE, 65536, 2048);
  header[7] = 2; /* which has no such field */
  assert_clusters (header, SIZE, 65536, 65536);
  header[7] = 3;
  header[23] = 10;
  assert_clusters (header, SIZE, 1024, 512);
  header[23] = 21;
  header[79] = 0;
  assert_clusters (header, SIZE, 2 << 20, 2 << 20);
  /* What is no image changes nothing at once: the smallest there is. */
  header[23] = 22;
  assert_clusters (header, SIZE, 512, 512);
  assert_clusters (header, 10, 512, 512);
  g_assert_cmpuint (image_header_get_clusters ("/nonexistent").size, ==, 512);
}

#define NOT_ALLOWED                                                                                \
  ", which is not allowed; allow it with backing=FILE,backing-format=FORMAT, or flatten it with "  \
  "qemu-img convert -O qcow2"
#define DAMAGED ": it stands on a backing file, which is not allowed, and its name is damaged"

static void
test_backing_is_refused (void)
{
  uint8_t header[SIZE];

  init_header (header);
  memcpy (header + 104, "/etc/passwd\n", 12);
  header[15] = 104;
  header[19] = 11;
  assert_check (header, SIZE, ": it stands on the backing file \"/etc/passwd\"" NOT_ALLOWED);
  header[19] = 12; /* one line stays one line */
  assert_check (header, SIZE, ": it stands on the backing file \"/etc/passwd\\n\"" NOT_ALLOWED);
  header[19] = 0;
  assert_check (header, SIZE, DAMAGED);
  header[18] = 4; /* 1024 */
  assert_check (header, SIZE, DAMAGED);
  header[18] = 0;
  header[19] = 11;
  header[8] = 0xff;
  assert_check (header, SIZE, DAMAGED);
}

/* A folder with an overlay that names name as what it stands on. */
static char *
make_overlay (const char *folder, const char *name)
{
  uint8_t header[SIZE];

  init_header (header);
  header[15] = 104;
  header[19] = strlen (name);
  memcpy (header + 104, name, strlen (name));
  char *path = g_build_filename (folder, "overlay", NULL);
  g_assert_true (g_file_set_contents (path, (char *) header, SIZE, NULL));
  return path;
}

/* backing NULL: base, in the same folder. Borrowed until the next call. */
static const char *
say_overlay (const char *name, const char *backing, VmDiskFormat format)
{
  static char said[512];
  g_autoptr (GError) error = NULL;
  g_autofree char *folder = g_dir_make_tmp ("alcove-image-XXXXXX", NULL);
  g_autofree char *base = g_build_filename (folder, "base", NULL);
  g_autofree char *overlay = make_overlay (folder, name);
  const VmDiskConfig disk = { .file = overlay,
                              .format = VM_DISK_FORMAT_QCOW2,
                              .backing = backing == NULL   ? base
                                         : *backing == 'o' ? overlay
                                                           : (char *) backing,
                              .backing_format = format };

  g_assert_true (g_file_set_contents (base, "x", 1, NULL));
  if (image_header_check (&disk, &error))
    g_strlcpy (said, "allowed", sizeof said);
  else
    g_strlcpy (said, error->message, sizeof said);
  unlink (base);
  unlink (overlay);
  g_rmdir (folder);
  return said;
}

#define assert_says(said, words) g_assert_nonnull (strstr (said, words))

static void
test_backing_that_is_allowed (void)
{
  g_assert_cmpstr (say_overlay ("base", NULL, VM_DISK_FORMAT_RAW), ==, "allowed");
  assert_says (say_overlay ("/etc/passwd", NULL, VM_DISK_FORMAT_RAW),
               "its backing file is \"/etc/passwd\", not ");
  assert_says (say_overlay ("base", "/etc/passwd", VM_DISK_FORMAT_RAW),
               "its backing file is \"base\", not /etc/passwd");
  assert_says (say_overlay ("json:{\"driver\":\"nbd\"}", NULL, VM_DISK_FORMAT_RAW),
               "its backing file is \"json:{\\\"driver\\\":\\\"nbd\\\"}\", not ");
  assert_says (say_overlay ("overlay", "overlay", VM_DISK_FORMAT_QCOW2),
               "it cannot be its own backing file");
  assert_says (say_overlay ("", NULL, VM_DISK_FORMAT_RAW), "its name is damaged");
  /* What it stands on is looked at too. */
  assert_says (say_overlay ("base", NULL, VM_DISK_FORMAT_QCOW2), "not a qcow2 image");
}

static void
test_none_but_allowed (void)
{
  uint8_t header[SIZE];
  g_autoptr (GError) error = NULL;
  g_autofree char *path = NULL;
  int fd = g_file_open_tmp ("alcove-image-XXXXXX", &path, NULL);
  const VmDiskConfig disk = { .file = path,
                              .format = VM_DISK_FORMAT_QCOW2,
                              .backing = (char *) "/dev/null" };

  init_header (header);
  g_assert_cmpint (write (fd, header, SIZE), ==, SIZE);
  close (fd);
  g_assert_false (image_header_check (&disk, &error));
  assert_says (error->message, "it stands on no backing file: leave backing=/dev/null out");
  unlink (path);
}

#define assert_vmdk(bytes, size, expected)                                                         \
  do                                                                                               \
    {                                                                                              \
      g_autofree char *said = check_as (VM_DISK_FORMAT_VMDK, bytes, size);                         \
      g_assert_cmpstr (said, ==, expected);                                                        \
    }                                                                                              \
  while (0)

static void
test_vmdk (void)
{
  static const uint8_t list[] = "# Disk DescriptorFile\nRW 8 FLAT \"/etc/passwd\" 0\n";
  uint8_t header[SIZE] = "KDMV";
  const char *in_more =
      ": not a VMDK image in one file, and others are not allowed; join them with qemu-img convert "
      "-O qcow2";

  header[13] = 1;
  assert_vmdk (header, SIZE, "allowed");
  header[13] = 0;
  assert_vmdk (header, SIZE, in_more);
  assert_vmdk (header, 4, in_more);
  assert_vmdk (list, sizeof list, in_more);
}

static void
test_missing (void)
{
  g_autoptr (GError) error = NULL;
  char name[] = "/nonexistent.qcow2";

  g_assert_false (
      image_header_check (&(VmDiskConfig){ .file = name, .format = VM_DISK_FORMAT_QCOW2 }, &error));
  g_assert_cmpstr (error->message, ==, "--disk: /nonexistent.qcow2: No such file or directory");
}

int
main (int argc, char **argv)
{
  g_setenv ("LC_ALL", "C", TRUE);
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/image-header/headers", test_headers);
  g_test_add_func ("/image-header/hostile-19-lies", test_lies);
  g_test_add_func ("/image-header/hostile-19-backing-is-refused", test_backing_is_refused);
  g_test_add_func ("/image-header/backing-that-is-allowed", test_backing_that_is_allowed);
  g_test_add_func ("/image-header/hostile-19-none-but-allowed", test_none_but_allowed);
  g_test_add_func ("/image-header/hostile-19-vmdk-in-files", test_vmdk);
  g_test_add_func ("/image-header/clusters", test_clusters);
  g_test_add_func ("/image-header/missing", test_missing);
  return g_test_run ();
}
