#define G_LOG_DOMAIN "vmm-virtio"

#include "virtio/virtio-console.h"

#include <string.h>
#include <linux/virtio_console.h>
#include <linux/virtio_ids.h>

#include "base/guest-log.h"
#include "base/iov.h"

/* Theory of operation
 *
 * Nothing waits but on its own side: bytes of the host stay in the port until the guest has buffers, and a request that the port
 * does not take whole is kept, with how far it is, until the port is writable again.
 *
 * Ports beyond the first are told of by control messages (5.3.6.2). What the guest has to be told is no queue of messages but one bit for
 * each kind, and a message says what is so when there is a buffer for it: a guest that gives no buffers makes nothing grow.
 */
#define PORT_QUEUES      2 /* of each port: to receive, to transmit */
#define CONTROL_RECEIVE  2
#define CONTROL_TRANSMIT 3
#define QUEUE_SIZE       64
#define BYTES_AT_ONCE    4096 /* per call of the port */
#define REQUESTS_AT_ONCE QUEUE_SIZE
/* A request is done in pieces of BYTES_AT_ONCE; after so many of them others have their turn. */
#define PIECES_AT_ONCE 64
#define CONFIG_SIZE    sizeof (struct virtio_console_config)

typedef struct Port
{
  VirtioConsole *console;
  unsigned id;
  char *name;     /* NULL: the console */
  CharPort *port; /* borrowed; NULL: there is none of this number */

  /* Guarded by the device's lock. */
  bool is_connected; /* somebody is at the host's end */
  bool is_ready;     /* the driver has the port */
  bool is_open;      /* and somebody in the guest has it open */
  unsigned to_tell;  /* 1 << VIRTIO_CONSOLE_PORT_*, what the driver has to be told */
  VirtqueueElement transmit;
  bool transmitting; /* transmit is a request, of which done bytes are written */
  size_t done;
} Port;

struct VirtioConsole
{
  VirtioDevice *device;
  Port *ports;
  unsigned n_ports;

  /* Guarded by the device's lock. */
  VirtqueueElement received; /* the buffer in work, only during one call */
  VirtqueueElement control;  /* the same */
  GuestLog log;
};

/* The control queues are behind those of the first port (5.3.2). */
static unsigned
get_queue_index (const Port *port)
{
  return port->id == 0 ? 0 : PORT_QUEUES * (port->id + 1);
}

static bool
has_ports (const VirtioConsole *console)
{
  return virtio_device_has_feature (console->device, VIRTIO_CONSOLE_F_MULTIPORT);
}

/* --- what the guest sends --- */

/* True: all of it is written. False: the port is full, or it is the turn of others (*yield). */
static bool
write_out (Port *port, unsigned *pieces, bool *yield)
{
  const VirtqueueElement *element = &port->transmit;

  while (port->done < element->out_bytes)
    {
      uint8_t bytes[BYTES_AT_ONCE];

      if ((*pieces)++ == PIECES_AT_ONCE)
        {
          *yield = true;
          return false;
        }
      const size_t size = iov_read (element->out, element->n_out, port->done, bytes, sizeof bytes);
      const size_t taken = port->port ? char_port_write (port->port, bytes, size) : size;
      port->done += taken;
      if (taken < size)
        return false;
    }
  return true;
}

/* Lock held. */
static void
transmit (Port *port)
{
  VirtioDevice *device = port->console->device;
  const unsigned index = get_queue_index (port) + 1;
  Virtqueue *queue = virtio_device_get_queue (device, index);
  unsigned requests = 0;
  unsigned pieces = 0;
  bool yield = false;

  if (!queue)
    return;
  for (; requests < REQUESTS_AT_ONCE; requests++)
    {
      if (!port->transmitting)
        {
          port->transmitting = virtqueue_pop (queue, &port->transmit);
          port->done = 0;
        }
      if (!port->transmitting || !write_out (port, &pieces, &yield))
        break;
      virtqueue_push (queue, &port->transmit, 0);
      port->transmitting = false;
    }
  if (requests == REQUESTS_AT_ONCE || yield)
    virtio_device_notify_again (device, index);
  virtio_device_signal_queue (device, index);
}

static void
on_writable (void *opaque)
{
  Port *port = opaque;

  virtio_device_lock (port->console->device);
  transmit (port);
  virtio_device_unlock (port->console->device);
}

/* --- what the guest receives --- */

