#include "ports/scanout-png.h"

#include <gio/gio.h>
#include <glib/gstdio.h>
#include <png.h>
#include <string.h>

typedef struct Fixture
{
  char *folder;
  char *path;
  ScanoutSurface *surface;
} Fixture;

static void
set_up (Fixture *fixture, const void *data)
{
  fixture->folder = g_dir_make_tmp ("alcove-png-XXXXXX", NULL);
  fixture->path = g_build_filename (fixture->folder, "screen.png", NULL);
  fixture->surface = scanout_surface_new (3, 2, 0, NULL);
}

static void
tear_down (Fixture *fixture, const void *data)
{
  g_unlink (fixture->path);
  /* Fails if anything else was left behind. */
  g_assert_cmpint (g_rmdir (fixture->folder), ==, 0);
  g_free (fixture->path);
  g_free (fixture->folder);
  scanout_surface_unref (fixture->surface);
}

static void
test_round_trip (Fixture *fixture, const void *data)
{
  g_autoptr (GError) error = NULL;
  uint8_t *pixels = scanout_surface_get_pixels (fixture->surface);
  uint32_t stride = scanout_surface_get_stride (fixture->surface);
  const uint8_t red[4] = { 0x01, 0x02, 0xf3, 0x99 }, blue[4] = { 0xf5, 0x06, 0x07, 0x00 };
  png_image image = { .version = PNG_IMAGE_VERSION };
  uint8_t read[3 * 2 * 3];

  memcpy (pixels, red, 4);
  memcpy (pixels + stride + 8, blue, 4);
  g_assert_true (scanout_png_write (fixture->surface, fixture->path, &error));
  g_assert_no_error (error);
  g_assert_true (png_image_begin_read_from_file (&image, fixture->path));
  g_assert_cmpuint (image.width, ==, 3);
  g_assert_cmpuint (image.height, ==, 2);
  image.format = PNG_FORMAT_RGB;
  g_assert_true (png_image_finish_read (&image, NULL, read, 0, NULL));
  const uint8_t expected[] = { 0xf3, 2, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 7, 6, 0xf5 };
  g_assert_cmpmem (read, sizeof read, expected, sizeof expected);
}

static void
test_what_cannot_be_written_is_named (Fixture *fixture, const void *data)
{
  g_autoptr (GError) error = NULL;
  g_autofree char *path = g_build_filename (fixture->folder, "no", "such.png", NULL);

  g_assert_false (scanout_png_write (fixture->surface, path, &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_NOT_FOUND);
  g_assert_nonnull (strstr (error->message, path));
}

static void
test_the_picture_before_stays_when_it_fails (Fixture *fixture, const void *data)
{
  g_autoptr (GError) error = NULL;
  g_autofree char *part = g_strconcat (fixture->path, ".part", NULL);

  g_assert_true (scanout_png_write (fixture->surface, fixture->path, NULL));
  g_assert_cmpint (g_mkdir (part, 0700), ==, 0); /* in the way */
  g_assert_false (scanout_png_write (fixture->surface, fixture->path, &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_IS_DIRECTORY);
  g_assert_true (g_file_test (fixture->path, G_FILE_TEST_IS_REGULAR));
  g_assert_cmpint (g_rmdir (part), ==, 0);
}

static void
add (const char *name, void (*test) (Fixture *fixture, const void *data))
{
  g_autofree char *path = g_strconcat ("/scanout-png/", name, NULL);

  g_test_add (path, Fixture, NULL, set_up, test, tear_down);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  add ("round-trip", test_round_trip);
  add ("unwritable", test_what_cannot_be_written_is_named);
  add ("keeps", test_the_picture_before_stays_when_it_fails);
  return g_test_run ();
}
