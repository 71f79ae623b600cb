#pragma once

#include "frame/frame-damage.h"

G_BEGIN_DECLS

/* Which of two textures takes the next picture, and what of it is out of date. A texture that the
 * renderer still holds must not change, so pictures alternate; each texture remembers the damage
 * since it was last written (its age). A small change therefore uploads the small change, plus the one
 * before it.
 *
 * When both textures are held (somebody keeps an old one, for a thumbnail), the older is abandoned:
 * its holder keeps it as it is, and the slot begins with a new, wholly damaged texture. So a holder
 * never stops the screen.
 *
 * Only the accounting: textures are numbers here, whoever uploads gives them a meaning. */
typedef struct _TextureRing TextureRing;

#define TEXTURE_RING_SLOTS 2

typedef struct
{
  guint slot;         /* where to write */
  guint64 generation; /* of the texture in that slot */
  gboolean is_new;    /* the slot has no texture (any more): make one, of the picture's size */
  const FrameDamage *damage; /* what to write; the whole picture when new. Borrowed until submit. */
} TextureRingTarget;

TextureRing *texture_ring_new (void);
void texture_ring_free (TextureRing *self);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (TextureRing, texture_ring_free)

/* Another picture size: every texture is abandoned. Width 0: no picture. */
void texture_ring_reset (TextureRing *self, guint width, guint height);

/* `rect` must lie inside the picture. */
void texture_ring_damage (TextureRing *self, const FrameRect *rect);

/* Whether the newest texture is not the present picture. */
gboolean texture_ring_is_stale (TextureRing *self);

/* The slot to write and hand out now. Follow with submit, or with abandon when writing failed. */
TextureRingTarget texture_ring_next (TextureRing *self);
void texture_ring_submit (TextureRing *self, const TextureRingTarget *target);
void texture_ring_abandon (TextureRing *self, const TextureRingTarget *target);

/* A texture that was submitted is not held any more. Harmless for one that was abandoned since. */
void texture_ring_release (TextureRing *self, guint slot, guint64 generation);

G_END_DECLS
