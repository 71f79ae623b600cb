#define G_LOG_DOMAIN "vmm-machine"

#include "machine/board.h"

#include <gio/gio.h>
#include <unistd.h>

#include "acpi/acpi-tables.h"
#include "machine/board-disk.h"
#include "machine/board-private.h"
#include "machine/device-table.h"
#include "machine/machine-check.h"
#include "machine/memory-map.h"
#include "platform/pvpanic.h"
#include "platform/rtc.h"
#include "platform/serial.h"

/* Theory of operation
 *
 * Made in the order: files that may be missing first (their errors are the cheapest), memory, KVM, devices by the table. Freed in the
 * reverse one, the vCPUs first of all: no device is touched by a vCPU once it begins to go.
 */
#define PORTS_LIMIT 0x10000

void
board_attach (Board *board, const char *name, void *device, void (*reset) (void *device),
              void (*free) (void *device))
{
  BoardDevice entry = { .name = name, .device = device, .reset = reset, .free = free };

  g_array_append_val (board->devices, entry);
}

static bool
create_memory (Board *board, GError **error)
{
  uint64_t size = board->config.vm->memory_bytes;

  if (!machine_check_memory (size, board->config.vm->overcommit, error))
    return false;
  board->memory = guest_memory_new (size, MEMORY_MAP_LOW_END, MEMORY_MAP_HIGH_RAM, error);
  if (!board->memory)
    {
      g_prefix_error (error, "--memory: ");
      return false;
    }
  if (board->uefi)
    memory_map_fill_uefi_e820 (&board->e820, size);
  else
    memory_map_fill_e820 (&board->e820, size);
  board->mmio = address_space_new ("mmio", UINT64_MAX);
  board->ports = address_space_new ("ports", PORTS_LIMIT);
  return true;
}

static void
on_stopped (void *opaque, KvmStop why, const char *detail)
{
  Board *board = opaque;

  switch (why)
    {
    case KVM_STOP_GUEST_SHUTDOWN:
      board->config.sink.request (board->config.sink.opaque, PLATFORM_REQUEST_POWER_OFF);
      break;
    case KVM_STOP_GUEST_RESET:
      board->config.sink.request (board->config.sink.opaque, PLATFORM_REQUEST_RESET);
      break;
    default:
      board->config.stopped (board->config.opaque, why == KVM_STOP_TRIPLE_FAULT, detail);
    }
}

static bool
create_kvm (Board *board, GError **error)
{
  KvmVmConfig config = {
    .n_cpus = board->config.vm->cpus,
    .topology = vm_config_get_topology (board->config.vm),
    .hyperv = board->config.vm->hyperv,
    .memory = board->memory,
    .mmio = board->mmio,
    .ports = board->ports,
    .stopped = on_stopped,
    .opaque = board,
  };

  board->kvm = kvm_vm_new (&config, error);
  if (!board->kvm || (board->uefi && !uefi_connect (board->uefi, board->mmio,
                                                    kvm_vm_get_memory_slots (board->kvm), error)))
    return false;
  return memory_map_fill_windows (&board->windows, guest_memory_get_size (board->memory),
                                  kvm_vm_get_physical_bits (board->kvm), error);
}

static bool
create_devices (Board *board, GError **error)
{
  unsigned n;
  const DeviceType *types = device_table_get (&n);

  for (unsigned i = 0; i < n; i++)
    {
      g_debug ("device: %s", types[i].name);
      if (!types[i].create (board, error))
        return false;
    }
  return true;
}

static bool
create_firmware (Board *board, GError **error)
{
  const VmConfig *vm = board->config.vm;

  if (vm->firmware == VM_FIRMWARE_UEFI)
    {
      board->uefi = uefi_new (vm, error);
      return board->uefi != NULL;
    }
  board->linux_boot = linux_boot_new (vm->kernel, vm->initrd, vm->cmdline, error);
  return board->linux_boot != NULL;
}

