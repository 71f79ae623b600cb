#include "platform/i8042.h"

#include <linux/input-event-codes.h>

#include "fake-sink.h"

typedef struct Fixture
{
  FakeSink keyboard_line;
  FakeSink mouse_line;
  FakeSink machine;
  AddressSpace *ports;
  InputPort *input;
  I8042 *i8042;
  uint32_t leds;
} Fixture;

static void
set_up (Fixture *f, const void *data)
{
  f->ports = address_space_new ("ports", 0x10000);
  f->input = input_port_new ();
  const I8042Config config = {
    .ports = f->ports,
    .keyboard_irq = fake_sink_get_line (&f->keyboard_line),
    .mouse_irq = fake_sink_get_line (&f->mouse_line),
    .sink = fake_sink_get (&f->machine),
    .input = f->input,
  };
  f->i8042 = i8042_new (&config);
}

static void
tear_down (Fixture *f, const void *data)
{
  i8042_free (f->i8042);
  input_port_free (f->input);
  address_space_free (f->ports);
}

static uint8_t
status (Fixture *f)
{
  return (uint8_t) address_space_read (f->ports, I8042_COMMAND, 1);
}

static void
command (Fixture *f, uint8_t byte)
{
  address_space_write (f->ports, I8042_COMMAND, 1, byte);
}

static void
send (Fixture *f, uint8_t byte)
{
  address_space_write (f->ports, I8042_DATA, 1, byte);
}

static uint8_t
receive (Fixture *f)
{
  g_assert_true (status (f) & 1);
  return (uint8_t) address_space_read (f->ports, I8042_DATA, 1);
}

static void
assert_bytes (Fixture *f, const uint8_t *bytes, unsigned n)
{
  for (unsigned i = 0; i < n; i++)
    g_assert_cmphex (receive (f), ==, bytes[i]);
  g_assert_cmphex (status (f) & 1, ==, 0);
}

#define ASSERT_BYTES(f, ...)                                                                       \
  assert_bytes (f, (const uint8_t[]){ __VA_ARGS__ }, sizeof ((const uint8_t[]){ __VA_ARGS__ }))

static void
set_mode (Fixture *f, uint8_t mode)
{
  command (f, 0x60);
  send (f, mode);
}

static void
to_mouse (Fixture *f, uint8_t byte)
{
  command (f, 0xd4);
  send (f, byte);
}

static void
press (Fixture *f, uint16_t code, bool down)
{
  const InputEvent event = { EV_KEY, code, down };

  input_port_send (f->input, INPUT_KEYBOARD, &event, 1);
}

static void
point (Fixture *f, uint16_t type, uint16_t code, int32_t value)
{
  const InputEvent event = { type, code, value };

  input_port_send (f->input, INPUT_POINTER, &event, 1);
}

/* What drivers ask before they believe in it. */
static void
test_controller (Fixture *f, const void *data)
{
  g_assert_cmphex (status (f) & 0x0f, ==, 0);
  command (f, 0xaa);
  ASSERT_BYTES (f, 0x55);
  g_assert_cmphex (status (f) & 0x04, ==, 0x04);
  command (f, 0xab);
  ASSERT_BYTES (f, 0);
  command (f, 0xa9);
  ASSERT_BYTES (f, 0);
  set_mode (f, 0x47);
  command (f, 0x20);
  ASSERT_BYTES (f, 0x47);
  command (f, 0xa7);
  command (f, 0x20);
  ASSERT_BYTES (f, 0x67);
  command (f, 0xd3); /* a loop to the mouse's interrupt */
  send (f, 0x5a);
  g_assert_cmphex (status (f) & 0x21, ==, 0x21);
  g_assert_true (f->mouse_line.level);
  ASSERT_BYTES (f, 0x5a);
  g_assert_false (f->mouse_line.level);
}

