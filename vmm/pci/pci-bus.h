#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <glib.h>

#include "bus/address-space.h"
#include "bus/doorbell.h"
#include "bus/irq.h"
#include "bus/memory-slot.h"
#include "pci/pci-device.h"

/* Bus 0 of a PC: config space by the ports 0xcf8/0xcfc and by ECAM, and what BARs and interrupts of its functions
 * are connected to. A device that does not exist reads as all-ones.
 */
typedef struct PciBus PciBus;

#define PCI_SLOTS      32
#define PCI_FUNCTIONS  8
#define PCI_SLOT_ANY   UINT32_MAX
#define PCI_ECAM_SIZE  (UINT64_C (256) << 20)
#define PCI_PORTS_BASE 0xcf8 /* 8 ports; 0xcf9 is the reset control register, see PciHost.reset */

/* The machine that a bus is in. Everything is borrowed. The ops of msi, doorbell, slots and the line may be NULL (tests). */
typedef struct PciHost
{
  AddressSpace *mmio;
  AddressSpace *ports;
  MsiSink msi;
  Doorbell doorbell;
  MemorySlots slots;
  IrqLine intx;         /* gsi is ignored */
  unsigned intx_gsi[4]; /* slot and pin are spread over these: pci_bus_get_gsi () */
  /* The guest wrote a reset command to port 0xcf9 (RST_CPU rising). Runs on the vCPU's thread. */
  void (*reset) (void *opaque);
  void *reset_opaque;
} PciHost;

/* host is copied. Claims the config ports; ECAM is where pci_bus_set_ecam () says. */
PciBus *pci_bus_new (const PciHost *host);
/* Devices are borrowed: free them before the bus. */
void pci_bus_free (PciBus *bus);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (PciBus, pci_bus_free)

/* 0: no ECAM. The host bridge moves it (PCIEXBAR). size: at most PCI_ECAM_SIZE. */
void pci_bus_set_ecam (PciBus *bus, uint64_t base, uint64_t size);
/* Any thread. */
uint64_t pci_bus_get_ecam (PciBus *bus);

/* slot may be PCI_SLOT_ANY: the first free one from 1 on. Error: the bus is full, or the slot is taken. */
bool pci_bus_add (PciBus *bus, PciDevice *device, unsigned slot, unsigned function, GError **error);
void pci_bus_remove (PciBus *bus, PciDevice *device);
/* The GSI of pin 0..3 (A..D) of a slot, for the _PRT. */
unsigned pci_bus_get_gsi (const PciBus *bus, unsigned slot, unsigned pin);

typedef struct PciWindow
{
  uint64_t base;
  uint64_t size;
} PciWindow;

typedef struct PciWindows
{
  PciWindow mmio32; /* below 4 GiB */
  PciWindow mmio64; /* size 0: none */
  PciWindow io;
} PciWindows;

/* What firmware does, for a boot without one: gives every BAR an address (64-bit BARs below 4 GiB as well while there is room), interrupt line registers, and switches memory and I/O decoding on. Call after each reset too. Error: a BAR does not fit. */
bool pci_bus_assign_resources (PciBus *bus, const PciWindows *windows, GError **error);

/* Every function back to its first state, in the order of slots. The vCPUs are stopped. */
void pci_bus_reset (PciBus *bus);

/* As the guest does it: any size up to 8 and any alignment, bytes beyond what exists read all-ones. devfn: slot << 3 | function.
 * Any thread. */
uint64_t pci_bus_config_read (PciBus *bus, unsigned devfn, unsigned offset, unsigned size);
void pci_bus_config_write (PciBus *bus, unsigned devfn, unsigned offset, unsigned size,
                           uint64_t value);