Board *
board_new (const BoardConfig *config, GError **error)
{
  g_autoptr (Board) board = g_new0 (Board, 1);

  board->config = *config;
  board->devices = g_array_new (FALSE, FALSE, sizeof (BoardDevice));
  board->boot_order = boot_order_new ();
  board->boot = config->vm->boot;
  board->boot_menu = config->vm->boot_menu;
  if (!create_firmware (board, error) || !create_memory (board, error) ||
      !create_kvm (board, error) || !create_devices (board, error))
    return NULL;
  return g_steal_pointer (&board);
}

/* KVM itself goes after the devices, which hold routes and slots of it. */
void
board_free (Board *board)
{
  if (!board)
    return;
  if (board->kvm)
    kvm_vm_pause (board->kvm);
  for (unsigned i = board->devices->len; i-- > 0;)
    {
      const BoardDevice *entry = &g_array_index (board->devices, BoardDevice, i);
      entry->free (entry->device);
    }
  g_array_unref (board->devices);
  uefi_free (board->uefi);
  kvm_vm_free (board->kvm);
  linux_boot_free (board->linux_boot);
  address_space_free (board->mmio);
  address_space_free (board->ports);
  guest_memory_free (board->memory);
  boot_order_free (board->boot_order);
  g_free (board);
}

/* --- power-on --- */

static void
describe (const Board *board, uint64_t gpa, uint64_t ecam_base, const PciWindows *windows,
          AcpiLayout *layout)
{
  *layout = (AcpiLayout){
    .gpa = gpa,
    .n_cpus = board->config.vm->cpus,
    .topology = vm_config_get_topology (board->config.vm),
    .ecam_base = ecam_base,
    .last_bus = 0, /* there are no bridges behind which others would be */
    .io = { windows->io.base, windows->io.size },
    .mmio32 = { windows->mmio32.base, windows->mmio32.size },
    .mmio64 = { windows->mmio64.base, windows->mmio64.size },
    .reserved = { KVM_VM_IDENTITY_MAP, KVM_VM_RESERVED },
    .pm_base = board->pm ? PM_BASE : 0,
    .pm_size = PM_SIZE,
    .sci = PM_SCI,
    .ged_base = GED_BASE,
    .ged_size = GED_SIZE,
    .ged_gsi = GED_GSI,
    .slp_typ_s5 = board->pm ? PM_SLP_TYP_S5 : GED_SLP_TYP_S5,
    .reset_port = MEMORY_MAP_RESET_PORT,
    .reset_value = MEMORY_MAP_RESET_VALUE,
    .rtc_port = RTC_PORT,
    .rtc_century = RTC_CENTURY,
    .pvpanic_port = PVPANIC_PORT,
    .serial_port = board->serial_port ? SERIAL_COM1 : 0,
    .serial_irq = SERIAL_COM1_IRQ,
    .has_i8042 = board->uefi != NULL,
  };
  for (unsigned slot = 0; slot < ACPI_PCI_SLOTS; slot++)
    for (unsigned pin = 0; pin < ACPI_PCI_PINS; pin++)
      layout->gsi[slot][pin] = pci_bus_get_gsi (board->pci, slot, pin);
}

static void
write_acpi_tables (const Board *board)
{
  AcpiLayout layout;

  describe (board, MEMORY_MAP_ACPI, MEMORY_MAP_ECAM, &board->windows, &layout);
  g_autoptr (GByteArray) tables = acpi_tables_build (&layout);
  g_assert (tables->len <= MEMORY_MAP_ACPI_SIZE);
  guest_memory_write (board->memory, MEMORY_MAP_ACPI, tables->data, tables->len);
}

static void
describe_framebuffer (const Board *board, LinuxFramebuffer *framebuffer)
{
  const ScanoutSurface *surface = boot_framebuffer_get_surface (board->boot_framebuffer);

  *framebuffer = (LinuxFramebuffer){
    .gpa = boot_framebuffer_get_address (board->boot_framebuffer),
    .width = scanout_surface_get_width (surface),
    .height = scanout_surface_get_height (surface),
    .stride = scanout_surface_get_stride (surface),
  };
}

