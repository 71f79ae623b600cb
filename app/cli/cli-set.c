#include "cli/cli-command.h"

/* set: changes settings of a machine, all that are named or none. */

typedef struct SetOptions
{
  int cpus;
  char *memory;
  char *network;
  char *serial;
  char *cmdline;
} SetOptions;

static void
set_options_clear (SetOptions *options)
{
  g_clear_pointer (&options->memory, g_free);
  g_clear_pointer (&options->network, g_free);
  g_clear_pointer (&options->serial, g_free);
  g_clear_pointer (&options->cmdline, g_free);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (SetOptions, set_options_clear)

/* NULL: told on stderr; else the settings, changed; what is out of range is for their validation. */
static MachineSettings *
change (MachineSettings *live, const SetOptions *options)
{
  g_autoptr (MachineSettings) settings = machine_settings_copy (live);
  guint64 bytes;

  if (options->memory != NULL)
    {
      if (!cli_parse_size (options->memory, &bytes))
        {
          cli_fail_text ("--memory %s: a size like 2G is needed", options->memory);
          return NULL;
        }
      machine_settings_set_memory (settings, bytes);
    }
  if (options->network != NULL)
    {
      gboolean user = g_str_equal (options->network, "user");

      if (!user && !g_str_equal (options->network, "none"))
        {
          cli_fail_text ("--network %s: user or none is allowed", options->network);
          return NULL;
        }
      machine_settings_set_network (settings, user ? MACHINE_NETWORK_USER : MACHINE_NETWORK_NONE);
    }
  if (options->cpus != 0)
    machine_settings_set_cpus (settings, (guint) options->cpus);
  if (options->serial != NULL)
    machine_settings_set_serial (settings, options->serial[0] != '\0' ? options->serial : NULL);
  if (options->cmdline != NULL)
    machine_settings_set_cmdline (settings, options->cmdline[0] != '\0' ? options->cmdline : NULL);
  return g_steal_pointer (&settings);
}

int
cli_set_run (int argc, char **argv)
{
  g_auto (SetOptions) options = { 0 };
  const GOptionEntry entries[] = {
    { "cpus", 0, 0, G_OPTION_ARG_INT, &options.cpus, "Processors", "N" },
    { "memory", 0, 0, G_OPTION_ARG_STRING, &options.memory, "Memory, like 2G", "SIZE" },
    { "network", 0, 0, G_OPTION_ARG_STRING, &options.network, "user or none", "KIND" },
    { "serial", 0, 0, G_OPTION_ARG_FILENAME, &options.serial,
      "Keep what it writes to its serial port; relative to its folder, empty: nowhere", "FILE" },
    { "cmdline", 0, 0, G_OPTION_ARG_STRING, &options.cmdline,
      "The kernel's command line, where it is started without firmware", "WORDS" },
    { NULL },
  };
  g_autoptr (MachineStore) store = NULL;
  g_autoptr (AlcoveMachine) machine = NULL;
  g_autoptr (MachineSettings) settings = NULL;
  g_autoptr (GError) error = NULL;
  MachineSettings *live;

  if (!cli_parse (&argc, &argv, "MACHINE",
                  "Change a machine's settings. One that runs takes them with its next start.",
                  entries, 1, 1))
    return CLI_EXIT_USAGE;
  store = cli_open_store ();
  machine = store != NULL ? cli_find_machine (store, argv[1]) : NULL;
  if (machine == NULL)
    return CLI_EXIT_FAILED;
  live = alcove_machine_get_settings (machine);
  if (live == NULL)
    return cli_fail_text ("%s", alcove_machine_get_last_error (machine));
  settings = change (live, &options);
  if (settings == NULL)
    return CLI_EXIT_USAGE;
  if (!alcove_machine_apply_settings (machine, settings, &error))
    return cli_fail (error);
  return CLI_EXIT_DONE;
}
