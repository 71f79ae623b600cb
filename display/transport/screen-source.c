#define G_LOG_DOMAIN "display-spice"

/* Theory of operation: a server shows its screen in one of two ways and may change over at any time; the
 * newest word counts.
 *
 * GL scanout: the pixels are in memory that the server passed (notify::gl-scanout). A draw
 * ("gl-draw") is answered when the widget took the pixels, and always answered: a server
 * waits for it.
 *
 * QXL: spice-client-glib renders draws into a primary surface. It may free that surface at any
 * return to the main loop, so what changed is copied at once ("display-invalidate") into a frame of ours. A
 * primary surface begins black; its frame is announced with its first draw, so that a change of
 * resolution does not flash. The monitor's rectangle, where the server tells one, is the part shown. */

#include "transport/screen-source.h"

typedef struct
{
  const guint8 *pixels; /* borrowed from the channel until display-primary-destroy; NULL: none */
  FrameFormat format;
  int width, height, stride;
} Primary;

struct _ScreenSource
{
  SpiceDisplayChannel *channel; /* borrowed: the transport holds it longer */
  DisplayTransport *transport;
  ScreenSourceBroken broken;
  Primary primary;
  FrameRect area;     /* of the primary, what its frame shows */
  Frame *frame;       /* of the primary, or the scanout's */
  gboolean announced; /* the transport's users know `frame` */
  gboolean is_scanout;
  gboolean primary_is_newer; /* than the scanout: its first draw takes over */
  guint unanswered;          /* gl-draws */
};

static void
show_nothing (ScreenSource *self)
{
  g_clear_object (&self->frame);
  self->is_scanout = FALSE;
  self->area = (FrameRect){ 0 };
  display_transport_emit_frame (self->transport, NULL);
}

/* ---- QXL ---- */

static gboolean
frame_format (int surface_format, FrameFormat *format)
{
  switch (surface_format)
    {
    case SPICE_SURFACE_FMT_32_xRGB:
    case SPICE_SURFACE_FMT_32_ARGB:
      *format = FRAME_XRGB_8888;
      return TRUE;
    case SPICE_SURFACE_FMT_16_555:
      *format = FRAME_RGB_555;
      return TRUE;
    case SPICE_SURFACE_FMT_16_565:
      *format = FRAME_RGB_565;
      return TRUE;
    default:
      return FALSE;
    }
}

/* The part of the primary that the first monitor shows: all of it unless the server says less. */
static FrameRect
monitor_area (ScreenSource *self)
{
  g_autoptr (GArray) monitors = NULL;
  FrameRect all = { 0, 0, self->primary.width, self->primary.height };

  g_object_get (self->channel, "monitors", &monitors, NULL);
  for (guint i = 0; monitors != NULL && i < monitors->len; i++)
    {
      const SpiceDisplayMonitorConfig *config =
          &g_array_index (monitors, SpiceDisplayMonitorConfig, i);

      if (config->id == 0 && config->surface_id == 0 && config->width > 0 && config->height > 0 &&
          config->x < (guint) all.width && config->y < (guint) all.height &&
          config->width <= all.width - config->x && config->height <= all.height - config->y)
        return (FrameRect){ config->x, config->y, config->width, config->height };
    }
  return all;
}

static void
copy_area (ScreenSource *self, const FrameRect *rect)
{
  gsize unit = self->primary.format == FRAME_XRGB_8888 ? 4 : 2;

  frame_write (self->frame, rect, self->primary.format,
               self->primary.pixels + (gsize) self->area.y * self->primary.stride +
                   self->area.x * unit,
               self->primary.stride);
}

/* Makes the primary's frame for the present area. */
static gboolean
use_primary (ScreenSource *self)
{
  g_autoptr (GError) error = NULL;

  self->area = monitor_area (self);
  g_clear_object (&self->frame);
  self->primary_is_newer = FALSE;
  self->announced = FALSE;
  self->is_scanout = FALSE;
  self->frame = frame_new_copy (self->area.width, self->area.height, &error);
  if (self->frame == NULL)
    {
      self->broken (g_steal_pointer (&error), self->transport);
      return FALSE;
    }
  return TRUE;
}

static void
on_primary_create (SpiceChannel *channel, int format, int width, int height, int stride, int shmid,
                   gpointer pixels, gpointer data)
{
  ScreenSource *self = data;
  Primary primary = { pixels, FRAME_XRGB_8888, width, height, stride };

  g_debug ("primary surface %dx%d, format %d", width, height, format);
  /* The library multiplies these as int: within our limits it cannot have gone wrong. */
  if (pixels == NULL || width < 1 || height < 1 || width > FRAME_MAX_SIDE ||
      height > FRAME_MAX_SIDE || stride < width * 2 || !frame_format (format, &primary.format))
    {
      self->primary = (Primary){ 0 };
      self->broken (g_error_new (G_IO_ERROR, G_IO_ERROR_INVALID_DATA,
                                 "The machine announced a screen of %dx%d pixels in format %d, "
                                 "which cannot be shown",
                                 width, height, format),
                    self->transport);
      return;
    }
  self->primary = primary;
  self->primary_is_newer = TRUE;
}

static void
on_primary_destroy (SpiceChannel *channel, gpointer data)
{
  ScreenSource *self = data;

  /* The frame stays: a change of resolution destroys and creates. */
  self->primary = (Primary){ 0 };
}

