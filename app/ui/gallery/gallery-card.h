#pragma once

#include <gtk/gtk.h>
#include "gallery/gallery-entry.h"

G_BEGIN_DECLS

/* One system of the gallery. */
#define GALLERY_TYPE_CARD (gallery_card_get_type ())
G_DECLARE_FINAL_TYPE (GalleryCard, gallery_card, GALLERY, CARD, GtkFlowBoxChild)

GtkWidget *gallery_card_new (GalleryEntry *entry);
GalleryEntry *gallery_card_get_entry (GalleryCard *self);

/* "Cloud image", "Installer": what a kind is called. NULL for NULL. Static. */
const char *gallery_card_describe_kind (const char *kind);
/* "310 MB", "On this computer", "Size not known". Free it. */
char *gallery_card_dup_size_text (GalleryEntry *entry);

G_END_DECLS
