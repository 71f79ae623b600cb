#include "ui/ui-state.h"

#include "base/app-dirs.h"

struct UiState
{
  GKeyFile *file;
  char *path;
};

UiState *
ui_state_load (void)
{
  UiState *self = g_new0 (UiState, 1);
  g_autofree char *folder = app_dirs_dup_data ();

  self->file = g_key_file_new ();
  self->path = g_build_filename (folder, "window.ini", NULL);
  g_key_file_load_from_file (self->file, self->path, G_KEY_FILE_NONE, NULL);
  return self;
}

void
ui_state_free (UiState *self)
{
  if (self == NULL)
    return;
  g_key_file_unref (self->file);
  g_free (self->path);
  g_free (self);
}

static void
save (UiState *self)
{
  g_autoptr (GError) error = NULL;

  if (!g_key_file_save_to_file (self->file, self->path, &error))
    g_debug ("the state of the windows is not kept: %s", error->message);
}

gboolean
ui_state_get_window_size (UiState *self, int *width, int *height, gboolean *maximized)
{
  *width = g_key_file_get_integer (self->file, "window", "width", NULL);
  *height = g_key_file_get_integer (self->file, "window", "height", NULL);
  *maximized = g_key_file_get_boolean (self->file, "window", "maximized", NULL);
  return *width >= 200 && *width <= 16384 && *height >= 200 && *height <= 16384;
}

void
ui_state_set_window_size (UiState *self, int width, int height, gboolean maximized)
{
  g_key_file_set_integer (self->file, "window", "width", width);
  g_key_file_set_integer (self->file, "window", "height", height);
  g_key_file_set_boolean (self->file, "window", "maximized", maximized);
  save (self);
}

gboolean
ui_state_tell_once (UiState *self, const char *hint)
{
  if (g_key_file_get_boolean (self->file, "told", hint, NULL))
    return FALSE;
  g_key_file_set_boolean (self->file, "told", hint, TRUE);
  save (self);
  return TRUE;
}
