#pragma once

#include "pci/pci-bus.h"
#include "pci/pci-device.h"

/* The q35 host bridge, 8086:29c0, as far as stock kernels and firmware look: PCIEXBAR (Intel 3 Series datasheet 316966, 5.1.16),
 * which says where ECAM is.
 */
typedef struct PciHostBridge PciHostBridge;

/* ecam_base: where ECAM is from reset on (as firmware would have put it), a multiple of 256 MiB; 0: off until the guest
 * programs it. Takes slot 0 of bus, which is borrowed. */
PciHostBridge *pci_host_bridge_new (PciBus *bus, uint64_t ecam_base, GError **error);
/* Before the bus. */
void pci_host_bridge_free (PciHostBridge *bridge);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (PciHostBridge, pci_host_bridge_free)
