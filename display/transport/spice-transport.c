#define G_LOG_DOMAIN "display-spice"

/* Theory of operation: one SpiceSession whose channels ask for their descriptors ("open-fd"). Of the
 * channels that the server offers we connect the first display and the inputs, without which
 * there is nothing to show, and the cursor. The picture is the subject of screen-source.c.
 *
 * spice-client-glib runs each channel in a coroutine and emits its signals from an idle source on the
 * main thread, the channel parked meanwhile: no handler here blocks. The session disconnects later than
 * it is told to, so every handler is disconnected first. */

#include "transport/spice-transport.h"

#include <spice-client.h>
#include <sys/socket.h>
#include <unistd.h>

#include "transport/screen-source.h"

/* A server that accepts a connection and then keeps silent is not waited for longer. */
#define OPEN_TIMEOUT_SECONDS 30
/* A wheel turned further in one event is a fault of the device, not a wish. */
#define MAX_WHEEL_STEPS 64

struct _SpiceTransport
{
  DisplayTransport parent;
  FdRequestFunc provider;
  gpointer provider_data;
  GCancellable *cancellable; /* cancelled: closed */
  SpiceSession *session;
  GPtrArray *channels; /* those that we watch, owned */
  SpiceMainChannel *main;
  SpiceDisplayChannel *display;
  SpiceInputsChannel *inputs; /* these are borrowed from `channels` */
  ScreenSource *screen;
  gboolean display_open, inputs_open, opened;
  gboolean locks_known;
  guint timeout;
  int buttons; /* SPICE_MOUSE_BUTTON_MASK_* that are down */
};

G_DEFINE_FINAL_TYPE (SpiceTransport, spice_transport, TYPE_DISPLAY_TRANSPORT)

/* ---- Ending ---- */

static void
drop_session (SpiceTransport *self)
{
  g_cancellable_cancel (self->cancellable);
  g_clear_handle_id (&self->timeout, g_source_remove);
  for (guint i = 0; i < self->channels->len; i++)
    g_signal_handlers_disconnect_by_data (g_ptr_array_index (self->channels, i), self);
  g_clear_pointer (&self->screen, screen_source_free);
  self->main = NULL;
  self->display = NULL;
  self->inputs = NULL;
  g_ptr_array_set_size (self->channels, 0);
  if (self->session == NULL)
    return;
  g_signal_handlers_disconnect_by_data (self->session, self);
  spice_session_disconnect (self->session);
  g_clear_object (&self->session);
}

/* `error` is consumed. */
static void
end (SpiceTransport *self, GError *error)
{
  g_autoptr (SpiceTransport) keep G_GNUC_UNUSED = g_object_ref (self);

  g_debug ("closed: %s", error != NULL ? error->message : "as asked");
  drop_session (self);
  display_transport_emit_closed (ALCOVE_DISPLAY_TRANSPORT (self), error);
}

static gboolean
on_timeout (gpointer data)
{
  SpiceTransport *self = data;

  self->timeout = 0;
  end (self,
       g_error_new (G_IO_ERROR, G_IO_ERROR_TIMED_OUT,
                    "The machine's screen did not answer within %d seconds", OPEN_TIMEOUT_SECONDS));
  return G_SOURCE_REMOVE;
}

/* ---- Channels ---- */

static const char *
channel_name (SpiceChannel *channel)
{
  if (SPICE_IS_MAIN_CHANNEL (channel))
    return "main";
  if (SPICE_IS_DISPLAY_CHANNEL (channel))
    return "display";
  return SPICE_IS_INPUTS_CHANNEL (channel) ? "inputs" : "cursor";
}

static gboolean
is_stream_socket (int fd)
{
  int type = 0;
  socklen_t size = sizeof type;

  return getsockopt (fd, SOL_SOCKET, SO_TYPE, &type, &size) == 0 && type == SOCK_STREAM;
}