static void
test_reset_line (Fixture *f, const void *data)
{
  command (f, 0xff);
  command (f, 0xfd);
  g_assert_cmpuint (f->machine.requests[PLATFORM_REQUEST_RESET], ==, 0);
  command (f, 0xfe);
  g_assert_cmpuint (f->machine.requests[PLATFORM_REQUEST_RESET], ==, 1);
  command (f, 0xd1);
  send (f, 0xdf);
  g_assert_cmpuint (f->machine.requests[PLATFORM_REQUEST_RESET], ==, 1);
  command (f, 0xd1);
  send (f, 0xde);
  g_assert_cmpuint (f->machine.requests[PLATFORM_REQUEST_RESET], ==, 2);
}

static void
test_keyboard_commands (Fixture *f, const void *data)
{
  send (f, 0xff);
  ASSERT_BYTES (f, 0xfa, 0xaa);
  send (f, 0xf2);
  ASSERT_BYTES (f, 0xfa, 0xab, 0x83);
  send (f, 0xee);
  ASSERT_BYTES (f, 0xee);
  send (f, 0xf0);
  ASSERT_BYTES (f, 0xfa);
  send (f, 0);
  ASSERT_BYTES (f, 0xfa, 2);
  send (f, 0xf0);
  send (f, 3); /* is not offered */
  ASSERT_BYTES (f, 0xfa, 0xfe);
  send (f, 0xc3);
  ASSERT_BYTES (f, 0xfe);
  send (f, 0xf4);
  ASSERT_BYTES (f, 0xfa);
}

/* Set 2 as it is, and as firmware wants it: set 1 by translation. */
static void
test_keys (Fixture *f, const void *data)
{
  set_mode (f, 0x01);
  press (f, KEY_A, true);
  g_assert_true (f->keyboard_line.level);
  press (f, KEY_A, false);
  ASSERT_BYTES (f, 0x1c, 0xf0, 0x1c);
  g_assert_false (f->keyboard_line.level);
  press (f, KEY_DOWN, true);
  press (f, KEY_DOWN, false);
  ASSERT_BYTES (f, 0xe0, 0x72, 0xe0, 0xf0, 0x72);
  press (f, KEY_F7, true);
  press (f, KEY_F7, false);
  ASSERT_BYTES (f, 0x83, 0xf0, 0x83);
  press (f, KEY_PAUSE, true);
  press (f, KEY_PAUSE, false);
  ASSERT_BYTES (f, 0xe1, 0x14, 0x77, 0xe1, 0xf0, 0x14, 0xf0, 0x77);
  set_mode (f, 0x41);
  press (f, KEY_A, true);
  press (f, KEY_A, false);
  ASSERT_BYTES (f, 0x1e, 0x9e);
  press (f, KEY_DOWN, true);
  press (f, KEY_DOWN, false);
  ASSERT_BYTES (f, 0xe0, 0x50, 0xe0, 0xd0);
  press (f, KEY_F7, true);
  press (f, KEY_F7, false);
  ASSERT_BYTES (f, 0x41, 0xc1);
  press (f, KEY_PAUSE, true);
  press (f, KEY_PAUSE, false);
  ASSERT_BYTES (f, 0xe1, 0x1d, 0x45, 0xe1, 0x9d, 0xc5);
}

/* Every key of a PC keyboard says the same by translation as in set 1. */
static void
test_translation_is_set_1 (Fixture *f, const void *data)
{
  for (uint16_t code = 1; code < KEY_CNT; code++)
    {
      uint8_t translated[16], plain[16];
      unsigned n_translated = 0, n_plain = 0;

      set_mode (f, 0x40);
      send (f, 0xf6);
      ASSERT_BYTES (f, 0xfa);
      press (f, code, true);
      press (f, code, false);
      while (status (f) & 1)
        translated[n_translated++] = receive (f);
      set_mode (f, 0);
      send (f, 0xf0);
      send (f, 1);
      ASSERT_BYTES (f, 0xfa, 0xfa);
      press (f, code, true);
      press (f, code, false);
      while (status (f) & 1)
        plain[n_plain++] = receive (f);
      g_assert_cmpmem (translated, n_translated, plain, n_plain);
    }
}