static size_t
receive (void *opaque, const uint8_t *bytes, size_t size)
{
  Port *port = opaque;
  VirtioConsole *console = port->console;
  const unsigned index = get_queue_index (port);
  unsigned requests = 0;
  size_t taken = 0;

  virtio_device_lock (console->device);
  Virtqueue *queue = virtio_device_get_queue (console->device, index);
  if (has_ports (console) && !port->is_open)
    queue = NULL; /* until somebody is there */
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
    virtio_device_notify_again (console->device, index); /* the rest is offered again then */
  virtio_device_signal_queue (console->device, index);
  virtio_device_unlock (console->device);
  return taken;
}

/* --- control messages --- */

static void
send_control (Virtqueue *queue, VirtioConsole *console, const Port *port, unsigned event)
{
  const bool value = event == VIRTIO_CONSOLE_PORT_OPEN ? port->is_connected : true;
  const struct virtio_console_control message = { .id = GUINT32_TO_LE (port->id),
                                                  .event = GUINT16_TO_LE (event),
                                                  .value = GUINT16_TO_LE (value) };
  uint8_t bytes[sizeof message + VIRTIO_CONSOLE_NAME_MAX + 1];
  size_t size = sizeof message;

  memcpy (bytes, &message, sizeof message);
  if (event == VIRTIO_CONSOLE_PORT_NAME) /* its end included, as QEMU does */
    size += g_strlcpy ((char *) bytes + size, port->name, sizeof bytes - size) + 1;
  size = iov_write (console->control.in, console->control.n_in, 0, bytes, size);
  virtqueue_push (queue, &console->control, size);
}

/* Lock held. The rest is told when there are buffers for it. */
static void
tell (VirtioConsole *console)
{
  Virtqueue *queue = virtio_device_get_queue (console->device, CONTROL_RECEIVE);

  if (!queue || !has_ports (console))
    return;
  for (unsigned i = 0; i < console->n_ports; i++)
    {
      Port *port = &console->ports[i];

      while (port->to_tell != 0 && virtqueue_pop (queue, &console->control))
        {
          /* In the order of their numbers, of which the first is that the port is there. */
          const unsigned event = g_bit_nth_lsf (port->to_tell, -1);

          port->to_tell &= ~(1u << event);
          send_control (queue, console, port, event);
        }
    }
  virtio_device_signal_queue (console->device, CONTROL_RECEIVE);
}

/* Lock held. What was written before a close is still sent: the guest's driver does not wait for it. */
static void
set_open (Port *port, bool is_open)
{
  port->is_open = is_open;
  char_port_set_open (port->port, is_open);
  char_port_accept_input (port->port);
}

static void
handle_port_event (Port *port, unsigned event, unsigned value)
{
  switch (event)
    {
    case VIRTIO_CONSOLE_PORT_READY:
      port->is_ready = value != 0;
      if (!port->is_ready)
        {
          guest_log (&port->console->log, "the driver has no use for port %u", port->id);
          break;
        }
      port->to_tell |= 1u << (port->name ? VIRTIO_CONSOLE_PORT_NAME : VIRTIO_CONSOLE_CONSOLE_PORT);
      if (port->is_connected)
        port->to_tell |= 1u << VIRTIO_CONSOLE_PORT_OPEN;
      break;
    case VIRTIO_CONSOLE_PORT_OPEN:
      set_open (port, value != 0);
      break;
    default:
      guest_log (&port->console->log, "control message %u of port %u is not for a device", event,
                 port->id);
    }
}

static void
handle_control (VirtioConsole *console, const struct virtio_console_control *message)
{
  const unsigned event = GUINT16_FROM_LE (message->event);
  const uint32_t id = GUINT32_FROM_LE (message->id);
  const unsigned value = GUINT16_FROM_LE (message->value);

  if (event == VIRTIO_CONSOLE_DEVICE_READY)
    {
      for (unsigned i = 0; value != 0 && i < console->n_ports; i++)
        if (console->ports[i].port)
          console->ports[i].to_tell |= 1u << VIRTIO_CONSOLE_PORT_ADD;
    }
  else if (id < console->n_ports && console->ports[id].port)
    handle_port_event (&console->ports[id], event, value);
  else
    guest_log (&console->log, "control message %u of port %u, which there is not", event, id);
}

/* Lock held. */
static void
take_control (VirtioConsole *console)
{
  Virtqueue *queue = virtio_device_get_queue (console->device, CONTROL_TRANSMIT);
  struct virtio_console_control message;
  unsigned requests = 0;

  if (!queue || !has_ports (console))
    return;
  for (; requests < REQUESTS_AT_ONCE && virtqueue_pop (queue, &console->control); requests++)
    {
      const size_t size =
          iov_read (console->control.out, console->control.n_out, 0, &message, sizeof message);

      virtqueue_push (queue, &console->control, 0);
      if (size == sizeof message)
        handle_control (console, &message);
      else
        guest_log (&console->log, "a control message of %zu bytes", size);
    }
  if (requests == REQUESTS_AT_ONCE)
    virtio_device_notify_again (console->device, CONTROL_TRANSMIT);
  virtio_device_signal_queue (console->device, CONTROL_TRANSMIT);
  tell (console);
}

