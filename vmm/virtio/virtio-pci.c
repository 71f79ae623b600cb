#define G_LOG_DOMAIN "vmm-virtio"

#include "virtio/virtio-pci.h"

#include <assert.h>
#include <errno.h>
#include <string.h>
#include <unistd.h>
#include <linux/pci_regs.h>
#include <linux/virtio_pci.h>

#include "base/guest-log.h"
#include "virtio/virtio-device-private.h"

/* Theory of operation
 *
 * The registers of 4.1.4.3 are a table; a read of any width collects the bytes of those it covers, a write counts only when it is
 * exactly one register wide (or both halves of a 64-bit one), as 4.1.3.1 asks of drivers.
 *
 * While the device is live every enabled queue has a doorbell on its notify address: a kick then costs no exit to us.
 * Without doorbells, and before, the write lands in write_notify (), which signals the same eventfd.
 *
 * The registers and isr are guarded by the device's lock. The notify region needs none.
 */
#define VENDOR_RED_HAT    0x1af4
#define DEVICE_BASE       0x1040 /* 4.1.2.1: plus the virtio device id */
#define SUBSYSTEM         0x1100
#define MODERN_REVISION   1
#define COMMON_OFFSET     0x0000
#define ISR_OFFSET        0x1000
#define DEVICE_OFFSET     0x2000
#define NOTIFY_OFFSET     0x3000
#define MSIX_OFFSET       0x4000
#define MSIX_SIZE         (PCI_MSIX_PBA_STEP + 0x1000)
#define BAR_SIZE          0x8000
#define REGION_SIZE       0x1000
#define NOTIFY_MULTIPLIER 4
#define CONFIG_VECTOR     0 /* in vectors[]; queue i has i + 1 */

struct VirtioPci
{
  VirtioDevice *device; /* borrowed */
  PciDevice *pci;
  unsigned cfg_access; /* offset of that capability */
  GuestLog log;

  /* Guarded by the device's lock. */
  uint32_t device_feature_select;
  uint32_t driver_feature_select;
  uint16_t queue_select;
  uint16_t *vectors; /* of the config and of each queue; VIRTIO_MSI_NO_VECTOR: none */
  uint8_t isr;
};

/* Registers. offset says which one, so that one function can serve several. */

typedef struct CommonRegister
{
  uint16_t offset;
  uint8_t size;
  uint32_t (*read) (VirtioPci *pci, unsigned offset);
  void (*write) (VirtioPci *pci, unsigned offset, uint32_t value); /* NULL: read-only */
} CommonRegister;

static uint32_t
read_selects (VirtioPci *pci, unsigned offset)
{
  switch (offset)
    {
    case VIRTIO_PCI_COMMON_DFSELECT:
      return pci->device_feature_select;
    case VIRTIO_PCI_COMMON_GFSELECT:
      return pci->driver_feature_select;
    default:
      return pci->queue_select;
    }
}

static void
write_selects (VirtioPci *pci, unsigned offset, uint32_t value)
{
  switch (offset)
    {
    case VIRTIO_PCI_COMMON_DFSELECT:
      pci->device_feature_select = value;
      break;
    case VIRTIO_PCI_COMMON_GFSELECT:
      pci->driver_feature_select = value;
      break;
    default:
      pci->queue_select = value;
    }
}

static uint32_t
read_device_features (VirtioPci *pci, unsigned offset)
{
  return virtio_device_get_offered_features (pci->device, pci->device_feature_select);
}

static uint32_t
read_driver_features (VirtioPci *pci, unsigned offset)
{
  return virtio_device_get_driver_features (pci->device, pci->driver_feature_select);
}

static void
write_driver_features (VirtioPci *pci, unsigned offset, uint32_t value)
{
  virtio_device_set_driver_features (pci->device, pci->driver_feature_select, value);
}

static uint32_t
read_num_queues (VirtioPci *pci, unsigned offset)
{
  return virtio_device_get_n_queues (pci->device);
}

static uint32_t
read_status (VirtioPci *pci, unsigned offset)
{
  return virtio_device_get_status (pci->device);
}

static void
write_status (VirtioPci *pci, unsigned offset, uint32_t value)
{
  virtio_device_set_status (pci->device, value);
}

