#define G_LOG_DOMAIN "vmm-platform"

#include "platform/ps2-keyboard.h"

#include <linux/input-event-codes.h>

/* Theory of operation
 *
 * A key has one number, its code of set 1, from which that of set 2 follows by the controller's table of translation read backwards. What
 * the host holds down and what the guest was told are kept apart: a queue that is full loses presses, never the end of
 * one, which is told when there is room again.
 */
#define KEY_WORDS ((KEY_CNT + 63) / 64)
/* Bytes that presses leave free for the releases. */
#define ROOM_FOR_RELEASES 16

enum
{
  COMMAND_LEDS = 0xed,
  COMMAND_ECHO = 0xee,
  COMMAND_SET = 0xf0,
  COMMAND_ID = 0xf2,
  COMMAND_RATE = 0xf3,
  COMMAND_ENABLE = 0xf4,
  COMMAND_DISABLE = 0xf5,
  COMMAND_DEFAULT = 0xf6,
  COMMAND_RESEND = 0xfe,
  COMMAND_RESET = 0xff,

  ANSWER_ACK = 0xfa,
  ANSWER_RESEND = 0xfe,
  ANSWER_TEST_PASSED = 0xaa,

  PREFIX = 0xe0,
  PREFIX_PAUSE = 0xe1,
  BREAK_SET_2 = 0xf0,
  BREAK_SET_1 = 0x80,

  RATE_DEFAULT = 0x2b, /* 500 ms, then 10.9 a second */
};

struct Ps2Keyboard
{
  Ps2Queue queue;
  uint8_t command; /* waits for its argument; 0: none */
  uint8_t set;     /* 1 or 2 */
  bool scanning;
  uint8_t rate; /* as COMMAND_RATE has it */
  uint32_t leds;
  uint64_t held[KEY_WORDS]; /* on the host */
  uint64_t told[KEY_WORDS];
  uint16_t repeating; /* 0: none */
};

/* clang-format off */
static const uint8_t translation[0x80] = {
  0xff, 0x43, 0x41, 0x3f, 0x3d, 0x3b, 0x3c, 0x58, 0x64, 0x44, 0x42, 0x40, 0x3e, 0x0f, 0x29, 0x59,
  0x65, 0x38, 0x2a, 0x70, 0x1d, 0x10, 0x02, 0x5a, 0x66, 0x71, 0x2c, 0x1f, 0x1e, 0x11, 0x03, 0x5b,
  0x67, 0x2e, 0x2d, 0x20, 0x12, 0x05, 0x04, 0x5c, 0x68, 0x39, 0x2f, 0x21, 0x14, 0x13, 0x06, 0x5d,
  0x69, 0x31, 0x30, 0x23, 0x22, 0x15, 0x07, 0x5e, 0x6a, 0x72, 0x32, 0x24, 0x16, 0x08, 0x09, 0x5f,
  0x6b, 0x33, 0x25, 0x17, 0x18, 0x0b, 0x0a, 0x60, 0x6c, 0x34, 0x35, 0x26, 0x27, 0x19, 0x0c, 0x61,
  0x6d, 0x73, 0x28, 0x74, 0x1a, 0x0d, 0x62, 0x6e, 0x3a, 0x36, 0x1c, 0x1b, 0x75, 0x2b, 0x63, 0x76,
  0x55, 0x56, 0x77, 0x78, 0x79, 0x7a, 0x0e, 0x7b, 0x7c, 0x4f, 0x7d, 0x4b, 0x47, 0x7e, 0x7f, 0x6f,
  0x52, 0x53, 0x50, 0x4c, 0x4d, 0x48, 0x01, 0x45, 0x57, 0x4e, 0x51, 0x4a, 0x37, 0x49, 0x46, 0x54,
};
/* clang-format on */

#define SET2_F7 0x83

