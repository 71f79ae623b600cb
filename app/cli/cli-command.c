#include "cli/cli-command.h"

#include <glib-unix.h>
#include <math.h>
#include <stdarg.h>
#include <string.h>

gboolean
cli_parse (int *argc, char ***argv, const char *usage, const char *summary,
           const GOptionEntry *entries, int words_min, int words_max)
{
  g_autoptr (GOptionContext) context = g_option_context_new (usage);
  g_autofree char *program = g_strconcat ("alcove ", (*argv)[0], NULL);
  g_autoptr (GError) error = NULL;
  const char *problem = NULL;

  /* --help prints the program's name. */
  g_set_prgname (program);
  g_option_context_set_summary (context, summary);
  if (entries != NULL)
    g_option_context_add_main_entries (context, entries, NULL);
  if (!g_option_context_parse (context, argc, argv, &error))
    problem = error->message;
  else if (*argc - 1 < words_min)
    problem = "a word is missing";
  else if (*argc - 1 > words_max)
    problem = "there are too many words; quote names that have spaces";
  if (problem == NULL)
    return TRUE;
  g_printerr ("alcove: %s: %s; see “%s --help”\n", (*argv)[0], problem, program);
  return FALSE;
}

int
cli_fail (const GError *error)
{
  g_printerr ("alcove: %s\n", error->message);
  return CLI_EXIT_FAILED;
}

int
cli_fail_text (const char *format, ...)
{
  g_autofree char *text = NULL;
  va_list arguments;

  va_start (arguments, format);
  text = g_strdup_vprintf (format, arguments);
  va_end (arguments);
  g_printerr ("alcove: %s\n", text);
  return CLI_EXIT_FAILED;
}

MachineStore *
cli_open_store (void)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (MachineStore) store = machine_store_open (NULL, &error);
  g_auto (CliWait) wait = CLI_WAIT_INIT;

  if (store == NULL)
    {
      cli_fail (error);
      return NULL;
    }
  machine_store_settle_async (store, NULL, cli_wait_callback, &wait);
  if (!machine_store_settle_finish (store, cli_wait_for (&wait), &error))
    {
      cli_fail (error);
      return NULL;
    }
  return g_steal_pointer (&store);
}

AlcoveMachine *
cli_find_machine (MachineStore *store, const char *id_or_name)
{
  AlcoveMachine *machine = machine_store_find (store, id_or_name);
  guint n_machines = g_list_model_get_n_items (G_LIST_MODEL (store));

  if (machine != NULL)
    return g_object_ref (machine);
  if (n_machines == 0)
    cli_fail_text ("there is no machine “%s”: the library is empty; “alcove gallery” lists what "
                   "can be installed",
                   id_or_name);
  else
    cli_fail_text ("there is no machine “%s”, or more than one has that name; “alcove list” shows "
                   "the %u there are, with their ids",
                   id_or_name, n_machines);
  return NULL;
}

void
cli_wait_callback (GObject *source, GAsyncResult *result, gpointer data)
{
  CliWait *wait = data;

  wait->result = g_object_ref (result);
  if (wait->loop != NULL)
    g_main_loop_quit (wait->loop);
}

GAsyncResult *
cli_wait_for (CliWait *wait)
{
  if (wait->result == NULL)
    {
      wait->loop = g_main_loop_new (NULL, FALSE);
      g_main_loop_run (wait->loop);
    }
  return wait->result;
}

void
cli_wait_clear (CliWait *wait)
{
  g_clear_object (&wait->result);
  g_clear_pointer (&wait->loop, g_main_loop_unref);
}

static gboolean
on_signal (gpointer data)
{
  g_cancellable_cancel (data);
  return G_SOURCE_CONTINUE;
}

GCancellable *
cli_cancellable_new (void)
{
  GCancellable *cancellable = g_cancellable_new ();

  g_unix_signal_add_full (G_PRIORITY_DEFAULT, SIGINT, on_signal, g_object_ref (cancellable),
                          g_object_unref);
  g_unix_signal_add_full (G_PRIORITY_DEFAULT, SIGTERM, on_signal, g_object_ref (cancellable),
                          g_object_unref);
  return cancellable;
}

char *
cli_format_size (guint64 bytes)
{
  const guint64 gib = G_GUINT64_CONSTANT (1) << 30;

  if (bytes >= gib && bytes % gib == 0)
    return g_strdup_printf ("%" G_GUINT64_FORMAT " GiB", bytes / gib);
  if (bytes >= gib)
    return g_strdup_printf ("%.1f GiB", (double) bytes / gib);
  return g_strdup_printf ("%" G_GUINT64_FORMAT " MiB", bytes >> 20);
}

gboolean
cli_parse_size (const char *text, guint64 *bytes)
{
  static const char units[] = "KMGT";
  char *end = NULL;
  double value = g_ascii_strtod (text, &end);
  const char *unit;

  if (end == text || !isfinite (value) || value <= 0)
    return FALSE;
  if (*end != '\0')
    {
      unit = strchr (units, g_ascii_toupper (*end));
      if (unit == NULL || (end[1] != '\0' && g_ascii_strcasecmp (end + 1, "iB") != 0))
        return FALSE;
      value = ldexp (value, 10 * (int) (unit - units + 1));
    }
  if (value < 1 || value >= ldexp (1, 62))
    return FALSE;
  *bytes = (guint64) value;
  return TRUE;
}
