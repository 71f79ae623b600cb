#include "cli/cli-command.h"

#include "machine/machine-lock.h"

/* rename and delete. */

int
cli_rename_run (int argc, char **argv)
{
  g_autoptr (MachineStore) store = NULL;
  g_autoptr (AlcoveMachine) machine = NULL;
  g_autoptr (GError) error = NULL;

  if (!cli_parse (&argc, &argv, "MACHINE NAME", "Give a machine another name", NULL, 2, 2))
    return CLI_EXIT_USAGE;
  store = cli_open_store ();
  machine = store != NULL ? cli_find_machine (store, argv[1]) : NULL;
  if (machine == NULL)
    return CLI_EXIT_FAILED;
  if (!alcove_machine_rename (machine, argv[2], &error))
    return cli_fail (error);
  /* An open window learns it this way; it writes the same again. */
  cli_remote_command ("rename", alcove_machine_get_id (machine), argv[2]);
  return CLI_EXIT_DONE;
}

int
cli_delete_run (int argc, char **argv)
{
  gboolean yes = FALSE;
  const GOptionEntry entries[] = {
    { "yes", 0, 0, G_OPTION_ARG_NONE, &yes, "Do it: its disks cannot be brought back", NULL },
    { NULL },
  };
  g_autoptr (MachineStore) store = NULL;
  g_autoptr (AlcoveMachine) machine = NULL;
  g_autofree char *trashed = NULL;
  g_autoptr (GError) error = NULL;
  g_auto (CliWait) wait = CLI_WAIT_INIT;

  if (!cli_parse (&argc, &argv, "MACHINE", "Delete a machine and its disks for good", entries, 1,
                  1))
    return CLI_EXIT_USAGE;
  store = cli_open_store ();
  machine = store != NULL ? cli_find_machine (store, argv[1]) : NULL;
  if (machine == NULL)
    return CLI_EXIT_FAILED;
  if (!yes)
    return cli_fail_text ("this deletes “%s” with its disks for good; say --yes to do it",
                          alcove_machine_get_name (machine));
  trashed = machine_store_trash (store, machine, &error);
  if (trashed == NULL)
    return cli_fail (error);
  machine_store_purge_async (store, trashed, NULL, cli_wait_callback, &wait);
  if (!machine_store_purge_finish (store, cli_wait_for (&wait), &error))
    return cli_fail (error);
  return CLI_EXIT_DONE;
}
