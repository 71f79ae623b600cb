#include "ui/machine/machine-screen.h"

#include <glib/gi18n.h>
#include <glib/gstdio.h>
#include <string.h>

/* --- connections --------------------------------------------------------------------------- */

static void
on_opened (GObject *source, GAsyncResult *result, gpointer data)
{
  g_autoptr (GError) error = NULL;
  int fd = alcove_machine_open_display_finish (ALCOVE_MACHINE (source), result, &error);

  alcove_display_fd_request_answer (data, fd, g_steal_pointer (&error));
}

static void
provide_fd (AlcoveDisplayFdRequest *request, gpointer data)
{
  alcove_machine_open_display_async (data, alcove_display_fd_request_get_cancellable (request),
                                     on_opened, request);
}

void
machine_screen_attach (AlcoveDisplay *display, AlcoveMachine *machine)
{
  alcove_display_set_fd_provider (display, provide_fd, g_object_ref (machine), g_object_unref);
}

/* --- keys ---------------------------------------------------------------------------------- */

#define COMBINATION_MAX 3

static const struct
{
  const char *name;
  guint keyvals[COMBINATION_MAX];
} combinations[] = {
  { "delete", { GDK_KEY_Control_L, GDK_KEY_Alt_L, GDK_KEY_Delete } },
  { "backspace", { GDK_KEY_Control_L, GDK_KEY_Alt_L, GDK_KEY_BackSpace } },
  { "f1", { GDK_KEY_Control_L, GDK_KEY_Alt_L, GDK_KEY_F1 } },
  { "f2", { GDK_KEY_Control_L, GDK_KEY_Alt_L, GDK_KEY_F2 } },
  { "f3", { GDK_KEY_Control_L, GDK_KEY_Alt_L, GDK_KEY_F3 } },
  { "super", { GDK_KEY_Super_L } },
  { "print", { GDK_KEY_Print } },
};

void
machine_screen_send_keys (AlcoveDisplay *display, const char *combination)
{
  for (gsize i = 0; i < G_N_ELEMENTS (combinations); i++)
    if (strcmp (combinations[i].name, combination) == 0)
      {
        gsize n_keyvals = 0;

        while (n_keyvals < COMBINATION_MAX && combinations[i].keyvals[n_keyvals] != 0)
          n_keyvals++;
        alcove_display_send_keys (display, combinations[i].keyvals, n_keyvals);
      }
}

/* --- a picture ----------------------------------------------------------------------------- */

static void
on_saved (GObject *source, GAsyncResult *result, gpointer data)
{
  g_autoptr (GTask) task = data;
  GError *error = NULL;

  if (alcove_display_save_png_finish (ALCOVE_DISPLAY (source), result, &error))
    g_task_return_pointer (task, g_strdup (g_task_get_task_data (task)), g_free);
  else
    g_task_return_error (task, error);
}

static char *
make_path (const char *name)
{
  const char *pictures = g_get_user_special_dir (G_USER_DIRECTORY_PICTURES);
  g_autoptr (GDateTime) now = g_date_time_new_now_local ();
  g_autofree char *when = g_date_time_format (now, "%Y-%m-%d %H-%M-%S");
  g_autofree char *file = g_strdup_printf ("%s %s.png", name, when);

  g_strdelimit (file, "/\n", '-');
  if (file[0] == '.')
    file[0] = '_';
  return g_build_filename (pictures != NULL ? pictures : g_get_home_dir (), file, NULL);
}

void
machine_screen_save_async (AlcoveDisplay *display, const char *name, GAsyncReadyCallback callback,
                           gpointer data)
{
  GTask *task = g_task_new (display, NULL, callback, data);
  g_autoptr (GdkTexture) texture = alcove_display_dup_texture (display);
  char *path = make_path (name);
  g_autofree char *folder = g_path_get_dirname (path);

  g_task_set_task_data (task, path, g_free);
  if (texture == NULL)
    {
      g_task_return_new_error (task, G_IO_ERROR, G_IO_ERROR_FAILED, "%s",
                               _ ("There is no picture yet"));
      g_object_unref (task);
      return;
    }
  g_mkdir_with_parents (folder, 0755);
  gdk_clipboard_set_texture (gtk_widget_get_clipboard (GTK_WIDGET (display)), texture);
  alcove_display_save_png_async (display, path, 0, NULL, on_saved, task);
}

char *
machine_screen_save_finish (GAsyncResult *result, GError **error)
{
  return g_task_propagate_pointer (G_TASK (result), error);
}
