#pragma once

#include <gtk/gtk.h>

/* What `widget` shows now, as its renderer draws it: a texture in device pixels. NULL with an
 * error when it is not shown yet. */
GdkTexture *widget_snapshot_take (GtkWidget *widget, GError **error);

/* Whether the texture shows something: not all of its pixels have one colour. `colors` (may be
 * NULL) counts distinct colours up to a limit, `lit` the share of pixels that are not black. */
gboolean widget_snapshot_has_picture (GdkTexture *texture, guint *colors, double *lit);
