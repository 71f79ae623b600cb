#define G_LOG_DOMAIN "vmm-virtio"

#include "virtio/virtio-console.h"

#include <string.h>
#include <linux/virtio_console.h>
#include <linux/virtio_ids.h>

#include "base/iov.h"

/* Theory of operation
 *
 * Nothing waits but on its own side: bytes of the host stay in the port until the guest has buffers, and a request that the port
 * does not take whole is kept, with how far it is, until the port is writable again.
 */
#define QUEUE_RECEIVE    0
#define QUEUE_TRANSMIT   1
#define QUEUES           2
#define QUEUE_SIZE       64
#define BYTES_AT_ONCE    4096 /* per call of the port */
#define REQUESTS_AT_ONCE QUEUE_SIZE
/* A request is done in pieces of BYTES_AT_ONCE; after so many of them others have their turn. */
#define PIECES_AT_ONCE 64
#define CONFIG_SIZE    sizeof (struct virtio_console_config)

struct VirtioConsole
{
  VirtioDevice *device;
  CharPort *port; /* borrowed */

  /* Guarded by the device's lock. */
  VirtqueueElement received; /* the buffer in work, only during receive () */
  VirtqueueElement transmit;
  bool transmitting; /* transmit is a request, of which done bytes are written */
  size_t done;
};

/* True: all of it is written. False: the port is full, or it is the turn of others (*yield). */
static bool
write_out (VirtioConsole *console, unsigned *pieces, bool *yield)
{
  const VirtqueueElement *element = &console->transmit;

  while (console->done < element->out_bytes)
    {
      uint8_t bytes[BYTES_AT_ONCE];

      if ((*pieces)++ == PIECES_AT_ONCE)
        {
          *yield = true;
          return false;
        }
      const size_t size =
          iov_read (element->out, element->n_out, console->done, bytes, sizeof bytes);
      const size_t taken = char_port_write (console->port, bytes, size);
      console->done += taken;
      if (taken < size)
        return false;
    }
  return true;
}

/* Lock held. */
static void
transmit (VirtioConsole *console)
{
  Virtqueue *queue = virtio_device_get_queue (console->device, QUEUE_TRANSMIT);
  unsigned requests = 0;
  unsigned pieces = 0;
  bool yield = false;

  if (!queue)
    return;
  for (; requests < REQUESTS_AT_ONCE; requests++)
    {
      if (!console->transmitting)
        {
          console->transmitting = virtqueue_pop (queue, &console->transmit);
          console->done = 0;
        }
      if (!console->transmitting || !write_out (console, &pieces, &yield))
        break;
      virtqueue_push (queue, &console->transmit, 0);
      console->transmitting = false;
    }
  if (requests == REQUESTS_AT_ONCE || yield)
    virtio_device_notify_again (console->device, QUEUE_TRANSMIT);
  virtio_device_signal_queue (console->device, QUEUE_TRANSMIT);
}

static void
on_writable (void *opaque)
{
  VirtioConsole *console = opaque;

  virtio_device_lock (console->device);
  transmit (console);
  virtio_device_unlock (console->device);
}

static size_t
receive (void *opaque, const uint8_t *bytes, size_t size)
{
  VirtioConsole *console = opaque;
  unsigned requests = 0;
  size_t taken = 0;

  virtio_device_lock (console->device);
  Virtqueue *queue = virtio_device_get_queue (console->device, QUEUE_RECEIVE);
  while (queue && taken < size && requests < REQUESTS_AT_ONCE &&
         virtqueue_pop (queue, &console->received))
    {
      requests++;
      const size_t written =
          iov_write (console->received.in, console->received.n_in, 0, bytes + taken, size - taken);
      virtqueue_push (queue, &console->received, written);
      taken += written;
    }
  if (requests == REQUESTS_AT_ONCE)
    virtio_device_notify_again (console->device,
                                QUEUE_RECEIVE); /* the rest is offered again then */
  virtio_device_signal_queue (console->device, QUEUE_RECEIVE);
  virtio_device_unlock (console->device);
  return taken;
}

static const CharClientOps client_ops = { .receive = receive, .writable = on_writable };

static void
notify (void *opaque, unsigned index)
{
  VirtioConsole *console = opaque;

  if (index == QUEUE_RECEIVE)
    char_port_accept_input (console->port);
  else
    transmit (console);
}

static void
reset (void *opaque)
{
  VirtioConsole *console = opaque;

  console->transmitting = false;
}

/* 5.3.4: one character to the port, before there are queues. */
static void
config_write (void *opaque, uint32_t offset, const void *buffer, uint32_t size)
{
  VirtioConsole *console = opaque;

  if (offset == offsetof (struct virtio_console_config, emerg_wr))
    char_port_write (console->port, buffer, 1);
}

static const VirtioDeviceType type = {
  .name = "virtio-console",
  .id = VIRTIO_ID_CONSOLE,
  .pci_class = 0x078000,
  .features = UINT64_C (1) << VIRTIO_CONSOLE_F_EMERG_WRITE,
  .max_queues = QUEUES,
  .queue_size = QUEUE_SIZE,
  .config_write = config_write,
  .notify = notify,
  .reset = reset,
};

VirtioConsole *
virtio_console_new (const GuestMemory *memory, CharPort *port)
{
  VirtioConsole *console = g_new0 (VirtioConsole, 1);

  console->port = port;
  console->device =
      virtio_device_new (&type, console, QUEUES, CONFIG_SIZE, type.features, memory, NULL);
  char_port_set_client (port, &client_ops, console);
  return console;
}

void
virtio_console_free (VirtioConsole *console)
{
  if (!console)
    return;
  char_port_set_client (console->port, NULL, NULL);
  virtio_device_free (console->device);
  virtqueue_element_clear (&console->received);
  virtqueue_element_clear (&console->transmit);
  g_free (console);
}

VirtioDevice *
virtio_console_get_device (VirtioConsole *console)
{
  return console->device;
}
