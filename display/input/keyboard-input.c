#define G_LOG_DOMAIN "display"

/* Theory of operation: a set of the XT codes that are down in the guest. A key of the user's enters it with its press and leaves it
 * with its release, however often it repeats in between; everything that takes the keyboard away empties it.
 *
 * The keys that end the capture are a gesture: Ctrl and Alt down together and nothing else until both are up. */

#include "input/keyboard-input.h"

#include "input/evdev-keymap.h"

#define XT_CODES        0x200
#define GDK_KEYCODE_MIN 8

typedef enum
{
  GESTURE_NONE,
  GESTURE_STARTED, /* one of the two is down, alone */
  GESTURE_BOTH,
  GESTURE_SPOILT, /* until everything is up */
} Gesture;

struct _KeyboardInput
{
  GtkWidget *widget;
  GtkEventController *keys, *focus;
  DisplayTransport *transport;
  gboolean down[XT_CODES];
  guint n_down;
  gboolean capture, let_go, captured;
  Gesture gesture;
  GdkToplevel *toplevel; /* while the focus is here */
  void (*captured_changed) (gpointer data);
  gpointer data;
};

/* ---- Keys ---- */

static void
set_key (KeyboardInput *self, guint xt, gboolean down)
{
  if (xt == 0 || xt >= XT_CODES || self->transport == NULL || (!down && !self->down[xt]))
    return;
  if (down != self->down[xt])
    self->n_down += down ? 1 : -1;
  self->down[xt] = down;
  display_transport_send_key (self->transport, xt, down);
}

void
keyboard_input_release_all (KeyboardInput *self)
{
  for (guint xt = 1; self->n_down > 0 && xt < XT_CODES; xt++)
    set_key (self, xt, FALSE);
  self->gesture = GESTURE_NONE;
}

void
keyboard_input_set_transport (KeyboardInput *self, DisplayTransport *transport)
{
  keyboard_input_release_all (self);
  g_set_object (&self->transport, transport);
}

static guint
xt_of_keycode (guint keycode)
{
  return keycode >= GDK_KEYCODE_MIN ? evdev_keymap_to_xt (keycode - GDK_KEYCODE_MIN) : 0;
}

static guint
xt_of_keyval (KeyboardInput *self, guint keyval)
{
  g_autofree GdkKeymapKey *keys = NULL;
  int n_keys = 0;

  if (!gdk_display_map_keyval (gtk_widget_get_display (self->widget), keyval, &keys, &n_keys))
    return 0;
  for (int i = 0; i < n_keys; i++)
    if (xt_of_keycode (keys[i].keycode) != 0)
      return xt_of_keycode (keys[i].keycode);
  return 0;
}

void
keyboard_input_send (KeyboardInput *self, const guint *keyvals, gsize n_keyvals)
{
  keyboard_input_release_all (self);
  for (gsize i = 0; i < n_keyvals; i++)
    set_key (self, xt_of_keyval (self, keyvals[i]), TRUE);
  for (gsize i = n_keyvals; i-- > 0;)
    set_key (self, xt_of_keyval (self, keyvals[i]), FALSE);
}

/* ---- Capture ---- */

static void
set_captured (KeyboardInput *self, gboolean captured)
{
  if (captured == self->captured)
    return;
  self->captured = captured;
  self->captured_changed (self->data);
}

static void
update_capture (KeyboardInput *self)
{
  if (self->toplevel == NULL)
    return;
  if (self->capture && !self->let_go)
    gdk_toplevel_inhibit_system_shortcuts (self->toplevel, NULL);
  else
    gdk_toplevel_restore_system_shortcuts (self->toplevel);
}

/* The desktop may refuse, ask the user first, or end it by itself. */
static void
on_inhibited (KeyboardInput *self)
{
  gboolean inhibited = FALSE;

  g_object_get (self->toplevel, "shortcuts-inhibited", &inhibited, NULL);
  set_captured (self, inhibited);
}

void
keyboard_input_set_capture (KeyboardInput *self, gboolean capture)
{
  self->capture = capture;
  self->let_go = FALSE;
  update_capture (self);
}

void
keyboard_input_recapture (KeyboardInput *self)
{
  self->let_go = FALSE;
  update_capture (self);
}

gboolean
keyboard_input_is_captured (KeyboardInput *self)
{
  return self->captured;
}

static gboolean
belongs_to_gesture (guint keyval)
{
  return keyval == GDK_KEY_Control_L || keyval == GDK_KEY_Control_R || keyval == GDK_KEY_Alt_L ||
         keyval == GDK_KEY_Alt_R || keyval == GDK_KEY_Meta_L;
}

