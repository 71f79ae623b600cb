/* Requests to a balloon: a row of steps, each [queue 3 bits, what 5 bits] and then [bytes, n][n bytes] of page numbers or statistics,
 * a [page][pages] that is reported free, a write to the config space [offset][size][bytes], or a wish of the host's. */
#include "fuzz-target.h"

#include <string.h>
#include <linux/virtio_config.h>

#include "fuzz-input.h"
#include "virtio-driver.h"
#include "virtio/virtio-balloon.h"

#define MEMORY_SIZE (UINT64_C (1) << 20)
#define DATA        UINT64_C (0x80000)
#define QUEUES      5
#define MAX_STEPS   64

enum
{
  STEP_BYTES,
  STEP_REPORT,
  STEP_CONFIG,
  STEP_TARGET,
  STEPS
};

static unsigned
take_bytes (FuzzInput *input, uint8_t bytes[256])
{
  size_t n = fuzz_take (input, 1);
  const uint8_t *taken = fuzz_take_bytes (input, &n);

  if (n > 0)
    memcpy (bytes, taken, n);
  return n;
}

static void
run_step (FuzzInput *input, VirtioBalloon *balloon, VirtioDriver *driver, GuestMemory *memory)
{
  const uint8_t head = fuzz_take (input, 1);
  const unsigned queue = (head & 7) % QUEUES;
  DriverSegment segment = { DATA, 0, false };
  uint8_t bytes[256];

  switch ((head >> 3) % STEPS)
    {
    case STEP_BYTES:
      segment.size = take_bytes (input, bytes);
      g_assert_true (guest_memory_write (memory, DATA, bytes, segment.size));
      break;
    case STEP_REPORT:
      segment.gpa = fuzz_take (input, 1) << 12;
      segment.size = fuzz_take (input, 1) << 10;
      segment.writable = true;
      break;
    case STEP_CONFIG:
      {
        const uint32_t offset = fuzz_take (input, 1);

        virtio_driver_write_config (driver, offset, bytes, take_bytes (input, bytes));
        virtio_driver_read_config (driver, offset, bytes, sizeof bytes);
        g_assert_cmpuint (virtio_balloon_get_actual (balloon), <=, MEMORY_SIZE);
        return;
      }
    default:
      virtio_balloon_set_target (balloon, (uint64_t) fuzz_take (input, 1) << 12);
      return;
    }
  /* A ring that is full of what the device holds back takes no more. */
  if (segment.size == 0)
    return;
  virtqueue_driver_add (virtio_driver_get_queue (driver, queue), &segment, 1);
  virtio_driver_kick (driver, queue);
  while (virtqueue_driver_take_used (virtio_driver_get_queue (driver, queue), NULL, NULL))
    ;
}

static void
ignore_change (void *opaque)
{
}

int
LLVMFuzzerTestOneInput (const uint8_t *data, size_t size)
{
  FuzzInput input = { data, size };
  g_autoptr (GuestMemory) memory =
      guest_memory_new (MEMORY_SIZE, MEMORY_SIZE, UINT64_C (4) << 30, NULL);
  g_autoptr (VirtioBalloon) balloon = virtio_balloon_new (memory, ignore_change, NULL);
  VirtioDriver *driver =
      virtio_driver_new (virtio_balloon_get_device (balloon), memory, 0, UINT64_MAX);

  for (unsigned i = 0; i < MAX_STEPS && input.size > 0; i++)
    {
      if (virtio_driver_get_status (driver) & VIRTIO_CONFIG_S_NEEDS_RESET)
        break;
      run_step (&input, balloon, driver, memory);
    }
  virtio_driver_free (driver);
  return 0;
}
