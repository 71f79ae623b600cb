#include <time.h>
#include <linux/virtio_blk.h>
#include <linux/virtio_config.h>

#include "../block/fake-backend.h"
#include "virtio-driver.h"
#include "base/loop-thread.h"
#include "base/poll-window.h"
#include "virtio/virtio-blk.h"
#include "virtio/virtio-device-private.h"

/* When the disk's thread takes requests, how many, and when it sleeps; not what becomes of them (test-virtio-blk.c). */
#define RAM  (16u << 20)
#define DISK (1u << 20)

typedef struct Options
{
  bool may_linger;
  bool is_slow;  /* the backend completes nothing */
  uint32_t size; /* of a request's data, bytes */
} Options;

static const Options lingering = { .may_linger = true, .size = 4096 };
static const Options lingering_large = { .may_linger = true, .size = 128 * 1024 };
static const Options not_lingering = { .size = 4096 };
static const Options slow = { .is_slow = true };

typedef struct Fixture
{
  FakeBackend fake;
  BlockBackend backend;
  GuestMemory *memory;
  VirtioBlk *blk;
  VirtioDriver *driver;
} Fixture;

static void
begin (Fixture *f, const Options *options, unsigned n_queues, GMainContext *context,
       uint64_t features)
{
  VirtioBlkConfig config = { .n_queues = n_queues, .may_linger = options->may_linger };

  fake_backend_init (&f->fake, DISK, &f->backend);
  f->fake.at_once = !options->is_slow;
  f->backend.fd = -1;
  config.backend = f->backend;
  f->memory = guest_memory_new (RAM, RAM, 2 * RAM, NULL);
  f->blk = virtio_blk_new (&config, f->memory, context);
  f->driver = virtio_driver_new (virtio_blk_get_device (f->blk), f->memory, 0, features);
}

static void
setup (Fixture *f, gconstpointer data)
{
  begin (f, data, 2, g_main_context_default (), UINT64_MAX);
}

static void
teardown (Fixture *f, gconstpointer data)
{
  virtio_driver_free (f->driver);
  virtio_blk_free (f->blk);
  guest_memory_free (f->memory);
  g_assert_cmpuint (f->fake.n_frees, ==, 1);
  fake_backend_clear (&f->fake);
}

/* Resets it and makes it live, with a queue or without. */
static void
restart (VirtioDevice *device, const VirtioQueueConfig *queue)
{
  virtio_device_lock (device);
  virtio_device_set_status (device, 0);
  g_assert_cmpuint (virtio_device_get_status (device), ==, 0);
  virtio_device_set_status (device, VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER);
  virtio_device_set_driver_features (device, 1, 1u << (VIRTIO_F_VERSION_1 - 32));
  virtio_device_set_status (device, VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER |
                                        VIRTIO_CONFIG_S_FEATURES_OK);
  if (queue)
    virtio_device_set_queue_config (device, 0, queue);
  virtio_device_set_status (device, VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER |
                                        VIRTIO_CONFIG_S_FEATURES_OK | VIRTIO_CONFIG_S_DRIVER_OK);
  virtio_device_unlock (device);
}

static gboolean
set_flag (gpointer flag)
{
  __atomic_store_n ((bool *) flag, true, __ATOMIC_RELEASE);
  return G_SOURCE_REMOVE;
}

static void
wait_for_turn (GMainContext *context)
{
  bool is_over = false;

  g_main_context_invoke (context, set_flag, &is_over);
  while (!__atomic_load_n (&is_over, __ATOMIC_ACQUIRE))
    g_thread_yield ();
}

/* The driver may reset the device while its thread looks for requests, and go on with the queue, or without. */
static void
test_reset_while_lingering (void)
{
  Fixture f = { 0 };
  VirtioQueueConfig queue;
  uint8_t *area;

  g_autoptr (LoopThread) thread = loop_thread_new ("disk");
  GMainContext *context = loop_thread_get_context (thread);
  begin (&f, &lingering, 1, context, 0);
  VirtioDevice *device = virtio_blk_get_device (f.blk);
  VirtqueueDriver *ring = virtio_driver_get_queue (f.driver, 0);
  const uint64_t gpa = virtio_driver_alloc (f.driver, 16 + 513, (void **) &area);
  const DriverSegment segments[] = { { gpa, 16, false }, { gpa + 16, 513, true } };
  virtqueue_driver_add (ring, segments, 2);
  virtio_device_lock (device);
  g_assert_true (virtio_device_get_queue_config (device, 0, &queue));
  virtio_device_unlock (device);

  for (unsigned i = 0; i < 400; i++)
    {
      /* Found by looking, mostly: the one request, each time as if it were new. */
      for (unsigned again = 0; again < 2; again++)
        {
          __atomic_store_n (&area[16 + 512], 0xee, __ATOMIC_RELEASE);
          restart (device, &queue);
          virtio_device_notify_again (device, 0);
          while (__atomic_load_n (&area[16 + 512], __ATOMIC_ACQUIRE) != VIRTIO_BLK_S_OK)
            g_thread_yield ();
        }
      restart (device, NULL);
      wait_for_turn (context);
    }
  teardown (&f, NULL);
}

