#define G_LOG_DOMAIN "display"

/* The widget: what the public header promises, put together from transport, frame, view and input.
 *
 * Theory of operation: what the transport tells is noted at once (damage, a new frame) and drawn in the next snapshot, where the pixels are
 * taken over and the updates that they came with are answered. A widget that is not drawn (unmapped, minimised, on another
 * workspace) answers by itself a little later: a server that waits for us must not be held up by what nobody sees. */

#include "display-private.h"

#include "frame/frame-png.h"
#include "input/keyboard-input.h"
#include "input/pointer-input.h"
#include "transport/path-provider.h"
#include "transport/spice-transport.h"
#include "view/display-geometry.h"
#include "view/frame-painter.h"
#include "view/guest-cursor.h"
#include "view/guest-size.h"
#include "view/update-pacer.h"

struct _AlcoveDisplay
{
  GtkWidget parent;

  AlcoveDisplayFdProvider provider;
  gpointer provider_data;
  GDestroyNotify provider_destroy;

  DisplayTransport *transport;
  gboolean connecting, connected, had_picture;
  guint pending_source; /* the transport is to be opened, or "disconnected" to be emitted */

  FramePainter *painter;
  DisplayGeometry geometry;
  KeyboardInput *keyboard;
  PointerInput *pointer;
  gboolean cursor_hidden;
  double cursor_ratio; /* of the cursor that is set */
  PointerShape shape;

  UpdatePacer *pacer;
  GuestSize *size;
  gboolean resize_guest, capture_keyboard;

  guint64 updates;
  gint64 last_update, last_frame;
};

enum
{
  PROP_0,
  PROP_CONNECTED,
  PROP_CONNECTING,
  PROP_HAS_PICTURE,
  PROP_GUEST_WIDTH,
  PROP_GUEST_HEIGHT,
  PROP_RESIZE_GUEST,
  PROP_CAPTURE_KEYBOARD,
  PROP_KEYBOARD_CAPTURED,
  N_PROPS
};

enum
{
  CONNECTED,
  DISCONNECTED,
  FIRST_PICTURE,
  N_SIGNALS
};

static GParamSpec *properties[N_PROPS];
static guint signals[N_SIGNALS];

G_DEFINE_FINAL_TYPE (AlcoveDisplay, alcove_display, GTK_TYPE_WIDGET)

static void
notify (AlcoveDisplay *self, guint property)
{
  g_object_notify_by_pspec (G_OBJECT (self), properties[property]);
}

/* ---- The picture ---- */

/* How many pixels of the guest one of the cursor's is. GDK gives a cursor's texture to an X server pixel for pixel, elsewhere a pixel
 * of it is a unit. */
static double
get_cursor_ratio (AlcoveDisplay *self)
{
  GtkWidget *widget = GTK_WIDGET (self);
  double ratio = display_geometry_get_ratio (&self->geometry);

  if (self->geometry.guest_width > 0 &&
      strcmp (G_OBJECT_TYPE_NAME (gtk_widget_get_display (widget)), "GdkX11Display") == 0)
    ratio /= gtk_widget_get_scale_factor (widget);
  return ratio;
}

static void
update_cursor (AlcoveDisplay *self)
{
  g_autoptr (GdkCursor) cursor = NULL;

  self->cursor_ratio = get_cursor_ratio (self);
  cursor = guest_cursor_new (self->cursor_hidden ? NULL : &self->shape, self->cursor_ratio);
  gtk_widget_set_cursor (GTK_WIDGET (self), cursor);
}

static void
update_geometry (AlcoveDisplay *self)
{
  GtkWidget *widget = GTK_WIDGET (self);
  Frame *frame = frame_painter_get_frame (self->painter);

  self->geometry = display_geometry_new (
      gtk_widget_get_width (widget), gtk_widget_get_height (widget),
      gtk_widget_get_scale_factor (widget), frame != NULL ? frame_get_width (frame) : 0,
      frame != NULL ? frame_get_height (frame) : 0);
  pointer_input_set_geometry (self->pointer, &self->geometry);
  if (get_cursor_ratio (self) != self->cursor_ratio)
    update_cursor (self);
  gtk_widget_queue_draw (widget);
}

