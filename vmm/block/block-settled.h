#pragma once

#include "block/block-backend.h"

/* A disk whose image has tables (of which cluster is where, as qcow2's) that the process below caches until a flush: on top of the backend that leads
 * there. What was answered outlives that process: a write that may have changed the tables is answered when it was flushed, one flush
 * for all that wait; a write to clusters that were written and flushed before is answered at once.
 *
 * Nothing else may change the tables of a cluster that is known: neither somebody else (a snapshot would share it), nor that process by itself
 * (detect-zeroes would unmap what is written with zeros; a discard of a part of it must leave it be).
 *
 * Thread: one at a time; the owner's lock is the guard. Memory: a request of its own for each of the caller's that is in flight, at most 16 MiB to know
 * clusters by; those for which there is no room stay unknown.
 */
typedef struct BlockSettled BlockSettled;

/* below is taken over: its requests are completed in calls of this one's operations only. cluster_size: what the tables speak of at once, or
 * less; a power of two from 512 to 2 MiB. */
BlockSettled *block_settled_new (const BlockBackend *below, unsigned cluster_size);

/* Its ops.free () waits for what is in flight, and frees below as well. */
void block_settled_get_backend (BlockSettled *settled, BlockBackend *backend);

/* The process below has ended, and what it did not flush is lost; below will ask the next one for what it did not complete, a flush among them. What
 * was completed and waits for that flush is asked for again, too. error: 0, or why what the host caches of the file could not be made durable, which
 * the guest's next flush will say; the next process knows nothing of it. To be called after the one process and before below goes on with the next,
 * each time, or answered writes are lost. */
void block_settled_repeat (BlockSettled *settled, int error);
