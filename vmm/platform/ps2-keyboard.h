#pragma once

#include "platform/ps2-queue.h"
#include "ports/input-port.h"

/* A keyboard of a PC's keyboard controller: scan code set 2, or 1 when asked for it.
 *
 * Thread: one at a time, i8042.c's lock is the guard.
 */
typedef struct Ps2Keyboard Ps2Keyboard;

Ps2Keyboard *ps2_keyboard_new (void);
void ps2_keyboard_free (Ps2Keyboard *keyboard);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (Ps2Keyboard, ps2_keyboard_free)

/* As after power-on: scanning. */
void ps2_keyboard_reset (Ps2Keyboard *keyboard);
/* A byte from the controller. */
void ps2_keyboard_write (Ps2Keyboard *keyboard, uint8_t byte);
bool ps2_keyboard_has_byte (const Ps2Keyboard *keyboard);
uint8_t ps2_keyboard_take_byte (Ps2Keyboard *keyboard);

/* code: KEY_*. A key that a keyboard of this kind has not is ignored, as is one that is let go without having been pressed here. */
void ps2_keyboard_press (Ps2Keyboard *keyboard, uint16_t code, bool down);

/* The key that was pressed last repeats while it is held: *delay_ms after it was pressed, then every *period_ms. False: none does. */
bool ps2_keyboard_get_repeat (const Ps2Keyboard *keyboard, unsigned *delay_ms, unsigned *period_ms);
void ps2_keyboard_repeat (Ps2Keyboard *keyboard);

/* As input_port_set_leds () wants them. */
uint32_t ps2_keyboard_get_leds (const Ps2Keyboard *keyboard);

/* What a keyboard controller makes of a byte of set 2 that is neither a prefix nor an answer (IBM PS/2 Hardware Interface Technical
 * Reference, keyboard controller, "Scan code translation"). */
uint8_t ps2_keyboard_translate (uint8_t set2);