/* Each byte raises the line anew: an edge for each. */
static void
test_an_edge_a_byte (Fixture *f, const void *data)
{
  set_mode (f, 0x01);
  press (f, KEY_UP, true);
  g_assert_cmpuint (f->keyboard_line.level_changes, ==, 1);
  receive (f);
  g_assert_cmpuint (f->keyboard_line.level_changes, ==, 3);
  g_assert_true (f->keyboard_line.level);
  receive (f);
  g_assert_false (f->keyboard_line.level);
  press (f, KEY_UP, false);
  set_mode (f, 0);
  g_assert_false (f->keyboard_line.level);
}

/* A driver that does not read loses presses, but no key stays down. */
static void
test_flood_of_keys (Fixture *f, const void *data)
{
  bool down[256] = { false };
  bool breaking = false;

  set_mode (f, 0);
  for (uint16_t code = KEY_1; code <= KEY_F10; code++)
    press (f, code, true);
  for (uint16_t code = KEY_1; code <= KEY_F10; code++)
    press (f, code, false);
  unsigned n = 0;
  for (; status (f) & 1; n++)
    {
      const uint8_t byte = receive (f);

      if (byte != 0xf0)
        {
          g_assert_cmpint (down[byte], ==, breaking);
          down[byte] = !breaking;
        }
      breaking = byte == 0xf0;
    }
  g_assert_cmpuint (n, >, 60);
  for (unsigned i = 0; i < G_N_ELEMENTS (down); i++)
    g_assert_false (down[i]);
}

/* What the guest drives better is not told twice; but a key that was pressed here is let go here. */
static void
test_fallback (Fixture *f, const void *data)
{
  set_mode (f, 0x40);
  press (f, KEY_A, true);
  ASSERT_BYTES (f, 0x1e);
  input_port_set_driven (f->input, INPUT_KEYBOARD, true);
  press (f, KEY_B, true);
  press (f, KEY_A, false);
  press (f, KEY_B, false);
  ASSERT_BYTES (f, 0x9e);
  input_port_set_driven (f->input, INPUT_KEYBOARD, false);
  press (f, KEY_B, true);
  ASSERT_BYTES (f, 0x30);
}

static void
watch_leds (void *opaque, uint32_t leds)
{
  Fixture *f = opaque;

  f->leds = leds;
}

static void
test_leds (Fixture *f, const void *data)
{
  input_port_watch_leds (f->input, watch_leds, f);
  send (f, 0xed);
  send (f, 4);
  ASSERT_BYTES (f, 0xfa, 0xfa);
  while (g_main_context_iteration (NULL, FALSE))
    ;
  g_assert_cmphex (f->leds, ==, 1 << LED_CAPSL);
  input_port_watch_leds (f->input, NULL, NULL);
}

static void
start_mouse (Fixture *f)
{
  set_mode (f, 0x02);
  to_mouse (f, 0xff);
  ASSERT_BYTES (f, 0xfa, 0xaa, 0);
  to_mouse (f, 0xf4);
  ASSERT_BYTES (f, 0xfa);
}

static void
rates (Fixture *f, uint8_t a, uint8_t b, uint8_t c)
{
  const uint8_t values[] = { a, b, c };

  for (unsigned i = 0; i < 3; i++)
    {
      to_mouse (f, 0xf3);
      to_mouse (f, values[i]);
      ASSERT_BYTES (f, 0xfa, 0xfa);
    }
}

static void
test_mouse_packets (Fixture *f, const void *data)
{
  start_mouse (f);
  point (f, EV_ABS, ABS_X, 16384);
  point (f, EV_ABS, ABS_Y, 16384);
  g_assert_cmphex (status (f) & 1, ==, 0); /* nothing is known to have moved */
  point (f, EV_ABS, ABS_X, 16384 + 32 * 10);
  g_assert_cmphex (status (f) & 0x21, ==, 0x21);
  g_assert_true (f->mouse_line.level);
  ASSERT_BYTES (f, 0x08, 10, 0);
  point (f, EV_ABS, ABS_Y, 32767);
  ASSERT_BYTES (f, 0x28, 0, 1, 0x28, 0, 0x100 - (383 - 255));
  point (f, EV_KEY, BTN_RIGHT, 1);
  point (f, EV_KEY, BTN_RIGHT, 0);
  ASSERT_BYTES (f, 0x0a, 0, 0, 0x08, 0, 0);
}

