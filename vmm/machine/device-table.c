#define G_LOG_DOMAIN "vmm-machine"

#include "machine/device-table.h"

#include "machine/board-private.h"
#include "platform/pvpanic.h"
#include "platform/reset-ports.h"
#include "platform/rtc.h"
#include "platform/serial.h"

#define ATTACH(board, name, device, reset, free)                                                   \
  board_attach (board, name, device, (void (*) (void *)) (reset), (void (*) (void *)) (free))

static bool
create_pm (Board *board, GError **error)
{
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
create_serial (Board *board, GError **error)
{
  const VmConfig *vm = board->config.vm;

  switch (vm->serial)
    {
    case VM_SERIAL_STDIO:
      board->serial_port = char_port_new_stdio ();
      break;
    case VM_SERIAL_FILE:
      board->serial_port = char_port_new_file (vm->serial_file, error);
      if (!board->serial_port)
        {
          g_prefix_error (error, "--serial: ");
          return false;
        }
      break;
    default:
      return true;
    }
  ATTACH (board, "serial port", board->serial_port, NULL, char_port_free);
  ATTACH (board, "serial",
          serial_new (board->ports, SERIAL_COM1, kvm_vm_get_irq_line (board->kvm, SERIAL_COM1_IRQ),
                      board->serial_port),
          serial_reset, serial_free);
  return true;
}

static const DeviceType device_table[] = {
  { .name = "pm", .create = create_pm },
  { .name = "rtc", .create = create_rtc },
  { .name = "reset", .create = create_reset_ports },
  { .name = "pvpanic", .create = create_pvpanic },
  { .name = "serial", .create = create_serial },
};

const DeviceType *
device_table_get (unsigned *n_types)
{
  *n_types = G_N_ELEMENTS (device_table);
  return device_table;
}
