#define G_LOG_DOMAIN "vmm-virtio"

#include "virtio/virtio-device-private.h"

#include <errno.h>
#include <stdarg.h>
#include <string.h>
#include <unistd.h>
#include <sys/eventfd.h>
#include <linux/virtio_config.h>
#include <linux/virtio_ring.h>

#include "base/fd-source.h"
#include "base/guest-log.h"

/* Theory of operation
 *
 * The driver programs queues and features into plain registers; nothing is believed until DRIVER_OK, when the rings are built and
 * checked (virtqueue.h). From then until the reset no register of a queue can change: a ring never moves under a request.
 *
 * Each queue has one eventfd. A doorbell, or the transport's write handler, signals it; a source on the device's context reads
 * it and calls notify () with the lock held. A notification of a device that is not live is dropped there.
 *
 * A reset by the driver ends a device's life at once: it is not live, and what comes in is dropped. If requests are under way in the host, the
 * status stays as it is until they are done, and a driver polls it (3.1.1, 4.1.4.3.1); with it the guards against changes in use stay.
 *
 * A driver that breaks the protocol finds DEVICE_NEEDS_RESET in the status; its queues are not served until it resets the device.
 */
#define COMMON_FEATURES                                                                            \
  ((UINT64_C (1) << VIRTIO_F_VERSION_1) | (UINT64_C (1) << VIRTIO_RING_F_INDIRECT_DESC) |          \
   (UINT64_C (1) << VIRTIO_RING_F_EVENT_IDX))

typedef struct DeviceQueue
{
  VirtioDevice *device;
  unsigned index;
  VirtioQueueConfig config;
  Virtqueue *ring; /* while live and enabled */
  int eventfd;
  GSource *source;
} DeviceQueue;

struct VirtioDevice
{
  const VirtioDeviceType *type;
  void *opaque;
  const GuestMemory *memory;
  GMainContext *context;
  const VirtioTransportOps *transport; /* NULL: none yet */
  void *transport_opaque;
  unsigned n_queues;
  uint32_t config_size;
  uint64_t offered;

  GMutex lock; /* guards all that follows */
  uint64_t accepted;
  uint8_t status;
  uint8_t generation;
  bool live;      /* DRIVER_OK, and neither reset nor failed since */
  bool resetting; /* the driver has asked for it, and requests are under way */
  DeviceQueue *queues;
  GuestLog log;
};

static gboolean
on_notified (gint fd, GIOCondition condition, gpointer opaque)
{
  DeviceQueue *queue = opaque;
  VirtioDevice *device = queue->device;
  uint64_t count;

  if (read (fd, &count, sizeof count) != sizeof count)
    return G_SOURCE_CONTINUE;
  virtio_device_lock (device);
  if (device->live && queue->ring)
    {
      device->type->notify (device->opaque, queue->index);
      /* It may have released the lock, and the driver reset the device. */
      if (device->live && queue->ring && virtqueue_is_broken (queue->ring))
        virtio_device_fail (device, "queue %u: %s", queue->index,
                            virtqueue_get_fault (queue->ring));
    }
  virtio_device_unlock (device);
  return G_SOURCE_CONTINUE;
}

static void
init_queue (VirtioDevice *device, unsigned index)
{
  DeviceQueue *queue = &device->queues[index];

  queue->device = device;
  queue->index = index;
  queue->config.size = device->type->queue_size;
  queue->eventfd = eventfd (0, EFD_CLOEXEC | EFD_NONBLOCK);
  if (queue->eventfd < 0 || device->type->external)
    return; /* the transport reports that there is none */
  queue->source = fd_source_new (queue->eventfd, G_IO_IN, device->type->name);
  g_source_set_callback (queue->source, G_SOURCE_FUNC (on_notified), queue, NULL);
  g_source_attach (queue->source, device->context);
}

