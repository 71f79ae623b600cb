#define G_LOG_DOMAIN "vmm-block"

#include "block/block-placed.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>
#include <sys/epoll.h>
#include <sys/stat.h>

#include "block/block-raw.h"

/* Theory of operation
 *
 * A read or write of which the map knows every place, and these are not too scattered, is direct: pieces of it, one for each run of clusters that are
 * neighbours in the file, go to a raw backend on the same file. If one of them fails, the whole request goes below, which says what is wrong in its own
 * way; but that there is no room is said at once, for below may not know to.
 *
 * The map asks whether the tables in the file are settled: nothing below that may change them is unanswered, and what was discarded has been
 * flushed, which is not done before the answer.
 *
 * What goes below and changes something has its clusters to itself: they are forgotten when it comes, and it waits until the direct requests to them
 * that are under way are done. A discard gives their places to others at once; a write that is not of whole blocks of the medium is made of
 * what was there before.
 *
 * A flush is for two: below caches tables and knows nothing of what was written past it, and skips the file when it wrote nothing itself. One of
 * them that wrote nothing since its last flush is not asked, if the other is.
 */
#define PIECES_MAX      16          /* of a request; more scattered ones go below */
#define SIZE_MAX_DIRECT (16u << 20) /* and larger ones: to find their places takes time */

typedef struct Job Job;

/* What one of the two backends is asked for. */
typedef struct Piece
{
  BlockRequest io; /* first: on_done () casts. The backend may change it, and its iov */
  Job *job;
  struct iovec *iov;
  unsigned iov_room;
} Piece;

struct Job
{
  BlockPlaced *placed;
  BlockRequest *request; /* the caller's; is not changed */
  unsigned n_pieces;
  unsigned n_pending; /* of these */
  int error;
  Piece pieces[PIECES_MAX];
  uint64_t first, last; /* clusters */
  unsigned n_before;    /* direct jobs that a held one waits for */
  Job *next, **link;    /* of the direct ones or the held; link: what points here */
  Job *spare;           /* the next free one */
  Job *older;           /* of all */
  /* A flush: what it covers. */
  uint64_t below_covers, raw_covers, loose_covers;
};

/* Of one backend. */
typedef struct Writes
{
  uint64_t n_done;
  uint64_t n_flushed; /* of these, the first so many */
} Writes;

struct BlockPlaced
{
  BlockBackend below, raw;
  bool below_is_ready, raw_is_ready; /* something was submitted, and not kicked */
  BlockImage image;                  /* raw's own, and the map's */
  char *path;
  Qcow2Map *map;
  unsigned cluster_size;
  int epoll; /* both backends' fds; -1: below's is enough */

  Job *jobs;   /* all: a list by older */
  Job *spare;  /* a list by spare */
  Job *direct; /* lists by next */
  Job *held;
  unsigned n_jobs;     /* in use */
  unsigned n_changing; /* of these, those that may change tables */
  uint64_t n_loose;   /* of what below has answered, what may have changed tables without a flush */
  uint64_t n_settled; /* of these, the first so many were flushed since */
  bool is_void;       /* the file is no longer the image */
  Writes below_writes, raw_writes;
};

/* --- jobs --- */

static Job *
take_job (BlockPlaced *placed, BlockRequest *request)
{
  Job *job = placed->spare;

  if (job)
    placed->spare = job->spare;
  else
    {
      job = g_new0 (Job, 1);
      job->placed = placed;
      for (unsigned i = 0; i < PIECES_MAX; i++)
        job->pieces[i].job = job;
      job->older = placed->jobs;
      placed->jobs = job;
    }
  job->request = request;
  job->first = request->offset / placed->cluster_size;
  job->last = (request->offset + MAX (request->size, 1) - 1) / placed->cluster_size;
  job->error = 0;
  job->n_pieces = 0;
  placed->n_jobs++;
  return job;
}

static void
link_job (Job **list, Job *job)
{
  job->next = *list;
  job->link = list;
  if (job->next)
    job->next->link = &job->next;
  *list = job;
}

static void
unlink_job (Job *job)
{
  *job->link = job->next;
  if (job->next)
    job->next->link = job->link;
}

static bool
are_settled (const BlockPlaced *placed)
{
  return placed->n_changing == 0 && placed->n_loose == placed->n_settled && !placed->is_void;
}

static BlockRequest *
put_job (Job *job)
{
  BlockPlaced *placed = job->placed;

  job->spare = placed->spare;
  placed->spare = job;
  placed->n_jobs--;
  return g_steal_pointer (&job->request);
}

