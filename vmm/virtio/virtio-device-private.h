#pragma once

#include "virtio/virtio-device.h"

/* The transport's side of a virtio device: its registers, without where they lie. For virtio-pci.c, the drivers of the tests, and
 * devices that hand their queues to another process.
 * Every function here wants the device's lock held, except virtio_device_get_type () and _get_queue_eventfd ().
 */
typedef struct VirtioTransportOps
{
  /* Lock held. */
  void (*interrupt_queue) (void *opaque, unsigned index);
  void (*interrupt_config) (void *opaque);
  /* Lock held. The device became live (notifications will be served) or was reset. */
  void (*set_live) (void *opaque, bool live);
  /* Lock held. An eventfd (borrowed) that interrupts for the queue when it is signalled; -1: interrupt_queue () has to be called.
   * NULL: never one. */
  int (*get_queue_irqfd) (void *opaque, unsigned index);
} VirtioTransportOps;

/* ops NULL: none, as at first. */
void virtio_device_set_transport (VirtioDevice *device, const VirtioTransportOps *ops,
                                  void *opaque);

const VirtioDeviceType *virtio_device_get_type (const VirtioDevice *device);
unsigned virtio_device_get_n_queues (const VirtioDevice *device);
uint32_t virtio_device_get_config_size (const VirtioDevice *device);

/* 32 bits of the feature set; select 0: bits 0-31, 1: 32-63, others are empty. */
uint32_t virtio_device_get_offered_features (const VirtioDevice *device, uint32_t select);
uint32_t virtio_device_get_driver_features (const VirtioDevice *device, uint32_t select);
/* Ignored once FEATURES_OK is set. */
void virtio_device_set_driver_features (VirtioDevice *device, uint32_t select, uint32_t value);

uint8_t virtio_device_get_status (const VirtioDevice *device);
/* As the driver does it. 0 resets: it is over when the status reads as 0 (4.1.4.3.1), and nothing is taken from the driver before. Other
 * values add bits, as the driver may not take any back (2.1.1). */
void virtio_device_set_status (VirtioDevice *device, uint8_t status);
/* As the machine does it: waits for requests that are under way. No vCPU runs. */
void virtio_device_reset (VirtioDevice *device);
uint8_t virtio_device_get_generation (const VirtioDevice *device);

/* What the driver programs of a queue. */
typedef struct VirtioQueueConfig
{
  uint16_t size;
  bool enabled;
  uint64_t descriptors;
  uint64_t available;
  uint64_t used;
} VirtioQueueConfig;

/* False: no such queue. */
bool virtio_device_get_queue_config (const VirtioDevice *device, unsigned index,
                                     VirtioQueueConfig *config);
/* Ignored for a queue that is enabled and for a device that is live or failed, as is a size that is not a power of two or larger than
 * the one offered. */
void virtio_device_set_queue_config (VirtioDevice *device, unsigned index,
                                     const VirtioQueueConfig *config);

/* Signalling it notifies the queue. Borrowed; valid as long as the device. -1: the host had none left. */
int virtio_device_get_queue_eventfd (const VirtioDevice *device, unsigned index);

/* For external devices. See VirtioTransportOps; valid until irqfd_changed () or the reset. */
int virtio_device_get_queue_irqfd (const VirtioDevice *device, unsigned index);
/* Interrupts for the queue, which is not looked at. */
void virtio_device_interrupt_queue (VirtioDevice *device, unsigned index);
/* By the transport. */
void virtio_device_change_queue_irqfd (VirtioDevice *device, unsigned index);

/* Bytes outside the config space read as all-ones and are not written. Any size. */
void virtio_device_read_config (VirtioDevice *device, uint32_t offset, void *buffer, uint32_t size);
void virtio_device_write_config (VirtioDevice *device, uint32_t offset, const void *buffer,
                                 uint32_t size);
