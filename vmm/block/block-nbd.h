#pragma once

#include "block/block-backend.h"
#include "block/block-server.h"

/* Requests on a disk that another process serves by NBD (the NetworkBlockDevice project's doc/proto.md) over a stream socket.
 *
 * The server is not trusted: what it says is bounded and checked. One that dies, hangs up or talks nonsense is lost: it is ended, `failed` is called, and
 * what is in flight waits until block_nbd_resume () has started another, which is asked again.
 */
typedef struct BlockNbd BlockNbd;

#define BLOCK_NBD_EXPORT "disk" /* the name that is asked for */

typedef struct BlockNbdConfig
{
  BlockServer server;
  /* It was lost and has been ended. Any thread, the owner's lock held: may not call anything here. */
  void (*failed) (void *opaque, const char *reason);
  void *opaque;
} BlockNbdConfig;

/* Starts the server. Errors are one line, in G_IO_ERROR. Main thread. */
BlockNbd *block_nbd_new (const BlockNbdConfig *config, GError **error);
/* Waits for what is in flight; the server is left to the caller. */
void block_nbd_free (BlockNbd *nbd);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (BlockNbd, block_nbd_free)

/* Its ops.free () is block_nbd_free (). */
void block_nbd_get_backend (BlockNbd *nbd, BlockBackend *backend);
bool block_nbd_is_lost (const BlockNbd *nbd);
/* Starts the server again if it was lost, and asks it again for what is in flight. Main thread. */
bool block_nbd_resume (BlockNbd *nbd, GError **error);
