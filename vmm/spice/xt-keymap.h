#pragma once

#include <stdint.h>

/* Scan codes of set 1 (IBM PC/XT), as SPICE sends them one byte at a time, to evdev key codes. Zero to start. */
typedef struct XtKeymap
{
  uint8_t prefix;  /* 0, 0xe0 or 0xe1 */
  uint8_t pending; /* 0xe1 has two bytes to come, then one */
} XtKeymap;

/* Takes the next byte. Returns the key code (linux/input-event-codes.h) and *down when one is complete; 0 when there is none yet or
 * it is no key that we know. */
uint16_t xt_keymap_push (XtKeymap *keymap, uint8_t byte, int *down);
