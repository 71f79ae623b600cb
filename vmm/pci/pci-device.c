#define G_LOG_DOMAIN "vmm-pci"

#include "pci/pci-device-private.h"

#include <string.h>
#include <linux/pci_regs.h>

/* Theory of operation
 *
 * config holds what the guest reads; writable says bit by bit what it may change. BARs and the MSI-X control register have no
 * state of their own: after each write the mappings are made to agree with config. A BAR that is switched off, is at address 0, is
 * being sized (all ones) or wraps is not mapped at all.
 */
#define COMMAND_WRITABLE                                                                           \
  (PCI_COMMAND_IO | PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER | PCI_COMMAND_PARITY |                 \
   PCI_COMMAND_SERR | PCI_COMMAND_INTX_DISABLE)
#define CAPABILITIES_START 0x40
#define ADDRESS_LIMIT      (UINT64_C (1) << 52)
#define PORT_LIMIT         UINT64_C (0x10000)

typedef struct PciDoorbell
{
  unsigned bar;
  uint64_t offset;
  int eventfd;
  uint64_t attached; /* guest-physical address; 0: not attached */
} PciDoorbell;

static void
set_u16 (uint8_t *config, unsigned offset, uint16_t value)
{
  config[offset] = value;
  config[offset + 1] = value >> 8;
}

static void
set_u32 (uint8_t *config, unsigned offset, uint32_t value)
{
  set_u16 (config, offset, value);
  set_u16 (config, offset + 2, value >> 16);
}

static uint32_t
get_u32 (const uint8_t *config, unsigned offset)
{
  return config[offset] | config[offset + 1] << 8 | config[offset + 2] << 16 |
         (uint32_t) config[offset + 3] << 24;
}

PciDevice *
pci_device_new (const char *name, const PciIdentity *identity, const PciDeviceOps *ops,
                void *opaque)
{
  static const PciDeviceOps no_ops = { 0 };
  PciDevice *device = g_new0 (PciDevice, 1);

  device->name = name;
  device->ops = ops ? ops : &no_ops;
  device->opaque = opaque;
  guest_log_init (&device->log, name);
  g_mutex_init (&device->map_lock);
  device->doorbells = g_array_new (FALSE, FALSE, sizeof (PciDoorbell));
  device->capabilities_end = CAPABILITIES_START;
  set_u16 (device->config, PCI_VENDOR_ID, identity->vendor);
  set_u16 (device->config, PCI_DEVICE_ID, identity->device);
  set_u32 (device->config, PCI_CLASS_REVISION, identity->class_code << 8 | identity->revision);
  set_u16 (device->config, PCI_SUBSYSTEM_VENDOR_ID, identity->subsystem_vendor);
  set_u16 (device->config, PCI_SUBSYSTEM_ID, identity->subsystem_device);
  set_u16 (device->writable, PCI_COMMAND, COMMAND_WRITABLE);
  device->writable[PCI_CACHE_LINE_SIZE] = 0xff;
  device->writable[PCI_INTERRUPT_LINE] = 0xff;
  return device;
}

void
pci_device_free (PciDevice *device)
{
  if (!device)
    return;
  if (device->bus)
    pci_bus_remove (device->bus, device);
  pci_msix_free (device->msix);
  g_array_unref (device->doorbells);
  g_mutex_clear (&device->map_lock);
  g_free (device);
}

const char *
pci_device_get_name (const PciDevice *device)
{
  return device->name;
}

unsigned
pci_device_get_devfn (const PciDevice *device)
{
  return device->devfn;
}

unsigned
pci_device_add_capability (PciDevice *device, uint8_t id, const void *body, unsigned size)
{
  const unsigned offset = device->capabilities_end;

  g_return_val_if_fail (!device->bus && offset + 2 + size <= PCI_CONFIG_SIZE, 0);
  device->config[PCI_STATUS] |= PCI_STATUS_CAP_LIST;
  device->config[device->last_capability ? device->last_capability + 1 : PCI_CAPABILITY_LIST] =
      offset;
  device->config[offset] = id;
  memcpy (device->config + offset + 2, body, size);
  device->last_capability = offset;
  device->capabilities_end = (offset + 2 + size + 3) & ~3u;
  return offset;
}