/* For firmware: at address 0, and PCI as it has set it up. */
static GByteArray *
build_acpi_for_firmware (void *opaque)
{
  Board *board = opaque;
  uint64_t ecam = pci_bus_get_ecam (board->pci);
  PciWindows windows = board->windows;
  AcpiLayout layout;

  if (ecam == 0)
    ecam = MEMORY_MAP_ECAM;
  memory_map_fill_uefi_windows (&windows, ecam, guest_memory_get_size (board->memory));
  describe (board, 0, ecam, &windows, &layout);
  layout.isa = (AcpiWindow){ 0, PCI_PORTS_BASE };
  return acpi_tables_build (&layout);
}

static void
power_on_uefi (Board *board)
{
  g_autofree char *boot_order = boot_order_to_text (board->boot_order, board->boot);
  const UefiPlatform platform = {
    .name = board->config.vm->name,
    .n_cpus = board->config.vm->cpus,
    .memory_bytes = guest_memory_get_size (board->memory),
    .map = &board->e820,
    .boot_order = boot_order,
    .boot_menu = board->boot_menu,
    .build_acpi = build_acpi_for_firmware,
    .opaque = board,
  };

  uefi_power_on (board->uefi, board->fw_cfg, &platform);
}

static bool
power_on_linux (Board *board, KvmEntry *entry, GError **error)
{
  LinuxBootPlatform platform = {
    .map = &board->e820,
    .low_ram_end = memory_map_low_ram_end (guest_memory_get_size (board->memory)),
    .rsdp = MEMORY_MAP_ACPI,
    .reset_port = MEMORY_MAP_RESET_PORT,
    .reset_value = MEMORY_MAP_RESET_VALUE,
  };

  if (!pci_bus_assign_resources (board->pci, &board->windows, error))
    return false;
  describe_framebuffer (board, &platform.framebuffer);
  write_acpi_tables (board);
  return linux_boot_load (board->linux_boot, board->memory, &platform, entry, error);
}

bool
board_power_on (Board *board, GError **error)
{
  KvmEntry entry;

  for (unsigned i = 0; i < board->devices->len; i++)
    {
      const BoardDevice *device = &g_array_index (board->devices, BoardDevice, i);
      if (device->reset)
        device->reset (device->device);
    }
  if (board->uefi)
    power_on_uefi (board);
  else if (!power_on_linux (board, &entry, error))
    return false;
  return kvm_vm_reset (board->kvm, board->uefi ? NULL : &entry, error);
}

bool
board_set_boot (Board *board, VmBoot first, bool menu, GError **error)
{
  if (!board->uefi)
    {
      g_set_error_literal (error, G_IO_ERROR, G_IO_ERROR_NOT_SUPPORTED,
                           "the machine starts a kernel, not firmware: it has no boot order");
      return false;
    }
  board->boot = first;
  board->boot_menu = menu;
  return true;
}

bool
board_resume (Board *board, GError **error)
{
  if (!board_disk_resume_all (board, error))
    return false;
  kvm_vm_resume (board->kvm);
  return true;
}

uint64_t
board_get_disk_size (const Board *board, unsigned index)
{
  return board_disk_get_size (board, index);
}

void
board_request_pause (Board *board)
{
  kvm_vm_request_pause (board->kvm);
}

void
board_pause (Board *board)
{
  kvm_vm_pause (board->kvm);
}

void
board_press_power_button (Board *board)
{
  if (board->pm)
    pm_press_power_button (board->pm);
  else
    ged_press_power_button (board->ged);
}

ScanoutPort *
board_get_scanout (const Board *board)
{
  return board->scanout;
}

InputPort *
board_get_input (const Board *board)
{
  return board->input;
}

CharPort *
board_get_agent (const Board *board)
{
  return board->agent;
}

CdDrive *
board_get_cdrom (const Board *board)
{
  return board->cdrom;
}

VirtioBalloon *
board_get_balloon (const Board *board)
{
  return board->balloon;
}

NetUser *
board_get_net_user (const Board *board)
{
  return board->net_user;
}
