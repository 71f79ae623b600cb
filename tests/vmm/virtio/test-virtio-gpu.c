#include "virtio/virtio-gpu.h"

#include <string.h>
#include <linux/virtio_gpu.h>

#include "changing-memory.h"
#include "virtio-driver.h"
#include "virtio/virtio-gpu-edid.h"
#include "virtio/virtio-gpu-resource.h"

#define MEMORY_SIZE (UINT64_C (64) << 20)
#define RINGS       0x10000
#define WIDTH       64
#define HEIGHT      48
#define FLOOD       2000

/* A front that holds back its answers until it is told to give them. */
typedef struct Front
{
  ScanoutSurface *surface;
  ScanoutRect last;
  unsigned flushes, surfaces;
  bool hold;
  bool late;                /* holds as well, until anything else is asked of it */
  VirtqueueDriver *flooded; /* NULL: none; a queue that each flush adds flooded_head to */
  uint16_t flooded_head;
  ScanoutDoneFunc done;
  void *done_opaque;
  uint32_t cursor_pixel, hot_x;
  bool has_cursor;
  int32_t cursor_x;
} Front;

typedef struct Fixture
{
  GuestMemory *memory;
  ScanoutPort *port;
  VirtioGpu *gpu;
  VirtioDriver *driver;
  Front front;
} Fixture;

static void
answer_late (Front *front)
{
  if (front->late && front->done)
    g_steal_pointer (&front->done) (front->done_opaque);
}

static void
front_set_surface (void *opaque, ScanoutSurface *surface)
{
  Front *front = opaque;
  answer_late (front);
  front->surface = surface;
  front->surfaces++;
}

static void
front_flush (void *opaque, const ScanoutRect *rect, ScanoutDoneFunc done, void *done_opaque)
{
  Front *front = opaque;
  front->last = *rect;
  front->flushes++;
  if (front->flooded && front->flushes < FLOOD)
    virtqueue_driver_make_available (front->flooded, front->flooded_head);
  answer_late (front);
  if (!front->hold && !front->late)
    {
      done (done_opaque);
      return;
    }
  g_assert_null (front->done);
  front->done = done;
  front->done_opaque = done_opaque;
}

static void
front_set_cursor (void *opaque, const ScanoutCursor *cursor)
{
  Front *front = opaque;
  answer_late (front);
  front->has_cursor = cursor != NULL;
  if (cursor)
    {
      front->cursor_pixel = cursor->pixels[0];
      front->hot_x = cursor->hot_x;
    }
}

static void
front_move_cursor (void *opaque, int32_t x, int32_t y)
{
  ((Front *) opaque)->cursor_x = x;
}

static const ScanoutFrontOps front_ops = {
  .set_surface = front_set_surface,
  .flush = front_flush,
  .set_cursor = front_set_cursor,
  .move_cursor = front_move_cursor,
};

static void
set_up (Fixture *f, const void *data)
{
  f->memory = guest_memory_new (MEMORY_SIZE, UINT64_C (2) << 30, UINT64_C (4) << 30, NULL);
  g_assert_nonnull (f->memory);
  f->port = scanout_port_new ();
  scanout_port_attach (f->port, &front_ops, &f->front);
  f->gpu = virtio_gpu_new (f->memory, f->port, 1024, 768);
  f->driver = virtio_driver_new (virtio_gpu_get_device (f->gpu), f->memory, RINGS, UINT64_MAX);
}

static void
tear_down (Fixture *f, const void *data)
{
  virtio_driver_free (f->driver);
  virtio_gpu_free (f->gpu);
  scanout_port_free (f->port);
  guest_memory_free (f->memory);
}

/* The type of the answer to a command that expects no data. */
static uint32_t
ask (Fixture *f, unsigned queue, uint32_t type, void *command, uint32_t size)
{
  struct virtio_gpu_ctrl_hdr answer = { 0 };
  struct virtio_gpu_ctrl_hdr *header = command;

  header->type = GUINT32_TO_LE (type);
  g_assert_cmpuint (virtio_driver_request (f->driver, queue, command, size, &answer, sizeof answer),
                    ==, sizeof answer);
  return GUINT32_FROM_LE (answer.type);
}

#define ASK(F, TYPE, STRUCT, ...)                                                                  \
  ask (F, 0, TYPE, &(struct STRUCT){ __VA_ARGS__ }, sizeof (struct STRUCT))

static uint32_t
create (Fixture *f, uint32_t id, uint32_t format, uint32_t width, uint32_t height)
{
  return ASK (f, VIRTIO_GPU_CMD_RESOURCE_CREATE_2D, virtio_gpu_resource_create_2d,
              .resource_id = GUINT32_TO_LE (id), .format = GUINT32_TO_LE (format),
              .width = GUINT32_TO_LE (width), .height = GUINT32_TO_LE (height));
}

static uint32_t
attach (Fixture *f, uint32_t id, uint64_t gpa, uint32_t length)
{
  struct
  {
    struct virtio_gpu_resource_attach_backing command;
    struct virtio_gpu_mem_entry entry;
  } request = { .command = { .resource_id = GUINT32_TO_LE (id), .nr_entries = GUINT32_TO_LE (1) },
                .entry = { .addr = GUINT64_TO_LE (gpa), .length = GUINT32_TO_LE (length) } };

  return ask (f, 0, VIRTIO_GPU_CMD_RESOURCE_ATTACH_BACKING, &request, sizeof request);
}

