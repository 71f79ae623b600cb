#pragma once

#include "block/block-backend.h"

/* Keeps apart what the process below must not have at the same time in one cluster of a qcow2 image: on top of the backend that leads there. Reads may
 * meet reads there and writes may meet writes; a read and a write wait for one another, and a discard or a write of zeros has its clusters to
 * itself. What waits is asked when the last that came before it has been answered.
 *
 * Why: QEMU's qcow2 driver gives up its lock while the data of a request are on their way. If a discard or a write of zeros (also of another
 * part of the cluster, when all of it reads as zeros) frees the cluster meanwhile, the write then enters a cluster into the tables that is free, and
 * soon another's: data are lost, and the image is damaged. A read may so get another's data, or what no longer is a compressed cluster. Source:
 * "block/io: fix reproducible silent data corruption in write-vs-discard race", qemu-devel, 2026-04-21; seen with 7.2
 * (tests/vmm/block/test-block-qcow2.c, narrow).
 *
 * Thread: one at a time; the owner's lock is the guard. Memory: a request of its own for each of the caller's that is in flight, but flushes.
 */
typedef struct BlockApart BlockApart;

/* below is taken over: its requests are completed in calls of this one's operations only. cluster_size: bytes, a power of two. */
BlockApart *block_apart_new (const BlockBackend *below, unsigned cluster_size);

/* Its ops.free () waits for what is in flight, and frees below as well. */
void block_apart_get_backend (BlockApart *apart, BlockBackend *backend);
