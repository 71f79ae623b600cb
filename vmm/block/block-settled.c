#define G_LOG_DOMAIN "vmm-block"

#include "block/block-settled.h"

#include <assert.h>
#include <errno.h>

#include "block/request-copy.h"

/* Theory of operation
 *
 * A cluster is known from a write to it that was flushed until it is discarded or zeroed: its entries in the tables are on the medium, and another write
 * changes none. Reads, and writes to known clusters only, go to the backend below as they are. For the others a ticket goes there, with
 * a request of its own.
 *
 * A write that below has completed waits, in the order of completion, which is numbered. A flush covers the numbers that were given when it was
 * submitted. There is at most one of ours under way; it is submitted after the call in which below completed the writes, so that it
 * is one for all of them. The guest's own flushes settle what they cover as well.
 *
 * What below has in flight may be done at any time from its submission to its completion. So a discard makes clusters unknown at both, and
 * keeps writes that are not settled by then from making them known. A known write that is in flight at the same time may come after it, and
 * be lost: but only clusters that a discard covers are unmapped, and requests for the same bytes at the same time have no order, so that
 * the discard may have been the last.
 */
#define CHUNK_CLUSTERS 32768u
#define CHUNKS_MAX     4096u
static_assert (CHUNK_CLUSTERS / 8 * CHUNKS_MAX == 16 << 20, "as the header says");

typedef struct Range
{
  uint64_t first; /* clusters */
  uint64_t last;
} Range;

typedef struct Chunk
{
  uint64_t index; /* the key */
  uint8_t known[CHUNK_CLUSTERS / 8];
} Chunk;

typedef struct Ticket Ticket;

struct Ticket
{
  RequestCopy copy; /* first: done () casts */
  BlockSettled *settled;
  BlockRequest *request; /* the caller's; NULL: the ticket is free */
  Range clusters;
  bool unmapped; /* some of them, since the submission, by itself or another: none becomes known */
  uint64_t number; /* of a write: its completion's; of a flush: the last that it covers */
  Ticket *next;    /* of those that wait, or are free */
  Ticket *older;   /* of all */
};

struct BlockSettled
{
  BlockRequest flush; /* ours; first: on_settled () casts */
  bool flushing;
  uint64_t flush_covers;
  bool
      flush_failed; /* ours, or that of what a lost process wrote: a flush of the guest will say so */

  BlockBackend below;
  unsigned cluster_size;
  GHashTable *chunks; /* of Chunk; one that is missing knows no cluster */

  Ticket *tickets; /* all: a list by older */
  Ticket *spare;   /* a list */
  Ticket *waiting; /* for a flush: a list; waiting_tail: where to append */
  Ticket **waiting_tail;
  uint64_t n_completed;
};

/* --- known clusters --- */

static Range
get_range (const BlockSettled *settled, const BlockRequest *request)
{
  const uint64_t last_byte = request->offset + MAX (request->size, 1) - 1;

  return (Range){ request->offset / settled->cluster_size, last_byte / settled->cluster_size };
}

static Chunk *
find_chunk (const BlockSettled *settled, uint64_t cluster)
{
  const uint64_t index = cluster / CHUNK_CLUSTERS;

  return g_hash_table_lookup (settled->chunks, &index);
}

static Chunk *
make_chunk (BlockSettled *settled, uint64_t cluster)
{
  Chunk *chunk;

  if (g_hash_table_size (settled->chunks) >= CHUNKS_MAX)
    return NULL;
  chunk = g_new0 (Chunk, 1);
  chunk->index = cluster / CHUNK_CLUSTERS;
  g_hash_table_insert (settled->chunks, &chunk->index, chunk);
  return chunk;
}

static bool
are_known (const BlockSettled *settled, Range range)
{
  const Chunk *chunk = NULL;

  for (uint64_t i = range.first; i <= range.last; i++)
    {
      const unsigned bit = i % CHUNK_CLUSTERS;

      if (!chunk || bit == 0)
        chunk = find_chunk (settled, i);
      if (!chunk || !(chunk->known[bit / 8] & 1 << bit % 8))
        return false;
    }
  return true;
}

static void
make_known (BlockSettled *settled, Range range)
{
  Chunk *chunk = NULL;

  for (uint64_t i = range.first; i <= range.last; i++)
    {
      const unsigned bit = i % CHUNK_CLUSTERS;

      if (!chunk || bit == 0)
        chunk = find_chunk (settled, i) ?: make_chunk (settled, i);
      if (!chunk)
        return;
      chunk->known[bit / 8] |= 1 << bit % 8;
    }
}