/* Set 1 of the keys whose number is not Linux's own; EXTENDED: behind a prefix. */
#define EXTENDED 0x100
static const uint16_t others[] = {
  [KEY_ZENKAKUHANKAKU] = 0x76,
  [KEY_RO] = 0x73,
  [KEY_KATAKANA] = 0x78,
  [KEY_HIRAGANA] = 0x77,
  [KEY_HENKAN] = 0x79,
  [KEY_KATAKANAHIRAGANA] = 0x70,
  [KEY_MUHENKAN] = 0x7b,
  [KEY_KPJPCOMMA] = 0x5c,
  [KEY_KPENTER] = EXTENDED | 0x1c,
  [KEY_RIGHTCTRL] = EXTENDED | 0x1d,
  [KEY_KPSLASH] = EXTENDED | 0x35,
  [KEY_SYSRQ] = EXTENDED | 0x37,
  [KEY_RIGHTALT] = EXTENDED | 0x38,
  [KEY_HOME] = EXTENDED | 0x47,
  [KEY_UP] = EXTENDED | 0x48,
  [KEY_PAGEUP] = EXTENDED | 0x49,
  [KEY_LEFT] = EXTENDED | 0x4b,
  [KEY_RIGHT] = EXTENDED | 0x4d,
  [KEY_END] = EXTENDED | 0x4f,
  [KEY_DOWN] = EXTENDED | 0x50,
  [KEY_PAGEDOWN] = EXTENDED | 0x51,
  [KEY_INSERT] = EXTENDED | 0x52,
  [KEY_DELETE] = EXTENDED | 0x53,
  [KEY_MUTE] = EXTENDED | 0x20,
  [KEY_VOLUMEDOWN] = EXTENDED | 0x2e,
  [KEY_VOLUMEUP] = EXTENDED | 0x30,
  [KEY_POWER] = EXTENDED | 0x5e,
  [KEY_KPEQUAL] = 0x59,
  [KEY_KPCOMMA] = 0x7e,
  [KEY_HANGEUL] = 0x72,
  [KEY_HANJA] = 0x71,
  [KEY_YEN] = 0x7d,
  [KEY_LEFTMETA] = EXTENDED | 0x5b,
  [KEY_RIGHTMETA] = EXTENDED | 0x5c,
  [KEY_COMPOSE] = EXTENDED | 0x5d,
  [KEY_CALC] = EXTENDED | 0x21,
  [KEY_SLEEP] = EXTENDED | 0x5f,
  [KEY_WAKEUP] = EXTENDED | 0x63,
  [KEY_NEXTSONG] = EXTENDED | 0x19,
  [KEY_PLAYPAUSE] = EXTENDED | 0x22,
  [KEY_PREVIOUSSONG] = EXTENDED | 0x10,
  [KEY_STOPCD] = EXTENDED | 0x24,
  [KEY_HOMEPAGE] = EXTENDED | 0x32,
};

/* 0: there is no such key. */
static uint16_t
to_set1 (uint16_t code)
{
  if (code < G_N_ELEMENTS (others) && others[code] != 0)
    return others[code];
  return code <= KEY_F12 && code != KEY_RESERVED && code != 84 ? code : 0;
}

uint8_t
ps2_keyboard_translate (uint8_t set2)
{
  if (set2 == SET2_F7)
    return KEY_F7;
  return set2 < G_N_ELEMENTS (translation) ? translation[set2] : set2;
}

static uint8_t
to_set2 (uint8_t set1)
{
  if (set1 == KEY_F7)
    return SET2_F7;
  for (unsigned i = 0; i < G_N_ELEMENTS (translation); i++)
    if (translation[i] == set1)
      return (uint8_t) i;
  return 0;
}

static bool
has (const uint64_t *keys, uint16_t code)
{
  return keys[code / 64] >> (code % 64) & 1;
}

static void
put (uint64_t *keys, uint16_t code, bool down)
{
  keys[code / 64] &= ~(UINT64_C (1) << (code % 64));
  keys[code / 64] |= (uint64_t) down << (code % 64);
}

