#include "platform/lpc.h"

#include "../pci/fake-host.h"
#include "fake-sink.h"

#define LPC   (0x1f << 3)
#define TIMER 8

typedef struct Fixture
{
  FakeHost *fake;
  FakeSink sink;
  PciBus *bus;
  Pm *pm;
  Lpc *lpc;
} Fixture;

static int64_t
get_now (void)
{
  return 0;
}

static void
set_up (Fixture *fixture, const void *data)
{
  fixture->fake = fake_host_new ();
  fixture->bus = pci_bus_new (&fixture->fake->host);
  fixture->pm = pm_new (fixture->fake->ports, fake_sink_get_line (&fixture->sink),
                        fake_sink_get (&fixture->sink), get_now);
  fixture->lpc = lpc_new (fixture->bus, fixture->pm, NULL);
  g_assert_nonnull (fixture->lpc);
  pci_bus_reset (fixture->bus);
}

static void
tear_down (Fixture *fixture, const void *data)
{
  lpc_free (fixture->lpc);
  pm_free (fixture->pm);
  pci_bus_free (fixture->bus);
  fake_host_free (fixture->fake);
}

static uint32_t
get (Fixture *fixture, unsigned offset, unsigned size)
{
  return (uint32_t) pci_bus_config_read (fixture->bus, LPC, offset, size) &
         (size == 4 ? UINT32_MAX : (1u << 8 * size) - 1);
}

static void
set (Fixture *fixture, unsigned offset, unsigned size, uint32_t value)
{
  pci_bus_config_write (fixture->bus, LPC, offset, size, value);
}

static bool
has_timer (Fixture *fixture, uint16_t base)
{
  return address_space_read (fixture->fake->ports, base + TIMER, 4) == 0;
}

static void
test_what_firmware_looks_for (Fixture *fixture, const void *data)
{
  g_assert_cmphex (get (fixture, 0, 4), ==, 0x29188086);
  g_assert_cmphex (get (fixture, 8, 4) >> 8, ==, 0x060100);
  /* As stock firmware does it: PMBASE, ACPI_CNTL, RCBA, PIRQ. */
  set (fixture, 0x40, 4, 0x600);
  set (fixture, 0x44, 1, 0x80);
  set (fixture, 0xf0, 4, 0xfed1c001);
  set (fixture, 0x60, 4, 0x0b0b0a0a);
  set (fixture, 0x68, 4, 0x0b0b0a0a);
  g_assert_cmphex (get (fixture, 0x40, 4), ==, 0x601);
  g_assert_cmphex (get (fixture, 0x44, 1), ==, 0x80);
  g_assert_cmphex (get (fixture, 0xf0, 4), ==, 0xfed1c001);
  g_assert_cmphex (get (fixture, 0x60, 4), ==, 0x0b0b0a0a);
  g_assert_cmphex (get (fixture, 0x68, 4), ==, 0x0b0b0a0a);
  g_assert_true (has_timer (fixture, 0x600));
}

static void
test_pm_goes_where_it_is_put (Fixture *fixture, const void *data)
{
  g_assert_true (has_timer (fixture, PM_BASE));
  set (fixture, 0x40, 2, 0xb0ff);
  g_assert_cmphex (get (fixture, 0x40, 4), ==, 0xb081);
  g_assert_true (has_timer (fixture, 0xb080));
  g_assert_false (has_timer (fixture, PM_BASE));
  set (fixture, 0x44, 1, 0);
  g_assert_false (has_timer (fixture, 0xb080));
  set (fixture, 0x44, 1, 0x80);
  g_assert_true (has_timer (fixture, 0xb080));
  /* To nowhere, and to the end of the ports. */
  set (fixture, 0x40, 4, 0);
  g_assert_false (has_timer (fixture, 0xb080));
  set (fixture, 0x40, 4, UINT32_MAX);
  g_assert_cmphex (get (fixture, 0x40, 4), ==, 0xff81);
  g_assert_true (has_timer (fixture, 0xff80));
  pci_bus_reset (fixture->bus);
  g_assert_true (has_timer (fixture, PM_BASE));
  g_assert_false (has_timer (fixture, 0xff80));
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add ("/lpc/firmware", Fixture, NULL, set_up, test_what_firmware_looks_for, tear_down);
  g_test_add ("/lpc/pm", Fixture, NULL, set_up, test_pm_goes_where_it_is_put, tear_down);
  return g_test_run ();
}