static void
on_fd_answered (GObject *owner, GObject *channel, int fd, GError *error)
{
  SpiceTransport *self = ALCOVE_SPICE_TRANSPORT (owner);

  if (fd >= 0 && !is_stream_socket (fd))
    {
      close (fd);
      fd = -1;
      error = g_error_new (G_IO_ERROR, G_IO_ERROR_INVALID_ARGUMENT,
                           "What should connect to the machine's screen is not a stream socket");
    }
  if (fd < 0)
    {
      end (self, error);
      return;
    }
  /* Owns the descriptor from here on. */
  if (!spice_channel_open_fd (SPICE_CHANNEL (channel), fd))
    end (self, g_error_new (G_IO_ERROR, G_IO_ERROR_FAILED,
                            "The %s channel of the machine's screen cannot be opened",
                            channel_name (SPICE_CHANNEL (channel))));
}

static void
on_open_fd (SpiceChannel *channel, int with_tls, gpointer data)
{
  SpiceTransport *self = data;

  if (with_tls)
    {
      end (self, g_error_new (G_IO_ERROR, G_IO_ERROR_NOT_SUPPORTED,
                              "The machine's screen asks for an encrypted connection, "
                              "which a local one cannot be"));
      return;
    }
  g_debug ("%s: asks for a descriptor", channel_name (channel));
  self->provider (fd_request_new (G_OBJECT (self), G_OBJECT (channel), channel_name (channel),
                                  self->cancellable, on_fd_answered),
                  self->provider_data);
}

static const char *
describe_event (SpiceChannelEvent event)
{
  switch (event)
    {
    case SPICE_CHANNEL_CLOSED:
      return "it was closed by the machine";
    case SPICE_CHANNEL_ERROR_CONNECT:
      return "it could not be made";
    case SPICE_CHANNEL_ERROR_TLS:
      return "its encryption failed";
    case SPICE_CHANNEL_ERROR_LINK:
      return "what answers does not speak SPICE";
    case SPICE_CHANNEL_ERROR_AUTH:
      return "it asks for a password";
    case SPICE_CHANNEL_ERROR_IO:
      return "it broke";
    default:
      return "it failed";
    }
}

static void
on_channel_opened (SpiceTransport *self, SpiceChannel *channel)
{
  g_debug ("%s: open", channel_name (channel));
  if (SPICE_IS_DISPLAY_CHANNEL (channel))
    self->display_open = TRUE;
  if (SPICE_IS_INPUTS_CHANNEL (channel))
    self->inputs_open = TRUE;
  if (self->opened || !self->display_open || !self->inputs_open)
    return;
  self->opened = TRUE;
  g_clear_handle_id (&self->timeout, g_source_remove);
  display_transport_emit_opened (ALCOVE_DISPLAY_TRANSPORT (self));
}

static void
on_channel_event (SpiceChannel *channel, SpiceChannelEvent event, gpointer data)
{
  SpiceTransport *self = data;
  const GError *reason;

  if (event == SPICE_CHANNEL_OPENED)
    {
      on_channel_opened (self, channel);
      return;
    }
  if (event == SPICE_CHANNEL_NONE || event == SPICE_CHANNEL_SWITCHING)
    return;
  reason = spice_channel_get_error (channel);
  end (self, g_error_new (G_IO_ERROR,
                          event == SPICE_CHANNEL_CLOSED ? G_IO_ERROR_CONNECTION_CLOSED
                                                        : G_IO_ERROR_FAILED,
                          "The connection to the machine's screen ended: %s%s%s (%s channel)",
                          describe_event (event), reason != NULL ? ": " : "",
                          reason != NULL ? reason->message : "", channel_name (channel)));
}

static void
on_changed (SpiceTransport *self)
{
  display_transport_emit_changed (ALCOVE_DISPLAY_TRANSPORT (self));
}

static void
on_modifiers (SpiceTransport *self)
{
  int locks = 0;

  /* The first message is the server's default as well as a guest's word: believe it when it says
   * something. */
  g_object_get (self->inputs, "key-modifiers", &locks, NULL);
  if (locks != 0)
    self->locks_known = TRUE;
  on_changed (self);
}

