#include "cli/cli.h"

#include <gio/gio.h>
#include <stdio.h>

#define PICTURE_SECONDS 120

void
cli_show_free (CliShow *show)
{
  if (show == NULL)
    return;
  g_free (show->machine);
  g_free (show->screenshot);
  g_free (show);
}

static gboolean
parse_window_size (const char *text, CliShow *show, GError **error)
{
  char rest;

  if (text == NULL)
    return TRUE;
  if (sscanf (text, "%5dx%5d%c", &show->width, &show->height, &rest) == 2 && show->width >= 200 &&
      show->height >= 200 && show->width <= 16384 && show->height <= 16384)
    return TRUE;
  g_set_error (error, G_OPTION_ERROR, G_OPTION_ERROR_BAD_VALUE,
               "--size %s: it must be like 1100x750, at least 200x200", text);
  return FALSE;
}

static gboolean
check (CliShow *show, int n_words, char **words, GError **error)
{
  if (n_words > 1)
    g_set_error (error, G_OPTION_ERROR, G_OPTION_ERROR_BAD_VALUE,
                 "show: one machine at a time; quote a name that has spaces");
  else if (n_words == 0 && (show->start || show->wait_picture))
    g_set_error (error, G_OPTION_ERROR, G_OPTION_ERROR_BAD_VALUE,
                 "show: --start and --wait-picture need a machine");
  else if (n_words == 1 && show->gallery)
    g_set_error (error, G_OPTION_ERROR, G_OPTION_ERROR_BAD_VALUE,
                 "show: either a machine or --gallery");
  else if (show->timeout < 1)
    g_set_error (error, G_OPTION_ERROR, G_OPTION_ERROR_BAD_VALUE,
                 "--timeout %d: at least one second is needed", show->timeout);
  else
    {
      show->machine = g_strdup (n_words == 1 ? words[0] : NULL);
      return TRUE;
    }
  return FALSE;
}

CliShow *
cli_show_parse (int argc, char **argv, const char *folder, GError **error)
{
  g_autoptr (CliShow) show = g_new0 (CliShow, 1);
  g_autofree char *screenshot = NULL;
  g_autofree char *size = NULL;
  const GOptionEntry entries[] = {
    { "gallery", 0, 0, G_OPTION_ARG_NONE, &show->gallery, "Open the gallery", NULL },
    { "start", 0, 0, G_OPTION_ARG_NONE, &show->start, "Start the machine", NULL },
    { "wait-picture", 0, 0, G_OPTION_ARG_NONE, &show->wait_picture, "Wait for its picture", NULL },
    { "timeout", 0, 0, G_OPTION_ARG_INT, &show->timeout, "How long to wait", "SECONDS" },
    { "screenshot", 0, 0, G_OPTION_ARG_FILENAME, &screenshot, "Save the window", "FILE" },
    { "exit-after", 0, 0, G_OPTION_ARG_NONE, &show->exit_after, "Close it again", NULL },
    { "size", 0, 0, G_OPTION_ARG_STRING, &size, "The window's size", "WIDTHxHEIGHT" },
    { NULL },
  };
  g_autoptr (GOptionContext) context = g_option_context_new ("[MACHINE]");
  g_auto (GStrv) words = g_new0 (char *, argc + 1);
  g_autofree char **parsed = NULL;

  for (int i = 0; i < argc; i++)
    words[i] = g_strdup (argv[i]);
  /* Parsing moves the pointers about. */
  parsed = g_memdup2 (words, sizeof (char *) * (argc + 1));
  show->timeout = PICTURE_SECONDS;
  g_option_context_set_help_enabled (context, FALSE);
  g_option_context_add_main_entries (context, entries, NULL);
  if (!g_option_context_parse (context, &argc, &parsed, error) ||
      !parse_window_size (size, show, error) || !check (show, argc - 1, parsed + 1, error))
    return NULL;
  if (screenshot != NULL)
    {
      g_autoptr (GFile) file = g_file_new_for_commandline_arg_and_cwd (screenshot, folder);

      show->screenshot = g_file_get_path (file);
    }
  return g_steal_pointer (&show);
}
