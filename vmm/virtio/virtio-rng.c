#define G_LOG_DOMAIN "vmm-virtio"

#include "virtio/virtio-rng.h"

#include <errno.h>
#include <sys/random.h>
#include <linux/virtio_ids.h>

#include "base/iov.h"

#define QUEUE_SIZE 64
/* 5.4.6.1: a device gives at least one byte and may give fewer than asked for. More than this at once, or more requests than
 * this in a row, would let a guest keep the main loop busy. */
#define BYTES_AT_ONCE    256 /* getrandom () is not interrupted up to here */
#define REQUESTS_AT_ONCE 16

struct VirtioRng
{
  VirtioDevice *device;
  VirtqueueElement element;
};

static uint32_t
fill (const VirtqueueElement *element)
{
  uint8_t bytes[BYTES_AT_ONCE];
  ssize_t n = getrandom (bytes, MIN (sizeof bytes, element->in_bytes), 0);

  if (n < 0)
    {
      g_warning ("virtio-rng: getrandom: %s", g_strerror (errno));
      return 0;
    }
  return iov_write (element->in, element->n_in, 0, bytes, n);
}

static void
notify (void *opaque, unsigned index)
{
  VirtioRng *rng = opaque;
  Virtqueue *queue = virtio_device_get_queue (rng->device, index);
  unsigned done = 0;

  for (; done < REQUESTS_AT_ONCE && virtqueue_pop (queue, &rng->element); done++)
    virtqueue_push (queue, &rng->element, fill (&rng->element));
  if (done == REQUESTS_AT_ONCE)
    virtio_device_notify_again (rng->device, index);
  virtio_device_signal_queue (rng->device, index);
}

static void
reset (void *opaque)
{
}

static const VirtioDeviceType type = {
  .name = "virtio-rng",
  .id = VIRTIO_ID_RNG,
  .pci_class = 0x00ff00, /* as QEMU has it: there is no class for it */
  .max_queues = 1,
  .queue_size = QUEUE_SIZE,
  .notify = notify,
  .reset = reset,
};

VirtioRng *
virtio_rng_new (const GuestMemory *memory)
{
  VirtioRng *rng = g_new0 (VirtioRng, 1);

  rng->device = virtio_device_new (&type, rng, 1, 0, type.features, memory, NULL);
  return rng;
}

void
virtio_rng_free (VirtioRng *rng)
{
  if (!rng)
    return;
  virtio_device_free (rng->device);
  virtqueue_element_clear (&rng->element);
  g_free (rng);
}

VirtioDevice *
virtio_rng_get_device (VirtioRng *rng)
{
  return rng->device;
}
