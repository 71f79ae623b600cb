/* Requests to a disk: the input is [flags] and then a row of requests, each [queue 1 bit, how 2 bits][bytes of header, n][n bytes][segments, m]
 * and m segments of [flags 1 byte][size 2 bytes]. A header may be short, split, or followed by anything. A request is waited for, or is
 * under way, or the device was not yet told of it, when the next one comes, or when the device is reset. */
#include "fuzz-target.h"

#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <linux/virtio_config.h>

#include "fuzz-input.h"
#include "block/block-raw.h"
#include "virtio-driver.h"
#include "virtio/virtio-blk.h"

#define MEMORY_SIZE  (UINT64_C (1) << 20)
#define IMAGE_SIZE   0x10000
#define QUEUES       2
#define MAX_REQUESTS 32
#define MAX_SEGMENTS 6
#define HEADERS      UINT64_C (0x80000) /* 64 bytes each */
#define DATA         UINT64_C (0x81000)

enum
{
  HOW_WAITED_FOR,
  HOW_NOT_TOLD,
  HOW_UNDER_WAY,
  HOW_RESET, /* no request */
  HOWS
};

enum
{
  FLAG_READONLY = 1 << 0,
  FLAG_LEFT = 1 << 1, /* what is under way at the end */
  SEGMENT_WRITABLE = 1 << 0,
  SEGMENT_OUTSIDE = 1 << 1, /* of guest memory */
};

typedef struct World
{
  GuestMemory *memory;
  VirtioBlk *blk;
  VirtioDriver *driver;
  unsigned n_requests;
  uint16_t added[QUEUES]; /* since the driver started */
} World;

static void
start_driver (World *world)
{
  virtio_driver_free (world->driver);
  world->driver =
      virtio_driver_new (virtio_blk_get_device (world->blk), world->memory, 0, UINT64_MAX);
  memset (world->added, 0, sizeof world->added);
}

static unsigned
take_segments (FuzzInput *input, World *world, DriverSegment *segments)
{
  const uint64_t header = HEADERS + 64 * world->n_requests++;
  size_t n_header = fuzz_take (input, 1) % 64;
  const uint8_t *bytes = fuzz_take_bytes (input, &n_header);
  unsigned n = 0;

  if (n_header > 0)
    {
      g_assert_true (guest_memory_write (world->memory, header, bytes, n_header));
      segments[n++] = (DriverSegment){ header, n_header, false };
    }
  for (unsigned rest = fuzz_take (input, 1) % MAX_SEGMENTS; rest > 0; rest--)
    {
      const unsigned flags = fuzz_take (input, 1), size = fuzz_take (input, 2);
      const uint64_t gpa = flags & SEGMENT_OUTSIDE ? MEMORY_SIZE - size / 2 : DATA;

      segments[n++] = (DriverSegment){ gpa, size, flags & SEGMENT_WRITABLE };
    }
  return n;
}

static bool
is_broken (World *world)
{
  return (virtio_driver_get_status (world->driver) & VIRTIO_CONFIG_S_NEEDS_RESET) != 0;
}

/* Every request is answered, or the device says that it needs a reset. */
static void
wait_for_all (World *world)
{
  for (unsigned i = 0; i < QUEUES; i++)
    {
      VirtqueueDriver *ring = virtio_driver_get_queue (world->driver, i);

      virtio_driver_kick (world->driver, i);
      while (virtqueue_driver_get_used_index (ring) != world->added[i] && !is_broken (world))
        g_main_context_iteration (NULL, TRUE);
    }
}

static void
step (World *world, FuzzInput *input)
{
  const unsigned head = fuzz_take (input, 1), queue = head % QUEUES, how = (head >> 1) % HOWS;
  DriverSegment segments[MAX_SEGMENTS + 1];

  if (how == HOW_RESET)
    {
      start_driver (world);
      return;
    }
  const unsigned n = take_segments (input, world, segments);
  if (n == 0 || is_broken (world))
    return;
  virtqueue_driver_add (virtio_driver_get_queue (world->driver, queue), segments, n);
  world->added[queue]++;
  if (how == HOW_WAITED_FOR)
    wait_for_all (world);
  else if (how == HOW_UNDER_WAY)
    virtio_driver_kick (world->driver, queue);
}

int
LLVMFuzzerTestOneInput (const uint8_t *data, size_t size)
{
  FuzzInput input = { data, size };
  const unsigned flags = fuzz_take (&input, 1);
  const int fd = memfd_create ("fuzz-virtio-blk", MFD_CLOEXEC);
  g_autofree char *path = g_strdup_printf ("/proc/self/fd/%d", fd);
  g_autoptr (GError) error = NULL;
  World world = { .memory = guest_memory_new (MEMORY_SIZE, MEMORY_SIZE, UINT64_C (4) << 30, NULL) };
  VirtioBlkConfig config = {
    .readonly = flags & FLAG_READONLY,
    .serial = "fuzz",
    .n_queues = QUEUES,
  };

  g_assert_cmpint (ftruncate (fd, IMAGE_SIZE), ==, 0);
  block_raw_open_backend (path, config.readonly, &config.backend, &error);
  g_assert_no_error (error);
  world.blk = virtio_blk_new (&config, world.memory, g_main_context_default ());
  start_driver (&world);
  for (unsigned i = 0; i < MAX_REQUESTS && input.size > 0; i++)
    step (&world, &input);
  if (!(flags & FLAG_LEFT))
    wait_for_all (&world);
  virtio_driver_free (world.driver);
  virtio_blk_free (world.blk);
  guest_memory_free (world.memory);
  /* Whatever was asked, the file is as long as it was. */
  g_assert_cmpint (lseek (fd, 0, SEEK_END), ==, IMAGE_SIZE);
  close (fd);
  return 0;
}
