#include "cli/cli-command.h"

#include <string.h>

struct CliTable
{
  GPtrArray *rows; /* GStrv, the titles first */
  guint n_columns;
};

CliTable *
cli_table_new (const char *const *titles)
{
  CliTable *table = g_new0 (CliTable, 1);

  table->rows = g_ptr_array_new_with_free_func ((GDestroyNotify) g_strfreev);
  table->n_columns = g_strv_length ((GStrv) titles);
  cli_table_add (table, titles);
  return table;
}

void
cli_table_add (CliTable *table, const char *const *cells)
{
  char **row = g_new0 (char *, table->n_columns + 1);

  for (guint i = 0; i < table->n_columns; i++)
    row[i] = g_strdup (cells[i] != NULL ? cells[i] : "");
  g_ptr_array_add (table->rows, row);
}

void
cli_table_print (CliTable *table)
{
  g_autofree glong *widths = g_new0 (glong, table->n_columns);

  for (guint r = 0; r < table->rows->len; r++)
    for (guint c = 0; c < table->n_columns; c++)
      widths[c] = MAX (widths[c], g_utf8_strlen (((char **) table->rows->pdata[r])[c], -1));
  for (guint r = 0; r < table->rows->len; r++)
    {
      char **row = table->rows->pdata[r];

      for (guint c = 0; c < table->n_columns; c++)
        {
          int padding =
              c + 1 < table->n_columns ? (int) (widths[c] - g_utf8_strlen (row[c], -1) + 2) : 0;

          g_print ("%s%*s", row[c], padding, "");
        }
      g_print ("\n");
    }
}

void
cli_table_free (CliTable *table)
{
  if (table == NULL)
    return;
  g_ptr_array_unref (table->rows);
  g_free (table);
}

void
cli_print_json (JsonBuilder *builder)
{
  g_autoptr (JsonNode) root = json_builder_get_root (builder);
  g_autofree char *text = json_to_string (root, FALSE);

  g_print ("%s\n", text);
}

void
cli_add_string (JsonBuilder *builder, const char *name, const char *value)
{
  json_builder_set_member_name (builder, name);
  if (value != NULL)
    json_builder_add_string_value (builder, value);
  else
    json_builder_add_null_value (builder);
}

void
cli_print_machine_json (AlcoveMachine *machine)
{
  static const char *const accelerators[] = {
    [MACHINE_ACCELERATOR_UNKNOWN] = NULL,
    [MACHINE_ACCELERATOR_KVM] = "kvm",
    [MACHINE_ACCELERATOR_EMULATED] = "emulated",
  };
  g_autoptr (JsonBuilder) builder = json_builder_new ();
  MachineSettings *settings = alcove_machine_get_settings (machine);

  json_builder_begin_object (builder);
  cli_add_string (builder, "id", alcove_machine_get_id (machine));
  cli_add_string (builder, "name", alcove_machine_get_name (machine));
  cli_add_string (builder, "state", machine_state_to_string (alcove_machine_get_state (machine)));
  cli_add_string (builder, "accelerator", accelerators[alcove_machine_get_accelerator (machine)]);
  cli_add_string (builder, "folder", alcove_machine_get_folder (machine));
  cli_add_string (builder, "error", alcove_machine_get_last_error (machine));
  if (settings != NULL)
    {
      json_builder_set_member_name (builder, "cpus");
      json_builder_add_int_value (builder, machine_settings_get_cpus (settings));
      json_builder_set_member_name (builder, "memory");
      json_builder_add_int_value (builder, machine_settings_get_memory (settings));
      cli_add_string (builder, "entry", machine_settings_get_entry_id (settings));
    }
  json_builder_end_object (builder);
  cli_print_json (builder);
}
