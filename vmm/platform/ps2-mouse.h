#pragma once

#include "platform/ps2-queue.h"
#include "ports/input-port.h"

/* A mouse of a PC's keyboard controller: three buttons, or with a wheel (IntelliMouse), or with five buttons (its Explorer) as
 * the driver asks for it. It is told positions, since that is what fronts know, and tells how far the pointer went.
 *
 * Thread: one at a time, i8042.c's lock is the guard.
 */
typedef struct Ps2Mouse Ps2Mouse;

/* The screen that positions are thought to be on, in counts: there is no better guess, as nothing says how a guest scales them. */
#define PS2_MOUSE_WIDTH  1024
#define PS2_MOUSE_HEIGHT 768

Ps2Mouse *ps2_mouse_new (void);
void ps2_mouse_free (Ps2Mouse *mouse);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (Ps2Mouse, ps2_mouse_free)

/* As after power-on: silent. */
void ps2_mouse_reset (Ps2Mouse *mouse);
void ps2_mouse_write (Ps2Mouse *mouse, uint8_t byte);
bool ps2_mouse_has_byte (const Ps2Mouse *mouse);
uint8_t ps2_mouse_take_byte (Ps2Mouse *mouse);

/* One group of INPUT_POINTER. */
void ps2_mouse_move (Ps2Mouse *mouse, const InputEvent *events, unsigned n_events);
