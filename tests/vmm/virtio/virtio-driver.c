#include "virtio-driver.h"

#include <string.h>
#include <unistd.h>
#include <linux/virtio_config.h>
#include <linux/virtio_ring.h>

#include "virtio/virtio-device-private.h"

#define PATIENCE_US (10 * G_TIME_SPAN_SECOND)

struct VirtioDriver
{
  VirtioDevice *device;
  GuestMemory *memory;
  unsigned n_queues;
  VirtqueueDriver **queues;
  unsigned *interrupts;
  unsigned config_interrupts;
  uint64_t next; /* free guest memory */
};

static void
count_queue_interrupt (void *opaque, unsigned index)
{
  VirtioDriver *driver = opaque;
  driver->interrupts[index]++;
}

static void
count_config_interrupt (void *opaque)
{
  VirtioDriver *driver = opaque;
  driver->config_interrupts++;
}

static void
ignore_live (void *opaque, bool live)
{
}

static const VirtioTransportOps transport_ops = {
  .interrupt_queue = count_queue_interrupt,
  .interrupt_config = count_config_interrupt,
  .set_live = ignore_live,
};

static void
negotiate (VirtioDriver *driver, uint64_t features)
{
  VirtioDevice *device = driver->device;

  virtio_device_set_status (device, 0);
  virtio_device_set_status (device, VIRTIO_CONFIG_S_ACKNOWLEDGE);
  virtio_device_set_status (device, VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER);
  features |= UINT64_C (1) << VIRTIO_F_VERSION_1;
  for (unsigned i = 0; i < 2; i++)
    virtio_device_set_driver_features (device, i,
                                       virtio_device_get_offered_features (device, i) &
                                           (uint32_t) (features >> (32 * i)));
  virtio_device_set_status (device,
                            virtio_device_get_status (device) | VIRTIO_CONFIG_S_FEATURES_OK);
  g_assert_true (virtio_device_get_status (device) & VIRTIO_CONFIG_S_FEATURES_OK);
}

static void
build_queue (VirtioDriver *driver, unsigned index)
{
  VirtioQueueConfig config;

  g_assert_true (virtio_device_get_queue_config (driver->device, index, &config));
  uint64_t base = virtio_driver_alloc (driver, virtqueue_driver_footprint (config.size), NULL);
  driver->queues[index] = virtqueue_driver_new (
      driver->memory, base, config.size,
      virtio_device_has_feature (driver->device, VIRTIO_RING_F_EVENT_IDX),
      virtio_device_has_feature (driver->device, VIRTIO_RING_F_INDIRECT_DESC));
  const VirtqueueLayout *layout = virtqueue_driver_get_layout (driver->queues[index]);
  config.descriptors = layout->descriptors;
  config.available = layout->available;
  config.used = layout->used;
  config.enabled = true;
  virtio_device_set_queue_config (driver->device, index, &config);
}

VirtioDriver *
virtio_driver_new (VirtioDevice *device, GuestMemory *memory, uint64_t base, uint64_t features)
{
  VirtioDriver *driver = g_new0 (VirtioDriver, 1);

  driver->device = device;
  driver->memory = memory;
  driver->next = base;
  driver->n_queues = virtio_device_get_n_queues (device);
  driver->queues = g_new0 (VirtqueueDriver *, driver->n_queues);
  driver->interrupts = g_new0 (unsigned, driver->n_queues);
  virtio_device_lock (device);
  virtio_device_set_transport (device, &transport_ops, driver);
  negotiate (driver, features);
  for (unsigned i = 0; i < driver->n_queues; i++)
    build_queue (driver, i);
  virtio_device_set_status (device, virtio_device_get_status (device) | VIRTIO_CONFIG_S_DRIVER_OK);
  virtio_device_unlock (device);
  virtio_driver_run (driver);
  return driver;
}

static gboolean
give_up (gpointer opaque)
{
  g_error ("the device was not done in time");
  return G_SOURCE_REMOVE;
}

void
virtio_driver_reset (VirtioDriver *driver)
{
  guint alarm = g_timeout_add (PATIENCE_US / 1000, give_up, NULL);

  virtio_device_lock (driver->device);
  virtio_device_set_status (driver->device, 0);
  virtio_device_unlock (driver->device);
  /* Its loop may be another thread's, which wakes nobody here. */
  while (virtio_driver_get_status (driver) != 0)
    if (!g_main_context_iteration (NULL, FALSE))
      g_thread_yield ();
  g_source_remove (alarm);
}

