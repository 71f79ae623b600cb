#include <errno.h>
#include <string.h>
#include <glib.h>

#include "base/iov.h"
#include "block/block-settled.h"

/* Random requests on a disk whose tables are cached until a flush, by a process that dies at times. After each answer is checked what would be there if it died now.
 */
enum
{
  SECTOR = 512,
  PER_CLUSTER = 4,
  CLUSTERS = 24,
  SECTORS = CLUSTERS * PER_CLUSTER - 2, /* the disk ends inside a cluster */
  SLOTS = 12,
  LENGTH_MAX = 12, /* sectors of a request */
  STEPS = 3000,
  SEEDS = 30,
  NO_DATA = -1
};

typedef struct Cluster
{
  uint32_t sectors[PER_CLUSTER]; /* what the first bytes say stands for all */
} Cluster;

typedef struct Work
{
  BlockRequest *request;
  bool started;
  bool executed; /* the answer has not been given yet */
  int error;
} Work;

typedef struct Run Run;

typedef struct Slot
{
  BlockRequest io; /* first: on_done () casts */
  Run *run;
  bool busy;
  unsigned first; /* sectors; io is not ours to read meanwhile */
  unsigned n;
  uint32_t value;
  struct iovec iov[2];
  uint8_t memory[LENGTH_MAX * SECTOR];
} Slot;

struct Run
{
  GRand *rand;
  bool overlaps; /* the guest has requests for the same sectors in flight */

  /* The image: contents go there at once, the tables when they are flushed. */
  GArray *data;
  int cached[CLUSTERS]; /* indices of data, or NO_DATA */
  int medium[CLUSTERS];
  GPtrArray *works;

  BlockSettled *settled;
  BlockBackend backend;

  Slot slots[SLOTS];
  uint32_t n_values;
  /* What the guest knows of each sector. */
  struct
  {
    uint32_t value;
    bool is_undefined;
    unsigned n_busy;
    bool clashes; /* more than one at a time: the outcome is anybody's guess */
  } sectors[SECTORS];

  unsigned n_passed;
  unsigned n_answers;
};

static bool
chance (Run *run, unsigned percent)
{
  return (unsigned) g_rand_int_range (run->rand, 0, 100) < percent;
}

/* --- the image --- */

static uint32_t *
get_data (Run *run, int index)
{
  return g_array_index (run->data, Cluster, index).sectors;
}

static uint32_t
get_value (Run *run, const int *table, unsigned sector)
{
  const int index = table[sector / PER_CLUSTER];

  return index == NO_DATA ? 0 : get_data (run, index)[sector % PER_CLUSTER];
}

static void
put_value (Run *run, unsigned sector, uint32_t value)
{
  int *entry = &run->cached[sector / PER_CLUSTER];

  if (*entry == NO_DATA)
    {
      const Cluster cluster = {};

      g_array_append_val (run->data, cluster);
      *entry = (int) run->data->len - 1;
    }
  get_data (run, *entry)[sector % PER_CLUSTER] = value;
}

/* Whole clusters, the last one's part that there is included. */
static void
unmap (Run *run, unsigned first, unsigned n)
{
  for (unsigned i = 0; i < CLUSTERS; i++)
    if (first <= i * PER_CLUSTER && MIN ((i + 1) * PER_CLUSTER, SECTORS) <= first + n)
      run->cached[i] = NO_DATA;
}

static void
execute (Run *run, Work *work)
{
  const BlockRequest *request = work->request;
  const unsigned first = request->offset / SECTOR, n = request->size / SECTOR;
  const bool full = request->operation == BLOCK_WRITE && n > 1 && chance (run, 10);

  work->executed = true;
  work->error = full ? ENOSPC : chance (run, 3) ? EIO : 0;
  switch (request->operation)
    {
    case BLOCK_WRITE:
      for (unsigned i = 0; i < (full ? n / 2 : n); i++)
        {
          uint32_t value = 0;

          iov_read (request->iov, request->n_iov, i * SECTOR, &value, sizeof value);
          put_value (run, first + i, value);
        }
      break;
    case BLOCK_FLUSH:
      if (work->error == 0)
        memcpy (run->medium, run->cached, sizeof run->medium);
      break;
    case BLOCK_WRITE_ZEROES:
      for (unsigned i = 0; i < n; i++)
        if (get_value (run, run->cached, first + i) != 0)
          put_value (run, first + i, 0);
      unmap (run, first, n);
      break;
    case BLOCK_DISCARD:
      unmap (run, first, n);
      break;
    case BLOCK_READ:
      break;
    }
}

