#pragma once

#include <stdbool.h>
#include <glib.h>

#include "block/block-server.h"
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

/* Starting it, which kills one that runs, whether it likes the image shows on the socket only; killing it; and the last line that it wrote to stderr, with
 * the file's name and without what only programmers understand. Main thread: the child ends with the thread that starts it. */
BlockServer storage_daemon_get_server (StorageDaemon *self);
/* Kills it and waits. Any thread. */
void storage_daemon_kill (StorageDaemon *self);
