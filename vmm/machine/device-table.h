#pragma once

#include <stdbool.h>
#include <glib.h>

#include "machine/board.h"
#include "virtio/virtio-device.h"

/* Every device that a machine may have: one explicit line each in device-table.c, in the order in which they are
 * made (and reset); they are freed in the reverse one. */
typedef struct DeviceType
{
  const char *name;
  /* Makes what the board's config asks for (perhaps nothing, perhaps several) and gives each to board_attach (). */
  bool (*create) (Board *board, GError **error);
} DeviceType;

const DeviceType *device_table_get (unsigned *n_types);

/* Gives a virtio device its PCI function and a slot. The device itself is attached already. kind: what the machine can start from
 * as that, or VM_BOOT_UNSAID. */
bool device_table_plug_virtio (Board *board, const char *name, VirtioDevice *device, VmBoot kind,
                               GError **error);
