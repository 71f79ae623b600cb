#pragma once

#include <glib.h>

G_BEGIN_DECLS

/* The XT set 1 make code of a key, 0x100 added for those that begin with E0; 0: a PC keyboard has no such key.
 * `code` is Linux's (linux/input-event-codes.h): GDK's hardware keycode less 8, on X11 and on Wayland. */
guint evdev_keymap_to_xt (guint code);

G_END_DECLS
