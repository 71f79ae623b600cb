#pragma once

#include "block/block-placed.h"
#include "block/block-settled.h"

/* What stands between a disk controller and the process that serves a qcow2 image: block-apart.h for what that process must not have at once,
 * block-settled.h for what changes the image's tables, block-placed.h for what does not need that process. Freed with the backend.
 *
 * Thread: one at a time; the owner's lock is the guard.
 */
typedef struct BlockQcow2
{
  BlockSettled *settled; /* NULL: read-only */
  BlockPlaced *placed;   /* NULL: not of this image */
  const char *path;      /* borrowed */
} BlockQcow2;

/* Puts itself on top of *backend. path: the image, which that process has open; outlives it. */
void block_qcow2_init (BlockQcow2 *qcow2, BlockBackend *backend, const char *path, bool readonly);

/* To be called after the one process has ended and before the backend below goes on with the next, each time (block_settled_repeat ()). Main thread:
 * waits for the medium. */
void block_qcow2_repeat (BlockQcow2 *qcow2);
