#include <string.h>
#include <linux/virtio_config.h>
#include <linux/virtio_ring.h>

#include "virtio-driver.h"
#include "virtio/virtio-device-private.h"

/* A device that returns every request, and counts what it is told. */
#define RAM        (4u << 20)
#define QUEUES     2
#define QUEUE_SIZE 16
#define FEATURE    (UINT64_C (1) << 5)

typedef struct Fixture
{
  GuestMemory *memory;
  VirtioDevice *device;
  VirtioDriver *driver;
  VirtqueueElement element;
  uint8_t config[8];
  unsigned activated;
  unsigned notified[QUEUES];
  unsigned resets;
  bool busy;
} Fixture;

static void
config_read (void *opaque, uint32_t offset, void *buffer, uint32_t size)
{
  Fixture *f = opaque;
  memcpy (buffer, f->config + offset, size);
}

static void
config_write (void *opaque, uint32_t offset, const void *buffer, uint32_t size)
{
  Fixture *f = opaque;
  memcpy (f->config + offset, buffer, size);
}

static void
activate (void *opaque)
{
  Fixture *f = opaque;
  f->activated++;
}

static void
notify (void *opaque, unsigned index)
{
  Fixture *f = opaque;
  Virtqueue *queue = virtio_device_get_queue (f->device, index);

  f->notified[index]++;
  while (virtqueue_pop (queue, &f->element))
    virtqueue_push (queue, &f->element, 0);
  virtio_device_signal_queue (f->device, index);
}

static bool
begin_reset (void *opaque)
{
  Fixture *f = opaque;
  return !f->busy;
}

static void
reset (void *opaque)
{
  Fixture *f = opaque;
  f->resets++;
}

static const VirtioDeviceType type = {
  .name = "echo",
  .id = 63,
  .features = FEATURE,
  .max_queues = QUEUES,
  .queue_size = QUEUE_SIZE,
  .config_read = config_read,
  .config_write = config_write,
  .activate = activate,
  .notify = notify,
  .begin_reset = begin_reset,
  .reset = reset,
};

static void
setup (Fixture *f, gconstpointer data)
{
  f->memory = guest_memory_new (RAM, RAM, 2 * RAM, NULL);
  f->device =
      virtio_device_new (&type, f, QUEUES, sizeof f->config, type.features, f->memory, NULL);
}

static void
teardown (Fixture *f, gconstpointer data)
{
  virtio_driver_free (f->driver);
  virtio_device_free (f->device);
  virtqueue_element_clear (&f->element);
  guest_memory_free (f->memory);
}

static void
start (Fixture *f)
{
  f->driver = virtio_driver_new (f->device, f->memory, 0, UINT64_MAX);
}

static void
expect_complaint (void)
{
  g_test_expect_message ("vmm-guest", G_LOG_LEVEL_WARNING, "echo: guest: *");
}

static void
test_request (Fixture *f, gconstpointer data)
{
  start (f);
  g_assert_cmpuint (f->activated, ==, 1);
  virtio_driver_request (f->driver, 1, "x", 1, NULL, 0);
  g_assert_cmpuint (virtio_driver_get_interrupts (f->driver, 1), ==, 1);
  g_assert_cmpuint (virtio_driver_get_interrupts (f->driver, 0), ==, 0);
}

static void
test_features_not_offered (Fixture *f, gconstpointer data)
{
  virtio_device_lock (f->device);
  g_assert_cmphex (virtio_device_get_offered_features (f->device, 0), ==,
                   FEATURE | 1u << VIRTIO_RING_F_INDIRECT_DESC | 1u << VIRTIO_RING_F_EVENT_IDX);
  g_assert_cmphex (virtio_device_get_offered_features (f->device, 1), ==, 1);
  g_assert_cmphex (virtio_device_get_offered_features (f->device, 2), ==, 0);
  virtio_device_set_driver_features (f->device, 0, FEATURE << 1);
  virtio_device_set_driver_features (f->device, 1, 1);
  expect_complaint ();
  virtio_device_set_status (f->device, 1 | 2 | VIRTIO_CONFIG_S_FEATURES_OK);
  g_test_assert_expected_messages ();
  g_assert_cmphex (virtio_device_get_status (f->device), ==, 3);
  /* And so it does not go live. */
  expect_complaint ();
  virtio_device_set_status (f->device, 3 | VIRTIO_CONFIG_S_DRIVER_OK);
  g_test_assert_expected_messages ();
  g_assert_cmphex (virtio_device_get_status (f->device), ==, 3);
  g_assert_cmpuint (f->activated, ==, 0);
  virtio_device_unlock (f->device);
}

