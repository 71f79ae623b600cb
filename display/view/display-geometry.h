#pragma once

#include <glib.h>

G_BEGIN_DECLS

/* Where the guest's picture lies in the widget, and which guest pixel is under a point. Everything
 * is decided in device pixels, so that the picture's edges fall between them, and told in the
 * widget's own units (device pixels divided by the scale factor).
 *
 * Size: what fits. When the largest whole multiple of the guest's size that fits (1:1 the first)
 * is within an eighth of what would fit, it is that multiple: each guest pixel is then a square of
 * device pixels, and sharp. */
typedef struct
{
  double x, y, width, height; /* of the picture, in widget units */
  guint guest_width, guest_height;
  guint multiple; /* device pixels for each guest pixel, 0 when that is not a whole number */
} DisplayGeometry;

/* All zero when there is no picture or no room. */
DisplayGeometry display_geometry_new (int widget_width, int widget_height, int scale_factor,
                                      guint guest_width, guint guest_height);

/* The guest pixel under a point of the widget; the nearest one for a point beside the picture.
 * FALSE: there is no picture. */
gboolean display_geometry_to_guest (const DisplayGeometry *self, double x, double y, int *guest_x,
                                    int *guest_y);

/* Guest pixels for a distance in the widget. */
double display_geometry_get_ratio (const DisplayGeometry *self);

G_END_DECLS