VirtioDevice *
virtio_device_new (const VirtioDeviceType *type, void *opaque, unsigned n_queues,
                   uint32_t config_size, uint64_t features, const GuestMemory *memory,
                   GMainContext *context)
{
  g_return_val_if_fail (n_queues <= type->max_queues, NULL);
  g_return_val_if_fail (type->queue_size <= VIRTQUEUE_MAX_SIZE, NULL);

  VirtioDevice *device = g_new0 (VirtioDevice, 1);
  device->type = type;
  device->opaque = opaque;
  device->memory = memory;
  device->context = g_main_context_ref (context ? context : g_main_context_default ());
  device->n_queues = n_queues;
  device->config_size = config_size;
  device->offered = type->external ? features : features | COMMON_FEATURES;
  device->queues = g_new0 (DeviceQueue, n_queues);
  g_mutex_init (&device->lock);
  guest_log_init (&device->log, type->name);
  for (unsigned i = 0; i < n_queues; i++)
    init_queue (device, i);
  return device;
}

void
virtio_device_free (VirtioDevice *device)
{
  if (!device)
    return;
  for (unsigned i = 0; i < device->n_queues; i++)
    {
      DeviceQueue *queue = &device->queues[i];

      virtqueue_free (queue->ring);
      if (queue->source)
        g_source_destroy (queue->source);
      g_clear_pointer (&queue->source, g_source_unref);
      if (queue->eventfd >= 0)
        close (queue->eventfd);
    }
  g_free (device->queues);
  g_main_context_unref (device->context);
  g_mutex_clear (&device->lock);
  g_free (device);
}

void
virtio_device_lock (VirtioDevice *device)
{
  g_mutex_lock (&device->lock);
}

void
virtio_device_unlock (VirtioDevice *device)
{
  g_mutex_unlock (&device->lock);
}

void
virtio_device_set_transport (VirtioDevice *device, const VirtioTransportOps *ops, void *opaque)
{
  device->transport = ops;
  device->transport_opaque = opaque;
}

const VirtioDeviceType *
virtio_device_get_type (const VirtioDevice *device)
{
  return device->type;
}

unsigned
virtio_device_get_n_queues (const VirtioDevice *device)
{
  return device->n_queues;
}

uint32_t
virtio_device_get_config_size (const VirtioDevice *device)
{
  return device->config_size;
}

const GuestMemory *
virtio_device_get_memory (const VirtioDevice *device)
{
  return device->memory;
}

uint32_t
virtio_device_get_offered_features (const VirtioDevice *device, uint32_t select)
{
  return select < 2 ? device->offered >> (32 * select) : 0;
}

uint32_t
virtio_device_get_driver_features (const VirtioDevice *device, uint32_t select)
{
  return select < 2 ? device->accepted >> (32 * select) : 0;
}

void
virtio_device_set_driver_features (VirtioDevice *device, uint32_t select, uint32_t value)
{
  if (select >= 2 || (device->status & VIRTIO_CONFIG_S_FEATURES_OK))
    {
      guest_log (&device->log, "driver features written too late or beyond 64 bits");
      return;
    }
  device->accepted &= ~(UINT64_C (0xffffffff) << (32 * select));
  device->accepted |= (uint64_t) value << (32 * select);
}

bool
virtio_device_has_feature (const VirtioDevice *device, unsigned bit)
{
  return (device->status & VIRTIO_CONFIG_S_FEATURES_OK) && (device->accepted >> bit & 1);
}

uint8_t
virtio_device_get_status (const VirtioDevice *device)
{
  return device->status;
}

uint8_t
virtio_device_get_generation (const VirtioDevice *device)
{
  return device->generation;
}

static void
set_live (VirtioDevice *device, bool live)
{
  device->live = live;
  if (device->transport)
    device->transport->set_live (device->transport_opaque, live);
}

