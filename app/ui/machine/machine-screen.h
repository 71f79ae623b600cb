#pragma once

#include <gtk/gtk.h>
#include "display/display.h"
#include "machine/alcove-machine.h"

/* Lets `display` take its connections from `machine`'s control connection, one a channel. */
void machine_screen_attach (AlcoveDisplay *display, AlcoveMachine *machine);

/* "delete", "f1", ...: the key combinations of the menu. */
void machine_screen_send_keys (AlcoveDisplay *display, const char *combination);

/* Saves the guest's picture in the user's folder of pictures and on the clipboard. `callback` gets
 * the path (free it) or a sentence. */
void machine_screen_save_async (AlcoveDisplay *display, const char *name,
                                GAsyncReadyCallback callback, gpointer data);
char *machine_screen_save_finish (GAsyncResult *result, GError **error);