void
pci_device_set_config (PciDevice *device, unsigned offset, const void *bytes, unsigned size)
{
  g_return_if_fail (offset + size <= PCI_CONFIG_SIZE);
  memcpy (device->config + offset, bytes, size);
}

void
pci_device_get_config (const PciDevice *device, unsigned offset, void *bytes, unsigned size)
{
  g_return_if_fail (offset + size <= PCI_CONFIG_SIZE);
  memcpy (bytes, device->config + offset, size);
}

void
pci_device_set_writable (PciDevice *device, unsigned offset, const void *mask, unsigned size)
{
  g_return_if_fail (offset + size <= PCI_CONFIG_SIZE);
  memcpy (device->writable + offset, mask, size);
}

static void
add_bar (PciDevice *device, unsigned index, const PciBar *bar)
{
  const bool wide = (bar->flags & PCI_BAR_64) != 0;
  const uint64_t mask = ~(bar->size - 1);
  const unsigned offset = PCI_BASE_ADDRESS_0 + 4 * index;
  uint32_t type = 0;

  g_return_if_fail (!device->bus && index + wide < PCI_BARS && !device->bars[index].present);
  g_return_if_fail ((bar->size & (bar->size - 1)) == 0 && bar->size >= 4);
  if (bar->flags & PCI_BAR_IO)
    type = PCI_BASE_ADDRESS_SPACE_IO;
  else if (wide)
    type |= PCI_BASE_ADDRESS_MEM_TYPE_64;
  if (bar->flags & PCI_BAR_PREFETCHABLE)
    type |= PCI_BASE_ADDRESS_MEM_PREFETCH;
  set_u32 (device->config, offset, type);
  set_u32 (device->writable, offset, mask & (bar->flags & PCI_BAR_IO ? ~3u : ~15u));
  if (wide)
    set_u32 (device->writable, offset + 4, mask >> 32);
  device->bars[index] = *bar;
  device->bars[index].present = true;
  device->bars[index].slot = -1;
}

void
pci_device_add_bar (PciDevice *device, unsigned index, PciBarFlags flags, uint64_t size,
                    const AddressOps *ops, void *opaque)
{
  add_bar (device, index, &(PciBar){ .flags = flags, .size = size, .ops = ops, .opaque = opaque });
}

/* For machines without memory slots: the BAR's memory by exits. */
static uint64_t
memory_read (void *opaque, uint64_t offset, unsigned size)
{
  const PciBar *bar = opaque;
  uint64_t value = 0;

  memcpy (&value, (const uint8_t *) bar->memory + offset, size);
  return GUINT64_FROM_LE (value);
}

static void
memory_write (void *opaque, uint64_t offset, unsigned size, uint64_t value)
{
  const PciBar *bar = opaque;

  value = GUINT64_TO_LE (value);
  memcpy ((uint8_t *) bar->memory + offset, &value, size);
}

static const AddressOps memory_ops = { .read = memory_read, .write = memory_write };

void
pci_device_add_ram_bar (PciDevice *device, unsigned index, PciBarFlags flags, void *host,
                        uint64_t size, bool log_dirty)
{
  g_return_if_fail (size >= 4096 && !(flags & PCI_BAR_IO));
  add_bar (device, index,
           &(PciBar){ .flags = flags,
                      .size = size,
                      .ops = &memory_ops,
                      .opaque = &device->bars[index],
                      .memory = host,
                      .log_dirty = log_dirty });
}

bool
pci_device_get_ram_bar_dirty (PciDevice *device, unsigned index, uint64_t *bitmap)
{
  bool ok = false;

  g_return_val_if_fail (index < PCI_BARS, false);
  g_mutex_lock (&device->map_lock);
  if (device->bars[index].present && device->bars[index].slot >= 0)
    {
      const MemorySlots *slots = &pci_bus_get_host (device->bus)->slots;
      ok = slots->ops->get_dirty (slots->opaque, device->bars[index].slot, bitmap);
    }
  g_mutex_unlock (&device->map_lock);
  return ok;
}

