#include "fake-transport.h"

struct _FakeTransport
{
  DisplayTransport parent;
  Frame *frame;
  GString *log;
  gboolean takes_size, wants_motion;
  int locks;
};

G_DEFINE_FINAL_TYPE (FakeTransport, fake_transport, TYPE_DISPLAY_TRANSPORT)

static void G_GNUC_PRINTF (2, 3) note (DisplayTransport *transport, const char *format, ...)
{
  FakeTransport *self = ALCOVE_FAKE_TRANSPORT (transport);
  va_list arguments;

  if (self->log->len > 0)
    g_string_append (self->log, ", ");
  va_start (arguments, format);
  g_string_append_vprintf (self->log, format, arguments);
  va_end (arguments);
}

static void
fake_transport_open (DisplayTransport *transport)
{
  display_transport_emit_opened (transport);
}

static void
fake_transport_close (DisplayTransport *transport)
{
  display_transport_emit_closed (transport, NULL);
}

static void
fake_transport_update_done (DisplayTransport *transport)
{
  note (transport, "done");
}

static void
fake_transport_send_key (DisplayTransport *transport, guint scancode, gboolean down)
{
  note (transport, "key %x %s", scancode, down ? "down" : "up");
}

static void
fake_transport_send_locks (DisplayTransport *transport, KeyLocks locks)
{
  note (transport, "locks %d", locks);
}

static void
fake_transport_send_position (DisplayTransport *transport, int x, int y)
{
  note (transport, "position %d %d", x, y);
}

static void
fake_transport_send_motion (DisplayTransport *transport, int dx, int dy)
{
  note (transport, "motion %d %d", dx, dy);
}

static void
fake_transport_send_button (DisplayTransport *transport, PointerButton button, gboolean down)
{
  note (transport, "button %d %s", button, down ? "down" : "up");
}

static void
fake_transport_send_wheel (DisplayTransport *transport, int steps)
{
  note (transport, "wheel %d", steps);
}

static void
fake_transport_request_size (DisplayTransport *transport, guint width, guint height)
{
  note (transport, "size %ux%u", width, height);
}

static gboolean
fake_transport_takes_size (DisplayTransport *transport)
{
  return ALCOVE_FAKE_TRANSPORT (transport)->takes_size;
}

static gboolean
fake_transport_wants_motion (DisplayTransport *transport)
{
  return ALCOVE_FAKE_TRANSPORT (transport)->wants_motion;
}

static gboolean
fake_transport_get_locks (DisplayTransport *transport, KeyLocks *locks)
{
  FakeTransport *self = ALCOVE_FAKE_TRANSPORT (transport);

  if (self->locks < 0)
    return FALSE;
  *locks = self->locks;
  return TRUE;
}

static void
fake_transport_finalize (GObject *object)
{
  FakeTransport *self = ALCOVE_FAKE_TRANSPORT (object);

  g_clear_object (&self->frame);
  g_string_free (self->log, TRUE);
  G_OBJECT_CLASS (fake_transport_parent_class)->finalize (object);
}

static void
fake_transport_class_init (FakeTransportClass *klass)
{
  DisplayTransportClass *transport = ALCOVE_DISPLAY_TRANSPORT_CLASS (klass);

  G_OBJECT_CLASS (klass)->finalize = fake_transport_finalize;
  transport->open = fake_transport_open;
  transport->close = fake_transport_close;
  transport->update_done = fake_transport_update_done;
  transport->send_key = fake_transport_send_key;
  transport->send_locks = fake_transport_send_locks;
  transport->send_position = fake_transport_send_position;
  transport->send_motion = fake_transport_send_motion;
  transport->send_button = fake_transport_send_button;
  transport->send_wheel = fake_transport_send_wheel;
  transport->request_size = fake_transport_request_size;
  transport->takes_size = fake_transport_takes_size;
  transport->wants_motion = fake_transport_wants_motion;
  transport->get_locks = fake_transport_get_locks;
}

static void
fake_transport_init (FakeTransport *self)
{
  self->log = g_string_new (NULL);
  self->locks = -1;
}

FakeTransport *
fake_transport_new (void)
{
  return g_object_new (TYPE_FAKE_TRANSPORT, NULL);
}

char *
fake_transport_take_log (FakeTransport *self)
{
  g_autoptr (GString) log = self->log;

  self->log = g_string_new (NULL);
  return g_string_free (g_steal_pointer (&log), FALSE);
}

void
fake_transport_set_state (FakeTransport *self, gboolean takes_size, gboolean wants_motion,
                          int locks)
{
  self->takes_size = takes_size;
  self->wants_motion = wants_motion;
  self->locks = locks;
  display_transport_emit_changed (ALCOVE_DISPLAY_TRANSPORT (self));
}

void
fake_transport_show (FakeTransport *self, Frame *frame)
{
  g_set_object (&self->frame, frame);
  display_transport_emit_frame (ALCOVE_DISPLAY_TRANSPORT (self), frame);
}

void
fake_transport_fill (FakeTransport *self, const FrameRect *rect, guint32 colour)
{
  gsize stride = frame_get_stride (self->frame);
  gsize n = (gsize) frame_get_width (self->frame) * frame_get_height (self->frame);
  g_autofree guint32 *pixels = g_new (guint32, n);

  for (gsize i = 0; i < n; i++)
    pixels[i] = GUINT32_TO_LE (colour);
  frame_write (self->frame, rect, FRAME_XRGB_8888, (const guint8 *) pixels, stride);
  display_transport_emit_damage (ALCOVE_DISPLAY_TRANSPORT (self), rect);
}