static void
test_wheel (Fixture *f, const void *data)
{
  start_mouse (f);
  rates (f, 200, 100, 80);
  to_mouse (f, 0xf2);
  ASSERT_BYTES (f, 0xfa, 3);
  point (f, EV_REL, REL_WHEEL, 1);
  ASSERT_BYTES (f, 0x08, 0, 0, 0xff);
  rates (f, 200, 200, 80);
  to_mouse (f, 0xf2);
  ASSERT_BYTES (f, 0xfa, 4);
  point (f, EV_REL, REL_WHEEL, -2);
  ASSERT_BYTES (f, 0x08, 0, 0, 2);
  point (f, EV_KEY, BTN_SIDE, 1);
  ASSERT_BYTES (f, 0x08, 0, 0, 0x10);
}

static void
test_mouse_commands (Fixture *f, const void *data)
{
  start_mouse (f);
  to_mouse (f, 0xe8);
  to_mouse (f, 3);
  to_mouse (f, 0xe7);
  ASSERT_BYTES (f, 0xfa, 0xfa, 0xfa);
  to_mouse (f, 0xe9);
  ASSERT_BYTES (f, 0xfa, 0x30, 3, 100);
  to_mouse (f, 0xf0);
  ASSERT_BYTES (f, 0xfa);
  point (f, EV_KEY, BTN_LEFT, 1);
  g_assert_cmphex (status (f) & 1, ==, 0);
  to_mouse (f, 0xeb);
  ASSERT_BYTES (f, 0xfa, 0x09, 0, 0);
  to_mouse (f, 0xee);
  ASSERT_BYTES (f, 0xfa);
  to_mouse (f, 0x17);
  ASSERT_BYTES (f, 0x17);
  to_mouse (f, 0xec);
  ASSERT_BYTES (f, 0xfa);
  to_mouse (f, 0x17);
  ASSERT_BYTES (f, 0xfe);
}

/* Far movements while nobody reads: bounded, and the way is told when there is room. */
static void
test_flood_of_movements (Fixture *f, const void *data)
{
  unsigned n = 0;

  start_mouse (f);
  for (unsigned i = 0; i < 10000; i++)
    point (f, EV_ABS, i % 2 ? ABS_X : ABS_Y, (int32_t) (i * 7919 % 32768));
  point (f, EV_ABS, ABS_X, INT32_MAX);
  point (f, EV_ABS, ABS_X, INT32_MIN);
  for (; status (f) & 1; n++)
    receive (f);
  g_assert_cmpuint (n % 3, ==, 0);
  g_assert_cmpuint (n, <, 300);
}

static void
add (const char *name, void (*test) (Fixture *f, const void *data))
{
  g_autofree char *path = g_strconcat ("/i8042/", name, NULL);

  g_test_add (path, Fixture, NULL, set_up, test, tear_down);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  add ("controller", test_controller);
  add ("reset-line", test_reset_line);
  add ("keyboard-commands", test_keyboard_commands);
  add ("keys", test_keys);
  add ("translation-is-set-1", test_translation_is_set_1);
  add ("an-edge-a-byte", test_an_edge_a_byte);
  add ("flood-of-keys", test_flood_of_keys);
  add ("fallback", test_fallback);
  add ("leds", test_leds);
  add ("mouse-packets", test_mouse_packets);
  add ("wheel", test_wheel);
  add ("mouse-commands", test_mouse_commands);
  add ("flood-of-movements", test_flood_of_movements);
  return g_test_run ();
}
