#pragma once

#include "block/block-backend.h"
#include "block/qcow2-map.h"

/* A qcow2 disk on top of the process that serves it: clusters that the image's tables give a place of their own (qcow2-map.h) are read and written there,
 * in this process, which costs what a raw disk costs. All else, and all that changes tables or fails here, is that process's.
 *
 * A table that is needed is read in the call that needs it, with the owner's lock held: what is on a medium that hangs keeps the lock.
 *
 * Thread: one at a time; the owner's lock is the guard. Memory: for each request that was ever in flight at once up to 16 pieces, each with an array as
 * long as the request's, and the map's.
 */
typedef struct BlockPlaced BlockPlaced;

/* below is taken over: its requests are completed in calls of this one's operations only, and a write that it has answered has its tables on the
 * medium, or will be asked for again (block-settled.h). path: the image; it is opened beside that process, whose locks stand for both. NULL: it cannot
 * be done for this image, and below is left to the caller; reasons are a debug message. */
BlockPlaced *block_placed_new (const BlockBackend *below, const char *path, bool readonly);

/* Its ops.free () waits for what is in flight, and frees below as well. */
void block_placed_get_backend (BlockPlaced *placed, BlockBackend *backend);

/* The process below has ended; its locks with it. Nothing that was known is believed any longer; if path has become another file, or the image's header
 * has changed, nothing ever will. To be called before the next one is started. */
void block_placed_forget (BlockPlaced *placed);