static uint32_t
read_generation (VirtioPci *pci, unsigned offset)
{
  return virtio_device_get_generation (pci->device);
}

/* The vector that a register stands for; NULL: of a queue that does not exist. */
static uint16_t *
find_vector (VirtioPci *pci, unsigned offset)
{
  if (offset == VIRTIO_PCI_COMMON_MSIX)
    return &pci->vectors[CONFIG_VECTOR];
  if (pci->queue_select >= virtio_device_get_n_queues (pci->device))
    return NULL;
  return &pci->vectors[1 + pci->queue_select];
}

static uint32_t
read_vector (VirtioPci *pci, unsigned offset)
{
  const uint16_t *vector = find_vector (pci, offset);

  return vector ? *vector : VIRTIO_MSI_NO_VECTOR;
}

/* 4.1.5.1.2: a vector that cannot be had reads back as none. */
static void
write_vector (VirtioPci *pci, unsigned offset, uint32_t value)
{
  uint16_t *vector = find_vector (pci, offset);

  if (!vector)
    return;
  *vector = value < pci_device_get_msix_vectors (pci->pci) ? value : VIRTIO_MSI_NO_VECTOR;
  if (offset == VIRTIO_PCI_COMMON_Q_MSIX)
    virtio_device_change_queue_irqfd (pci->device, pci->queue_select);
}

static uint32_t
read_queue (VirtioPci *pci, unsigned offset)
{
  VirtioQueueConfig queue;

  /* 4.1.4.3.2: size 0 says that there is no such queue. */
  if (!virtio_device_get_queue_config (pci->device, pci->queue_select, &queue))
    return 0;
  switch (offset)
    {
    case VIRTIO_PCI_COMMON_Q_SIZE:
      return queue.size;
    case VIRTIO_PCI_COMMON_Q_ENABLE:
      return queue.enabled;
    case VIRTIO_PCI_COMMON_Q_NOFF:
      return pci->queue_select;
    case VIRTIO_PCI_COMMON_Q_DESCLO:
      return queue.descriptors;
    case VIRTIO_PCI_COMMON_Q_DESCHI:
      return queue.descriptors >> 32;
    case VIRTIO_PCI_COMMON_Q_AVAILLO:
      return queue.available;
    case VIRTIO_PCI_COMMON_Q_AVAILHI:
      return queue.available >> 32;
    case VIRTIO_PCI_COMMON_Q_USEDLO:
      return queue.used;
    case VIRTIO_PCI_COMMON_Q_USEDHI:
      return queue.used >> 32;
    default:
      g_return_val_if_reached (0);
    }
}

static void
set_low (uint64_t *address, uint32_t value)
{
  *address = (*address & ~UINT64_C (0xffffffff)) | value;
}

static void
set_high (uint64_t *address, uint32_t value)
{
  *address = (*address & UINT64_C (0xffffffff)) | (uint64_t) value << 32;
}

static void
write_queue (VirtioPci *pci, unsigned offset, uint32_t value)
{
  VirtioQueueConfig queue;

  if (!virtio_device_get_queue_config (pci->device, pci->queue_select, &queue))
    return;
  switch (offset)
    {
    case VIRTIO_PCI_COMMON_Q_SIZE:
      queue.size = value;
      break;
    case VIRTIO_PCI_COMMON_Q_ENABLE:
      queue.enabled |= value == 1; /* 4.1.4.3.2: the driver never writes 0 */
      break;
    case VIRTIO_PCI_COMMON_Q_DESCLO:
      set_low (&queue.descriptors, value);
      break;
    case VIRTIO_PCI_COMMON_Q_DESCHI:
      set_high (&queue.descriptors, value);
      break;
    case VIRTIO_PCI_COMMON_Q_AVAILLO:
      set_low (&queue.available, value);
      break;
    case VIRTIO_PCI_COMMON_Q_AVAILHI:
      set_high (&queue.available, value);
      break;
    case VIRTIO_PCI_COMMON_Q_USEDLO:
      set_low (&queue.used, value);
      break;
    case VIRTIO_PCI_COMMON_Q_USEDHI:
      set_high (&queue.used, value);
      break;
    default:
      g_return_if_reached ();
    }
  virtio_device_set_queue_config (pci->device, pci->queue_select, &queue);
}

