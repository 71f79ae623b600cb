#include "input/evdev-keymap.h"

#include <linux/input-event-codes.h>

#include "spice/xt-keymap.h"

/* By the keyboard controllers' own lists (PS/2 set 1), not by our table. */
static void
test_well_known_keys (void)
{
  static const guint16 keys[][2] = {
    { KEY_ESC, 0x01 },       { KEY_1, 0x02 },
    { KEY_A, 0x1e },         { KEY_Z, 0x2c },
    { KEY_ENTER, 0x1c },     { KEY_SPACE, 0x39 },
    { KEY_F1, 0x3b },        { KEY_F10, 0x44 },
    { KEY_F11, 0x57 },       { KEY_F12, 0x58 },
    { KEY_102ND, 0x56 },     { KEY_KP0, 0x52 },
    { KEY_LEFTCTRL, 0x1d },  { KEY_RIGHTCTRL, 0x11d },
    { KEY_LEFTALT, 0x38 },   { KEY_RIGHTALT, 0x138 },
    { KEY_LEFTMETA, 0x15b }, { KEY_RIGHTMETA, 0x15c },
    { KEY_COMPOSE, 0x15d },  { KEY_DELETE, 0x153 },
    { KEY_INSERT, 0x152 },   { KEY_HOME, 0x147 },
    { KEY_END, 0x14f },      { KEY_PAGEUP, 0x149 },
    { KEY_PAGEDOWN, 0x151 }, { KEY_UP, 0x148 },
    { KEY_DOWN, 0x150 },     { KEY_LEFT, 0x14b },
    { KEY_RIGHT, 0x14d },    { KEY_KPENTER, 0x11c },
    { KEY_KPSLASH, 0x135 },  { KEY_SYSRQ, 0x137 },
    { KEY_YEN, 0x7d },       { KEY_RO, 0x73 },
    { KEY_HENKAN, 0x79 },    { KEY_MUHENKAN, 0x7b },
    { KEY_F13, 0x5d },       { KEY_F15, 0x5f },
    { KEY_MUTE, 0x120 },     { KEY_KATAKANAHIRAGANA, 0x70 },
  };

  for (guint i = 0; i < G_N_ELEMENTS (keys); i++)
    g_assert_cmphex (evdev_keymap_to_xt (keys[i][0]), ==, keys[i][1]);
}

static void
test_no_two_keys_are_one (void)
{
  guint seen[0x200] = { 0 };

  for (guint code = 1; code < KEY_MAX; code++)
    {
      guint xt = evdev_keymap_to_xt (code);
      g_assert_cmphex (xt, <, 0x200);
      g_assert_cmphex (xt & 0x80, ==, 0); /* the release bit */
      if (xt == 0)
        continue;
      if (seen[xt] != 0)
        g_error ("keys %u and %u are both %#x", seen[xt], code, xt);
      seen[xt] = code;
    }
}

static void
test_what_no_keyboard_has (void)
{
  static const guint codes[] = { 0, 84, BTN_LEFT, KEY_MAX, KEY_MAX + 1, G_MAXUINT };

  for (guint i = 0; i < G_N_ELEMENTS (codes); i++)
    g_assert_cmphex (evdev_keymap_to_xt (codes[i]), ==, 0);
}

/* What the widget sends is what the monitor makes of it: the same key, for every key. */
static void
test_the_monitor_reads_the_same_key (void)
{
  for (guint code = 1; code < KEY_MAX; code++)
    {
      XtKeymap keymap = { 0 };
      guint xt = evdev_keymap_to_xt (code);
      int down = 0;

      if (xt == 0)
        continue;
      if (xt & 0x100)
        g_assert_cmpuint (xt_keymap_push (&keymap, 0xe0, &down), ==, 0);
      g_test_message ("key %u, %#x", code, xt);
      g_assert_cmpuint (xt_keymap_push (&keymap, xt & 0x7f, &down), ==, code);
      g_assert_true (down);
    }
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/evdev-keymap/well-known-keys", test_well_known_keys);
  g_test_add_func ("/evdev-keymap/no-two-keys-are-one", test_no_two_keys_are_one);
  g_test_add_func ("/evdev-keymap/what-no-keyboard-has", test_what_no_keyboard_has);
  g_test_add_func ("/evdev-keymap/the-monitor-reads-the-same-key",
                   test_the_monitor_reads_the_same_key);
  return g_test_run ();
}
