#include "machine/disc-image.h"

#include "app-test.h"

#include <string.h>
#include <sys/stat.h>

#define BLOCK  2048
#define BLOCKS 24
#define SIZE   (BLOCKS * BLOCK)

typedef struct Image
{
  guint8 bytes[SIZE];
} Image;

static guint8 *
get_block (Image *image, guint n)
{
  return image->bytes + n * BLOCK;
}

/* ISO 9660 with El Torito: the catalog says BIOS, and in a section of its own UEFI. */
static Image *
image_new (void)
{
  Image *image = g_new0 (Image, 1);
  guint8 *catalog = get_block (image, 20);

  memcpy (get_block (image, 16), "\1CD001\1", 7);
  memcpy (get_block (image, 16) + 40, "INSTALLER 12                    ", 32);
  get_block (image, 16)[80] = BLOCKS;
  memcpy (get_block (image, 17), "\0CD001\1EL TORITO SPECIFICATION", 30);
  get_block (image, 17)[0x47] = 20;
  catalog[0] = 1;
  catalog[30] = 0x55;
  catalog[31] = 0xaa;
  catalog[32] = 0x88;
  catalog[64] = 0x91;
  catalog[65] = 0xef;
  catalog[66] = 1;
  catalog[96] = 0x88;
  return image;
}

static gboolean
read_bytes (const guint8 *bytes, gsize size, DiscImage *disc, GError **error)
{
  g_autofree char *path = app_test_path ("disc.iso");

  g_assert_true (g_file_set_contents (path, (const char *) bytes, (gssize) size, NULL));
  return disc_image_read (path, disc, error);
}

static void
test_installer (void)
{
  g_autofree Image *image = image_new ();
  g_autoptr (GError) error = NULL;
  DiscImage disc;

  g_assert_true (read_bytes (image->bytes, SIZE, &disc, &error));
  g_assert_no_error (error);
  g_assert_cmpstr (disc.label, ==, "INSTALLER 12");
  g_assert_cmpuint (disc.size, ==, SIZE);
  g_assert_cmpuint (disc.volume_size, ==, SIZE);
  g_assert_true (disc.starts_by_uefi);

  get_block (image, 20)[65] = 0; /* the section is a BIOS's too */
  g_assert_true (read_bytes (image->bytes, SIZE, &disc, NULL));
  g_assert_false (disc.starts_by_uefi);
  get_block (image, 20)[1] = 0xef; /* the first entry is for UEFI */
  g_assert_true (read_bytes (image->bytes, SIZE, &disc, NULL));
  g_assert_true (disc.starts_by_uefi);
  get_block (image, 20)[32] = 0; /* but is not to be started */
  g_assert_true (read_bytes (image->bytes, SIZE, &disc, NULL));
  g_assert_false (disc.starts_by_uefi);
  get_block (image, 17)[0x49] = 0xff; /* a catalog behind the end */
  g_assert_true (read_bytes (image->bytes, SIZE, &disc, NULL));
  g_assert_false (disc.starts_by_uefi);
}

static void
test_without_iso9660 (void)
{
  g_autofree Image *image = g_new0 (Image, 1);
  DiscImage disc;

  memcpy (get_block (image, 16), "\0BEA01", 6);
  memcpy (get_block (image, 17), "\0NSR02", 6);
  g_assert_true (read_bytes (image->bytes, SIZE, &disc, NULL));
  g_assert_cmpstr (disc.label, ==, "");
  g_assert_cmpuint (disc.volume_size, ==, 0);
  g_assert_false (disc.starts_by_uefi);
}

static void
test_labels (void)
{
  g_autofree Image *image = image_new ();
  DiscImage disc;

  memset (get_block (image, 16) + 40, 0xff, 32);
  g_assert_true (read_bytes (image->bytes, SIZE, &disc, NULL));
  g_assert_true (g_utf8_validate (disc.label, -1, NULL));
  memcpy (get_block (image, 16) + 40, "\n\x1b[31m  a\tb", 11);
  get_block (image, 16)[51] = '\0';
  g_assert_true (read_bytes (image->bytes, SIZE, &disc, NULL));
  g_assert_cmpstr (disc.label, ==, "[31m  a b");
}

static void
test_unfit (void)
{
  g_autofree Image *image = image_new ();
  g_autofree guint8 *foreign = g_malloc0 (SIZE);
  g_autofree char *fifo = app_test_path ("pipe");
  g_autoptr (GError) error = NULL;
  DiscImage disc;

  g_assert_false (read_bytes (image->bytes, SIZE / 2 - 100, &disc, &error));
  app_test_assert_error (error, G_IO_ERROR, G_IO_ERROR_INVALID_DATA, "is no image of a CD");
  get_block (image, 16)[81] = 1; /* 256 blocks more */
  g_assert_false (read_bytes (image->bytes, SIZE, &disc, &error));
  app_test_assert_error (error, G_IO_ERROR, G_IO_ERROR_PARTIAL_INPUT, "is cut off: it has");
  get_block (image, 16)[81] = 0;
  get_block (image, 16)[80] = 18;
  g_assert_false (read_bytes (image->bytes, SIZE - 1000, &disc, &error));
  app_test_assert_error (error, G_IO_ERROR, G_IO_ERROR_PARTIAL_INPUT, "not a multiple of 2048");
  g_assert_false (read_bytes (foreign, SIZE, &disc, &error));
  app_test_assert_error (error, G_IO_ERROR, G_IO_ERROR_INVALID_DATA, "is no image of a CD");
  g_assert_false (read_bytes (foreign, 0, &disc, &error));
  app_test_assert_error (error, G_IO_ERROR, G_IO_ERROR_INVALID_DATA, "is no image of a CD");
  g_assert_false (disc_image_read ("/nowhere/disc.iso", &disc, &error));
  app_test_assert_error (error, G_IO_ERROR, G_IO_ERROR_NOT_FOUND, "/nowhere/disc.iso");
  g_assert_false (disc_image_read (app_test_folder (), &disc, &error));
  app_test_assert_error (error, G_IO_ERROR, G_IO_ERROR_IS_DIRECTORY, "is a folder");
  g_assert_cmpint (mkfifo (fifo, 0600), ==, 0);
  g_assert_false (disc_image_read (fifo, &disc, &error));
  app_test_assert_error (error, G_IO_ERROR, G_IO_ERROR_NOT_REGULAR_FILE, "not a regular file");
}

int
main (int argc, char **argv)
{
  app_test_init (&argc, &argv);
  g_test_add_func ("/disc-image/installer", test_installer);
  g_test_add_func ("/disc-image/without-iso9660", test_without_iso9660);
  g_test_add_func ("/disc-image/labels", test_labels);
  g_test_add_func ("/disc-image/unfit", test_unfit);
  return g_test_run ();
}