static struct virtio_gpu_rect
rect_of (uint32_t x, uint32_t y, uint32_t width, uint32_t height)
{
  return (struct virtio_gpu_rect){ GUINT32_TO_LE (x), GUINT32_TO_LE (y), GUINT32_TO_LE (width),
                                   GUINT32_TO_LE (height) };
}

static uint32_t
transfer (Fixture *f, uint32_t id, struct virtio_gpu_rect rect, uint64_t offset)
{
  return ASK (f, VIRTIO_GPU_CMD_TRANSFER_TO_HOST_2D, virtio_gpu_transfer_to_host_2d, .r = rect,
              .offset = GUINT64_TO_LE (offset), .resource_id = GUINT32_TO_LE (id));
}

static uint32_t
scanout (Fixture *f, uint32_t id, struct virtio_gpu_rect rect)
{
  return ASK (f, VIRTIO_GPU_CMD_SET_SCANOUT, virtio_gpu_set_scanout, .r = rect,
              .resource_id = GUINT32_TO_LE (id));
}

static uint32_t
flush (Fixture *f, uint32_t id, struct virtio_gpu_rect rect)
{
  return ASK (f, VIRTIO_GPU_CMD_RESOURCE_FLUSH, virtio_gpu_resource_flush, .r = rect,
              .resource_id = GUINT32_TO_LE (id));
}

/* A WIDTH x HEIGHT resource with backing whose pixel (x, y) is y << 16 | x. Returns the backing. */
static uint32_t *
make_picture (Fixture *f, uint32_t id, uint32_t format)
{
  void *host;
  uint64_t gpa = virtio_driver_alloc (f->driver, WIDTH * HEIGHT * 4, &host);
  uint32_t *pixels = host;

  for (uint32_t y = 0; y < HEIGHT; y++)
    for (uint32_t x = 0; x < WIDTH; x++)
      pixels[y * WIDTH + x] = GUINT32_TO_LE (y << 16 | x);
  g_assert_cmphex (create (f, id, format, WIDTH, HEIGHT), ==, VIRTIO_GPU_RESP_OK_NODATA);
  g_assert_cmphex (attach (f, id, gpa, WIDTH * HEIGHT * 4), ==, VIRTIO_GPU_RESP_OK_NODATA);
  return pixels;
}

static uint32_t
shown_pixel (Fixture *f, uint32_t x, uint32_t y)
{
  const uint8_t *pixels = scanout_surface_get_pixels (f->front.surface);
  uint32_t value;

  memcpy (&value, pixels + y * scanout_surface_get_stride (f->front.surface) + x * 4, 4);
  return GUINT32_FROM_LE (value);
}

static void
test_a_picture_reaches_the_front (Fixture *f, const void *data)
{
  struct virtio_gpu_rect all = rect_of (0, 0, WIDTH, HEIGHT);

  make_picture (f, 1, VIRTIO_GPU_FORMAT_B8G8R8X8_UNORM);
  g_assert_cmphex (scanout (f, 1, all), ==, VIRTIO_GPU_RESP_OK_NODATA);
  g_assert_cmphex (transfer (f, 1, all, 0), ==, VIRTIO_GPU_RESP_OK_NODATA);
  g_assert_cmphex (flush (f, 1, rect_of (3, 4, 5, 6)), ==, VIRTIO_GPU_RESP_OK_NODATA);
  g_assert_cmpuint (f->front.flushes, ==, 1);
  g_assert_cmpuint (f->front.last.x, ==, 3);
  g_assert_cmpuint (f->front.last.height, ==, 6);
  g_assert_cmphex (shown_pixel (f, 63, 47), ==, 47 << 16 | 63);
}

static void
test_a_transfer_touches_its_rectangle_only (Fixture *f, const void *data)
{
  struct virtio_gpu_rect all = rect_of (0, 0, WIDTH, HEIGHT);

  make_picture (f, 1, VIRTIO_GPU_FORMAT_B8G8R8A8_UNORM);
  scanout (f, 1, all);
  g_assert_cmphex (transfer (f, 1, rect_of (10, 20, 3, 2), (20 * WIDTH + 10) * 4), ==,
                   VIRTIO_GPU_RESP_OK_NODATA);
  g_assert_cmphex (shown_pixel (f, 10, 20), ==, 20 << 16 | 10);
  g_assert_cmphex (shown_pixel (f, 12, 21), ==, 21 << 16 | 12);
  g_assert_cmphex (shown_pixel (f, 13, 21), ==, 0);
  g_assert_cmphex (shown_pixel (f, 10, 22), ==, 0);
}