static void
complete (Run *run, unsigned index)
{
  Work *work = g_ptr_array_steal_index (run->works, index);
  BlockRequest *request = work->request;
  const uint64_t done = request->size / SECTOR / 2 * SECTOR;
  const int error = work->error;

  g_free (work);
  /* As one that was continued. */
  if (request->operation == BLOCK_WRITE)
    iov_trim_front (&request->iov, &request->n_iov, done);
  request->offset += done;
  request->size -= done;
  run->n_passed += request >= &run->slots[0].io && request <= &run->slots[SLOTS - 1].io &&
                   request->operation == BLOCK_WRITE;
  request->done (request, error);
}

/* The process dies: what it cached is lost, what it did not answer is asked for again. */
static void
crash (Run *run)
{
  memcpy (run->cached, run->medium, sizeof run->cached);
  for (unsigned i = 0; i < run->works->len; i++)
    ((Work *) run->works->pdata[i])->executed = false;
  block_settled_repeat (run->settled, 0);
}

static void
below_submit (void *opaque, BlockRequest *request)
{
  Run *run = opaque;
  Work *work = g_new0 (Work, 1);

  work->request = request;
  g_ptr_array_add (run->works, work);
}

static void
below_kick (void *opaque)
{
  Run *run = opaque;

  for (unsigned i = 0; i < run->works->len; i++)
    ((Work *) run->works->pdata[i])->started = true;
}

/* Any of them, in any order. */
static void
below_reap (void *opaque)
{
  Run *run = opaque;

  for (unsigned tries = run->works->len; tries > 0 && run->works->len > 0; tries--)
    {
      const unsigned index = g_rand_int_range (run->rand, 0, run->works->len);
      Work *work = run->works->pdata[index];

      if (work->executed && chance (run, 40))
        complete (run, index);
      else if (work->started && !work->executed && chance (run, 40))
        execute (run, work);
    }
}

static void
below_drain (void *opaque)
{
  Run *run = opaque;

  while (run->works->len > 0)
    {
      below_kick (run);
      below_reap (run);
    }
}

static void
below_free (void *opaque)
{
}

static const BlockBackendOps below_ops = {
  .submit = below_submit,
  .kick = below_kick,
  .reap = below_reap,
  .drain = below_drain,
  .free = below_free,
};

/* --- the guest --- */

static void
check (Run *run)
{
  for (unsigned i = 0; i < SECTORS; i++)
    if (run->sectors[i].n_busy == 0 && !run->sectors[i].is_undefined)
      {
        g_assert_cmpuint (get_value (run, run->cached, i), ==, run->sectors[i].value);
        g_assert_cmpuint (get_value (run, run->medium, i), ==, run->sectors[i].value);
      }
}

static void
on_done (BlockRequest *request, int error)
{
  Slot *slot = (Slot *) request;
  Run *run = slot->run;

  g_assert_true (slot->busy);
  if (error == ENOSPC && chance (run, 80))
    {
      run->backend.ops->submit (run->backend.opaque, request);
      return;
    }
  slot->busy = false;
  run->n_answers++;
  for (unsigned i = slot->first; i < slot->first + slot->n; i++)
    {
      run->sectors[i].value = slot->value;
      run->sectors[i].is_undefined =
          error != 0 || run->sectors[i].clashes || request->operation == BLOCK_DISCARD;
      if (--run->sectors[i].n_busy == 0)
        run->sectors[i].clashes = false;
    }
  check (run);
}

static BlockOperation
choose (Run *run)
{
  const unsigned n = g_rand_int_range (run->rand, 0, 100);

  return n < 75 ? BLOCK_WRITE : n < 83 ? BLOCK_DISCARD : n < 93 ? BLOCK_WRITE_ZEROES : BLOCK_FLUSH;
}

static bool
are_busy (const Run *run, unsigned first, unsigned n)
{
  for (unsigned i = first; i < first + n; i++)
    if (run->sectors[i].n_busy > 0)
      return true;
  return false;
}

