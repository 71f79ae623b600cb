#define G_LOG_DOMAIN "vmm-pci"

#include "pci/pci-device-private.h"

#include <string.h>

/* Theory of operation
 *
 * One table of functions by devfn. Config accesses of any width and alignment, from either door, are cut into naturally aligned
 * pieces of at most four bytes and done under one lock. Wired interrupts are shared: a line is high while any function holds it.
 */
#define DEVFNS             (PCI_SLOTS * PCI_FUNCTIONS)
#define CONFIG_ENABLE      (UINT32_C (1) << 31)
#define PORT_ADDRESS       0 /* offsets from PCI_PORTS_BASE */
#define PORT_RESET         1
#define PORT_DATA          4
#define RESET_SYSTEM       0x02
#define RESET_CPU          0x04
#define RESET_FULL         0x08
#define ECAM_FUNCTION_SIZE 4096
#define ECAM_BUS_SIZE      (UINT64_C (1) << 20)

struct PciBus
{
  PciHost host;
  AddressRange *ports_range;
  uint64_t ecam_base; /* 0: none; guarded by ecam_lock, as the next */
  AddressRange *ecam_range;
  GMutex ecam_lock;

  GMutex config_lock; /* guards what follows and every function's config space */
  PciDevice *devices[DEVFNS];
  uint32_t config_address;
  uint8_t reset_control;

  GMutex intx_lock;
  unsigned intx_holders[4]; /* functions that hold host.intx_gsi[i] high */
};

const PciHost *
pci_bus_get_host (const PciBus *bus)
{
  return &bus->host;
}

void
pci_bus_lock (PciBus *bus)
{
  g_mutex_lock (&bus->config_lock);
}

void
pci_bus_unlock (PciBus *bus)
{
  g_mutex_unlock (&bus->config_lock);
}

PciDevice *
pci_bus_get_device (PciBus *bus, unsigned devfn)
{
  return devfn < DEVFNS ? bus->devices[devfn] : NULL;
}

/* The largest naturally aligned piece at offset, of at most left bytes. */
static unsigned
piece_size (unsigned offset, unsigned left)
{
  if (offset % 4 == 0 && left >= 4)
    return 4;
  return offset % 2 == 0 && left >= 2 ? 2 : 1;
}

uint64_t
pci_bus_config_read (PciBus *bus, unsigned devfn, unsigned offset, unsigned size)
{
  uint8_t bytes[8] = { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff };
  uint64_t value = 0;

  pci_bus_lock (bus);
  PciDevice *device = pci_bus_get_device (bus, devfn);
  for (unsigned done = 0, piece; device && done < size; done += piece)
    {
      piece = piece_size (offset + done, size - done);
      if (offset + done + piece > PCI_CONFIG_SIZE)
        break;
      pci_device_config_read (device, offset + done, bytes + done, piece);
    }
  pci_bus_unlock (bus);
  for (unsigned i = 0; i < 8; i++)
    value |= (uint64_t) bytes[i] << (8 * i);
  return value;
}

void
pci_bus_config_write (PciBus *bus, unsigned devfn, unsigned offset, unsigned size, uint64_t value)
{
  uint8_t bytes[8];

  for (unsigned i = 0; i < 8; i++)
    bytes[i] = value >> (8 * i);
  pci_bus_lock (bus);
  PciDevice *device = pci_bus_get_device (bus, devfn);
  for (unsigned done = 0, piece; device && done < size; done += piece)
    {
      piece = piece_size (offset + done, size - done);
      if (offset + done + piece > PCI_CONFIG_SIZE)
        break;
      pci_device_config_write (device, offset + done, bytes + done, piece);
    }
  pci_bus_unlock (bus);
}

static uint64_t
ecam_read (void *opaque, uint64_t offset, unsigned size)
{
  if (offset >= ECAM_BUS_SIZE)
    return UINT64_MAX;
  return pci_bus_config_read (opaque, offset / ECAM_FUNCTION_SIZE, offset % ECAM_FUNCTION_SIZE,
                              size);
}

static void
ecam_write (void *opaque, uint64_t offset, unsigned size, uint64_t value)
{
  if (offset < ECAM_BUS_SIZE)
    pci_bus_config_write (opaque, offset / ECAM_FUNCTION_SIZE, offset % ECAM_FUNCTION_SIZE, size,
                          value);
}

