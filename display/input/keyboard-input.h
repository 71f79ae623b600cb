#pragma once

#include <gtk/gtk.h>

#include "transport/display-transport.h"

G_BEGIN_DECLS

/* The user's keyboard, while a widget has the focus, as keys of the guest's: by their place on the keyboard (hardware keycode), so
 * that the guest's own layout decides what they mean. Whatever is down is let go when the widget loses the
 * focus, the transport goes, or it is asked for.
 *
 * Thread: main. */
typedef struct _KeyboardInput KeyboardInput;

/* `captured_changed` hears that keyboard_input_is_captured () answers otherwise. The widget owns the controllers, the caller
 * this; both are borrowed and outlive it. */
KeyboardInput *keyboard_input_new (GtkWidget *widget, void (*captured_changed) (gpointer data),
                                   gpointer data);
void keyboard_input_free (KeyboardInput *self);

/* Where keys go; NULL: nowhere. Referenced. Keys that are down are let go at the old one first. */
void keyboard_input_set_transport (KeyboardInput *self, DisplayTransport *transport);

void keyboard_input_release_all (KeyboardInput *self);

/* As alcove_display_send_keys (). */
void keyboard_input_send (KeyboardInput *self, const guint *keyvals, gsize n_keyvals);

/* Whether to ask for the desktop's shortcuts while the widget has the focus. */
void keyboard_input_set_capture (KeyboardInput *self, gboolean capture);
/* Asks for them again after the user has let go of them. */
void keyboard_input_recapture (KeyboardInput *self);
gboolean keyboard_input_is_captured (KeyboardInput *self);

/* Tells the guest which locks (Caps, Num) the user's keyboard shows, when it is known to show others. */
void keyboard_input_sync_locks (KeyboardInput *self);

G_END_DECLS
