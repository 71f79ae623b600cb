#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <glib.h>

#include "firmware/e820.h"
#include "pci/pci-bus.h"

/* Where things are in guest-physical space: a q35's map with the parts that we have.
 *
 *   0            RAM up to 640 KiB; the kernel's first tables (firmware/linux-boot.c)
 *   0x000e0000   ACPI tables, in RAM that the kernel is told to leave alone
 *   0x00100000   RAM, up to MEMORY_MAP_LOW_END or its end
 *   0xb0000000   ECAM, 256 MiB
 *   0xc0000000   32-bit MMIO of PCI, up to 0xfc000000
 *   0xfec00000   I/O APIC;  0xfee00000 local APICs;  0xfeffc000 four pages of KVM's own
 *   0x100000000  the rest of the RAM
 *   top eighth   64-bit MMIO of PCI; firmware makes a choice of its own
 */
#define MEMORY_MAP_ACPI        UINT64_C (0xe0000)
#define MEMORY_MAP_ACPI_SIZE   UINT64_C (0x20000)
#define MEMORY_MAP_LOW_END     UINT64_C (0xb0000000)
#define MEMORY_MAP_ECAM        UINT64_C (0xb0000000)
#define MEMORY_MAP_ECAM_SIZE   UINT64_C (0x10000000)
#define MEMORY_MAP_MMIO32      UINT64_C (0xc0000000)
#define MEMORY_MAP_MMIO32_SIZE UINT64_C (0x3c000000)
#define MEMORY_MAP_HIGH_RAM    UINT64_C (0x100000000)
#define MEMORY_MAP_MMIO32_END  (MEMORY_MAP_MMIO32 + MEMORY_MAP_MMIO32_SIZE)
#define MEMORY_MAP_IO          0xc000
#define MEMORY_MAP_IO_SIZE     0x4000
#define MEMORY_MAP_UEFI_IO     0x6000
#define MEMORY_MAP_IO_END      0x10000

/* ACPI's reset register: the reset control register of Intel's south bridges (pci/pci-bus.h), system reset. */
#define MEMORY_MAP_RESET_PORT  0xcf9
#define MEMORY_MAP_RESET_VALUE 0x06

/* The end of the RAM below 4 GiB. */
uint64_t memory_map_low_ram_end (uint64_t ram_size);

/* Where BARs go, for a processor with that many bits of physical address. Error: the RAM reaches into the 64-bit window. */
bool memory_map_fill_windows (PciWindows *windows, uint64_t ram_size, unsigned physical_bits,
                              GError **error);

void memory_map_fill_e820 (E820Map *map, uint64_t ram_size);
/* For UEFI firmware, which makes the kernel's map itself: all RAM, and what it cannot know to be taken. */
void memory_map_fill_uefi_e820 (E820Map *map, uint64_t ram_size);
/* Of windows, which memory_map_fill_windows () filled: wherever UEFI firmware may put BARs, as its tables have to say. Behind ECAM, more
 * ports, and 64-bit ones anywhere above the RAM. */
void memory_map_fill_uefi_windows (PciWindows *windows, uint64_t ecam_base, uint64_t ram_size);