static void
on_connected (void *opaque, bool is_connected)
{
  Port *port = opaque;

  virtio_device_lock (port->console->device);
  port->is_connected = is_connected;
  if (port->is_ready)
    port->to_tell |= 1u << VIRTIO_CONSOLE_PORT_OPEN;
  tell (port->console);
  virtio_device_unlock (port->console->device);
}

static const CharClientOps client_ops = {
  .receive = receive,
  .writable = on_writable,
  .connected = on_connected,
};

/* --- the device --- */

static void
notify (void *opaque, unsigned index)
{
  VirtioConsole *console = opaque;

  if (index == CONTROL_RECEIVE)
    tell (console);
  else if (index == CONTROL_TRANSMIT)
    take_control (console);
  else
    {
      Port *port = &console->ports[index < PORT_QUEUES ? 0 : index / PORT_QUEUES - 1];

      if (index % PORT_QUEUES != 0)
        transmit (port);
      else if (port->port)
        char_port_accept_input (port->port);
    }
}

static void
reset (void *opaque)
{
  VirtioConsole *console = opaque;

  for (unsigned i = 0; i < console->n_ports; i++)
    {
      Port *port = &console->ports[i];

      port->transmitting = port->is_ready = port->is_open = false;
      port->to_tell = 0;
      if (port->port)
        char_port_set_open (port->port, false);
    }
}

static void
config_read (void *opaque, uint32_t offset, void *buffer, uint32_t size)
{
  const VirtioConsole *console = opaque;
  const struct virtio_console_config config = { .max_nr_ports = GUINT32_TO_LE (console->n_ports) };

  memcpy (buffer, (const uint8_t *) &config + offset, size);
}

/* 5.3.4: one character to the console, before there are queues. */
static void
config_write (void *opaque, uint32_t offset, const void *buffer, uint32_t size)
{
  VirtioConsole *console = opaque;

  if (offset == offsetof (struct virtio_console_config, emerg_wr) && console->ports[0].port)
    char_port_write (console->ports[0].port, buffer, 1);
}

static const VirtioDeviceType type = {
  .name = "virtio-console",
  .id = VIRTIO_ID_CONSOLE,
  .pci_class = 0x078000,
  .features = UINT64_C (1) << VIRTIO_CONSOLE_F_EMERG_WRITE | //
              UINT64_C (1) << VIRTIO_CONSOLE_F_MULTIPORT,
  .max_queues = PORT_QUEUES * (VIRTIO_CONSOLE_PORTS_MAX + 1),
  .queue_size = QUEUE_SIZE,
  .config_read = config_read,
  .config_write = config_write,
  .notify = notify,
  .reset = reset,
};

VirtioConsole *
virtio_console_new (const GuestMemory *memory, const VirtioConsolePort *ports, unsigned n_ports)
{
  g_return_val_if_fail (n_ports >= 1 && n_ports <= VIRTIO_CONSOLE_PORTS_MAX, NULL);

  VirtioConsole *console = g_new0 (VirtioConsole, 1);
  console->n_ports = n_ports;
  console->ports = g_new0 (Port, n_ports);
  guest_log_init (&console->log, type.name);
  console->device = virtio_device_new (&type, console, PORT_QUEUES * (n_ports + 1), CONFIG_SIZE,
                                       type.features, memory, NULL);
  for (unsigned i = 0; i < n_ports; i++)
    {
      Port *port = &console->ports[i];

      port->console = console;
      port->id = i;
      port->name = g_strdup (ports[i].name);
      port->port = ports[i].port;
      if (!port->port)
        continue;
      port->is_connected = char_port_is_connected (port->port);
      char_port_set_client (port->port, &client_ops, port);
    }
  return console;
}

void
virtio_console_free (VirtioConsole *console)
{
  if (!console)
    return;
  for (unsigned i = 0; i < console->n_ports; i++)
    if (console->ports[i].port)
      char_port_set_client (console->ports[i].port, NULL, NULL);
  virtio_device_free (console->device);
  for (unsigned i = 0; i < console->n_ports; i++)
    {
      virtqueue_element_clear (&console->ports[i].transmit);
      g_free (console->ports[i].name);
    }
  g_free (console->ports);
  virtqueue_element_clear (&console->received);
  virtqueue_element_clear (&console->control);
  g_free (console);
}

VirtioDevice *
virtio_console_get_device (VirtioConsole *console)
{
  return console->device;
}
