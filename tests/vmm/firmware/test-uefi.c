#include "firmware/uefi.h"

#include <string.h>
#include <unistd.h>
#include <glib/gstdio.h>

#include "acpi/acpi-loader.h"
#include "acpi/acpi-tables.h"
#include "firmware-file.h"

/* What firmware finds: flash below 4 GiB, and answers by fw_cfg. The files are made here, and are none that would start. */
#define MEMORY    UINT64_C (0x10000)
#define FLASH_END (UINT64_C (1) << 32)

typedef struct Slot
{
  uint64_t gpa;
  uint64_t size;
  bool readonly;
} Slot;

typedef struct Fixture
{
  char *folder;
  char *code;
  char *variables;
  AddressSpace *mmio;
  AddressSpace *ports;
  GuestMemory *memory;
  FwCfg *cfg;
  Uefi *uefi;
  Slot slots[8]; /* size 0: free */
  unsigned tables_built;
  E820Map map;
} Fixture;

static int
map_slot (void *opaque, uint64_t gpa, void *host, uint64_t size, bool readonly, bool log_dirty,
          GError **error)
{
  Fixture *f = opaque;

  for (unsigned i = 0; i < G_N_ELEMENTS (f->slots); i++)
    if (f->slots[i].size == 0)
      {
        f->slots[i] = (Slot){ gpa, size, readonly };
        return (int) i;
      }
  g_assert_not_reached ();
}

static void
unmap_slot (void *opaque, int slot)
{
  Fixture *f = opaque;

  g_assert_cmpuint (f->slots[slot].size, >, 0);
  f->slots[slot].size = 0;
}

static const MemorySlotOps slot_ops = { .map = map_slot, .unmap = unmap_slot };

static char *
write_file (const Fixture *f, const char *name, uint8_t *bytes, gssize size)
{
  char *path = g_build_filename (f->folder, name, NULL);

  g_assert_true (g_file_set_contents (path, (const char *) bytes, size, NULL));
  g_free (bytes);
  return path;
}

static void
setup (Fixture *f, gconstpointer data)
{
  g_autoptr (GError) error = NULL;

  f->folder = g_dir_make_tmp ("alcove-uefi-XXXXXX", NULL);
  f->code = write_file (f, "code", firmware_file_code (), FIRMWARE_FILE_CODE_SIZE);
  f->variables = write_file (f, "variables", firmware_file_variables (), FIRMWARE_FILE_SIZE);
  f->mmio = address_space_new ("mmio", UINT64_MAX);
  f->ports = address_space_new ("ports", 0x10000);
  f->memory = guest_memory_new (MEMORY, MEMORY, FLASH_END, NULL);
  f->cfg = fw_cfg_new (f->ports, f->memory);
  const VmConfig config = { .firmware_code = f->code, .firmware_variables = f->variables };
  f->uefi = uefi_new (&config, &error);
  g_assert_no_error (error);
  g_assert_true (uefi_connect (f->uefi, f->mmio, (MemorySlots){ &slot_ops, f }, &error));
  g_assert_no_error (error);
  e820_map_add (&f->map, 0, MEMORY, E820_RAM);
}

static void
teardown (Fixture *f, gconstpointer data)
{
  uefi_free (f->uefi);
  for (unsigned i = 0; i < G_N_ELEMENTS (f->slots); i++)
    g_assert_cmpuint (f->slots[i].size, ==, 0);
  fw_cfg_free (f->cfg);
  guest_memory_free (f->memory);
  address_space_free (f->mmio);
  address_space_free (f->ports);
  g_unlink (f->code);
  g_unlink (f->variables);
  g_assert_cmpint (g_rmdir (f->folder), ==, 0);
  g_free (f->code);
  g_free (f->variables);
  g_free (f->folder);
}

static GByteArray *
build_acpi (void *opaque)
{
  static const AcpiLayout layout = { .n_cpus = 1,
                                     .topology = { 1, 1, 1 },
                                     .ecam_base = 0xb0000000 };
  Fixture *f = opaque;

  f->tables_built++;
  return acpi_tables_build (&layout);
}

static void
power_on (Fixture *f, const char *boot_order, bool menu)
{
  const UefiPlatform platform = {
    .name = "m",
    .n_cpus = 3,
    .memory_bytes = MEMORY,
    .map = &f->map,
    .boot_order = boot_order,
    .boot_menu = menu,
    .build_acpi = build_acpi,
    .opaque = f,
  };

  uefi_power_on (f->uefi, f->cfg, &platform);
}