/* GHRFunc: TRUE if all of the chunk is in the range. */
static gboolean
forget_in_chunk (gpointer key, gpointer value, gpointer opaque)
{
  Chunk *chunk = value;
  const Range *range = opaque;
  const uint64_t start = chunk->index * CHUNK_CLUSTERS;
  const uint64_t first = MAX (range->first, start);
  const uint64_t last = MIN (range->last, start + CHUNK_CLUSTERS - 1);

  for (uint64_t i = first; i <= last; i++)
    chunk->known[(i - start) / 8] &= ~(1 << i % 8);
  return first == start && last == start + CHUNK_CLUSTERS - 1;
}

/* A range may be all of the disk: the chunks are few. */
static void
make_unknown (BlockSettled *settled, Range range)
{
  g_hash_table_foreach_remove (settled->chunks, forget_in_chunk, &range);
  for (Ticket *ticket = settled->tickets; ticket; ticket = ticket->older)
    if (ticket->clusters.first <= range.last && range.first <= ticket->clusters.last)
      ticket->unmapped = true;
}

/* --- tickets --- */

static Ticket *
take_ticket (BlockSettled *settled, BlockRequest *request)
{
  Ticket *ticket = settled->spare;

  if (ticket)
    settled->spare = ticket->next;
  else
    {
      ticket = g_new0 (Ticket, 1);
      ticket->settled = settled;
      ticket->older = settled->tickets;
      settled->tickets = ticket;
    }
  ticket->request = request;
  ticket->clusters = get_range (settled, request);
  return ticket;
}

static void
answer (Ticket *ticket, int error)
{
  BlockSettled *settled = ticket->settled;
  BlockRequest *request = g_steal_pointer (&ticket->request);

  ticket->next = settled->spare;
  settled->spare = ticket;
  request->done (request, error);
}

static void
wait_for_flush (Ticket *ticket)
{
  BlockSettled *settled = ticket->settled;

  ticket->number = ++settled->n_completed;
  ticket->next = NULL;
  *settled->waiting_tail = ticket;
  settled->waiting_tail = &ticket->next;
}

/* What a flush covered. */
static void
answer_waiting (BlockSettled *settled, uint64_t covers, int error)
{
  while (settled->waiting && settled->waiting->number <= covers)
    {
      Ticket *ticket = settled->waiting;

      settled->waiting = ticket->next;
      if (!settled->waiting)
        settled->waiting_tail = &settled->waiting;
      if (error == 0 && !ticket->unmapped)
        make_known (settled, ticket->clusters);
      answer (ticket, error);
    }
}

/* --- what below has completed --- */

static void
on_written (BlockRequest *io, int error)
{
  Ticket *ticket = (Ticket *) io;

  if (io->operation == BLOCK_WRITE_ZEROES)
    make_unknown (ticket->settled, ticket->clusters);
  if (error == 0)
    wait_for_flush (ticket);
  else
    answer (ticket, error);
}

/* What is read after it may be anything: nothing is lost with it. */
static void
on_discarded (BlockRequest *io, int error)
{
  Ticket *ticket = (Ticket *) io;

  make_unknown (ticket->settled, ticket->clusters);
  answer (ticket, error);
}

static void
on_flushed (BlockRequest *io, int error)
{
  Ticket *ticket = (Ticket *) io;
  BlockSettled *settled = ticket->settled;
  const bool failed_before = settled->flush_failed;

  settled->flush_failed = false;
  if (error == 0)
    answer_waiting (settled, ticket->number, 0);
  answer (ticket, error == 0 && failed_before ? EIO : error);
}

/* Not even ENOSPC may be tried again: the write itself was done. A host tells once that it could not keep what it caches, to whoever asks
 * first; the guest's next flush must not find that all is well. */
static void
on_settled (BlockRequest *io, int error)
{
  BlockSettled *settled = (BlockSettled *) io;

  settled->flushing = false;
  if (error != 0)
    settled->flush_failed = true;
  answer_waiting (settled, settled->flush_covers, error != 0 ? EIO : 0);
}

/* --- what goes below --- */

