#define G_LOG_DOMAIN "vmm-pci"

#include "pci/pci-host-bridge.h"

/* Intel 3 Series Express Chipset datasheet (316966), 5.1.16 */
#define PCIEXBAR               0x60
#define PCIEXBAR_ENABLE        0x1
#define PCIEXBAR_LENGTH(value) (((value) >> 1) & 3) /* 0: 256, 1: 128, 2: 64 MiB */
#define PCIEXBAR_LIMIT         (UINT64_C (1) << 36)

struct PciHostBridge
{
  PciBus *bus; /* borrowed */
  PciDevice *device;
};

static uint64_t
read_pciexbar (const PciHostBridge *bridge)
{
  uint64_t value;

  pci_device_get_config (bridge->device, PCIEXBAR, &value, sizeof value);
  return GUINT64_FROM_LE (value);
}

static void
place_ecam (PciHostBridge *bridge)
{
  const uint64_t value = read_pciexbar (bridge);
  const unsigned length = PCIEXBAR_LENGTH (value);
  const uint64_t size = PCI_ECAM_SIZE >> length;

  if ((value & PCIEXBAR_ENABLE) && length != 3)
    pci_bus_set_ecam (bridge->bus, value & (PCIEXBAR_LIMIT - 1) & ~(size - 1), size);
  else
    pci_bus_set_ecam (bridge->bus, 0, 0);
}

static void
config_written (void *opaque, unsigned offset, unsigned size)
{
  if (offset < PCIEXBAR + 8 && offset + size > PCIEXBAR)
    place_ecam (opaque);
}

static void
reset (void *opaque)
{
  place_ecam (opaque);
}

static const PciDeviceOps ops = {
  .config_written = config_written,
  .reset = reset,
};

PciHostBridge *
pci_host_bridge_new (PciBus *bus, uint64_t ecam_base, GError **error)
{
  static const PciIdentity identity = {
    .vendor = 0x8086,
    .device = 0x29c0,
    .subsystem_vendor = 0x1af4,
    .subsystem_device = 0x1100,
    .class_code = 0x060000,
  };
  const uint64_t value = GUINT64_TO_LE (ecam_base ? ecam_base | PCIEXBAR_ENABLE : 0);
  const uint64_t writable = GUINT64_TO_LE ((PCIEXBAR_LIMIT - 1) & ~UINT64_C (0x3fffff8));

  g_return_val_if_fail (ecam_base % PCI_ECAM_SIZE == 0 && ecam_base < PCIEXBAR_LIMIT, NULL);
  g_autoptr (PciHostBridge) bridge = g_new0 (PciHostBridge, 1);
  bridge->bus = bus;
  bridge->device = pci_device_new ("host-bridge", &identity, &ops, bridge);
  pci_device_set_config (bridge->device, PCIEXBAR, &value, sizeof value);
  pci_device_set_writable (bridge->device, PCIEXBAR, &writable, sizeof writable);
  if (!pci_bus_add (bus, bridge->device, 0, 0, error))
    return NULL;
  place_ecam (bridge);
  return g_steal_pointer (&bridge);
}

void
pci_host_bridge_free (PciHostBridge *bridge)
{
  if (!bridge)
    return;
  pci_device_free (bridge->device);
  g_free (bridge);
}