void
virtio_device_reset (VirtioDevice *device)
{
  g_debug ("%s: reset", device->type->name);
  set_live (device, false);
  device->resetting = false;
  device->type->reset (device->opaque);
  for (unsigned i = 0; i < device->n_queues; i++)
    {
      g_clear_pointer (&device->queues[i].ring, virtqueue_free);
      device->queues[i].config = (VirtioQueueConfig){ .size = device->type->queue_size };
    }
  device->status = 0;
  device->accepted = 0;
}

void
virtio_device_end_reset (VirtioDevice *device)
{
  if (device->resetting)
    virtio_device_reset (device);
}

static void
begin_reset (VirtioDevice *device)
{
  set_live (device, false);
  if (!device->type->begin_reset || device->type->begin_reset (device->opaque))
    virtio_device_reset (device);
  else
    device->resetting = true;
}

static bool
build_ring (DeviceQueue *queue, GError **error)
{
  const VirtqueueLayout layout = {
    .size = queue->config.size,
    .descriptors = queue->config.descriptors,
    .available = queue->config.available,
    .used = queue->config.used,
    .event_idx = virtio_device_has_feature (queue->device, VIRTIO_RING_F_EVENT_IDX),
    .indirect = virtio_device_has_feature (queue->device, VIRTIO_RING_F_INDIRECT_DESC),
  };

  queue->ring = virtqueue_new (queue->device->memory, &layout, error);
  return queue->ring != NULL;
}

void
virtio_device_notify_again (VirtioDevice *device, unsigned index)
{
  static const uint64_t one = 1;

  /* It fails only when the counter is full: then it is signalled anyway. */
  if (write (device->queues[index].eventfd, &one, sizeof one) < 0)
    g_debug ("%s: queue %u: %s", device->type->name, index, g_strerror (errno));
}

static void
activate (VirtioDevice *device)
{
  for (unsigned i = 0; i < device->n_queues; i++)
    {
      g_autoptr (GError) error = NULL;

      if (device->queues[i].config.enabled && !build_ring (&device->queues[i], &error))
        {
          virtio_device_fail (device, "queue %u: %s", i, error->message);
          return;
        }
    }
  g_debug ("%s: live, features 0x%" G_GINT64_MODIFIER "x", device->type->name, device->accepted);
  set_live (device, true);
  if (device->type->activate)
    device->type->activate (device->opaque);
  /* Buffers may be in the rings already. */
  for (unsigned i = 0; i < device->n_queues; i++)
    if (device->queues[i].ring)
      virtio_device_notify_again (device, i);
}

/* 2.2.2: only what was offered, and nothing from before VERSION_1. */
static bool
features_are_good (const VirtioDevice *device)
{
  return (device->accepted & ~device->offered) == 0 && (device->accepted >> VIRTIO_F_VERSION_1 & 1);
}

void
virtio_device_set_status (VirtioDevice *device, uint8_t status)
{
  const uint8_t old = device->status;
  uint8_t added = status & ~old & ~VIRTIO_CONFIG_S_NEEDS_RESET;

  if (device->resetting)
    {
      if (status != 0)
        guest_log (&device->log, "status 0x%x before the reset is over", status);
      return;
    }
  if (status == 0)
    {
      begin_reset (device);
      return;
    }
  if ((added & VIRTIO_CONFIG_S_FEATURES_OK) && !features_are_good (device))
    {
      guest_log (&device->log, "features 0x%" G_GINT64_MODIFIER "x refused", device->accepted);
      added &= ~VIRTIO_CONFIG_S_FEATURES_OK;
    }
  /* 3.1.1: DRIVER_OK comes after FEATURES_OK was seen to be accepted. */
  if ((added & VIRTIO_CONFIG_S_DRIVER_OK) && !(old & VIRTIO_CONFIG_S_FEATURES_OK))
    {
      guest_log (&device->log, "DRIVER_OK without FEATURES_OK");
      added &= ~VIRTIO_CONFIG_S_DRIVER_OK;
    }
  device->status |= added;
  if ((added & VIRTIO_CONFIG_S_DRIVER_OK) && !(device->status & VIRTIO_CONFIG_S_NEEDS_RESET))
    activate (device);
}

