#pragma once

#include "frame/frame.h"

G_BEGIN_DECLS

/* Which pixels of a picture are out of date: a set of rectangles that do not overlap. When there
 * would be more than FRAME_DAMAGE_MAX_RECTS it becomes their bounding box, so that neither memory
 * nor the number of uploads is the server's to choose.
 *
 * Thread: any, one at a time. */
typedef struct _FrameDamage FrameDamage;

#define FRAME_DAMAGE_MAX_RECTS 32

FrameDamage *frame_damage_new (void);
void frame_damage_free (FrameDamage *self);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (FrameDamage, frame_damage_free)

/* `rect` must lie inside the picture (frame_clip ()). */
void frame_damage_add (FrameDamage *self, const FrameRect *rect);
void frame_damage_clear (FrameDamage *self);
gboolean frame_damage_is_empty (const FrameDamage *self);

guint frame_damage_get_n_rects (const FrameDamage *self);
FrameRect frame_damage_get_rect (const FrameDamage *self, guint index);
guint64 frame_damage_count_pixels (const FrameDamage *self);

G_END_DECLS
