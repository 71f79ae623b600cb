#pragma once

#include <gtk/gtk.h>

/* The file of a disc, by the desktop's file chooser. `chosen` is called once, unless the user thought better of it. */
typedef void (*DiscChosenFunc) (const char *path, GtkWindow *parent, gpointer data);
void disc_chooser_present (GtkWindow *parent, DiscChosenFunc chosen, gpointer data,
                           GDestroyNotify destroy);
