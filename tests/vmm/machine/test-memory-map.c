#include "machine/memory-map.h"

#include <gio/gio.h>
#include <string.h>

#define MIB (UINT64_C (1) << 20)
#define GIB (UINT64_C (1) << 30)

static uint64_t
sum_of_ram (const E820Map *map)
{
  uint64_t sum = 0;

  for (unsigned i = 0; i < map->n; i++)
    if (map->entries[i].type == E820_RAM)
      sum += map->entries[i].size;
  return sum;
}

/* What of the RAM below 1 MiB the kernel is not given: the EBDA, the VGA hole, the BIOS area with ACPI's tables. */
#define NOT_GIVEN (MIB - 0x9fc00)

static void
test_e820_gives_all_of_the_ram (void)
{
  static const uint64_t sizes[] = {
    64 * MIB, 128 * MIB, 2 * GIB, MEMORY_MAP_LOW_END, MEMORY_MAP_LOW_END + MIB, 5 * GIB, 256 * GIB,
  };

  for (unsigned i = 0; i < G_N_ELEMENTS (sizes); i++)
    {
      E820Map map;

      memory_map_fill_e820 (&map, sizes[i]);
      g_assert_cmpuint (sum_of_ram (&map), ==, sizes[i] - NOT_GIVEN);
    }
}

static void
test_ram_is_never_in_the_hole (void)
{
  static const uint64_t sizes[] = { 64 * MIB, 3 * GIB, 5 * GIB, 64 * GIB };

  for (unsigned i = 0; i < G_N_ELEMENTS (sizes); i++)
    {
      E820Map map;
      uint64_t end = 0;

      memory_map_fill_e820 (&map, sizes[i]);
      for (unsigned n = 0; n < map.n; n++)
        {
          const E820Entry *entry = &map.entries[n];

          g_assert_cmpuint (entry->gpa, >=, end);
          end = entry->gpa + entry->size;
          if (entry->type == E820_RAM)
            g_assert_true (end <= MEMORY_MAP_LOW_END || entry->gpa >= MEMORY_MAP_HIGH_RAM);
        }
    }
}

static void
test_windows_are_clear_of_ram (void)
{
  PciWindows windows;
  g_autoptr (GError) error = NULL;

  g_assert_true (memory_map_fill_windows (&windows, 64 * GIB, 40, &error));
  g_assert_no_error (error);
  g_assert_cmpuint (windows.mmio32.base, >=, MEMORY_MAP_ECAM + MEMORY_MAP_ECAM_SIZE);
  g_assert_cmpuint (windows.mmio32.base + windows.mmio32.size, <=, UINT64_C (0xfec00000));
  g_assert_cmpuint (windows.mmio64.base + windows.mmio64.size, ==, UINT64_C (1) << 40);
  g_assert_cmpuint (windows.mmio64.base, >=, 68 * GIB);
}

static void
test_more_ram_than_the_processor_reaches_is_refused (void)
{
  PciWindows windows;
  g_autoptr (GError) error = NULL;

  /* 36 bits: 64 GiB, of which the top eighth is PCI's. */
  g_assert_false (memory_map_fill_windows (&windows, 60 * GIB, 36, &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_NO_SPACE);
  g_assert_true (g_str_has_prefix (error->message, "--memory: "));
  g_assert_nonnull (strstr (error->message, "36 bits"));
}

/* Where a firmware that counts that many bits puts 64-bit BARs. */
static void
assert_eighth_is_pcis (const PciWindows *windows, unsigned bits)
{
  const uint64_t limit = UINT64_C (1) << bits;

  g_assert_cmpuint (windows->mmio64.base, <=, limit - limit / 8);
  g_assert_cmpuint (windows->mmio64.base + windows->mmio64.size, >=, limit);
}

static void
test_uefi_window_holds_every_firmwares_choice (void)
{
  static const unsigned bits[] = { 36, 39, 40, 46, 47, 48, 52 };
  static const unsigned clamps[] = { 40, 46, 47, 52 };
  static const uint64_t sizes[] = { 512 * MIB, 5 * GIB + MIB, 48 * GIB };

  for (unsigned i = 0; i < G_N_ELEMENTS (bits); i++)
    for (unsigned n = 0; n < G_N_ELEMENTS (sizes); n++)
      {
        const uint64_t ram_end =
            sizes[n] > MEMORY_MAP_LOW_END ? sizes[n] - MEMORY_MAP_LOW_END + 4 * GIB : 4 * GIB;
        PciWindows windows;

        g_assert_true (memory_map_fill_windows (&windows, sizes[n], bits[i], NULL));
        memory_map_fill_uefi_windows (&windows, MEMORY_MAP_ECAM, sizes[n]);
        for (unsigned k = 0; k < G_N_ELEMENTS (clamps); k++)
          assert_eighth_is_pcis (&windows, MIN (bits[i], clamps[k]));
        g_assert_cmpuint (windows.mmio64.base, >=, ram_end);
        g_assert_cmpuint (windows.mmio64.base, <=, ram_end + GIB);
        g_assert_cmpuint (windows.mmio64.base + windows.mmio64.size, ==, UINT64_C (1) << bits[i]);
      }
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/memory-map/e820-sum", test_e820_gives_all_of_the_ram);
  g_test_add_func ("/memory-map/hole", test_ram_is_never_in_the_hole);
  g_test_add_func ("/memory-map/windows", test_windows_are_clear_of_ram);
  g_test_add_func ("/memory-map/uefi-windows", test_uefi_window_holds_every_firmwares_choice);
  g_test_add_func ("/memory-map/too-much", test_more_ram_than_the_processor_reaches_is_refused);
  return g_test_run ();
}
