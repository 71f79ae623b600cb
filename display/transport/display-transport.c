#include "transport/display-transport.h"

enum
{
  OPENED,
  CLOSED,
  FRAME_CHANGED,
  DAMAGE,
  CURSOR,
  CHANGED,
  N_SIGNALS
};

typedef struct
{
  gboolean closed;
} DisplayTransportPrivate;

static guint signals[N_SIGNALS];

G_DEFINE_ABSTRACT_TYPE_WITH_PRIVATE (DisplayTransport, display_transport, G_TYPE_OBJECT)

static guint
add_signal (const char *name, guint n_params, GType param)
{
  return g_signal_new (name, TYPE_DISPLAY_TRANSPORT, G_SIGNAL_RUN_LAST, 0, NULL, NULL, NULL,
                       G_TYPE_NONE, n_params, param);
}

static void
display_transport_class_init (DisplayTransportClass *klass)
{
  signals[OPENED] = add_signal ("opened", 0, G_TYPE_NONE);
  signals[CLOSED] = add_signal ("closed", 1, G_TYPE_ERROR);
  signals[FRAME_CHANGED] = add_signal ("frame", 1, TYPE_FRAME);
  signals[DAMAGE] = add_signal ("damage", 1, G_TYPE_POINTER);
  signals[CURSOR] = add_signal ("cursor", 1, G_TYPE_POINTER);
  signals[CHANGED] = add_signal ("changed", 0, G_TYPE_NONE);
}

static void
display_transport_init (DisplayTransport *self)
{
}

void
display_transport_open (DisplayTransport *self)
{
  ALCOVE_DISPLAY_TRANSPORT_GET_CLASS (self)->open (self);
}

void
display_transport_close (DisplayTransport *self)
{
  ALCOVE_DISPLAY_TRANSPORT_GET_CLASS (self)->close (self);
}

void
display_transport_update_done (DisplayTransport *self)
{
  ALCOVE_DISPLAY_TRANSPORT_GET_CLASS (self)->update_done (self);
}

void
display_transport_send_key (DisplayTransport *self, guint scancode, gboolean down)
{
  ALCOVE_DISPLAY_TRANSPORT_GET_CLASS (self)->send_key (self, scancode, down);
}

void
display_transport_send_locks (DisplayTransport *self, KeyLocks locks)
{
  ALCOVE_DISPLAY_TRANSPORT_GET_CLASS (self)->send_locks (self, locks);
}

void
display_transport_send_position (DisplayTransport *self, int x, int y)
{
  ALCOVE_DISPLAY_TRANSPORT_GET_CLASS (self)->send_position (self, x, y);
}

void
display_transport_send_motion (DisplayTransport *self, int dx, int dy)
{
  ALCOVE_DISPLAY_TRANSPORT_GET_CLASS (self)->send_motion (self, dx, dy);
}

void
display_transport_send_button (DisplayTransport *self, PointerButton button, gboolean down)
{
  ALCOVE_DISPLAY_TRANSPORT_GET_CLASS (self)->send_button (self, button, down);
}

void
display_transport_send_wheel (DisplayTransport *self, int steps)
{
  ALCOVE_DISPLAY_TRANSPORT_GET_CLASS (self)->send_wheel (self, steps);
}

void
display_transport_request_size (DisplayTransport *self, guint width, guint height)
{
  ALCOVE_DISPLAY_TRANSPORT_GET_CLASS (self)->request_size (self, width, height);
}

gboolean
display_transport_takes_size (DisplayTransport *self)
{
  return ALCOVE_DISPLAY_TRANSPORT_GET_CLASS (self)->takes_size (self);
}

gboolean
display_transport_wants_motion (DisplayTransport *self)
{
  return ALCOVE_DISPLAY_TRANSPORT_GET_CLASS (self)->wants_motion (self);
}

gboolean
display_transport_get_locks (DisplayTransport *self, KeyLocks *locks)
{
  return ALCOVE_DISPLAY_TRANSPORT_GET_CLASS (self)->get_locks (self, locks);
}

void
display_transport_emit_opened (DisplayTransport *self)
{
  g_signal_emit (self, signals[OPENED], 0);
}

void
display_transport_emit_closed (DisplayTransport *self, GError *error)
{
  DisplayTransportPrivate *priv = display_transport_get_instance_private (self);
  g_autoptr (GError) owned = error;

  if (priv->closed)
    return;
  priv->closed = TRUE;
  g_signal_emit (self, signals[CLOSED], 0, owned);
}

void
display_transport_emit_frame (DisplayTransport *self, Frame *frame)
{
  g_signal_emit (self, signals[FRAME_CHANGED], 0, frame);
}

void
display_transport_emit_damage (DisplayTransport *self, const FrameRect *rect)
{
  g_signal_emit (self, signals[DAMAGE], 0, rect);
}

void
display_transport_emit_cursor (DisplayTransport *self, const PointerShape *shape)
{
  g_signal_emit (self, signals[CURSOR], 0, shape);
}

void
display_transport_emit_changed (DisplayTransport *self)
{
  g_signal_emit (self, signals[CHANGED], 0);
}
