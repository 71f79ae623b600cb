/* alcove-viewer PATH: the screen behind a SPICE server's Unix socket, in a window. Shows how little a program needs to use the widget. */

#include "display.h"

#include <stdlib.h>

typedef struct
{
  GMainLoop *loop;
  char *screenshot;
  int status;
} Viewer;

static void
on_disconnected (AlcoveDisplay *display, const GError *error, gpointer data)
{
  Viewer *viewer = data;

  if (error != NULL)
    g_printerr ("alcove-viewer: %s\n", error->message);
  viewer->status =
      error != NULL && !alcove_display_has_picture (display) ? EXIT_FAILURE : viewer->status;
  g_main_loop_quit (viewer->loop);
}

static void
on_saved (GObject *source, GAsyncResult *result, gpointer data)
{
  Viewer *viewer = data;
  g_autoptr (GError) error = NULL;

  if (alcove_display_save_png_finish (ALCOVE_DISPLAY (source), result, &error))
    g_print ("%s\n", viewer->screenshot);
  else
    g_printerr ("alcove-viewer: %s\n", error->message);
  viewer->status = error != NULL ? EXIT_FAILURE : EXIT_SUCCESS;
  g_main_loop_quit (viewer->loop);
}

static void
on_first_picture (AlcoveDisplay *display, gpointer data)
{
  Viewer *viewer = data;

  if (viewer->screenshot != NULL)
    alcove_display_save_png_async (display, viewer->screenshot, 0, NULL, on_saved, viewer);
}

static gboolean
on_close (GtkWindow *window, gpointer data)
{
  g_main_loop_quit (((Viewer *) data)->loop);
  return FALSE;
}

static void
open_window (const char *path, Viewer *viewer)
{
  GtkWidget *window = gtk_window_new ();
  GtkWidget *display = alcove_display_new ();

  gtk_window_set_title (GTK_WINDOW (window), path);
  gtk_window_set_default_size (GTK_WINDOW (window), 1024, 768);
  gtk_window_set_child (GTK_WINDOW (window), display);
  gtk_window_set_focus (GTK_WINDOW (window), display);
  g_signal_connect (window, "close-request", G_CALLBACK (on_close), viewer);
  g_signal_connect (display, "disconnected", G_CALLBACK (on_disconnected), viewer);
  g_signal_connect (display, "first-picture", G_CALLBACK (on_first_picture), viewer);
  alcove_display_set_path (ALCOVE_DISPLAY (display), path);
  alcove_display_connect (ALCOVE_DISPLAY (display));
  gtk_window_present (GTK_WINDOW (window));
}

int
main (int argc, char **argv)
{
  Viewer viewer = { 0 };
  g_autoptr (GError) error = NULL;
  const GOptionEntry entries[] = {
    { "screenshot", 's', 0, G_OPTION_ARG_FILENAME, &viewer.screenshot,
      "Save the first picture as a PNG and end", "FILE" },
    { NULL },
  };
  g_autoptr (GOptionContext) options = g_option_context_new ("PATH - a SPICE server's Unix socket");

  g_option_context_add_main_entries (options, entries, NULL);
  if (!g_option_context_parse (options, &argc, &argv, &error) || argc != 2)
    {
      g_printerr ("alcove-viewer: %s\n", error != NULL ? error->message : "needs one PATH");
      return 2;
    }
  if (!gtk_init_check ())
    {
      g_printerr ("alcove-viewer: there is no display to open a window on\n");
      return EXIT_FAILURE;
    }
  viewer.loop = g_main_loop_new (NULL, FALSE);
  open_window (argv[1], &viewer);
  g_main_loop_run (viewer.loop);
  g_main_loop_unref (viewer.loop);
  g_free (viewer.screenshot);
  return viewer.status;
}
