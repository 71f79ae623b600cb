#pragma once

#include <gio/gio.h>
#include "machine/alcove-machine.h"

G_BEGIN_DECLS

/* The library: a GListModel of AlcoveMachine, one for each folder below the library's folder,
 * sorted by name.
 *
 * A machine appears complete or not at all: it is made in a hidden draft folder which is renamed
 * into place. Deleting renames it into `.trash`, from where it can be restored until it is
 * purged. The folder is watched, so machines that another process makes or removes come and go
 * here too. Drafts whose maker is gone are removed when the library is opened.
 *
 * Thread: the main context that was the thread's default when it was opened. */

#define MACHINE_TYPE_STORE (machine_store_get_type ())
G_DECLARE_FINAL_TYPE (MachineStore, machine_store, MACHINE, STORE, GObject)

/* Opens (creating it, mode 700) the library in `folder`, NULL for the user's. Every machine is
 * asked whether it runs; machine_store_settle_async () tells when all have answered. */
MachineStore *machine_store_open (const char *folder, GError **error);

void machine_store_settle_async (MachineStore *self, GCancellable *cancellable,
                                 GAsyncReadyCallback callback, gpointer data);
gboolean machine_store_settle_finish (MachineStore *self, GAsyncResult *result, GError **error);

const char *machine_store_get_folder (MachineStore *self);

/* By id (the folder's name), else by the exact name if one machine only has it. Borrowed, NULL
 * if there is none. */
AlcoveMachine *machine_store_find (MachineStore *self, const char *id_or_name);

/* `wanted`, or the first of "wanted 2", "wanted 3"... that no machine has (free it). */
char *machine_store_dup_free_name (MachineStore *self, const char *wanted);

/* A machine in the making: a locked, hidden folder to put its files into. */
typedef struct MachineDraft MachineDraft;
MachineDraft *machine_store_begin (MachineStore *self, GError **error);
const char *machine_draft_get_folder (MachineDraft *draft);
/* Writes machine.ini and makes it a machine of the library. Frees the draft, with its files on
 * failure. Returns a reference. */
AlcoveMachine *machine_store_commit (MachineStore *self, MachineDraft *draft,
                                     MachineSettings *settings, GError **error);
/* Removes the folder and frees the draft. Accepts NULL. Blocks for as long as removing takes. */
void machine_draft_discard (MachineDraft *draft);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (MachineDraft, machine_draft_discard)

/* begin and commit, for a machine whose files exist elsewhere or that has none. */
AlcoveMachine *machine_store_create (MachineStore *self, MachineSettings *settings, GError **error);

/* Moves it to the trash and takes it from the list; refused while it runs. Returns the name in
 * the trash (free it), for restoring. */
char *machine_store_trash (MachineStore *self, AlcoveMachine *machine, GError **error);
/* Puts it back, under its old id if that is free. Returns a reference. */
AlcoveMachine *machine_store_restore (MachineStore *self, const char *trash_name, GError **error);
/* Names of what is in the trash, oldest first; NULL-terminated (g_strfreev ()). */
char **machine_store_list_trash (MachineStore *self);
/* Removes one (or all, with NULL) for good, in a worker thread. */
void machine_store_purge_async (MachineStore *self, const char *trash_name,
                                GCancellable *cancellable, GAsyncReadyCallback callback,
                                gpointer data);
gboolean machine_store_purge_finish (MachineStore *self, GAsyncResult *result, GError **error);

G_END_DECLS
