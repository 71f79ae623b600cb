#pragma once

#include <gtk/gtk.h>

G_BEGIN_DECLS

/* A small picture of a screen, 16:10 with round corners, which fills its width. Read from a PNG
 * file in a worker thread; what was there stays until the new picture is complete. Without a
 * picture an icon is shown. */
#define SCREEN_TYPE_THUMBNAIL (screen_thumbnail_get_type ())
G_DECLARE_FINAL_TYPE (ScreenThumbnail, screen_thumbnail, SCREEN, THUMBNAIL, GtkWidget)

/* Reads it again also when the path is the same. NULL: no picture. */
void screen_thumbnail_set_path (ScreenThumbnail *self, const char *path);

/* Dimmed: the machine is off. */
void screen_thumbnail_set_dimmed (ScreenThumbnail *self, gboolean dimmed);

G_END_DECLS