static void
set_frame (AlcoveDisplay *self, Frame *frame)
{
  Frame *before = frame_painter_get_frame (self->painter);
  guint width = before != NULL ? frame_get_width (before) : 0;
  guint height = before != NULL ? frame_get_height (before) : 0;
  gboolean had = before != NULL;

  frame_painter_set_frame (self->painter, frame);
  update_geometry (self);
  if (width != alcove_display_get_guest_width (self))
    notify (self, PROP_GUEST_WIDTH);
  if (height != alcove_display_get_guest_height (self))
    notify (self, PROP_GUEST_HEIGHT);
  if (had != (frame != NULL))
    notify (self, PROP_HAS_PICTURE);
}

static void
on_frame (AlcoveDisplay *self, Frame *frame)
{
  g_debug ("frame %ux%u", frame != NULL ? frame_get_width (frame) : 0,
           frame != NULL ? frame_get_height (frame) : 0);
  self->updates++;
  self->last_update = g_get_monotonic_time ();
  set_frame (self, frame);
  if (frame == NULL || self->had_picture)
    return;
  self->had_picture = TRUE;
  g_signal_emit (self, signals[FIRST_PICTURE], 0);
}

static void
on_damage (AlcoveDisplay *self, const FrameRect *rect)
{
  self->updates++;
  self->last_update = g_get_monotonic_time ();
  frame_painter_damage (self->painter, rect);
  update_pacer_add (self->pacer);
}

static void
on_cursor (AlcoveDisplay *self, const PointerShape *shape)
{
  self->cursor_hidden = shape == NULL;
  if (shape != NULL)
    {
      g_clear_pointer (&self->shape.pixels, g_bytes_unref);
      self->shape = *shape;
      if (shape->pixels != NULL)
        g_bytes_ref (shape->pixels);
    }
  update_cursor (self);
}

static void
alcove_display_snapshot (GtkWidget *widget, GtkSnapshot *snapshot)
{
  AlcoveDisplay *self = ALCOVE_DISPLAY (widget);
  const DisplayGeometry *at = &self->geometry;
  guint64 before = frame_painter_get_stats (self->painter)->frames;
  GdkTexture *texture = frame_painter_update (self->painter, at->multiple);
  graphene_rect_t all = GRAPHENE_RECT_INIT (0, 0, (float) gtk_widget_get_width (widget),
                                            (float) gtk_widget_get_height (widget));
  graphene_rect_t picture =
      GRAPHENE_RECT_INIT ((float) at->x, (float) at->y, (float) at->width, (float) at->height);

  gtk_snapshot_append_color (snapshot, &(GdkRGBA){ 0, 0, 0, 1 }, &all);
  if (texture != NULL && at->guest_width > 0)
    gtk_snapshot_append_texture (snapshot, texture, &picture);
  if (frame_painter_get_stats (self->painter)->frames != before)
    self->last_frame = g_get_monotonic_time ();
  update_pacer_answer (self->pacer);
}

static void
on_changed (AlcoveDisplay *self)
{
  keyboard_input_sync_locks (self->keyboard);
  guest_size_guest_changed (self->size);
}

/* ---- Connecting ---- */

static void
set_state (AlcoveDisplay *self, gboolean connecting, gboolean connected)
{
  gboolean was_connecting = self->connecting, was_connected = self->connected;

  self->connecting = connecting;
  self->connected = connected;
  if (was_connecting != connecting)
    notify (self, PROP_CONNECTING);
  if (was_connected != connected)
    notify (self, PROP_CONNECTED);
}

/* The last picture stays. */
static void
drop_transport (AlcoveDisplay *self)
{
  g_autoptr (DisplayTransport) transport = NULL;

  g_clear_handle_id (&self->pending_source, g_source_remove);
  keyboard_input_set_transport (self->keyboard, NULL);
  pointer_input_set_transport (self->pointer, NULL);
  update_pacer_set_transport (self->pacer, NULL);
  guest_size_set_transport (self->size, NULL);
  transport = g_steal_pointer (&self->transport);
  if (transport != NULL)
    {
      g_signal_handlers_disconnect_by_data (transport, self);
      display_transport_close (transport);
    }
  self->cursor_hidden = FALSE;
  g_clear_pointer (&self->shape.pixels, g_bytes_unref);
}

static void
on_opened (AlcoveDisplay *self)
{
  keyboard_input_set_transport (self->keyboard, self->transport);
  pointer_input_set_transport (self->pointer, self->transport);
  keyboard_input_sync_locks (self->keyboard);
  guest_size_set_transport (self->size, self->transport);
  set_state (self, FALSE, TRUE);
  g_signal_emit (self, signals[CONNECTED], 0);
}

