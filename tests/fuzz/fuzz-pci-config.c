/* What a guest may do to a PCI bus: config space by its ports, by ECAM and directly, the registers and MSI-X table behind the BARs,
 * wherever it puts those. On the bus: the host bridge, a virtio function with all its capabilities, one with BARs of each kind, the ISA
 * bridge and the SATA controller.
 * Input: a row of [operation 1 byte][size 1 byte][address 2 bytes][value 4 bytes]. */
#include "fuzz-target.h"

#include <linux/pci_regs.h>

#include "fake-host.h"
#include "fake-sink.h"
#include "pci/pci-host-bridge.h"
#include "platform/ahci.h"
#include "platform/lpc.h"
#include "virtio/virtio-pci.h"
#include "virtio/virtio-rng.h"

#define MEMORY_SIZE (UINT64_C (1) << 20)
#define ECAM        UINT64_C (0xb0000000)
#define RAM_BAR     0x4000
#define AHCI_BAR    5
#define MSIX_TABLE  0x1000
#define VECTORS     3
#define STEP        8
#define MAX_STEPS   512

typedef struct Machine
{
  FakeHost *fake;
  PciBus *bus;
  PciHostBridge *bridge;
  GuestMemory *memory;
  VirtioRng *rng;
  VirtioPci *virtio;
  PciDevice *plain;
  void *ram;
  FakeSink sink;
  Pm *pm;
  Lpc *lpc;
  Ahci *ahci;
} Machine;

static uint64_t
bar_read (void *opaque, uint64_t offset, unsigned size)
{
  Machine *machine = opaque;

  return offset >= MSIX_TABLE ? pci_device_msix_read (machine->plain, offset - MSIX_TABLE, size)
                              : 0;
}

static void
bar_write (void *opaque, uint64_t offset, unsigned size, uint64_t value)
{
  Machine *machine = opaque;

  if (offset >= MSIX_TABLE)
    pci_device_msix_write (machine->plain, offset - MSIX_TABLE, size, value);
}

static const AddressOps bar_ops = { bar_read, bar_write };
static const PciIdentity identity = { .vendor = 0x1234, .device = 0x5678, .class_code = 0x018000 };
static const PciWindows windows = { .mmio32 = { 0xc0000000, 0x1000000 },
                                    .mmio64 = { UINT64_C (0x800000000), UINT64_C (0x100000000) },
                                    .io = { 0xc000, 0x1000 } };

static PciDevice *
plain_new (Machine *machine)
{
  static const uint8_t pin = 1;
  PciDevice *device = pci_device_new ("plain", &identity, NULL, NULL);

  pci_device_set_config (device, PCI_INTERRUPT_PIN, &pin, 1);
  pci_device_add_bar (device, 0, PCI_BAR_64, 0x4000, &bar_ops, machine);
  pci_device_add_bar (device, 2, PCI_BAR_32, 0x1000, &bar_ops, machine);
  pci_device_add_bar (device, 3, PCI_BAR_IO, 0x20, &bar_ops, machine);
  machine->ram = g_malloc0 (RAM_BAR);
  pci_device_add_ram_bar (device, 4, PCI_BAR_PREFETCHABLE, machine->ram, RAM_BAR, true);
  g_assert_true (pci_device_add_msix (device, 0, MSIX_TABLE, VECTORS, NULL));
  return device;
}

