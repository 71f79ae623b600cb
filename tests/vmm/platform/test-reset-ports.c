#include "platform/reset-ports.h"

#include "fake-sink.h"
#include "platform/pvpanic.h"

typedef struct Fixture
{
  FakeSink sink;
  AddressSpace *ports;
  ResetPorts *reset;
  Pvpanic *pvpanic;
} Fixture;

static void
set_up (Fixture *fixture, const void *data)
{
  fixture->ports = address_space_new ("ports", 0x10000);
  fixture->reset = reset_ports_new (fixture->ports, fake_sink_get (&fixture->sink));
  fixture->pvpanic = pvpanic_new (fixture->ports, fake_sink_get (&fixture->sink));
}

static void
tear_down (Fixture *fixture, const void *data)
{
  pvpanic_free (fixture->pvpanic);
  reset_ports_free (fixture->reset);
  address_space_free (fixture->ports);
}

static void
test_port_92 (Fixture *fixture, const void *data)
{
  g_assert_cmphex (address_space_read (fixture->ports, 0x92, 1), ==, 2);
  address_space_write (fixture->ports, 0x92, 1, 0);
  g_assert_cmphex (address_space_read (fixture->ports, 0x92, 1), ==, 0);
  g_assert_cmpuint (fixture->sink.requests[PLATFORM_REQUEST_RESET], ==, 0);
  address_space_write (fixture->ports, 0x92, 1, 1);
  g_assert_cmpuint (fixture->sink.requests[PLATFORM_REQUEST_RESET], ==, 1);
  reset_ports_reset (fixture->reset);
  g_assert_cmphex (address_space_read (fixture->ports, 0x92, 1), ==, 2);
}

static void
test_keyboard_controller (Fixture *fixture, const void *data)
{
  /* There is none: firmware that saw a status would wait for its answers. */
  g_assert_cmphex (address_space_read (fixture->ports, 0x64, 1), ==, 0xff);
  address_space_write (fixture->ports, 0x64, 1, 0xaa);
  g_assert_cmpuint (fixture->sink.requests[PLATFORM_REQUEST_RESET], ==, 0);
  address_space_write (fixture->ports, 0x64, 1, 0xfe);
  g_assert_cmpuint (fixture->sink.requests[PLATFORM_REQUEST_RESET], ==, 1);
}

static void
test_pvpanic (Fixture *fixture, const void *data)
{
  g_assert_cmphex (address_space_read (fixture->ports, PVPANIC_PORT, 1) & 1, ==, 1);
  /* A crash kernel takes over: the machine goes on. */
  g_test_expect_message ("vmm-guest", G_LOG_LEVEL_WARNING, "*crash kernel goes on*");
  address_space_write (fixture->ports, PVPANIC_PORT, 1, 2);
  g_test_assert_expected_messages ();
  g_assert_cmpuint (fixture->sink.requests[PLATFORM_REQUEST_PANICKED], ==, 0);
  address_space_write (fixture->ports, PVPANIC_PORT, 1, 1);
  g_assert_cmpuint (fixture->sink.requests[PLATFORM_REQUEST_PANICKED], ==, 1);
}

static void
add (const char *name, void (*test) (Fixture *fixture, const void *data))
{
  g_autofree char *path = g_strconcat ("/reset-ports/", name, NULL);

  g_test_add (path, Fixture, NULL, set_up, test, tear_down);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  add ("port-92", test_port_92);
  add ("keyboard-controller", test_keyboard_controller);
  add ("pvpanic", test_pvpanic);
  return g_test_run ();
}