static void
on_closed (AlcoveDisplay *self, GError *error)
{
  g_autoptr (AlcoveDisplay) keep G_GNUC_UNUSED = g_object_ref (self);

  drop_transport (self);
  update_cursor (self);
  set_state (self, FALSE, FALSE);
  g_signal_emit (self, signals[DISCONNECTED], 0, error);
}

static gboolean
open_transport (gpointer data)
{
  AlcoveDisplay *self = data;

  self->pending_source = 0;
  display_transport_open (self->transport);
  return G_SOURCE_REMOVE;
}

static gboolean
tell_disconnected (gpointer data)
{
  AlcoveDisplay *self = data;

  self->pending_source = 0;
  g_signal_emit (self, signals[DISCONNECTED], 0, NULL);
  return G_SOURCE_REMOVE;
}

void
alcove_display_connect_transport (AlcoveDisplay *self, DisplayTransport *transport)
{
  drop_transport (self);
  set_frame (self, NULL);
  self->had_picture = FALSE;
  self->transport = g_object_ref (transport);
  update_pacer_set_transport (self->pacer, transport);
  g_signal_connect_swapped (transport, "opened", G_CALLBACK (on_opened), self);
  g_signal_connect_swapped (transport, "closed", G_CALLBACK (on_closed), self);
  g_signal_connect_swapped (transport, "frame", G_CALLBACK (on_frame), self);
  g_signal_connect_swapped (transport, "damage", G_CALLBACK (on_damage), self);
  g_signal_connect_swapped (transport, "cursor", G_CALLBACK (on_cursor), self);
  g_signal_connect_swapped (transport, "changed", G_CALLBACK (on_changed), self);
  update_cursor (self);
  set_state (self, TRUE, FALSE);
  self->pending_source = g_idle_add_full (G_PRIORITY_DEFAULT, open_transport, self, NULL);
}

static void
ask_provider (FdRequest *request, gpointer data)
{
  AlcoveDisplay *self = data;

  if (self->provider != NULL)
    self->provider (request, self->provider_data);
  else
    fd_request_answer (request, -1,
                       g_error_new (G_IO_ERROR, G_IO_ERROR_NOT_INITIALIZED,
                                    "Nobody was named who connects to the machine's screen"));
}

void
alcove_display_connect (AlcoveDisplay *self)
{
  g_autoptr (DisplayTransport) transport = NULL;

  g_return_if_fail (ALCOVE_IS_DISPLAY (self));
  transport = spice_transport_new (ask_provider, self);
  alcove_display_connect_transport (self, transport);
}

void
alcove_display_disconnect (AlcoveDisplay *self)
{
  g_return_if_fail (ALCOVE_IS_DISPLAY (self));
  if (self->transport == NULL)
    return;
  drop_transport (self);
  update_cursor (self);
  set_state (self, FALSE, FALSE);
  self->pending_source = g_idle_add_full (G_PRIORITY_DEFAULT, tell_disconnected, self, NULL);
}

void
alcove_display_set_fd_provider (AlcoveDisplay *self, AlcoveDisplayFdProvider provider,
                                gpointer data, GDestroyNotify destroy)
{
  g_return_if_fail (ALCOVE_IS_DISPLAY (self));
  if (self->provider_destroy != NULL)
    self->provider_destroy (self->provider_data);
  self->provider = provider;
  self->provider_data = data;
  self->provider_destroy = destroy;
}

void
alcove_display_set_path (AlcoveDisplay *self, const char *path)
{
  alcove_display_set_fd_provider (self, path_provider_answer, g_strdup (path), g_free);
}

void
alcove_display_fd_request_answer (AlcoveDisplayFdRequest *request, int fd, GError *error)
{
  fd_request_answer (request, fd, error);
}

GCancellable *
alcove_display_fd_request_get_cancellable (AlcoveDisplayFdRequest *request)
{
  return fd_request_get_cancellable (request);
}

const char *
alcove_display_fd_request_get_channel (AlcoveDisplayFdRequest *request)
{
  return fd_request_get_name (request);
}

/* ---- GtkWidget ---- */