static void
test_every_format_becomes_xrgb (Fixture *f, const void *data)
{
  /* How the pixel 0xAARRGGBB = 0x44112233 lies in the guest's memory, as a little-endian word. */
  static const struct
  {
    uint32_t format, word;
  } cases[] = {
    { VIRTIO_GPU_FORMAT_B8G8R8A8_UNORM, 0x44112233 },
    { VIRTIO_GPU_FORMAT_A8R8G8B8_UNORM, 0x33221144 },
    { VIRTIO_GPU_FORMAT_R8G8B8A8_UNORM, 0x44332211 },
    { VIRTIO_GPU_FORMAT_A8B8G8R8_UNORM, 0x11223344 },
  };
  struct virtio_gpu_rect all = rect_of (0, 0, WIDTH, HEIGHT);

  for (unsigned i = 0; i < G_N_ELEMENTS (cases); i++)
    {
      uint32_t *pixels = make_picture (f, i + 1, cases[i].format);
      pixels[0] = GUINT32_TO_LE (cases[i].word);
      scanout (f, i + 1, all);
      transfer (f, i + 1, all, 0);
      g_assert_cmphex (shown_pixel (f, 0, 0), ==, 0x44112233);
    }
  g_assert_cmphex (create (f, 99, 5, 1, 1), ==, VIRTIO_GPU_RESP_ERR_INVALID_PARAMETER);
}

static void
test_a_part_of_a_resource_can_be_the_scanout (Fixture *f, const void *data)
{
  make_picture (f, 1, VIRTIO_GPU_FORMAT_B8G8R8X8_UNORM);
  transfer (f, 1, rect_of (0, 0, WIDTH, HEIGHT), 0);
  g_assert_cmphex (scanout (f, 1, rect_of (8, 16, 32, 24)), ==, VIRTIO_GPU_RESP_OK_NODATA);
  g_assert_cmpuint (scanout_surface_get_width (f->front.surface), ==, 32);
  g_assert_cmphex (shown_pixel (f, 0, 0), ==, 16 << 16 | 8);
  flush (f, 1, rect_of (0, 0, 10, 20));
  g_assert_cmpuint (f->front.last.width, ==, 2);
  g_assert_cmpuint (f->front.last.height, ==, 4);
  flush (f, 1, rect_of (0, 0, 8, 16));
  g_assert_cmpuint (f->front.flushes, ==, 1);
}

/* The fence of a flush is what paces the guest: it is answered when the front has consumed the frame, and not before. */
static void
test_a_flush_is_answered_when_the_front_is_done (Fixture *f, const void *data)
{
  struct virtio_gpu_resource_flush command = {
    .hdr = { .type = GUINT32_TO_LE (VIRTIO_GPU_CMD_RESOURCE_FLUSH),
             .flags = GUINT32_TO_LE (VIRTIO_GPU_FLAG_FENCE),
             .fence_id = GUINT64_TO_LE (77) },
    .r = rect_of (0, 0, WIDTH, HEIGHT),
    .resource_id = GUINT32_TO_LE (1),
  };
  VirtqueueDriver *queue = virtio_driver_get_queue (f->driver, 0);
  struct virtio_gpu_ctrl_hdr *answer;
  void *host;

  make_picture (f, 1, VIRTIO_GPU_FORMAT_B8G8R8X8_UNORM);
  scanout (f, 1, rect_of (0, 0, WIDTH, HEIGHT));
  f->front.hold = true;
  uint64_t gpa = virtio_driver_alloc (f->driver, 4096, &host);
  memcpy (host, &command, sizeof command);
  answer = (struct virtio_gpu_ctrl_hdr *) ((uint8_t *) host + 2048);
  const DriverSegment segments[] = { { gpa, sizeof command, false },
                                     { gpa + 2048, sizeof *answer, true } };
  uint16_t used = virtqueue_driver_get_used_index (queue);
  virtqueue_driver_set_used_event (queue, used);
  virtqueue_driver_add (queue, segments, 2);
  virtio_driver_kick (f->driver, 0);
  g_assert_nonnull (f->front.done);
  g_assert_cmpuint (virtqueue_driver_get_used_index (queue), ==, used);
  unsigned interrupts = virtio_driver_get_interrupts (f->driver, 0);
  f->front.done (f->front.done_opaque);
  g_assert_cmpuint (virtqueue_driver_get_used_index (queue), ==, (uint16_t) (used + 1));
  g_assert_cmpuint (virtio_driver_get_interrupts (f->driver, 0), ==, interrupts + 1);
  g_assert_cmphex (GUINT32_FROM_LE (answer->type), ==, VIRTIO_GPU_RESP_OK_NODATA);
  g_assert_cmpuint (GUINT64_FROM_LE (answer->fence_id), ==, 77);
}

/* Puts a flush of resource 1 into the ring; returns where its answer will be. head may be NULL. */
static struct virtio_gpu_ctrl_hdr *
start_flush (Fixture *f, uint16_t *head)
{
  const struct virtio_gpu_resource_flush command = {
    .hdr.type = GUINT32_TO_LE (VIRTIO_GPU_CMD_RESOURCE_FLUSH),
    .r = rect_of (0, 0, WIDTH, HEIGHT),
    .resource_id = GUINT32_TO_LE (1),
  };
  void *host;
  uint64_t gpa = virtio_driver_alloc (f->driver, 4096, &host);
  const DriverSegment segments[] = { { gpa, sizeof command, false },
                                     { gpa + 2048, sizeof (struct virtio_gpu_ctrl_hdr), true } };

  memcpy (host, &command, sizeof command);
  uint16_t added = virtqueue_driver_add (virtio_driver_get_queue (f->driver, 0), segments, 2);
  if (head)
    *head = added;
  return (struct virtio_gpu_ctrl_hdr *) ((uint8_t *) host + 2048);
}

