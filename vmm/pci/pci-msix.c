#define G_LOG_DOMAIN "vmm-pci"

#include "pci/pci-device-private.h"

#include <errno.h>
#include <poll.h>
#include <unistd.h>
#include <sys/eventfd.h>
#include <linux/pci_regs.h>

/* Theory of operation (PCI Local Bus 3.0, 6.8.2)
 *
 * Each vector is an eventfd with a route in the machine's MsiSink. While the vector can be delivered its route carries
 * the message; otherwise the route is muted and a signal stays in the eventfd, which is the pending bit. The sink is told only
 * of changes, because a change of routes is dear for KVM.
 */
typedef struct PciMsixVector
{
  uint32_t entry[4]; /* address low, high, data, control; host order */
  int eventfd;
  int route; /* -1: not connected */
  bool open; /* the route carries message */
  MsiMessage message;
} PciMsixVector;

struct PciMsix
{
  unsigned control_offset;
  unsigned n_vectors;
  MsiSink sink;

  GMutex lock;  /* guards what follows and the vectors */
  bool enabled; /* written under lock, read without */
  bool masked;
  PciMsixVector *vectors;
};

typedef struct __attribute__ ((packed)) MsixCapability
{
  uint16_t control;
  uint32_t table;
  uint32_t pending;
} MsixCapability;

bool
pci_device_add_msix (PciDevice *device, unsigned bar, uint32_t offset, unsigned n_vectors,
                     GError **error)
{
  static const uint8_t control_writable[] = { 0, (PCI_MSIX_FLAGS_ENABLE | PCI_MSIX_FLAGS_MASKALL) >>
                                                     8 };
  const MsixCapability body = {
    .control = GUINT16_TO_LE (n_vectors - 1),
    .table = GUINT32_TO_LE (offset | bar),
    .pending = GUINT32_TO_LE ((offset + PCI_MSIX_PBA_STEP) | bar),
  };

  g_return_val_if_fail (!device->msix && n_vectors > 0 && n_vectors <= PCI_MSIX_MAX, false);
  PciMsix *msix = g_new0 (PciMsix, 1);
  g_mutex_init (&msix->lock);
  msix->vectors = g_new0 (PciMsixVector, n_vectors);
  device->msix = msix;
  for (; msix->n_vectors < n_vectors; msix->n_vectors++)
    {
      PciMsixVector *vector = &msix->vectors[msix->n_vectors];

      vector->route = -1;
      vector->entry[3] = PCI_MSIX_ENTRY_CTRL_MASKBIT;
      vector->eventfd = eventfd (0, EFD_CLOEXEC | EFD_NONBLOCK);
      if (vector->eventfd < 0)
        {
          g_set_error (error, G_FILE_ERROR, g_file_error_from_errno (errno), "%s: eventfd: %s",
                       device->name, g_strerror (errno));
          return false;
        }
    }
  msix->control_offset =
      pci_device_add_capability (device, PCI_CAP_ID_MSIX, &body, sizeof body) + PCI_MSIX_FLAGS;
  pci_device_set_writable (device, msix->control_offset, control_writable, 2);
  return true;
}

void
pci_msix_free (PciMsix *msix)
{
  if (!msix)
    return;
  pci_msix_disconnect (msix);
  for (unsigned i = 0; i < msix->n_vectors; i++)
    close (msix->vectors[i].eventfd);
  g_free (msix->vectors);
  g_mutex_clear (&msix->lock);
  g_free (msix);
}

bool
pci_msix_connect (PciMsix *msix, const MsiSink *sink, GError **error)
{
  msix->sink = *sink;
  for (unsigned i = 0; sink->ops && i < msix->n_vectors; i++)
    {
      PciMsixVector *vector = &msix->vectors[i];

      vector->route = sink->ops->route_new (sink->opaque, vector->eventfd, error);
      if (vector->route < 0)
        {
          pci_msix_disconnect (msix);
          return false;
        }
    }
  return true;
}

void
pci_msix_disconnect (PciMsix *msix)
{
  for (unsigned i = 0; i < msix->n_vectors; i++)
    {
      PciMsixVector *vector = &msix->vectors[i];

      if (vector->route >= 0)
        msix->sink.ops->route_free (msix->sink.opaque, vector->route);
      vector->route = -1;
      vector->open = false;
    }
}

unsigned
pci_msix_get_control_offset (const PciMsix *msix)
{
  return msix->control_offset;
}

/* lock held. */
static void
update_vector (PciMsix *msix, PciMsixVector *vector)
{
  const MsiMessage message = {
    .address = (uint64_t) vector->entry[1] << 32 | vector->entry[0],
    .data = vector->entry[2],
  };
  const bool open =
      msix->enabled && !msix->masked && !(vector->entry[3] & PCI_MSIX_ENTRY_CTRL_MASKBIT);

  if (open && (!vector->open || message.address != vector->message.address ||
               message.data != vector->message.data))
    {
      vector->open = true;
      vector->message = message;
      if (vector->route >= 0)
        msix->sink.ops->route_set (msix->sink.opaque, vector->route, &message);
    }
  else if (!open && vector->open)
    {
      vector->open = false;
      if (vector->route >= 0)
        msix->sink.ops->route_set (msix->sink.opaque, vector->route, NULL);
    }
}

