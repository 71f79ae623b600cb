#pragma once

#include <adwaita.h>

G_BEGIN_DECLS

/* Makes a machine of the user's own disc image: asks for its name and size, makes it, starts it and shows it. */
#define DISC_TYPE_WINDOW (disc_window_get_type ())
G_DECLARE_FINAL_TYPE (DiscWindow, disc_window, DISC, WINDOW, AdwWindow)

/* For the image in `path`; a dialog that says why when it is none to start from. */
void disc_window_present (const char *path, GtkWindow *parent);

/* Asks for the file first. */
void disc_window_choose (GtkWindow *parent);

G_END_DECLS
