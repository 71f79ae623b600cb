#pragma once

#include <gio/gio.h>
#include <json-glib/json-glib.h>

G_BEGIN_DECLS

/* A QMP client: the app's side of the control contract. Works alike with alcove-vmm and with
 * QEMU.
 *
 * The peer is not trusted: a line longer than MACHINE_CONTROL_LINE_MAX, a message that is not a
 * JSON object, or deeper than the guard allows ends the connection with an error; every pending
 * command then fails with that error. Answers are matched by id.
 *
 * Thread: the main context that was the thread's default when it was connected. Nothing blocks. */

#define MACHINE_CONTROL_LINE_MAX         (4 * 1024 * 1024)
#define MACHINE_CONTROL_PENDING_MAX      256
#define MACHINE_CONTROL_GREETING_SECONDS 10

/* Errors that the peer answered, by its "class". The message is the peer's "desc". */
typedef enum
{
  MACHINE_CONTROL_ERROR_GENERIC,
  MACHINE_CONTROL_ERROR_COMMAND_NOT_FOUND,
  MACHINE_CONTROL_ERROR_DEVICE_NOT_FOUND,
  MACHINE_CONTROL_ERROR_DEVICE_NOT_ACTIVE,
  MACHINE_CONTROL_ERROR_PROTOCOL, /* what the peer sent is not QMP */
} MachineControlError;

#define MACHINE_CONTROL_ERROR (machine_control_error_quark ())
GQuark machine_control_error_quark (void);

/* Signals: "event" (const char *name, JsonObject *data or NULL), detailed by the name:
 * "event::SHUTDOWN".
 *          "closed" (const GError *reason): once, after every pending command has failed. */
#define MACHINE_TYPE_CONTROL (machine_control_get_type ())
G_DECLARE_FINAL_TYPE (MachineControl, machine_control, MACHINE, CONTROL, GObject)

/* Connects, reads the greeting and negotiates; ready for commands when done. */
void machine_control_connect_async (const char *path, GCancellable *cancellable,
                                    GAsyncReadyCallback callback, gpointer data);
MachineControl *machine_control_connect_finish (GAsyncResult *result, GError **error);

/* `arguments` may be NULL and is consumed. Cancelling stops waiting; the peer may still carry
 * the command out. */
void machine_control_execute_async (MachineControl *self, const char *command,
                                    JsonObject *arguments, GCancellable *cancellable,
                                    GAsyncReadyCallback callback, gpointer data);
/* The value of "return" (json_node_unref () it) or NULL. */
JsonNode *machine_control_execute_finish (MachineControl *self, GAsyncResult *result,
                                          GError **error);

/* As above, with a descriptor sent along by SCM_RIGHTS (borrowed: duplicated before the call
 * returns). */
void machine_control_execute_fd_async (MachineControl *self, const char *command,
                                       JsonObject *arguments, int fd, GCancellable *cancellable,
                                       GAsyncReadyCallback callback, gpointer data);

/* Hands one end of a new socketpair to the peer's SPICE server (getfd, then x-alcove-add-client
 * where query-commands offers it, so that we may map scanouts, else add_client). The result is
 * our end, to close; -1 on failure. SPICE wants one connection a channel: call it once for each
 * channel that asks for a descriptor. */
void machine_control_open_display_async (MachineControl *self, GCancellable *cancellable,
                                         GAsyncReadyCallback callback, gpointer data);
int machine_control_open_display_finish (MachineControl *self, GAsyncResult *result,
                                         GError **error);

gboolean machine_control_is_open (MachineControl *self);

/* "QEMU 7.2.22" or "Alcove 0.1.0", from the greeting. Borrowed. */
const char *machine_control_get_peer (MachineControl *self);

/* Closes the connection; "closed" follows with G_IO_ERROR_CANCELLED. Harmless when it is closed. */
void machine_control_close (MachineControl *self);

G_END_DECLS
