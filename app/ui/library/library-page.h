#pragma once

#include <gtk/gtk.h>
#include "machine/machine-store.h"
#include "ui/assistant/install-jobs.h"

G_BEGIN_DECLS

/* The grid of machines, headed by the installs under way; a page that leads to the gallery when
 * there is neither. */
#define LIBRARY_TYPE_PAGE (library_page_get_type ())
G_DECLARE_FINAL_TYPE (LibraryPage, library_page, LIBRARY, PAGE, GtkWidget)

void library_page_set_models (LibraryPage *self, MachineStore *store, InstallJobs *jobs);
/* Shows the machines whose name has every word of `text`. */
void library_page_set_search (LibraryPage *self, const char *text);
/* Whether running machines are to be photographed every few seconds; only while it is seen. */
void library_page_set_live (LibraryPage *self, gboolean live);
/* Which of its faces it shows: "empty", "nothing-found" or "grid". Borrowed. */
const char *library_page_get_face (LibraryPage *self);

G_END_DECLS
