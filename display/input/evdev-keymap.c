#include "input/evdev-keymap.h"

#include <linux/input-event-codes.h>

#define E0 0x100

/* Linux took its first codes from set 1, so those stand for themselves: only the others are listed, as the kernel itself
 * translates them back for raw mode (drivers/tty/vt/keyboard.c), which is what QEMU understands too. */
static const guint16 others[] = {
  [KEY_ZENKAKUHANKAKU] = 0x76,
  [KEY_RO] = 0x73,
  [KEY_KATAKANA] = 0x78,
  [KEY_HIRAGANA] = 0x77,
  [KEY_HENKAN] = 0x79,
  [KEY_KATAKANAHIRAGANA] = 0x70,
  [KEY_MUHENKAN] = 0x7b,
  [KEY_KPJPCOMMA] = 0x5c,
  [KEY_KPENTER] = E0 | 0x1c,
  [KEY_RIGHTCTRL] = E0 | 0x1d,
  [KEY_KPSLASH] = E0 | 0x35,
  [KEY_SYSRQ] = E0 | 0x37,
  [KEY_RIGHTALT] = E0 | 0x38,
  [KEY_HOME] = E0 | 0x47,
  [KEY_UP] = E0 | 0x48,
  [KEY_PAGEUP] = E0 | 0x49,
  [KEY_LEFT] = E0 | 0x4b,
  [KEY_RIGHT] = E0 | 0x4d,
  [KEY_END] = E0 | 0x4f,
  [KEY_DOWN] = E0 | 0x50,
  [KEY_PAGEDOWN] = E0 | 0x51,
  [KEY_INSERT] = E0 | 0x52,
  [KEY_DELETE] = E0 | 0x53,
  [KEY_MUTE] = E0 | 0x20,
  [KEY_VOLUMEDOWN] = E0 | 0x2e,
  [KEY_VOLUMEUP] = E0 | 0x30,
  [KEY_POWER] = E0 | 0x5e,
  [KEY_KPEQUAL] = 0x59,
  [KEY_PAUSE] = E0 | 0x46,
  [KEY_KPCOMMA] = 0x7e,
  [KEY_HANGEUL] = 0x72,
  [KEY_HANJA] = 0x71,
  [KEY_YEN] = 0x7d,
  [KEY_LEFTMETA] = E0 | 0x5b,
  [KEY_RIGHTMETA] = E0 | 0x5c,
  [KEY_COMPOSE] = E0 | 0x5d,
  [KEY_STOP] = E0 | 0x68,
  [KEY_CALC] = E0 | 0x21,
  [KEY_SLEEP] = E0 | 0x5f,
  [KEY_WAKEUP] = E0 | 0x63,
  [KEY_MAIL] = E0 | 0x6c,
  [KEY_BOOKMARKS] = E0 | 0x66,
  [KEY_COMPUTER] = E0 | 0x6b,
  [KEY_BACK] = E0 | 0x6a,
  [KEY_FORWARD] = E0 | 0x69,
  [KEY_NEXTSONG] = E0 | 0x19,
  [KEY_PLAYPAUSE] = E0 | 0x22,
  [KEY_PREVIOUSSONG] = E0 | 0x10,
  [KEY_STOPCD] = E0 | 0x24,
  [KEY_HOMEPAGE] = E0 | 0x32,
  [KEY_REFRESH] = E0 | 0x67,
  [KEY_F13] = 0x5d,
  [KEY_F14] = 0x5e,
  [KEY_F15] = 0x5f,
  [KEY_F16] = 0x55,
  [KEY_F17] = E0 | 0x03,
  [KEY_F18] = E0 | 0x77,
  [KEY_F19] = E0 | 0x04,
  [KEY_F20] = 0x5a,
  [KEY_F21] = 0x74,
  [KEY_F22] = E0 | 0x79,
  [KEY_F23] = 0x6d,
  [KEY_F24] = 0x6f,
  [KEY_SEARCH] = E0 | 0x65,
  [KEY_MEDIA] = E0 | 0x6d,
};

guint
evdev_keymap_to_xt (guint code)
{
  if (code >= G_N_ELEMENTS (others))
    return 0;
  if (others[code] != 0)
    return others[code];
  /* 84 has no key: set 1 uses it for SysRq with Alt. */
  return code <= KEY_F12 && code != 84 ? code : 0;
}
