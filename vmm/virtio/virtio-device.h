#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <glib.h>

#include "bus/guest-memory.h"
#include "virtio/virtqueue.h"

/* What every virtio device has, whatever its transport: feature negotiation, status, queues, config
 * space and its generation (Virtual I/O Device 1.2, sections 2 and 4.1.4).
 *
 * Threads. Register accesses come from vCPU threads; queue notifications arrive on the device's own GMainContext (the main one for
 * slow devices, one with a thread of its own for data-plane devices). One recursive-free mutex a device, held by this code around EVERY
 * callback below, makes them exclusive; a device's own completions take it with virtio_device_lock (). No callback may block for
 * the host's I/O except reset, which waits until nothing of the device touches guest memory any more; a device that could have to
 * wait has begin_reset as well, so that no vCPU does.
 */
typedef struct VirtioDevice VirtioDevice;

typedef struct VirtioDeviceType
{
  const char *name;   /* "virtio-blk" */
  uint16_t id;        /* Virtual I/O Device 1.2, section 5 */
  uint32_t pci_class; /* 24 bits: class, subclass, interface */
  uint64_t features; /* besides VERSION_1, INDIRECT_DESC and EVENT_IDX, which every device offers */
  unsigned max_queues; /* most queues that any instance has */
  uint16_t queue_size; /* offered; a power of two */
  /* Another process serves the queues (vhost-user): it reads their eventfds and moves their rings; notify is never called, and the
   * features of an instance are all that it offers. */
  bool external;

  /* Config space, little-endian bytes. offset + size is inside config_size given at creation. NULL: reads zero. */
  void (*config_read) (void *opaque, uint32_t offset, void *buffer, uint32_t size);
  void (*config_write) (void *opaque, uint32_t offset, const void *buffer, uint32_t size);
  /* DRIVER_OK: virtio_device_get_queue () gives the enabled queues, features are final. */
  void (*activate) (void *opaque);
  /* Live and external: virtio_device_get_queue_irqfd () gives another one now. */
  void (*irqfd_changed) (void *opaque, unsigned index);
  /* The driver notified queue index (or several notifications were merged). Runs on the device's context, with the lock held, which it may
   * release for a moment: then queues are to be asked for again. */
  void (*notify) (void *opaque, unsigned index);
  /* The driver resets the device, which is not live any more. False: requests are under way; virtio_device_end_reset () follows when they
   * are not. NULL: there is nothing to wait for. */
  bool (*begin_reset) (void *opaque);
  /* Back to the state after creation. After it returns the device holds no element and no pointer into guest memory. */
  void (*reset) (void *opaque);
} VirtioDeviceType;

/* opaque is handed to the callbacks. context: where notify runs (NULL: the main context); a reference is taken. memory is borrowed.
 * features: type->features less what this instance lacks. */
VirtioDevice *virtio_device_new (const VirtioDeviceType *type, void *opaque, unsigned n_queues,
                                 uint32_t config_size, uint64_t features, const GuestMemory *memory,
                                 GMainContext *context);
void virtio_device_free (VirtioDevice *device);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (VirtioDevice, virtio_device_free)

/* For completions that arrive outside a callback. */
void virtio_device_lock (VirtioDevice *device);
void virtio_device_unlock (VirtioDevice *device);

/* Lock held. NULL when the queue is not enabled or the device not live (DRIVER_OK, not reset, not broken). */
Virtqueue *virtio_device_get_queue (VirtioDevice *device, unsigned index);
bool virtio_device_has_feature (const VirtioDevice *device, unsigned bit);
const GuestMemory *virtio_device_get_memory (const VirtioDevice *device);

/* Lock held. Interrupts for the queue if virtqueue_must_interrupt () says so; marks the device NEEDS_RESET if the queue broke. */
void virtio_device_signal_queue (VirtioDevice *device, unsigned index);
/* Lock held. Has notify () called again later: for a device that leaves requests in the queue so as not to keep its
 * loop from others, however many the guest makes. */
void virtio_device_notify_again (VirtioDevice *device, unsigned index);
/* Lock held. Config changed: bumps the generation and interrupts (2.4, 2.5.1). */
void virtio_device_signal_config (VirtioDevice *device);
/* Lock held. The end of what begin_reset () began; nothing happens when no reset is under way. */
void virtio_device_end_reset (VirtioDevice *device);
/* Lock held. The driver broke the protocol: DEVICE_NEEDS_RESET, counted and logged. */
void virtio_device_fail (VirtioDevice *device, const char *format, ...) G_GNUC_PRINTF (2, 3);
