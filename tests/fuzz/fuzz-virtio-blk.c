/* Requests to a disk: the input is [flags] and then a row of requests, each [queue][bytes of header, n][n bytes][segments, m] and m
 * segments of [flags 1 byte][size 2 bytes]. A header may be short, split, or followed by anything. */
#include "fuzz-target.h"

#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>
#include <linux/virtio_config.h>

#include "virtio-driver.h"
#include "virtio/virtio-blk.h"

#define MEMORY_SIZE  (UINT64_C (1) << 20)
#define IMAGE_SIZE   0x10000
#define QUEUES       2
#define MAX_REQUESTS 32
#define MAX_SEGMENTS 6
#define DATA         UINT64_C (0x80000)

enum
{
  FLAG_READONLY = 1 << 0,
  SEGMENT_WRITABLE = 1 << 0,
  SEGMENT_OUTSIDE = 1 << 1, /* of guest memory */
};

typedef struct Input
{
  const uint8_t *data;
  size_t size;
} Input;

static uint8_t
take (Input *input)
{
  if (input->size == 0)
    return 0;
  input->size--;
  return *input->data++;
}

static unsigned
take_segments (Input *input, GuestMemory *memory, DriverSegment *segments)
{
  size_t n_header = take (input) % 64;
  unsigned n = 0;

  n_header = MIN (n_header, input->size);
  if (n_header > 0)
    {
      g_assert_true (guest_memory_write (memory, DATA, input->data, n_header));
      segments[n++] = (DriverSegment){ DATA, n_header, false };
      input->data += n_header;
      input->size -= n_header;
    }
  for (unsigned rest = take (input) % MAX_SEGMENTS; rest > 0; rest--)
    {
      uint8_t flags = take (input);
      uint32_t bytes = take (input) | take (input) << 8;
      uint64_t gpa = flags & SEGMENT_OUTSIDE ? MEMORY_SIZE - bytes / 2 : DATA + 0x1000;

      segments[n++] = (DriverSegment){ gpa, bytes, flags & SEGMENT_WRITABLE };
    }
  return n;
}

/* Every request is answered, or the device says that it needs a reset: false. */
static bool
run_request (VirtioDriver *driver, unsigned queue, const DriverSegment *segments, unsigned n)
{
  VirtqueueDriver *ring = virtio_driver_get_queue (driver, queue);
  uint16_t used = virtqueue_driver_get_used_index (ring);

  virtqueue_driver_add (ring, segments, n);
  virtio_driver_kick (driver, queue);
  while (virtqueue_driver_get_used_index (ring) == used)
    {
      if (virtio_driver_get_status (driver) & VIRTIO_CONFIG_S_NEEDS_RESET)
        return false;
      g_main_context_iteration (NULL, TRUE);
    }
  return virtqueue_driver_take_used (ring, NULL, NULL);
}

int
LLVMFuzzerTestOneInput (const uint8_t *data, size_t size)
{
  Input input = { data, size };
  int fd = memfd_create ("fuzz-virtio-blk", MFD_CLOEXEC);
  g_autofree char *path = g_strdup_printf ("/proc/self/fd/%d", fd);
  g_autoptr (GError) error = NULL;

  g_assert_cmpint (ftruncate (fd, IMAGE_SIZE), ==, 0);
  const VirtioBlkConfig config = {
    .file = path,
    .readonly = take (&input) & FLAG_READONLY,
    .serial = "fuzz",
    .n_queues = QUEUES,
  };
  g_autoptr (GuestMemory) memory =
      guest_memory_new (MEMORY_SIZE, MEMORY_SIZE, UINT64_C (4) << 30, NULL);
  g_autoptr (VirtioBlk) blk = virtio_blk_new (&config, memory, g_main_context_default (), &error);
  g_assert_no_error (error);
  VirtioDriver *driver = virtio_driver_new (virtio_blk_get_device (blk), memory, 0, UINT64_MAX);

  for (unsigned i = 0; i < MAX_REQUESTS && input.size > 0; i++)
    {
      DriverSegment segments[MAX_SEGMENTS + 1];
      unsigned queue = take (&input) % QUEUES;
      unsigned n = take_segments (&input, memory, segments);

      if (n > 0 && !run_request (driver, queue, segments, n))
        break;
    }
  virtio_driver_free (driver);
  /* Whatever was asked, the file is as long as it was. */
  g_assert_cmpint (lseek (fd, 0, SEEK_END), ==, IMAGE_SIZE);
  close (fd);
  return 0;
}