/* Pause has no release; what a press sends is both. */
static unsigned
encode_pause (const Ps2Keyboard *keyboard, bool down, uint8_t *bytes)
{
  static const uint8_t set1[] = { PREFIX_PAUSE, 0x1d, 0x45, PREFIX_PAUSE, 0x9d, 0xc5 };
  static const uint8_t set2[] = { PREFIX_PAUSE, 0x14, 0x77,        PREFIX_PAUSE,
                                  BREAK_SET_2,  0x14, BREAK_SET_2, 0x77 };
  const bool is_first = keyboard->set == 1;
  const unsigned n = is_first ? sizeof set1 : sizeof set2;

  if (!down)
    return 0;
  for (unsigned i = 0; i < n; i++)
    bytes[i] = is_first ? set1[i] : set2[i];
  return n;
}

#define ENCODED_MAX 8

static unsigned
encode (const Ps2Keyboard *keyboard, uint16_t code, bool down, uint8_t *bytes)
{
  const uint16_t set1 = to_set1 (code);
  unsigned n = 0;

  if (code == KEY_PAUSE)
    return encode_pause (keyboard, down, bytes);
  if (set1 & EXTENDED)
    bytes[n++] = PREFIX;
  if (keyboard->set == 1)
    bytes[n++] = (uint8_t) set1 | (down ? 0 : BREAK_SET_1);
  else
    {
      if (!down)
        bytes[n++] = BREAK_SET_2;
      bytes[n++] = to_set2 ((uint8_t) set1);
    }
  return n;
}

/* Whether it was told. */
static bool
tell (Ps2Keyboard *keyboard, uint16_t code, bool down)
{
  uint8_t bytes[ENCODED_MAX];
  const unsigned n = encode (keyboard, code, down, bytes);
  const unsigned used = ps2_queue_get_n_events (&keyboard->queue);

  if (down && used + n > PS2_QUEUE_EVENTS - ROOM_FOR_RELEASES)
    return false;
  if (!ps2_queue_put_event (&keyboard->queue, bytes, n))
    return false;
  put (keyboard->told, code, down);
  return true;
}

static void
tell_releases (Ps2Keyboard *keyboard)
{
  for (uint16_t code = 0; code < KEY_CNT; code++)
    if (has (keyboard->told, code) && !has (keyboard->held, code) && !tell (keyboard, code, false))
      return;
}

void
ps2_keyboard_press (Ps2Keyboard *keyboard, uint16_t code, bool down)
{
  if (code >= KEY_CNT || (to_set1 (code) == 0 && code != KEY_PAUSE))
    return;
  put (keyboard->held, code, down);
  if (!keyboard->scanning)
    return;
  if (down)
    keyboard->repeating = tell (keyboard, code, true) && code != KEY_PAUSE ? code : 0;
  else
    {
      if (keyboard->repeating == code)
        keyboard->repeating = 0;
      tell_releases (keyboard);
    }
}

bool
ps2_keyboard_get_repeat (const Ps2Keyboard *keyboard, unsigned *delay_ms, unsigned *period_ms)
{
  /* Bits 5-6: the delay in quarters of a second; 0-4: the period is (8 + bits 0-2) << bits 3-4, in 240ths of a second. */
  *delay_ms = 250 * ((keyboard->rate >> 5 & 3) + 1u);
  *period_ms = (8 + (keyboard->rate & 7u)) * (1u << (keyboard->rate >> 3 & 3)) * 1000 / 240;
  return keyboard->repeating != 0;
}

/* A guest that does not read gets no heap of repetitions. */
void
ps2_keyboard_repeat (Ps2Keyboard *keyboard)
{
  if (keyboard->repeating && ps2_queue_is_empty (&keyboard->queue))
    tell (keyboard, keyboard->repeating, true);
}

/* --- commands --- */

static void
set_default (Ps2Keyboard *keyboard)
{
  ps2_queue_clear (&keyboard->queue);
  keyboard->set = 2;
  keyboard->rate = RATE_DEFAULT;
  keyboard->repeating = 0;
  for (unsigned i = 0; i < KEY_WORDS; i++)
    keyboard->told[i] = 0;
}