static void
test_version_1_is_needed (Fixture *f, gconstpointer data)
{
  virtio_device_lock (f->device);
  expect_complaint ();
  virtio_device_set_status (f->device, 1 | 2 | VIRTIO_CONFIG_S_FEATURES_OK);
  g_test_assert_expected_messages ();
  g_assert_cmphex (virtio_device_get_status (f->device), ==, 3);
  virtio_device_unlock (f->device);
}

static void
test_features_after_features_ok (Fixture *f, gconstpointer data)
{
  start (f);
  virtio_device_lock (f->device);
  g_assert_true (virtio_device_has_feature (f->device, 5));
  expect_complaint ();
  virtio_device_set_driver_features (f->device, 0, 0);
  g_test_assert_expected_messages ();
  g_assert_true (virtio_device_has_feature (f->device, 5));
  virtio_device_unlock (f->device);
}

/* CVE-2026-5747: a ring moved under a live queue. */
static void
test_queue_config_after_driver_ok (Fixture *f, gconstpointer data)
{
  VirtioQueueConfig config, after;

  start (f);
  virtio_device_lock (f->device);
  g_assert_true (virtio_device_get_queue_config (f->device, 0, &config));
  VirtioQueueConfig moved = config;
  moved.used = RAM * 2;
  moved.size = 8;
  expect_complaint ();
  virtio_device_set_queue_config (f->device, 0, &moved);
  g_test_assert_expected_messages ();
  g_assert_true (virtio_device_get_queue_config (f->device, 0, &after));
  g_assert_cmphex (after.used, ==, config.used);
  g_assert_cmpuint (after.size, ==, config.size);
  virtio_device_unlock (f->device);
  virtio_driver_request (f->driver, 0, "x", 1, NULL, 0);
}

static void
test_queue_config_after_enable (Fixture *f, gconstpointer data)
{
  VirtioQueueConfig config;

  virtio_device_lock (f->device);
  g_assert_true (virtio_device_get_queue_config (f->device, 0, &config));
  config.enabled = true;
  virtio_device_set_queue_config (f->device, 0, &config);
  config.enabled = false;
  config.used = 0x1000;
  expect_complaint ();
  virtio_device_set_queue_config (f->device, 0, &config);
  g_test_assert_expected_messages ();
  g_assert_true (virtio_device_get_queue_config (f->device, 0, &config));
  g_assert_true (config.enabled);
  g_assert_cmphex (config.used, ==, 0);
  virtio_device_unlock (f->device);
}

static void
test_queue_size (Fixture *f, gconstpointer data)
{
  static const uint16_t bad[] = { 0, 3, 2 * QUEUE_SIZE, 0xffff };
  VirtioQueueConfig config;

  virtio_device_lock (f->device);
  for (unsigned i = 0; i < G_N_ELEMENTS (bad); i++)
    {
      g_assert_true (virtio_device_get_queue_config (f->device, 0, &config));
      config.size = bad[i];
      expect_complaint ();
      virtio_device_set_queue_config (f->device, 0, &config);
      g_test_assert_expected_messages ();
      g_assert_true (virtio_device_get_queue_config (f->device, 0, &config));
      g_assert_cmpuint (config.size, ==, QUEUE_SIZE);
    }
  config.size = 4;
  virtio_device_set_queue_config (f->device, 0, &config);
  g_assert_true (virtio_device_get_queue_config (f->device, 0, &config));
  g_assert_cmpuint (config.size, ==, 4);
  g_assert_false (virtio_device_get_queue_config (f->device, QUEUES, &config));
  virtio_device_set_queue_config (f->device, 0xffff, &config);
  g_assert_cmpint (virtio_device_get_queue_eventfd (f->device, QUEUES), ==, -1);
  virtio_device_unlock (f->device);
}

