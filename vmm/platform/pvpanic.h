#pragma once

#include "bus/address-space.h"
#include "platform/platform-request.h"

/* The port by which a guest's kernel tells that it has panicked (QEMU, docs/specs/pvpanic.rst; ACPI _HID QEMU0001). Thread: any. */
typedef struct Pvpanic Pvpanic;

#define PVPANIC_PORT 0x505

Pvpanic *pvpanic_new (AddressSpace *ports, PlatformRequestSink sink);
void pvpanic_free (Pvpanic *pvpanic);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (Pvpanic, pvpanic_free)
