#pragma once

#include "bus/address-space.h"
#include "platform/platform-request.h"

/* The three ways in which a PC's processor resets the machine by a port: 0xcf9 (Intel ICH9, 13.7.5, and ACPI's reset
 * register), 0x92 bit 0, and command 0xfe to a keyboard controller at 0x64 that is otherwise not there.
 * Thread: registers from any thread. */
typedef struct ResetPorts ResetPorts;

#define RESET_PORTS_CONTROL 0xcf9
#define RESET_PORTS_VALUE   0x06 /* system reset, now */

ResetPorts *reset_ports_new (AddressSpace *ports, PlatformRequestSink sink);
void reset_ports_free (ResetPorts *reset);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (ResetPorts, reset_ports_free)
void reset_ports_reset (ResetPorts *reset);
