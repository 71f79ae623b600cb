#pragma once

#include <gtk/gtk.h>
#include "gallery/gallery-entry.h"

G_BEGIN_DECLS

/* A tile that stands for an operating system: the entry's own icon where the icon theme has it,
 * else initials on a colour that the name decides. */
#define SYSTEM_TYPE_LOGO (system_logo_get_type ())
G_DECLARE_FINAL_TYPE (SystemLogo, system_logo, SYSTEM, LOGO, GtkWidget)

/* Properties: "size" (int, pixels of a side). */
void system_logo_set_entry (SystemLogo *self, GalleryEntry *entry);

G_END_DECLS
