#pragma once

#include <gtk/gtk.h>
#include "gallery/gallery-catalog.h"

G_BEGIN_DECLS

/* The systems that can be installed, as cards. */
#define GALLERY_TYPE_PAGE (gallery_page_get_type ())
G_DECLARE_FINAL_TYPE (GalleryPage, gallery_page, GALLERY, PAGE, GtkWidget)

void gallery_page_set_catalog (GalleryPage *self, GalleryCatalog *catalog);
void gallery_page_set_search (GalleryPage *self, const char *text);
/* Puts the focus on the first system. */
void gallery_page_focus (GalleryPage *self);
/* Which of its faces it shows: "empty", "nothing-found" or "list". Borrowed. */
const char *gallery_page_get_face (GalleryPage *self);

G_END_DECLS
