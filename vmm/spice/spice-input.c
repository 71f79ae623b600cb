/* SPICE names pixels of the screen, the guest's tablet 0..INPUT_ABS_MAX: in between is the size of what is shown. A client in server mouse
 * mode (one that cannot send positions) moves a pointer that is kept here. */
#include "spice/spice-input.h"

#include <linux/input-event-codes.h>

#include "spice/xt-keymap.h"

#define WHEEL_STEP 120 /* REL_WHEEL_HI_RES units of a notch */

typedef struct InputButton
{
  uint32_t mask;
  uint16_t code;
} InputButton;

/* The masks of the QEMU-side interface differ from the protocol's: bit 0 left, 1 right, 2 middle, then extra ones. */
static const InputButton buttons[] = {
  { 1 << 0, BTN_LEFT }, { 1 << 1, BTN_RIGHT }, { 1 << 2, BTN_MIDDLE },
  { 1 << 5, BTN_SIDE }, { 1 << 6, BTN_EXTRA },
};

struct SpiceInput
{
  SpiceKbdInstance keyboard;
  SpiceMouseInstance mouse;
  SpiceTabletInstance tablet;
  InputPort *port;
  ScanoutPort *scanout;
  XtKeymap keymap;
  int x, y;      /* pixels */
  uint32_t leds; /* as SPICE has them */
};

static void
send_key (SpiceKbdInstance *instance, uint8_t byte)
{
  SpiceInput *input = SPICE_CONTAINEROF (instance, SpiceInput, keyboard);
  int down;
  uint16_t code = xt_keymap_push (&input->keymap, byte, &down);
  InputEvent event = { EV_KEY, code, down };

  if (code != 0)
    input_port_send (input->port, INPUT_KEYBOARD, &event, 1);
}

static uint8_t
get_leds (SpiceKbdInstance *instance)
{
  return SPICE_CONTAINEROF (instance, SpiceInput, keyboard)->leds;
}

static void
on_leds (void *opaque, uint32_t leds)
{
  SpiceInput *input = opaque;

  input->leds = (leds >> LED_SCROLLL & 1 ? SPICE_KEYBOARD_MODIFIER_FLAGS_SCROLL_LOCK : 0) |
                (leds >> LED_NUML & 1 ? SPICE_KEYBOARD_MODIFIER_FLAGS_NUM_LOCK : 0) |
                (leds >> LED_CAPSL & 1 ? SPICE_KEYBOARD_MODIFIER_FLAGS_CAPS_LOCK : 0);
  spice_server_kbd_leds (&input->keyboard, input->leds);
}

/* Buttons that have not changed are left out by the port. */
static unsigned
add_buttons (InputEvent *events, uint32_t state)
{
  for (unsigned i = 0; i < G_N_ELEMENTS (buttons); i++)
    events[i] = (InputEvent){ EV_KEY, buttons[i].code, (state & buttons[i].mask) != 0 };
  return G_N_ELEMENTS (buttons);
}

/* At least 1. */
static void
get_size (const SpiceInput *input, int *width, int *height)
{
  const ScanoutSurface *surface = scanout_port_get_surface (input->scanout);

  *width = surface ? (int) scanout_surface_get_width (surface) : 1;
  *height = surface ? (int) scanout_surface_get_height (surface) : 1;
}

static int32_t
scale (int position, int size)
{
  if (size <= 1)
    return 0;
  return (int64_t) CLAMP (position, 0, size - 1) * INPUT_ABS_MAX / (size - 1);
}

static void
send_position (SpiceInput *input, uint32_t state)
{
  int width, height;
  get_size (input, &width, &height);
  InputEvent events[2 + G_N_ELEMENTS (buttons)] = {
    { EV_ABS, ABS_X, scale (input->x, width) },
    { EV_ABS, ABS_Y, scale (input->y, height) },
  };
  unsigned n_events = 2 + add_buttons (events + 2, state);

  input_port_send (input->port, INPUT_POINTER, events, n_events);
}

