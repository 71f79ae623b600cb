#pragma once

#include <stdbool.h>
#include <glib.h>

#include "config/vm-config.h"

/* qemu-storage-daemon as a child: it opens one disk image that is not raw and serves it over a socket that nobody else
 * can reach. Hostile images are parsed there, not in the process with the guest. It ends with this process, however that ends.
 *
 * Errors are one line with the file's name, in G_IO_ERROR.
 */
typedef struct StorageDaemon StorageDaemon;

typedef enum
{
  STORAGE_DAEMON_VHOST_USER_BLK,
  STORAGE_DAEMON_NBD, /* by the name BLOCK_NBD_EXPORT */
} StorageDaemonProtocol;

/* disk is borrowed. Nothing runs yet. */
StorageDaemon *storage_daemon_new (const VmDiskConfig *disk, StorageDaemonProtocol protocol);
/* Lets it write what it holds and waits for it; one that takes too long is killed. */
void storage_daemon_free (StorageDaemon *self);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (StorageDaemon, storage_daemon_free)

/* Starts it, after killing one that runs; a socket connected to it, owned by the caller, or -1. Whether it likes the image shows on the
 * socket only. Main thread: the child ends with the thread that starts it. */
int storage_daemon_start (StorageDaemon *self, GError **error);
/* Kills it and waits. Any thread. */
void storage_daemon_kill (StorageDaemon *self);
/* The last line that it wrote to stderr, without what only programmers understand; owned by the caller; NULL: nothing. */
char *storage_daemon_get_complaint (StorageDaemon *self);
