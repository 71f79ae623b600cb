#include <errno.h>
#include <string.h>
#include <glib.h>

#include "block/block-apart.h"
#include "fake-backend.h"

#define CLUSTER 65536u
#define SIZE    (UINT64_C (1) << 40)

typedef struct Fixture
{
  FakeBackend below;
  BlockBackend backend;
} Fixture;

typedef struct Tracked
{
  BlockRequest io; /* first: on_done () casts */
  struct iovec iov[2];
  bool done;
  int error;
} Tracked;

/* --- fixture --- */

static void
setup (Fixture *f, gconstpointer data)
{
  BlockBackend backend;

  fake_backend_init (&f->below, SIZE, &backend);
  block_apart_get_backend (block_apart_new (&backend, CLUSTER), &f->backend);
}

static void
teardown (Fixture *f, gconstpointer data)
{
  f->backend.ops->free (f->backend.opaque);
  g_assert_cmpuint (f->below.n_frees, ==, 1);
  fake_backend_clear (&f->below);
}

static void
on_done (BlockRequest *request, int error)
{
  Tracked *tracked = (Tracked *) request;

  g_assert_false (tracked->done);
  tracked->done = true;
  tracked->error = error;
}

/* In two pieces of memory, nobody looks at it. */
static void
begin (Fixture *f, Tracked *tracked, BlockOperation operation, uint64_t offset, uint64_t size)
{
  static uint8_t memory[1];

  *tracked = (Tracked){
    .io = { .operation = operation,
            .offset = offset,
            .size = size,
            .iov = tracked->iov,
            .n_iov = 2,
            .done = on_done },
    .iov = { { memory, size / 4 }, { memory, size - size / 4 } },
  };
  f->backend.ops->submit (f->backend.opaque, &tracked->io);
  f->backend.ops->kick (f->backend.opaque);
}

static unsigned
count_below (const Fixture *f)
{
  g_assert_cmpuint (f->below.prepared->len, ==, 0);
  return f->below.started->len;
}

/* The oldest of its kind. */
static void
finish (Fixture *f, BlockOperation operation, int error)
{
  f->below.ending = fake_backend_find (&f->below, operation);
  f->below.error = error;
  g_assert_nonnull (f->below.ending);
  f->backend.ops->reap (f->backend.opaque);
}

static void
expect (const Tracked *tracked, int error)
{
  g_assert_true (tracked->done);
  g_assert_cmpint (tracked->error, ==, error);
}

/* --- the rules --- */

/* Each two in one cluster, at different bytes of it. */
static void
test_who_meets_whom (Fixture *f, gconstpointer data)
{
  static const bool may_meet[][BLOCK_WRITE_ZEROES + 1] = {
    [BLOCK_READ] = { [BLOCK_READ] = true, [BLOCK_FLUSH] = true },
    [BLOCK_WRITE] = { [BLOCK_WRITE] = true, [BLOCK_FLUSH] = true },
    [BLOCK_FLUSH] = { true, true, true, true, true },
    [BLOCK_DISCARD] = { [BLOCK_FLUSH] = true },
    [BLOCK_WRITE_ZEROES] = { [BLOCK_FLUSH] = true },
  };
  Tracked one, other;

  for (BlockOperation i = BLOCK_READ; i <= BLOCK_WRITE_ZEROES; i++)
    for (BlockOperation j = BLOCK_READ; j <= BLOCK_WRITE_ZEROES; j++)
      {
        begin (f, &one, i, CLUSTER, i == BLOCK_FLUSH ? 0 : 512);
        begin (f, &other, j, 2 * CLUSTER - 512, j == BLOCK_FLUSH ? 0 : 512);
        g_assert_cmpuint (count_below (f), ==, may_meet[i][j] ? 2 : 1);
        finish (f, i, 0);
        finish (f, j, 0);
        expect (&one, 0);
        expect (&other, 0);
        g_assert_cmpuint (count_below (f), ==, 0);
      }
}

static void
test_neighbours (Fixture *f, gconstpointer data)
{
  Tracked requests[5];

  begin (f, &requests[0], BLOCK_DISCARD, CLUSTER, 2 * CLUSTER);
  begin (f, &requests[1], BLOCK_WRITE, 0, CLUSTER);
  begin (f, &requests[2], BLOCK_READ, 3 * CLUSTER, 512);
  g_assert_cmpuint (count_below (f), ==, 3);
  begin (f, &requests[3], BLOCK_WRITE, CLUSTER - 512, 1024);
  begin (f, &requests[4], BLOCK_READ, 3 * CLUSTER - 512, 1024);
  g_assert_cmpuint (count_below (f), ==, 3);
  finish (f, BLOCK_DISCARD, 0);
  g_assert_cmpuint (count_below (f), ==, 4);
  f->backend.ops->drain (f->backend.opaque);
  for (unsigned i = 0; i < G_N_ELEMENTS (requests); i++)
    expect (&requests[i], 0);
}

