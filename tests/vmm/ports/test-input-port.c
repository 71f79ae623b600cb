#include "ports/input-port.h"

#include <linux/input-event-codes.h>

typedef struct Heard
{
  GArray *events;
  unsigned groups;
} Heard;

static void
hear (void *opaque, const InputEvent *events, unsigned n_events)
{
  Heard *heard = opaque;
  g_array_append_vals (heard->events, events, n_events);
  heard->groups++;
}

static InputPort *
port_new (Heard *heard)
{
  InputPort *port = input_port_new ();
  *heard = (Heard){ .events = g_array_new (FALSE, FALSE, sizeof (InputEvent)) };
  input_port_set_listener (port, INPUT_KEYBOARD, hear, heard);
  input_port_set_listener (port, INPUT_POINTER, hear, heard);
  return port;
}

static void
test_repeats_and_impossible_codes_are_left_out (void)
{
  Heard heard;
  g_autoptr (InputPort) port = port_new (&heard);
  const InputEvent events[] = {
    { EV_KEY, KEY_A, 1 },   { EV_KEY, KEY_A, 1 },      { EV_KEY, KEY_B, 0 },
    { EV_KEY, KEY_CNT, 1 }, { EV_KEY, UINT16_MAX, 1 }, { EV_SYN, 0, 0 },
  };

  input_port_send (port, INPUT_KEYBOARD, events, G_N_ELEMENTS (events));
  g_assert_cmpuint (heard.events->len, ==, 1);
  g_assert_cmpuint (g_array_index (heard.events, InputEvent, 0).code, ==, KEY_A);
  input_port_send (port, INPUT_KEYBOARD, events, 1);
  g_assert_cmpuint (heard.groups, ==, 1);
  g_array_unref (heard.events);
}

static void
test_release_all_lets_go_of_what_is_down (void)
{
  Heard heard;
  g_autoptr (InputPort) port = port_new (&heard);
  const InputEvent keys[] = { { EV_KEY, KEY_LEFTCTRL, 1 },
                              { EV_KEY, KEY_C, 1 },
                              { EV_KEY, KEY_C, 0 } };
  const InputEvent button = { EV_KEY, BTN_LEFT, 1 };

  input_port_send (port, INPUT_KEYBOARD, keys, G_N_ELEMENTS (keys));
  input_port_send (port, INPUT_POINTER, &button, 1);
  g_array_set_size (heard.events, 0);
  input_port_release_all (port);
  g_assert_cmpuint (heard.events->len, ==, 2);
  for (unsigned i = 0; i < 2; i++)
    g_assert_cmpint (g_array_index (heard.events, InputEvent, i).value, ==, 0);
  g_assert_cmpuint (g_array_index (heard.events, InputEvent, 0).code, ==, KEY_LEFTCTRL);
  g_assert_cmpuint (g_array_index (heard.events, InputEvent, 1).code, ==, BTN_LEFT);
  input_port_release_all (port);
  g_assert_cmpuint (heard.events->len, ==, 2);
  g_array_unref (heard.events);
}

static void
hear_leds (void *opaque, uint32_t leds)
{
  g_array_append_val ((GArray *) opaque, leds);
}

static void
test_leds_are_told_at_once_and_on_change (void)
{
  g_autoptr (InputPort) port = input_port_new ();
  g_autoptr (GArray) told = g_array_new (FALSE, FALSE, sizeof (uint32_t));

  input_port_set_leds (port, 1 << LED_CAPSL);
  input_port_watch_leds (port, hear_leds, told);
  input_port_set_leds (port, 1 << LED_CAPSL);
  input_port_set_leds (port, 0);
  g_assert_cmpuint (told->len, ==, 2);
  g_assert_cmpuint (g_array_index (told, uint32_t, 0), ==, 1 << LED_CAPSL);
  g_assert_cmpuint (g_array_index (told, uint32_t, 1), ==, 0);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/input-port/repeats-and-impossible-codes-are-left-out",
                   test_repeats_and_impossible_codes_are_left_out);
  g_test_add_func ("/input-port/release-all-lets-go-of-what-is-down",
                   test_release_all_lets_go_of_what_is_down);
  g_test_add_func ("/input-port/leds-are-told-at-once-and-on-change",
                   test_leds_are_told_at_once_and_on_change);
  return g_test_run ();
}
