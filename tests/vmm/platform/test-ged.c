#include "platform/ged.h"

#include "fake-sink.h"

#define SLEEP (GED_BASE + GED_SLEEP_OFFSET)
#define EVENT (GED_BASE + GED_EVENT_OFFSET)

typedef struct Fixture
{
  FakeSink sink;
  AddressSpace *ports;
  Ged *ged;
} Fixture;

static void
set_up (Fixture *fixture, const void *data)
{
  fixture->ports = address_space_new ("ports", 0x10000);
  fixture->ged =
      ged_new (fixture->ports, fake_sink_get_line (&fixture->sink), fake_sink_get (&fixture->sink));
}

static void
tear_down (Fixture *fixture, const void *data)
{
  ged_free (fixture->ged);
  address_space_free (fixture->ports);
}

static void
test_power_button (Fixture *fixture, const void *data)
{
  g_assert_cmphex (address_space_read (fixture->ports, EVENT, 1), ==, 0);
  ged_press_power_button (fixture->ged);
  g_assert_true (fixture->sink.level);
  g_assert_cmphex (address_space_read (fixture->ports, SLEEP, 2), ==, 0);
  g_assert_true (fixture->sink.level);
  g_assert_cmphex (address_space_read (fixture->ports, EVENT, 1), ==, 1);
  g_assert_false (fixture->sink.level);
  g_assert_cmphex (address_space_read (fixture->ports, EVENT, 1), ==, 0);
}

static void
test_reset (Fixture *fixture, const void *data)
{
  ged_press_power_button (fixture->ged);
  ged_reset (fixture->ged);
  g_assert_false (fixture->sink.level);
  g_assert_cmphex (address_space_read (fixture->ports, EVENT, 1), ==, 0);
}

static void
test_only_s5_switches_off (Fixture *fixture, const void *data)
{
  const unsigned type = GED_SLP_TYP_S5 << 2;

  address_space_write (fixture->ports, SLEEP, 1, type);
  g_test_expect_message ("vmm-guest", G_LOG_LEVEL_WARNING, "*sleep type 3 does not exist*");
  address_space_write (fixture->ports, SLEEP, 1, 0x20 | 3 << 2);
  g_test_assert_expected_messages ();
  address_space_write (fixture->ports, SLEEP + 1, 1, type | 0x20);
  address_space_write (fixture->ports, EVENT, 1, type | 0x20);
  g_assert_cmpuint (fixture->sink.requests[PLATFORM_REQUEST_POWER_OFF], ==, 0);
  address_space_write (fixture->ports, SLEEP, 1, type | 0x20);
  g_assert_cmpuint (fixture->sink.requests[PLATFORM_REQUEST_POWER_OFF], ==, 1);
}

#define ADD(name, func) g_test_add ("/ged/" name, Fixture, NULL, set_up, func, tear_down)

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  ADD ("power-button", test_power_button);
  ADD ("reset", test_reset);
  ADD ("only-s5-switches-off", test_only_s5_switches_off);
  return g_test_run ();
}
