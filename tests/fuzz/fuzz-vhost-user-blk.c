/* A disk whose back end lies: [flags][steps, n][n steps][record, n 2 bytes][record of requests in flight][script, n 2 bytes][what the
 * first back end answers: vhost-user-script.h], and then those of the next one, as often as one is started. The steps are what the guest and the machine do. */
#include "fuzz-target.h"

#include <unistd.h>
#include <linux/virtio_blk.h>
#include <linux/virtio_config.h>

#include "disk-peer.h"
#include "fuzz-input.h"
#include "vhost-user-script.h"
#include "virtio-driver.h"
#include "virtio/vhost-user-blk.h"

#define MEMORY_SIZE (UINT64_C (1) << 20)
#define DATA        UINT64_C (0xe0000)
#define QUEUES      2
#define RECORD      (QUEUES * 8192)
#define STEPS_MAX   64
#define REQUESTS    64

enum
{
  FLAG_READONLY = 1 << 0,
  FLAG_NO_FD = 1 << 1,
  FLAG_SHORT_FD = 1 << 2,
};

enum
{
  STEP_REQUEST,
  STEP_USED, /* the back end writes to the used ring */
  STEP_RECORD,
  STEP_CONFIG,
  STEP_RESET,
  STEP_RESUME,
  STEPS
};

typedef struct World
{
  DiskPeer peer; /* first: run_back_end () casts */
  GuestMemory *memory;
  FuzzInput answers;
  unsigned flags;
  int record;
  VhostUserBlk *blk;
  VirtioDriver *driver;
  unsigned added;
} World;

/* A back end that does not finish its requests is waited for: in this time, which passes as it is slept away. */
static int64_t now_us;

gint64
g_get_monotonic_time (void)
{
  return now_us;
}

void
g_usleep (gulong microseconds)
{
  now_us += G_TIME_SPAN_SECOND;
}

static void
run_back_end (DiskPeer *peer)
{
  World *world = (World *) peer;
  size_t n = fuzz_take (&world->answers, 2);
  const uint8_t *bytes = fuzz_take_bytes (&world->answers, &n);

  vhost_user_script_run (peer->fd, (FuzzInput){ bytes, n },
                         world->flags & FLAG_NO_FD ? -1 : world->record);
}

static void
add_request (World *world, uint32_t sector)
{
  const struct virtio_blk_outhdr header = { .type = VIRTIO_BLK_T_IN, .sector = sector };
  const DriverSegment segments[] = { { DATA, sizeof header, false }, { DATA + 0x1000, 513, true } };

  if (world->added++ >= REQUESTS)
    return;
  g_assert_true (guest_memory_write (world->memory, DATA, &header, sizeof header));
  virtqueue_driver_add (virtio_driver_get_queue (world->driver, 0), segments, 2);
  virtio_driver_kick (world->driver, 0);
}

static void
write_used (World *world, unsigned queue, uint16_t index)
{
  const VirtqueueLayout *layout =
      virtqueue_driver_get_layout (virtio_driver_get_queue (world->driver, queue));

  g_assert_true (guest_memory_write (world->memory, layout->used + 2, &index, sizeof index));
}

static void
start_driver (World *world)
{
  virtio_driver_free (world->driver);
  world->driver =
      virtio_driver_new (vhost_user_blk_get_device (world->blk), world->memory, 0, UINT64_MAX);
  world->added = 0;
}

static void
step (World *world, FuzzInput *steps)
{
  const unsigned what = fuzz_take (steps, 1), value = fuzz_take (steps, 2);
  uint8_t config[64];

  switch (what % STEPS)
    {
    case STEP_REQUEST:
      add_request (world, value);
      break;
    case STEP_USED:
      write_used (world, what >> 7, value);
      break;
    case STEP_RECORD:
      g_assert_cmpint (pwrite (world->record, &value, 1, (value >> 3) % RECORD), <=, 1);
      break;
    case STEP_CONFIG:
      virtio_driver_read_config (world->driver, value & 0xff, config, sizeof config);
      break;
    case STEP_RESET:
      start_driver (world);
      break;
    default:
      vhost_user_blk_resume (world->blk, NULL);
    }
  virtio_driver_run (world->driver);
}

static void
run (World *world, FuzzInput *steps)
{
  const VhostUserBlkConfig config = {
    .readonly = world->flags & FLAG_READONLY,
    .n_queues = QUEUES,
    DISK_PEER_CALLS (&world->peer),
  };
  g_autoptr (GError) error = NULL;

  world->blk = vhost_user_blk_new (&config, world->memory, NULL, &error);
  g_assert_true ((world->blk != NULL) == (error == NULL));
  if (!world->blk)
    return;
  g_assert_cmpuint (vhost_user_blk_get_size (world->blk), >, 0);
  start_driver (world);
  for (unsigned i = 0; i < STEPS_MAX && steps->size > 0; i++)
    step (world, steps);
  virtio_driver_free (world->driver);
  vhost_user_blk_free (world->blk);
}

int
LLVMFuzzerTestOneInput (const uint8_t *data, size_t size)
{
  FuzzInput input = { data, size };
  World world = { .peer = { .run = run_back_end, .fd = -1 }, .flags = fuzz_take (&input, 1) };
  FuzzInput steps;

  steps.size = fuzz_take (&input, 1);
  steps.data = fuzz_take_bytes (&input, &steps.size);
  size_t n_record = fuzz_take (&input, 2);
  const uint8_t *record = fuzz_take_bytes (&input, &n_record);
  now_us = 0;
  world.answers = input;
  world.record =
      vhost_user_script_make_record (world.flags & FLAG_SHORT_FD ? 100 : RECORD, record, n_record);
  world.memory = guest_memory_new_shared (MEMORY_SIZE, MEMORY_SIZE, 4 * MEMORY_SIZE, NULL);
  run (&world, &steps);
  disk_peer_end (&world.peer);
  close (world.record);
  guest_memory_free (world.memory);
  return 0;
}