static const CommonRegister common_registers[] = {
  { VIRTIO_PCI_COMMON_DFSELECT, 4, read_selects, write_selects },
  { VIRTIO_PCI_COMMON_DF, 4, read_device_features, NULL },
  { VIRTIO_PCI_COMMON_GFSELECT, 4, read_selects, write_selects },
  { VIRTIO_PCI_COMMON_GF, 4, read_driver_features, write_driver_features },
  { VIRTIO_PCI_COMMON_MSIX, 2, read_vector, write_vector },
  { VIRTIO_PCI_COMMON_NUMQ, 2, read_num_queues, NULL },
  { VIRTIO_PCI_COMMON_STATUS, 1, read_status, write_status },
  { VIRTIO_PCI_COMMON_CFGGENERATION, 1, read_generation, NULL },
  { VIRTIO_PCI_COMMON_Q_SELECT, 2, read_selects, write_selects },
  { VIRTIO_PCI_COMMON_Q_SIZE, 2, read_queue, write_queue },
  { VIRTIO_PCI_COMMON_Q_MSIX, 2, read_vector, write_vector },
  { VIRTIO_PCI_COMMON_Q_ENABLE, 2, read_queue, write_queue },
  { VIRTIO_PCI_COMMON_Q_NOFF, 2, read_queue, NULL },
  { VIRTIO_PCI_COMMON_Q_DESCLO, 4, read_queue, write_queue },
  { VIRTIO_PCI_COMMON_Q_DESCHI, 4, read_queue, write_queue },
  { VIRTIO_PCI_COMMON_Q_AVAILLO, 4, read_queue, write_queue },
  { VIRTIO_PCI_COMMON_Q_AVAILHI, 4, read_queue, write_queue },
  { VIRTIO_PCI_COMMON_Q_USEDLO, 4, read_queue, write_queue },
  { VIRTIO_PCI_COMMON_Q_USEDHI, 4, read_queue, write_queue },
};
static_assert (G_N_ELEMENTS (common_registers) == 19, "one entry a register of 4.1.4.3");
#define COMMON_SIZE (VIRTIO_PCI_COMMON_Q_USEDHI + 4)

static uint64_t
read_common (VirtioPci *pci, unsigned offset, unsigned size)
{
  uint64_t value = 0;

  for (unsigned i = 0; i < G_N_ELEMENTS (common_registers); i++)
    {
      const CommonRegister *reg = &common_registers[i];

      if (reg->offset >= offset + size || reg->offset + reg->size <= offset)
        continue;
      const uint64_t field = reg->read (pci, reg->offset);
      value |= reg->offset >= offset ? field << (8 * (reg->offset - offset))
                                     : field >> (8 * (offset - reg->offset));
    }
  return value;
}

static void
write_common (VirtioPci *pci, unsigned offset, unsigned size, uint64_t value)
{
  if (size == 8 && offset % 8 == 0 && offset >= VIRTIO_PCI_COMMON_Q_DESCLO)
    {
      write_common (pci, offset, 4, (uint32_t) value);
      write_common (pci, offset + 4, 4, value >> 32);
      return;
    }
  for (unsigned i = 0; i < G_N_ELEMENTS (common_registers); i++)
    {
      const CommonRegister *reg = &common_registers[i];

      if (reg->offset != offset || reg->size != size)
        continue;
      if (reg->write)
        reg->write (pci, offset, value);
      return;
    }
  guest_log (&pci->log, "write of %u bytes to the common region at 0x%x", size, offset);
}

static uint64_t
read_isr (VirtioPci *pci, unsigned offset)
{
  if (offset != 0)
    return 0;
  const uint8_t isr = pci->isr;
  /* 4.1.4.5: reading clears it and lowers the line. */
  pci->isr = 0;
  pci_device_set_intx (pci->pci, false);
  return isr;
}

static uint64_t
read_device_config (VirtioPci *pci, unsigned offset, unsigned size)
{
  uint64_t value = 0;

  virtio_device_read_config (pci->device, offset, &value, size);
  return GUINT64_FROM_LE (value);
}

