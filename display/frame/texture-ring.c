#include "frame/texture-ring.h"

typedef struct
{
  guint64 generation; /* 0: no texture */
  gboolean held;
  FrameDamage *damage;
} Slot;

struct _TextureRing
{
  guint width, height;
  guint newest; /* slot of the last submit */
  guint64 last_generation;
  Slot slots[TEXTURE_RING_SLOTS];
};

TextureRing *
texture_ring_new (void)
{
  TextureRing *self = g_new0 (TextureRing, 1);

  for (guint i = 0; i < TEXTURE_RING_SLOTS; i++)
    self->slots[i].damage = frame_damage_new ();
  return self;
}

void
texture_ring_free (TextureRing *self)
{
  if (self == NULL)
    return;
  for (guint i = 0; i < TEXTURE_RING_SLOTS; i++)
    frame_damage_free (self->slots[i].damage);
  g_free (self);
}

/* The slot begins anew: whoever holds its texture keeps that one. */
static void
empty_slot (TextureRing *self, guint index)
{
  Slot *slot = &self->slots[index];
  FrameRect all = { 0, 0, self->width, self->height };

  slot->generation = 0;
  slot->held = FALSE;
  frame_damage_clear (slot->damage);
  if (self->width > 0)
    frame_damage_add (slot->damage, &all);
}

void
texture_ring_reset (TextureRing *self, guint width, guint height)
{
  self->width = width;
  self->height = height;
  for (guint i = 0; i < TEXTURE_RING_SLOTS; i++)
    empty_slot (self, i);
}

void
texture_ring_damage (TextureRing *self, const FrameRect *rect)
{
  for (guint i = 0; i < TEXTURE_RING_SLOTS; i++)
    frame_damage_add (self->slots[i].damage, rect);
}

gboolean
texture_ring_is_stale (TextureRing *self)
{
  return !frame_damage_is_empty (self->slots[self->newest].damage);
}

TextureRingTarget
texture_ring_next (TextureRing *self)
{
  guint index = (self->newest + 1) % TEXTURE_RING_SLOTS;
  TextureRingTarget target = { 0 };

  /* The newest, when it is free, needs the least; the older one is more often free. */
  if (!self->slots[self->newest].held && self->slots[self->newest].generation != 0)
    index = self->newest;
  else if (self->slots[index].held)
    empty_slot (self, index);

  target.slot = index;
  target.is_new = self->slots[index].generation == 0;
  if (target.is_new)
    self->slots[index].generation = ++self->last_generation;
  target.generation = self->slots[index].generation;
  target.damage = self->slots[index].damage;
  return target;
}

void
texture_ring_submit (TextureRing *self, const TextureRingTarget *target)
{
  Slot *slot = &self->slots[target->slot];

  g_return_if_fail (slot->generation == target->generation);
  frame_damage_clear (slot->damage);
  slot->held = TRUE;
  self->newest = target->slot;
}

void
texture_ring_abandon (TextureRing *self, const TextureRingTarget *target)
{
  empty_slot (self, target->slot);
}

void
texture_ring_release (TextureRing *self, guint slot, guint64 generation)
{
  g_return_if_fail (slot < TEXTURE_RING_SLOTS);
  if (self->slots[slot].generation == generation)
    self->slots[slot].held = FALSE;
}
