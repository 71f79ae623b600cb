#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <glib.h>

/* Between what the user types and points at and the devices that tell the guest. Fronts (SPICE) send, devices (virtio-input) listen;
 * neither knows the other. Events are Linux evdev's (linux/input-event-codes.h): type, code, value.
 *
 * Thread: main. The port remembers which keys and buttons are down, so that a front that goes away leaves none pressed.
 */
typedef struct InputPort InputPort;

typedef enum
{
  INPUT_KEYBOARD, /* EV_KEY below BTN_MISC; value 1 down, 0 up (the guest repeats by itself) */
  INPUT_POINTER, /* EV_ABS ABS_X, ABS_Y in 0..INPUT_ABS_MAX; EV_KEY BTN_*; EV_REL REL_WHEEL(_HI_RES), REL_HWHEEL(_HI_RES) */
  INPUT_N_KINDS
} InputKind;

#define INPUT_ABS_MAX 32767

typedef struct InputEvent
{
  uint16_t type;
  uint16_t code;
  int32_t value;
} InputEvent;

/* One group of events that belong together; the device adds its own SYN_REPORT. */
typedef void (*InputFunc) (void *opaque, const InputEvent *events, unsigned n_events);
/* leds: bit LED_NUML, LED_CAPSL, LED_SCROLLL (linux/input-event-codes.h). */
typedef void (*InputLedsFunc) (void *opaque, uint32_t leds);

InputPort *input_port_new (void);
void input_port_free (InputPort *port);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (InputPort, input_port_free)

/* For devices. One listener a kind; func NULL removes it. */
void input_port_set_listener (InputPort *port, InputKind kind, InputFunc func, void *opaque);
/* Any thread. Whether the guest drives the listener's device; at first it does not. The listener hears everything in any case. */
void input_port_set_driven (InputPort *port, InputKind kind, bool driven);
/* A device that every guest knows, for as long as the better one is not driven; then it hears only of keys and buttons that are let go,
 * which may have been pressed before. */
void input_port_set_fallback (InputPort *port, InputKind kind, InputFunc func, void *opaque);
void input_port_set_leds (InputPort *port, uint32_t leds);

/* For fronts. A key or button that is already in that state is left out, a code that cannot be is ignored. */
void input_port_send (InputPort *port, InputKind kind, const InputEvent *events, unsigned n_events);
/* Lets go of every key and button that is down. */
void input_port_release_all (InputPort *port);
/* One front; func NULL removes it. Called at once with the present state. */
void input_port_watch_leds (InputPort *port, InputLedsFunc func, void *opaque);