static void
on_invalidate (SpiceChannel *channel, int x, int y, int width, int height, gpointer data)
{
  ScreenSource *self = data;
  FrameRect rect;

  if (self->primary.pixels == NULL || (self->is_scanout && !self->primary_is_newer))
    return;
  if ((self->primary_is_newer || self->frame == NULL) && !use_primary (self))
    return;
  /* Within 64 bits whatever the numbers are, then within the picture. */
  x = CLAMP (x, -FRAME_MAX_SIDE, FRAME_MAX_SIDE);
  y = CLAMP (y, -FRAME_MAX_SIDE, FRAME_MAX_SIDE);
  rect = (FrameRect){ x - self->area.x, y - self->area.y, width, height };
  if (!self->announced)
    rect = (FrameRect){ 0, 0, self->area.width, self->area.height };
  if (!frame_clip (self->frame, &rect))
    return;
  copy_area (self, &rect);
  if (self->announced)
    {
      display_transport_emit_damage (self->transport, &rect);
      return;
    }
  self->announced = TRUE;
  display_transport_emit_frame (self->transport, self->frame);
}

static void
on_monitors (ScreenSource *self)
{
  FrameRect area;

  if (self->primary.pixels == NULL || self->is_scanout)
    return;
  if (self->frame == NULL || self->primary_is_newer)
    return;
  area = monitor_area (self);
  if (area.x == self->area.x && area.y == self->area.y && area.width == self->area.width &&
      area.height == self->area.height)
    return;
  if (use_primary (self))
    on_invalidate (SPICE_CHANNEL (self->channel), area.x, area.y, area.width, area.height, self);
}

/* ---- GL scanout ---- */

/* DRM fourcc codes (drm_fourcc.h) of what frames hold: B G R x in memory. */
#define FOURCC_XR24 0x34325258u
#define FOURCC_AR24 0x34325241u

static void
answer_all (ScreenSource *self)
{
  while (self->unanswered > 0)
    screen_source_update_done (self);
}

static void
on_gl_scanout (ScreenSource *self)
{
  const SpiceGlScanout *scanout = spice_display_channel_get_gl_scanout (self->channel);
  g_autoptr (GError) error = NULL;
  g_autoptr (Frame) frame = NULL;

  answer_all (self);
  if (scanout == NULL || scanout->fd < 0)
    {
      if (self->is_scanout)
        show_nothing (self);
      return;
    }
  g_debug ("scanout %ux%u, stride %u, format %#x", scanout->width, scanout->height, scanout->stride,
           scanout->format);
  if (scanout->format != FOURCC_XR24 && scanout->format != FOURCC_AR24)
    g_set_error (&error, G_IO_ERROR, G_IO_ERROR_NOT_SUPPORTED,
                 "The machine sends its screen in pixel format %#x, which cannot be shown",
                 scanout->format);
  else
    frame = frame_new_memfd (scanout->fd, scanout->width, scanout->height, scanout->stride,
                             scanout->y0top, &error);
  if (frame == NULL)
    {
      self->broken (g_steal_pointer (&error), self->transport);
      return;
    }
  g_set_object (&self->frame, frame);
  self->is_scanout = TRUE;
  self->primary_is_newer = FALSE;
  self->announced = TRUE;
  self->area = (FrameRect){ 0, 0, scanout->width, scanout->height };
  display_transport_emit_frame (self->transport, frame);
}

static void
on_gl_draw (SpiceChannel *channel, guint x, guint y, guint width, guint height, gpointer data)
{
  ScreenSource *self = data;
  FrameRect rect = { MIN (x, FRAME_MAX_SIDE), MIN (y, FRAME_MAX_SIDE), MIN (width, FRAME_MAX_SIDE),
                     MIN (height, FRAME_MAX_SIDE) };

  const SpiceGlScanout *scanout = spice_display_channel_get_gl_scanout (self->channel);

  /* Drawn by QXL in the meantime, and now by GL again. */
  if (!self->is_scanout && scanout != NULL && scanout->fd >= 0)
    {
      self->unanswered++;
      on_gl_scanout (self); /* shows all, answers all */
      return;
    }
  self->unanswered++;
  if (!self->is_scanout || !frame_clip (self->frame, &rect))
    {
      screen_source_update_done (self);
      return;
    }
  /* Which end of the picture such a rectangle counts from is not said: take all. */
  if (frame_is_bottom_up (self->frame))
    rect = self->area;
  display_transport_emit_damage (self->transport, &rect);
}

void
screen_source_update_done (ScreenSource *self)
{
  if (self->unanswered == 0)
    return;
  self->unanswered--;
  spice_display_channel_gl_draw_done (self->channel);
}

void
screen_source_get_origin (ScreenSource *self, int *x, int *y)
{
  *x = self->area.x;
  *y = self->area.y;
}

ScreenSource *
screen_source_new (SpiceDisplayChannel *channel, DisplayTransport *transport,
                   ScreenSourceBroken broken)
{
  ScreenSource *self = g_new0 (ScreenSource, 1);

  self->channel = channel;
  self->transport = transport;
  self->broken = broken;
  g_signal_connect (channel, "display-primary-create", G_CALLBACK (on_primary_create), self);
  g_signal_connect (channel, "display-primary-destroy", G_CALLBACK (on_primary_destroy), self);
  g_signal_connect (channel, "display-invalidate", G_CALLBACK (on_invalidate), self);
  g_signal_connect (channel, "gl-draw", G_CALLBACK (on_gl_draw), self);
  g_signal_connect_swapped (channel, "notify::monitors", G_CALLBACK (on_monitors), self);
  g_signal_connect_swapped (channel, "notify::gl-scanout", G_CALLBACK (on_gl_scanout), self);
  return self;
}

void
screen_source_free (ScreenSource *self)
{
  if (self == NULL)
    return;
  g_signal_handlers_disconnect_by_data (self->channel, self);
  g_clear_object (&self->frame);
  g_free (self);
}
