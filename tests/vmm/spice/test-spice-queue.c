#include "spice/spice-queue.h"

#include <string.h>

#define WIDTH  16
#define HEIGHT 8

typedef struct Fixture
{
  SpiceQueue *queue;
  ScanoutSurface *surface;
  unsigned drained;
} Fixture;

static void
on_drained (void *opaque)
{
  unsigned *drained = opaque;

  (*drained)++;
}

/* Each pixel says where it is. */
static uint32_t
pixel_at (unsigned x, unsigned y)
{
  return 0x10000u * y + x;
}

static void
set_up (Fixture *f, gconstpointer data)
{
  g_autoptr (GError) error = NULL;

  f->queue = spice_queue_new (on_drained, &f->drained);
  f->surface = scanout_surface_new (WIDTH, HEIGHT, 0, &error);
  g_assert_no_error (error);
  for (unsigned y = 0; y < HEIGHT; y++)
    {
      uint8_t *row = scanout_surface_get_pixels (f->surface) +
                     (size_t) y * scanout_surface_get_stride (f->surface);
      for (unsigned x = 0; x < WIDTH; x++)
        ((uint32_t *) (void *) row)[x] = pixel_at (x, y);
    }
}

static void
tear_down (Fixture *f, gconstpointer data)
{
  spice_queue_free (f->queue);
  scanout_surface_unref (f->surface);
}

static void
push (Fixture *f, uint32_t x, uint32_t y, uint32_t width, uint32_t height)
{
  spice_queue_push_draw (f->queue, f->surface, &(ScanoutRect){ x, y, width, height });
}

static QXLDrawable *
take_draw (Fixture *f)
{
  QXLCommandExt command;

  g_assert_true (spice_queue_take_draw (f->queue, &command));
  g_assert_cmpuint (command.cmd.type, ==, QXL_CMD_DRAW);
  return (void *) (uintptr_t) command.cmd.data;
}

static QXLCursorCmd *
take_cursor (Fixture *f)
{
  QXLCommandExt command;

  g_assert_true (spice_queue_take_cursor (f->queue, &command));
  g_assert_cmpuint (command.cmd.type, ==, QXL_CMD_CURSOR);
  return (void *) (uintptr_t) command.cmd.data;
}

static void
test_a_draw_has_the_pixels_of_its_rectangle (Fixture *f, gconstpointer data)
{
  push (f, 3, 2, 5, 4);
  /* Copied: what is drawn afterwards is not in it. */
  memset (scanout_surface_get_pixels (f->surface), 0xff,
          (size_t) scanout_surface_get_stride (f->surface) * HEIGHT);
  QXLDrawable *draw = take_draw (f);
  const QXLImage *image = (const void *) (uintptr_t) draw->u.copy.src_bitmap;
  const uint32_t *pixels = (const void *) (uintptr_t) image->bitmap.data;

  g_assert_cmpint (draw->bbox.left, ==, 3);
  g_assert_cmpint (draw->bbox.top, ==, 2);
  g_assert_cmpint (draw->bbox.right, ==, 8);
  g_assert_cmpint (draw->bbox.bottom, ==, 6);
  g_assert_cmpuint (image->bitmap.stride, ==, 5 * 4);
  for (unsigned y = 0; y < 4; y++)
    for (unsigned x = 0; x < 5; x++)
      g_assert_cmphex (pixels[y * 5 + x], ==, pixel_at (3 + x, 2 + y));
  spice_queue_release (draw->release_info.id);
}

static void
test_draws_keep_their_order (Fixture *f, gconstpointer data)
{
  uint64_t last_id = 0;

  g_assert_true (spice_queue_is_empty (f->queue));
  for (unsigned i = 0; i < 4; i++)
    push (f, i, 0, 1, 1);
  g_assert_cmpuint (spice_queue_get_draws (f->queue), ==, 4);
  for (unsigned i = 0; i < 4; i++)
    {
      g_assert_cmpuint (f->drained, ==, 0);
      QXLDrawable *draw = take_draw (f);
      const QXLImage *image = (const void *) (uintptr_t) draw->u.copy.src_bitmap;
      g_assert_cmpint (draw->bbox.left, ==, i);
      g_assert_cmpuint (image->descriptor.id, !=, last_id);
      last_id = image->descriptor.id;
      spice_queue_release (draw->release_info.id);
    }
  g_assert_cmpuint (f->drained, ==, 1);
  g_assert_true (spice_queue_is_empty (f->queue));
  g_assert_false (spice_queue_take_draw (f->queue, &(QXLCommandExt){}));
  g_assert_cmpuint (f->drained, ==, 1);
}