static void
answer (Job *job, int error)
{
  BlockRequest *request = put_job (job);

  request->done (request, error);
}

/* --- pieces --- */

/* The next one of a job: size bytes from offset of the backend that is asked. */
static Piece *
add_piece (Job *job, BlockOperation operation, uint64_t offset, uint64_t size)
{
  const BlockRequest *request = job->request;
  Piece *piece = &job->pieces[job->n_pieces++];

  piece->io = (BlockRequest){
    .operation = operation,
    .offset = offset,
    .size = size,
    .may_unmap = request->may_unmap,
    .durable = request->durable,
  };
  return piece;
}

/* As much of the request's memory as the piece has bytes, skip bytes in. */
static void
set_memory (Piece *piece, uint64_t skip)
{
  const BlockRequest *request = piece->job->request;
  uint64_t left = piece->io.size;

  if (request->n_iov > piece->iov_room)
    {
      piece->iov = g_renew (struct iovec, piece->iov, request->n_iov);
      piece->iov_room = request->n_iov;
    }
  piece->io.iov = piece->iov;
  for (unsigned i = 0; i < request->n_iov && left > 0; i++)
    {
      const struct iovec *from = &request->iov[i];
      const uint64_t skipped = MIN (skip, from->iov_len);
      const uint64_t length = MIN (from->iov_len - skipped, left);

      if (length > 0)
        piece->iov[piece->io.n_iov++] =
            (struct iovec){ (uint8_t *) from->iov_base + skipped, (size_t) length };
      skip -= skipped;
      left -= length;
    }
}

static void
submit_below (BlockPlaced *placed, BlockRequest *io)
{
  placed->below_is_ready = true;
  placed->below.ops->submit (placed->below.opaque, io);
}

static void
submit_raw (BlockPlaced *placed, BlockRequest *io)
{
  placed->raw_is_ready = true;
  placed->raw.ops->submit (placed->raw.opaque, io);
}

/* True: it was the last one of its job. */
static bool
end_piece (const Piece *piece, int error)
{
  Job *job = piece->job;

  if (error != 0)
    job->error = error;
  return --job->n_pending == 0;
}

/* --- below --- */

/* What was found to be wrong may be the image itself, which below does not touch any more then. */
static void
look_at_header (BlockPlaced *placed)
{
  if (!placed->is_void && !qcow2_map_is_valid (placed->map))
    {
      g_warning ("%s: is not read and written directly any more: its header has changed",
                 placed->path);
      placed->is_void = true;
    }
  if (placed->is_void)
    qcow2_map_forget (placed->map, 0, placed->below.size);
}

static void
on_changed (BlockRequest *io, int error)
{
  Job *job = ((Piece *) io)->job;
  BlockPlaced *placed = job->placed;

  placed->n_changing--;
  placed->below_writes.n_done++;
  if (error != 0 || job->request->operation == BLOCK_DISCARD)
    placed->n_loose++;
  if (error != 0)
    look_at_header (placed);
  answer (job, error);
}

static void
ask_below (Job *job)
{
  const BlockRequest *request = job->request;
  Piece *piece = add_piece (job, request->operation, request->offset, request->size);

  if (request->operation == BLOCK_WRITE)
    set_memory (piece, 0);
  piece->io.done = on_changed;
  submit_below (job->placed, &piece->io);
}

static bool
overlap (const Job *one, const Job *other)
{
  return one->first <= other->last && other->first <= one->last;
}

static void
change_below (Job *job)
{
  BlockPlaced *placed = job->placed;

  placed->n_changing++;
  qcow2_map_forget (placed->map, job->request->offset, job->request->size);
  job->n_before = 0;
  for (const Job *direct = placed->direct; direct; direct = direct->next)
    job->n_before += overlap (job, direct);
  if (job->n_before > 0)
    link_job (&placed->held, job);
  else
    ask_below (job);
}

/* A direct one is done. */
static void
release_held (const Job *done)
{
  Job *next;

  for (Job *job = done->placed->held; job; job = next)
    {
      next = job->next;
      if (!overlap (job, done) || --job->n_before > 0)
        continue;
      unlink_job (job);
      ask_below (job);
    }
}

/* A read or write that is not direct, or was and failed. */
static void
transfer_below (Job *job)
{
  job->n_pieces = 0;
  if (job->request->operation == BLOCK_READ)
    submit_below (job->placed, put_job (job));
  else
    change_below (job);
}

/* --- direct --- */

