#pragma once

#include "pci/pci-device.h"
#include "virtio/virtio-device.h"

/* The PCI transport, modern only (Virtual I/O Device 1.2, 4.1): one 64-bit memory BAR with common, ISR, device and notify
 * regions and MSI-X, vector count queues + 1; INTx for drivers without MSI-X.
 *
 * BAR VIRTIO_PCI_BAR (and the next) is its own; a device may add others to virtio_pci_get_pci_device () before that goes on a bus.
 */
typedef struct VirtioPci VirtioPci;

#define VIRTIO_PCI_BAR 4

/* device is borrowed and outlives this. Error: no more eventfds. */
VirtioPci *virtio_pci_new (VirtioDevice *device, GError **error);
/* Takes the function off its bus. */
void virtio_pci_free (VirtioPci *pci);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (VirtioPci, virtio_pci_free)

/* Borrowed. */
PciDevice *virtio_pci_get_pci_device (VirtioPci *pci);