/* What the worker has taken stays its own. */
static void
test_dropped_draws (Fixture *f, gconstpointer data)
{
  push (f, 0, 0, 1, 1);
  push (f, 1, 0, 1, 1);
  QXLDrawable *taken = take_draw (f);

  spice_queue_drop_draws (f->queue);
  g_assert_true (spice_queue_is_empty (f->queue));
  g_assert_cmpint (taken->bbox.left, ==, 0);
  spice_queue_release (taken->release_info.id);
}

static void
push_shape (Fixture *f, uint32_t colour)
{
  uint32_t pixels[4] = { colour, colour, colour, colour };

  spice_queue_push_cursor (f->queue, &(ScanoutCursor){ 2, 2, 1, 0, pixels }, 7, 9);
}

/* A client that reads nothing, and a guest that moves its pointer all day. */
static void
test_only_the_newest_cursor_waits (Fixture *f, gconstpointer data)
{
  push_shape (f, 1);
  for (int i = 0; i < 1000; i++)
    spice_queue_push_cursor_move (f->queue, i, i);
  push_shape (f, 2);
  for (int i = 0; i < 1000; i++)
    spice_queue_push_cursor_move (f->queue, i, 100000);

  QXLCursorCmd *set = take_cursor (f);
  const QXLCursor *shape = (const void *) (uintptr_t) set->u.set.shape;
  g_assert_cmpuint (set->type, ==, QXL_CURSOR_SET);
  g_assert_cmpint (set->u.set.position.x, ==, 7);
  g_assert_cmpint (set->u.set.position.y, ==, 9);
  g_assert_cmpuint (shape->data_size, ==, 16);
  g_assert_cmpuint (shape->header.hot_spot_x, ==, 1);
  g_assert_cmpuint (shape->chunk.data[0], ==, 2);
  spice_queue_release (set->release_info.id);

  QXLCursorCmd *move = take_cursor (f);
  g_assert_cmpuint (move->type, ==, QXL_CURSOR_MOVE);
  g_assert_cmpint (move->u.position.x, ==, 999);
  g_assert_cmpint (move->u.position.y, ==, INT16_MAX);
  spice_queue_release (move->release_info.id);
  g_assert_true (spice_queue_has_no_cursor (f->queue));
}

static void
test_a_hidden_cursor (Fixture *f, gconstpointer data)
{
  push_shape (f, 1);
  spice_queue_push_cursor (f->queue, NULL, 0, 0);
  QXLCursorCmd *hide = take_cursor (f);

  g_assert_cmpuint (hide->type, ==, QXL_CURSOR_HIDE);
  spice_queue_release (hide->release_info.id);
  g_assert_true (spice_queue_has_no_cursor (f->queue));
}

/* Under the sanitizers: nothing leaks, nothing is freed twice. */
static void
test_the_end_frees_what_waits (Fixture *f, gconstpointer data)
{
  push (f, 0, 0, WIDTH, HEIGHT);
  push_shape (f, 1);
  spice_queue_push_cursor_move (f->queue, -100000, 1);
}

#define ADD(name, function)                                                                        \
  g_test_add ("/spice-queue/" name, Fixture, NULL, set_up, function, tear_down)

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  ADD ("pixels", test_a_draw_has_the_pixels_of_its_rectangle);
  ADD ("order", test_draws_keep_their_order);
  ADD ("dropped", test_dropped_draws);
  ADD ("newest-cursor", test_only_the_newest_cursor_waits);
  ADD ("hidden-cursor", test_a_hidden_cursor);
  ADD ("end", test_the_end_frees_what_waits);
  return g_test_run ();
}
