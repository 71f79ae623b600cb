#pragma once

#include "bus/guest-memory.h"
#include "pci/pci-device.h"
#include "platform/ata-drive.h"

/* The SATA controller of a q35: ICH9 in AHCI mode (8086:2922), six ports, native command queueing. (Serial ATA AHCI 1.3.1.)
 *
 * Thread: register accesses come from vCPU threads and only write registers down; commands are fetched and carried out on the controller's
 * context, its own thread's. No vCPU waits for I/O: a reset that has to wait for it says so in its registers, as hardware does.
 */
typedef struct Ahci Ahci;

#define AHCI_PORTS    6
#define AHCI_SLOT     0x1f /* of bus 0, together with the LPC bridge */
#define AHCI_FUNCTION 2

/* context: where the drives work; NULL: in a thread of its own. */
Ahci *ahci_new (const GuestMemory *memory, GMainContext *context);
/* Waits for what is in flight, and frees the drives. */
void ahci_free (Ahci *ahci);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (Ahci, ahci_free)

/* Borrowed; give it to the bus when all drives are plugged in. */
PciDevice *ahci_get_pci_device (Ahci *ahci);
/* What a drive is made with. Valid until ahci_free (). */
const AtaHome *ahci_get_home (const Ahci *ahci);
/* The vCPUs stand still: commands that drives kept are carried out again. */
void ahci_resume (Ahci *ahci);
/* Before the guest runs. The drive is the controller's from now on. */
void ahci_plug (Ahci *ahci, unsigned port, const AtaDrive *drive);
