#pragma once

#include <gio/gio.h>
#include "machine/machine-control.h"
#include "machine/machine-settings.h"
#include "machine/machine-status.h"

G_BEGIN_DECLS

/* A computer that the user owns: a folder, its settings, and, while it runs, the VMM's control
 * connection.
 *
 * The VMM outlives this object and the app. A machine that was found running is taken over by
 * alcove_machine_reconnect_async (), which the store calls for each machine that it loads.
 *
 * Thread: the main context of the store. Every _async is finished there; one of start,
 * shut_down, force_off is under way at a time. */

/* Properties, all notifying: "id", "folder" (string, constant), "name" (string), "state",
 * "accelerator", "thumbnail" (string: path, or NULL when there is none; notified again each time
 * the picture changes), "last-error" (string or NULL, a whole sentence), "settings"
 * (MachineSettings; NULL when broken), "active" (boolean: a VMM runs for it). Signal "ended"
 * (int exit_status or -1 when not known, boolean crashed): the VMM is gone. */
#define ALCOVE_TYPE_MACHINE (alcove_machine_get_type ())
G_DECLARE_FINAL_TYPE (AlcoveMachine, alcove_machine, ALCOVE, MACHINE, GObject)

/* For the store. Reads machine.ini; always succeeds, see MACHINE_STATE_BROKEN. */
AlcoveMachine *alcove_machine_new (const char *folder);

const char *alcove_machine_get_id (AlcoveMachine *self);
const char *alcove_machine_get_folder (AlcoveMachine *self);
const char *alcove_machine_get_name (AlcoveMachine *self);
MachineState alcove_machine_get_state (AlcoveMachine *self);
MachineAccelerator alcove_machine_get_accelerator (AlcoveMachine *self);
const char *alcove_machine_get_thumbnail (AlcoveMachine *self);
const char *alcove_machine_get_last_error (AlcoveMachine *self);
gboolean alcove_machine_is_active (AlcoveMachine *self);

/* Live settings; change a copy and give it to alcove_machine_apply_settings (). NULL when
 * broken. */
MachineSettings *alcove_machine_get_settings (AlcoveMachine *self);

/* Saves and takes over. What a running machine uses changes with its next start. FALSE: nothing
 * changed. */
gboolean alcove_machine_apply_settings (AlcoveMachine *self, MachineSettings *settings,
                                        GError **error);
gboolean alcove_machine_rename (AlcoveMachine *self, const char *name, GError **error);

/* Starts it; done when the VMM answers. Fails when someone else holds the machine's lock, naming
 * the holder. */
void alcove_machine_start_async (AlcoveMachine *self, GCancellable *cancellable,
                                 GAsyncReadyCallback callback, gpointer data);
gboolean alcove_machine_start_finish (AlcoveMachine *self, GAsyncResult *result, GError **error);

/* Presses the power button, after going on with a paused machine; done when the VMM took the command. The state is "stopping" until
 * the guest powers off, or for half a minute, when it does not. */
void alcove_machine_shut_down_async (AlcoveMachine *self, GCancellable *cancellable,
                                     GAsyncReadyCallback callback, gpointer data);
gboolean alcove_machine_shut_down_finish (AlcoveMachine *self, GAsyncResult *result,
                                          GError **error);

/* Pulls the plug; done when the VMM is gone. A VMM that does not answer within 5 s is killed. */
void alcove_machine_force_off_async (AlcoveMachine *self, GCancellable *cancellable,
                                     GAsyncReadyCallback callback, gpointer data);
gboolean alcove_machine_force_off_finish (AlcoveMachine *self, GAsyncResult *result,
                                          GError **error);

void alcove_machine_pause_async (AlcoveMachine *self, GCancellable *cancellable,
                                 GAsyncReadyCallback callback, gpointer data);
gboolean alcove_machine_pause_finish (AlcoveMachine *self, GAsyncResult *result, GError **error);

void alcove_machine_resume_async (AlcoveMachine *self, GCancellable *cancellable,
                                  GAsyncReadyCallback callback, gpointer data);
gboolean alcove_machine_resume_finish (AlcoveMachine *self, GAsyncResult *result, GError **error);

void alcove_machine_reset_async (AlcoveMachine *self, GCancellable *cancellable,
                                 GAsyncReadyCallback callback, gpointer data);
gboolean alcove_machine_reset_finish (AlcoveMachine *self, GAsyncResult *result, GError **error);

/* Puts the image of a disc into the CD-ROM drive, or, with NULL, takes out the one that is there: at once while it runs, and for
 * its next starts. Nothing changes when it fails, as it does when a guest holds the disc (MACHINE_CONTROL_ERROR_GENERIC) unless
 * `force` takes it away all the same. `file` is an absolute path. */
void alcove_machine_change_disc_async (AlcoveMachine *self, const char *file, gboolean force,
                                       GCancellable *cancellable, GAsyncReadyCallback callback,
                                       gpointer data);
gboolean alcove_machine_change_disc_finish (AlcoveMachine *self, GAsyncResult *result,
                                            GError **error);

/* Looks whether a VMM runs for it, and connects to it; removes a stale socket. Done when "state"
 * is right. Never an error but cancellation. */
void alcove_machine_reconnect_async (AlcoveMachine *self, GCancellable *cancellable,
                                     GAsyncReadyCallback callback, gpointer data);
gboolean alcove_machine_reconnect_finish (AlcoveMachine *self, GAsyncResult *result,
                                          GError **error);

/* A SPICE connection, see machine_control_open_display_async (): once for each channel. */
void alcove_machine_open_display_async (AlcoveMachine *self, GCancellable *cancellable,
                                        GAsyncReadyCallback callback, gpointer data);
int alcove_machine_open_display_finish (AlcoveMachine *self, GAsyncResult *result, GError **error);

/* The control connection; NULL when it is not running. Borrowed. */
MachineControl *alcove_machine_get_control (AlcoveMachine *self);

/* Takes a picture now and every few seconds while it runs, as long as somebody watches; one is also taken when it is asked to stop.
 * Each watch is ended by one unwatch. */
void alcove_machine_watch_thumbnail (AlcoveMachine *self);
void alcove_machine_unwatch_thumbnail (AlcoveMachine *self);

/* The path of the VMM's log (free it). */
char *alcove_machine_dup_log_path (AlcoveMachine *self);

G_END_DECLS
