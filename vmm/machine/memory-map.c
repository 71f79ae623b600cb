#define G_LOG_DOMAIN "vmm-machine"

#include "machine/memory-map.h"

#include <gio/gio.h>

#include "kvm/kvm-vm.h"

#define EBDA     UINT64_C (0x9fc00)
#define VGA_HOLE UINT64_C (0xa0000)
#define ONE_MIB  UINT64_C (0x100000)
#define ONE_GIB  UINT64_C (0x40000000)

uint64_t
memory_map_low_ram_end (uint64_t ram_size)
{
  return MIN (ram_size, MEMORY_MAP_LOW_END);
}

static uint64_t
ram_end (uint64_t ram_size)
{
  return ram_size <= MEMORY_MAP_LOW_END ? ram_size
                                        : MEMORY_MAP_HIGH_RAM + (ram_size - MEMORY_MAP_LOW_END);
}

bool
memory_map_fill_windows (PciWindows *windows, uint64_t ram_size, unsigned physical_bits,
                         GError **error)
{
  uint64_t limit = UINT64_C (1) << MIN (physical_bits, 52);

  *windows = (PciWindows){
    .mmio32 = { MEMORY_MAP_MMIO32, MEMORY_MAP_MMIO32_SIZE },
    .mmio64 = { limit - limit / 8, limit / 8 },
    .io = { MEMORY_MAP_IO, MEMORY_MAP_IO_SIZE },
  };
  if (ram_end (ram_size) <= windows->mmio64.base)
    return true;
  g_set_error (
      error, G_IO_ERROR, G_IO_ERROR_NO_SPACE,
      "--memory: this processor's %u bits of physical address leave room for %" G_GUINT64_FORMAT
      " GiB",
      physical_bits, (windows->mmio64.base - MEMORY_MAP_HIGH_RAM + MEMORY_MAP_LOW_END) >> 30);
  return false;
}

void
memory_map_fill_e820 (E820Map *map, uint64_t ram_size)
{
  *map = (E820Map){ 0 };
  e820_map_add (map, 0, EBDA, E820_RAM);
  e820_map_add (map, EBDA, VGA_HOLE - EBDA, E820_RESERVED);
  e820_map_add (map, MEMORY_MAP_ACPI, MEMORY_MAP_ACPI_SIZE, E820_RESERVED);
  e820_map_add (map, ONE_MIB, memory_map_low_ram_end (ram_size) - ONE_MIB, E820_RAM);
  e820_map_add (map, MEMORY_MAP_ECAM, MEMORY_MAP_ECAM_SIZE, E820_RESERVED);
  e820_map_add (map, KVM_VM_IDENTITY_MAP, KVM_VM_RESERVED, E820_RESERVED);
  if (ram_size > MEMORY_MAP_LOW_END)
    e820_map_add (map, MEMORY_MAP_HIGH_RAM, ram_size - MEMORY_MAP_LOW_END, E820_RAM);
}

void
memory_map_fill_uefi_e820 (E820Map *map, uint64_t ram_size)
{
  *map = (E820Map){ 0 };
  e820_map_add (map, 0, memory_map_low_ram_end (ram_size), E820_RAM);
  e820_map_add (map, KVM_VM_IDENTITY_MAP, KVM_VM_RESERVED, E820_RESERVED);
  if (ram_size > MEMORY_MAP_LOW_END)
    e820_map_add (map, MEMORY_MAP_HIGH_RAM, ram_size - MEMORY_MAP_LOW_END, E820_RAM);
}

/* Where 64-bit BARs go differs from one firmware to the next: OVMF takes the top eighth of the physical addresses, which it counts
 * as 47 bits at most (2022.11; later ones 46), or 40 without pages of 1 GiB, or begins right behind the RAM. All of that is PCI's. */
void
memory_map_fill_uefi_windows (PciWindows *windows, uint64_t ecam_base, uint64_t ram_size)
{
  const uint64_t start = ecam_base + MEMORY_MAP_ECAM_SIZE;
  const uint64_t end64 = windows->mmio64.base + windows->mmio64.size;
  const uint64_t start64 =
      (MAX (ram_end (ram_size), MEMORY_MAP_HIGH_RAM) + ONE_GIB - 1) / ONE_GIB * ONE_GIB;

  windows->mmio64 = (PciWindow){ start64, end64 - start64 };
  windows->io = (PciWindow){ MEMORY_MAP_UEFI_IO, MEMORY_MAP_IO_END - MEMORY_MAP_UEFI_IO };
  if (start < MEMORY_MAP_MMIO32_END)
    windows->mmio32 = (PciWindow){ start, MEMORY_MAP_MMIO32_END - start };
}