static void
on_transferred (BlockRequest *io, int error)
{
  Job *job = ((Piece *) io)->job;
  BlockPlaced *placed = job->placed;
  const bool is_write = job->request->operation == BLOCK_WRITE;

  if (!end_piece ((Piece *) io, error))
    return;
  unlink_job (job);
  release_held (job);
  placed->raw_writes.n_done += is_write;
  if (job->error == 0 || (is_write && (job->error == ENOSPC || job->error == EDQUOT)))
    {
      answer (job, job->error);
      return;
    }
  g_debug ("at %" G_GUINT64_FORMAT ", past the process that serves it: %s", job->request->offset,
           g_strerror (job->error));
  transfer_below (job);
}

/* Finds the pieces of a transfer, which may be too many, or not all to be found. */
static bool
find_pieces (Job *job)
{
  BlockPlaced *placed = job->placed;
  const BlockRequest *request = job->request;
  uint64_t done = 0;

  if (request->size > SIZE_MAX_DIRECT)
    return false;
  while (done < request->size)
    {
      uint64_t place;
      const uint64_t size = qcow2_map_find (placed->map, request->offset + done,
                                            request->size - done, are_settled (placed), &place);

      if (size == 0 || job->n_pieces == PIECES_MAX)
        return false;
      Piece *piece = add_piece (job, request->operation, place, size);
      set_memory (piece, done);
      piece->io.done = on_transferred;
      done += size;
    }
  return done > 0;
}

static void
transfer (BlockPlaced *placed, BlockRequest *request)
{
  Job *job = take_job (placed, request);

  if (!find_pieces (job))
    {
      transfer_below (job);
      return;
    }
  job->n_pending = job->n_pieces;
  link_job (&placed->direct, job);
  for (unsigned i = 0; i < job->n_pieces; i++)
    submit_raw (placed, &job->pieces[i].io);
}

/* --- flush --- */

static void
end_flush (Job *job)
{
  BlockPlaced *placed = job->placed;

  placed->n_changing--;
  if (job->error != 0)
    look_at_header (placed);
  else
    {
      placed->below_writes.n_flushed = MAX (placed->below_writes.n_flushed, job->below_covers);
      placed->raw_writes.n_flushed = MAX (placed->raw_writes.n_flushed, job->raw_covers);
      placed->n_settled = MAX (placed->n_settled, job->loose_covers);
    }
  answer (job, job->error);
}

static void
on_flushed (BlockRequest *io, int error)
{
  if (end_piece ((Piece *) io, error))
    end_flush (((Piece *) io)->job);
}

static void
add_flush (Job *job, void (*submit_to) (BlockPlaced *, BlockRequest *))
{
  Piece *piece = add_piece (job, BLOCK_FLUSH, 0, 0);

  piece->io.done = on_flushed;
  job->n_pending++;
  submit_to (job->placed, &piece->io);
}

static void
flush (BlockPlaced *placed, BlockRequest *request)
{
  Job *job = take_job (placed, request);
  const bool is_raw = placed->raw_writes.n_done > placed->raw_writes.n_flushed;

  placed->n_changing++; /* tables are written */
  job->n_pending = 0;
  job->below_covers = placed->below_writes.n_done;
  job->raw_covers = placed->raw_writes.n_done;
  job->loose_covers = placed->n_loose;
  if (is_raw)
    add_flush (job, submit_raw);
  if (!is_raw || placed->below_writes.n_done > placed->below_writes.n_flushed)
    add_flush (job, submit_below);
}

/* --- the backend --- */

static void
submit (void *opaque, BlockRequest *request)
{
  BlockPlaced *placed = opaque;

  switch (request->operation)
    {
    case BLOCK_READ:
    case BLOCK_WRITE:
      transfer (placed, request);
      break;
    case BLOCK_FLUSH:
      flush (placed, request);
      break;
    case BLOCK_DISCARD:
    case BLOCK_WRITE_ZEROES:
      change_below (take_job (placed, request));
      break;
    }
}

/* What is completed by it may have submitted more. */
static void
kick (void *opaque)
{
  BlockPlaced *placed = opaque;

  while (placed->below_is_ready || placed->raw_is_ready)
    {
      if (placed->raw_is_ready)
        {
          placed->raw_is_ready = false;
          placed->raw.ops->kick (placed->raw.opaque);
        }
      if (placed->below_is_ready)
        {
          placed->below_is_ready = false;
          placed->below.ops->kick (placed->below.opaque);
        }
    }
}

