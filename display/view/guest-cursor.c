#include "view/guest-cursor.h"

#include <math.h>

/* R G B A, as the shape has it. Owned. */
static GdkPixbuf *
scale_shape (const PointerShape *shape, double ratio)
{
  g_autoptr (GdkPixbuf) whole =
      gdk_pixbuf_new_from_bytes (shape->pixels, GDK_COLORSPACE_RGB, TRUE, 8, (int) shape->width,
                                 (int) shape->height, (int) shape->width * 4);
  int width = (int) CLAMP (round (shape->width / ratio), 1, POINTER_SHAPE_MAX_SIDE);
  int height = (int) CLAMP (round (shape->height / ratio), 1, POINTER_SHAPE_MAX_SIDE);

  if (width == (int) shape->width && height == (int) shape->height)
    return g_steal_pointer (&whole);
  return gdk_pixbuf_scale_simple (whole, width, height, GDK_INTERP_BILINEAR);
}

static int
scale_hot_spot (guint hot, guint from, int to)
{
  return MIN ((int) round ((double) hot * to / from), to - 1);
}

GdkCursor *
guest_cursor_new (const PointerShape *shape, double ratio)
{
  g_autoptr (GdkCursor) fallback = gdk_cursor_new_from_name ("default", NULL);
  g_autoptr (GdkPixbuf) pixbuf = NULL;
  g_autoptr (GdkTexture) texture = NULL;

  if (shape == NULL)
    return gdk_cursor_new_from_name ("none", NULL);
  if (shape->pixels == NULL)
    return g_steal_pointer (&fallback);
  pixbuf = scale_shape (shape, ratio > 0 ? ratio : 1);
  if (pixbuf == NULL)
    return g_steal_pointer (&fallback);
  texture = gdk_texture_new_for_pixbuf (pixbuf);
  return gdk_cursor_new_from_texture (
      texture, scale_hot_spot (shape->hot_x, shape->width, gdk_pixbuf_get_width (pixbuf)),
      scale_hot_spot (shape->hot_y, shape->height, gdk_pixbuf_get_height (pixbuf)), fallback);
}