static void
on_cursor_set (SpiceChannel *channel, int width, int height, int hot_x, int hot_y, gpointer pixels,
               gpointer data)
{
  DisplayTransport *transport = data;
  PointerShape shape = { 0 };

  if (pixels == NULL || width < 1 || height < 1 || width > POINTER_SHAPE_MAX_SIDE ||
      height > POINTER_SHAPE_MAX_SIDE)
    {
      display_transport_emit_cursor (transport, &shape); /* the desktop's own */
      return;
    }
  shape.width = width;
  shape.height = height;
  shape.hot_x = CLAMP (hot_x, 0, width - 1);
  shape.hot_y = CLAMP (hot_y, 0, height - 1);
  shape.pixels = g_bytes_new (pixels, (gsize) width * height * 4);
  display_transport_emit_cursor (transport, &shape);
  g_bytes_unref (shape.pixels);
}

static void
on_cursor_hide (SpiceChannel *channel, gpointer data)
{
  display_transport_emit_cursor (data, NULL);
}

static void
on_cursor_reset (SpiceChannel *channel, gpointer data)
{
  on_cursor_set (channel, 0, 0, 0, 0, NULL, data);
}

static void
on_screen_broken (GError *error, gpointer data)
{
  end (data, error);
}

static void
watch (SpiceTransport *self, SpiceChannel *channel)
{
  g_ptr_array_add (self->channels, g_object_ref (channel));
  g_signal_connect (channel, "open-fd", G_CALLBACK (on_open_fd), self);
  g_signal_connect (channel, "channel-event", G_CALLBACK (on_channel_event), self);
}

static void
on_channel_new (SpiceSession *session, SpiceChannel *channel, gpointer data)
{
  SpiceTransport *self = data;
  int id = 0;

  g_object_get (channel, "channel-id", &id, NULL);
  if (SPICE_IS_MAIN_CHANNEL (channel) && self->main == NULL)
    {
      watch (self, channel);
      self->main = SPICE_MAIN_CHANNEL (channel);
      g_signal_connect_swapped (channel, "notify::agent-connected", G_CALLBACK (on_changed), self);
      g_signal_connect_swapped (channel, "notify::mouse-mode", G_CALLBACK (on_changed), self);
      return; /* the session connects it */
    }
  if (SPICE_IS_DISPLAY_CHANNEL (channel) && id == 0 && self->display == NULL)
    {
      watch (self, channel);
      self->display = SPICE_DISPLAY_CHANNEL (channel);
      self->screen =
          screen_source_new (self->display, ALCOVE_DISPLAY_TRANSPORT (self), on_screen_broken);
    }
  else if (SPICE_IS_INPUTS_CHANNEL (channel) && self->inputs == NULL)
    {
      watch (self, channel);
      self->inputs = SPICE_INPUTS_CHANNEL (channel);
      g_signal_connect_swapped (channel, "inputs-modifiers", G_CALLBACK (on_modifiers), self);
    }
  else if (SPICE_IS_CURSOR_CHANNEL (channel) && id == 0)
    {
      watch (self, channel);
      g_signal_connect (channel, "cursor-set", G_CALLBACK (on_cursor_set), self);
      g_signal_connect (channel, "cursor-hide", G_CALLBACK (on_cursor_hide), self);
      g_signal_connect (channel, "cursor-reset", G_CALLBACK (on_cursor_reset), self);
    }
  else
    {
      return;
    }
  spice_channel_connect (channel);
}

/* ---- DisplayTransport ---- */

static void
spice_transport_open (DisplayTransport *transport)
{
  SpiceTransport *self = ALCOVE_SPICE_TRANSPORT (transport);

  self->session = spice_session_new ();
  g_object_set (self->session, "enable-audio", FALSE, "enable-usbredir", FALSE, "enable-smartcard",
                FALSE, "preferred-compression", SPICE_IMAGE_COMPRESSION_OFF, "gl-scanout", TRUE,
                NULL);
  g_signal_connect (self->session, "channel-new", G_CALLBACK (on_channel_new), self);
  self->timeout = g_timeout_add_seconds (OPEN_TIMEOUT_SECONDS, on_timeout, self);
  spice_session_open_fd (self->session, -1);
}

