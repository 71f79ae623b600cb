#pragma once

#include <glib.h>

/* What the windows remember between two runs: `window.ini` in the data folder. Nothing of it
 * matters: a file that cannot be read or written is as if it were not there. */
typedef struct UiState UiState;

UiState *ui_state_load (void);
void ui_state_free (UiState *self);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (UiState, ui_state_free)

/* FALSE: never saved. */
gboolean ui_state_get_window_size (UiState *self, int *width, int *height, gboolean *maximized);
void ui_state_set_window_size (UiState *self, int width, int height, gboolean maximized);

/* TRUE the first time it is called for `hint`, and never again. */
gboolean ui_state_tell_once (UiState *self, const char *hint);
