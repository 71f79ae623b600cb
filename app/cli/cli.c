#include "cli/cli.h"
#include "cli/cli-command.h"

#include <string.h>

typedef struct CliCommand
{
  const char *name;
  const char *arguments;
  const char *help;
  CliRun run; /* NULL: the window's */
} CliCommand;

static const CliCommand commands[] = {
  { "list", "[--json]", "The machines of the library and their state", cli_list_run },
  { "gallery", "[list] [WORD...] [--json]", "The systems that can be installed", cli_gallery_run },
  { "install",
    "ENTRY [--name NAME] [--cpus N] [--memory SIZE] [--disk SIZE] [--network user|none] [--start] "
    "[--json]",
    "Make a machine of a system of the gallery", cli_install_run },
  { "create", "ENTRY ...", "The same as install", cli_install_run },
  { "start", "MACHINE [--json]", "Start a machine, without a window", cli_start_run },
  { "stop", "MACHINE [--wait SECONDS]", "Ask a machine to shut down", cli_stop_run },
  { "force-off", "MACHINE", "Pull a machine's plug", cli_force_off_run },
  { "show",
    "[MACHINE] [--start] [--gallery] [--screenshot FILE] [--wait-picture] [--timeout SECONDS] "
    "[--exit-after] [--size WIDTHxHEIGHT]",
    "Open the window", NULL },
  { "set",
    "MACHINE [--cpus N] [--memory SIZE] [--network user|none] [--serial FILE] [--cmdline WORDS]",
    "Change a machine's settings", cli_set_run },
  { "rename", "MACHINE NAME", "Give a machine another name", cli_rename_run },
  { "delete", "MACHINE --yes", "Delete a machine and its disks for good", cli_delete_run },
  { "help", "[COMMAND]", "This list, or one command's options", cli_help_run },
};

static const CliCommand aliases[] = {
  { "--help", NULL, NULL, cli_help_run },
  { "-h", NULL, NULL, cli_help_run },
  { "--version", NULL, NULL, cli_version_run },
};

static const CliCommand *
find_in (const CliCommand *table, gsize length, const char *word)
{
  for (gsize i = 0; i < length; i++)
    if (strcmp (table[i].name, word) == 0)
      return &table[i];
  return NULL;
}

static const CliCommand *
find_command (const char *word)
{
  const CliCommand *command = find_in (commands, G_N_ELEMENTS (commands), word);

  return command != NULL ? command : find_in (aliases, G_N_ELEMENTS (aliases), word);
}

/* Every word but those that open the window: an unknown one is told, not ignored. */
gboolean
cli_is_command (const char *word)
{
  const CliCommand *command = find_command (word);

  return command == NULL ? !g_str_has_prefix (word, "--g") : command->run != NULL;
}

int
cli_help_run (int argc, char **argv)
{
  const CliCommand *command = argc > 1 ? find_command (argv[1]) : NULL;
  char *nested[] = { argc > 1 ? argv[1] : NULL, (char *) "--help", NULL };

  if (argc > 1 && command == NULL)
    {
      g_printerr ("alcove: there is no command “%s”; “alcove help” lists them\n", argv[1]);
      return CLI_EXIT_USAGE;
    }
  if (command != NULL && command->run != NULL && command->run != cli_help_run)
    return command->run (2, nested);
  g_print ("Usage: alcove                     open the window\n"
           "       alcove COMMAND ...         without a window\n\n");
  for (gsize i = 0; i < G_N_ELEMENTS (commands); i++)
    if (command == NULL || command == &commands[i])
      g_print ("  %-10s %s\n             %s\n", commands[i].name, commands[i].help,
               commands[i].arguments);
  g_print ("\nMACHINE is a name or an id of “alcove list”, ENTRY an id of “alcove gallery”.\n"
           "Exit status: 0 done, 1 could not be done, 2 wrong usage.\n"
           "ALCOVE_DATA_DIR, ALCOVE_CACHE_DIR and ALCOVE_RUNTIME_DIR say where Alcove keeps "
           "machines, downloads and sockets.\n");
  return CLI_EXIT_DONE;
}

int
cli_version_run (int argc, char **argv)
{
  g_print ("alcove %s\n", ALCOVE_VERSION);
  return CLI_EXIT_DONE;
}

int
cli_run (int argc, char **argv)
{
  const CliCommand *command = find_command (argv[1]);

  if (command == NULL || command->run == NULL)
    {
      g_printerr ("alcove: there is no command “%s”; “alcove help” lists them\n", argv[1]);
      return CLI_EXIT_USAGE;
    }
  return command->run (argc - 1, argv + 1);
}