/* A guest's requests by the device's clock, which advances whenever the device looks at it. */
static struct
{
  VirtqueueDriver *ring; /* NULL: there is no guest, and the time is the clock's */
  const DriverSegment *segments;
  gint64 now, step; /* microseconds */
  unsigned every;   /* so many steps there is a request */
  unsigned n_looks, n_added;
} busy;

/* Instead of GLib's, for the device. */
gint64
g_get_monotonic_time (void)
{
  struct timespec now;

  if (!busy.ring)
    {
      clock_gettime (CLOCK_MONOTONIC, &now);
      return now.tv_sec * G_TIME_SPAN_SECOND + now.tv_nsec / 1000;
    }
  while (virtqueue_driver_take_used (busy.ring, NULL, NULL))
    ;
  if (++busy.n_looks % busy.every == 0)
    {
      virtqueue_driver_add (busy.ring, busy.segments, 2);
      busy.n_added++;
    }
  return busy.now += busy.step;
}

/* The loop of the thread gets its turn all the same, and goes on without the driver's notification. The guest never pauses: a request comes each
 * millisecond, which is as long as one takes. */
static void
test_turn_ends (Fixture *f, gconstpointer data)
{
  VirtqueueDriver *ring = virtio_driver_get_queue (f->driver, 0);
  const uint64_t gpa = virtio_driver_alloc (f->driver, 16 + 513, NULL);
  const DriverSegment segments[] = { { gpa, 16, false }, { gpa + 16, 513, true } };

  virtio_device_notify_again (virtio_blk_get_device (f->blk), 0);
  busy = (typeof (busy)){ ring, segments, .step = G_TIME_SPAN_MILLISECOND, .every = 1 };
  for (unsigned i = 1; i <= 10; i++)
    {
      g_assert_true (g_main_context_iteration (NULL, FALSE));
      g_assert_cmpuint (busy.n_added, >, 5 * i);
      g_assert_cmpuint (busy.n_added, <, 20 * i);
    }
  busy.ring = NULL;
  virtio_driver_run (f->driver);
  g_assert_cmpuint (virtqueue_driver_get_used_index (ring), ==, busy.n_added);
}

/* Requests that come a moment after the last was answered: how many belong to one turn? */
static void
test_lingers (Fixture *f, gconstpointer data)
{
  const Options *options = data;
  VirtqueueDriver *ring = virtio_driver_get_queue (f->driver, 0);
  const uint64_t gpa = virtio_driver_alloc (f->driver, 16 + options->size + 1, NULL);
  const DriverSegment segments[] = { { gpa, 16, false }, { gpa + 16, options->size + 1, true } };

  virtqueue_driver_add (ring, segments, 2);
  virtio_device_notify_again (virtio_blk_get_device (f->blk), 0);
  busy = (typeof (busy)){ ring, segments, .step = POLL_WINDOW_US / 4, .every = 3 };
  g_assert_true (g_main_context_iteration (NULL, FALSE));
  busy.ring = NULL;
  if (options->may_linger && options->size <= 4096)
    g_assert_cmpuint (busy.n_added, >, 30);
  else
    g_assert_cmpuint (busy.n_added, <=, 2);
  /* None is lost: it is done, or the loop goes on with it, or the driver is asked to tell. */
  if (virtqueue_driver_must_kick (ring))
    virtio_driver_kick (f->driver, 0);
  virtio_driver_run (f->driver);
  g_assert_cmpuint (virtqueue_driver_get_used_index (ring), ==, 1 + busy.n_added);
}

static void
add_read (VirtioDriver *driver, unsigned queue, uint32_t size)
{
  const uint64_t gpa = virtio_driver_alloc (driver, 16 + size + 1, NULL);
  const DriverSegment segments[] = { { gpa, 16, false }, { gpa + 16, size + 1, true } };

  virtqueue_driver_add (virtio_driver_get_queue (driver, queue), segments, 2);
}

/* What one queue has does not all go before what the other has. */
static void
test_queues_in_turn (Fixture *f, gconstpointer data)
{
  static const uint32_t expected[] = { 1u << 20, 1u << 20, 512, 1u << 20, 1u << 20 };

  for (unsigned i = 0; i < 4; i++)
    add_read (f->driver, 0, DISK);
  add_read (f->driver, 1, 512);
  virtio_driver_kick (f->driver, 0);
  g_assert_cmpuint (f->fake.started->len, ==, G_N_ELEMENTS (expected));
  for (unsigned i = 0; i < G_N_ELEMENTS (expected); i++)
    g_assert_cmpuint (((BlockRequest *) f->fake.started->pdata[i])->size, ==, expected[i]);
  f->backend.ops->drain (&f->fake);
}

#define ADD(name, options, func)                                                                   \
  g_test_add ("/virtio-blk-turns/" name, Fixture, &options, setup, func, teardown)

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  ADD ("turn-ends", not_lingering, test_turn_ends);
  ADD ("lingers", lingering, test_lingers);
  ADD ("lingers-not-for-large", lingering_large, test_lingers);
  ADD ("lingers-not-without-cpu", not_lingering, test_lingers);
  ADD ("queues-in-turn", slow, test_queues_in_turn);
  g_test_add_func ("/virtio-blk-turns/hostile-7-reset-while-lingering", test_reset_while_lingering);
  return g_test_run ();
}