static void
test_ring_outside_ram (Fixture *f, gconstpointer data)
{
  const VirtioQueueConfig config = { .size = 16,
                                     .enabled = true,
                                     .descriptors = UINT64_MAX & ~0xfu };

  virtio_device_lock (f->device);
  virtio_device_set_driver_features (f->device, 1, 1);
  virtio_device_set_queue_config (f->device, 0, &config);
  virtio_device_set_status (f->device, 1 | 2 | VIRTIO_CONFIG_S_FEATURES_OK);
  expect_complaint ();
  virtio_device_set_status (f->device,
                            1 | 2 | VIRTIO_CONFIG_S_FEATURES_OK | VIRTIO_CONFIG_S_DRIVER_OK);
  g_test_assert_expected_messages ();
  g_assert_true (virtio_device_get_status (f->device) & VIRTIO_CONFIG_S_NEEDS_RESET);
  g_assert_null (virtio_device_get_queue (f->device, 0));
  g_assert_cmpuint (f->activated, ==, 0);
  virtio_device_unlock (f->device);
}

/* A driver that breaks its ring finds NEEDS_RESET, and after the reset all is well. */
static void
test_broken_ring (Fixture *f, gconstpointer data)
{
  start (f);
  VirtqueueDriver *ring = virtio_driver_get_queue (f->driver, 0);
  virtqueue_driver_set_available_index (ring, 1000);
  expect_complaint ();
  virtio_driver_kick (f->driver, 0);
  g_test_assert_expected_messages ();
  g_assert_true (virtio_driver_get_status (f->driver) & VIRTIO_CONFIG_S_NEEDS_RESET);
  g_assert_cmpuint (virtio_driver_get_config_interrupts (f->driver), ==, 1);
  unsigned before = f->notified[0];
  virtio_device_lock (f->device);
  virtio_device_notify_again (f->device, 0);
  virtio_device_unlock (f->device);
  virtio_driver_run (f->driver);
  g_assert_cmpuint (f->notified[0], ==, before);

  g_clear_pointer (&f->driver, virtio_driver_free);
  start (f);
  virtio_driver_request (f->driver, 0, "x", 1, NULL, 0);
}

static void
test_status_bits_stay (Fixture *f, gconstpointer data)
{
  start (f);
  virtio_device_lock (f->device);
  virtio_device_set_status (f->device, VIRTIO_CONFIG_S_ACKNOWLEDGE);
  g_assert_cmphex (virtio_device_get_status (f->device), ==, 0xf);
  g_assert_nonnull (virtio_device_get_queue (f->device, 0));
  virtio_device_set_status (f->device, 0);
  g_assert_cmphex (virtio_device_get_status (f->device), ==, 0);
  g_assert_null (virtio_device_get_queue (f->device, 0));
  virtio_device_unlock (f->device);
}

/* Requests in the host: the status keeps its bits until they are done, and nothing is taken from the driver meanwhile. */
static void
test_reset_is_waited_for (Fixture *f, gconstpointer data)
{
  VirtioQueueConfig before, after;

  start (f);
  const unsigned resets = f->resets;
  f->busy = true;
  virtio_device_lock (f->device);
  virtio_device_set_status (f->device, 0);
  g_assert_cmphex (virtio_device_get_status (f->device), ==, 0xf);
  g_assert_null (virtio_device_get_queue (f->device, 0));
  g_assert_cmpuint (f->resets, ==, resets);
  virtio_device_set_status (f->device, 0);
  expect_complaint ();
  virtio_device_set_status (f->device, 1 | 2 | VIRTIO_CONFIG_S_FEATURES_OK | 4);
  g_test_assert_expected_messages ();
  g_assert_null (virtio_device_get_queue (f->device, 0));
  g_assert_true (virtio_device_get_queue_config (f->device, 0, &before));
  expect_complaint ();
  virtio_device_set_queue_config (f->device, 0, &(VirtioQueueConfig){ .size = 8 });
  g_test_assert_expected_messages ();
  g_assert_true (virtio_device_get_queue_config (f->device, 0, &after));
  g_assert_cmpuint (after.size, ==, before.size);
  virtio_device_signal_config (f->device);
  g_assert_cmpuint (virtio_driver_get_config_interrupts (f->driver), ==, 0);
  f->busy = false;
  virtio_device_end_reset (f->device);
  g_assert_cmphex (virtio_device_get_status (f->device), ==, 0);
  g_assert_cmpuint (f->resets, ==, resets + 1);
  virtio_device_end_reset (f->device);
  g_assert_cmpuint (f->resets, ==, resets + 1);
  virtio_device_unlock (f->device);
}