static void
ask (Ticket *ticket)
{
  static void (*const done[]) (BlockRequest *, int) = {
    [BLOCK_WRITE] = on_written,
    [BLOCK_FLUSH] = on_flushed,
    [BLOCK_DISCARD] = on_discarded,
    [BLOCK_WRITE_ZEROES] = on_written,
  };
  BlockSettled *settled = ticket->settled;
  const BlockRequest *request = ticket->request;

  request_copy_set (&ticket->copy, request, done[request->operation]);
  ticket->unmapped = false;
  ticket->number = settled->n_completed;
  if (request->operation == BLOCK_DISCARD || request->operation == BLOCK_WRITE_ZEROES)
    make_unknown (settled, ticket->clusters);
  settled->below.ops->submit (settled->below.opaque, &ticket->copy.io);
}

static void
submit (void *opaque, BlockRequest *request)
{
  BlockSettled *settled = opaque;
  const bool passes =
      request->operation == BLOCK_READ ||
      (request->operation == BLOCK_WRITE && are_known (settled, get_range (settled, request)));

  if (passes)
    settled->below.ops->submit (settled->below.opaque, request);
  else
    ask (take_ticket (settled, request));
}

static void
submit_flush (BlockSettled *settled)
{
  settled->flush = (BlockRequest){ .operation = BLOCK_FLUSH, .done = on_settled };
  settled->flushing = true;
  settled->flush_covers = settled->n_completed;
  settled->below.ops->submit (settled->below.opaque, &settled->flush);
}

static void
flush_if_needed (BlockSettled *settled)
{
  while (settled->waiting && !settled->flushing)
    {
      submit_flush (settled);
      settled->below.ops->kick (settled->below.opaque);
    }
}

/* --- the backend --- */

static void
kick (void *opaque)
{
  BlockSettled *settled = opaque;

  settled->below.ops->kick (settled->below.opaque);
  flush_if_needed (settled);
}

static void
reap (void *opaque)
{
  BlockSettled *settled = opaque;

  settled->below.ops->reap (settled->below.opaque);
  flush_if_needed (settled);
}

static void
look (void *opaque)
{
  BlockSettled *settled = opaque;
  const BlockBackendOps *below = settled->below.ops;

  (below->look ?: below->reap) (settled->below.opaque);
  flush_if_needed (settled);
}

/* Below may have failed all that it had, and will fail each flush: this ends too. That is no word of the host on what it cached, but of
 * a process that is lost: the next one's flushes are not to be blamed for it. */
static void
drain (void *opaque)
{
  BlockSettled *settled = opaque;
  const bool failed_before = settled->flush_failed;

  settled->below.ops->drain (settled->below.opaque);
  while (settled->waiting)
    {
      submit_flush (settled);
      settled->below.ops->drain (settled->below.opaque);
    }
  settled->flush_failed = failed_before;
}

static void
free_settled (void *opaque)
{
  BlockSettled *settled = opaque;

  drain (settled);
  settled->below.ops->free (settled->below.opaque);
  while (settled->tickets)
    {
      Ticket *ticket = settled->tickets;

      settled->tickets = ticket->older;
      request_copy_clear (&ticket->copy);
      g_free (ticket);
    }
  g_hash_table_unref (settled->chunks);
  g_free (settled);
}

BlockSettled *
block_settled_new (const BlockBackend *below, unsigned cluster_size)
{
  BlockSettled *settled = g_new0 (BlockSettled, 1);

  g_assert (cluster_size >= 512 && cluster_size <= 2 << 20 &&
            (cluster_size & (cluster_size - 1)) == 0);
  settled->below = *below;
  settled->cluster_size = cluster_size;
  settled->chunks = g_hash_table_new_full (g_int64_hash, g_int64_equal, NULL, g_free);
  settled->waiting_tail = &settled->waiting;
  return settled;
}

void
block_settled_get_backend (BlockSettled *settled, BlockBackend *backend)
{
  static const BlockBackendOps ops = {
    .submit = submit,
    .kick = kick,
    .reap = reap,
    .look = look,
    .drain = drain,
    .free = free_settled,
  };

  *backend = settled->below;
  backend->ops = &ops;
  backend->opaque = settled;
}

void
block_settled_repeat (BlockSettled *settled, int error)
{
  Ticket *ticket = g_steal_pointer (&settled->waiting);

  settled->waiting_tail = &settled->waiting;
  if (error != 0)
    settled->flush_failed = true;
  while (ticket)
    {
      Ticket *next = ticket->next;

      ask (ticket);
      ticket = next;
    }
}