static void
alcove_display_measure (GtkWidget *widget, GtkOrientation orientation, int for_size, int *minimum,
                        int *natural, int *minimum_baseline, int *natural_baseline)
{
  AlcoveDisplay *self = ALCOVE_DISPLAY (widget);
  gboolean horizontal = orientation == GTK_ORIENTATION_HORIZONTAL;
  guint guest =
      horizontal ? alcove_display_get_guest_width (self) : alcove_display_get_guest_height (self);

  *minimum = 64;
  *natural = horizontal ? 640 : 480;
  if (guest > 0)
    *natural = MAX ((int) guest / gtk_widget_get_scale_factor (widget), *minimum);
  *minimum_baseline = *natural_baseline = -1;
}

static void
alcove_display_size_allocate (GtkWidget *widget, int width, int height, int baseline)
{
  update_geometry (ALCOVE_DISPLAY (widget));
  guest_size_changed (ALCOVE_DISPLAY (widget)->size);
}

static void
on_scale_factor (AlcoveDisplay *self)
{
  update_geometry (self);
  guest_size_changed (self->size);
}

static void
alcove_display_realize (GtkWidget *widget)
{
  GTK_WIDGET_CLASS (alcove_display_parent_class)->realize (widget);
  frame_painter_set_surface (ALCOVE_DISPLAY (widget)->painter,
                             gtk_native_get_surface (gtk_widget_get_native (widget)));
}

static void
alcove_display_unrealize (GtkWidget *widget)
{
  frame_painter_set_surface (ALCOVE_DISPLAY (widget)->painter, NULL);
  GTK_WIDGET_CLASS (alcove_display_parent_class)->unrealize (widget);
}

static void
alcove_display_unmap (GtkWidget *widget)
{
  AlcoveDisplay *self = ALCOVE_DISPLAY (widget);

  keyboard_input_release_all (self->keyboard);
  pointer_input_release_all (self->pointer);
  GTK_WIDGET_CLASS (alcove_display_parent_class)->unmap (widget);
  update_pacer_answer (self->pacer);
}

/* ---- GObject ---- */

static void
alcove_display_get_property (GObject *object, guint id, GValue *value, GParamSpec *pspec)
{
  AlcoveDisplay *self = ALCOVE_DISPLAY (object);

  switch (id)
    {
    case PROP_CONNECTED:
      g_value_set_boolean (value, self->connected);
      break;
    case PROP_CONNECTING:
      g_value_set_boolean (value, self->connecting);
      break;
    case PROP_HAS_PICTURE:
      g_value_set_boolean (value, alcove_display_has_picture (self));
      break;
    case PROP_GUEST_WIDTH:
      g_value_set_uint (value, alcove_display_get_guest_width (self));
      break;
    case PROP_GUEST_HEIGHT:
      g_value_set_uint (value, alcove_display_get_guest_height (self));
      break;
    case PROP_RESIZE_GUEST:
      g_value_set_boolean (value, self->resize_guest);
      break;
    case PROP_CAPTURE_KEYBOARD:
      g_value_set_boolean (value, self->capture_keyboard);
      break;
    case PROP_KEYBOARD_CAPTURED:
      g_value_set_boolean (value, alcove_display_is_keyboard_captured (self));
      break;
    default:
      G_OBJECT_WARN_INVALID_PROPERTY_ID (object, id, pspec);
    }
}

static void
alcove_display_set_property (GObject *object, guint id, const GValue *value, GParamSpec *pspec)
{
  AlcoveDisplay *self = ALCOVE_DISPLAY (object);

  if (id == PROP_RESIZE_GUEST)
    alcove_display_set_resize_guest (self, g_value_get_boolean (value));
  else if (id == PROP_CAPTURE_KEYBOARD)
    alcove_display_set_capture_keyboard (self, g_value_get_boolean (value));
  else
    G_OBJECT_WARN_INVALID_PROPERTY_ID (object, id, pspec);
}

static void
alcove_display_dispose (GObject *object)
{
  AlcoveDisplay *self = ALCOVE_DISPLAY (object);

  if (self->keyboard != NULL)
    drop_transport (self);
  g_clear_pointer (&self->size, guest_size_free);
  g_clear_pointer (&self->pacer, update_pacer_free);
  g_clear_pointer (&self->keyboard, keyboard_input_free);
  g_clear_pointer (&self->pointer, pointer_input_free);
  alcove_display_set_fd_provider (self, NULL, NULL, NULL);
  G_OBJECT_CLASS (alcove_display_parent_class)->dispose (object);
}

