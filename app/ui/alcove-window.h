#pragma once

#include <adwaita.h>
#include "ui/alcove-application.h"

G_BEGIN_DECLS

/* A window: the library and the gallery, and from there one system to install or one machine to
 * use. Closing it ends no machine. */
#define ALCOVE_TYPE_WINDOW (alcove_window_get_type ())
G_DECLARE_FINAL_TYPE (AlcoveWindow, alcove_window, ALCOVE, WINDOW, AdwApplicationWindow)

AlcoveWindow *alcove_window_new (AlcoveApplication *application);

void alcove_window_show_library (AlcoveWindow *self);
/* The same, and its machine's screen is free for another window at once. */
void alcove_window_let_go_of_machine (AlcoveWindow *self);
void alcove_window_show_gallery (AlcoveWindow *self);
void alcove_window_show_entry (AlcoveWindow *self, GalleryEntry *entry);
void alcove_window_show_machine (AlcoveWindow *self, AlcoveMachine *machine);

/* Where the user is: "library/empty", "library/grid", "gallery/list", "install", "machine", and the
 * like. Free it. */
char *alcove_window_dup_place (AlcoveWindow *self);

/* The machine that it shows, NULL if none. Borrowed. */
AlcoveMachine *alcove_window_get_machine (AlcoveWindow *self);

/* The widget with that machine's screen (a MachinePage); NULL if it shows none. */
GtkWidget *alcove_window_get_machine_page (AlcoveWindow *self);

/* `job` is done. TRUE if the user was watching it here: then its machine is started and shown. */
gboolean alcove_window_take_job (AlcoveWindow *self, InstallJob *job);

/* Toasts. */
void alcove_window_tell (AlcoveWindow *self, const char *text);
void alcove_window_tell_ready (AlcoveWindow *self, AlcoveMachine *machine);
void alcove_window_tell_stubborn (AlcoveWindow *self, AlcoveMachine *machine);
/* With a button that takes the machine back out of the trash. */
void alcove_window_tell_deleted (AlcoveWindow *self, const char *name, const char *trash_name);

G_END_DECLS
