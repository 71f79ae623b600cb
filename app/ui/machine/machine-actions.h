#pragma once

#include <gtk/gtk.h>
#include "machine/alcove-machine.h"

G_BEGIN_DECLS

/* What a user can do with a machine, in one table: the card in the library, the machine's page and
 * the command line (through the application) all come here. */

/* Actions for `widget` to insert under the prefix "machine"; each is enabled when the machine's
 * state allows it. Questions and errors are shown in the window of `widget`. The group goes with
 * the widget: it must be removed (gtk_widget_insert_action_group (widget, "machine", NULL)) before
 * the widget turns to another machine. */
GSimpleActionGroup *machine_actions_new (AlcoveMachine *machine, GtkWidget *widget);

/* The keys of these actions, for when the focus is in `widget`. */
GtkEventController *machine_actions_new_shortcuts (void);

/* The menu of these actions; those that are not enabled are hidden. A reference. */
GMenuModel *machine_actions_new_menu (void);

/* Without questions: start, shut-down, force-off, rename. `widget` may be NULL. */
void machine_actions_run_command (AlcoveMachine *machine, const char *command, const char *argument,
                                  GtkWidget *widget);

/* "Running", "Stopped": for people. Static. */
const char *machine_actions_describe_state (AlcoveMachine *machine);

G_END_DECLS