/* A front gives its answer whenever it likes: in the next flush, a new surface, a cursor, all of which the device asks for under its lock. */
static void
test_a_front_may_answer_in_any_call (Fixture *f, const void *data)
{
  g_autoptr (ScanoutSurface) boot = scanout_surface_new (32, 32, 0, NULL);
  struct virtio_gpu_ctrl_hdr *answers[4];
  struct virtio_gpu_update_cursor cursor = { 0 };
  VirtqueueDriver *queue = virtio_driver_get_queue (f->driver, 0);

  make_picture (f, 1, VIRTIO_GPU_FORMAT_B8G8R8X8_UNORM);
  scanout (f, 1, rect_of (0, 0, WIDTH, HEIGHT));
  while (virtqueue_driver_take_used (queue, NULL, NULL))
    ;
  f->front.late = true;
  virtqueue_driver_set_used_event (queue, virtqueue_driver_get_used_index (queue));
  for (unsigned i = 0; i < 3; i++)
    {
      answers[i] = start_flush (f, NULL);
      virtio_driver_kick (f->driver, 0);
      g_assert_cmphex (answers[i]->type, ==, 0);
      if (i > 0)
        g_assert_cmphex (GUINT32_FROM_LE (answers[i - 1]->type), ==, VIRTIO_GPU_RESP_OK_NODATA);
    }
  unsigned interrupts = virtio_driver_get_interrupts (f->driver, 0);
  g_assert_cmpuint (interrupts, >, 0);
  virtqueue_driver_set_used_event (queue, virtqueue_driver_get_used_index (queue));
  ask (f, 1, VIRTIO_GPU_CMD_UPDATE_CURSOR, &cursor, sizeof cursor);
  g_assert_cmphex (GUINT32_FROM_LE (answers[2]->type), ==, VIRTIO_GPU_RESP_OK_NODATA);
  g_assert_cmpuint (virtio_driver_get_interrupts (f->driver, 0), ==, interrupts + 1);
  /* Stale by the time of its answer, which comes when the boot picture is put back. */
  answers[3] = start_flush (f, NULL);
  virtio_driver_kick (f->driver, 0);
  virtio_gpu_set_boot_surface (f->gpu, boot);
  virtio_driver_reset (f->driver);
  virtio_driver_run (f->driver);
  g_assert_true (f->front.surface == boot);
  g_assert_null (f->front.done);
  g_assert_cmphex (answers[3]->type, ==, 0);
}

/* Hostile-guest list 7: reset with requests in flight. */
static void
test_a_front_that_answers_after_a_reset_finds_nobody (Fixture *f, const void *data)
{
  make_picture (f, 1, VIRTIO_GPU_FORMAT_B8G8R8X8_UNORM);
  scanout (f, 1, rect_of (0, 0, WIDTH, HEIGHT));
  f->front.hold = true;
  start_flush (f, NULL);
  virtio_driver_kick (f->driver, 0);
  g_assert_nonnull (f->front.done);
  virtio_driver_reset (f->driver);
  virtio_driver_run (f->driver);
  g_assert_null (f->front.surface);
  f->front.done (f->front.done_opaque);
}

static void
test_the_boot_picture_gives_way_to_the_driver_and_comes_back (Fixture *f, const void *data)
{
  g_autoptr (ScanoutSurface) boot = scanout_surface_new (32, 32, 0, NULL);

  virtio_gpu_set_boot_surface (f->gpu, boot);
  g_assert_true (f->front.surface == boot);
  scanout (f, 0, rect_of (0, 0, 0, 0));
  g_assert_true (f->front.surface == boot);
  make_picture (f, 1, VIRTIO_GPU_FORMAT_B8G8R8X8_UNORM);
  scanout (f, 1, rect_of (0, 0, WIDTH, HEIGHT));
  g_assert_true (f->front.surface != boot);
  scanout (f, 0, rect_of (0, 0, 0, 0));
  g_assert_null (f->front.surface);
  virtio_driver_reset (f->driver);
  virtio_driver_run (f->driver);
  g_assert_true (f->front.surface == boot);
}

static void
test_the_user_can_ask_for_another_size (Fixture *f, const void *data)
{
  struct virtio_gpu_ctrl_hdr ask_info = { .type = GUINT32_TO_LE (VIRTIO_GPU_CMD_GET_DISPLAY_INFO) };
  struct virtio_gpu_resp_display_info info;
  uint32_t events;

  scanout_port_request_size (f->port, 1600, 900);
  g_assert_cmpuint (virtio_driver_get_config_interrupts (f->driver), ==, 1);
  virtio_driver_read_config (f->driver, 0, &events, 4);
  g_assert_cmphex (GUINT32_FROM_LE (events), ==, VIRTIO_GPU_EVENT_DISPLAY);
  virtio_driver_write_config (f->driver, 4, &events, 4);
  virtio_driver_read_config (f->driver, 0, &events, 4);
  g_assert_cmphex (events, ==, 0);
  virtio_driver_request (f->driver, 0, &ask_info, sizeof ask_info, &info, sizeof info);
  g_assert_cmpuint (GUINT32_FROM_LE (info.pmodes[0].r.width), ==, 1600);
  g_assert_cmpuint (GUINT32_FROM_LE (info.pmodes[0].enabled), ==, 1);
  g_assert_cmpuint (info.pmodes[1].enabled, ==, 0);
  scanout_port_request_size (f->port, UINT32_MAX, UINT32_MAX);
  virtio_driver_request (f->driver, 0, &ask_info, sizeof ask_info, &info, sizeof info);
  g_assert_cmpuint (GUINT32_FROM_LE (info.pmodes[0].r.width), ==, SCANOUT_MAX_SIDE);
}

