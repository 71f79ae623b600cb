#include "spice/xt-keymap.h"

#include <glib.h>
#include <linux/input-event-codes.h>

/* Feeds bytes; the last must complete a key, the others none. */
static void
assert_key (const uint8_t *bytes, unsigned n, uint16_t key, int down)
{
  XtKeymap keymap = { 0 };
  int was_down = -1;

  for (unsigned i = 0; i + 1 < n; i++)
    g_assert_cmpuint (xt_keymap_push (&keymap, bytes[i], &was_down), ==, 0);
  g_assert_cmpuint (xt_keymap_push (&keymap, bytes[n - 1], &was_down), ==, key);
  if (key)
    g_assert_cmpint (was_down, ==, down);
  /* Whatever was sent, the next key is heard. */
  g_assert_cmpuint (xt_keymap_push (&keymap, 0x1e, &was_down), ==, KEY_A);
  g_assert_cmpint (was_down, ==, 1);
}

#define ASSERT_KEY(key, down, ...)                                                                 \
  assert_key ((const uint8_t[]){ __VA_ARGS__ }, sizeof ((const uint8_t[]){ __VA_ARGS__ }), key,    \
              down)

static void
test_keys (void)
{
  ASSERT_KEY (KEY_ESC, 1, 0x01);
  ASSERT_KEY (KEY_ESC, 0, 0x81);
  ASSERT_KEY (KEY_F12, 1, 0x58);
  ASSERT_KEY (KEY_102ND, 1, 0x56);
  ASSERT_KEY (KEY_RO, 1, 0x73);
}

static void
test_extended_keys (void)
{
  ASSERT_KEY (KEY_RIGHTCTRL, 1, 0xe0, 0x1d);
  ASSERT_KEY (KEY_RIGHTCTRL, 0, 0xe0, 0x9d);
  ASSERT_KEY (KEY_LEFTMETA, 1, 0xe0, 0x5b);
  ASSERT_KEY (KEY_UP, 0, 0xe0, 0xc8);
  ASSERT_KEY (KEY_DELETE, 1, 0xe0, 0x53);
  ASSERT_KEY (KEY_SYSRQ, 1, 0xe0, 0x37);
}

static void
test_pause_is_a_row_of_three (void)
{
  ASSERT_KEY (KEY_PAUSE, 1, 0xe1, 0x1d, 0x45);
  ASSERT_KEY (KEY_PAUSE, 0, 0xe1, 0x9d, 0xc5);
}

static void
test_what_is_no_key (void)
{
  ASSERT_KEY (0, 0, 0xe0, 0x00);
  ASSERT_KEY (0, 0, 0x7f);
  ASSERT_KEY (0, 0, 0xe1, 0x1d, 0x46);
}

/* Any bytes: never a code beyond the keyboard's. */
static void
test_any_bytes (void)
{
  XtKeymap keymap = { 0 };
  int down;

  for (unsigned i = 0; i < 100000; i++)
    g_assert_cmpuint (xt_keymap_push (&keymap, (uint8_t) g_test_rand_int (), &down), <, BTN_MISC);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/xt-keymap/keys", test_keys);
  g_test_add_func ("/xt-keymap/extended", test_extended_keys);
  g_test_add_func ("/xt-keymap/pause", test_pause_is_a_row_of_three);
  g_test_add_func ("/xt-keymap/no-key", test_what_is_no_key);
  g_test_add_func ("/xt-keymap/any-bytes", test_any_bytes);
  return g_test_run ();
}
