#pragma once

#include <gio/gio.h>
#include "gallery/gallery-entry.h"

G_BEGIN_DECLS

/* The gallery's entries: a GListModel of GalleryEntry, sorted by title, read from folders of
 * *.json files. One bad file never hides the others: it is left out and its error kept. An entry
 * with an id seen before replaces the older one. */

#define GALLERY_CATALOG_FILE_MAX (256 * 1024)
#define GALLERY_CATALOG_MAX      10000

#define GALLERY_TYPE_CATALOG (gallery_catalog_get_type ())
G_DECLARE_FINAL_TYPE (GalleryCatalog, gallery_catalog, GALLERY, CATALOG, GObject)

GalleryCatalog *gallery_catalog_new (void);

/* Reads every folder of app_dirs_dup_gallery (): a few small files, quick enough for a start. */
GalleryCatalog *gallery_catalog_new_default (void);

/* Adds what is in `folder`; returns how many entries were read. A folder that is not there adds
 * nothing. */
guint gallery_catalog_load_folder (GalleryCatalog *self, const char *folder);
gboolean gallery_catalog_load_file (GalleryCatalog *self, const char *path, GError **error);

/* By id. Borrowed, NULL if there is none. */
GalleryEntry *gallery_catalog_find (GalleryCatalog *self, const char *id);

/* "FILE: FIELD: what is wrong", one for each file that was left out. NULL-terminated, borrowed
 * until the next load. */
const char *const *gallery_catalog_get_problems (GalleryCatalog *self);

G_END_DECLS