static void
test_edid_says_the_size (Fixture *f, const void *data)
{
  struct virtio_gpu_cmd_get_edid command = { .hdr.type = GUINT32_TO_LE (VIRTIO_GPU_CMD_GET_EDID) };
  struct virtio_gpu_resp_edid answer;
  uint8_t sum = 0;

  virtio_driver_request (f->driver, 0, &command, sizeof command, &answer, sizeof answer);
  g_assert_cmphex (GUINT32_FROM_LE (answer.hdr.type), ==, VIRTIO_GPU_RESP_OK_EDID);
  g_assert_cmpuint (GUINT32_FROM_LE (answer.size), ==, VIRTIO_GPU_EDID_SIZE);
  for (unsigned i = 0; i < VIRTIO_GPU_EDID_SIZE; i++)
    sum += answer.edid[i];
  g_assert_cmpuint (sum, ==, 0);
  const uint8_t *timing = answer.edid + 54;
  g_assert_cmpuint (timing[2] | (timing[4] & 0xf0) << 4, ==, 1024);
  g_assert_cmpuint (timing[5] | (timing[7] & 0xf0) << 4, ==, 768);
}

static void
test_the_cursor_is_shown_moved_and_hidden (Fixture *f, const void *data)
{
  uint32_t *pixels = make_picture (f, 5, VIRTIO_GPU_FORMAT_B8G8R8A8_UNORM);
  struct virtio_gpu_update_cursor command = { .pos.x = GUINT32_TO_LE (12),
                                              .resource_id = GUINT32_TO_LE (5),
                                              .hot_x = GUINT32_TO_LE (UINT32_MAX) };

  pixels[0] = GUINT32_TO_LE (0x80112233);
  transfer (f, 5, rect_of (0, 0, WIDTH, HEIGHT), 0);
  g_assert_cmphex (ask (f, 1, VIRTIO_GPU_CMD_UPDATE_CURSOR, &command, sizeof command), ==,
                   VIRTIO_GPU_RESP_OK_NODATA);
  g_assert_cmphex (f->front.cursor_pixel, ==, 0x80112233);
  g_assert_cmpuint (f->front.hot_x, ==, WIDTH - 1);
  g_assert_cmpint (f->front.cursor_x, ==, 12);
  command.pos.x = GUINT32_TO_LE ((uint32_t) -4);
  ask (f, 1, VIRTIO_GPU_CMD_MOVE_CURSOR, &command, sizeof command);
  g_assert_cmpint (f->front.cursor_x, ==, -4);
  command.resource_id = 0;
  ask (f, 1, VIRTIO_GPU_CMD_UPDATE_CURSOR, &command, sizeof command);
  g_assert_false (f->front.has_cursor);
}

/* Hostile-guest list 10: a ring that is filled as fast as it is emptied. */
static void
test_hostile_10_a_ring_that_never_empties (Fixture *f, const void *data)
{
  make_picture (f, 1, VIRTIO_GPU_FORMAT_B8G8R8X8_UNORM);
  scanout (f, 1, rect_of (0, 0, WIDTH, HEIGHT));
  start_flush (f, &f->front.flooded_head);
  f->front.flooded = virtio_driver_get_queue (f->driver, 0);
  unsigned turns = 0;
  virtio_driver_notify (f->driver, 0);
  while (f->front.flushes < FLOOD)
    {
      unsigned before = f->front.flushes;
      g_main_context_iteration (NULL, TRUE);
      g_assert_cmpuint (f->front.flushes - before, <=, 256);
      turns++;
    }
  g_assert_cmpuint (turns, >, FLOOD / 256);
}