/* Every BAR has a place and is switched on. */
static void
place (Machine *machine)
{
  static const unsigned functions[] = { 1 * PCI_FUNCTIONS, 2 * PCI_FUNCTIONS,
                                        AHCI_SLOT * PCI_FUNCTIONS + AHCI_FUNCTION };

  g_assert_true (pci_bus_assign_resources (machine->bus, &windows, NULL));
  for (unsigned i = 0; i < G_N_ELEMENTS (functions); i++)
    pci_bus_config_write (machine->bus, functions[i], PCI_COMMAND, 2,
                          PCI_COMMAND_IO | PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
}

static void
add_chipset (Machine *machine)
{
  machine->pm = pm_new (machine->fake->ports, fake_sink_get_line (&machine->sink),
                        fake_sink_get (&machine->sink), NULL);
  machine->lpc = lpc_new (machine->bus, machine->pm, NULL);
  g_assert_nonnull (machine->lpc);
  machine->ahci = ahci_new (machine->memory, g_main_context_default ());
  g_assert_true (pci_bus_add (machine->bus, ahci_get_pci_device (machine->ahci), AHCI_SLOT,
                              AHCI_FUNCTION, NULL));
}

static void
machine_init (Machine *machine)
{
  machine->fake = fake_host_new ();
  machine->bus = pci_bus_new (&machine->fake->host);
  machine->bridge = pci_host_bridge_new (machine->bus, ECAM, NULL);
  machine->memory = guest_memory_new (MEMORY_SIZE, MEMORY_SIZE, UINT64_C (1) << 32, NULL);
  machine->rng = virtio_rng_new (machine->memory);
  machine->virtio = virtio_pci_new (virtio_rng_get_device (machine->rng), NULL);
  machine->plain = plain_new (machine);
  g_assert_true (
      pci_bus_add (machine->bus, virtio_pci_get_pci_device (machine->virtio), 1, 0, NULL));
  g_assert_true (pci_bus_add (machine->bus, machine->plain, 2, 0, NULL));
  add_chipset (machine);
  place (machine);
}

static void
machine_clear (Machine *machine)
{
  ahci_free (machine->ahci);
  lpc_free (machine->lpc);
  pm_free (machine->pm);
  virtio_pci_free (machine->virtio);
  pci_device_free (machine->plain);
  virtio_rng_free (machine->rng);
  pci_host_bridge_free (machine->bridge);
  pci_bus_free (machine->bus);
  fake_host_free (machine->fake);
  guest_memory_free (machine->memory);
  g_free (machine->ram);
}

static void
access_memory (AddressSpace *space, uint64_t address, unsigned size, bool write, uint64_t value)
{
  if (write)
    address_space_write (space, address, size, value);
  else
    address_space_read (space, address, size);
}

/* In a BAR, where the guest has put it. */
static void
access_bar (Machine *machine, uint8_t bar, uint16_t offset, unsigned size, bool write,
            uint64_t value)
{
  static const uint8_t bars[] = { 0, 2, 3, 4 };
  PciDevice *device = bar & 8   ? ahci_get_pci_device (machine->ahci)
                      : bar & 4 ? machine->plain
                                : virtio_pci_get_pci_device (machine->virtio);
  unsigned index = bar & 8 ? AHCI_BAR : bar & 4 ? bars[bar & 3] : VIRTIO_PCI_BAR;
  uint64_t base = pci_device_get_bar_address (device, index);
  bool is_io = !(bar & 8) && (bar & 4) && index == 3;

  if (base != 0)
    access_memory (is_io ? machine->fake->ports : machine->fake->mmio, base + offset, size, write,
                   value);
}

static void
step (Machine *machine, const uint8_t *data)
{
  bool write = data[0] & 0x80;
  unsigned size = 1 << (data[1] & 3);
  uint16_t address = data[2] | data[3] << 8;
  uint32_t value = data[4] | data[5] << 8 | data[6] << 16 | (uint32_t) data[7] << 24;
  uint64_t wide = value | (uint64_t) value << 32;

  switch (data[0] & 7)
    {
    case 0:
    case 1: /* a function's number above, its register below */
      if (write)
        pci_bus_config_write (machine->bus, address >> 8, address & 0xff, size, wide);
      else
        pci_bus_config_read (machine->bus, address >> 8, address & 0xff, size);
      break;
    case 2:
      access_memory (machine->fake->ports, PCI_PORTS_BASE + (address & 7), MIN (size, 4), write,
                     value);
      break;
    case 3:
      access_memory (machine->fake->mmio, ECAM + ((uint64_t) address << 4) + (data[1] >> 4), size,
                     write, wide);
      break;
    case 4:
    case 5:
      access_bar (machine, data[1] >> 2, address, size, write, wide);
      break;
    case 6:
      pci_device_msix_signal (machine->plain, address % (VECTORS + 1));
      pci_device_set_intx (machine->plain, value & 1);
      break;
    case 7:
      pci_bus_reset (machine->bus);
      if (write)
        place (machine);
      break;
    }
}

int
LLVMFuzzerTestOneInput (const uint8_t *data, size_t size)
{
  Machine machine = { 0 };

  machine_init (&machine);
  for (unsigned i = 0; i < MAX_STEPS && size >= STEP; i++, data += STEP, size -= STEP)
    step (&machine, data);
  while (g_main_context_iteration (NULL, FALSE))
    ;
  machine_clear (&machine);
  return 0;
}
