#define G_LOG_DOMAIN "vmm-firmware"

#include "firmware/uefi.h"

#include <errno.h>
#include <fcntl.h>
#include <gio/gio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "acpi/acpi-loader.h"
#include "firmware/ovmf-files.h"
#include "firmware/smbios.h"
#include "firmware/uefi-nvram.h"
#include "platform/pflash.h"

/* Theory of operation
 *
 * The code ends at 4 GiB and the variables end where it begins: the firmware is built for that. The code is mapped from its
 * file, so that all machines share it. Whatever else the firmware wants to know it asks for by fw_cfg, filled at each power-on.
 *
 * ACPI tables name addresses that the firmware chooses, so they are built twice: at power-on for their sizes, and when the firmware
 * comes for them, with PCI set up.
 */
#define FLASH_END      (UINT64_C (1) << 32)
#define FLASH_MAX      (UINT64_C (16) << 20) /* above the pages of KVM_VM_RESERVED and the local APICs */
#define E820_ENTRY     20
#define SYSTEM_STATES  6
#define STATE_THERE    0x80
#define BOOT_MENU_WAIT 10000 /* ms */

struct Uefi
{
  OvmfFiles files;
  uint8_t *code;
  size_t code_size;
  UefiNvram *nvram;

  MemorySlots slots;
  int code_slot; /* -1: not connected */
  Pflash *flash;

  FwCfg *cfg;
  GByteArray *(*build_acpi) (void *opaque);
  void *opaque;
};

/* --- files --- */

