#include "frame/frame.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static int
new_memfd (gsize size, int seals)
{
  int fd = memfd_create ("test", MFD_CLOEXEC | MFD_ALLOW_SEALING);

  g_assert_cmpint (fd, >=, 0);
  g_assert_cmpint (ftruncate (fd, (off_t) size), ==, 0);
  if (seals != 0)
    g_assert_cmpint (fcntl (fd, F_ADD_SEALS, seals), ==, 0);
  return fd;
}

static void
assert_refused (int fd, guint64 width, guint64 height, guint64 stride, GIOErrorEnum code)
{
  g_autoptr (GError) error = NULL;

  g_assert_null (frame_new_memfd (fd, width, height, stride, FALSE, &error));
  g_assert_error (error, G_IO_ERROR, (int) code);
}

static void
test_memfd_shows_what_is_written_later (void)
{
  int fd = new_memfd (8192, F_SEAL_SHRINK);
  g_autoptr (GError) error = NULL;
  g_autoptr (Frame) frame = frame_new_memfd (fd, 4, 3, 32, FALSE, &error);
  guint32 pixel = GUINT32_TO_LE (0x00123456);
  g_autoptr (GBytes) bytes = NULL;
  const guint32 *pixels;

  g_assert_no_error (error);
  g_assert_true (frame_is_shared (frame));
  g_assert_cmpint (pwrite (fd, &pixel, 4, 2 * 32 + 3 * 4), ==, 4);
  close (fd); /* borrowed: the mapping stays */
  bytes = frame_read (frame);
  g_assert_cmpuint (g_bytes_get_size (bytes), ==, 4 * 3 * 4);
  pixels = g_bytes_get_data (bytes, NULL);
  g_assert_cmphex (GUINT32_FROM_LE (pixels[2 * 4 + 3]), ==, 0xff123456);
  g_assert_cmphex (GUINT32_FROM_LE (pixels[0]), ==, 0xff000000);
}

static void
test_memfd_bottom_up (void)
{
  int fd = new_memfd (4096, F_SEAL_SHRINK);
  g_autoptr (Frame) frame = frame_new_memfd (fd, 2, 2, 8, TRUE, NULL);
  guint32 pixel = GUINT32_TO_LE (0xabcdef);
  g_autoptr (GBytes) bytes = NULL;

  g_assert_nonnull (frame);
  g_assert_cmpint (pwrite (fd, &pixel, 4, 0), ==, 4);
  close (fd);
  bytes = frame_read (frame);
  /* The first row in memory is the last of the picture. */
  g_assert_cmphex (GUINT32_FROM_LE (((const guint32 *) g_bytes_get_data (bytes, NULL))[2]), ==,
                   0xffabcdef);
}

static void
test_a_hostile_memfd_is_refused (void)
{
  int open_end = new_memfd (4096, 0), grown = new_memfd (4096, F_SEAL_GROW);
  int sealed = new_memfd (4096, F_SEAL_SHRINK);
  int pipes[2], null = open ("/dev/null", O_RDWR | O_CLOEXEC);

  assert_refused (open_end, 4, 4, 16, G_IO_ERROR_INVALID_DATA);
  assert_refused (grown, 4, 4, 16, G_IO_ERROR_INVALID_DATA);
  /* Not a memfd: no seals. */
  g_assert_cmpint (pipe2 (pipes, O_CLOEXEC), ==, 0);
  assert_refused (pipes[0], 4, 4, 16, G_IO_ERROR_NOT_SUPPORTED);
  assert_refused (null, 4, 4, 16, G_IO_ERROR_NOT_SUPPORTED);
  assert_refused (-1, 4, 4, 16, G_IO_ERROR_NOT_SUPPORTED);
  /* Too short by one row, and by much. */
  assert_refused (sealed, 16, 65, 64, G_IO_ERROR_INVALID_DATA);
  assert_refused (sealed, 8192, 8192, 32768, G_IO_ERROR_INVALID_DATA);
  /* Numbers that no picture has. */
  assert_refused (sealed, 0, 4, 16, G_IO_ERROR_INVALID_DATA);
  assert_refused (sealed, 4, 0, 16, G_IO_ERROR_INVALID_DATA);
  assert_refused (sealed, 4, 4, 15, G_IO_ERROR_INVALID_DATA);
  assert_refused (sealed, 4, 4, 18, G_IO_ERROR_INVALID_DATA);
  assert_refused (sealed, 4, 4, 0, G_IO_ERROR_INVALID_DATA);
  assert_refused (sealed, G_MAXUINT32, G_MAXUINT32, G_MAXUINT32, G_IO_ERROR_INVALID_DATA);
  assert_refused (sealed, FRAME_MAX_SIDE, FRAME_MAX_SIDE, FRAME_MAX_SIDE * 4,
                  G_IO_ERROR_INVALID_DATA);
  close (open_end);
  close (grown);
  close (sealed);
  close (null);
  close (pipes[0]);
  close (pipes[1]);
}

