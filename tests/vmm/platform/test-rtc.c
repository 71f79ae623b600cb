#include "platform/rtc.h"

#include <gio/gio.h>

#define INDEX RTC_PORT
#define DATA  (RTC_PORT + 1)
#define B     11

/* 2031-02-28 23:59:58 UTC. */
#define START (INT64_C (1930089598) * 1000000)

static int64_t now;

static int64_t
get_now (void)
{
  return now;
}

typedef struct Fixture
{
  AddressSpace *ports;
  Rtc *rtc;
} Fixture;

static void
set_up (Fixture *fixture, const void *data)
{
  now = START;
  fixture->ports = address_space_new ("ports", 0x10000);
  fixture->rtc = rtc_new (fixture->ports, get_now);
}

static void
tear_down (Fixture *fixture, const void *data)
{
  rtc_free (fixture->rtc);
  address_space_free (fixture->ports);
}

static uint8_t
get (Fixture *fixture, uint8_t reg)
{
  address_space_write (fixture->ports, INDEX, 1, reg);
  return (uint8_t) address_space_read (fixture->ports, DATA, 1);
}

static void
put (Fixture *fixture, uint8_t reg, uint8_t value)
{
  address_space_write (fixture->ports, INDEX, 1, reg);
  address_space_write (fixture->ports, DATA, 1, value);
}

static void
assert_time (Fixture *fixture, const char *expected)
{
  g_autofree char *text = g_strdup_printf (
      "%02x%02x-%02x-%02x %02x:%02x:%02x", get (fixture, RTC_CENTURY), get (fixture, 9),
      get (fixture, 8), get (fixture, 7), get (fixture, 4), get (fixture, 2), get (fixture, 0));

  g_assert_cmpstr (text, ==, expected);
}

static void
test_tells_the_hosts_time_in_bcd (Fixture *fixture, const void *data)
{
  assert_time (fixture, "2031-02-28 23:59:58");
  g_assert_cmphex (get (fixture, 6), ==, 6); /* Friday; Sunday is 1 */
  now += 2000000;
  assert_time (fixture, "2031-03-01 00:00:00");
}

static void
test_binary_and_twelve_hours (Fixture *fixture, const void *data)
{
  put (fixture, B, 0x04); /* binary, 12 hours */
  g_assert_cmpuint (get (fixture, 4), ==, 0x80 | 11);
  g_assert_cmpuint (get (fixture, 2), ==, 59);
  now += 2000000;
  g_assert_cmpuint (get (fixture, 4), ==, 12); /* midnight */
}

static void
test_the_guest_sets_the_clock (Fixture *fixture, const void *data)
{
  put (fixture, B, 0x82);
  put (fixture, 4, 0x12);
  put (fixture, 2, 0x34);
  put (fixture, 0, 0x56);
  now += 5000000; /* it stands still meanwhile */
  put (fixture, B, 0x02);
  assert_time (fixture, "2031-02-28 12:34:56");
  now += 4000000;
  assert_time (fixture, "2031-02-28 12:35:00");
  /* The offset survives a reset, as the battery does. */
  rtc_reset (fixture->rtc);
  assert_time (fixture, "2031-02-28 12:35:00");
}

static void
test_a_date_that_does_not_exist_changes_nothing (Fixture *fixture, const void *data)
{
  put (fixture, B, 0x82);
  put (fixture, 8, 0x99);
  put (fixture, 7, 0xff);
  put (fixture, B, 0x02);
  assert_time (fixture, "2031-02-28 23:59:58");
}

static void
test_update_in_progress_shows_before_the_second_turns (Fixture *fixture, const void *data)
{
  g_assert_false (get (fixture, 10) & 0x80);
  now += 999900;
  g_assert_true (get (fixture, 10) & 0x80);
  now += 200;
  g_assert_false (get (fixture, 10) & 0x80);
}

static void
test_cmos_ram_and_the_ends_of_the_index (Fixture *fixture, const void *data)
{
  put (fixture, 0x7f, 0xa5);
  g_assert_cmphex (get (fixture, 0x7f), ==, 0xa5);
  /* Bit 7 masks NMIs and is no part of the index. */
  g_assert_cmphex (get (fixture, 0xff), ==, 0xa5);
  g_assert_cmphex (get (fixture, 13), ==, 0x80);
}

static void
add (const char *name, void (*test) (Fixture *fixture, const void *data))
{
  g_autofree char *path = g_strconcat ("/rtc/", name, NULL);

  g_test_add (path, Fixture, NULL, set_up, test, tear_down);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  add ("bcd", test_tells_the_hosts_time_in_bcd);
  add ("binary", test_binary_and_twelve_hours);
  add ("set", test_the_guest_sets_the_clock);
  add ("bad-date", test_a_date_that_does_not_exist_changes_nothing);
  add ("uip", test_update_in_progress_shows_before_the_second_turns);
  add ("hostile-17-cmos", test_cmos_ram_and_the_ends_of_the_index);
  return g_test_run ();
}