bool
virtio_device_get_queue_config (const VirtioDevice *device, unsigned index,
                                VirtioQueueConfig *config)
{
  if (index >= device->n_queues)
    return false;
  *config = device->queues[index].config;
  return true;
}

void
virtio_device_set_queue_config (VirtioDevice *device, unsigned index,
                                const VirtioQueueConfig *config)
{
  const uint16_t size = config->size;

  if (index >= device->n_queues)
    return;
  DeviceQueue *queue = &device->queues[index];
  if (queue->config.enabled ||
      (device->status & (VIRTIO_CONFIG_S_DRIVER_OK | VIRTIO_CONFIG_S_NEEDS_RESET)))
    {
      guest_log (&device->log, "queue %u programmed while in use", index);
      return;
    }
  if (size == 0 || (size & (size - 1)) != 0 || size > device->type->queue_size)
    {
      guest_log (&device->log, "queue %u: size %u refused", index, size);
      return;
    }
  queue->config = *config;
}

int
virtio_device_get_queue_eventfd (const VirtioDevice *device, unsigned index)
{
  return index < device->n_queues ? device->queues[index].eventfd : -1;
}

void
virtio_device_read_config (VirtioDevice *device, uint32_t offset, void *buffer, uint32_t size)
{
  memset (buffer, 0xff, size);
  if (offset >= device->config_size)
    return;
  size = MIN (size, device->config_size - offset);
  if (device->type->config_read)
    device->type->config_read (device->opaque, offset, buffer, size);
  else
    memset (buffer, 0, size);
}

void
virtio_device_write_config (VirtioDevice *device, uint32_t offset, const void *buffer,
                            uint32_t size)
{
  if (offset >= device->config_size || !device->type->config_write)
    return;
  device->type->config_write (device->opaque, offset, buffer,
                              MIN (size, device->config_size - offset));
}

Virtqueue *
virtio_device_get_queue (VirtioDevice *device, unsigned index)
{
  return device->live && index < device->n_queues ? device->queues[index].ring : NULL;
}

void
virtio_device_signal_queue (VirtioDevice *device, unsigned index)
{
  Virtqueue *ring = virtio_device_get_queue (device, index);

  if (!ring)
    return;
  if (virtqueue_is_broken (ring))
    virtio_device_fail (device, "queue %u: %s", index, virtqueue_get_fault (ring));
  else if (virtqueue_must_interrupt (ring) && device->transport)
    device->transport->interrupt_queue (device->transport_opaque, index);
}

int
virtio_device_get_queue_irqfd (const VirtioDevice *device, unsigned index)
{
  return device->transport && device->transport->get_queue_irqfd
             ? device->transport->get_queue_irqfd (device->transport_opaque, index)
             : -1;
}

void
virtio_device_interrupt_queue (VirtioDevice *device, unsigned index)
{
  if (virtio_device_get_queue (device, index) && device->transport)
    device->transport->interrupt_queue (device->transport_opaque, index);
}

void
virtio_device_change_queue_irqfd (VirtioDevice *device, unsigned index)
{
  if (virtio_device_get_queue (device, index) && device->type->irqfd_changed)
    device->type->irqfd_changed (device->opaque, index);
}

void
virtio_device_signal_config (VirtioDevice *device)
{
  device->generation++;
  if ((device->status & VIRTIO_CONFIG_S_DRIVER_OK) && !device->resetting && device->transport)
    device->transport->interrupt_config (device->transport_opaque);
}

void
virtio_device_fail (VirtioDevice *device, const char *format, ...)
{
  va_list args;

  va_start (args, format);
  g_autofree char *text = g_strdup_vprintf (format, args);
  va_end (args);
  guest_log (&device->log, "%s", text);
  device->status |= VIRTIO_CONFIG_S_NEEDS_RESET;
  /* The rings stay until the reset: requests may be in flight. */
  device->live = false;
  virtio_device_signal_config (device);
}
