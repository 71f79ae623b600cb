#include "ui/widgets/widget-snapshot.h"

#include <gio/gio.h>

#define COLORS_MAX 4096

GdkTexture *
widget_snapshot_take (GtkWidget *widget, GError **error)
{
  GtkNative *native = gtk_widget_get_native (widget);
  GskRenderer *renderer = native != NULL ? gtk_native_get_renderer (native) : NULL;
  int width = gtk_widget_get_width (widget);
  int height = gtk_widget_get_height (widget);
  int scale = gtk_widget_get_scale_factor (widget);
  g_autoptr (GdkPaintable) paintable = NULL;
  g_autoptr (GtkSnapshot) snapshot = NULL;
  g_autoptr (GskRenderNode) node = NULL;

  if (renderer == NULL || width == 0 || height == 0)
    {
      g_set_error (error, G_IO_ERROR, G_IO_ERROR_NOT_INITIALIZED, "The window is not shown yet");
      return NULL;
    }
  paintable = gtk_widget_paintable_new (widget);
  snapshot = gtk_snapshot_new ();
  gtk_snapshot_scale (snapshot, scale, scale);
  gdk_paintable_snapshot (paintable, snapshot, width, height);
  node = gtk_snapshot_free_to_node (g_steal_pointer (&snapshot));
  if (node == NULL)
    {
      g_set_error (error, G_IO_ERROR, G_IO_ERROR_NOT_INITIALIZED,
                   "The window has drawn nothing yet");
      return NULL;
    }
  return gsk_renderer_render_texture (
      renderer, node, &GRAPHENE_RECT_INIT (0, 0, (float) width * scale, (float) height * scale));
}

gboolean
widget_snapshot_has_picture (GdkTexture *texture, guint *colors, double *lit)
{
  int width = gdk_texture_get_width (texture);
  int height = gdk_texture_get_height (texture);
  gsize n_pixels = (gsize) width * height;
  g_autofree guint32 *pixels = g_new (guint32, n_pixels);
  g_autoptr (GHashTable) seen = g_hash_table_new (NULL, NULL);
  gsize n_lit = 0;

  gdk_texture_download (texture, (guchar *) pixels, (gsize) width * sizeof *pixels);
  for (gsize i = 0; i < n_pixels; i++)
    {
      guint32 color = pixels[i] & 0xffffff;

      n_lit += color != 0;
      if (g_hash_table_size (seen) < COLORS_MAX)
        g_hash_table_add (seen, GUINT_TO_POINTER (color));
    }
  if (colors != NULL)
    *colors = g_hash_table_size (seen);
  if (lit != NULL)
    *lit = n_pixels != 0 ? (double) n_lit / n_pixels : 0;
  return g_hash_table_size (seen) > 1;
}