/* Requests that each move much memory. */
static void
test_hostile_10_a_turn_copies_so_much_only (Fixture *f, const void *data)
{
  enum
  {
    SIDE = 2048,
    BYTES = SIDE * SIDE * 4,
    N = 24
  };
  VirtqueueDriver *queue = virtio_driver_get_queue (f->driver, 0);
  const struct virtio_gpu_transfer_to_host_2d command = {
    .hdr.type = GUINT32_TO_LE (VIRTIO_GPU_CMD_TRANSFER_TO_HOST_2D),
    .r = rect_of (0, 0, SIDE, SIDE),
    .resource_id = GUINT32_TO_LE (1),
  };
  void *host;

  create (f, 1, VIRTIO_GPU_FORMAT_B8G8R8X8_UNORM, SIDE, SIDE);
  g_assert_cmphex (attach (f, 1, virtio_driver_alloc (f->driver, BYTES, NULL), BYTES), ==,
                   VIRTIO_GPU_RESP_OK_NODATA);
  uint64_t gpa = virtio_driver_alloc (f->driver, 4096, &host);
  memcpy (host, &command, sizeof command);
  const DriverSegment segment = { gpa, sizeof command, false };
  uint16_t start = virtqueue_driver_get_used_index (queue), before = start;
  for (unsigned i = 0; i < N; i++)
    virtqueue_driver_add (queue, &segment, 1);
  virtio_driver_notify (f->driver, 0);
  while (virtqueue_driver_get_used_index (queue) != (uint16_t) (start + N))
    {
      g_main_context_iteration (NULL, TRUE);
      uint16_t now = virtqueue_driver_get_used_index (queue);
      g_assert_cmpuint ((uint16_t) (now - before), <=, N / 2);
      before = now;
    }
}

/* Hostile-guest list 12: sizes, backing, freed resources, cursors, a million resources. */
static void
test_hostile_12_sizes_are_refused (Fixture *f, const void *data)
{
  const uint32_t format = VIRTIO_GPU_FORMAT_B8G8R8X8_UNORM;

  g_assert_cmphex (create (f, 1, format, 0, 1), ==, VIRTIO_GPU_RESP_ERR_INVALID_PARAMETER);
  g_assert_cmphex (create (f, 1, format, UINT32_MAX, UINT32_MAX), ==,
                   VIRTIO_GPU_RESP_ERR_INVALID_PARAMETER);
  g_assert_cmphex (create (f, 1, format, 0x10000, 0x10000), ==,
                   VIRTIO_GPU_RESP_ERR_INVALID_PARAMETER);
  g_assert_cmphex (create (f, 1, format, SCANOUT_MAX_SIDE, SCANOUT_MAX_SIDE), ==,
                   VIRTIO_GPU_RESP_ERR_OUT_OF_MEMORY);
  g_assert_cmphex (create (f, 0, format, 1, 1), ==, VIRTIO_GPU_RESP_ERR_INVALID_RESOURCE_ID);
}

static void
test_hostile_12_memory_and_count_are_bounded (Fixture *f, const void *data)
{
  const uint32_t format = VIRTIO_GPU_FORMAT_B8G8R8X8_UNORM;
  /* 64 MiB each, of which the host touches nothing. */
  uint32_t id = 1;

  while (create (f, id, format, 4096, 4096) == VIRTIO_GPU_RESP_OK_NODATA)
    id++;
  g_assert_cmpuint (id - 1, ==, VIRTIO_GPU_MAX_RESOURCE_BYTES >> 26);
  g_assert_cmphex (
      ASK (f, VIRTIO_GPU_CMD_RESOURCE_UNREF, virtio_gpu_resource_unref, .resource_id = 1), ==,
      VIRTIO_GPU_RESP_OK_NODATA);
  for (id = 1000; create (f, id, format, 1, 1) == VIRTIO_GPU_RESP_OK_NODATA; id++)
    g_assert_cmpuint (id, <, 1000 + VIRTIO_GPU_MAX_RESOURCES);
  virtio_driver_reset (f->driver);
}

/* Backing of as many pages as a resource may have. */
static uint32_t
attach_pages (Fixture *f, uint32_t id)
{
  const struct virtio_gpu_mem_entry page = { .addr = GUINT64_TO_LE (0x100000),
                                             .length = GUINT32_TO_LE (4096) };
  size_t size = sizeof (struct virtio_gpu_resource_attach_backing) +
                VIRTIO_GPU_MAX_BACKING_ENTRIES * sizeof page;
  g_autofree struct virtio_gpu_resource_attach_backing *command = g_malloc0 (size);
  struct virtio_gpu_mem_entry *entries = (struct virtio_gpu_mem_entry *) (command + 1);

  command->resource_id = GUINT32_TO_LE (id);
  command->nr_entries = GUINT32_TO_LE (VIRTIO_GPU_MAX_BACKING_ENTRIES);
  for (unsigned i = 0; i < VIRTIO_GPU_MAX_BACKING_ENTRIES; i++)
    entries[i] = page;
  return ask (f, 0, VIRTIO_GPU_CMD_RESOURCE_ATTACH_BACKING, command, size);
}