/* Who comes later does not go past who waits, if the two may not meet: a stream of writes does not keep a discard away. */
static void
test_in_turn (Fixture *f, gconstpointer data)
{
  Tracked first, discard, later, elsewhere;

  begin (f, &first, BLOCK_WRITE, 0, 512);
  begin (f, &discard, BLOCK_DISCARD, 0, 2 * CLUSTER);
  begin (f, &later, BLOCK_WRITE, CLUSTER, 512);
  begin (f, &elsewhere, BLOCK_WRITE, 2 * CLUSTER, 512);
  g_assert_cmpuint (count_below (f), ==, 2);
  finish (f, BLOCK_WRITE, 0);
  expect (&first, 0);
  g_assert_nonnull (fake_backend_find (&f->below, BLOCK_DISCARD));
  finish (f, BLOCK_WRITE, 0);
  expect (&elsewhere, 0);
  g_assert_cmpuint (count_below (f), ==, 1);
  finish (f, BLOCK_DISCARD, EIO);
  expect (&discard, EIO);
  finish (f, BLOCK_WRITE, 0);
  expect (&later, 0);
}

/* One that waits for several, of different kinds and places, and several that wait for one. */
static void
test_crowd (Fixture *f, gconstpointer data)
{
  Tracked before[3], zeroes, after[3];

  begin (f, &before[0], BLOCK_WRITE, 0, 512);
  begin (f, &before[1], BLOCK_READ, CLUSTER, 512);
  begin (f, &before[2], BLOCK_WRITE, 2 * CLUSTER, 512);
  begin (f, &zeroes, BLOCK_WRITE_ZEROES, 0, 3 * CLUSTER);
  for (unsigned i = 0; i < 3; i++)
    begin (f, &after[i], BLOCK_READ, i * CLUSTER, 512);
  finish (f, BLOCK_WRITE, 0);
  finish (f, BLOCK_READ, 0);
  g_assert_cmpuint (count_below (f), ==, 1);
  finish (f, BLOCK_WRITE, 0);
  g_assert_cmpuint (count_below (f), ==, 1);
  finish (f, BLOCK_WRITE_ZEROES, 0);
  g_assert_cmpuint (count_below (f), ==, 3);
  f->backend.ops->drain (f->backend.opaque);
  for (unsigned i = 0; i < 3; i++)
    {
      expect (&before[i], 0);
      expect (&after[i], 0);
    }
  expect (&zeroes, 0);
}

/* --- as a backend --- */

/* What the caller asked for is as it was, and may be asked for again. */
static void
test_untouched (Fixture *f, gconstpointer data)
{
  Tracked write;

  begin (f, &write, BLOCK_WRITE, CLUSTER - 4096, 8192);
  write.io.may_unmap = true;
  const Tracked before = write;
  finish (f, BLOCK_WRITE, ENOSPC);
  expect (&write, ENOSPC);
  g_assert_cmpmem (&write.io, sizeof write.io, &before.io, sizeof before.io);
  g_assert_cmpmem (write.iov, sizeof write.iov, before.iov, sizeof before.iov);
  write.done = false;
  write.io.durable = true;
  f->backend.ops->submit (f->backend.opaque, &write.io);
  f->backend.ops->kick (f->backend.opaque);
  const BlockRequest *again = fake_backend_find (&f->below, BLOCK_WRITE);
  g_assert_cmpuint (again->offset, ==, CLUSTER - 4096);
  g_assert_cmpuint (again->size, ==, 8192);
  g_assert_true (again->may_unmap && again->durable);
  g_assert_cmpuint (again->n_iov, ==, 2);
  g_assert_cmpmem (again->iov, sizeof before.iov, before.iov, sizeof before.iov);
  finish (f, BLOCK_WRITE, 0);
  expect (&write, 0);
}

static void
test_flush_passes (Fixture *f, gconstpointer data)
{
  Tracked discard, flush;

  begin (f, &discard, BLOCK_DISCARD, 0, SIZE);
  begin (f, &flush, BLOCK_FLUSH, 0, 0);
  g_assert_true (fake_backend_find (&f->below, BLOCK_FLUSH) == &flush.io);
  finish (f, BLOCK_FLUSH, EIO);
  expect (&flush, EIO);
  finish (f, BLOCK_DISCARD, 0);
  expect (&discard, 0);
}

/* What a call completes and so releases is on its way when the call returns. */
static void
test_at_once (Fixture *f, gconstpointer data)
{
  Tracked requests[6];

  for (unsigned i = 0; i < G_N_ELEMENTS (requests); i++)
    {
      requests[i] = (Tracked){
        .io = { .operation = i % 2 ? BLOCK_DISCARD : BLOCK_WRITE, .size = 512, .done = on_done }
      };
      f->backend.ops->submit (f->backend.opaque, &requests[i].io);
    }
  f->below.at_once = true;
  f->backend.ops->kick (f->backend.opaque);
  for (unsigned i = 0; i < G_N_ELEMENTS (requests); i++)
    expect (&requests[i], 0);
  f->below.at_once = false;
}