static void
write_device_config (VirtioPci *pci, unsigned offset, unsigned size, uint64_t value)
{
  value = GUINT64_TO_LE (value);
  virtio_device_write_config (pci->device, offset, &value, size);
}

static void
write_notify (VirtioPci *pci, unsigned offset)
{
  static const uint64_t one = 1;
  const int fd = virtio_device_get_queue_eventfd (pci->device, offset / NOTIFY_MULTIPLIER);

  if (fd < 0)
    guest_log (&pci->log, "notification of queue %u, which does not exist",
               offset / NOTIFY_MULTIPLIER);
  else if (write (fd, &one, sizeof one) < 0)
    g_debug ("notify: %s", g_strerror (errno));
}

static bool
is_msix (uint64_t offset)
{
  return offset >= MSIX_OFFSET && offset < MSIX_OFFSET + MSIX_SIZE;
}

/* Accesses cross no region: they are at most 8 bytes, and the bytes behind a region's end read as none. */
static uint64_t
bar_read (void *opaque, uint64_t offset, unsigned size)
{
  VirtioPci *pci = opaque;
  const unsigned within = offset % REGION_SIZE;
  uint64_t value = 0;

  if (is_msix (offset))
    return pci_device_msix_read (pci->pci, offset - MSIX_OFFSET, size);
  virtio_device_lock (pci->device);
  switch (offset - within)
    {
    case COMMON_OFFSET:
      value = read_common (pci, within, size);
      break;
    case ISR_OFFSET:
      value = read_isr (pci, within);
      break;
    case DEVICE_OFFSET:
      value = read_device_config (pci, within, size);
      break;
    default:
      break;
    }
  virtio_device_unlock (pci->device);
  return value;
}

static void
bar_write (void *opaque, uint64_t offset, unsigned size, uint64_t value)
{
  VirtioPci *pci = opaque;
  const unsigned within = offset % REGION_SIZE;

  if (is_msix (offset))
    {
      pci_device_msix_write (pci->pci, offset - MSIX_OFFSET, size, value);
      return;
    }
  if (offset - within == NOTIFY_OFFSET)
    {
      write_notify (pci, within);
      return;
    }
  virtio_device_lock (pci->device);
  if (offset - within == COMMON_OFFSET)
    write_common (pci, within, size, value);
  else if (offset - within == DEVICE_OFFSET)
    write_device_config (pci, within, size, value);
  virtio_device_unlock (pci->device);
}

static const AddressOps bar_ops = { .read = bar_read, .write = bar_write };

/* Transport: what the device tells the driver. */

static void
interrupt (VirtioPci *pci, unsigned which, uint8_t isr)
{
  if (pci_device_msix_is_enabled (pci->pci))
    {
      if (pci->vectors[which] != VIRTIO_MSI_NO_VECTOR)
        pci_device_msix_signal (pci->pci, pci->vectors[which]);
      return;
    }
  pci->isr |= isr;
  pci_device_set_intx (pci->pci, true);
}

static void
interrupt_queue (void *opaque, unsigned index)
{
  interrupt (opaque, 1 + index, 1);
}

static void
interrupt_config (void *opaque)
{
  interrupt (opaque, CONFIG_VECTOR, VIRTIO_PCI_ISR_CONFIG);
}

static void
forget_driver (VirtioPci *pci)
{
  pci_device_remove_doorbells (pci->pci);
  for (unsigned i = 0; i <= virtio_device_get_n_queues (pci->device); i++)
    pci->vectors[i] = VIRTIO_MSI_NO_VECTOR;
  pci->isr = 0;
  pci_device_set_intx (pci->pci, false);
}

static void
set_live (void *opaque, bool live)
{
  VirtioPci *pci = opaque;
  VirtioQueueConfig queue;

  if (!live)
    {
      forget_driver (pci);
      return;
    }
  for (unsigned i = 0; virtio_device_get_queue_config (pci->device, i, &queue); i++)
    if (queue.enabled)
      pci_device_add_doorbell (pci->pci, VIRTIO_PCI_BAR, NOTIFY_OFFSET + i * NOTIFY_MULTIPLIER,
                               virtio_device_get_queue_eventfd (pci->device, i));
}