static uint64_t
take (Fixture *f, unsigned size, bool big_endian)
{
  uint64_t value = 0;

  for (unsigned i = 0; i < size; i++)
    {
      const uint64_t byte = address_space_read (f->ports, FW_CFG_PORT + 1, 1) & 0xff;

      value = big_endian ? value << 8 | byte : value | byte << (8 * i);
    }
  return value;
}

static uint64_t
read_number (Fixture *f, uint16_t key)
{
  address_space_write (f->ports, FW_CFG_PORT, 2, key);
  return take (f, 2, false);
}

/* Selects the file and returns its size; 0: there is none. */
static unsigned
select_file (Fixture *f, const char *name)
{
  address_space_write (f->ports, FW_CFG_PORT, 2, 0x19);
  for (unsigned n = (unsigned) take (f, 4, true); n > 0; n--)
    {
      char text[FW_CFG_NAME_MAX + 1];
      const unsigned size = (unsigned) take (f, 4, true);
      const uint16_t key = (uint16_t) (take (f, 4, true) >> 16);

      for (unsigned i = 0; i < sizeof text; i++)
        text[i] = (char) take (f, 1, false);
      if (strcmp (text, name) != 0)
        continue;
      address_space_write (f->ports, FW_CFG_PORT, 2, key);
      return size;
    }
  return 0;
}

static void
test_flash (Fixture *f, gconstpointer data)
{
  bool code = false, variables = false;

  for (unsigned i = 0; i < G_N_ELEMENTS (f->slots); i++)
    {
      const Slot *slot = &f->slots[i];

      code |= slot->gpa == FLASH_END - FIRMWARE_FILE_CODE_SIZE &&
              slot->size == FIRMWARE_FILE_CODE_SIZE && slot->readonly;
      variables |= slot->gpa == FLASH_END - FIRMWARE_FILE_CODE_SIZE - FIRMWARE_FILE_SIZE &&
                   slot->size == FIRMWARE_FILE_SIZE && slot->readonly;
    }
  g_assert_true (code);
  g_assert_true (variables);
}

static void
test_boot_menu (Fixture *f, gconstpointer data)
{
  power_on (f, NULL, true);
  g_assert_cmpuint (read_number (f, FW_CFG_BOOT_MENU), ==, 1);
  g_assert_cmpuint (select_file (f, "etc/boot-menu-wait"), ==, 2);
  g_assert_cmpuint (take (f, 2, false), ==, 10000);
  /* Not for good. */
  power_on (f, NULL, false);
  g_assert_cmpuint (read_number (f, FW_CFG_BOOT_MENU), ==, 0);
  g_assert_cmpuint (select_file (f, "etc/boot-menu-wait"), ==, 0);
}

static void
test_boot_order (Fixture *f, gconstpointer data)
{
  static const char order[] = "/pci@i0cf8/ethernet@4/ethernet-phy@0\n/pci@i0cf8/scsi@3/disk@0,0";
  char text[sizeof order];

  power_on (f, order, false);
  g_assert_cmpuint (select_file (f, "bootorder"), ==, sizeof order);
  for (unsigned i = 0; i < sizeof text; i++)
    text[i] = (char) take (f, 1, false);
  g_assert_cmpmem (text, sizeof text, order, sizeof order);
  power_on (f, NULL, false);
  g_assert_cmpuint (select_file (f, "bootorder"), ==, 0);
}

/* The tables say where PCI is: they are built again when the firmware comes for them, which is after it has placed it. */
static void
test_tables_are_late (Fixture *f, gconstpointer data)
{
  power_on (f, NULL, false);
  g_assert_cmpuint (read_number (f, FW_CFG_N_CPUS), ==, 3);
  const unsigned built = f->tables_built;
  g_assert_cmpuint (select_file (f, ACPI_LOADER_RSDP), ==, 36);
  g_assert_cmpuint (f->tables_built, ==, built);
  g_assert_cmpuint (select_file (f, ACPI_LOADER_SCRIPT), >, 0);
  g_assert_cmpuint (f->tables_built, ==, built + 1);
}

#define ADD(name, func) g_test_add ("/uefi/" name, Fixture, NULL, setup, func, teardown)

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  ADD ("flash", test_flash);
  ADD ("boot-menu", test_boot_menu);
  ADD ("boot-order", test_boot_order);
  ADD ("tables-are-late", test_tables_are_late);
  return g_test_run ();
}