static void
test_hostile_12_lists_of_backing_are_bounded (Fixture *f, const void *data)
{
  enum
  {
    LIST = VIRTIO_GPU_MAX_BACKING_ENTRIES * sizeof (struct iovec),
    N_LISTS = 4
  };
  const uint32_t format = VIRTIO_GPU_FORMAT_B8G8R8X8_UNORM;
  const uint32_t rows =
      VIRTIO_GPU_MAX_RESOURCE_BYTES / (4096 * 4) - N_LISTS * LIST / (4096 * 4) - 1;

  /* Leaves room for the lists, and less than a list more. */
  for (uint32_t i = 0, left = rows; left > 0; i++)
    {
      uint32_t height = MIN (left, 4096);
      g_assert_cmphex (create (f, 1000 + i, format, 4096, height), ==, VIRTIO_GPU_RESP_OK_NODATA);
      left -= height;
    }
  for (uint32_t id = 1; id <= N_LISTS + 1; id++)
    g_assert_cmphex (create (f, id, format, 1, 1), ==, VIRTIO_GPU_RESP_OK_NODATA);
  for (uint32_t id = 1; id <= N_LISTS; id++)
    g_assert_cmphex (attach_pages (f, id), ==, VIRTIO_GPU_RESP_OK_NODATA);
  g_assert_cmphex (attach_pages (f, N_LISTS + 1), ==, VIRTIO_GPU_RESP_ERR_OUT_OF_MEMORY);
  g_assert_cmphex (ASK (f, VIRTIO_GPU_CMD_RESOURCE_DETACH_BACKING,
                        virtio_gpu_resource_detach_backing, .resource_id = GUINT32_TO_LE (1)),
                   ==, VIRTIO_GPU_RESP_OK_NODATA);
  g_assert_cmphex (attach_pages (f, N_LISTS + 1), ==, VIRTIO_GPU_RESP_OK_NODATA);
  g_assert_cmphex (attach_pages (f, 1), ==, VIRTIO_GPU_RESP_ERR_OUT_OF_MEMORY);
  g_assert_cmphex (ASK (f, VIRTIO_GPU_CMD_RESOURCE_UNREF, virtio_gpu_resource_unref,
                        .resource_id = GUINT32_TO_LE (2)),
                   ==, VIRTIO_GPU_RESP_OK_NODATA);
  g_assert_cmphex (attach_pages (f, 1), ==, VIRTIO_GPU_RESP_OK_NODATA);
}

static void
test_hostile_12_backing_and_offsets_are_checked (Fixture *f, const void *data)
{
  struct virtio_gpu_rect all = rect_of (0, 0, WIDTH, HEIGHT);

  create (f, 1, VIRTIO_GPU_FORMAT_B8G8R8X8_UNORM, WIDTH, HEIGHT);
  g_assert_cmphex (transfer (f, 1, all, 0), ==, VIRTIO_GPU_RESP_ERR_INVALID_PARAMETER);
  g_assert_cmphex (attach (f, 1, MEMORY_SIZE - 4096, 8192), ==, VIRTIO_GPU_RESP_ERR_UNSPEC);
  g_assert_cmphex (attach (f, 1, UINT64_MAX - 4095, 8192), ==, VIRTIO_GPU_RESP_ERR_UNSPEC);
  g_assert_cmphex (ASK (f, VIRTIO_GPU_CMD_RESOURCE_ATTACH_BACKING,
                        virtio_gpu_resource_attach_backing, .resource_id = GUINT32_TO_LE (1),
                        .nr_entries = UINT32_MAX),
                   ==, VIRTIO_GPU_RESP_ERR_INVALID_PARAMETER);
  g_assert_cmphex (attach (f, 1, 0x100000, WIDTH * HEIGHT * 4), ==, VIRTIO_GPU_RESP_OK_NODATA);
  g_assert_cmphex (attach (f, 1, 0x100000, WIDTH * HEIGHT * 4), ==, VIRTIO_GPU_RESP_ERR_UNSPEC);
  g_assert_cmphex (transfer (f, 1, all, 4), ==, VIRTIO_GPU_RESP_ERR_INVALID_PARAMETER);
  g_assert_cmphex (transfer (f, 1, all, UINT64_MAX - 3), ==, VIRTIO_GPU_RESP_ERR_INVALID_PARAMETER);
  g_assert_cmphex (transfer (f, 1, rect_of (1, 0, UINT32_MAX, 1), 0), ==,
                   VIRTIO_GPU_RESP_ERR_INVALID_PARAMETER);
  g_assert_cmphex (transfer (f, 1, rect_of (0, HEIGHT, 1, 1), 0), ==,
                   VIRTIO_GPU_RESP_ERR_INVALID_PARAMETER);
  g_assert_cmphex (scanout (f, 1, rect_of (1, 1, WIDTH, HEIGHT)), ==,
                   VIRTIO_GPU_RESP_ERR_INVALID_PARAMETER);
}

static void
test_hostile_12_a_freed_resource_leaves_the_scanout (Fixture *f, const void *data)
{
  make_picture (f, 1, VIRTIO_GPU_FORMAT_B8G8R8X8_UNORM);
  scanout (f, 1, rect_of (0, 0, WIDTH, HEIGHT));
  g_assert_nonnull (f->front.surface);
  g_assert_cmphex (ASK (f, VIRTIO_GPU_CMD_RESOURCE_UNREF, virtio_gpu_resource_unref,
                        .resource_id = GUINT32_TO_LE (1)),
                   ==, VIRTIO_GPU_RESP_OK_NODATA);
  g_assert_null (f->front.surface);
  g_assert_cmphex (flush (f, 1, rect_of (0, 0, 1, 1)), ==, VIRTIO_GPU_RESP_ERR_INVALID_RESOURCE_ID);
}