void
pci_msix_set_control (PciMsix *msix, uint16_t control)
{
  g_mutex_lock (&msix->lock);
  __atomic_store_n (&msix->enabled, (control & PCI_MSIX_FLAGS_ENABLE) != 0, __ATOMIC_RELAXED);
  msix->masked = (control & PCI_MSIX_FLAGS_MASKALL) != 0;
  for (unsigned i = 0; i < msix->n_vectors; i++)
    update_vector (msix, &msix->vectors[i]);
  g_mutex_unlock (&msix->lock);
}

void
pci_msix_reset (PciMsix *msix)
{
  uint64_t count;

  pci_msix_set_control (msix, 0);
  g_mutex_lock (&msix->lock);
  for (unsigned i = 0; i < msix->n_vectors; i++)
    {
      PciMsixVector *vector = &msix->vectors[i];

      vector->entry[0] = vector->entry[1] = vector->entry[2] = 0;
      vector->entry[3] = PCI_MSIX_ENTRY_CTRL_MASKBIT;
      if (read (vector->eventfd, &count, sizeof count) > 0)
        g_debug ("vector %u was pending at the reset", i);
    }
  g_mutex_unlock (&msix->lock);
}

static uint8_t
read_table_byte (const PciMsix *msix, uint64_t offset)
{
  const unsigned vector = offset / PCI_MSIX_ENTRY_SIZE;

  if (vector >= msix->n_vectors)
    return 0;
  return msix->vectors[vector].entry[offset % PCI_MSIX_ENTRY_SIZE / 4] >> (offset % 4 * 8);
}

/* Pending: signalled and not delivered. What is signalled while the route is open is the sink's. */
static bool
is_pending (const PciMsix *msix, unsigned index)
{
  if (index >= msix->n_vectors || msix->vectors[index].open)
    return false;
  struct pollfd poll_fd = { .fd = msix->vectors[index].eventfd, .events = POLLIN };
  return poll (&poll_fd, 1, 0) == 1;
}

static uint8_t
read_pending_byte (const PciMsix *msix, uint64_t offset)
{
  uint8_t byte = 0;

  if (offset * 8 >= msix->n_vectors)
    return 0;
  for (unsigned i = 0; i < 8; i++)
    byte |= is_pending (msix, offset * 8 + i) << i;
  return byte;
}

uint64_t
pci_device_msix_read (PciDevice *device, uint64_t offset, unsigned size)
{
  PciMsix *msix = device->msix;
  uint64_t value = 0;

  g_return_val_if_fail (msix, UINT64_MAX);
  g_mutex_lock (&msix->lock);
  for (unsigned i = 0; i < size; i++)
    {
      const uint64_t at = offset + i;
      const uint8_t byte = at < PCI_MSIX_PBA_STEP
                               ? read_table_byte (msix, at)
                               : read_pending_byte (msix, at - PCI_MSIX_PBA_STEP);
      value |= (uint64_t) byte << (8 * i);
    }
  g_mutex_unlock (&msix->lock);
  return value;
}

void
pci_device_msix_write (PciDevice *device, uint64_t offset, unsigned size, uint64_t value)
{
  PciMsix *msix = device->msix;

  g_return_if_fail (msix);
  g_mutex_lock (&msix->lock);
  for (unsigned i = 0; i < size; i++)
    {
      const uint64_t at = offset + i;
      const unsigned vector = at / PCI_MSIX_ENTRY_SIZE;

      /* Pending bits are read-only. */
      if (at >= PCI_MSIX_PBA_STEP || vector >= msix->n_vectors)
        continue;
      uint32_t *word = &msix->vectors[vector].entry[at % PCI_MSIX_ENTRY_SIZE / 4];
      const unsigned shift = at % 4 * 8;
      *word = (*word & ~(0xffu << shift)) | ((uint32_t) (value >> (8 * i)) & 0xff) << shift;
      if (i + 1 == size || (at + 1) % PCI_MSIX_ENTRY_SIZE == 0)
        update_vector (msix, &msix->vectors[vector]);
    }
  g_mutex_unlock (&msix->lock);
}

unsigned
pci_device_get_msix_vectors (const PciDevice *device)
{
  return device->msix ? device->msix->n_vectors : 0;
}

bool
pci_device_msix_is_enabled (const PciDevice *device)
{
  return device->msix && __atomic_load_n (&device->msix->enabled, __ATOMIC_RELAXED);
}

void
pci_device_msix_signal (PciDevice *device, unsigned vector)
{
  static const uint64_t one = 1;
  int fd = pci_device_get_msix_eventfd (device, vector);

  /* It fails only when the counter is full: then it is signalled anyway. */
  if (fd >= 0 && write (fd, &one, sizeof one) < 0)
    g_debug ("%s: vector %u: %s", device->name, vector, g_strerror (errno));
}

int
pci_device_get_msix_eventfd (const PciDevice *device, unsigned vector)
{
  return vector < pci_device_get_msix_vectors (device) ? device->msix->vectors[vector].eventfd : -1;
}
