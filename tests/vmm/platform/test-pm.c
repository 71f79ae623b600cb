#include "platform/pm.h"

#include "fake-sink.h"

#define STATUS  PM_BASE
#define ENABLE  (PM_BASE + 2)
#define CONTROL (PM_BASE + 4)
#define TIMER   (PM_BASE + 8)
#define PWRBTN  0x100

static int64_t now;

static int64_t
get_now (void)
{
  return now;
}

typedef struct Fixture
{
  FakeSink sink;
  AddressSpace *ports;
  Pm *pm;
} Fixture;

static void
set_up (Fixture *fixture, const void *data)
{
  now = 5000000;
  fixture->ports = address_space_new ("ports", 0x10000);
  fixture->pm = pm_new (fixture->ports, fake_sink_get_line (&fixture->sink),
                        fake_sink_get (&fixture->sink), get_now);
}

static void
tear_down (Fixture *fixture, const void *data)
{
  pm_free (fixture->pm);
  address_space_free (fixture->ports);
}

static void
test_power_button (Fixture *fixture, const void *data)
{
  pm_press_power_button (fixture->pm);
  g_assert_cmphex (address_space_read (fixture->ports, STATUS, 2), ==, PWRBTN);
  g_assert_false (fixture->sink.level);
  /* Enabling it afterwards raises the SCI: the press is not lost. */
  address_space_write (fixture->ports, ENABLE, 2, PWRBTN);
  g_assert_true (fixture->sink.level);
  /* A one clears, a zero does not. */
  address_space_write (fixture->ports, STATUS, 2, 0);
  g_assert_true (fixture->sink.level);
  address_space_write (fixture->ports, STATUS, 2, PWRBTN);
  g_assert_false (fixture->sink.level);
  g_assert_cmphex (address_space_read (fixture->ports, STATUS, 4), ==, PWRBTN << 16);
}

static void
test_only_s5_with_slp_en_switches_off (Fixture *fixture, const void *data)
{
  uint16_t s5 = PM_SLP_TYP_S5 << 10;

  address_space_write (fixture->ports, CONTROL, 2, s5);
  g_assert_cmpuint (fixture->sink.requests[PLATFORM_REQUEST_POWER_OFF], ==, 0);
  g_assert_cmphex (address_space_read (fixture->ports, CONTROL, 2), ==, s5 | 1);
  for (unsigned type = 0; type < 8; type++)
    if (type != PM_SLP_TYP_S5)
      address_space_write (fixture->ports, CONTROL, 2, type << 10 | 1 << 13);
  g_assert_cmpuint (fixture->sink.requests[PLATFORM_REQUEST_POWER_OFF], ==, 0);
  address_space_write (fixture->ports, CONTROL, 2, s5 | 1 << 13);
  g_assert_cmpuint (fixture->sink.requests[PLATFORM_REQUEST_POWER_OFF], ==, 1);
}

static void
test_timer_counts_at_its_rate (Fixture *fixture, const void *data)
{
  g_assert_cmpuint (address_space_read (fixture->ports, TIMER, 4), ==, 0);
  now += 1000000;
  g_assert_cmpuint (address_space_read (fixture->ports, TIMER, 4), ==, 3579545);
  /* It wraps at 32 bits, after 20 minutes. */
  now += INT64_C (1200) * 1000000;
  g_assert_cmpuint (address_space_read (fixture->ports, TIMER, 4), ==,
                    (uint32_t) (INT64_C (1201) * 3579545));
}

static void
test_reset_lowers_the_line (Fixture *fixture, const void *data)
{
  address_space_write (fixture->ports, ENABLE, 2, PWRBTN);
  pm_press_power_button (fixture->pm);
  g_assert_true (fixture->sink.level);
  pm_reset (fixture->pm);
  g_assert_false (fixture->sink.level);
  g_assert_cmphex (address_space_read (fixture->ports, STATUS, 4), ==, 0);
}

static void
add (const char *name, void (*test) (Fixture *fixture, const void *data))
{
  g_autofree char *path = g_strconcat ("/pm/", name, NULL);

  g_test_add (path, Fixture, NULL, set_up, test, tear_down);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  /* What guests do wrong is logged as warnings, at a limited rate. */
  g_log_set_always_fatal (G_LOG_FATAL_MASK | G_LOG_LEVEL_CRITICAL);
  add ("power-button", test_power_button);
  add ("s5", test_only_s5_with_slp_en_switches_off);
  add ("timer", test_timer_counts_at_its_rate);
  add ("reset", test_reset_lowers_the_line);
  return g_test_run ();
}