static void
spice_transport_close (DisplayTransport *transport)
{
  end (ALCOVE_SPICE_TRANSPORT (transport), NULL);
}

static void
spice_transport_update_done (DisplayTransport *transport)
{
  SpiceTransport *self = ALCOVE_SPICE_TRANSPORT (transport);

  if (self->screen != NULL)
    screen_source_update_done (self->screen);
}

static void
spice_transport_send_key (DisplayTransport *transport, guint scancode, gboolean down)
{
  SpiceTransport *self = ALCOVE_SPICE_TRANSPORT (transport);

  if (!self->opened || self->inputs == NULL)
    return;
  if (down)
    spice_inputs_channel_key_press (self->inputs, scancode);
  else
    spice_inputs_channel_key_release (self->inputs, scancode);
}

static void
spice_transport_send_locks (DisplayTransport *transport, KeyLocks locks)
{
  SpiceTransport *self = ALCOVE_SPICE_TRANSPORT (transport);

  if (self->opened && self->inputs != NULL)
    spice_inputs_channel_set_key_locks (self->inputs, locks);
}

static void
spice_transport_send_position (DisplayTransport *transport, int x, int y)
{
  SpiceTransport *self = ALCOVE_SPICE_TRANSPORT (transport);
  int left = 0, top = 0;

  if (!self->opened || self->inputs == NULL)
    return;
  screen_source_get_origin (self->screen, &left, &top);
  spice_inputs_channel_position (self->inputs, left + x, top + y, 0, self->buttons);
}

static void
spice_transport_send_motion (DisplayTransport *transport, int dx, int dy)
{
  SpiceTransport *self = ALCOVE_SPICE_TRANSPORT (transport);

  if (self->opened && self->inputs != NULL)
    spice_inputs_channel_motion (self->inputs, dx, dy, self->buttons);
}

static void
spice_transport_send_button (DisplayTransport *transport, PointerButton button, gboolean down)
{
  static const struct
  {
    int button, mask;
  } map[] = {
    [POINTER_BUTTON_LEFT] = { SPICE_MOUSE_BUTTON_LEFT, SPICE_MOUSE_BUTTON_MASK_LEFT },
    [POINTER_BUTTON_MIDDLE] = { SPICE_MOUSE_BUTTON_MIDDLE, SPICE_MOUSE_BUTTON_MASK_MIDDLE },
    [POINTER_BUTTON_RIGHT] = { SPICE_MOUSE_BUTTON_RIGHT, SPICE_MOUSE_BUTTON_MASK_RIGHT },
    [POINTER_BUTTON_SIDE] = { SPICE_MOUSE_BUTTON_SIDE, SPICE_MOUSE_BUTTON_MASK_SIDE },
    [POINTER_BUTTON_EXTRA] = { SPICE_MOUSE_BUTTON_EXTRA, SPICE_MOUSE_BUTTON_MASK_EXTRA },
  };
  SpiceTransport *self = ALCOVE_SPICE_TRANSPORT (transport);

  if (!self->opened || self->inputs == NULL || button >= G_N_ELEMENTS (map) ||
      map[button].button == 0)
    return;
  if (down)
    {
      self->buttons |= map[button].mask;
      spice_inputs_channel_button_press (self->inputs, map[button].button, self->buttons);
    }
  else
    {
      self->buttons &= ~map[button].mask;
      spice_inputs_channel_button_release (self->inputs, map[button].button, self->buttons);
    }
}

static void
spice_transport_send_wheel (DisplayTransport *transport, int steps)
{
  SpiceTransport *self = ALCOVE_SPICE_TRANSPORT (transport);
  int button = steps < 0 ? SPICE_MOUSE_BUTTON_UP : SPICE_MOUSE_BUTTON_DOWN;

  if (!self->opened || self->inputs == NULL)
    return;
  for (int i = 0; i < MIN (ABS (steps), MAX_WHEEL_STEPS); i++)
    {
      spice_inputs_channel_button_press (self->inputs, button, self->buttons);
      spice_inputs_channel_button_release (self->inputs, button, self->buttons);
    }
}

