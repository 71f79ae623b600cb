#include "view/display-geometry.h"

#include <math.h>

/* What a whole multiple may fall short of the fit before smoothness is preferred. */
#define SHARP_SHARE (7.0 / 8.0)

DisplayGeometry
display_geometry_new (int widget_width, int widget_height, int scale_factor, guint guest_width,
                      guint guest_height)
{
  DisplayGeometry self = { 0 };
  double room_width = (double) widget_width * scale_factor;
  double room_height = (double) widget_height * scale_factor;
  double fit, whole, width, height;

  if (widget_width <= 0 || widget_height <= 0 || scale_factor <= 0 || guest_width == 0 ||
      guest_height == 0)
    return self;
  fit = MIN (room_width / guest_width, room_height / guest_height);
  whole = floor (fit);
  if (whole >= 1 && whole >= fit * SHARP_SHARE)
    {
      self.multiple = (guint) whole;
      fit = whole;
    }
  width = CLAMP (round (guest_width * fit), 1, room_width);
  height = CLAMP (round (guest_height * fit), 1, room_height);
  self.x = floor ((room_width - width) / 2) / scale_factor;
  self.y = floor ((room_height - height) / 2) / scale_factor;
  self.width = width / scale_factor;
  self.height = height / scale_factor;
  self.guest_width = guest_width;
  self.guest_height = guest_height;
  return self;
}

static int
to_pixel (double point, double start, double length, guint n)
{
  double pixel = floor ((point - start) * n / length);

  /* Written so that not-a-number becomes 0. */
  if (!(pixel > 0))
    return 0;
  return pixel > n - 1 ? (int) n - 1 : (int) pixel;
}

gboolean
display_geometry_to_guest (const DisplayGeometry *self, double x, double y, int *guest_x,
                           int *guest_y)
{
  if (self->guest_width == 0)
    return FALSE;
  *guest_x = to_pixel (x, self->x, self->width, self->guest_width);
  *guest_y = to_pixel (y, self->y, self->height, self->guest_height);
  return TRUE;
}

double
display_geometry_get_ratio (const DisplayGeometry *self)
{
  return self->guest_width == 0 ? 1 : self->guest_width / self->width;
}
