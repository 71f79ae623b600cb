#include "spice/xt-keymap.h"

#include <linux/input-event-codes.h>

#define RELEASE 0x80

/* Linux took its first key codes from set 1, so most stand for themselves. */
static uint16_t
plain_key (uint8_t code)
{
  static const uint16_t others[] = {
    [0x54] = KEY_SYSRQ,
    [0x55] = KEY_F16,
    [0x59] = KEY_KPEQUAL,
    [0x5a] = KEY_F20,
    [0x5c] = KEY_KPJPCOMMA,
    [0x5d] = KEY_F13,
    [0x5e] = KEY_F14,
    [0x5f] = KEY_F15,
    [0x6d] = KEY_F23,
    [0x6f] = KEY_F24,
    [0x70] = KEY_KATAKANAHIRAGANA,
    [0x71] = KEY_HANJA,
    [0x72] = KEY_HANGEUL,
    [0x73] = KEY_RO,
    [0x74] = KEY_F21,
    [0x76] = KEY_ZENKAKUHANKAKU,
    [0x77] = KEY_HIRAGANA,
    [0x78] = KEY_KATAKANA,
    [0x79] = KEY_HENKAN,
    [0x7b] = KEY_MUHENKAN,
    [0x7d] = KEY_YEN,
    [0x7e] = KEY_KPCOMMA,
    [0x7f] = 0,
  };

  if (others[code])
    return others[code];
  return code <= KEY_F12 ? code : 0;
}

static const uint16_t extended_keys[RELEASE] = {
  [0x03] = KEY_F17,          [0x04] = KEY_F19,      [0x77] = KEY_F18,       [0x79] = KEY_F22,
  [0x10] = KEY_PREVIOUSSONG, [0x19] = KEY_NEXTSONG, [0x1c] = KEY_KPENTER,   [0x1d] = KEY_RIGHTCTRL,
  [0x20] = KEY_MUTE,         [0x21] = KEY_CALC,     [0x22] = KEY_PLAYPAUSE, [0x24] = KEY_STOPCD,
  [0x2e] = KEY_VOLUMEDOWN,   [0x30] = KEY_VOLUMEUP, [0x32] = KEY_HOMEPAGE,  [0x35] = KEY_KPSLASH,
  [0x37] = KEY_SYSRQ,        [0x38] = KEY_RIGHTALT, [0x46] = KEY_PAUSE,     [0x47] = KEY_HOME,
  [0x48] = KEY_UP,           [0x49] = KEY_PAGEUP,   [0x4b] = KEY_LEFT,      [0x4d] = KEY_RIGHT,
  [0x4f] = KEY_END,          [0x50] = KEY_DOWN,     [0x51] = KEY_PAGEDOWN,  [0x52] = KEY_INSERT,
  [0x53] = KEY_DELETE,       [0x5b] = KEY_LEFTMETA, [0x5c] = KEY_RIGHTMETA, [0x5d] = KEY_COMPOSE,
  [0x5e] = KEY_POWER,        [0x5f] = KEY_SLEEP,    [0x63] = KEY_WAKEUP,    [0x65] = KEY_SEARCH,
  [0x66] = KEY_BOOKMARKS,    [0x67] = KEY_REFRESH,  [0x68] = KEY_STOP,      [0x69] = KEY_FORWARD,
  [0x6a] = KEY_BACK,         [0x6b] = KEY_COMPUTER, [0x6c] = KEY_MAIL,      [0x6d] = KEY_MEDIA,
};

uint16_t
xt_keymap_push (XtKeymap *keymap, uint8_t byte, int *down)
{
  *down = !(byte & RELEASE);
  if (byte == 0xe0 || byte == 0xe1)
    {
      keymap->prefix = byte;
      keymap->pending = byte == 0xe1 ? 2 : 1;
      return 0;
    }
  if (keymap->prefix == 0)
    return plain_key (byte & ~RELEASE);
  if (--keymap->pending > 0)
    return 0;
  uint8_t prefix = keymap->prefix;
  keymap->prefix = 0;
  /* 0xe1 is Pause alone: e1 1d 45, e1 9d c5. */
  if (prefix == 0xe1)
    return (byte & ~RELEASE) == 0x45 ? KEY_PAUSE : 0;
  return extended_keys[byte & ~RELEASE];
}
