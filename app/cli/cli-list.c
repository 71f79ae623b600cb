#include "cli/cli-command.h"

static void
print_table (GListModel *machines)
{
  static const char *const titles[] = { "ID", "NAME", "STATE", "CPUS", "MEMORY", NULL };
  g_autoptr (CliTable) table = cli_table_new (titles);

  for (guint i = 0; i < g_list_model_get_n_items (machines); i++)
    {
      g_autoptr (AlcoveMachine) machine = g_list_model_get_item (machines, i);
      MachineSettings *settings = alcove_machine_get_settings (machine);
      gboolean emulated = alcove_machine_get_accelerator (machine) == MACHINE_ACCELERATOR_EMULATED;
      const char *state = machine_state_to_string (alcove_machine_get_state (machine));
      g_autofree char *shown = g_strconcat (state, emulated ? " (emulated)" : "", NULL);
      g_autofree char *cpus =
          settings != NULL ? g_strdup_printf ("%u", machine_settings_get_cpus (settings)) : NULL;
      g_autofree char *memory =
          settings != NULL ? cli_format_size (machine_settings_get_memory (settings)) : NULL;
      const char *cells[] = {
        alcove_machine_get_id (machine), alcove_machine_get_name (machine), shown, cpus, memory,
      };

      cli_table_add (table, cells);
    }
  cli_table_print (table);
}

int
cli_list_run (int argc, char **argv)
{
  gboolean json = FALSE;
  const GOptionEntry entries[] = {
    { "json", 0, 0, G_OPTION_ARG_NONE, &json, "One JSON object a machine, one a line", NULL },
    { NULL },
  };
  g_autoptr (MachineStore) store = NULL;

  if (!cli_parse (&argc, &argv, NULL, "The machines of the library and their state", entries, 0, 0))
    return CLI_EXIT_USAGE;
  store = cli_open_store ();
  if (store == NULL)
    return CLI_EXIT_FAILED;
  if (!json)
    {
      if (g_list_model_get_n_items (G_LIST_MODEL (store)) == 0)
        g_print ("The library is empty; “alcove gallery” lists what can be installed.\n");
      else
        print_table (G_LIST_MODEL (store));
      return CLI_EXIT_DONE;
    }
  for (guint i = 0; i < g_list_model_get_n_items (G_LIST_MODEL (store)); i++)
    {
      g_autoptr (AlcoveMachine) machine = g_list_model_get_item (G_LIST_MODEL (store), i);

      cli_print_machine_json (machine);
    }
  return CLI_EXIT_DONE;
}
