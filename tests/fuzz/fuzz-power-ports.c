/* The ports by which a guest sleeps, is switched off, reset or panics: ACPI's fixed hardware, which it moves by the ISA bridge's config
 * space, the event device, port 0x92 and pvpanic, over each other where it puts them so. Input: a row of [what 1 byte][port or register 2
 * bytes][value 4 bytes]. */
#include "fuzz-target.h"

#include "fake-host.h"
#include "fake-sink.h"
#include "fuzz-input.h"
#include "platform/ged.h"
#include "platform/lpc.h"
#include "platform/pvpanic.h"
#include "platform/reset-ports.h"

#define LPC       (0x1f << 3)
#define STEPS_MAX 512

enum
{
  STEP_WRITE,
  STEP_READ,
  STEP_NEAR, /* to or from a port of one of the devices */
  STEP_CONFIG_WRITE,
  STEP_CONFIG_READ,
  STEP_BUTTON,
  STEP_TIME,
  STEP_RESET,
  STEPS
};

typedef struct Board
{
  FakeHost *fake;
  FakeSink sink;
  PciBus *bus;
  Pm *pm;
  Lpc *lpc;
  Ged *ged;
  Pvpanic *pvpanic;
  ResetPorts *reset;
} Board;

static int64_t now_us; /* of the one board that there is at a time */

static int64_t
get_now (void)
{
  return now_us;
}

static void
make (Board *board)
{
  now_us = 0;
  board->fake = fake_host_new ();
  board->bus = pci_bus_new (&board->fake->host);
  board->reset = reset_ports_new (board->fake->ports, fake_sink_get (&board->sink));
  board->pvpanic = pvpanic_new (board->fake->ports, fake_sink_get (&board->sink));
  board->ged =
      ged_new (board->fake->ports, fake_sink_get_line (&board->sink), fake_sink_get (&board->sink));
  board->pm = pm_new (board->fake->ports, fake_sink_get_line (&board->sink),
                      fake_sink_get (&board->sink), get_now);
  board->lpc = lpc_new (board->bus, board->pm, NULL);
  g_assert_nonnull (board->lpc);
  pci_bus_reset (board->bus);
}

static void
clear (Board *board)
{
  lpc_free (board->lpc);
  pm_free (board->pm);
  ged_free (board->ged);
  pvpanic_free (board->pvpanic);
  reset_ports_free (board->reset);
  pci_bus_free (board->bus);
  fake_host_free (board->fake);
}

static void
step_near (Board *board, unsigned what, uint16_t place, uint32_t value)
{
  static const uint16_t bases[] = { PM_BASE, GED_BASE, PVPANIC_PORT, 0x92, 0x64, 0xcf8, 0xff80 };
  const uint16_t port = bases[place % G_N_ELEMENTS (bases)] + (place >> 8) % 16;
  const unsigned size = 1u << (what >> 6) % 3;

  if (what & 0x20)
    address_space_read (board->fake->ports, port, size);
  else
    address_space_write (board->fake->ports, port, size, value);
}

static void
step (Board *board, unsigned what, uint16_t place, uint32_t value)
{
  const unsigned size = 1u << (what >> 6) % 3;

  switch (what % STEPS)
    {
    case STEP_WRITE:
      address_space_write (board->fake->ports, place, size, value);
      break;
    case STEP_READ:
      address_space_read (board->fake->ports, place, size);
      break;
    case STEP_NEAR:
      step_near (board, what, place, value);
      break;
    case STEP_CONFIG_WRITE:
      pci_bus_config_write (board->bus, LPC, place & 0xff, size, value);
      break;
    case STEP_CONFIG_READ:
      pci_bus_config_read (board->bus, LPC, place & 0xff, size);
      break;
    case STEP_BUTTON:
      pm_press_power_button (board->pm);
      ged_press_power_button (board->ged);
      break;
    case STEP_TIME:
      now_us += (int64_t) value << (place % 24);
      break;
    default:
      pm_reset (board->pm);
      ged_reset (board->ged);
      reset_ports_reset (board->reset);
      pci_bus_reset (board->bus);
      g_assert_false (board->sink.level);
    }
}

int
LLVMFuzzerTestOneInput (const uint8_t *data, size_t size)
{
  FuzzInput input = { data, size };
  Board board = { 0 };

  make (&board);
  for (unsigned i = 0; i < STEPS_MAX && input.size > 0; i++)
    {
      const unsigned what = fuzz_take (&input, 1), place = fuzz_take (&input, 2);

      step (&board, what, place, fuzz_take (&input, 4));
    }
  clear (&board);
  return 0;
}
