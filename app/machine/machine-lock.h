#pragma once

#include <gio/gio.h>

G_BEGIN_DECLS

/* One writer at a time for a machine's folder: a lock on its file `lock` (fcntl () with F_OFD_SETLK).
 *
 * The lock belongs to the open file description, so it lives as long as any process has the
 * descriptor open: the launcher hands it to the VMM, which thereby holds it until it ends,
 * however it ends and whether or not the app still lives. The file's text says who holds it; it
 * means nothing once the lock is free.
 *
 * Thread: any; nothing here waits. */

#define MACHINE_LOCK_FILE "lock"

/* Takes the lock at once or fails with G_IO_ERROR_BUSY, naming the holder. `holder` is what
 * others will be told, like "Alcove" or "alcove-vmm". Returns a close-on-exec descriptor to
 * close, -1 on failure. */
int machine_lock_take (const char *folder, const char *holder, GError **error);

/* Writes a new holder (the VMM just started) into the lock that `fd` holds. */
gboolean machine_lock_set_holder (int fd, const char *holder, GPid pid, GError **error);

/* Whether anyone holds it; then `holder` (free it, may be NULL) and `pid` (0 if not known) say
 * who. */
gboolean machine_lock_is_held (const char *folder, char **holder, GPid *pid);

G_END_DECLS