/* The machine's own reset does not wait for a turn of anybody's. */
static void
test_reset_of_the_machine (Fixture *f, gconstpointer data)
{
  start (f);
  f->busy = true;
  virtio_device_lock (f->device);
  virtio_device_set_status (f->device, 0);
  virtio_device_reset (f->device);
  g_assert_cmphex (virtio_device_get_status (f->device), ==, 0);
  virtio_device_unlock (f->device);
  f->busy = false;
}

static void
test_notify_while_not_live (Fixture *f, gconstpointer data)
{
  virtio_device_lock (f->device);
  virtio_device_notify_again (f->device, 0);
  virtio_device_unlock (f->device);
  while (g_main_context_iteration (NULL, FALSE))
    ;
  g_assert_cmpuint (f->notified[0], ==, 0);
}

static void
test_queue_out_of_range (Fixture *f, gconstpointer data)
{
  static const unsigned beyond[] = { 2, 3, 63, 64, 65535, UINT_MAX };
  VirtioQueueConfig config = { .size = 8, .enabled = true };

  for (unsigned i = 0; i < G_N_ELEMENTS (beyond); i++)
    {
      virtio_device_set_queue_config (f->device, beyond[i], &config);
      g_assert_false (virtio_device_get_queue_config (f->device, beyond[i], &config));
    }
  start (f);
  g_assert_true (virtio_device_get_queue_config (f->device, 0, &config));
}

static void
test_config_at_any_offset (Fixture *f, gconstpointer data)
{
  uint8_t bytes[16];

  start (f);
  memcpy (f->config, "abcdefgh", 8);
  virtio_driver_read_config (f->driver, 6, bytes, 4);
  g_assert_cmpmem (bytes, 4, "gh\xff\xff", 4);
  virtio_driver_read_config (f->driver, 0, bytes, 16);
  g_assert_cmpmem (bytes, 8, "abcdefgh", 8);
  virtio_driver_read_config (f->driver, UINT32_MAX, bytes, 8);
  g_assert_cmphex (bytes[0], ==, 0xff);
  virtio_driver_write_config (f->driver, 7, "XY", 2);
  virtio_driver_write_config (f->driver, 8, "XY", 2);
  virtio_driver_write_config (f->driver, UINT32_MAX, "XY", 2);
  g_assert_cmpmem (f->config, 8, "abcdefgX", 8);
}

static void
test_generation (Fixture *f, gconstpointer data)
{
  start (f);
  virtio_device_lock (f->device);
  uint8_t before = virtio_device_get_generation (f->device);
  virtio_device_signal_config (f->device);
  g_assert_cmpuint (virtio_device_get_generation (f->device), !=, before);
  virtio_device_unlock (f->device);
  g_assert_cmpuint (virtio_driver_get_config_interrupts (f->driver), ==, 1);
}

#define ADD(name, func) g_test_add ("/virtio-device/" name, Fixture, NULL, setup, func, teardown)

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  ADD ("request", test_request);
  ADD ("features-not-offered", test_features_not_offered);
  ADD ("version-1-is-needed", test_version_1_is_needed);
  ADD ("features-after-features-ok", test_features_after_features_ok);
  ADD ("hostile-1-queue-config-after-driver-ok", test_queue_config_after_driver_ok);
  ADD ("hostile-1-queue-config-after-enable", test_queue_config_after_enable);
  ADD ("hostile-2-queue-size", test_queue_size);
  ADD ("hostile-2-ring-outside-ram", test_ring_outside_ram);
  ADD ("broken-ring", test_broken_ring);
  ADD ("status-bits-stay", test_status_bits_stay);
  ADD ("hostile-7-reset-is-waited-for", test_reset_is_waited_for);
  ADD ("reset-of-the-machine", test_reset_of_the_machine);
  ADD ("hostile-4-notify-while-not-live", test_notify_while_not_live);
  ADD ("hostile-4-queue-out-of-range", test_queue_out_of_range);
  ADD ("hostile-5-config-at-any-offset", test_config_at_any_offset);
  ADD ("generation", test_generation);
  return g_test_run ();
}