static void
gesture_press (KeyboardInput *self, guint keyval)
{
  if (!belongs_to_gesture (keyval))
    self->gesture = GESTURE_SPOILT;
  else if (self->gesture == GESTURE_NONE)
    self->gesture = GESTURE_STARTED;
  else if (self->gesture == GESTURE_STARTED && self->n_down > 1)
    self->gesture = GESTURE_BOTH;
}

static void
gesture_release (KeyboardInput *self)
{
  if (self->n_down > 0)
    return;
  if (self->gesture == GESTURE_BOTH && self->captured)
    {
      self->let_go = TRUE;
      update_capture (self);
    }
  self->gesture = GESTURE_NONE;
}

/* ---- Events ---- */

static gboolean
on_pressed (GtkEventControllerKey *keys, guint keyval, guint keycode, GdkModifierType state,
            gpointer data)
{
  KeyboardInput *self = data;
  guint xt = xt_of_keycode (keycode);

  /* What a virtual keyboard makes up has no place on ours: its meaning has. */
  set_key (self, xt != 0 ? xt : xt_of_keyval (self, keyval), TRUE);
  gesture_press (self, keyval);
  return self->transport != NULL;
}

static void
on_released (GtkEventControllerKey *keys, guint keyval, guint keycode, GdkModifierType state,
             gpointer data)
{
  KeyboardInput *self = data;
  guint xt = xt_of_keycode (keycode);

  set_key (self, xt != 0 ? xt : xt_of_keyval (self, keyval), FALSE);
  gesture_release (self);
}

void
keyboard_input_sync_locks (KeyboardInput *self)
{
  GdkSeat *seat = gdk_display_get_default_seat (gtk_widget_get_display (self->widget));
  GdkDevice *keyboard = seat != NULL ? gdk_seat_get_keyboard (seat) : NULL;
  KeyLocks guest = 0, host = 0;

  if (keyboard == NULL || self->transport == NULL || self->toplevel == NULL ||
      !display_transport_get_locks (self->transport, &guest))
    return;
  host |= gdk_device_get_caps_lock_state (keyboard) ? KEY_LOCK_CAPS : 0;
  host |= gdk_device_get_num_lock_state (keyboard) ? KEY_LOCK_NUM : 0;
  host |= gdk_device_get_scroll_lock_state (keyboard) ? KEY_LOCK_SCROLL : 0;
  if (host != guest)
    display_transport_send_locks (self->transport, host);
}

static void
on_enter (KeyboardInput *self)
{
  GtkNative *native = gtk_widget_get_native (self->widget);
  GdkSurface *surface = native != NULL ? gtk_native_get_surface (native) : NULL;

  if (surface == NULL || !GDK_IS_TOPLEVEL (surface))
    return;
  g_set_object (&self->toplevel, GDK_TOPLEVEL (surface));
  g_signal_connect_swapped (surface, "notify::shortcuts-inhibited", G_CALLBACK (on_inhibited),
                            self);
  update_capture (self);
  keyboard_input_sync_locks (self);
}

static void
on_leave (KeyboardInput *self)
{
  keyboard_input_release_all (self);
  if (self->toplevel == NULL)
    return;
  g_signal_handlers_disconnect_by_data (self->toplevel, self);
  if (self->capture)
    gdk_toplevel_restore_system_shortcuts (self->toplevel);
  g_clear_object (&self->toplevel);
  set_captured (self, FALSE);
}

/* ---- Life ---- */

KeyboardInput *
keyboard_input_new (GtkWidget *widget, void (*captured_changed) (gpointer data), gpointer data)
{
  KeyboardInput *self = g_new0 (KeyboardInput, 1);

  self->widget = widget;
  self->captured_changed = captured_changed;
  self->data = data;
  self->keys = gtk_event_controller_key_new ();
  g_signal_connect (self->keys, "key-pressed", G_CALLBACK (on_pressed), self);
  g_signal_connect (self->keys, "key-released", G_CALLBACK (on_released), self);
  gtk_widget_add_controller (widget, self->keys);
  self->focus = gtk_event_controller_focus_new ();
  g_signal_connect_swapped (self->focus, "enter", G_CALLBACK (on_enter), self);
  g_signal_connect_swapped (self->focus, "leave", G_CALLBACK (on_leave), self);
  gtk_widget_add_controller (widget, self->focus);
  return self;
}

void
keyboard_input_free (KeyboardInput *self)
{
  if (self == NULL)
    return;
  on_leave (self);
  gtk_widget_remove_controller (self->widget, self->keys);
  gtk_widget_remove_controller (self->widget, self->focus);
  g_clear_object (&self->transport);
  g_free (self);
}
