#include "cli/cli-command.h"

#include "machine/machine-lock.h"

#define START_SECONDS     60
#define FORCE_OFF_SECONDS 15

/* start, stop and force-off. Where the window is open it does the work, because a VMM need not
 * serve two controllers; whether it was done is seen by the machine's lock, which its VMM holds. */

typedef struct Target
{
  MachineStore *store;
  AlcoveMachine *machine;
} Target;

static void
target_clear (Target *target)
{
  g_clear_object (&target->machine);
  g_clear_object (&target->store);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (Target, target_clear)

static gboolean
target_open (Target *target, const char *word)
{
  target->store = cli_open_store ();
  if (target->store == NULL)
    return FALSE;
  target->machine = cli_find_machine (target->store, word);
  return target->machine != NULL;
}

static gboolean
is_held (AlcoveMachine *machine)
{
  return machine_lock_is_held (alcove_machine_get_folder (machine), NULL, NULL);
}

static gboolean
iterate_until (gpointer data)
{
  return G_SOURCE_CONTINUE;
}

gboolean
cli_wait_active (AlcoveMachine *machine, gboolean active, guint seconds)
{
  gint64 end = g_get_monotonic_time () + (gint64) seconds * G_USEC_PER_SEC;
  guint tick = g_timeout_add (50, iterate_until, NULL);

  while (is_held (machine) != active && (seconds == 0 || g_get_monotonic_time () < end))
    g_main_context_iteration (NULL, TRUE);
  g_source_remove (tick);
  return is_held (machine) == active;
}

int
cli_start_run (int argc, char **argv)
{
  gboolean json = FALSE;
  const GOptionEntry entries[] = {
    { "json", 0, 0, G_OPTION_ARG_NONE, &json, "Print the machine as JSON when it runs", NULL },
    { NULL },
  };
  g_auto (Target) target = { NULL, NULL };
  g_auto (CliWait) wait = CLI_WAIT_INIT;
  g_autoptr (GError) error = NULL;
  g_autoptr (GCancellable) cancellable = cli_cancellable_new ();

  if (!cli_parse (&argc, &argv, "MACHINE", "Start a machine; it runs on without a window", entries,
                  1, 1))
    return CLI_EXIT_USAGE;
  if (!target_open (&target, argv[1]))
    return CLI_EXIT_FAILED;
  if (is_held (target.machine))
    return cli_fail_text ("“%s” runs already", alcove_machine_get_name (target.machine));
  if (cli_remote_command ("start", alcove_machine_get_id (target.machine), ""))
    {
      if (!cli_wait_active (target.machine, TRUE, START_SECONDS))
        return cli_fail_text ("“%s” did not start; the window says why",
                              alcove_machine_get_name (target.machine));
    }
  else
    {
      alcove_machine_start_async (target.machine, cancellable, cli_wait_callback, &wait);
      if (!alcove_machine_start_finish (target.machine, cli_wait_for (&wait), &error))
        return cli_fail (error);
    }
  if (json)
    cli_print_machine_json (target.machine);
  else
    g_print ("“%s” is running\n", alcove_machine_get_name (target.machine));
  return CLI_EXIT_DONE;
}

static int
shut_down (AlcoveMachine *machine)
{
  g_auto (CliWait) wait = CLI_WAIT_INIT;
  g_autoptr (GError) error = NULL;

  if (cli_remote_command ("shut-down", alcove_machine_get_id (machine), ""))
    return CLI_EXIT_DONE;
  alcove_machine_shut_down_async (machine, NULL, cli_wait_callback, &wait);
  if (!alcove_machine_shut_down_finish (machine, cli_wait_for (&wait), &error))
    return cli_fail (error);
  return CLI_EXIT_DONE;
}

int
cli_stop_run (int argc, char **argv)
{
  int seconds = 0;
  const GOptionEntry entries[] = {
    { "wait", 0, 0, G_OPTION_ARG_INT, &seconds, "Wait until it is off, and fail if it is not then",
      "SECONDS" },
    { NULL },
  };
  g_auto (Target) target = { NULL, NULL };
  int status;

  if (!cli_parse (&argc, &argv, "MACHINE", "Press a machine's power button", entries, 1, 1))
    return CLI_EXIT_USAGE;
  if (!target_open (&target, argv[1]))
    return CLI_EXIT_FAILED;
  if (!is_held (target.machine))
    return cli_fail_text ("“%s” does not run", alcove_machine_get_name (target.machine));
  status = shut_down (target.machine);
  if (status != CLI_EXIT_DONE || seconds <= 0)
    return status;
  if (!cli_wait_active (target.machine, FALSE, seconds))
    return cli_fail_text ("“%s” still runs after %d s: its system did not react to the power "
                          "button; “alcove force-off” pulls the plug",
                          alcove_machine_get_name (target.machine), seconds);
  return CLI_EXIT_DONE;
}

int
cli_force_off_run (int argc, char **argv)
{
  g_auto (Target) target = { NULL, NULL };
  g_auto (CliWait) wait = CLI_WAIT_INIT;
  g_autoptr (GError) error = NULL;

  if (!cli_parse (&argc, &argv, "MACHINE", "Pull a machine's plug: what it has not saved is lost",
                  NULL, 1, 1))
    return CLI_EXIT_USAGE;
  if (!target_open (&target, argv[1]))
    return CLI_EXIT_FAILED;
  if (!is_held (target.machine))
    return cli_fail_text ("“%s” does not run", alcove_machine_get_name (target.machine));
  if (!cli_remote_command ("force-off", alcove_machine_get_id (target.machine), ""))
    {
      alcove_machine_force_off_async (target.machine, NULL, cli_wait_callback, &wait);
      if (!alcove_machine_force_off_finish (target.machine, cli_wait_for (&wait), &error))
        return cli_fail (error);
    }
  if (!cli_wait_active (target.machine, FALSE, FORCE_OFF_SECONDS))
    return cli_fail_text ("“%s” still runs", alcove_machine_get_name (target.machine));
  return CLI_EXIT_DONE;
}