static bool
map_code (Uefi *uefi, GError **error)
{
  struct stat info;
  int fd = open (uefi->files.code, O_RDONLY | O_CLOEXEC);
  g_autoptr (GError) problem = NULL;
  void *code = MAP_FAILED;

  if (fd >= 0 && fstat (fd, &info) == 0 && info.st_size > 0)
    code = mmap (NULL, (size_t) info.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
  int saved = errno;
  if (fd >= 0)
    close (fd);
  if (code == MAP_FAILED)
    {
      g_set_error (error, G_IO_ERROR, g_io_error_from_errno (saved), "--firmware: %s: %s",
                   uefi->files.code, g_strerror (saved));
      return false;
    }
  uefi->code = code;
  uefi->code_size = (size_t) info.st_size;
  if (ovmf_files_check_code (uefi->code, uefi->code_size, &problem))
    return true;
  g_propagate_prefixed_error (error, g_steal_pointer (&problem),
                              "--firmware: %s: install the package ovmf again: ", uefi->files.code);
  return false;
}

Uefi *
uefi_new (const VmConfig *config, GError **error)
{
  g_autoptr (Uefi) uefi = g_new0 (Uefi, 1);

  uefi->code_slot = -1;
  if (!ovmf_files_prepare (&uefi->files, config, error) || !map_code (uefi, error))
    return NULL;
  uefi->nvram = uefi_nvram_new (uefi->files.variables, uefi->files.template, error);
  if (!uefi->nvram)
    return NULL;
  if (uefi->code_size + uefi_nvram_get_size (uefi->nvram) <= FLASH_MAX &&
      uefi_nvram_get_size (uefi->nvram) % PFLASH_BLOCK == 0)
    return g_steal_pointer (&uefi);
  g_set_error (error, G_IO_ERROR, G_IO_ERROR_INVALID_DATA,
               "--firmware: %s: with its variables it is larger than the 16 MiB that it may be",
               uefi->files.code);
  return NULL;
}

void
uefi_free (Uefi *uefi)
{
  if (!uefi)
    return;
  pflash_free (uefi->flash);
  if (uefi->code_slot >= 0)
    uefi->slots.ops->unmap (uefi->slots.opaque, uefi->code_slot);
  uefi_nvram_free (uefi->nvram);
  if (uefi->code)
    munmap (uefi->code, uefi->code_size);
  ovmf_files_clear (&uefi->files);
  g_free (uefi);
}

static bool
store (void *opaque, size_t offset, size_t size)
{
  return uefi_nvram_store (((Uefi *) opaque)->nvram, offset, size);
}

bool
uefi_connect (Uefi *uefi, AddressSpace *mmio, MemorySlots slots, GError **error)
{
  const size_t size = uefi_nvram_get_size (uefi->nvram);
  const PflashConfig config = {
    .gpa = FLASH_END - uefi->code_size - size,
    .contents = uefi_nvram_get_contents (uefi->nvram),
    .size = size,
    .store = store,
    .opaque = uefi,
  };

  uefi->slots = slots;
  uefi->code_slot = slots.ops->map (slots.opaque, FLASH_END - uefi->code_size, uefi->code,
                                    uefi->code_size, true, false, error);
  if (uefi->code_slot < 0)
    return false;
  uefi->flash = pflash_new (mmio, slots, &config, error);
  return uefi->flash != NULL;
}

void
uefi_rest (Uefi *uefi)
{
  if (madvise (uefi->code, uefi->code_size, MADV_DONTNEED) != 0)
    g_debug ("the firmware's code stays in memory: %s", g_strerror (errno));
}

/* --- what it asks for --- */

static void
put (GByteArray *bytes, uint64_t value, unsigned size)
{
  for (unsigned i = 0; i < size; i++)
    {
      uint8_t byte = (uint8_t) (value >> (8 * i));
      g_byte_array_append (bytes, &byte, 1);
    }
}

static GBytes *
make_e820 (const E820Map *map)
{
  GByteArray *bytes = g_byte_array_sized_new (map->n * E820_ENTRY);

  for (unsigned i = 0; i < map->n; i++)
    {
      put (bytes, map->entries[i].gpa, 8);
      put (bytes, map->entries[i].size, 8);
      put (bytes, map->entries[i].type, 4);
    }
  return g_byte_array_free_to_bytes (bytes);
}

/* S0..S5: of the sleep states only S5 is there, of type 0. */
static GBytes *
make_system_states (void)
{
  const uint8_t states[SYSTEM_STATES] = { STATE_THERE, 0, 0, 0, 0, STATE_THERE };

  return g_bytes_new (states, sizeof states);
}

static void
fill_smbios (FwCfg *cfg, const UefiPlatform *platform)
{
  const SmbiosLayout layout = {
    .name = platform->name,
    .version = ALCOVE_VERSION,
    .n_cpus = platform->n_cpus,
    .memory_bytes = platform->memory_bytes,
  };
  GBytes *anchor, *tables;

  smbios_build (&layout, &anchor, &tables);
  fw_cfg_set_file (cfg, "etc/smbios/smbios-anchor", anchor);
  fw_cfg_set_file (cfg, "etc/smbios/smbios-tables", tables);
}

static void
fill_boot (FwCfg *cfg, const UefiPlatform *platform)
{
  const uint16_t wait = GUINT16_TO_LE (BOOT_MENU_WAIT);

  fw_cfg_set_number (cfg, FW_CFG_BOOT_MENU, platform->boot_menu, 2);
  if (platform->boot_menu)
    fw_cfg_set_file (cfg, "etc/boot-menu-wait", g_bytes_new (&wait, sizeof wait));
  else
    fw_cfg_remove_file (cfg, "etc/boot-menu-wait");
  if (platform->boot_order) /* with its NUL */
    fw_cfg_set_file (cfg, "bootorder",
                     g_bytes_new (platform->boot_order, strlen (platform->boot_order) + 1));
  else
    fw_cfg_remove_file (cfg, "bootorder");
}

static void
fill_acpi (void *opaque)
{
  Uefi *uefi = opaque;
  g_autoptr (GByteArray) block = uefi->build_acpi (uefi->opaque);
  GBytes *rsdp, *tables, *script;

  acpi_loader_build (block, &rsdp, &tables, &script);
  fw_cfg_set_file (uefi->cfg, ACPI_LOADER_RSDP, rsdp);
  fw_cfg_set_file (uefi->cfg, ACPI_LOADER_TABLES, tables);
  fw_cfg_set_file (uefi->cfg, ACPI_LOADER_SCRIPT, script);
}

void
uefi_power_on (Uefi *uefi, FwCfg *cfg, const UefiPlatform *platform)
{
  pflash_reset (uefi->flash);
  uefi->cfg = cfg;
  uefi->build_acpi = platform->build_acpi;
  uefi->opaque = platform->opaque;
  fw_cfg_set_number (cfg, FW_CFG_N_CPUS, platform->n_cpus, 2);
  fw_cfg_set_number (cfg, FW_CFG_MAX_CPUS, platform->n_cpus, 2);
  fw_cfg_set_file (cfg, "etc/e820", make_e820 (platform->map));
  fw_cfg_set_file (cfg, "etc/system-states", make_system_states ());
  fill_smbios (cfg, platform);
  fill_boot (cfg, platform);
  fill_acpi (uefi);
  fw_cfg_set_select_func (cfg, ACPI_LOADER_SCRIPT, fill_acpi, uefi);
}
