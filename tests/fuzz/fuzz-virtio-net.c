/* A driver of a network card and the network behind it: a row of steps, [what 3 bits, piece sizes 5 bits] and then a frame to send with its
 * header ([n][n bytes], in up to three pieces), receive buffers ([number][size]), a frame from the network ([kind][length 16][n][n bytes at
 * its start]), raw descriptors, or a reset. The back end sends every other frame back at once. */
#include "fuzz-target.h"

#include <string.h>
#include <linux/virtio_config.h>

#include "fuzz-input.h"
#include "virtio-driver.h"
#include "virtio/virtio-net.h"

#define MEMORY_SIZE (UINT64_C (2) << 20)
#define DATA        UINT64_C (0x40000)
#define BUFFERS     UINT64_C (0x80000)
#define MAX_STEPS   64

enum
{
  STEP_SEND,
  STEP_BUFFERS,
  STEP_RECEIVE,
  STEP_RAW,
  STEP_FEATURES,
  STEPS
};

typedef struct World
{
  GuestMemory *memory;
  VirtioNet *net;
  VirtioDriver *driver;
  NetReceiver receiver;
  unsigned sent;
} World;

static unsigned
take_bytes (FuzzInput *input, uint8_t bytes[256])
{
  size_t n = fuzz_take (input, 1);
  const uint8_t *taken = fuzz_take_bytes (input, &n);

  if (n > 0)
    memcpy (bytes, taken, n);
  return n;
}

static GMainContext *
get_context (void *opaque)
{
  return g_main_context_default ();
}

static void
set_receiver (void *opaque, const NetReceiver *receiver)
{
  ((World *) opaque)->receiver = *receiver;
}

static void
send_frame (void *opaque, const uint8_t *frame, size_t size)
{
  World *world = opaque;

  g_assert_cmpuint (size, <=, 65534);
  if (world->sent++ % 2 == 0)
    world->receiver.receive (world->receiver.opaque, frame, size);
}

static void
stop (void *opaque)
{
}

static const NetBackendOps ops = {
  .frame_max = 65534,
  .terminates_tcp = true,
  .get_context = get_context,
  .set_receiver = set_receiver,
  .send = send_frame,
  .stop = stop,
};

/* A ring's free descriptors are few; the test's driver wants there to be some. */
static void
add (World *world, unsigned queue, const DriverSegment *segments, unsigned n)
{
  VirtqueueDriver *ring = virtio_driver_get_queue (world->driver, queue);

  if (virtqueue_driver_get_n_free (ring) < n)
    return;
  virtqueue_driver_add (ring, segments, n);
  virtio_driver_kick (world->driver, queue);
}

static void
send_step (World *world, FuzzInput *input, unsigned pieces)
{
  uint8_t bytes[256];
  const unsigned n = take_bytes (input, bytes);
  const uint32_t tail = (uint32_t) fuzz_take (input, 1) << 8; /* what lies there */
  const uint32_t first = MIN (n, pieces);
  const DriverSegment segments[] = {
    { DATA, first, false },
    { DATA + first, n - first, false },
    { DATA + n, tail, false },
  };

  g_assert_true (guest_memory_write (world->memory, DATA, bytes, n));
  add (world, VIRTIO_NET_TX, segments, G_N_ELEMENTS (segments));
}

static void
receive_step (World *world, FuzzInput *input)
{
  const uint8_t kind = fuzz_take (input, 1);
  const size_t high = fuzz_take (input, 1), size = high << 8 | fuzz_take (input, 1);
  g_autofree uint8_t *frame = g_malloc0 (MAX (size, 256));

  take_bytes (input, frame);
  if (kind & 1) /* the length that IPv4 would say */
    {
      memcpy (frame + 12, "\x08\x00\x45", 3);
      frame[16] = (size - 14) >> 8;
      frame[17] = size - 14;
    }
  world->receiver.receive (world->receiver.opaque, frame, size);
  if (kind & 2)
    world->receiver.flush (world->receiver.opaque);
}

static void
start (World *world, uint64_t features)
{
  virtio_driver_free (world->driver);
  world->driver =
      virtio_driver_new (virtio_net_get_device (world->net), world->memory, 0, features);
}

static void
run_step (World *world, FuzzInput *input)
{
  const uint8_t head = fuzz_take (input, 1);
  const unsigned argument = head >> 3;

  switch ((head & 7) % STEPS)
    {
    case STEP_SEND:
      send_step (world, input, argument);
      return;
    case STEP_BUFFERS:
      for (unsigned i = fuzz_take (input, 1) % 64, size = fuzz_take (input, 1) << (argument % 9);
           i > 0; i--)
        add (world, VIRTIO_NET_RX, &(DriverSegment){ BUFFERS + i * 0x4000, size, argument != 31 },
             1);
      return;
    case STEP_RECEIVE:
      receive_step (world, input);
      return;
    case STEP_RAW:
      {
        const uint64_t gpa = fuzz_take (input, 1) << 16, gpa_low = fuzz_take (input, 1);
        const uint32_t length = fuzz_take (input, 1) << 24, length_low = fuzz_take (input, 1);
        const DriverSegment segment = { gpa | gpa_low, length | length_low, argument & 1 };

        add (world, argument >> 1 & 1, &segment, 1);
        return;
      }
    default:
      {
        const uint64_t queue = fuzz_take (input, 1) << 56, ring = fuzz_take (input, 1) << 27;
        const uint64_t offload = fuzz_take (input, 1) << 11, low = fuzz_take (input, 1);

        start (world, queue | ring | offload | low | UINT64_C (1) << VIRTIO_F_VERSION_1);
      }
    }
}

int
LLVMFuzzerTestOneInput (const uint8_t *data, size_t size)
{
  FuzzInput input = { data, size };
  World world = { .memory = guest_memory_new (MEMORY_SIZE, MEMORY_SIZE, UINT64_C (4) << 30, NULL) };
  const NetBackend backend = { &ops, &world };
  const uint8_t mac[VIRTIO_NET_MAC_SIZE] = { 2, 0, 0, 0, 0, 1 };

  world.net = virtio_net_new (mac, &backend, world.memory);
  start (&world, UINT64_MAX);
  for (unsigned i = 0; i < MAX_STEPS && input.size > 0; i++)
    {
      if (virtio_driver_get_status (world.driver) & VIRTIO_CONFIG_S_NEEDS_RESET)
        start (&world, UINT64_MAX);
      run_step (&world, &input);
    }
  virtio_driver_free (world.driver);
  virtio_net_free (world.net);
  guest_memory_free (world.memory);
  return 0;
}