static void
test_hostile_12_a_large_cursor_is_refused (Fixture *f, const void *data)
{
  struct virtio_gpu_update_cursor command = { .resource_id = GUINT32_TO_LE (1) };

  create (f, 1, VIRTIO_GPU_FORMAT_B8G8R8A8_UNORM, SCANOUT_CURSOR_MAX + 1, 1);
  g_assert_cmphex (ask (f, 1, VIRTIO_GPU_CMD_UPDATE_CURSOR, &command, sizeof command), ==,
                   VIRTIO_GPU_RESP_ERR_INVALID_RESOURCE_ID);
  g_assert_false (f->front.has_cursor);
}

static void
test_short_and_unknown_commands_are_answered (Fixture *f, const void *data)
{
  struct virtio_gpu_ctrl_hdr answer = { 0 }, header = { .type = GUINT32_TO_LE (0x0666) };

  virtio_driver_request (f->driver, 0, &header, sizeof header, &answer, sizeof answer);
  g_assert_cmphex (GUINT32_FROM_LE (answer.type), ==, VIRTIO_GPU_RESP_ERR_UNSPEC);
  header.type = GUINT32_TO_LE (VIRTIO_GPU_CMD_SET_SCANOUT);
  virtio_driver_request (f->driver, 0, &header, sizeof header, &answer, sizeof answer);
  g_assert_cmphex (GUINT32_FROM_LE (answer.type), ==, VIRTIO_GPU_RESP_ERR_UNSPEC);
  g_assert_cmpuint (virtio_driver_request (f->driver, 0, &header, 3, &answer, sizeof answer), ==,
                    0);
}

/* What the device was told is gone as soon as it has read it: it goes by its copy. */
static void
setup_changing (Fixture *f, const void *data)
{
  set_up (f, data);
  changing_memory_begin ();
}

static void
teardown_changing (Fixture *f, const void *data)
{
  g_assert_cmpuint (changing_memory_end (), >, 0);
  tear_down (f, data);
}

#define ADD_CHANGING(name, data, func)                                                             \
  g_test_add ("/virtio-gpu/hostile-8-memory-changes/" name, Fixture, data, setup_changing, func,   \
              teardown_changing)

#define ADD(NAME, FUNC) g_test_add ("/virtio-gpu/" NAME, Fixture, NULL, set_up, FUNC, tear_down)

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  /* Refusals are logged as warnings. */
  g_log_set_always_fatal (G_LOG_FATAL_MASK | G_LOG_LEVEL_CRITICAL);
  ADD ("a-picture-reaches-the-front", test_a_picture_reaches_the_front);
  ADD ("a-transfer-touches-its-rectangle-only", test_a_transfer_touches_its_rectangle_only);
  ADD ("every-format-becomes-xrgb", test_every_format_becomes_xrgb);
  ADD ("a-part-of-a-resource-can-be-the-scanout", test_a_part_of_a_resource_can_be_the_scanout);
  ADD ("a-flush-is-answered-when-the-front-is-done",
       test_a_flush_is_answered_when_the_front_is_done);
  ADD ("a-front-may-answer-in-any-call", test_a_front_may_answer_in_any_call);
  ADD ("a-front-that-answers-after-a-reset-finds-nobody",
       test_a_front_that_answers_after_a_reset_finds_nobody);
  ADD ("the-boot-picture-gives-way-to-the-driver-and-comes-back",
       test_the_boot_picture_gives_way_to_the_driver_and_comes_back);
  ADD ("the-user-can-ask-for-another-size", test_the_user_can_ask_for_another_size);
  ADD ("edid-says-the-size", test_edid_says_the_size);
  ADD ("the-cursor-is-shown-moved-and-hidden", test_the_cursor_is_shown_moved_and_hidden);
  ADD ("hostile-10-a-ring-that-never-empties", test_hostile_10_a_ring_that_never_empties);
  ADD ("hostile-10-a-turn-copies-so-much-only", test_hostile_10_a_turn_copies_so_much_only);
  ADD ("hostile-12-sizes-are-refused", test_hostile_12_sizes_are_refused);
  ADD ("hostile-12-memory-and-count-are-bounded", test_hostile_12_memory_and_count_are_bounded);
  ADD ("hostile-12-lists-of-backing-are-bounded", test_hostile_12_lists_of_backing_are_bounded);
  ADD ("hostile-12-backing-and-offsets-are-checked",
       test_hostile_12_backing_and_offsets_are_checked);
  ADD ("hostile-12-a-freed-resource-leaves-the-scanout",
       test_hostile_12_a_freed_resource_leaves_the_scanout);
  ADD ("hostile-12-a-large-cursor-is-refused", test_hostile_12_a_large_cursor_is_refused);
  ADD ("short-and-unknown-commands-are-answered", test_short_and_unknown_commands_are_answered);
  ADD_CHANGING ("picture", NULL, test_a_picture_reaches_the_front);
  ADD_CHANGING ("transfer", NULL, test_a_transfer_touches_its_rectangle_only);
  ADD_CHANGING ("part", NULL, test_a_part_of_a_resource_can_be_the_scanout);
  ADD_CHANGING ("cursor", NULL, test_the_cursor_is_shown_moved_and_hidden);
  ADD_CHANGING ("backing", NULL, test_hostile_12_backing_and_offsets_are_checked);
  ADD_CHANGING ("sizes", NULL, test_hostile_12_sizes_are_refused);
  return g_test_run ();
}