static gboolean
spice_transport_takes_size (DisplayTransport *transport)
{
  SpiceTransport *self = ALCOVE_SPICE_TRANSPORT (transport);
  gboolean agent = FALSE;

  if (self->opened && self->main != NULL)
    g_object_get (self->main, "agent-connected", &agent, NULL);
  return agent;
}

static void
spice_transport_request_size (DisplayTransport *transport, guint width, guint height)
{
  SpiceTransport *self = ALCOVE_SPICE_TRANSPORT (transport);

  if (!spice_transport_takes_size (transport))
    return;
  /* Told to send by itself, the library would wait a second. */
  spice_main_channel_update_display_enabled (self->main, 0, TRUE, FALSE);
  spice_main_channel_update_display (self->main, 0, 0, 0, width, height, FALSE);
  spice_main_channel_send_monitor_config (self->main);
}

static gboolean
spice_transport_wants_motion (DisplayTransport *transport)
{
  SpiceTransport *self = ALCOVE_SPICE_TRANSPORT (transport);
  int mode = SPICE_MOUSE_MODE_CLIENT;

  if (self->main != NULL)
    g_object_get (self->main, "mouse-mode", &mode, NULL);
  return mode == SPICE_MOUSE_MODE_SERVER;
}

static gboolean
spice_transport_get_locks (DisplayTransport *transport, KeyLocks *locks)
{
  SpiceTransport *self = ALCOVE_SPICE_TRANSPORT (transport);
  int value = 0;

  if (self->inputs == NULL || !self->locks_known)
    return FALSE;
  g_object_get (self->inputs, "key-modifiers", &value, NULL);
  *locks = value & (KEY_LOCK_SCROLL | KEY_LOCK_NUM | KEY_LOCK_CAPS);
  return TRUE;
}

/* ---- Life ---- */

static void
spice_transport_dispose (GObject *object)
{
  drop_session (ALCOVE_SPICE_TRANSPORT (object));
  G_OBJECT_CLASS (spice_transport_parent_class)->dispose (object);
}

static void
spice_transport_finalize (GObject *object)
{
  SpiceTransport *self = ALCOVE_SPICE_TRANSPORT (object);

  g_ptr_array_unref (self->channels);
  g_object_unref (self->cancellable);
  G_OBJECT_CLASS (spice_transport_parent_class)->finalize (object);
}

static void
spice_transport_class_init (SpiceTransportClass *klass)
{
  DisplayTransportClass *transport = ALCOVE_DISPLAY_TRANSPORT_CLASS (klass);

  G_OBJECT_CLASS (klass)->dispose = spice_transport_dispose;
  G_OBJECT_CLASS (klass)->finalize = spice_transport_finalize;
  transport->open = spice_transport_open;
  transport->close = spice_transport_close;
  transport->update_done = spice_transport_update_done;
  transport->send_key = spice_transport_send_key;
  transport->send_locks = spice_transport_send_locks;
  transport->send_position = spice_transport_send_position;
  transport->send_motion = spice_transport_send_motion;
  transport->send_button = spice_transport_send_button;
  transport->send_wheel = spice_transport_send_wheel;
  transport->request_size = spice_transport_request_size;
  transport->takes_size = spice_transport_takes_size;
  transport->wants_motion = spice_transport_wants_motion;
  transport->get_locks = spice_transport_get_locks;
}

static void
spice_transport_init (SpiceTransport *self)
{
  self->channels = g_ptr_array_new_with_free_func (g_object_unref);
  self->cancellable = g_cancellable_new ();
}

DisplayTransport *
spice_transport_new (FdRequestFunc provider, gpointer data)
{
  SpiceTransport *self = g_object_new (TYPE_SPICE_TRANSPORT, NULL);

  self->provider = provider;
  self->provider_data = data;
  return ALCOVE_DISPLAY_TRANSPORT (self);
}
