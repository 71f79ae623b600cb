#pragma once

#include "block/block-backend.h"
#include "block/block-server.h"
#include "block/vhost-user.h"

/* Requests on a disk that another process serves by vhost-user-blk (vhost-user.h; Virtual I/O Device 1.2, 5.2). We are its driver: the
 * virtqueue is ours, and data goes through memory of 8 MiB that is shared with that process, which never sees the guest's.
 *
 * The server is not trusted: what it says is bounded and checked. One that dies, hangs up or talks nonsense is lost: it is ended, `failed` is called, and
 * what is in flight waits until block_vhost_resume () has started another, which is asked again from the start.
 */
typedef struct BlockVhost BlockVhost;

typedef struct BlockVhostConfig
{
  bool readonly;
  BlockServer server;
  /* It was lost and has been ended. Any thread, the owner's lock held: may not call anything here. */
  void (*failed) (void *opaque, const char *reason);
  void *opaque;
} BlockVhostConfig;

/* Starts the server. Errors are one line, in G_IO_ERROR. Main thread. */
BlockVhost *block_vhost_new (const BlockVhostConfig *config, GError **error);
/* Waits for what is in flight; the server is left to the caller. */
void block_vhost_free (BlockVhost *self);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (BlockVhost, block_vhost_free)

/* Its ops.free () is block_vhost_free (). */
void block_vhost_get_backend (BlockVhost *self, BlockBackend *backend);
bool block_vhost_is_lost (const BlockVhost *self);
/* Starts the server again if it was lost, and asks it again for what is in flight. Main thread. */
bool block_vhost_resume (BlockVhost *self, GError **error);
