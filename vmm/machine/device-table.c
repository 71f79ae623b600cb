#define G_LOG_DOMAIN "vmm-machine"

#include "machine/device-table.h"

#include <assert.h>
#include <gio/gio.h>

#include "machine/board-private.h"
#include "machine/board-disk.h"
#include "machine/board-net.h"
#include "machine/board-sata.h"
#include "machine/memory-map.h"
#include "pci/pci-host-bridge.h"
#include "platform/fw-cfg.h"
#include "platform/i8042.h"
#include "platform/lpc.h"
#include "platform/pvpanic.h"
#include "platform/reset-ports.h"
#include "platform/rtc.h"
#include "platform/serial.h"
#include "ports/char-socket.h"
#include "virtio/vhost-vsock.h"
#include "virtio/virtio-balloon.h"
#include "virtio/virtio-console.h"
#include "virtio/virtio-gpu.h"
#include "virtio/virtio-input.h"
#include "virtio/virtio-pci.h"
#include "virtio/virtio-rng.h"

#define ATTACH(board, name, device, reset, free)                                                   \
  board_attach (board, name, device, (void (*) (void *)) (reset), (void (*) (void *)) (free))

/* Firmware expects a PC's chip set; a kernel that is started directly gets by without its old parts. */
static bool
create_power (Board *board, GError **error)
{
  if (!board->uefi)
    {
      board->ged =
          ged_new (board->ports, kvm_vm_get_irq_line (board->kvm, GED_GSI), board->config.sink);
      ATTACH (board, "ged", board->ged, ged_reset, ged_free);
      return true;
    }
  board->pm =
      pm_new (board->ports, kvm_vm_get_irq_line (board->kvm, PM_SCI), board->config.sink, NULL);
  ATTACH (board, "pm", board->pm, pm_reset, pm_free);
  return true;
}

static bool
create_rtc (Board *board, GError **error)
{
  ATTACH (board, "rtc", rtc_new (board->ports, NULL), rtc_reset, rtc_free);
  return true;
}

static bool
create_reset_ports (Board *board, GError **error)
{
  ATTACH (board, "reset", reset_ports_new (board->ports, board->config.sink), reset_ports_reset,
          reset_ports_free);
  return true;
}

static bool
create_pvpanic (Board *board, GError **error)
{
  ATTACH (board, "pvpanic", pvpanic_new (board->ports, board->config.sink), NULL, pvpanic_free);
  return true;
}

static bool
create_fw_cfg (Board *board, GError **error)
{
  if (!board->uefi)
    return true;
  board->fw_cfg = fw_cfg_new (board->ports, board->memory);
  ATTACH (board, "fw_cfg", board->fw_cfg, fw_cfg_reset, fw_cfg_free);
  return true;
}

/* *port stays NULL where the stream goes nowhere. */
static bool
open_stream (Board *board, const char *name, const VmStream *stream, CharPort **port,
             GError **error)
{
  if (stream->kind == VM_STREAM_NONE)
    return true;
  *port = stream->kind == VM_STREAM_STDIO ? char_port_new_stdio ()
                                          : char_port_new_file (stream->file, error);
  if (!*port)
    {
      g_prefix_error (error, "--%s: ", name);
      return false;
    }
  ATTACH (board, name, *port, NULL, char_port_free);
  return true;
}

static bool
create_serial (Board *board, GError **error)
{
  if (!open_stream (board, "serial", &board->config.vm->serial, &board->serial_port, error))
    return false;
  if (board->serial_port)
    ATTACH (board, "serial port",
            serial_new (board->ports, SERIAL_COM1,
                        kvm_vm_get_irq_line (board->kvm, SERIAL_COM1_IRQ), board->serial_port),
            serial_reset, serial_free);
  return true;
}

/* --- PCI --- */

static void
on_pci_reset (void *opaque)
{
  Board *board = opaque;

  board->config.sink.request (board->config.sink.opaque, PLATFORM_REQUEST_RESET);
}

static bool
create_pci (Board *board, GError **error)
{
  PciHost host = {
    .mmio = board->mmio,
    .ports = board->ports,
    .msi = kvm_vm_get_msi_sink (board->kvm),
    .doorbell = kvm_vm_get_doorbell (board->kvm),
    .slots = kvm_vm_get_memory_slots (board->kvm),
    .intx = kvm_vm_get_irq_line (board->kvm, 0),
    .intx_gsi = { 16, 17, 18, 19 },
    .reset = on_pci_reset,
    .reset_opaque = board,
  };

  board->pci = pci_bus_new (&host);
  ATTACH (board, "pci", board->pci, pci_bus_reset, pci_bus_free);
  PciHostBridge *bridge =
      pci_host_bridge_new (board->pci, board->uefi ? 0 : MEMORY_MAP_ECAM, error);
  if (!bridge)
    return false;
  ATTACH (board, "host bridge", bridge, NULL, pci_host_bridge_free);
  return true;
}