void
ps2_keyboard_reset (Ps2Keyboard *keyboard)
{
  set_default (keyboard);
  keyboard->command = 0;
  keyboard->leds = 0;
  keyboard->scanning = true;
}

static void
answer (Ps2Keyboard *keyboard, uint8_t byte)
{
  ps2_queue_put_answer (&keyboard->queue, byte);
}

static void
choose_set (Ps2Keyboard *keyboard, uint8_t set)
{
  if (set > 2)
    {
      answer (keyboard, ANSWER_RESEND); /* there is no set 3 */
      return;
    }
  answer (keyboard, ANSWER_ACK);
  if (set == 0)
    answer (keyboard, keyboard->set);
  else
    keyboard->set = set;
}

static void
take_argument (Ps2Keyboard *keyboard, uint8_t argument)
{
  const uint8_t command = keyboard->command;

  keyboard->command = 0;
  if (command == COMMAND_SET)
    {
      choose_set (keyboard, argument);
      return;
    }
  if (command == COMMAND_LEDS)
    keyboard->leds = (argument >> 1 & 1) << LED_NUML | (argument >> 2 & 1) << LED_CAPSL |
                     (argument & 1) << LED_SCROLLL;
  else
    keyboard->rate = argument & 0x7f;
  answer (keyboard, ANSWER_ACK);
}

static void
run_command (Ps2Keyboard *keyboard, uint8_t command)
{
  switch (command)
    {
    case COMMAND_LEDS:
    case COMMAND_SET:
    case COMMAND_RATE:
      keyboard->command = command;
      break;
    case COMMAND_ECHO:
      answer (keyboard, COMMAND_ECHO);
      return;
    case COMMAND_ID:
      answer (keyboard, ANSWER_ACK);
      answer (keyboard, 0xab);
      answer (keyboard, 0x83);
      return;
    case COMMAND_ENABLE:
      keyboard->scanning = true;
      break;
    case COMMAND_DISABLE:
    case COMMAND_DEFAULT:
      set_default (keyboard);
      keyboard->scanning = command == COMMAND_DEFAULT;
      break;
    case COMMAND_RESEND:
      answer (keyboard, keyboard->queue.last);
      return;
    case COMMAND_RESET:
      ps2_keyboard_reset (keyboard);
      answer (keyboard, ANSWER_ACK);
      answer (keyboard, ANSWER_TEST_PASSED);
      return;
    default:
      answer (keyboard, ANSWER_RESEND);
      return;
    }
  answer (keyboard, ANSWER_ACK);
}

/* A command in place of an argument ends the one before. */
void
ps2_keyboard_write (Ps2Keyboard *keyboard, uint8_t byte)
{
  if (keyboard->command != 0 && byte < COMMAND_LEDS)
    take_argument (keyboard, byte);
  else
    {
      keyboard->command = 0;
      run_command (keyboard, byte);
    }
}

bool
ps2_keyboard_has_byte (const Ps2Keyboard *keyboard)
{
  return !ps2_queue_is_empty (&keyboard->queue);
}

uint8_t
ps2_keyboard_take_byte (Ps2Keyboard *keyboard)
{
  const uint8_t byte = ps2_queue_take (&keyboard->queue);

  if (keyboard->scanning && ps2_queue_is_empty (&keyboard->queue))
    tell_releases (keyboard);
  return byte;
}

uint32_t
ps2_keyboard_get_leds (const Ps2Keyboard *keyboard)
{
  return keyboard->leds;
}

Ps2Keyboard *
ps2_keyboard_new (void)
{
  Ps2Keyboard *keyboard = g_new0 (Ps2Keyboard, 1);

  ps2_keyboard_reset (keyboard);
  return keyboard;
}

void
ps2_keyboard_free (Ps2Keyboard *keyboard)
{
  g_free (keyboard);
}
