/* Alcove. With a command it works without a window and needs no display, else it opens the
 * window. */

#include <glib/gi18n.h>
#include <locale.h>
#include <string.h>

#include "cli/cli.h"
#include "ui/alcove-application.h"

static gboolean
asks_for_help (int argc, char **argv)
{
  for (int i = 2; i < argc; i++)
    if (strcmp (argv[i], "--help") == 0 || strcmp (argv[i], "-h") == 0)
      return TRUE;
  return FALSE;
}

int
main (int argc, char **argv)
{
  g_autoptr (AlcoveApplication) application = NULL;
  char *help[] = { argv[0], (char *) "help", argc > 1 ? argv[1] : NULL, NULL };

  setlocale (LC_ALL, "");
  bindtextdomain (GETTEXT_PACKAGE, ALCOVE_LOCALEDIR);
  bind_textdomain_codeset (GETTEXT_PACKAGE, "UTF-8");
  textdomain (GETTEXT_PACKAGE);
  if (argc > 1 && cli_is_command (argv[1]))
    return cli_run (argc, argv);
  if (argc > 2 && asks_for_help (argc, argv))
    return cli_run (3, help);
  application = alcove_application_new ();
  return g_application_run (G_APPLICATION (application), argc, argv);
}