/* map_lock held. */
static void
attach_doorbell (PciDevice *device, PciDoorbell *bell)
{
  const Doorbell *door = &pci_bus_get_host (device->bus)->doorbell;
  const PciBar *bar = &device->bars[bell->bar];
  g_autoptr (GError) error = NULL;

  if (!door->ops || bar->address == 0 || bell->attached)
    return;
  if (door->ops->attach (door->opaque, bar->address + bell->offset, bell->eventfd, &error))
    bell->attached = bar->address + bell->offset;
  else
    g_debug ("%s: no doorbell: %s", device->name, error ? error->message : "refused");
}

/* map_lock held. */
static void
detach_doorbell (PciDevice *device, PciDoorbell *bell)
{
  if (!bell->attached)
    return;
  const Doorbell *door = &pci_bus_get_host (device->bus)->doorbell;
  door->ops->detach (door->opaque, bell->attached, bell->eventfd);
  bell->attached = 0;
}

static PciDoorbell *
get_doorbell (PciDevice *device, unsigned i)
{
  return &g_array_index (device->doorbells, PciDoorbell, i);
}

void
pci_device_add_doorbell (PciDevice *device, unsigned bar, uint64_t offset, int eventfd)
{
  g_return_if_fail (bar < PCI_BARS && device->bars[bar].present);
  PciDoorbell bell = { .bar = bar, .offset = offset, .eventfd = eventfd };

  g_mutex_lock (&device->map_lock);
  if (device->bus)
    attach_doorbell (device, &bell);
  g_array_append_val (device->doorbells, bell);
  g_mutex_unlock (&device->map_lock);
}

void
pci_device_remove_doorbells (PciDevice *device)
{
  g_mutex_lock (&device->map_lock);
  for (unsigned i = 0; i < device->doorbells->len; i++)
    detach_doorbell (device, get_doorbell (device, i));
  g_array_set_size (device->doorbells, 0);
  g_mutex_unlock (&device->map_lock);
}

/* map_lock held. */
static void
unmap_bar (PciDevice *device, PciBar *bar)
{
  const PciHost *host = pci_bus_get_host (device->bus);
  const unsigned index = bar - device->bars;

  for (unsigned i = 0; i < device->doorbells->len; i++)
    if (get_doorbell (device, i)->bar == index)
      detach_doorbell (device, get_doorbell (device, i));
  if (bar->range)
    address_space_remove (bar->flags & PCI_BAR_IO ? host->ports : host->mmio, bar->range);
  if (bar->slot >= 0)
    host->slots.ops->unmap (host->slots.opaque, bar->slot);
  bar->range = NULL;
  bar->slot = -1;
  bar->address = 0;
}

/* map_lock held. */
static void
map_bar (PciDevice *device, PciBar *bar, uint64_t address)
{
  const PciHost *host = pci_bus_get_host (device->bus);
  const unsigned index = bar - device->bars;
  g_autoptr (GError) error = NULL;

  if (bar->memory && host->slots.ops)
    {
      bar->slot = host->slots.ops->map (host->slots.opaque, address, bar->memory, bar->size, false,
                                        bar->log_dirty, &error);
      if (bar->slot < 0)
        {
          guest_log (&device->log, "BAR %u at 0x%" G_GINT64_MODIFIER "x: %s", index, address,
                     error ? error->message : "refused");
          return;
        }
    }
  else
    bar->range = address_space_add (bar->flags & PCI_BAR_IO ? host->ports : host->mmio,
                                    device->name, address, bar->size, bar->ops, bar->opaque);
  bar->address = address;
  for (unsigned i = 0; i < device->doorbells->len; i++)
    if (get_doorbell (device, i)->bar == index)
      attach_doorbell (device, get_doorbell (device, i));
}

/* Where config space wants a BAR; 0: nowhere. */
static uint64_t
wanted_address (const PciDevice *device, unsigned index)
{
  const PciBar *bar = &device->bars[index];
  const bool io = (bar->flags & PCI_BAR_IO) != 0;
  const unsigned offset = PCI_BASE_ADDRESS_0 + 4 * index;
  uint64_t address = get_u32 (device->config, offset) & (io ? ~3u : ~15u);

  if (!(device->config[PCI_COMMAND] & (io ? PCI_COMMAND_IO : PCI_COMMAND_MEMORY)))
    return 0;
  if (bar->flags & PCI_BAR_64)
    address |= (uint64_t) get_u32 (device->config, offset + 4) << 32;
  const uint64_t last = address + bar->size - 1;
  if (last < address || last >= (io ? PORT_LIMIT : ADDRESS_LIMIT))
    return 0;
  /* The top of 4 GiB: all ones were written to learn the size. */
  return last == UINT32_MAX ? 0 : address;
}