/* Only firmware looks for it. */
static bool
create_lpc (Board *board, GError **error)
{
  if (!board->uefi)
    return true;
  Lpc *lpc = lpc_new (board->pci, board->pm, error);
  if (!lpc)
    return false;
  ATTACH (board, "lpc", lpc, NULL, lpc_free);
  return true;
}

bool
device_table_plug_virtio (Board *board, const char *name, VirtioDevice *device, VmBoot kind,
                          GError **error)
{
  VirtioPci *function = virtio_pci_new (device, error);

  if (!function)
    return false;
  ATTACH (board, name, function, NULL, virtio_pci_free);
  PciDevice *pci = virtio_pci_get_pci_device (function);
  if (!pci_bus_add (board->pci, pci, PCI_SLOT_ANY, 0, error))
    return false;
  if (kind == VM_BOOT_NETWORK)
    boot_order_add (board->boot_order, kind, "ethernet", pci_device_get_devfn (pci),
                    "ethernet-phy@0");
  else if (kind != VM_BOOT_UNSAID)
    boot_order_add (board->boot_order, kind, "scsi", pci_device_get_devfn (pci), "disk@0,0");
  return true;
}

static bool
create_disks (Board *board, GError **error)
{
  const VmConfig *vm = board->config.vm;

  if (!board_sata_create (board, error))
    return false;
  for (unsigned i = 0; i < vm->n_disks; i++)
    {
      const bool is_sata = vm->disks[i].bus == VM_DISK_BUS_AHCI;

      if (!(is_sata ? board_sata_add_disk : board_disk_add) (board, i, error))
        {
          g_prefix_error (error, "--disk: ");
          return false;
        }
    }
  if (vm->cdrom && !board_sata_add_cdrom (board, vm->cdrom, error))
    {
      g_prefix_error (error, "--cdrom: ");
      return false;
    }
  return true;
}

static bool
create_rng (Board *board, GError **error)
{
  VirtioRng *rng = virtio_rng_new (board->memory);

  ATTACH (board, "virtio-rng", rng, NULL, virtio_rng_free);
  return device_table_plug_virtio (board, "virtio-rng function", virtio_rng_get_device (rng),
                                   VM_BOOT_UNSAID, error);
}

/* As the emulated machine numbers them: the console, the port of the display's agent, those that were asked for. */
static bool
create_ports (Board *board, GError **error)
{
  const VmConfig *vm = board->config.vm;
  VirtioConsolePort ports[2 + VM_PORTS_MAX] = { { 0 } };
  static_assert (G_N_ELEMENTS (ports) <= VIRTIO_CONSOLE_PORTS_MAX, "one device has all of them");

  if (!open_stream (board, "console", &vm->console, &ports[0].port, error))
    return false;
  board->agent = char_port_new (-1, -1);
  ATTACH (board, "agent", board->agent, NULL, char_port_free);
  ports[1] = (VirtioConsolePort){ VM_PORT_AGENT, board->agent };
  for (unsigned i = 0; i < vm->n_ports; i++)
    {
      CharSocket *socket = char_socket_new ("--port", vm->ports[i].path, error);
      if (!socket)
        return false;
      ATTACH (board, "port", socket, NULL, char_socket_free);
      ports[2 + i] = (VirtioConsolePort){ vm->ports[i].name, char_socket_get_port (socket) };
    }
  VirtioConsole *console = virtio_console_new (board->memory, ports, 2 + vm->n_ports);
  ATTACH (board, "virtio-console", console, NULL, virtio_console_free);
  return device_table_plug_virtio (board, "virtio-console function",
                                   virtio_console_get_device (console), VM_BOOT_UNSAID, error);
}

static bool
create_balloon (Board *board, GError **error)
{
  board->balloon =
      virtio_balloon_new (board->memory, board->config.balloon_changed, board->config.opaque);
  ATTACH (board, "virtio-balloon", board->balloon, NULL, virtio_balloon_free);
  return device_table_plug_virtio (board, "virtio-balloon function",
                                   virtio_balloon_get_device (board->balloon), VM_BOOT_UNSAID,
                                   error);
}

static bool
create_vsock (Board *board, GError **error)
{
  if (board->config.vm->vsock_cid == 0)
    return true;
  VhostVsock *vsock =
      vhost_vsock_new ("/dev/vhost-vsock", board->config.vm->vsock_cid, board->memory, error);
  if (!vsock)
    {
      g_prefix_error (error, "--vsock: ");
      return false;
    }
  ATTACH (board, "vhost-vsock", vsock, NULL, vhost_vsock_free);
  return device_table_plug_virtio (board, "vhost-vsock function", vhost_vsock_get_device (vsock),
                                   VM_BOOT_UNSAID, error);
}

