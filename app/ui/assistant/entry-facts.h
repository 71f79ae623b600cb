#pragma once

#include <gtk/gtk.h>
#include "gallery/gallery-entry.h"

/* Fills `list` with rows that say what is known of an entry: version, download, how it is verified,
 * support, licence, the last test. */
void entry_facts_fill (GtkListBox *list, GalleryEntry *entry);

/* How its files are checked, in a sentence. Free it. */
char *entry_facts_dup_verification (GalleryEntry *entry);
