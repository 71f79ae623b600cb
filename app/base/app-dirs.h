#pragma once

#include <glib.h>

/* Where Alcove keeps things. Each function returns an absolute path (free it) of a folder that it
 * does not create. The environment decides first, so that tests and a second library are easy:
 *
 *   ALCOVE_DATA_DIR     instead of $XDG_DATA_HOME/alcove      (machines, the user's own catalogue)
 *   ALCOVE_CACHE_DIR    instead of $XDG_CACHE_HOME/alcove     (downloads)
 *   ALCOVE_RUNTIME_DIR  instead of $XDG_RUNTIME_DIR/alcove    (control sockets)
 *   ALCOVE_GALLERY_DIR  instead of the installed and the build tree's data/gallery
 *
 * Thread: any. */
char *app_dirs_dup_data (void);
char *app_dirs_dup_machines (void); /* data + "/machines" */
char *app_dirs_dup_cache (void);
char *app_dirs_dup_runtime (void);

/* The folders that hold catalogue files, in the order of loading; later ones win.
 * NULL-terminated. */
char **app_dirs_dup_gallery (void);

/* The name on the session bus of the one window process of this library: "org.alcove.Alcove", or,
 * with ALCOVE_DATA_DIR, one of its own for each folder, so that a command never reaches a window
 * that shows another library. */
char *app_dirs_dup_application_id (void);