/* --- screen and input --- */

#define FIRST_WIDTH          1024
#define FIRST_HEIGHT         768
#define BOOT_FRAMEBUFFER_BAR 0
#define BOOT_REGISTERS_BAR   2 /* where firmware looks for them */

static void
on_boot_surface (void *opaque, ScanoutSurface *surface)
{
  virtio_gpu_set_boot_surface (((Board *) opaque)->gpu, surface);
}

static void
on_boot_screen_left (void *opaque)
{
  Board *board = opaque;

  if (board->uefi)
    uefi_rest (board->uefi);
}

/* Freed in the reverse order: the function goes before the memory that its BAR maps. */
static bool
create_screen (Board *board, GError **error)
{
  board->scanout = scanout_port_new ();
  ATTACH (board, "scanout", board->scanout, NULL, scanout_port_free);
  board->gpu = virtio_gpu_new (board->memory, board->scanout, FIRST_WIDTH, FIRST_HEIGHT);
  ATTACH (board, "virtio-gpu", board->gpu, NULL, virtio_gpu_free);
  VirtioPci *function = virtio_pci_new (virtio_gpu_get_device (board->gpu), error);
  if (!function)
    return false;
  PciDevice *pci = virtio_pci_get_pci_device (function);
  board->boot_framebuffer = boot_framebuffer_new (
      &(BootFramebufferConfig){
          .port = board->scanout,
          .pci = pci,
          .bar = BOOT_FRAMEBUFFER_BAR,
          .registers = BOOT_REGISTERS_BAR,
          .width = FIRST_WIDTH,
          .height = FIRST_HEIGHT,
          .changed = on_boot_surface,
          .left = on_boot_screen_left,
          .opaque = board,
      },
      error);
  if (board->boot_framebuffer)
    ATTACH (board, "boot framebuffer", board->boot_framebuffer, boot_framebuffer_reset,
            boot_framebuffer_free);
  ATTACH (board, "virtio-gpu function", function, NULL, virtio_pci_free);
  if (!board->boot_framebuffer)
    return false;
  return pci_bus_add (board->pci, pci, BOARD_GPU_SLOT, 0, error);
}

static bool
create_input_device (Board *board, InputKind kind, const char *name, GError **error)
{
  VirtioInput *input = virtio_input_new (board->memory, board->input, kind);

  ATTACH (board, name, input, NULL, virtio_input_free);
  return device_table_plug_virtio (board, name, virtio_input_get_device (input), VM_BOOT_UNSAID,
                                   error);
}

static bool
create_input (Board *board, GError **error)
{
  board->input = input_port_new ();
  ATTACH (board, "input", board->input, NULL, input_port_free);
  return create_input_device (board, INPUT_KEYBOARD, "virtio-keyboard", error) &&
         create_input_device (board, INPUT_POINTER, "virtio-tablet", error);
}

/* Firmware and boot loaders know no other keyboard. A kernel that is started directly is spared the search for it. */
static bool
create_i8042 (Board *board, GError **error)
{
  if (!board->uefi)
    return true;
  const I8042Config config = {
    .ports = board->ports,
    .keyboard_irq = kvm_vm_get_irq_line (board->kvm, I8042_KEYBOARD_IRQ),
    .mouse_irq = kvm_vm_get_irq_line (board->kvm, I8042_MOUSE_IRQ),
    .sink = board->config.sink,
    .input = board->input,
  };
  ATTACH (board, "i8042", i8042_new (&config), i8042_reset, i8042_free);
  return true;
}

static const DeviceType device_table[] = {
  { .name = "power", .create = create_power },
  { .name = "rtc", .create = create_rtc },
  { .name = "reset", .create = create_reset_ports },
  { .name = "pvpanic", .create = create_pvpanic },
  { .name = "serial", .create = create_serial },
  { .name = "fw_cfg", .create = create_fw_cfg },
  { .name = "pci", .create = create_pci },
  { .name = "lpc", .create = create_lpc },
  { .name = "screen", .create = create_screen },
  { .name = "net", .create = board_net_create }, /* a slot that does not depend on the disks */
  { .name = "input", .create = create_input },
  { .name = "i8042", .create = create_i8042 },
  { .name = "disks", .create = create_disks },
  { .name = "rng", .create = create_rng },
  { .name = "ports", .create = create_ports },
  { .name = "balloon", .create = create_balloon },
  { .name = "vsock", .create = create_vsock },
};

const DeviceType *
device_table_get (unsigned *n_types)
{
  *n_types = G_N_ELEMENTS (device_table);
  return device_table;
}
