#include <string.h>

#include "virtio-driver.h"
#include "virtio/virtio-rng.h"

#define RAM (4u << 20)

typedef struct Fixture
{
  GuestMemory *memory;
  VirtioRng *rng;
  VirtioDriver *driver;
} Fixture;

static void
setup (Fixture *f, gconstpointer data)
{
  f->memory = guest_memory_new (RAM, RAM, 2 * RAM, NULL);
  f->rng = virtio_rng_new (f->memory);
  f->driver = virtio_driver_new (virtio_rng_get_device (f->rng), f->memory, 0, UINT64_MAX);
}

static void
teardown (Fixture *f, gconstpointer data)
{
  virtio_driver_free (f->driver);
  virtio_rng_free (f->rng);
  guest_memory_free (f->memory);
}

static void
test_bytes (Fixture *f, gconstpointer data)
{
  uint8_t a[64] = { 0 }, b[64] = { 0 }, zero[64] = { 0 };

  g_assert_cmpuint (virtio_driver_request (f->driver, 0, NULL, 0, a, sizeof a), ==, sizeof a);
  g_assert_cmpuint (virtio_driver_request (f->driver, 0, NULL, 0, b, sizeof b), ==, sizeof b);
  g_assert_cmpint (memcmp (a, zero, sizeof a), !=, 0);
  g_assert_cmpint (memcmp (a, b, sizeof a), !=, 0);
  g_assert_cmpuint (virtio_driver_get_interrupts (f->driver, 0), ==, 1); /* used_event stayed 0 */
}

/* However much is asked for, little is given at once. */
static void
test_large (Fixture *f, gconstpointer data)
{
  g_autofree uint8_t *bytes = g_malloc0 (RAM / 2);
  uint32_t written = virtio_driver_request (f->driver, 0, NULL, 0, bytes, RAM / 2);

  g_assert_cmpuint (written, >, 0);
  g_assert_cmpuint (written, <=, 4096);
}

/* A request without room is returned, and the next one works. */
static void
test_no_room (Fixture *f, gconstpointer data)
{
  uint8_t byte = 7;

  g_assert_cmpuint (virtio_driver_request (f->driver, 0, &byte, 1, NULL, 0), ==, 0);
  g_assert_cmpuint (virtio_driver_request (f->driver, 0, NULL, 0, &byte, 1), ==, 1);
}

/* A full queue is served to the end, in several turns of the loop. */
static void
test_full_queue (Fixture *f, gconstpointer data)
{
  VirtqueueDriver *ring = virtio_driver_get_queue (f->driver, 0);
  const DriverSegment segment = { virtio_driver_alloc (f->driver, 16, NULL), 16, true };
  const uint16_t size = virtqueue_driver_get_layout (ring)->size;

  for (unsigned i = 0; i < size; i++)
    virtqueue_driver_add (ring, &segment, 1);
  virtio_driver_kick (f->driver, 0);
  g_assert_cmpuint (virtqueue_driver_get_used_index (ring), ==, size);
}

#define ADD(name, func) g_test_add ("/virtio-rng/" name, Fixture, NULL, setup, func, teardown)

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  ADD ("bytes", test_bytes);
  ADD ("large", test_large);
  ADD ("hostile-3-no-room", test_no_room);
  ADD ("hostile-9-full-queue", test_full_queue);
  return g_test_run ();
}