static void
reap (void *opaque)
{
  BlockPlaced *placed = opaque;

  placed->raw.ops->reap (placed->raw.opaque);
  placed->below.ops->reap (placed->below.opaque);
  kick (placed);
}

static void
look (void *opaque)
{
  BlockPlaced *placed = opaque;
  const BlockBackendOps *below = placed->below.ops;

  placed->raw.ops->reap (placed->raw.opaque);
  (below->look ?: below->reap) (placed->below.opaque);
  kick (placed);
}

static void
drain (void *opaque)
{
  BlockPlaced *placed = opaque;

  do
    {
      kick (placed);
      placed->raw.ops->drain (placed->raw.opaque);
      kick (placed);
      placed->below.ops->drain (placed->below.opaque);
    }
  while (placed->n_jobs > 0);
}

static void
free_placed (void *opaque)
{
  BlockPlaced *placed = opaque;

  drain (placed);
  placed->below.ops->free (placed->below.opaque);
  qcow2_map_free (placed->map);
  placed->raw.ops->free (placed->raw.opaque);
  while (placed->jobs)
    {
      Job *job = placed->jobs;

      placed->jobs = job->older;
      for (unsigned i = 0; i < PIECES_MAX; i++)
        g_free (job->pieces[i].iov);
      g_free (job);
    }
  if (placed->epoll >= 0)
    close (placed->epoll);
  g_free (placed->path);
  g_free (placed);
}

/* --- life --- */

/* Who polls has one fd. */
static bool
join_fds (BlockPlaced *placed)
{
  struct epoll_event event = { .events = EPOLLIN };

  if (placed->raw.fd < 0 || placed->below.fd < 0)
    return true;
  placed->epoll = epoll_create1 (EPOLL_CLOEXEC);
  return placed->epoll >= 0 &&
         epoll_ctl (placed->epoll, EPOLL_CTL_ADD, placed->raw.fd, &event) == 0 &&
         epoll_ctl (placed->epoll, EPOLL_CTL_ADD, placed->below.fd, &event) == 0;
}

/* Closes what it has opened if it cannot. */
static bool
open_file (BlockPlaced *placed, bool readonly)
{
  g_autoptr (GError) error = NULL;

  if (!block_image_open_beside (&placed->image, placed->path, readonly, &error))
    {
      g_debug ("%s", error->message);
      return false;
    }
  placed->map = qcow2_map_new (&placed->image);
  /* Where a block of the medium is more than a cluster, below rewrites neighbours of what it writes. */
  if (!placed->map || placed->image.alignment > qcow2_map_get_cluster_size (placed->map))
    {
      g_debug ("%s: not an image of which the places can be known", placed->path);
      block_image_close (&placed->image);
      return false;
    }
  block_raw_get_backend (block_raw_new (&placed->image), &placed->raw);
  return true;
}

BlockPlaced *
block_placed_new (const BlockBackend *below, const char *path, bool readonly)
{
  BlockPlaced *placed = g_new0 (BlockPlaced, 1);

  placed->below = *below;
  placed->path = g_strdup (path);
  placed->epoll = -1;
  if (open_file (placed, readonly) && join_fds (placed))
    {
      placed->cluster_size = qcow2_map_get_cluster_size (placed->map);
      return placed;
    }
  qcow2_map_free (placed->map);
  if (placed->raw.ops)
    placed->raw.ops->free (placed->raw.opaque);
  if (placed->epoll >= 0)
    close (placed->epoll);
  g_free (placed->path);
  g_free (placed);
  return NULL;
}

void
block_placed_get_backend (BlockPlaced *placed, BlockBackend *backend)
{
  static const BlockBackendOps ops = {
    .submit = submit,
    .kick = kick,
    .reap = reap,
    .look = look,
    .drain = drain,
    .free = free_placed,
  };

  *backend = placed->below;
  backend->ops = &ops;
  backend->opaque = placed;
  backend->alignment = MAX (placed->below.alignment, placed->raw.alignment);
  if (placed->epoll >= 0)
    backend->fd = placed->epoll;
  else if (backend->fd < 0)
    backend->fd = placed->raw.fd;
}

static bool
is_same_file (const BlockPlaced *placed)
{
  struct stat now, ours;

  return stat (placed->path, &now) == 0 && fstat (placed->image.fd, &ours) == 0 &&
         now.st_dev == ours.st_dev && now.st_ino == ours.st_ino;
}

void
block_placed_forget (BlockPlaced *placed)
{
  qcow2_map_forget (placed->map, 0, placed->below.size);
  if (!is_same_file (placed))
    placed->is_void = true;
  look_at_header (placed);
}
