#pragma once

#include <glib.h>

/* `alcove COMMAND ...`: the library and the gallery without a window. Needs no display; GTK is not
 * initialised.
 *
 * Exit status: 0 done; 1 it could not be done (one line on stderr: what, why, what to do);
 * 2 wrong usage. */
typedef enum
{
  CLI_EXIT_DONE = 0,
  CLI_EXIT_FAILED = 1,
  CLI_EXIT_USAGE = 2,
} CliExit;

/* TRUE for a word that cli_run () handles, among them --help and --version. */
gboolean cli_is_command (const char *word);

/* argv[0] is the program, argv[1] the command. */
int cli_run (int argc, char **argv);

/* The command line of `alcove show`, which opens the window; parsed in the process that has it. */
typedef struct CliShow
{
  char *machine;    /* id or name; NULL: the library */
  char *screenshot; /* absolute path of a PNG to write; NULL: none */
  gboolean gallery;
  gboolean start;        /* start the machine if it is stopped */
  gboolean wait_picture; /* wait until the guest's picture is in the window */
  gboolean exit_after;   /* close the window when all is done */
  int timeout;           /* seconds to wait for the picture */
  int width, height;     /* of the window; 0: as it was last */
} CliShow;

/* `folder` is what relative file names are relative to. NULL with a sentence for the user. */
CliShow *cli_show_parse (int argc, char **argv, const char *folder, GError **error);
void cli_show_free (CliShow *show);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (CliShow, cli_show_free)
