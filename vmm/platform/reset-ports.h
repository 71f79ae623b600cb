#pragma once

#include "bus/address-space.h"
#include "platform/platform-request.h"

/* Two of the ways in which a PC is reset by a port: 0x92 bit 0, and command 0xfe to a keyboard controller at 0x64 that is
 * otherwise not there. (The third, 0xcf9, is between the ports of PCI: pci/pci-bus.h.)
 * Thread: registers from any thread. */
typedef struct ResetPorts ResetPorts;

ResetPorts *reset_ports_new (AddressSpace *ports, PlatformRequestSink sink);
void reset_ports_free (ResetPorts *reset);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (ResetPorts, reset_ports_free)
void reset_ports_reset (ResetPorts *reset);
