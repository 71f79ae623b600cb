#include "frame/frame-damage.h"

#include <cairo.h>

struct _FrameDamage
{
  cairo_region_t *region;
};

FrameDamage *
frame_damage_new (void)
{
  FrameDamage *self = g_new0 (FrameDamage, 1);

  self->region = cairo_region_create ();
  return self;
}

void
frame_damage_free (FrameDamage *self)
{
  if (self == NULL)
    return;
  cairo_region_destroy (self->region);
  g_free (self);
}

void
frame_damage_add (FrameDamage *self, const FrameRect *rect)
{
  cairo_rectangle_int_t box = { rect->x, rect->y, rect->width, rect->height };

  cairo_region_union_rectangle (self->region, &box);
  if (cairo_region_num_rectangles (self->region) <= FRAME_DAMAGE_MAX_RECTS)
    return;
  cairo_region_get_extents (self->region, &box);
  cairo_region_destroy (self->region);
  self->region = cairo_region_create_rectangle (&box);
}

void
frame_damage_clear (FrameDamage *self)
{
  cairo_region_destroy (self->region);
  self->region = cairo_region_create ();
}

gboolean
frame_damage_is_empty (const FrameDamage *self)
{
  return cairo_region_is_empty (self->region);
}

guint
frame_damage_get_n_rects (const FrameDamage *self)
{
  return cairo_region_num_rectangles (self->region);
}

FrameRect
frame_damage_get_rect (const FrameDamage *self, guint index)
{
  cairo_rectangle_int_t box;

  cairo_region_get_rectangle (self->region, index, &box);
  return (FrameRect){ box.x, box.y, box.width, box.height };
}

guint64
frame_damage_count_pixels (const FrameDamage *self)
{
  guint64 pixels = 0;

  for (guint i = 0; i < frame_damage_get_n_rects (self); i++)
    {
      FrameRect rect = frame_damage_get_rect (self, i);

      pixels += (guint64) rect.width * rect.height;
    }
  return pixels;
}
