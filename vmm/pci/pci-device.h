#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <glib.h>

#include "bus/address-space.h"

/* One PCI function: its 256 bytes of config space, BARs, MSI-X and INTx (PCI Local Bus 3.0, 6).
 *
 * A device is built (capabilities, BARs, MSI-X), then given to a bus (pci-bus.h), which connects it to the machine. Config accesses
 * come from vCPU threads; the bus serialises them. BARs follow what the guest writes into them at once, with their doorbells
 * and memory slots.
 */
typedef struct PciDevice PciDevice;

#define PCI_CONFIG_SIZE 256
#define PCI_BARS        6
#define PCI_MSIX_MAX    256
#define PCI_MSIX_PBA_STEP                                                                          \
  0x1000 /* the pending bits lie this far behind the table, in the same BAR */

typedef struct PciIdentity
{
  uint16_t vendor;
  uint16_t device;
  uint16_t subsystem_vendor;
  uint16_t subsystem_device;
  uint8_t revision;
  uint32_t class_code; /* 24 bits: class, subclass, interface */
} PciIdentity;

/* Any may be NULL. Called with the bus's config lock held: take only locks of the device itself, and never
 * access config space through the bus. offset + size is inside config space; size is 1, 2 or 4. */
typedef struct PciDeviceOps
{
  /* Before config bytes are read: refresh those that have no shadow (pci_device_set_config ()). */
  void (*config_read) (void *opaque, unsigned offset, unsigned size);
  /* After writable bits were written. */
  void (*config_written) (void *opaque, unsigned offset, unsigned size);
  /* The bus is reset; config space is already back to its first state. */
  void (*reset) (void *opaque);
} PciDeviceOps;

/* name: static string. ops may be NULL. */
PciDevice *pci_device_new (const char *name, const PciIdentity *identity, const PciDeviceOps *ops,
                           void *opaque);
/* The vCPUs are gone. Takes the device's BARs out of the machine. */
void pci_device_free (PciDevice *device);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (PciDevice, pci_device_free)

const char *pci_device_get_name (const PciDevice *device);
/* slot << 3 | function; of a device that is on a bus. */
unsigned pci_device_get_devfn (const PciDevice *device);

/* Building: before the device is on a bus. */

/* Appends a capability: its id, the link, then body. Returns the offset of the id byte. All of body reads as given and is
 * read-only; see pci_device_set_writable (). */
unsigned pci_device_add_capability (PciDevice *device, uint8_t id, const void *body, unsigned size);
void pci_device_set_config (PciDevice *device, unsigned offset, const void *bytes, unsigned size);
void pci_device_get_config (const PciDevice *device, unsigned offset, void *bytes, unsigned size);
void pci_device_set_writable (PciDevice *device, unsigned offset, const void *mask, unsigned size);

typedef enum
{
  PCI_BAR_32 = 0,
  PCI_BAR_64 = 1 << 0,           /* takes index and index + 1 */
  PCI_BAR_PREFETCHABLE = 1 << 1, /* reads have no side effect */
  PCI_BAR_IO = 1 << 2
} PciBarFlags;

/* size: a power of two, at least 16 (I/O: 4). ops as in bus/address-space.h, offsets from the BAR's start. */
void pci_device_add_bar (PciDevice *device, unsigned index, PciBarFlags flags, uint64_t size,
                         const AddressOps *ops, void *opaque);

/* A BAR that is memory: host is borrowed, size a power of two and at least 4 KiB. Its guest-physical address is
 * pci_device_get_bar_address () once resources are assigned. Where the guest puts it over something that cannot be, it is not there. */
void pci_device_add_ram_bar (PciDevice *device, unsigned index, PciBarFlags flags, void *host,
                             uint64_t size, bool log_dirty);
/* Which pages the guest wrote since the last call (MemorySlotOps.get_dirty); false while the BAR is not mapped.
 * Any thread. */
bool pci_device_get_ram_bar_dirty (PciDevice *device, unsigned index, uint64_t *bitmap);

/* MSI-X with n_vectors (at most PCI_MSIX_MAX); the table at offset (a multiple of 4 KiB) in BAR index, the pending bits
 * PCI_MSIX_PBA_STEP behind it. The BAR's own ops hand these two pages over to pci_device_msix_read () and _write ().
 * Error: no more eventfds. */
bool pci_device_add_msix (PciDevice *device, unsigned bar, uint32_t offset, unsigned n_vectors,
                          GError **error);
/* offset: from the start of the table. Any size that AddressOps knows. */
uint64_t pci_device_msix_read (PciDevice *device, uint64_t offset, unsigned size);
void pci_device_msix_write (PciDevice *device, uint64_t offset, unsigned size, uint64_t value);

/* Running: any thread. */

unsigned pci_device_get_msix_vectors (const PciDevice *device);
bool pci_device_msix_is_enabled (const PciDevice *device);
/* Raises a vector, or leaves it pending while masked. A vector that does not exist is ignored. */
void pci_device_msix_signal (PciDevice *device, unsigned vector);
/* The eventfd that raises it (borrowed), for vhost and the like. */
int pci_device_get_msix_eventfd (const PciDevice *device, unsigned vector);
/* Pin A. */
void pci_device_set_intx (PciDevice *device, bool level);

/* Writes of any size to this offset in the BAR signal eventfd (borrowed until removed), as long as the BAR is mapped and
 * the machine has doorbells; otherwise the write reaches the BAR's ops. */
void pci_device_add_doorbell (PciDevice *device, unsigned bar, uint64_t offset, int eventfd);
void pci_device_remove_doorbells (PciDevice *device);

/* Guest-physical address or port; 0 while the guest has it switched off or unassigned. */
uint64_t pci_device_get_bar_address (const PciDevice *device, unsigned index);
