#include "platform/serial.h"

#include <string.h>
#include <unistd.h>
#include <glib-unix.h>

#include "fake-sink.h"

#define BASE SERIAL_COM1
enum
{
  DATA,
  IER,
  IIR,
  LCR,
  MCR,
  LSR,
  MSR,
  SCR
};

typedef struct Fixture
{
  FakeSink sink;
  AddressSpace *ports;
  CharPort *port;
  Serial *serial;
  int in, out; /* what the host types and reads */
} Fixture;

static void
set_up (Fixture *fixture, const void *data)
{
  int in[2], out[2];

  g_assert_true (g_unix_open_pipe (in, FD_CLOEXEC, NULL));
  g_assert_true (g_unix_open_pipe (out, FD_CLOEXEC, NULL));
  g_unix_set_fd_nonblocking (out[0], TRUE, NULL);
  fixture->in = in[1];
  fixture->out = out[0];
  fixture->ports = address_space_new ("ports", 0x10000);
  fixture->port = char_port_new (in[0], out[1]);
  fixture->serial =
      serial_new (fixture->ports, BASE, fake_sink_get_line (&fixture->sink), fixture->port);
}

static void
tear_down (Fixture *fixture, const void *data)
{
  serial_free (fixture->serial);
  char_port_free (fixture->port);
  address_space_free (fixture->ports);
  close (fixture->in);
  close (fixture->out);
}

static uint8_t
get (Fixture *fixture, unsigned reg)
{
  return (uint8_t) address_space_read (fixture->ports, BASE + reg, 1);
}

static void
put (Fixture *fixture, unsigned reg, uint8_t value)
{
  address_space_write (fixture->ports, BASE + reg, 1, value);
}

static void
type (Fixture *fixture, const char *text)
{
  g_assert_cmpint (write (fixture->in, text, strlen (text)), ==, (gssize) strlen (text));
  while (!(get (fixture, LSR) & 1))
    g_main_context_iteration (NULL, TRUE);
}

static void
test_sends (Fixture *fixture, const void *data)
{
  char heard[4] = "";

  put (fixture, DATA, 'o');
  put (fixture, DATA, 'k');
  g_assert_cmpint (read (fixture->out, heard, sizeof heard), ==, 2);
  g_assert_cmpstr (heard, ==, "ok");
  g_assert_cmphex (get (fixture, LSR) & 0x60, ==, 0x60);
}

static void
test_transmitter_interrupt (Fixture *fixture, const void *data)
{
  put (fixture, MCR, 0x08); /* OUT2 */
  put (fixture, IER, 0x02);
  g_assert_true (fixture->sink.level);
  g_assert_cmphex (get (fixture, IIR) & 0x0f, ==, 0x02); /* reading it acknowledges */
  g_assert_false (fixture->sink.level);
  put (fixture, DATA, 'x');
  g_assert_true (fixture->sink.level);
}

static void
test_receives_with_interrupt (Fixture *fixture, const void *data)
{
  put (fixture, IIR, 0x01); /* FCR: FIFOs on, trigger at 1 */
  put (fixture, IER, 0x01);
  put (fixture, MCR, 0x08);
  type (fixture, "ab");
  g_assert_true (fixture->sink.level);
  g_assert_cmphex (get (fixture, IIR) & 0x0f, ==, 0x04);
  g_assert_cmphex (get (fixture, DATA), ==, 'a');
  while (!(get (fixture, LSR) & 1))
    g_main_context_iteration (NULL, TRUE);
  g_assert_cmphex (get (fixture, DATA), ==, 'b');
  g_assert_false (get (fixture, LSR) & 1);
  g_assert_false (fixture->sink.level);
}

static void
test_nothing_is_lost_when_more_is_typed_than_fits (Fixture *fixture, const void *data)
{
  char typed[101] = "", heard[101] = "";

  for (unsigned i = 0; i < 100; i++)
    typed[i] = (char) ('!' + i % 90);
  put (fixture, IIR, 0x01);
  type (fixture, typed);
  for (unsigned i = 0; i < 100; i++)
    {
      while (!(get (fixture, LSR) & 1))
        g_main_context_iteration (NULL, TRUE);
      g_assert_false (get (fixture, LSR) & 0x02); /* no overrun */
      heard[i] = (char) get (fixture, DATA);
    }
  g_assert_cmpstr (heard, ==, typed);
}

static void
test_out2_connects_the_line (Fixture *fixture, const void *data)
{
  put (fixture, IER, 0x02);
  g_assert_false (fixture->sink.level);
  put (fixture, MCR, 0x08);
  g_assert_true (fixture->sink.level);
  serial_reset (fixture->serial);
  g_assert_false (fixture->sink.level);
}

static void
test_divisor_scratch_and_loop (Fixture *fixture, const void *data)
{
  put (fixture, SCR, 0x5a);
  g_assert_cmphex (get (fixture, SCR), ==, 0x5a);
  put (fixture, LCR, 0x83);
  put (fixture, DATA, 0x01);
  put (fixture, IER, 0x02);
  g_assert_cmphex (get (fixture, DATA), ==, 0x01);
  g_assert_cmphex (get (fixture, IER), ==, 0x02);
  put (fixture, LCR, 0x03);
  g_assert_cmphex (get (fixture, IER), ==, 0x00);
  /* How Linux finds out whether there is a port: OUT1 and OUT2 come back as RI and DCD. */
  put (fixture, MCR, 0x1a);
  g_assert_cmphex (get (fixture, MSR) & 0xf0, ==, 0x90);
}

static void
test_an_unplugged_line_swallows (Fixture *fixture, const void *data)
{
  g_autoptr (AddressSpace) ports = address_space_new ("ports", 0x10000);
  Serial *serial = serial_new (ports, BASE, (IrqLine){ 0 }, NULL);

  for (unsigned i = 0; i < 1000; i++)
    address_space_write (ports, BASE, 1, 'x');
  g_assert_cmphex (address_space_read (ports, BASE + LSR, 1) & 0x60, ==, 0x60);
  serial_free (serial);
}

static void
add (const char *name, void (*test) (Fixture *fixture, const void *data))
{
  g_autofree char *path = g_strconcat ("/serial/", name, NULL);

  g_test_add (path, Fixture, NULL, set_up, test, tear_down);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  add ("sends", test_sends);
  add ("transmitter-interrupt", test_transmitter_interrupt);
  add ("receives", test_receives_with_interrupt);
  add ("nothing-lost", test_nothing_is_lost_when_more_is_typed_than_fits);
  add ("out2", test_out2_connects_the_line);
  add ("registers", test_divisor_scratch_and_loop);
  add ("unplugged", test_an_unplugged_line_swallows);
  return g_test_run ();
}
