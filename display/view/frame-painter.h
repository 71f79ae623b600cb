#pragma once

#include <gtk/gtk.h>

#include "frame/frame.h"

G_BEGIN_DECLS

/* A frame as something that GTK can draw, brought up to date with as few bytes as its damage allows: GL textures where the widget's
 * surface has GL, copies in memory where it has not.
 *
 * Thread: main. */
typedef struct _FramePainter FramePainter;

typedef struct
{
  guint64 frames;         /* times that new pixels were taken over */
  guint64 uploaded_bytes; /* GL: of the rectangles uploaded; without: of the copies */
  guint64 full_uploads;   /* of these, whole pictures */
} FramePainterStats;

FramePainter *frame_painter_new (void);
void frame_painter_free (FramePainter *self);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (FramePainter, frame_painter_free)

/* The surface to draw on from now on; NULL: none, and every GL object is given back. Borrowed until the next call. */
void frame_painter_set_surface (FramePainter *self, GdkSurface *surface);

/* Another picture, wholly to be shown; NULL: none. Referenced. */
void frame_painter_set_frame (FramePainter *self, Frame *frame);
Frame *frame_painter_get_frame (FramePainter *self);

/* rect lies inside the frame and has changed. */
void frame_painter_damage (FramePainter *self, const FrameRect *rect);

/* The present picture. `multiple`: its pixels become squares of that many device pixels, and stay sharp; 0: it is smoothed to
 * whatever size. Borrowed until the next call; NULL: there is no frame. */
GdkTexture *frame_painter_update (FramePainter *self, guint multiple);

gboolean frame_painter_uses_gl (FramePainter *self);
const FramePainterStats *frame_painter_get_stats (FramePainter *self);

G_END_DECLS