static void
send_wheel (SpiceInput *input, int steps, uint32_t state)
{
  /* SPICE counts towards the user, evdev away. */
  InputEvent events[2 + G_N_ELEMENTS (buttons)] = {
    { EV_REL, REL_WHEEL, -steps },
    { EV_REL, REL_WHEEL_HI_RES, -steps * WHEEL_STEP },
  };
  unsigned n_events = 2 + add_buttons (events + 2, state);

  input_port_send (input->port, INPUT_POINTER, events, n_events);
}

static void
send_buttons (SpiceInput *input, uint32_t state)
{
  InputEvent events[G_N_ELEMENTS (buttons)];

  input_port_send (input->port, INPUT_POINTER, events, add_buttons (events, state));
}

static void
tablet_set_logical_size (SpiceTabletInstance *instance, int width, int height)
{
  /* The primary surface's, which may be gone. */
}

static void
tablet_position (SpiceTabletInstance *instance, int x, int y, uint32_t state)
{
  SpiceInput *input = SPICE_CONTAINEROF (instance, SpiceInput, tablet);

  input->x = x;
  input->y = y;
  send_position (input, state);
}

static void
tablet_wheel (SpiceTabletInstance *instance, int steps, uint32_t state)
{
  send_wheel (SPICE_CONTAINEROF (instance, SpiceInput, tablet), steps, state);
}

static void
tablet_buttons (SpiceTabletInstance *instance, uint32_t state)
{
  send_buttons (SPICE_CONTAINEROF (instance, SpiceInput, tablet), state);
}

static void
mouse_motion (SpiceMouseInstance *instance, int dx, int dy, int dz, uint32_t state)
{
  SpiceInput *input = SPICE_CONTAINEROF (instance, SpiceInput, mouse);
  int width, height;

  get_size (input, &width, &height);
  input->x = CLAMP ((int64_t) input->x + dx, 0, width - 1);
  input->y = CLAMP ((int64_t) input->y + dy, 0, height - 1);
  if (dz != 0)
    send_wheel (input, CLAMP (dz, -100, 100), state);
  send_position (input, state);
}

static void
mouse_buttons (SpiceMouseInstance *instance, uint32_t state)
{
  send_buttons (SPICE_CONTAINEROF (instance, SpiceInput, mouse), state);
}

static const SpiceKbdInterface keyboard_interface = {
  .base = { SPICE_INTERFACE_KEYBOARD, "alcove keyboard", SPICE_INTERFACE_KEYBOARD_MAJOR,
            SPICE_INTERFACE_KEYBOARD_MINOR },
  .push_scan_freg = send_key,
  .get_leds = get_leds,
};

static const SpiceMouseInterface mouse_interface = {
  .base = { SPICE_INTERFACE_MOUSE, "alcove mouse", SPICE_INTERFACE_MOUSE_MAJOR,
            SPICE_INTERFACE_MOUSE_MINOR },
  .motion = mouse_motion,
  .buttons = mouse_buttons,
};

static const SpiceTabletInterface tablet_interface = {
  .base = { SPICE_INTERFACE_TABLET, "alcove tablet", SPICE_INTERFACE_TABLET_MAJOR,
            SPICE_INTERFACE_TABLET_MINOR },
  .set_logical_size = tablet_set_logical_size,
  .position = tablet_position,
  .wheel = tablet_wheel,
  .buttons = tablet_buttons,
};

SpiceInput *
spice_input_new (SpiceServer *server, InputPort *port, ScanoutPort *scanout)
{
  SpiceInput *input = g_new0 (SpiceInput, 1);

  input->port = port;
  input->scanout = scanout;
  input->keyboard.base.sif = &keyboard_interface.base;
  input->mouse.base.sif = &mouse_interface.base;
  input->tablet.base.sif = &tablet_interface.base;
  spice_server_add_interface (server, &input->keyboard.base);
  spice_server_add_interface (server, &input->mouse.base);
  spice_server_add_interface (server, &input->tablet.base);
  input_port_watch_leds (port, on_leds, input);
  return input;
}

void
spice_input_free (SpiceInput *input)
{
  if (!input)
    return;
  input_port_watch_leds (input->port, NULL, NULL);
  g_free (input);
}

void
spice_input_release_all (SpiceInput *input)
{
  input->keymap = (XtKeymap){ 0 };
  input_port_release_all (input->port);
}
