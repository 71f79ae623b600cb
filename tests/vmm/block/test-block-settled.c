#include <errno.h>
#include <string.h>
#include <glib.h>

#include "block/block-settled.h"
#include "fake-backend.h"

#define CLUSTER 65536u
#define SIZE    (UINT64_C (1) << 40)

typedef struct Fixture
{
  FakeBackend below;
  BlockSettled *settled;
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
set_up (Fixture *f, uint64_t size, unsigned cluster)
{
  BlockBackend backend;

  fake_backend_init (&f->below, size, &backend);
  f->settled = block_settled_new (&backend, cluster);
  block_settled_get_backend (f->settled, &f->backend);
}

static void
setup (Fixture *f, gconstpointer data)
{
  set_up (f, SIZE, CLUSTER);
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
  const uint64_t first = size / 4;

  *tracked = (Tracked){
    .io = { .operation = operation,
            .offset = offset,
            .size = size,
            .iov = tracked->iov,
            .n_iov = 2,
            .done = on_done },
    .iov = { { memory, first }, { memory, size - first } },
  };
  f->backend.ops->submit (f->backend.opaque, &tracked->io);
  f->backend.ops->kick (f->backend.opaque);
}

static void
finish (Fixture *f, BlockOperation operation, int error)
{
  f->below.ending = fake_backend_find (&f->below, operation);
  f->below.error = error;
  g_assert_nonnull (f->below.ending);
  f->backend.ops->reap (f->backend.opaque);
  g_assert_null (f->below.ending);
}

static bool
is_idle (const Fixture *f)
{
  return f->below.prepared->len + f->below.started->len == 0;
}

static void
expect (const Tracked *tracked, int error)
{
  g_assert_true (tracked->done);
  g_assert_cmpint (tracked->error, ==, error);
}

/* Whether a write goes below as it is, and has its answer at once. If not it is made to fail, and nothing is learnt from it. */
static bool
passes (Fixture *f, uint64_t offset, uint64_t size)
{
  Tracked write;

  g_assert_true (is_idle (f));
  begin (f, &write, BLOCK_WRITE, offset, size);
  const bool is_own = fake_backend_find (&f->below, BLOCK_WRITE) == &write.io;
  finish (f, BLOCK_WRITE, is_own ? 0 : EIO);
  expect (&write, is_own ? 0 : EIO);
  g_assert_true (is_idle (f));
  return is_own;
}

static void
run (Fixture *f, BlockOperation operation, uint64_t offset, uint64_t size)
{
  Tracked tracked;

  begin (f, &tracked, operation, offset, size);
  f->backend.ops->drain (f->backend.opaque);
  expect (&tracked, 0);
}

static void
settle (Fixture *f, uint64_t offset, uint64_t size)
{
  run (f, BLOCK_WRITE, offset, size);
}

/* --- the rules --- */

static void
test_passes_on (Fixture *f, gconstpointer data)
{
  Tracked read;

  g_assert_cmpint (f->backend.fd, ==, 42);
  g_assert_cmpuint (f->backend.size, ==, SIZE);
  g_assert_cmpuint (f->backend.alignment, ==, 4096);
  begin (f, &read, BLOCK_READ, 0, 4096);
  g_assert_true (fake_backend_find (&f->below, BLOCK_READ) == &read.io);
  finish (f, BLOCK_READ, EIO);
  expect (&read, EIO);
  g_assert_cmpuint (f->below.n_flushes, ==, 0);
}

/* An unknown write is answered when it was flushed, and known from then on. */
static void
test_unknown_write (Fixture *f, gconstpointer data)
{
  Tracked write, again;

  begin (f, &write, BLOCK_WRITE, 3 * CLUSTER - 512, 1024);
  g_assert_null (fake_backend_find (&f->below, BLOCK_FLUSH));
  finish (f, BLOCK_WRITE, 0);
  g_assert_false (write.done);
  g_assert_nonnull (fake_backend_find (&f->below, BLOCK_FLUSH));
  /* Not flushed yet, not known yet. */
  begin (f, &again, BLOCK_WRITE, 2 * CLUSTER, 512);
  g_assert_false (fake_backend_find (&f->below, BLOCK_WRITE) == &again.io);
  finish (f, BLOCK_FLUSH, 0);
  expect (&write, 0);
  finish (f, BLOCK_WRITE, 0);
  g_assert_false (again.done);
  finish (f, BLOCK_FLUSH, 0);
  expect (&again, 0);
  g_assert_true (is_idle (f));
  g_assert_true (passes (f, 2 * CLUSTER, 2 * CLUSTER));
  g_assert_cmpuint (f->below.n_flushes, ==, 2);
  g_assert_false (passes (f, 2 * CLUSTER, 2 * CLUSTER + 512));
  g_assert_false (passes (f, 2 * CLUSTER - 512, 1024));
}

/* One flush for all that were completed when it was submitted; none other meanwhile; the rest have the next. */
static void
test_group (Fixture *f, gconstpointer data)
{
  Tracked writes[5];

  for (unsigned i = 0; i < 5; i++)
    begin (f, &writes[i], BLOCK_WRITE, i * CLUSTER, 512);
  finish (f, BLOCK_WRITE, 0);
  for (unsigned i = 1; i < 4; i++)
    finish (f, BLOCK_WRITE, 0);
  g_assert_cmpuint (f->below.n_flushes, ==, 1);
  finish (f, BLOCK_FLUSH, 0);
  expect (&writes[0], 0);
  for (unsigned i = 1; i < 5; i++)
    g_assert_false (writes[i].done);
  g_assert_cmpuint (f->below.n_flushes, ==, 2);
  finish (f, BLOCK_WRITE, 0);
  finish (f, BLOCK_FLUSH, 0);
  for (unsigned i = 1; i < 4; i++)
    expect (&writes[i], 0);
  g_assert_false (writes[4].done);
  finish (f, BLOCK_FLUSH, 0);
  expect (&writes[4], 0);
  g_assert_cmpuint (f->below.n_flushes, ==, 3);
  g_assert_true (is_idle (f));
}

/* All that one call completes has one flush, however it is completed. */
static void
test_at_once (Fixture *f, gconstpointer data)
{
  Tracked writes[10];

  for (unsigned i = 0; i < 10; i++)
    {
      writes[i] = (Tracked){
        .io = { .operation = BLOCK_WRITE, .offset = i * CLUSTER, .size = 512, .done = on_done }
      };
      f->backend.ops->submit (f->backend.opaque, &writes[i].io);
    }
  f->below.at_once = true;
  f->backend.ops->kick (f->backend.opaque);
  for (unsigned i = 0; i < 10; i++)
    expect (&writes[i], 0);
  g_assert_cmpuint (f->below.n_flushes, ==, 1);
  f->below.at_once = false;
}

/* A failed flush is nothing that can be tried again; what it did not cover is not concerned; a flush of the guest hears of it, once. */
static void
test_failed_flush (Fixture *f, gconstpointer data)
{
  Tracked first, second, flush;

  begin (f, &first, BLOCK_WRITE, 0, 512);
  finish (f, BLOCK_WRITE, 0);
  begin (f, &second, BLOCK_WRITE, CLUSTER, 512);
  finish (f, BLOCK_WRITE, 0);
  finish (f, BLOCK_FLUSH, ENOSPC);
  expect (&first, EIO);
  g_assert_false (second.done);
  finish (f, BLOCK_FLUSH, 0);
  expect (&second, 0);
  for (unsigned i = 0; i < 2; i++)
    {
      begin (f, &flush, BLOCK_FLUSH, 0, 0);
      finish (f, BLOCK_FLUSH, 0);
      expect (&flush, i == 0 ? EIO : 0);
    }
  g_assert_true (passes (f, CLUSTER, 512));
  g_assert_false (passes (f, 0, 512));
}

/* A write's own error goes straight through; the request may be submitted again as it is. */
static void
test_failed_write (Fixture *f, gconstpointer data)
{
  Tracked write;

  begin (f, &write, BLOCK_WRITE, CLUSTER - 4096, 8192);
  const Tracked before = write;
  finish (f, BLOCK_WRITE, ENOSPC);
  expect (&write, ENOSPC);
  g_assert_true (is_idle (f));
  g_assert_cmpmem (&write.io, sizeof write.io, &before.io, sizeof before.io);
  g_assert_cmpmem (write.iov, sizeof write.iov, before.iov, sizeof before.iov);
  write.done = false;
  f->backend.ops->submit (f->backend.opaque, &write.io);
  f->backend.ops->kick (f->backend.opaque);
  const BlockRequest *again = fake_backend_find (&f->below, BLOCK_WRITE);
  g_assert_cmpuint (again->offset, ==, CLUSTER - 4096);
  g_assert_cmpuint (again->size, ==, 8192);
  g_assert_cmpuint (again->n_iov, ==, 2);
  g_assert_cmpmem (again->iov, sizeof before.iov, before.iov, sizeof before.iov);
  finish (f, BLOCK_WRITE, 0);
  g_assert_false (write.done);
  finish (f, BLOCK_FLUSH, 0);
  expect (&write, 0);
}

/* A flush of the guest that succeeds covers what was completed when it was submitted, and no more. */
static void
test_guest_flush (Fixture *f, gconstpointer data)
{
  Tracked writes[3], flush;

  for (unsigned i = 0; i < 3; i++)
    begin (f, &writes[i], BLOCK_WRITE, i * CLUSTER, 512);
  finish (f, BLOCK_WRITE, 0);
  finish (f, BLOCK_WRITE, 0);
  BlockRequest *ours = fake_backend_find (&f->below, BLOCK_FLUSH);
  begin (f, &flush, BLOCK_FLUSH, 0, 0);
  finish (f, BLOCK_WRITE, 0);
  g_assert_true (ours == f->below.started->pdata[0]);
  f->below.ending = f->below.started->pdata[1];
  f->below.error = 0;
  f->backend.ops->reap (f->backend.opaque);
  expect (&flush, 0);
  expect (&writes[0], 0);
  expect (&writes[1], 0);
  g_assert_false (writes[2].done);
  finish (f, BLOCK_FLUSH, 0);
  g_assert_false (writes[2].done);
  /* One that fails is the guest's affair. */
  begin (f, &flush, BLOCK_FLUSH, 0, 0);
  f->below.ending = f->below.started->pdata[1];
  f->below.error = EIO;
  f->backend.ops->reap (f->backend.opaque);
  expect (&flush, EIO);
  g_assert_false (writes[2].done);
  finish (f, BLOCK_FLUSH, 0);
  expect (&writes[2], 0);
  g_assert_true (passes (f, 0, 3 * CLUSTER));
}

static void
test_durable (Fixture *f, gconstpointer data)
{
  for (unsigned i = 0; i < 2; i++)
    {
      Tracked write = {
        .io = { .operation = BLOCK_WRITE, .size = 512, .durable = true, .done = on_done }
      };

      f->backend.ops->submit (f->backend.opaque, &write.io);
      f->backend.ops->kick (f->backend.opaque);
      g_assert_true (fake_backend_find (&f->below, BLOCK_WRITE)->durable);
      finish (f, BLOCK_WRITE, 0);
      g_assert_true (write.done == (i == 1));
      if (i == 0)
        finish (f, BLOCK_FLUSH, 0);
      expect (&write, 0);
    }
  g_assert_cmpuint (f->below.n_flushes, ==, 1);
}

static void
test_write_zeroes (Fixture *f, gconstpointer data)
{
  Tracked zeroes = { .io = { .operation = BLOCK_WRITE_ZEROES,
                             .offset = CLUSTER + 512,
                             .size = CLUSTER,
                             .may_unmap = true,
                             .durable = true,
                             .done = on_done } };

  settle (f, 0, 4 * CLUSTER);
  f->backend.ops->submit (f->backend.opaque, &zeroes.io);
  f->backend.ops->kick (f->backend.opaque);
  const BlockRequest *below = fake_backend_find (&f->below, BLOCK_WRITE_ZEROES);
  g_assert_true (below->may_unmap && below->durable);
  g_assert_cmpuint (below->offset, ==, CLUSTER + 512);
  g_assert_cmpuint (below->size, ==, CLUSTER);
  finish (f, BLOCK_WRITE_ZEROES, 0);
  g_assert_false (zeroes.done);
  finish (f, BLOCK_FLUSH, 0);
  expect (&zeroes, 0);
  g_assert_true (passes (f, 0, CLUSTER));
  g_assert_true (passes (f, 3 * CLUSTER, CLUSTER));
  g_assert_false (passes (f, CLUSTER, 512));
  g_assert_false (passes (f, 2 * CLUSTER, 512));
  /* No room: to be tried again. */
  zeroes.done = false;
  f->backend.ops->submit (f->backend.opaque, &zeroes.io);
  f->backend.ops->kick (f->backend.opaque);
  finish (f, BLOCK_WRITE_ZEROES, EDQUOT);
  expect (&zeroes, EDQUOT);
  g_assert_cmpuint (zeroes.io.offset, ==, CLUSTER + 512);
}

static void
test_discard (Fixture *f, gconstpointer data)
{
  Tracked discard, write;

  settle (f, 0, 4 * CLUSTER);
  const unsigned n = f->below.n_flushes;
  begin (f, &discard, BLOCK_DISCARD, CLUSTER, CLUSTER);
  begin (f, &write, BLOCK_WRITE, CLUSTER, 512);
  g_assert_false (fake_backend_find (&f->below, BLOCK_WRITE) == &write.io);
  finish (f, BLOCK_DISCARD, 0);
  expect (&discard, 0);
  g_assert_cmpuint (f->below.n_flushes, ==, n);
  f->backend.ops->drain (f->backend.opaque);
  g_assert_true (passes (f, 2 * CLUSTER, 2 * CLUSTER));
  g_assert_true (passes (f, 0, CLUSTER));
  g_assert_false (passes (f, CLUSTER, 512));
}

/* When a discard comes between a write's submission and its answer, the cluster stays unknown: whichever was done first. */
static void
test_discard_meanwhile (Fixture *f, gconstpointer data)
{
  static const BlockOperation operations[] = { BLOCK_DISCARD, BLOCK_WRITE_ZEROES };

  for (unsigned i = 0; i < G_N_ELEMENTS (operations); i++)
    for (unsigned when = 0; when < 4; when++)
      {
        Tracked write, other, discard, flush;

        run (f, BLOCK_DISCARD, 0, 8 * CLUSTER);
        if (when == 0) /* it is done last */
          begin (f, &discard, operations[i], 0, CLUSTER);
        begin (f, &write, BLOCK_WRITE, 512, 512);
        begin (f, &other, BLOCK_WRITE, CLUSTER, 512);
        if (when == 1)
          begin (f, &discard, operations[i], 0, CLUSTER);
        finish (f, BLOCK_WRITE, 0);
        finish (f, BLOCK_WRITE, 0);
        if (when == 2)
          begin (f, &discard, operations[i], 0, CLUSTER);
        begin (f, &flush, BLOCK_FLUSH, 0, 0);
        if (when == 3)
          begin (f, &discard, operations[i], 0, CLUSTER);
        if (when > 0)
          finish (f, operations[i], 0);
        while (fake_backend_find (&f->below, BLOCK_FLUSH))
          finish (f, BLOCK_FLUSH, 0);
        expect (&write, 0);
        expect (&other, 0);
        f->backend.ops->drain (f->backend.opaque);
        expect (&discard, 0);
        g_assert_true (passes (f, CLUSTER, 512));
        g_assert_false (passes (f, 0, 512));
      }
}

static void
test_look (Fixture *f, gconstpointer data)
{
  Tracked write;

  begin (f, &write, BLOCK_WRITE, 0, 512);
  f->below.ending = fake_backend_find (&f->below, BLOCK_WRITE);
  f->backend.ops->look (f->backend.opaque);
  g_assert_cmpuint (f->below.n_looks, ==, 1);
  f->below.ending = fake_backend_find (&f->below, BLOCK_FLUSH);
  g_assert_nonnull (f->below.ending);
  f->backend.ops->reap (f->backend.opaque);
  g_assert_cmpuint (f->below.n_looks, ==, 1);
  expect (&write, 0);
}

/* A backend that does not know how to look. */
static void
test_no_look (void)
{
  Fixture f = { 0 };
  BlockBackend backend;
  Tracked write;

  fake_backend_init (&f.below, SIZE, &backend);
  BlockBackendOps ops = *backend.ops;
  ops.look = NULL;
  backend.ops = &ops;
  f.settled = block_settled_new (&backend, CLUSTER);
  block_settled_get_backend (f.settled, &f.backend);
  begin (&f, &write, BLOCK_WRITE, 0, 512);
  f.below.ending = fake_backend_find (&f.below, BLOCK_WRITE);
  f.backend.ops->look (f.backend.opaque);
  g_assert_nonnull (fake_backend_find (&f.below, BLOCK_FLUSH));
  teardown (&f, NULL);
  expect (&write, 0);
}

/* Those that wait are waited for, and those that wait for nothing any more end. */
static void
test_drain (Fixture *f, gconstpointer data)
{
  static const int lost[] = { 0, EIO };

  for (unsigned i = 0; i < G_N_ELEMENTS (lost); i++)
    {
      Tracked writes[4];

      for (unsigned j = 0; j < 4; j++)
        begin (f, &writes[j], BLOCK_WRITE, j * CLUSTER, 512);
      if (i == 0)
        for (unsigned j = 0; j < 2; j++)
          finish (f, BLOCK_WRITE, 0);
      f->below.lost = lost[i];
      f->backend.ops->drain (f->backend.opaque);
      for (unsigned j = 0; j < 4; j++)
        expect (&writes[j], lost[i]);
      g_assert_true (is_idle (f));
      f->below.lost = 0;
      run (f, BLOCK_DISCARD, 0, SIZE);
    }
  /* Completed, and then all is lost. */
  Tracked write;
  begin (f, &write, BLOCK_WRITE, 0, 512);
  finish (f, BLOCK_WRITE, 0);
  f->below.lost = EIO;
  f->backend.ops->drain (f->backend.opaque);
  expect (&write, EIO);
  f->below.lost = 0;
  /* Who drains has given up what was asked: who begins anew after it is not told of it. */
  Tracked flush;
  begin (f, &flush, BLOCK_FLUSH, 0, 0);
  finish (f, BLOCK_FLUSH, 0);
  expect (&flush, 0);
}

/* But what failed before is not forgotten over it: a driver resets the device at a guest's sleep, and goes on. */
/* What the lost process had written could not be made durable, which its successor does not know. */
static void
test_lost_cache (Fixture *f, gconstpointer data)
{
  for (unsigned i = 0; i < 2; i++)
    {
      Tracked flush;

      if (i == 0)
        block_settled_repeat (f->settled, EIO);
      begin (f, &flush, BLOCK_FLUSH, 0, 0);
      finish (f, BLOCK_FLUSH, 0);
      expect (&flush, i == 0 ? EIO : 0);
    }
}

static void
test_failed_flush_before_drain (Fixture *f, gconstpointer data)
{
  Tracked write, flush;

  begin (f, &write, BLOCK_WRITE, 0, 512);
  finish (f, BLOCK_WRITE, 0);
  finish (f, BLOCK_FLUSH, EIO);
  expect (&write, EIO);
  f->backend.ops->drain (f->backend.opaque);
  begin (f, &flush, BLOCK_FLUSH, 0, 0);
  finish (f, BLOCK_FLUSH, 0);
  expect (&flush, EIO);
}

/* The flush that the next process does knows nothing of what the one before did. */
static void
test_repeat (Fixture *f, gconstpointer data)
{
  Tracked write, zeroes, flush;

  begin (f, &write, BLOCK_WRITE, CLUSTER, 8192);
  begin (f, &zeroes, BLOCK_WRITE_ZEROES, 2 * CLUSTER, 512);
  finish (f, BLOCK_WRITE, 0);
  finish (f, BLOCK_WRITE_ZEROES, 0);
  begin (f, &flush, BLOCK_FLUSH, 0, 0);
  block_settled_repeat (f->settled, 0);
  f->backend.ops->kick (f->backend.opaque);
  finish (f, BLOCK_FLUSH, 0);
  finish (f, BLOCK_FLUSH, 0);
  expect (&flush, 0);
  g_assert_false (write.done || zeroes.done);
  const BlockRequest *again = fake_backend_find (&f->below, BLOCK_WRITE);
  g_assert_cmpuint (again->offset, ==, CLUSTER);
  g_assert_cmpuint (again->size, ==, 8192);
  g_assert_cmpmem (again->iov, sizeof write.iov, write.iov, sizeof write.iov);
  finish (f, BLOCK_WRITE, 0);
  finish (f, BLOCK_WRITE_ZEROES, 0);
  g_assert_false (write.done || zeroes.done);
  finish (f, BLOCK_FLUSH, 0);
  expect (&write, 0);
  g_assert_false (zeroes.done);
  finish (f, BLOCK_FLUSH, 0);
  expect (&zeroes, 0);
  g_assert_true (passes (f, CLUSTER, 512));
  g_assert_false (passes (f, 2 * CLUSTER, 512));
}

/* The last cluster, of disks that end with it or inside it; the largest that there are. */
static void
test_edges (void)
{
  static const struct
  {
    uint64_t size;
    unsigned cluster;
  } disks[] = {
    { 512, 2u << 20 },
    { 10 * CLUSTER + 512, CLUSTER },
    { UINT64_C (32768) * 512, 512 },
    { UINT64_C (32769) * 512, 512 },
    { INT64_MAX - 511, 512 },
    { INT64_MAX - 511, 2u << 20 },
    { UINT64_C (1) << 63, 512 },
    { UINT64_C (1) << 63, 2u << 20 },
  };

  for (unsigned i = 0; i < G_N_ELEMENTS (disks); i++)
    {
      const uint64_t size = disks[i].size;
      Fixture f = { 0 };

      set_up (&f, size, disks[i].cluster);
      settle (&f, size - 512, 512);
      g_assert_true (passes (&f, size - 512, 512));
      run (&f, BLOCK_WRITE_ZEROES, size - 512, 512);
      g_assert_false (passes (&f, size - 512, 512));
      settle (&f, size - 512, 512);
      settle (&f, 0, 512);
      run (&f, BLOCK_DISCARD, 0, size);
      g_assert_false (passes (&f, size - 512, 512));
      g_assert_false (passes (&f, 0, 512));
      teardown (&f, NULL);
    }
}

/* Across what is known by one piece of memory, 32768 clusters. */
static void
test_chunks (void)
{
  const uint64_t chunk = UINT64_C (32768) * 512;
  Fixture f = { 0 };

  set_up (&f, SIZE, 512);
  settle (&f, chunk - 1024, 2048);
  settle (&f, 3 * chunk - 1024, 2048);
  g_assert_true (passes (&f, chunk - 1024, 2048));
  g_assert_false (passes (&f, chunk - 1024, 2560));
  run (&f, BLOCK_DISCARD, chunk, 2 * chunk);
  g_assert_true (passes (&f, chunk - 1024, 1024));
  g_assert_false (passes (&f, chunk, 512));
  g_assert_false (passes (&f, 3 * chunk - 512, 512));
  g_assert_true (passes (&f, 3 * chunk, 1024));
  teardown (&f, NULL);
}

/* A guest that touches a cluster here and there of a disk that is as large as can be. */
static void
test_memory (void)
{
  const uint64_t size = UINT64_C (1) << 63, chunk = UINT64_C (32768) * 512;
  const unsigned room = 4096;
  Fixture f = { 0 };

  set_up (&f, size, 512);
  for (unsigned i = 0; i < room + 10; i++)
    settle (&f, i * chunk * 1000, 512);
  g_assert_true (passes (&f, 0, 512));
  g_assert_true (passes (&f, (room - 1) * chunk * 1000, 512));
  g_assert_false (passes (&f, room * chunk * 1000, 512));
  /* What is known already can still be added to. */
  settle (&f, 512, 512);
  g_assert_true (passes (&f, 0, 1024));
  run (&f, BLOCK_DISCARD, chunk, size - chunk);
  settle (&f, room * chunk * 1000, 512);
  g_assert_true (passes (&f, room * chunk * 1000, 512));
  g_assert_true (passes (&f, 0, 1024));
  teardown (&f, NULL);
}

#define TEST(name, function)                                                                       \
  g_test_add ("/block-settled/" name, Fixture, NULL, setup, function, teardown)

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  TEST ("passes-on", test_passes_on);
  TEST ("unknown-write", test_unknown_write);
  TEST ("group", test_group);
  TEST ("at-once", test_at_once);
  TEST ("failed-flush", test_failed_flush);
  TEST ("failed-write", test_failed_write);
  TEST ("guest-flush", test_guest_flush);
  TEST ("durable", test_durable);
  TEST ("write-zeroes", test_write_zeroes);
  TEST ("discard", test_discard);
  TEST ("discard-meanwhile", test_discard_meanwhile);
  TEST ("look", test_look);
  g_test_add_func ("/block-settled/no-look", test_no_look);
  TEST ("drain", test_drain);
  TEST ("lost-cache", test_lost_cache);
  TEST ("failed-flush-before-drain", test_failed_flush_before_drain);
  TEST ("repeat", test_repeat);
  g_test_add_func ("/block-settled/edges", test_edges);
  g_test_add_func ("/block-settled/chunks", test_chunks);
  g_test_add_func ("/block-settled/hostile-memory", test_memory);
  return g_test_run ();
}