static void
alcove_display_finalize (GObject *object)
{
  frame_painter_free (ALCOVE_DISPLAY (object)->painter);
  G_OBJECT_CLASS (alcove_display_parent_class)->finalize (object);
}

static void
install_properties (GObjectClass *klass)
{
  const GParamFlags readable = G_PARAM_READABLE | G_PARAM_STATIC_STRINGS;
  const GParamFlags writable = G_PARAM_READWRITE | G_PARAM_STATIC_STRINGS | G_PARAM_EXPLICIT_NOTIFY;

  properties[PROP_CONNECTED] = g_param_spec_boolean ("connected", NULL, NULL, FALSE, readable);
  properties[PROP_CONNECTING] = g_param_spec_boolean ("connecting", NULL, NULL, FALSE, readable);
  properties[PROP_HAS_PICTURE] = g_param_spec_boolean ("has-picture", NULL, NULL, FALSE, readable);
  properties[PROP_GUEST_WIDTH] =
      g_param_spec_uint ("guest-width", NULL, NULL, 0, FRAME_MAX_SIDE, 0, readable);
  properties[PROP_GUEST_HEIGHT] =
      g_param_spec_uint ("guest-height", NULL, NULL, 0, FRAME_MAX_SIDE, 0, readable);
  properties[PROP_RESIZE_GUEST] = g_param_spec_boolean ("resize-guest", NULL, NULL, TRUE, writable);
  properties[PROP_CAPTURE_KEYBOARD] =
      g_param_spec_boolean ("capture-keyboard", NULL, NULL, FALSE, writable);
  properties[PROP_KEYBOARD_CAPTURED] =
      g_param_spec_boolean ("keyboard-captured", NULL, NULL, FALSE, readable);
  g_object_class_install_properties (klass, N_PROPS, properties);
}

static void
alcove_display_class_init (AlcoveDisplayClass *klass)
{
  GObjectClass *object = G_OBJECT_CLASS (klass);
  GtkWidgetClass *widget = GTK_WIDGET_CLASS (klass);

  object->get_property = alcove_display_get_property;
  object->set_property = alcove_display_set_property;
  object->dispose = alcove_display_dispose;
  object->finalize = alcove_display_finalize;
  widget->measure = alcove_display_measure;
  widget->size_allocate = alcove_display_size_allocate;
  widget->snapshot = alcove_display_snapshot;
  widget->realize = alcove_display_realize;
  widget->unrealize = alcove_display_unrealize;
  widget->unmap = alcove_display_unmap;
  install_properties (object);
  signals[CONNECTED] = g_signal_new ("connected", ALCOVE_TYPE_DISPLAY, G_SIGNAL_RUN_LAST, 0, NULL,
                                     NULL, NULL, G_TYPE_NONE, 0);
  signals[DISCONNECTED] = g_signal_new ("disconnected", ALCOVE_TYPE_DISPLAY, G_SIGNAL_RUN_LAST, 0,
                                        NULL, NULL, NULL, G_TYPE_NONE, 1, G_TYPE_ERROR);
  signals[FIRST_PICTURE] = g_signal_new ("first-picture", ALCOVE_TYPE_DISPLAY, G_SIGNAL_RUN_LAST, 0,
                                         NULL, NULL, NULL, G_TYPE_NONE, 0);
  gtk_widget_class_set_css_name (widget, "alcove-display");
  gtk_widget_class_set_accessible_role (widget, GTK_ACCESSIBLE_ROLE_IMG);
}

static void
on_captured_changed (gpointer data)
{
  notify (data, PROP_KEYBOARD_CAPTURED);
}

static void
on_clicked (gpointer data)
{
  keyboard_input_recapture (((AlcoveDisplay *) data)->keyboard);
}

static void
alcove_display_init (AlcoveDisplay *self)
{
  GtkWidget *widget = GTK_WIDGET (self);

  self->resize_guest = TRUE;
  self->painter = frame_painter_new ();
  self->pacer = update_pacer_new (widget);
  self->size = guest_size_new (widget);
  guest_size_set_wished (self->size, self->resize_guest);
  self->keyboard = keyboard_input_new (widget, on_captured_changed, self);
  self->pointer = pointer_input_new (widget, on_clicked, self);
  gtk_widget_set_focusable (widget, TRUE);
  gtk_widget_set_hexpand (widget, TRUE);
  gtk_widget_set_vexpand (widget, TRUE);
  gtk_widget_set_overflow (widget, GTK_OVERFLOW_HIDDEN);
  g_signal_connect (self, "notify::scale-factor", G_CALLBACK (on_scale_factor), NULL);
}