static void
begin (Run *run, Slot *slot)
{
  const BlockOperation operation = choose (run);
  const unsigned first = g_rand_int_range (run->rand, 0, SECTORS);
  const unsigned length = 1 + g_rand_int_range (run->rand, 0, LENGTH_MAX);
  const unsigned n = operation == BLOCK_FLUSH ? 0 : MIN (length, SECTORS - first);
  const unsigned split = g_rand_int_range (run->rand, 0, n + 1);

  if (!run->overlaps && are_busy (run, first, n))
    return;
  slot->busy = true;
  slot->first = first;
  slot->n = n;
  slot->value = operation == BLOCK_WRITE ? ++run->n_values : 0;
  for (unsigned i = 0; i < n; i++)
    {
      memcpy (slot->memory + i * SECTOR, &slot->value, sizeof slot->value);
      run->sectors[first + i].clashes |= run->sectors[first + i].n_busy++ > 0;
    }
  slot->iov[0] = (struct iovec){ slot->memory, split * SECTOR };
  slot->iov[1] = (struct iovec){ slot->memory + split * SECTOR, (n - split) * SECTOR };
  slot->io = (BlockRequest){
    .operation = operation,
    .offset = (uint64_t) first * SECTOR,
    .size = (uint64_t) n * SECTOR,
    .iov = slot->iov,
    .n_iov = operation == BLOCK_WRITE ? 2 : 0,
    .durable = chance (run, 10),
    .done = on_done,
  };
  run->backend.ops->submit (run->backend.opaque, &slot->io);
}

static void
step (Run *run)
{
  Slot *slot = &run->slots[g_rand_int_range (run->rand, 0, SLOTS)];
  const unsigned evicted = g_rand_int_range (run->rand, 0, CLUSTERS);

  if (!slot->busy)
    begin (run, slot);
  if (chance (run, 50))
    run->backend.ops->kick (run->backend.opaque);
  if (chance (run, 50))
    run->backend.ops->reap (run->backend.opaque);
  /* A cache writes back when it likes to. */
  if (chance (run, 5))
    run->medium[evicted] = run->cached[evicted];
  if (chance (run, 2))
    crash (run);
  if (chance (run, 1))
    run->backend.ops->drain (run->backend.opaque);
}

static void
play (unsigned seed, bool overlaps)
{
  g_autofree Run *run = g_new0 (Run, 1);

  g_test_message ("seed %u", seed);
  run->rand = g_rand_new_with_seed (seed);
  run->overlaps = overlaps;
  run->data = g_array_new (FALSE, FALSE, sizeof (Cluster));
  run->works = g_ptr_array_new ();
  for (unsigned i = 0; i < CLUSTERS; i++)
    run->cached[i] = run->medium[i] = NO_DATA;
  for (unsigned i = 0; i < SLOTS; i++)
    run->slots[i].run = run;
  const BlockBackend below = {
    .ops = &below_ops, .opaque = run, .fd = -1, .size = SECTORS * SECTOR
  };
  run->settled = block_settled_new (&below, PER_CLUSTER * SECTOR);
  block_settled_get_backend (run->settled, &run->backend);
  for (unsigned i = 0; i < STEPS; i++)
    step (run);
  run->backend.ops->free (run->backend.opaque);
  for (unsigned i = 0; i < SLOTS; i++)
    g_assert_false (run->slots[i].busy);
  /* The run was of use. */
  g_assert_cmpuint (run->n_answers, >, STEPS / 10);
  g_assert_cmpuint (run->n_passed, >, STEPS / 50);
  g_rand_free (run->rand);
  g_array_unref (run->data);
  g_ptr_array_unref (run->works);
}

static void
test_apart (void)
{
  for (unsigned seed = 0; seed < SEEDS; seed++)
    play (seed, false);
}

/* Nothing is said of what requests at the same time leave behind, but of what comes after them. */
static void
test_overlapping (void)
{
  for (unsigned seed = 0; seed < SEEDS; seed++)
    play (seed, true);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/block-settled-crash/apart", test_apart);
  g_test_add_func ("/block-settled-crash/overlapping", test_overlapping);
  return g_test_run ();
}
