#pragma once

#include <gio/gio.h>
#include <json-glib/json-glib.h>
#include "cli/cli.h"
#include "machine/machine-store.h"

/* What the commands share. For files of this folder only. */

/* argv[0] is the command's name. */
typedef int (*CliRun) (int argc, char **argv);

int cli_list_run (int argc, char **argv);
int cli_gallery_run (int argc, char **argv);
int cli_install_run (int argc, char **argv);
int cli_start_run (int argc, char **argv);
int cli_stop_run (int argc, char **argv);
int cli_force_off_run (int argc, char **argv);
int cli_rename_run (int argc, char **argv);
int cli_set_run (int argc, char **argv);
int cli_delete_run (int argc, char **argv);
int cli_help_run (int argc, char **argv);
int cli_version_run (int argc, char **argv);

/* Parses options in place and checks how many words are left over. FALSE: the reason is on stderr;
 * return CLI_EXIT_USAGE. `usage` is the words after the command's name. */
gboolean cli_parse (int *argc, char ***argv, const char *usage, const char *summary,
                    const GOptionEntry *entries, int words_min, int words_max);

/* "alcove: MESSAGE" on stderr. Returns CLI_EXIT_FAILED. */
int cli_fail (const GError *error);
int cli_fail_text (const char *format, ...) G_GNUC_PRINTF (1, 2);

/* The user's library; every machine has answered whether it runs. NULL: told on stderr. */
MachineStore *cli_open_store (void);
/* A machine by id or name. NULL: told on stderr, with the names that there are. A reference. */
AlcoveMachine *cli_find_machine (MachineStore *store, const char *id_or_name);

/* Turns an async call into a blocking one:
 *   g_auto (CliWait) wait = CLI_WAIT_INIT;
 *   x_async (..., cli_wait_callback, &wait);
 *   x_finish (..., cli_wait_for (&wait), &error); */
typedef struct CliWait
{
  GMainLoop *loop;
  GAsyncResult *result;
} CliWait;
#define CLI_WAIT_INIT                                                                              \
  {                                                                                                \
    NULL, NULL                                                                                     \
  }
void cli_wait_callback (GObject *source, GAsyncResult *result, gpointer data);
GAsyncResult *cli_wait_for (CliWait *wait);
void cli_wait_clear (CliWait *wait);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (CliWait, cli_wait_clear)

/* Cancelled by SIGINT and SIGTERM, so that what is under way can clean up. */
GCancellable *cli_cancellable_new (void);

/* One line of JSON. Consumes the builder's root. */
void cli_print_json (JsonBuilder *builder);
void cli_print_machine_json (AlcoveMachine *machine);
void cli_add_string (JsonBuilder *builder, const char *name, const char *value);

/* Rows of equally wide columns; each row is n_columns strings that the table copies. */
typedef struct CliTable CliTable;
CliTable *cli_table_new (const char *const *titles);
void cli_table_add (CliTable *table, const char *const *cells);
void cli_table_print (CliTable *table);
void cli_table_free (CliTable *table);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (CliTable, cli_table_free)

/* "1.5 GiB", "2 GiB": memory and disks in the units in which they are chosen. Free it. */
char *cli_format_size (guint64 bytes);
/* "512M", "2G", "1.5GiB", "1073741824". FALSE: not a size. */
gboolean cli_parse_size (const char *text, guint64 *bytes);

/* Asks the running window, if there is one, to carry out `command` ("start", "shut-down",
 * "force-off", "rename") on a machine: its VMM may talk with one controller only. FALSE: no window
 * is running. The command is carried out without an answer. */
gboolean cli_remote_command (const char *command, const char *machine_id, const char *argument);

/* Waits until the machine is active, or is not. FALSE: not within the time; 0 seconds: no limit. */
gboolean cli_wait_active (AlcoveMachine *machine, gboolean active, guint seconds);