void
pci_device_update_bars (PciDevice *device)
{
  if (!device->bus)
    return;
  g_mutex_lock (&device->map_lock);
  /* First all that go, then all that come: BARs may swap places. */
  for (unsigned i = 0; i < PCI_BARS; i++)
    if (device->bars[i].present && device->bars[i].address != 0 &&
        device->bars[i].address != wanted_address (device, i))
      unmap_bar (device, &device->bars[i]);
  for (unsigned i = 0; i < PCI_BARS; i++)
    {
      uint64_t address = device->bars[i].present ? wanted_address (device, i) : 0;

      if (address != 0 && address != device->bars[i].address)
        map_bar (device, &device->bars[i], address);
    }
  g_mutex_unlock (&device->map_lock);
}

void
pci_device_unmap_bars (PciDevice *device)
{
  g_mutex_lock (&device->map_lock);
  for (unsigned i = 0; i < PCI_BARS; i++)
    if (device->bars[i].address != 0)
      unmap_bar (device, &device->bars[i]);
  g_mutex_unlock (&device->map_lock);
}

uint64_t
pci_device_get_bar_address (const PciDevice *device, unsigned index)
{
  g_return_val_if_fail (index < PCI_BARS, 0);
  GMutex *lock = (GMutex *) &device->map_lock;
  g_mutex_lock (lock);
  uint64_t address = device->bars[index].address;
  g_mutex_unlock (lock);
  return address;
}

static bool
touches (unsigned offset, unsigned size, unsigned start, unsigned end)
{
  return offset < end && offset + size > start;
}

void
pci_device_config_read (PciDevice *device, unsigned offset, uint8_t *bytes, unsigned size)
{
  if (device->ops->config_read)
    device->ops->config_read (device->opaque, offset, size);
  memcpy (bytes, device->config + offset, size);
  if (touches (offset, size, PCI_STATUS, PCI_STATUS + 1) && pci_bus_get_intx_wanted (device))
    bytes[PCI_STATUS - offset] |= PCI_STATUS_INTERRUPT;
}

/* Makes the rest of the function follow config bytes that changed. */
static void
follow_config (PciDevice *device, unsigned offset, unsigned size)
{
  if (touches (offset, size, PCI_COMMAND, PCI_COMMAND + 2))
    pci_bus_set_intx_disabled (device,
                               device->config[PCI_COMMAND + 1] & PCI_COMMAND_INTX_DISABLE >> 8);
  if (touches (offset, size, PCI_COMMAND, PCI_COMMAND + 2) ||
      touches (offset, size, PCI_BASE_ADDRESS_0, PCI_BASE_ADDRESS_5 + 4))
    pci_device_update_bars (device);
  if (device->msix)
    {
      const unsigned control = pci_msix_get_control_offset (device->msix);

      if (touches (offset, size, control, control + 2))
        pci_msix_set_control (device->msix,
                              device->config[control] | device->config[control + 1] << 8);
    }
  if (device->ops->config_written)
    device->ops->config_written (device->opaque, offset, size);
}

void
pci_device_config_write (PciDevice *device, unsigned offset, const uint8_t *bytes, unsigned size)
{
  bool any = false;

  for (unsigned i = 0; i < size; i++)
    {
      const uint8_t mask = device->writable[offset + i];
      uint8_t *byte = &device->config[offset + i];

      any |= mask != 0;
      *byte = (*byte & ~mask) | (bytes[i] & mask);
    }
  if (any)
    follow_config (device, offset, size);
}

void
pci_device_reset (PciDevice *device)
{
  memcpy (device->config, device->first_config, sizeof device->config);
  pci_device_update_bars (device);
  if (device->msix)
    pci_msix_reset (device->msix);
  pci_bus_set_intx_wanted (device, false);
  pci_bus_set_intx_disabled (device, false);
  if (device->ops->reset)
    device->ops->reset (device->opaque);
}

void
pci_device_set_intx (PciDevice *device, bool level)
{
  pci_bus_set_intx_wanted (device, level);
}