void
virtio_driver_free (VirtioDriver *driver)
{
  if (!driver)
    return;
  virtio_driver_reset (driver);
  virtio_device_lock (driver->device);
  virtio_device_set_transport (driver->device, NULL, NULL);
  virtio_device_unlock (driver->device);
  for (unsigned i = 0; i < driver->n_queues; i++)
    virtqueue_driver_free (driver->queues[i]);
  g_free (driver->queues);
  g_free (driver->interrupts);
  g_free (driver);
}

VirtqueueDriver *
virtio_driver_get_queue (VirtioDriver *driver, unsigned index)
{
  g_assert_cmpuint (index, <, driver->n_queues);
  return driver->queues[index];
}

uint64_t
virtio_driver_alloc (VirtioDriver *driver, uint64_t size, void **host)
{
  uint64_t gpa = driver->next;
  void *memory = guest_memory_map (driver->memory, gpa, size);

  g_assert_nonnull (memory);
  memset (memory, 0, size);
  driver->next = (gpa + size + 0xfff) & ~UINT64_C (0xfff);
  if (host)
    *host = memory;
  return gpa;
}

void
virtio_driver_run (VirtioDriver *driver)
{
  while (g_main_context_iteration (NULL, FALSE))
    ;
}

void
virtio_driver_notify (VirtioDriver *driver, unsigned queue)
{
  static const uint64_t one = 1;

  if (virtqueue_driver_must_kick (virtio_driver_get_queue (driver, queue)))
    g_assert_cmpint (write (virtio_device_get_queue_eventfd (driver->device, queue), &one, 8), ==,
                     8);
}

void
virtio_driver_kick (VirtioDriver *driver, unsigned queue)
{
  virtio_driver_notify (driver, queue);
  virtio_driver_run (driver);
}

void
virtio_driver_wait (VirtioDriver *driver, unsigned queue, uint16_t used_index)
{
  VirtqueueDriver *ring = virtio_driver_get_queue (driver, queue);
  guint alarm = g_timeout_add (PATIENCE_US / 1000, give_up, NULL);

  while (virtqueue_driver_get_used_index (ring) != used_index)
    g_main_context_iteration (NULL, TRUE);
  g_source_remove (alarm);
}

uint32_t
virtio_driver_request (VirtioDriver *driver, unsigned queue, const void *out, uint32_t out_size,
                       void *in, uint32_t in_size)
{
  VirtqueueDriver *ring = virtio_driver_get_queue (driver, queue);
  uint64_t mark = driver->next;
  DriverSegment segments[2];
  unsigned n = 0;
  void *in_host = NULL;
  uint32_t written = 0;

  if (out_size > 0)
    {
      void *out_host;
      uint64_t gpa = virtio_driver_alloc (driver, out_size, &out_host);
      memcpy (out_host, out, out_size);
      segments[n++] = (DriverSegment){ gpa, out_size, false };
    }
  if (in_size > 0)
    {
      uint64_t gpa = virtio_driver_alloc (driver, in_size, &in_host);
      segments[n++] = (DriverSegment){ gpa, in_size, true };
    }
  uint16_t used = virtqueue_driver_get_used_index (ring);
  virtqueue_driver_add (ring, segments, n);
  virtio_driver_kick (driver, queue);
  virtio_driver_wait (driver, queue, used + 1);
  g_assert_true (virtqueue_driver_take_used (ring, NULL, &written));
  if (in_size > 0)
    memcpy (in, in_host, in_size);
  driver->next = mark;
  return written;
}

unsigned
virtio_driver_get_interrupts (VirtioDriver *driver, unsigned queue)
{
  return driver->interrupts[queue];
}

unsigned
virtio_driver_get_config_interrupts (VirtioDriver *driver)
{
  return driver->config_interrupts;
}

uint8_t
virtio_driver_get_status (VirtioDriver *driver)
{
  virtio_device_lock (driver->device);
  uint8_t status = virtio_device_get_status (driver->device);
  virtio_device_unlock (driver->device);
  return status;
}

void
virtio_driver_read_config (VirtioDriver *driver, uint32_t offset, void *buffer, uint32_t size)
{
  virtio_device_lock (driver->device);
  virtio_device_read_config (driver->device, offset, buffer, size);
  virtio_device_unlock (driver->device);
}

void
virtio_driver_write_config (VirtioDriver *driver, uint32_t offset, const void *buffer,
                            uint32_t size)
{
  virtio_device_lock (driver->device);
  virtio_device_write_config (driver->device, offset, buffer, size);
  virtio_device_unlock (driver->device);
}
