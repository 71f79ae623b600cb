#pragma once

#include "base/guest-log.h"
#include "pci/pci-bus.h"
#include "pci/pci-device.h"

/* Shared by the files of vmm/pci. Locks, in the order in which they are taken:
 *
 *   PciBus.config_lock   config space of every function; held around PciDeviceOps
 *   (a device's own lock)
 *   PciDevice.map_lock   where BARs and doorbells are
 *   PciMsix.lock         the vector table
 *   PciBus.intx_lock     levels of the wired lines
 */
typedef struct PciMsix PciMsix;

typedef struct PciBar
{
  bool present;
  PciBarFlags flags;
  uint64_t size;
  const AddressOps *ops;
  void *opaque;
  void *memory; /* RAM BARs; NULL: ops answer */
  bool log_dirty;

  /* Guarded by map_lock. */
  uint64_t address; /* 0: not mapped */
  AddressRange *range;
  int slot; /* -1: none */
} PciBar;

struct PciDevice
{
  const char *name;
  const PciDeviceOps *ops;
  void *opaque;
  GuestLog log;

  uint8_t config[PCI_CONFIG_SIZE];
  uint8_t writable[PCI_CONFIG_SIZE];
  uint8_t first_config[PCI_CONFIG_SIZE]; /* after a reset */
  unsigned capabilities_end;
  unsigned last_capability; /* 0: none yet */

  PciBus *bus; /* NULL: on none */
  unsigned devfn;

  GMutex map_lock;
  PciBar bars[PCI_BARS];
  GArray *doorbells; /* of PciDoorbell */

  PciMsix *msix; /* NULL: none */

  /* Guarded by the bus's intx_lock. */
  bool intx_wanted;
  bool intx_disabled;
  bool intx_raised;
};

/* pci-device.c */

/* config_lock held. One naturally aligned access of 1, 2 or 4 bytes inside config space. */
void pci_device_config_read (PciDevice *device, unsigned offset, uint8_t *bytes, unsigned size);
void pci_device_config_write (PciDevice *device, unsigned offset, const uint8_t *bytes,
                              unsigned size);
/* config_lock held. Makes the mappings what config space says. */
void pci_device_update_bars (PciDevice *device);
void pci_device_unmap_bars (PciDevice *device);
/* config_lock held. */
void pci_device_reset (PciDevice *device);

/* pci-msix.c */

void pci_msix_free (PciMsix *msix);
/* Takes routes from the sink, or gives them back. */
bool pci_msix_connect (PciMsix *msix, const MsiSink *sink, GError **error);
void pci_msix_disconnect (PciMsix *msix);
/* The message control register's new value. */
void pci_msix_set_control (PciMsix *msix, uint16_t control);
unsigned pci_msix_get_control_offset (const PciMsix *msix);
void pci_msix_reset (PciMsix *msix);

/* pci-bus.c */

const PciHost *pci_bus_get_host (const PciBus *bus);
void pci_bus_lock (PciBus *bus);
void pci_bus_unlock (PciBus *bus);
/* NULL: nothing there. */
PciDevice *pci_bus_get_device (PciBus *bus, unsigned devfn);
/* What the function wants of its line, and whether its command register forbids it. */
void pci_bus_set_intx_wanted (PciDevice *device, bool wanted);
void pci_bus_set_intx_disabled (PciDevice *device, bool disabled);
/* Does it want its line high, forbidden or not (the status register's bit)? */
bool pci_bus_get_intx_wanted (PciDevice *device);
