/* A driver of the graphics card and the front behind it: a row of steps, [what 3 bits, more 5 bits] and then
 *
 *   a command     more: queue, pieces - 1 (2 bits), room for the answer (2 bits); [length 16][that many bytes]
 *   the same, but the device hears of it only with the next one
 *   the front     more: how it answers flushes from now on (see FrontMode), and how many held ones it answers now
 *   a reset       the driver begins anew
 *   another size  [width 16][height 16], as a client asks for it
 *   registers     [offset][size or value], read or written
 *
 * Resource ids and addresses are what the bytes say, so that seeds with sensible ones lead in. */
#include "fuzz-target.h"

#include <string.h>

#include "virtio-driver.h"
#include "virtio/virtio-gpu.h"

#define MEMORY_SIZE (UINT64_C (8) << 20)
#define RINGS       0x10000
#define MAX_STEPS   48 /* each takes five descriptors of 256 at most */
#define MAX_PIECES  4

enum
{
  STEP_COMMAND,
  STEP_COMMAND_UNHEARD,
  STEP_FRONT,
  STEP_RESET,
  STEP_SIZE,
  STEP_REGISTERS,
  STEPS
};

typedef enum
{
  FRONT_AT_ONCE,
  FRONT_HOLDS,
  FRONT_LATE, /* holds, and answers in the next call of whatever kind */
  FRONT_MODES
} FrontMode;

typedef struct Input
{
  const uint8_t *data;
  size_t size;
} Input;

typedef struct Held
{
  ScanoutDoneFunc done;
  void *opaque;
} Held;

typedef struct World
{
  GuestMemory *memory;
  ScanoutPort *port;
  VirtioGpu *gpu;
  VirtioDriver *driver;
  FrontMode mode;
  GArray *held; /* of Held */
} World;

static uint8_t
take (Input *input)
{
  if (input->size == 0)
    return 0;
  input->size--;
  return *input->data++;
}

static uint16_t
take16 (Input *input)
{
  const uint8_t low = take (input);

  return low | take (input) << 8;
}

/* The front */

static void
answer_held (World *world, unsigned n)
{
  while (n-- > 0 && world->held->len > 0)
    {
      const Held one = g_array_index (world->held, Held, 0);
      g_array_remove_index (world->held, 0);
      one.done (one.opaque);
    }
}

static void
answer_late (World *world)
{
  if (world->mode == FRONT_LATE)
    answer_held (world, world->held->len);
}

static void
front_set_surface (void *opaque, ScanoutSurface *surface)
{
  answer_late (opaque);
}

/* Reads what a front would: the last row of the rectangle. */
static void
front_flush (void *opaque, const ScanoutRect *rect, ScanoutDoneFunc done, void *done_opaque)
{
  World *world = opaque;
  const Held one = { done, done_opaque };
  ScanoutSurface *surface = scanout_port_get_surface (world->port);
  const uint8_t *pixels = scanout_surface_get_pixels (surface);
  size_t last = (size_t) (rect->y + rect->height - 1) * scanout_surface_get_stride (surface) +
                (size_t) (rect->x + rect->width) * 4 - 1;

  g_assert_cmpuint (last, <, scanout_surface_get_size (surface));
  (void) *(const volatile uint8_t *) (pixels + last);
  answer_late (world);
  if (world->mode == FRONT_AT_ONCE)
    done (done_opaque);
  else
    g_array_append_val (world->held, one);
}

static void
front_set_cursor (void *opaque, const ScanoutCursor *cursor)
{
  answer_late (opaque);
}

static void
front_move_cursor (void *opaque, int32_t x, int32_t y)
{
  answer_late (opaque);
}

static const ScanoutFrontOps front_ops = {
  .set_surface = front_set_surface,
  .flush = front_flush,
  .set_cursor = front_set_cursor,
  .move_cursor = front_move_cursor,
};

/* Steps */

static void
make_driver (World *world)
{
  world->driver =
      virtio_driver_new (virtio_gpu_get_device (world->gpu), world->memory, RINGS, UINT64_MAX);
}