static void
test_look (Fixture *f, gconstpointer data)
{
  Tracked write, read;

  g_assert_cmpint (f->backend.fd, ==, 42);
  g_assert_cmpuint (f->backend.size, ==, SIZE);
  g_assert_cmpuint (f->backend.alignment, ==, 4096);
  begin (f, &write, BLOCK_WRITE, 0, 512);
  begin (f, &read, BLOCK_READ, 512, 512);
  f->below.ending = fake_backend_find (&f->below, BLOCK_WRITE);
  f->backend.ops->look (f->backend.opaque);
  g_assert_cmpuint (f->below.n_looks, ==, 1);
  expect (&write, 0);
  g_assert_nonnull (fake_backend_find (&f->below, BLOCK_READ));
  f->backend.ops->drain (f->backend.opaque);
  expect (&read, 0);
}

/* All that waits fails as well when what is below is lost. */
static void
test_lost (Fixture *f, gconstpointer data)
{
  Tracked requests[8];

  for (unsigned i = 0; i < G_N_ELEMENTS (requests); i++)
    begin (f, &requests[i], i % 3 ? BLOCK_WRITE_ZEROES : BLOCK_READ, i / 2 * 512, CLUSTER);
  f->below.lost = EIO;
  f->backend.ops->drain (f->backend.opaque);
  for (unsigned i = 0; i < G_N_ELEMENTS (requests); i++)
    expect (&requests[i], EIO);
  f->below.lost = 0;
}

/* The last bytes of the largest disk that there is. */
static void
test_edge (Fixture *f, gconstpointer data)
{
  Tracked all, last;

  begin (f, &all, BLOCK_DISCARD, 0, UINT64_C (1) << 63);
  begin (f, &last, BLOCK_WRITE, (UINT64_C (1) << 63) - 512, 512);
  g_assert_cmpuint (count_below (f), ==, 1);
  finish (f, BLOCK_DISCARD, 0);
  finish (f, BLOCK_WRITE, 0);
  expect (&last, 0);
}

/* --- random --- */

enum
{
  SLOTS = 24,
  PLACES = 6 * 8, /* of an eighth of a cluster each */
  STEPS = 20000
};

static bool
are_apart (const BlockRequest *one, const BlockRequest *other)
{
  const uint64_t one_last = (one->offset + one->size - 1) / CLUSTER;
  const uint64_t other_last = (other->offset + other->size - 1) / CLUSTER;

  return one_last < other->offset / CLUSTER || other_last < one->offset / CLUSTER ||
         (one->operation == other->operation && one->operation <= BLOCK_WRITE);
}

static void
check_below (const Fixture *f)
{
  const GPtrArray *started = f->below.started;

  for (unsigned i = 0; i < started->len; i++)
    for (unsigned j = 0; j < i; j++)
      g_assert_true (are_apart (started->pdata[i], started->pdata[j]));
}

/* No two that may not meet are ever below, and all are answered in the end. */
static void
test_random (Fixture *f, gconstpointer data)
{
  static const BlockOperation operations[] = { BLOCK_READ, BLOCK_WRITE, BLOCK_DISCARD,
                                               BLOCK_WRITE_ZEROES };
  Tracked requests[SLOTS];
  unsigned n_below_max = 0;

  for (unsigned i = 0; i < SLOTS; i++)
    requests[i].done = true;
  for (unsigned i = 0; i < STEPS; i++)
    {
      Tracked *request = &requests[g_test_rand_int_range (0, SLOTS)];
      const unsigned first = (unsigned) g_test_rand_int_range (0, PLACES);
      const unsigned n = (unsigned) g_test_rand_int_range (1, MIN (12, PLACES - first) + 1);

      if (request->done)
        begin (f, request, operations[g_test_rand_int_range (0, 4)],
               (uint64_t) first * (CLUSTER / 8), n * (CLUSTER / 8));
      check_below (f);
      n_below_max = MAX (n_below_max, count_below (f));
      if (f->below.started->len > 0 && g_test_rand_bit ())
        {
          const int which = g_test_rand_int_range (0, (int) f->below.started->len);

          f->below.ending = f->below.started->pdata[which];
          f->backend.ops->reap (f->backend.opaque);
        }
      check_below (f);
    }
  g_assert_cmpuint (n_below_max, >, 3);
  f->backend.ops->drain (f->backend.opaque);
  for (unsigned i = 0; i < SLOTS; i++)
    g_assert_true (requests[i].done);
}

#define TEST(name, function)                                                                       \
  g_test_add ("/block-apart/" name, Fixture, NULL, setup, function, teardown)

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  TEST ("who-meets-whom", test_who_meets_whom);
  TEST ("neighbours", test_neighbours);
  TEST ("in-turn", test_in_turn);
  TEST ("crowd", test_crowd);
  TEST ("untouched", test_untouched);
  TEST ("flush-passes", test_flush_passes);
  TEST ("at-once", test_at_once);
  TEST ("look", test_look);
  TEST ("lost", test_lost);
  TEST ("edge", test_edge);
  TEST ("random", test_random);
  return g_test_run ();
}
