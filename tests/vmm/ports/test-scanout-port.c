#include "ports/scanout-port.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

typedef struct Front
{
  ScanoutSurface *surface;
  ScanoutRect last;
  unsigned flushes;
  unsigned cursor_width;
  int32_t x, y;
} Front;

static void
front_set_surface (void *opaque, ScanoutSurface *surface)
{
  ((Front *) opaque)->surface = surface;
}

static void
front_flush (void *opaque, const ScanoutRect *rect, ScanoutDoneFunc done, void *done_opaque)
{
  Front *front = opaque;
  front->last = *rect;
  front->flushes++;
  done (done_opaque);
}

static void
front_set_cursor (void *opaque, const ScanoutCursor *cursor)
{
  ((Front *) opaque)->cursor_width = cursor ? cursor->width : 0;
}

static void
front_move_cursor (void *opaque, int32_t x, int32_t y)
{
  Front *front = opaque;
  front->x = x;
  front->y = y;
}

static const ScanoutFrontOps front_ops = {
  .set_surface = front_set_surface,
  .flush = front_flush,
  .set_cursor = front_set_cursor,
  .move_cursor = front_move_cursor,
};

static void
count (void *opaque)
{
  ++*(unsigned *) opaque;
}

static void
test_a_flush_is_cut_to_the_surface_and_always_done (void)
{
  g_autoptr (ScanoutPort) port = scanout_port_new ();
  g_autoptr (ScanoutSurface) surface = scanout_surface_new (100, 50, 0, NULL);
  Front front = { 0 };
  unsigned done = 0;

  scanout_port_flush (port, &(ScanoutRect){ 0, 0, 10, 10 }, count, &done);
  g_assert_cmpuint (done, ==, 1);
  scanout_port_attach (port, &front_ops, &front);
  scanout_port_set_surface (port, surface);
  g_assert_true (front.surface == surface);
  scanout_port_flush (port, &(ScanoutRect){ 90, 40, UINT32_MAX, UINT32_MAX }, count, &done);
  g_assert_cmpuint (front.last.width, ==, 10);
  g_assert_cmpuint (front.last.height, ==, 10);
  scanout_port_flush (port, &(ScanoutRect){ 100, 0, 1, 1 }, count, &done);
  scanout_port_flush (port, &(ScanoutRect){ 0, 0, 0, 1 }, count, &done);
  g_assert_cmpuint (done, ==, 4);
  g_assert_cmpuint (front.flushes, ==, 1);
}

static void
test_a_front_that_comes_late_is_told_everything (void)
{
  g_autoptr (ScanoutPort) port = scanout_port_new ();
  g_autoptr (ScanoutSurface) surface = scanout_surface_new (8, 8, 0, NULL);
  uint32_t pixels[4] = { 0xffffffff };
  Front front = { 0 };

  scanout_port_set_surface (port, surface);
  scanout_port_set_cursor (port, &(ScanoutCursor){ .width = 2, .height = 2, .pixels = pixels });
  scanout_port_move_cursor (port, -3, 7);
  scanout_port_attach (port, &front_ops, &front);
  g_assert_true (front.surface == surface);
  g_assert_cmpuint (front.cursor_width, ==, 2);
  g_assert_cmpint (front.x, ==, -3);
  scanout_port_set_cursor (port, NULL);
  g_assert_cmpuint (front.cursor_width, ==, 0);
  scanout_port_attach (port, NULL, NULL);
  g_assert_false (scanout_port_is_watched (port));
}

static void
test_a_surface_is_a_sealed_memfd (void)
{
  g_autoptr (ScanoutSurface) surface = scanout_surface_new (33, 7, 10000, NULL);
  struct stat info;

  g_assert_cmpuint (scanout_surface_get_stride (surface), ==, 132);
  g_assert_cmpuint (scanout_surface_get_size (surface), ==, 12288);
  int fd = scanout_surface_get_fd (surface);
  g_assert_cmpint (fstat (fd, &info), ==, 0);
  g_assert_cmpint (info.st_size, ==, 12288);
  g_assert_cmpint (ftruncate (fd, 0), ==, -1);
  g_assert_cmpint (errno, ==, EPERM);
  g_assert_true (fcntl (fd, F_GET_SEALS) & F_SEAL_SHRINK);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/scanout-port/a-flush-is-cut-to-the-surface-and-always-done",
                   test_a_flush_is_cut_to_the_surface_and_always_done);
  g_test_add_func ("/scanout-port/a-front-that-comes-late-is-told-everything",
                   test_a_front_that_comes_late_is_told_everything);
  g_test_add_func ("/scanout-surface/is-a-sealed-memfd", test_a_surface_is_a_sealed_memfd);
  return g_test_run ();
}
