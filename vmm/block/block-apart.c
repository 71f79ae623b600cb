#define G_LOG_DOMAIN "vmm-block"

#include "block/block-apart.h"

#include "block/request-copy.h"

/* Theory of operation
 *
 * Each request is a job from its submission to its answer. It counts the jobs that it may not meet when it comes, and goes below when there are none
 * or the last of these is done. Who may not meet whom does not change, so that each job that is done is counted by exactly those that came
 * after it and may not meet it. Nobody waits for who came later: none is left behind, and no two wait for one another.
 */
typedef enum Kind
{
  KIND_READ,
  KIND_WRITE,
  KIND_ALONE,
  N_KINDS
} Kind;

typedef struct Job Job;

struct Job
{
  RequestCopy copy; /* first: on_done () casts */
  BlockApart *apart;
  BlockRequest *request; /* the caller's */
  Kind kind;
  uint64_t first, last; /* clusters */
  unsigned n_before;    /* jobs that it waits for; 0: it is below */
  GList link;           /* of jobs or spare */
};

struct BlockApart
{
  BlockBackend below;
  unsigned cluster_size;
  bool is_ready; /* something was submitted below, and not kicked */
  GQueue jobs;   /* of Job, by link: all that are not answered */
  GQueue spare;
  unsigned n_of_kind[N_KINDS]; /* of jobs */
  unsigned n_held;             /* of these, those that wait */
};

/* --- jobs --- */

static Kind
get_kind (BlockOperation operation)
{
  return operation == BLOCK_READ ? KIND_READ : operation == BLOCK_WRITE ? KIND_WRITE : KIND_ALONE;
}

static Job *
take_job (BlockApart *apart, BlockRequest *request)
{
  GList *link = g_queue_pop_head_link (&apart->spare);
  Job *job = link ? link->data : g_new0 (Job, 1);

  job->apart = apart;
  job->request = request;
  job->kind = get_kind (request->operation);
  job->first = request->offset / apart->cluster_size;
  job->last = (request->offset + MAX (request->size, 1) - 1) / apart->cluster_size;
  job->n_before = 0;
  job->link.data = job;
  return job;
}

static bool
may_meet (const Job *one, const Job *other)
{
  return (one->kind == other->kind && one->kind != KIND_ALONE) || one->last < other->first ||
         other->last < one->first;
}

static void
ask_below (Job *job)
{
  BlockApart *apart = job->apart;

  apart->is_ready = true;
  apart->below.ops->submit (apart->below.opaque, &job->copy.io);
}

/* A job has ended, and is no longer among them. */
static void
release_held (BlockApart *apart, const Job *done)
{
  for (GList *link = apart->n_held > 0 ? apart->jobs.head : NULL; link; link = link->next)
    {
      Job *job = link->data;

      if (job->n_before == 0 || may_meet (job, done) || --job->n_before > 0)
        continue;
      apart->n_held--;
      ask_below (job);
    }
}

static void
on_done (BlockRequest *io, int error)
{
  Job *job = (Job *) io;
  BlockApart *apart = job->apart;
  BlockRequest *request = g_steal_pointer (&job->request);

  g_queue_unlink (&apart->jobs, &job->link);
  apart->n_of_kind[job->kind]--;
  release_held (apart, job);
  g_queue_push_head_link (&apart->spare, &job->link);
  request->done (request, error);
}

/* --- the backend --- */

static unsigned
count_before (const BlockApart *apart, const Job *job)
{
  unsigned n = 0;

  if (job->kind != KIND_ALONE && apart->n_of_kind[job->kind] == apart->jobs.length)
    return 0;
  for (const GList *link = apart->jobs.head; link; link = link->next)
    n += !may_meet (job, link->data);
  return n;
}

static void
submit (void *opaque, BlockRequest *request)
{
  BlockApart *apart = opaque;

  if (request->operation == BLOCK_FLUSH)
    {
      apart->is_ready = true;
      apart->below.ops->submit (apart->below.opaque, request);
      return;
    }
  Job *job = take_job (apart, request);
  request_copy_set (&job->copy, request, on_done);
  job->n_before = count_before (apart, job);
  g_queue_push_tail_link (&apart->jobs, &job->link);
  apart->n_of_kind[job->kind]++;
  if (job->n_before > 0)
    apart->n_held++;
  else
    ask_below (job);
}

/* What is completed by it may have released more. */
static void
kick (void *opaque)
{
  BlockApart *apart = opaque;

  do
    {
      apart->is_ready = false;
      apart->below.ops->kick (apart->below.opaque);
    }
  while (apart->is_ready);
}

static void
kick_released (BlockApart *apart)
{
  if (apart->is_ready)
    kick (apart);
}

static void
reap (void *opaque)
{
  BlockApart *apart = opaque;

  apart->below.ops->reap (apart->below.opaque);
  kick_released (apart);
}

static void
look (void *opaque)
{
  BlockApart *apart = opaque;
  const BlockBackendOps *below = apart->below.ops;

  (below->look ?: below->reap) (apart->below.opaque);
  kick_released (apart);
}

/* Each time, all that is below is completed; what that released is below then. */
static void
drain (void *opaque)
{
  BlockApart *apart = opaque;

  do
    {
      kick (apart);
      apart->below.ops->drain (apart->below.opaque);
    }
  while (apart->jobs.length > 0);
}

static void
free_apart (void *opaque)
{
  BlockApart *apart = opaque;
  GList *link;

  drain (apart);
  apart->below.ops->free (apart->below.opaque);
  while ((link = g_queue_pop_head_link (&apart->spare)))
    {
      Job *job = link->data;

      request_copy_clear (&job->copy);
      g_free (job);
    }
  g_free (apart);
}

BlockApart *
block_apart_new (const BlockBackend *below, unsigned cluster_size)
{
  BlockApart *apart = g_new0 (BlockApart, 1);

  g_assert (cluster_size >= BLOCK_SECTOR_SIZE && (cluster_size & (cluster_size - 1)) == 0);
  apart->below = *below;
  apart->cluster_size = cluster_size;
  return apart;
}

void
block_apart_get_backend (BlockApart *apart, BlockBackend *backend)
{
  static const BlockBackendOps ops = {
    .submit = submit,
    .kick = kick,
    .reap = reap,
    .look = look,
    .drain = drain,
    .free = free_apart,
  };

  *backend = apart->below;
  backend->ops = &ops;
  backend->opaque = apart;
}