/* A driver enables MSI-X before it sets the device live, and not while it is. */
static int
get_queue_irqfd (void *opaque, unsigned index)
{
  VirtioPci *pci = opaque;
  const uint16_t vector = pci->vectors[1 + index];

  return pci_device_msix_is_enabled (pci->pci) && vector != VIRTIO_MSI_NO_VECTOR
             ? pci_device_get_msix_eventfd (pci->pci, vector)
             : -1;
}

static const VirtioTransportOps transport_ops = {
  .interrupt_queue = interrupt_queue,
  .interrupt_config = interrupt_config,
  .set_live = set_live,
  .get_queue_irqfd = get_queue_irqfd,
};

/* The PCI configuration access capability (4.1.4.9): the BAR through config space, for who cannot map it. */

typedef struct CfgAccess
{
  uint64_t offset;
  unsigned size;
} CfgAccess;

static bool
get_cfg_access (VirtioPci *pci, CfgAccess *access)
{
  struct virtio_pci_cap cap;

  pci_device_get_config (pci->pci, pci->cfg_access, &cap, sizeof cap);
  access->offset = GUINT32_FROM_LE (cap.offset);
  access->size = GUINT32_FROM_LE (cap.length);
  return cap.bar == VIRTIO_PCI_BAR &&
         (access->size == 1 || access->size == 2 || access->size == 4) &&
         access->offset % access->size == 0 && access->offset < BAR_SIZE;
}

static bool
touches_cfg_data (const VirtioPci *pci, unsigned offset, unsigned size)
{
  const unsigned data = pci->cfg_access + sizeof (struct virtio_pci_cap);

  return offset < data + 4 && offset + size > data;
}

static void
config_read (void *opaque, unsigned offset, unsigned size)
{
  VirtioPci *pci = opaque;
  CfgAccess access;

  if (!touches_cfg_data (pci, offset, size) || !get_cfg_access (pci, &access))
    return;
  const uint32_t value = GUINT32_TO_LE ((uint32_t) bar_read (pci, access.offset, access.size));
  pci_device_set_config (pci->pci, pci->cfg_access + sizeof (struct virtio_pci_cap), &value,
                         access.size);
}

static void
config_written (void *opaque, unsigned offset, unsigned size)
{
  VirtioPci *pci = opaque;
  CfgAccess access;
  uint32_t value = 0;

  if (!touches_cfg_data (pci, offset, size) || !get_cfg_access (pci, &access))
    return;
  pci_device_get_config (pci->pci, pci->cfg_access + sizeof (struct virtio_pci_cap), &value,
                         access.size);
  bar_write (pci, access.offset, access.size, GUINT32_FROM_LE (value));
}

static void
reset (void *opaque)
{
  VirtioPci *pci = opaque;

  virtio_device_lock (pci->device);
  virtio_device_reset (pci->device);
  pci->device_feature_select = pci->driver_feature_select = 0;
  pci->queue_select = 0;
  virtio_device_unlock (pci->device);
}

static const PciDeviceOps pci_ops = {
  .config_read = config_read,
  .config_written = config_written,
  .reset = reset,
};

/* cap_vndr and cap_next are the bus's. tail: what follows struct virtio_pci_cap. */
static unsigned
add_capability (VirtioPci *pci, uint8_t type, uint32_t offset, uint32_t length,
                const uint32_t *tail)
{
  struct
  {
    struct virtio_pci_cap cap;
    uint32_t tail;
  } whole = {
    .cap = {
      .cap_len = sizeof (struct virtio_pci_cap) + (tail ? sizeof *tail : 0),
      .cfg_type = type,
      .bar = type == VIRTIO_PCI_CAP_PCI_CFG ? 0 : VIRTIO_PCI_BAR,
      .offset = GUINT32_TO_LE (offset),
      .length = GUINT32_TO_LE (length),
    },
    .tail = tail ? GUINT32_TO_LE (*tail) : 0,
  };

  return pci_device_add_capability (pci->pci, PCI_CAP_ID_VNDR, &whole.cap.cap_len,
                                    whole.cap.cap_len - 2);
}

