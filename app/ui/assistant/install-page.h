#pragma once

#include <gtk/gtk.h>
#include "gallery/gallery-entry.h"

G_BEGIN_DECLS

/* One system of the gallery: what it is, the settings its machine would get, and the one button
 * that makes the machine; then how far that is, and what went wrong. */
#define INSTALL_TYPE_PAGE (install_page_get_type ())
G_DECLARE_FINAL_TYPE (InstallPage, install_page, INSTALL, PAGE, GtkWidget)

/* NULL: nothing, and lets go of what it showed. */
void install_page_set_entry (InstallPage *self, GalleryEntry *entry);
GalleryEntry *install_page_get_entry (InstallPage *self);
void install_page_focus (InstallPage *self);

G_END_DECLS