static const AddressOps ecam_ops = { .read = ecam_read, .write = ecam_write };

/* Config mechanism 1 (PCI Local Bus 3.0, 3.2.2.3.2): bus 23:16, function 15:8, register 7:2. False: nothing there. */
static bool
decode_config_address (PciBus *bus, unsigned port, unsigned *devfn, unsigned *offset)
{
  const uint32_t address = __atomic_load_n (&bus->config_address, __ATOMIC_RELAXED);

  *devfn = address >> 8 & 0xff;
  *offset = (address & 0xfc) + (port - PORT_DATA);
  return (address & CONFIG_ENABLE) && (address >> 16 & 0xff) == 0;
}

static uint64_t
ports_read (void *opaque, uint64_t port, unsigned size)
{
  PciBus *bus = opaque;
  unsigned devfn, offset;

  if (port == PORT_ADDRESS && size == 4)
    return __atomic_load_n (&bus->config_address, __ATOMIC_RELAXED);
  if (port == PORT_RESET && size == 1)
    return __atomic_load_n (&bus->reset_control, __ATOMIC_RELAXED);
  if (port >= PORT_DATA && decode_config_address (bus, port, &devfn, &offset))
    return pci_bus_config_read (bus, devfn, offset, size);
  return UINT64_MAX;
}

static void
write_reset_control (PciBus *bus, uint8_t value)
{
  const uint8_t old = __atomic_exchange_n (
      &bus->reset_control, value & (RESET_SYSTEM | RESET_CPU | RESET_FULL), __ATOMIC_RELAXED);

  if ((value & RESET_CPU) && !(old & RESET_CPU) && bus->host.reset)
    bus->host.reset (bus->host.reset_opaque);
}

static void
ports_write (void *opaque, uint64_t port, unsigned size, uint64_t value)
{
  PciBus *bus = opaque;
  unsigned devfn, offset;

  if (port == PORT_ADDRESS && size == 4)
    __atomic_store_n (&bus->config_address, (uint32_t) value, __ATOMIC_RELAXED);
  else if (port == PORT_RESET && size == 1)
    write_reset_control (bus, value);
  else if (port >= PORT_DATA && decode_config_address (bus, port, &devfn, &offset))
    pci_bus_config_write (bus, devfn, offset, size, value);
}

static const AddressOps ports_ops = { .read = ports_read, .write = ports_write };

PciBus *
pci_bus_new (const PciHost *host)
{
  PciBus *bus = g_new0 (PciBus, 1);

  bus->host = *host;
  g_mutex_init (&bus->config_lock);
  g_mutex_init (&bus->ecam_lock);
  g_mutex_init (&bus->intx_lock);
  bus->ports_range =
      address_space_add (host->ports, "pci-config", PCI_PORTS_BASE, 8, &ports_ops, bus);
  return bus;
}

void
pci_bus_free (PciBus *bus)
{
  if (!bus)
    return;
  for (unsigned i = 0; i < DEVFNS; i++)
    g_warn_if_fail (!bus->devices[i]);
  pci_bus_set_ecam (bus, 0, 0);
  address_space_remove (bus->host.ports, bus->ports_range);
  g_mutex_clear (&bus->config_lock);
  g_mutex_clear (&bus->ecam_lock);
  g_mutex_clear (&bus->intx_lock);
  g_free (bus);
}

void
pci_bus_set_ecam (PciBus *bus, uint64_t base, uint64_t size)
{
  g_return_if_fail (size <= PCI_ECAM_SIZE);
  g_mutex_lock (&bus->ecam_lock);
  if (bus->ecam_range)
    address_space_remove (bus->host.mmio, bus->ecam_range);
  bus->ecam_range = NULL;
  bus->ecam_base = size != 0 ? base : 0;
  if (base != 0 && size != 0)
    bus->ecam_range = address_space_add (bus->host.mmio, "pci-ecam", base, size, &ecam_ops, bus);
  g_mutex_unlock (&bus->ecam_lock);
  g_debug ("ECAM at 0x%" G_GINT64_MODIFIER "x", base);
}