static void
add_command (World *world, Input *input, unsigned more, bool heard)
{
  static const uint32_t rooms[] = { 0, 5, 24, 1100 };
  const unsigned queue = more & 1;
  const unsigned n_pieces = 1 + (more >> 1 & (MAX_PIECES - 1));
  const uint32_t room = rooms[more >> 3 & 3];
  const uint32_t said = take16 (input);
  const uint32_t length = MIN (said, input->size);
  DriverSegment segments[MAX_PIECES + 1];
  unsigned n = 0;
  void *host;

  uint64_t gpa = virtio_driver_alloc (world->driver, length + room + 1, &host);
  memcpy (host, input->data, length);
  input->data += length;
  input->size -= length;
  for (uint32_t done = 0; done < length; n++)
    {
      uint32_t size = n + 1 < n_pieces ? MIN (length - done, 1 + length / n_pieces) : length - done;
      segments[n] = (DriverSegment){ gpa + done, size, false };
      done += size;
    }
  if (room > 0)
    segments[n++] = (DriverSegment){ gpa + length, room, true };
  if (n == 0)
    return;
  VirtqueueDriver *ring = virtio_driver_get_queue (world->driver, queue);
  virtqueue_driver_add (ring, segments, n);
  if (heard)
    virtio_driver_kick (world->driver, queue);
  while (virtqueue_driver_take_used (ring, NULL, NULL))
    ;
}

static void
use_registers (World *world, Input *input, unsigned more)
{
  const uint32_t offset = take (input);
  uint8_t bytes[8] = { 0 };

  bytes[0] = take (input);
  if (more & 1)
    virtio_driver_write_config (world->driver, offset, bytes, 1 + (more >> 1 & 7));
  else
    virtio_driver_read_config (world->driver, offset, bytes, 1 + (more >> 1 & 7));
}

static void
run_step (World *world, Input *input)
{
  const uint8_t what = take (input);
  const unsigned more = what >> 3;

  switch ((what & 7) % STEPS)
    {
    case STEP_COMMAND:
    case STEP_COMMAND_UNHEARD:
      add_command (world, input, more, (what & 7) % STEPS == STEP_COMMAND);
      break;
    case STEP_FRONT:
      world->mode = (more & 3) % FRONT_MODES;
      answer_held (world, more >> 2);
      break;
    case STEP_RESET:
      virtio_driver_free (world->driver);
      make_driver (world);
      break;
    case STEP_SIZE:
      {
        const uint16_t width = take16 (input);
        scanout_port_request_size (world->port, width, take16 (input));
        break;
      }
    case STEP_REGISTERS:
      use_registers (world, input, more);
      break;
    }
}

int
LLVMFuzzerTestOneInput (const uint8_t *data, size_t size)
{
  Input input = { data, size };
  World world = { .held = g_array_new (FALSE, FALSE, sizeof (Held)) };
  g_autoptr (ScanoutSurface) boot = scanout_surface_new (32, 32, 0, NULL);

  world.memory = guest_memory_new (MEMORY_SIZE, UINT64_C (2) << 30, UINT64_C (4) << 30, NULL);
  world.port = scanout_port_new ();
  scanout_port_attach (world.port, &front_ops, &world);
  world.gpu = virtio_gpu_new (world.memory, world.port, 640, 480);
  virtio_gpu_set_boot_surface (world.gpu, boot);
  make_driver (&world);
  for (unsigned i = 0; i < MAX_STEPS && input.size > 0; i++)
    run_step (&world, &input);
  virtio_driver_run (world.driver);
  virtio_driver_free (world.driver);
  virtio_gpu_free (world.gpu);
  /* What is still owed finds nobody. */
  answer_held (&world, world.held->len);
  scanout_port_free (world.port);
  guest_memory_free (world.memory);
  g_array_unref (world.held);
  while (g_main_context_iteration (NULL, FALSE))
    ;
  return 0;
}
