#pragma once

#include <adwaita.h>
#include "gallery/gallery-catalog.h"
#include "gallery/gallery-cache.h"
#include "machine/machine-store.h"
#include "ui/assistant/install-jobs.h"
#include "ui/ui-state.h"

G_BEGIN_DECLS

#define ALCOVE_APP_ID "org.alcove.Alcove"

/* The one instance of the program that has windows. It owns the library, the gallery and the
 * installs; machines that run belong to nobody and outlive it. It stays as long as it has a window
 * or an install is under way. */
#define ALCOVE_TYPE_APPLICATION (alcove_application_get_type ())
G_DECLARE_FINAL_TYPE (AlcoveApplication, alcove_application, ALCOVE, APPLICATION, AdwApplication)

AlcoveApplication *alcove_application_new (void);
/* The running one. */
AlcoveApplication *alcove_application_get (void);

/* Borrowed; there from startup on. */
MachineStore *alcove_application_get_store (AlcoveApplication *self);
GalleryCatalog *alcove_application_get_catalog (AlcoveApplication *self);
GalleryCache *alcove_application_get_cache (AlcoveApplication *self);
InstallJobs *alcove_application_get_jobs (AlcoveApplication *self);
UiState *alcove_application_get_ui_state (AlcoveApplication *self);

/* Shows `machine` in the window that shows it already, else in `window`, else in any, else in a
 * new one. */
void alcove_application_show_machine (AlcoveApplication *self, AlcoveMachine *machine,
                                      GtkWindow *window);

/* In a window of its own; the one that shows it now goes back to the library. */
void alcove_application_open_window (AlcoveApplication *self, AlcoveMachine *machine);

/* Asks a window to let go of `machine`, which is about to be deleted. */
void alcove_application_forget_machine (AlcoveApplication *self, AlcoveMachine *machine);

G_END_DECLS