GtkWidget *
alcove_display_new (void)
{
  return g_object_new (ALCOVE_TYPE_DISPLAY, NULL);
}

/* ---- What else the header promises ---- */

gboolean
alcove_display_is_connected (AlcoveDisplay *self)
{
  return self->connected;
}

gboolean
alcove_display_has_picture (AlcoveDisplay *self)
{
  return frame_painter_get_frame (self->painter) != NULL;
}

guint
alcove_display_get_guest_width (AlcoveDisplay *self)
{
  Frame *frame = frame_painter_get_frame (self->painter);

  return frame != NULL ? frame_get_width (frame) : 0;
}

guint
alcove_display_get_guest_height (AlcoveDisplay *self)
{
  Frame *frame = frame_painter_get_frame (self->painter);

  return frame != NULL ? frame_get_height (frame) : 0;
}

GdkTexture *
alcove_display_dup_texture (AlcoveDisplay *self)
{
  Frame *frame = frame_painter_get_frame (self->painter);
  g_autoptr (GBytes) pixels = NULL;

  if (frame == NULL)
    return NULL;
  pixels = frame_read (frame);
  return gdk_memory_texture_new ((int) frame_get_width (frame), (int) frame_get_height (frame),
                                 GDK_MEMORY_B8G8R8A8, pixels, (gsize) frame_get_width (frame) * 4);
}

void
alcove_display_save_png_async (AlcoveDisplay *self, const char *path, guint max_size,
                               GCancellable *cancellable, GAsyncReadyCallback callback,
                               gpointer data)
{
  Frame *frame = frame_painter_get_frame (self->painter);

  if (frame != NULL)
    frame_png_save_async (frame, path, max_size, G_OBJECT (self), cancellable, callback, data);
  else
    g_task_report_new_error (self, callback, data, alcove_display_save_png_async, G_IO_ERROR,
                             G_IO_ERROR_NOT_FOUND, "There is no picture to save to %s", path);
}

gboolean
alcove_display_save_png_finish (AlcoveDisplay *self, GAsyncResult *result, GError **error)
{
  return frame_png_save_finish (result, error);
}

void
alcove_display_send_keys (AlcoveDisplay *self, const guint *keyvals, gsize n_keyvals)
{
  keyboard_input_send (self->keyboard, keyvals, n_keyvals);
}

gboolean
alcove_display_get_resize_guest (AlcoveDisplay *self)
{
  return self->resize_guest;
}

void
alcove_display_set_resize_guest (AlcoveDisplay *self, gboolean resize_guest)
{
  if (self->resize_guest == !!resize_guest)
    return;
  self->resize_guest = !!resize_guest;
  guest_size_set_wished (self->size, self->resize_guest);
  notify (self, PROP_RESIZE_GUEST);
}

gboolean
alcove_display_get_capture_keyboard (AlcoveDisplay *self)
{
  return self->capture_keyboard;
}

void
alcove_display_set_capture_keyboard (AlcoveDisplay *self, gboolean capture_keyboard)
{
  if (self->capture_keyboard == !!capture_keyboard)
    return;
  self->capture_keyboard = !!capture_keyboard;
  keyboard_input_set_capture (self->keyboard, self->capture_keyboard);
  notify (self, PROP_CAPTURE_KEYBOARD);
}

gboolean
alcove_display_is_keyboard_captured (AlcoveDisplay *self)
{
  return self->keyboard != NULL && keyboard_input_is_captured (self->keyboard);
}

void
alcove_display_get_stats (AlcoveDisplay *self, AlcoveDisplayStats *stats)
{
  const FramePainterStats *painter = frame_painter_get_stats (self->painter);
  Frame *frame = frame_painter_get_frame (self->painter);

  *stats = (AlcoveDisplayStats){
    .updates = self->updates,
    .frames = painter->frames,
    .uploaded_bytes = painter->uploaded_bytes,
    .full_uploads = painter->full_uploads,
    .last_update = self->last_update,
    .last_frame = self->last_frame,
    .gl = frame_painter_uses_gl (self->painter),
    .shared_memory = frame != NULL && frame_is_shared (frame),
  };
}