uint64_t
pci_bus_get_ecam (PciBus *bus)
{
  g_mutex_lock (&bus->ecam_lock);
  uint64_t base = bus->ecam_base;
  g_mutex_unlock (&bus->ecam_lock);
  return base;
}

static unsigned
find_free_slot (PciBus *bus)
{
  for (unsigned slot = 1; slot < PCI_SLOTS; slot++)
    if (!bus->devices[slot * PCI_FUNCTIONS])
      return slot;
  return PCI_SLOT_ANY;
}

bool
pci_bus_add (PciBus *bus, PciDevice *device, unsigned slot, unsigned function, GError **error)
{
  g_return_val_if_fail (!device->bus && function < PCI_FUNCTIONS, false);

  if (slot == PCI_SLOT_ANY)
    slot = find_free_slot (bus);
  if (slot >= PCI_SLOTS || bus->devices[slot * PCI_FUNCTIONS + function])
    {
      g_set_error (error, G_FILE_ERROR, G_FILE_ERROR_NOSPC,
                   "%s: there is no free place on the PCI bus", device->name);
      return false;
    }
  if (device->msix && !pci_msix_connect (device->msix, &bus->host.msi, error))
    {
      g_prefix_error (error, "%s: ", device->name);
      return false;
    }
  pci_bus_lock (bus);
  memcpy (device->first_config, device->config, sizeof device->config);
  device->bus = bus;
  device->devfn = slot * PCI_FUNCTIONS + function;
  bus->devices[device->devfn] = device;
  pci_bus_unlock (bus);
  g_debug ("00:%02x.%x is %s", slot, function, device->name);
  return true;
}

void
pci_bus_remove (PciBus *bus, PciDevice *device)
{
  g_return_if_fail (device->bus == bus);
  pci_device_remove_doorbells (device);
  pci_bus_lock (bus);
  pci_device_unmap_bars (device);
  pci_bus_set_intx_wanted (device, false);
  bus->devices[device->devfn] = NULL;
  device->bus = NULL;
  pci_bus_unlock (bus);
  if (device->msix)
    pci_msix_disconnect (device->msix);
}

static unsigned
intx_index (unsigned slot, unsigned pin)
{
  return (slot + pin) % 4;
}

unsigned
pci_bus_get_gsi (const PciBus *bus, unsigned slot, unsigned pin)
{
  return bus->host.intx_gsi[intx_index (slot, pin)];
}

/* intx_lock held. */
static void
apply_intx (PciBus *bus, PciDevice *device)
{
  const unsigned index = intx_index (device->devfn / PCI_FUNCTIONS, 0);
  const bool raise = device->intx_wanted && !device->intx_disabled;
  IrqLine line = bus->host.intx;

  if (raise == device->intx_raised)
    return;
  device->intx_raised = raise;
  line.gsi = bus->host.intx_gsi[index];
  if (raise && bus->intx_holders[index]++ == 0)
    irq_line_set (&line, true);
  else if (!raise && --bus->intx_holders[index] == 0)
    irq_line_set (&line, false);
}

void
pci_bus_set_intx_wanted (PciDevice *device, bool wanted)
{
  PciBus *bus = device->bus;

  if (!bus)
    return;
  g_mutex_lock (&bus->intx_lock);
  device->intx_wanted = wanted;
  apply_intx (bus, device);
  g_mutex_unlock (&bus->intx_lock);
}

void
pci_bus_set_intx_disabled (PciDevice *device, bool disabled)
{
  PciBus *bus = device->bus;

  if (!bus)
    return;
  g_mutex_lock (&bus->intx_lock);
  device->intx_disabled = disabled;
  apply_intx (bus, device);
  g_mutex_unlock (&bus->intx_lock);
}

bool
pci_bus_get_intx_wanted (PciDevice *device)
{
  g_mutex_lock (&device->bus->intx_lock);
  bool wanted = device->intx_wanted;
  g_mutex_unlock (&device->bus->intx_lock);
  return wanted;
}

void
pci_bus_reset (PciBus *bus)
{
  pci_bus_lock (bus);
  for (unsigned i = 0; i < DEVFNS; i++)
    if (bus->devices[i])
      pci_device_reset (bus->devices[i]);
  bus->config_address = 0;
  bus->reset_control = 0;
  pci_bus_unlock (bus);
}