static void
test_copies_have_limits (void)
{
  static const guint64 sizes[][2] = { { 0, 1 },
                                      { 1, 0 },
                                      { FRAME_MAX_SIDE + 1, 1 },
                                      { 1, FRAME_MAX_SIDE + 1 },
                                      { FRAME_MAX_SIDE, FRAME_MAX_SIDE },
                                      { G_MAXUINT64, G_MAXUINT64 } };

  for (guint i = 0; i < G_N_ELEMENTS (sizes); i++)
    {
      g_autoptr (GError) error = NULL;
      g_assert_null (frame_new_copy (sizes[i][0], sizes[i][1], &error));
      g_assert_error (error, G_IO_ERROR, G_IO_ERROR_INVALID_DATA);
    }
}

static void
assert_clip (Frame *frame, FrameRect rect, gboolean inside, FrameRect expected)
{
  g_assert_cmpint (frame_clip (frame, &rect), ==, inside);
  if (inside)
    g_assert_cmpmem (&rect, sizeof rect, &expected, sizeof expected);
}

static void
test_rectangles_are_clipped (void)
{
  g_autoptr (Frame) frame = frame_new_copy (100, 50, NULL);
  const FrameRect none = { 0, 0, 0, 0 };

  assert_clip (frame, (FrameRect){ 0, 0, 100, 50 }, TRUE, (FrameRect){ 0, 0, 100, 50 });
  assert_clip (frame, (FrameRect){ -5, -5, 10, 10 }, TRUE, (FrameRect){ 0, 0, 5, 5 });
  assert_clip (frame, (FrameRect){ 90, 45, G_MAXINT, G_MAXINT }, TRUE,
               (FrameRect){ 90, 45, 10, 5 });
  assert_clip (frame, (FrameRect){ G_MININT, G_MININT, G_MAXINT, G_MAXINT }, FALSE, none);
  assert_clip (frame, (FrameRect){ 100, 0, 1, 1 }, FALSE, none);
  assert_clip (frame, (FrameRect){ 0, 50, 1, 1 }, FALSE, none);
  assert_clip (frame, (FrameRect){ 10, 10, 0, 5 }, FALSE, none);
  assert_clip (frame, (FrameRect){ 10, 10, -5, 5 }, FALSE, none);
  assert_clip (frame, (FrameRect){ G_MAXINT, G_MAXINT, G_MAXINT, G_MAXINT }, FALSE, none);
}

static guint32
read_pixel (Frame *frame, guint index)
{
  g_autoptr (GBytes) bytes = frame_read (frame);

  return GUINT32_FROM_LE (((const guint32 *) g_bytes_get_data (bytes, NULL))[index]);
}

static void
test_only_the_rectangle_is_written (void)
{
  g_autoptr (Frame) frame = frame_new_copy (4, 4, NULL);
  guint32 source[16];

  for (guint i = 0; i < 16; i++)
    source[i] = GUINT32_TO_LE (0x111111u * (i + 1));
  frame_write (frame, &(FrameRect){ 1, 1, 2, 2 }, FRAME_XRGB_8888, (const guint8 *) source, 16);
  for (guint i = 0; i < 16; i++)
    {
      gboolean inside = i % 4 >= 1 && i % 4 <= 2 && i / 4 >= 1 && i / 4 <= 2;
      g_assert_cmphex (read_pixel (frame, i), ==,
                       0xff000000 | (inside ? (0x111111u * (i + 1)) & 0xffffff : 0));
    }
}

static void
test_sixteen_bits_are_widened (void)
{
  static const struct
  {
    FrameFormat format;
    guint16 pixel;
    guint32 colour;
  } cases[] = {
    { FRAME_RGB_555, 0x7fff, 0xffffffff }, { FRAME_RGB_555, 0x7c00, 0xffff0000 },
    { FRAME_RGB_555, 0x03e0, 0xff00ff00 }, { FRAME_RGB_555, 0x001f, 0xff0000ff },
    { FRAME_RGB_565, 0xffff, 0xffffffff }, { FRAME_RGB_565, 0xf800, 0xffff0000 },
    { FRAME_RGB_565, 0x07e0, 0xff00ff00 }, { FRAME_RGB_565, 0x001f, 0xff0000ff },
    { FRAME_RGB_565, 0x0000, 0xff000000 }, { FRAME_RGB_555, 0x4000, 0xff840000 },
  };

  for (guint i = 0; i < G_N_ELEMENTS (cases); i++)
    {
      g_autoptr (Frame) frame = frame_new_copy (1, 1, NULL);
      frame_write (frame, &(FrameRect){ 0, 0, 1, 1 }, cases[i].format,
                   (const guint8 *) &cases[i].pixel, 2);
      g_assert_cmphex (read_pixel (frame, 0), ==, cases[i].colour);
    }
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/frame/memfd-shows-what-is-written-later",
                   test_memfd_shows_what_is_written_later);
  g_test_add_func ("/frame/memfd-bottom-up", test_memfd_bottom_up);
  g_test_add_func ("/frame/a-hostile-memfd-is-refused", test_a_hostile_memfd_is_refused);
  g_test_add_func ("/frame/copies-have-limits", test_copies_have_limits);
  g_test_add_func ("/frame/rectangles-are-clipped", test_rectangles_are_clipped);
  g_test_add_func ("/frame/only-the-rectangle-is-written", test_only_the_rectangle_is_written);
  g_test_add_func ("/frame/sixteen-bits-are-widened", test_sixteen_bits_are_widened);
  return g_test_run ();
}
