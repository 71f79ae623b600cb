#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <glib.h>

#include "bus/address-space.h"
#include "bus/memory-slot.h"
#include "config/vm-config.h"
#include "firmware/e820.h"
#include "platform/fw-cfg.h"

/* Stock UEFI firmware (OVMF): its code and variables as flash below 4 GiB, where the first vCPU finds the reset vector, and what it
 * asks of the machine by fw_cfg.
 *
 * Thread: main; the tables are built on a vCPU's.
 */
typedef struct Uefi Uefi;

/* The firmware and the variables that config asks for (ovmf_files_prepare ()). Error: one line, with what to do. */
Uefi *uefi_new (const VmConfig *config, GError **error);
/* Before what it was connected to. */
void uefi_free (Uefi *uefi);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (Uefi, uefi_free)

/* Puts the flash into guest-physical space. Error: the host refuses it. */
bool uefi_connect (Uefi *uefi, AddressSpace *mmio, MemorySlots slots, GError **error);

/* The firmware has done its work: gives back to the host the memory that its code takes, which is read from the file again when it is asked for. */
void uefi_rest (Uefi *uefi);

/* What the machine looks like to the firmware. */
typedef struct UefiPlatform
{
  const char *name;
  unsigned n_cpus;
  uint64_t memory_bytes;
  const E820Map *map;
  const char
      *boot_order; /* OpenFirmware device paths, a line each; NULL: the firmware's own order */
  bool boot_menu;  /* wait for a key that opens it */
  /* The ACPI tables for address 0 (acpi/acpi-loader.h), as PCI is set up at the time of the call; owned by the caller. */
  GByteArray *(*build_acpi) (void *opaque);
  void *opaque;
} UefiPlatform;

/* Power-on: flash back to reading, and fw_cfg filled; platform's strings are copied. */
void uefi_power_on (Uefi *uefi, FwCfg *cfg, const UefiPlatform *platform);