static void
add_capabilities (VirtioPci *pci)
{
  static const uint32_t multiplier = NOTIFY_MULTIPLIER;
  static const uint32_t no_data = 0;
  static const struct
  {
    struct virtio_pci_cap cap;
    uint32_t data;
  } writable = {
    .cap = { .bar = 0xff, .offset = UINT32_MAX, .length = UINT32_MAX },
    .data = UINT32_MAX,
  };
  const uint32_t config_size = virtio_device_get_config_size (pci->device);
  const uint32_t notify_size = virtio_device_get_n_queues (pci->device) * NOTIFY_MULTIPLIER;

  add_capability (pci, VIRTIO_PCI_CAP_COMMON_CFG, COMMON_OFFSET, COMMON_SIZE, NULL);
  add_capability (pci, VIRTIO_PCI_CAP_ISR_CFG, ISR_OFFSET, 1, NULL);
  if (config_size > 0)
    add_capability (pci, VIRTIO_PCI_CAP_DEVICE_CFG, DEVICE_OFFSET, config_size, NULL);
  add_capability (pci, VIRTIO_PCI_CAP_NOTIFY_CFG, NOTIFY_OFFSET, notify_size, &multiplier);
  pci->cfg_access = add_capability (pci, VIRTIO_PCI_CAP_PCI_CFG, 0, 0, &no_data);
  pci_device_set_writable (pci->pci, pci->cfg_access, &writable, sizeof writable);
}

static bool
has_eventfds (VirtioDevice *device)
{
  for (unsigned i = 0; i < virtio_device_get_n_queues (device); i++)
    if (virtio_device_get_queue_eventfd (device, i) < 0)
      return false;
  return true;
}

static PciDevice *
new_pci_device (VirtioPci *pci, const VirtioDeviceType *type)
{
  const PciIdentity identity = {
    .vendor = VENDOR_RED_HAT,
    .device = DEVICE_BASE + type->id,
    .subsystem_vendor = VENDOR_RED_HAT,
    .subsystem_device = SUBSYSTEM,
    .revision = MODERN_REVISION,
    .class_code = type->pci_class,
  };

  return pci_device_new (type->name, &identity, &pci_ops, pci);
}

VirtioPci *
virtio_pci_new (VirtioDevice *device, GError **error)
{
  static const uint8_t pin_a = 1;
  const VirtioDeviceType *type = virtio_device_get_type (device);
  const unsigned n_vectors = virtio_device_get_n_queues (device) + 1;

  g_return_val_if_fail (virtio_device_get_config_size (device) <= REGION_SIZE, NULL);
  if (!has_eventfds (device))
    {
      g_set_error (error, G_FILE_ERROR, G_FILE_ERROR_MFILE,
                   "%s: no more file descriptors for queues; raise the limit (ulimit -n)",
                   type->name);
      return NULL;
    }
  g_autoptr (VirtioPci) pci = g_new0 (VirtioPci, 1);
  pci->device = device;
  pci->pci = new_pci_device (pci, type);
  pci->vectors = g_new (uint16_t, n_vectors);
  memset (pci->vectors, 0xff, n_vectors * sizeof *pci->vectors);
  guest_log_init (&pci->log, type->name);
  pci_device_set_config (pci->pci, PCI_INTERRUPT_PIN, &pin_a, 1);
  pci_device_add_bar (pci->pci, VIRTIO_PCI_BAR, PCI_BAR_64, BAR_SIZE, &bar_ops, pci);
  add_capabilities (pci);
  if (!pci_device_add_msix (pci->pci, VIRTIO_PCI_BAR, MSIX_OFFSET, n_vectors, error))
    return NULL;
  virtio_device_lock (device);
  virtio_device_set_transport (device, &transport_ops, pci);
  virtio_device_unlock (device);
  return g_steal_pointer (&pci);
}

void
virtio_pci_free (VirtioPci *pci)
{
  if (!pci)
    return;
  virtio_device_lock (pci->device);
  virtio_device_set_transport (pci->device, NULL, NULL);
  virtio_device_unlock (pci->device);
  pci_device_free (pci->pci);
  g_free (pci->vectors);
  g_free (pci);
}

PciDevice *
virtio_pci_get_pci_device (VirtioPci *pci)
{
  return pci->pci;
}
