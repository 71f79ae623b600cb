#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>
#include <glib/gstdio.h>

#include "block-calls.h"
#include "block/block-placed.h"
#include "fake-backend.h"
#include "qcow2-file.h"

#define CLUSTER    65536u
#define N_CLUSTERS 40u
#define BYTES_MAX  (N_CLUSTERS * CLUSTER)

/* Where the disk's clusters are in the file, in clusters; 0: nowhere. */
enum
{
  FIRST = 0,      /* three that are neighbours */
  APART = 4,      /* three that are not */
  NOWHERE = 8,    /* the next is somewhere */
  SCATTERED = 16, /* 20 of them, each second in the file */
};

typedef struct Fixture
{
  Qcow2File *file;
  FakeBackend below;
  BlockPlaced *placed;
  BlockBackend backend;
} Fixture;

typedef struct Tracked
{
  BlockRequest io; /* first: on_done () casts */
  struct iovec iov[2];
  bool done;
  int error;
} Tracked;

static uint8_t memory[BYTES_MAX] __attribute__ ((aligned (4096)));

/* --- fixture --- */

static void
set_up (Fixture *f, gconstpointer data)
{
  unsigned places[N_CLUSTERS] = {
    [FIRST] = 20, 21, 22, [APART] = 30, 28, 26, [NOWHERE + 1] = 32,
  };
  BlockBackend below;

  for (unsigned i = 0; i < 20; i++)
    places[SCATTERED + i] = 40 + 2 * i;
  block_calls = (BlockCalls){ .no_ring = data != NULL };
  f->file = qcow2_file_new_placed (places, N_CLUSTERS);
  fake_backend_init (&f->below, BYTES_MAX, &below);
  below.fd = -1;
  f->placed = block_placed_new (&below, f->file->path, false);
  g_assert_nonnull (f->placed);
  block_placed_get_backend (f->placed, &f->backend);
  memset (memory, 0x5a, sizeof memory);
}

static void
tear_down (Fixture *f, gconstpointer data)
{
  f->backend.ops->free (f->backend.opaque);
  g_assert_cmpuint (f->below.n_frees, ==, 1);
  fake_backend_clear (&f->below);
  qcow2_file_free (f->file);
}

static void
on_done (BlockRequest *request, int error)
{
  Tracked *tracked = (Tracked *) request;

  g_assert_false (tracked->done);
  tracked->done = true;
  tracked->error = error;
}

static void
begin (Fixture *f, Tracked *tracked, BlockOperation operation, uint64_t offset, uint64_t size)
{
  const uint64_t first = size / 3 / 512 * 512;
  const bool has_data = operation == BLOCK_READ || operation == BLOCK_WRITE;

  *tracked = (Tracked){
    .io = { .operation = operation,
            .offset = offset,
            .size = size,
            .iov = tracked->iov,
            .n_iov = has_data ? 2 : 0,
            .done = on_done },
    .iov = { { memory, first }, { memory + first, size - first } },
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

/* The kernel's part. */
static void
wait_for (Fixture *f, const Tracked *tracked)
{
  while (!tracked->done)
    {
      struct pollfd one = { .fd = f->backend.fd, .events = POLLIN };

      g_assert_cmpint (poll (&one, 1, 30000), ==, 1);
      f->backend.ops->reap (f->backend.opaque);
    }
}

/* Requests that are there. */
static unsigned
count_below (const Fixture *f)
{
  return f->below.prepared->len + f->below.started->len;
}

static void
expect (const Tracked *tracked, int error)
{
  g_assert_true (tracked->done);
  g_assert_cmpint (tracked->error, ==, error);
}

/* It is done without a word to who is below. */
static void
run_direct (Fixture *f, BlockOperation operation, uint64_t offset, uint64_t size)
{
  const unsigned n = count_below (f);
  Tracked tracked;

  begin (f, &tracked, operation, offset, size);
  wait_for (f, &tracked);
  expect (&tracked, 0);
  g_assert_cmpuint (count_below (f), ==, n);
}

/* It goes below, and is ended there. */
static void
run_below (Fixture *f, BlockOperation operation, uint64_t offset, uint64_t size, int error)
{
  Tracked tracked;

  begin (f, &tracked, operation, offset, size);
  g_assert_false (tracked.done);
  g_assert_cmpuint (fake_backend_find (&f->below, operation)->offset, ==, offset);
  g_assert_cmpuint (fake_backend_find (&f->below, operation)->size, ==, size);
  finish (f, operation, error);
  wait_for (f, &tracked); /* for the other half of a flush */
  expect (&tracked, error);
}

/* Whether it would be direct; nothing is left of it. */
static bool
is_direct (Fixture *f, uint64_t offset)
{
  const unsigned n = count_below (f);
  Tracked read;

  begin (f, &read, BLOCK_READ, offset, 512);
  const bool direct = count_below (f) == n;
  if (direct)
    wait_for (f, &read);
  else
    finish (f, BLOCK_READ, 0);
  expect (&read, 0);
  return direct;
}

static void
expect_in_file (Fixture *f, uint64_t place, uint8_t value, size_t size)
{
  g_autofree uint8_t *bytes = g_malloc (size);
  g_autofree uint8_t *expected = g_malloc (size);
  const int fd = open (f->file->path, O_RDONLY | O_CLOEXEC);

  memset (expected, value, size);
  g_assert_cmpint (pread (fd, bytes, size, (off_t) place), ==, (ssize_t) size);
  g_assert_cmpmem (bytes, size, expected, size);
  close (fd);
}

/* --- where requests go --- */

static void
test_direct (Fixture *f, gconstpointer data)
{
  run_direct (f, BLOCK_WRITE, 4096, 2 * CLUSTER);
  g_assert_cmpuint (block_calls.n_writes, ==, 1);
  expect_in_file (f, 20 * CLUSTER + 4096, 0x5a, 2 * CLUSTER);
  expect_in_file (f, 20 * CLUSTER, 0, 4096);
  memset (memory, 0, 2 * CLUSTER);
  run_direct (f, BLOCK_READ, 4096, 2 * CLUSTER);
  g_assert_cmpuint (block_calls.n_reads, ==, 1);
  for (unsigned i = 0; i < 2 * CLUSTER; i++)
    g_assert_cmphex (memory[i], ==, 0x5a);
}

/* One piece for each run of neighbours, with its own part of the memory. */
static void
test_pieces (Fixture *f, gconstpointer data)
{
  for (unsigned i = 0; i < 3 * CLUSTER; i++)
    memory[i] = (i + 512) / CLUSTER;
  run_direct (f, BLOCK_WRITE, APART * CLUSTER + 512, 3 * CLUSTER - 512);
  g_assert_cmpuint (block_calls.n_writes, ==, 3);
  expect_in_file (f, 30 * CLUSTER + 512, 0, CLUSTER - 512);
  expect_in_file (f, 28 * CLUSTER, 1, CLUSTER);
  expect_in_file (f, 26 * CLUSTER, 2, CLUSTER);
  memset (memory, 0xff, 3 * CLUSTER);
  run_direct (f, BLOCK_READ, APART * CLUSTER + 512, 3 * CLUSTER - 512);
  for (unsigned i = 0; i < 3 * CLUSTER - 512; i++)
    g_assert_cmphex (memory[i], ==, (i + 512) / CLUSTER);
}

/* A part without a place, too many pieces. */
static void
test_below (Fixture *f, gconstpointer data)
{
  run_below (f, BLOCK_READ, NOWHERE * CLUSTER, 2 * CLUSTER, 0);
  run_below (f, BLOCK_WRITE, NOWHERE * CLUSTER, 2 * CLUSTER, 0);
  run_below (f, BLOCK_WRITE, NOWHERE * CLUSTER, CLUSTER, ENOSPC);
  run_direct (f, BLOCK_READ, SCATTERED * CLUSTER, 16 * CLUSTER);
  run_below (f, BLOCK_READ, SCATTERED * CLUSTER, 17 * CLUSTER, 0);
  g_assert_cmpuint (block_calls.n_reads, ==, 16);
  g_assert_cmpuint (block_calls.n_writes, ==, 0);
}

static void
test_durable (Fixture *f, gconstpointer data)
{
  Tracked write = { 0 };

  write.io = (BlockRequest){ .operation = BLOCK_WRITE,
                             .size = 512,
                             .iov = &(struct iovec){ memory, 512 },
                             .n_iov = 1,
                             .durable = true,
                             .done = on_done };
  f->backend.ops->submit (f->backend.opaque, &write.io);
  f->backend.ops->kick (f->backend.opaque);
  wait_for (f, &write);
  g_assert_cmpuint (block_calls.n_durable, ==, 1);
}

/* The request comes as it was, however much of it was done. */
static void
test_error (Fixture *f, gconstpointer data)
{
  Tracked write;

  block_calls.write_error = EIO;
  begin (f, &write, BLOCK_WRITE, 0, CLUSTER);
  g_assert_false (write.done);
  const BlockRequest *io = fake_backend_find (&f->below, BLOCK_WRITE);
  g_assert_cmpuint (io->offset, ==, 0);
  g_assert_cmpuint (io->size, ==, CLUSTER);
  g_assert_cmpuint (io->iov[0].iov_len + io->iov[1].iov_len, ==, CLUSTER);
  g_assert_true (io->iov[0].iov_base == memory);
  finish (f, BLOCK_WRITE, ENOSPC);
  expect (&write, ENOSPC);
}

/* Below may not have the word for it. */
static void
test_no_room (Fixture *f, gconstpointer data)
{
  Tracked write;

  block_calls.write_error = ENOSPC;
  begin (f, &write, BLOCK_WRITE, 0, CLUSTER);
  expect (&write, ENOSPC);
  g_assert_cmpuint (count_below (f), ==, 0);
  block_calls.write_error = 0;
  run_direct (f, BLOCK_WRITE, 0, CLUSTER);
}

/* Nobody looks at the memory. */
static void
test_too_large (Fixture *f, gconstpointer data)
{
  const uint64_t size = (16 << 20) + 512;
  Tracked read = { .iov[0] = { memory, size } };

  read.io = (BlockRequest){
    .operation = BLOCK_READ, .size = size, .iov = read.iov, .n_iov = 1, .done = on_done
  };
  f->backend.ops->submit (f->backend.opaque, &read.io);
  f->backend.ops->kick (f->backend.opaque);
  g_assert_cmpuint (count_below (f), ==, 1);
  finish (f, BLOCK_READ, 0);
  expect (&read, 0);
}

/* --- when the tables are believed --- */

/* What below has not answered may be changing them. */
static void
test_settled (Fixture *f, gconstpointer data)
{
  Tracked write, flush;

  begin (f, &write, BLOCK_WRITE, NOWHERE * CLUSTER, 512);
  run_direct (f, BLOCK_READ, 0, 512); /* of the same table, and read before */
  qcow2_file_place (f->file, NOWHERE, 34);
  run_below (f, BLOCK_READ, NOWHERE * CLUSTER, 512, 0);
  finish (f, BLOCK_WRITE, 0);
  g_assert_true (is_direct (f, NOWHERE * CLUSTER));
  /* So may a flush. */
  run_below (f, BLOCK_WRITE, (NOWHERE + 2) * CLUSTER, 512, 0);
  begin (f, &flush, BLOCK_FLUSH, 0, 0);
  qcow2_file_place (f->file, NOWHERE + 2, 36);
  g_assert_false (is_direct (f, (NOWHERE + 2) * CLUSTER));
  finish (f, BLOCK_FLUSH, 0);
  g_assert_true (is_direct (f, (NOWHERE + 2) * CLUSTER));
}

/* Until it is flushed the tables say what was. */
static void
discard (Fixture *f, int error)
{
  g_assert_true (is_direct (f, 0));
  run_below (f, BLOCK_DISCARD, 0, CLUSTER, error);
  g_assert_false (is_direct (f, 0));
  g_assert_true (is_direct (f, CLUSTER));
  run_below (f, BLOCK_FLUSH, 0, 0, EIO);
  g_assert_false (is_direct (f, 0));
  run_below (f, BLOCK_FLUSH, 0, 0, 0);
  g_assert_true (is_direct (f, 0)); /* as the file says, which nobody has changed here */
}

static void
test_discard (Fixture *f, gconstpointer data)
{
  discard (f, 0);
  discard (f, EIO);
}

/* Is answered when it was flushed. */
static void
test_zeroes (Fixture *f, gconstpointer data)
{
  Tracked zeroes;

  g_assert_true (is_direct (f, 0));
  begin (f, &zeroes, BLOCK_WRITE_ZEROES, 0, CLUSTER);
  g_assert_false (is_direct (f, 0));
  g_assert_true (is_direct (f, CLUSTER));
  finish (f, BLOCK_WRITE_ZEROES, 0);
  g_assert_true (is_direct (f, 0));
}

/* A write that failed may have changed them as well. */
static void
test_failed_write (Fixture *f, gconstpointer data)
{
  run_below (f, BLOCK_WRITE, NOWHERE * CLUSTER, 512, EIO);
  qcow2_file_place (f->file, NOWHERE, 34);
  g_assert_false (is_direct (f, NOWHERE * CLUSTER));
  run_below (f, BLOCK_FLUSH, 0, 0, 0);
  g_assert_true (is_direct (f, NOWHERE * CLUSTER));
}

/* A place is not given away while something is on the way to it. */
static void
test_discard_waits (Fixture *f, gconstpointer data)
{
  Tracked write, other, first, second;

  if (!block_calls_have_ring ())
    {
      g_test_skip ("without io_uring nothing stays in flight");
      return;
    }
  block_calls.hold = true;
  begin (f, &write, BLOCK_WRITE, CLUSTER, CLUSTER);
  begin (f, &other, BLOCK_WRITE, APART * CLUSTER, CLUSTER);
  begin (f, &first, BLOCK_DISCARD, 2 * CLUSTER - 512, CLUSTER);
  g_assert_null (fake_backend_find (&f->below, BLOCK_DISCARD));
  begin (f, &second, BLOCK_WRITE_ZEROES, NOWHERE * CLUSTER, CLUSTER);
  g_assert_nonnull (fake_backend_find (&f->below, BLOCK_WRITE_ZEROES));
  finish (f, BLOCK_WRITE_ZEROES, 0);
  g_assert_false (is_direct (f, CLUSTER));
  block_calls_release ();
  wait_for (f, &write);
  wait_for (f, &other);
  g_assert_false (first.done);
  finish (f, BLOCK_DISCARD, 0);
  expect (&first, 0);
}

/* The process below may read a block of the medium, and write it with what is new. */
static void
test_write_waits (Fixture *f, gconstpointer data)
{
  Tracked direct, below, last;

  if (!block_calls_have_ring ())
    {
      g_test_skip ("without io_uring nothing stays in flight");
      return;
    }
  block_calls.hold = true;
  begin (f, &direct, BLOCK_WRITE, 2 * CLUSTER, 512);
  begin (f, &below, BLOCK_WRITE, 3 * CLUSTER - 512, 1024);
  g_assert_cmpuint (count_below (f), ==, 0);
  begin (f, &last, BLOCK_WRITE, 2 * CLUSTER + 4096, 512);
  g_assert_cmpuint (count_below (f), ==, 0);
  block_calls_release ();
  wait_for (f, &direct);
  g_assert_cmpuint (count_below (f), ==, 2);
  finish (f, BLOCK_WRITE, 0);
  finish (f, BLOCK_WRITE, 0);
  expect (&below, 0);
  expect (&last, 0);
  g_assert_true (is_direct (f, 2 * CLUSTER));
}

static void
test_drain (Fixture *f, gconstpointer data)
{
  Tracked write, held, below;

  block_calls.hold = block_calls_have_ring ();
  begin (f, &write, BLOCK_WRITE, 0, CLUSTER);
  begin (f, &held, BLOCK_DISCARD, 0, CLUSTER);
  begin (f, &below, BLOCK_READ, NOWHERE * CLUSTER, CLUSTER);
  f->below.lost = EIO;
  f->backend.ops->drain (f->backend.opaque);
  expect (&write, 0);
  expect (&held, EIO);
  expect (&below, EIO);
}

/* --- flushes --- */

static void
test_flush (Fixture *f, gconstpointer data)
{
  Tracked flush;

  /* Somebody has to be asked. */
  run_below (f, BLOCK_FLUSH, 0, 0, 0);
  g_assert_cmpuint (block_calls.n_syncs, ==, 0);
  run_direct (f, BLOCK_WRITE, 0, 512);
  run_direct (f, BLOCK_FLUSH, 0, 0);
  g_assert_cmpuint (block_calls.n_syncs, ==, 1);
  run_below (f, BLOCK_WRITE, NOWHERE * CLUSTER, 512, 0);
  run_below (f, BLOCK_FLUSH, 0, 0, 0);
  g_assert_cmpuint (block_calls.n_syncs, ==, 1);
  /* Both. */
  run_direct (f, BLOCK_WRITE, 0, 512);
  run_below (f, BLOCK_WRITE, NOWHERE * CLUSTER, 512, 0);
  run_below (f, BLOCK_FLUSH, 0, 0, EIO);
  run_below (f, BLOCK_FLUSH, 0, 0, 0);
  g_assert_cmpuint (block_calls.n_syncs, ==, 3);
  begin (f, &flush, BLOCK_FLUSH, 0, 0);
  finish (f, BLOCK_FLUSH, 0);
  expect (&flush, 0);
  g_assert_cmpuint (block_calls.n_syncs, ==, 3);
}

/* What one covers is not left out of the next before it is done. */
static void
test_flushes_at_once (Fixture *f, gconstpointer data)
{
  Tracked one, two, three;

  run_below (f, BLOCK_WRITE, NOWHERE * CLUSTER, 512, 0);
  run_direct (f, BLOCK_WRITE, 0, 512);
  begin (f, &one, BLOCK_FLUSH, 0, 0);
  begin (f, &two, BLOCK_FLUSH, 0, 0);
  g_assert_cmpuint (f->below.n_flushes, ==, 2);
  run_direct (f, BLOCK_WRITE, 0, 512); /* after them */
  finish (f, BLOCK_FLUSH, EIO);
  finish (f, BLOCK_FLUSH, 0);
  wait_for (f, &one);
  wait_for (f, &two);
  expect (&one, EIO);
  expect (&two, 0);
  g_assert_cmpuint (block_calls.n_syncs, ==, 2);
  begin (f, &three, BLOCK_FLUSH, 0, 0);
  wait_for (f, &three);
  g_assert_cmpuint (block_calls.n_syncs, ==, 3);
  g_assert_cmpuint (f->below.n_flushes, ==, 2);
}

static void
test_flush_error (Fixture *f, gconstpointer data)
{
  Tracked flush;

  run_direct (f, BLOCK_WRITE, 0, 512);
  block_calls.sync_error = EIO;
  begin (f, &flush, BLOCK_FLUSH, 0, 0);
  expect (&flush, EIO);
  block_calls.sync_error = 0;
  run_direct (f, BLOCK_FLUSH, 0, 0);
  g_assert_cmpuint (block_calls.n_syncs, ==, 2);
}

/* --- life --- */

static void
test_forget (Fixture *f, gconstpointer data)
{
  run_direct (f, BLOCK_READ, 0, 512);
  qcow2_file_place (f->file, FIRST, 0);
  block_placed_forget (f->placed);
  g_assert_false (is_direct (f, 0));
  g_assert_true (is_direct (f, CLUSTER));
  /* Another header: what the process below did, or somebody between two of them. */
  qcow2_file_set_header (f->file, QCOW2_FILE_INCOMPATIBLE, 8, 1 << 1);
  g_assert_true (is_direct (f, CLUSTER));
  g_test_expect_message ("vmm-block", G_LOG_LEVEL_WARNING, "*: its header has changed");
  run_below (f, BLOCK_WRITE, NOWHERE * CLUSTER, 512, EIO);
  g_test_assert_expected_messages ();
  run_below (f, BLOCK_FLUSH, 0, 0, 0);
  g_assert_false (is_direct (f, CLUSTER));
}

static void
test_another_file (Fixture *f, gconstpointer data)
{
  g_autofree char *other = g_strconcat (f->file->path, ".other", NULL);

  g_assert_true (is_direct (f, CLUSTER));
  g_assert_cmpint (g_rename (f->file->path, other), ==, 0);
  g_assert_true (g_file_set_contents (f->file->path, "", 0, NULL));
  block_placed_forget (f->placed);
  g_assert_false (is_direct (f, CLUSTER));
  g_unlink (other); /* the empty one goes with the fixture */
}

static void
test_look (Fixture *f, gconstpointer data)
{
  Tracked read;

  begin (f, &read, BLOCK_READ, NOWHERE * CLUSTER, 512);
  f->below.ending = fake_backend_find (&f->below, BLOCK_READ);
  f->backend.ops->look (f->backend.opaque);
  g_assert_cmpuint (f->below.n_looks, ==, 1);
  expect (&read, 0);
}

/* Both can be waited for. */
static void
test_fd (Fixture *f, gconstpointer data)
{
  int ends[2];
  BlockBackend below, backend;
  FakeBackend fake;
  struct pollfd one = { .events = POLLIN };

  g_assert_cmpint (pipe2 (ends, O_CLOEXEC), ==, 0);
  fake_backend_init (&fake, BYTES_MAX, &below);
  below.fd = ends[0];
  g_autoptr (Qcow2File) file = qcow2_file_new_placed (&(unsigned){ QCOW2_FILE_DATA }, 1);
  BlockPlaced *placed = block_placed_new (&below, file->path, true);
  block_placed_get_backend (placed, &backend);
  one.fd = backend.fd;
  g_assert_cmpint (poll (&one, 1, 0), ==, 0);
  g_assert_cmpint (write (ends[1], "", 1), ==, 1);
  g_assert_cmpint (poll (&one, 1, 0), ==, 1);
  backend.ops->free (backend.opaque);
  fake_backend_clear (&fake);
  close (ends[0]);
  close (ends[1]);
}

static void
test_unfit (Fixture *f, gconstpointer data)
{
  BlockBackend below;
  FakeBackend fake;

  fake_backend_init (&fake, BYTES_MAX, &below);
  g_assert_null (block_placed_new (&below, "/nowhere/disk", false));
  g_assert_null (block_placed_new (&below, "/dev/null", false));
  g_assert_null (block_placed_new (&below, "/proc/self/exe", true));
  g_assert_cmpuint (fake.n_frees, ==, 0);
  fake_backend_clear (&fake);
}

#define TEST(name, function)                                                                       \
  g_test_add ("/block-placed/" name, Fixture, NULL, set_up, function, tear_down)
#define TEST_WITHOUT_RING(name, function)                                                          \
  g_test_add ("/block-placed/" name, Fixture, "no ring", set_up, function, tear_down)

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  TEST ("direct", test_direct);
  TEST_WITHOUT_RING ("direct-without-ring", test_direct);
  TEST ("pieces", test_pieces);
  TEST_WITHOUT_RING ("pieces-without-ring", test_pieces);
  TEST ("below", test_below);
  TEST ("durable", test_durable);
  TEST_WITHOUT_RING ("error", test_error);
  TEST_WITHOUT_RING ("no-room", test_no_room);
  TEST ("too-large", test_too_large);
  TEST ("settled", test_settled);
  TEST ("discard", test_discard);
  TEST ("zeroes", test_zeroes);
  TEST ("failed-write", test_failed_write);
  TEST ("discard-waits", test_discard_waits);
  TEST ("write-waits", test_write_waits);
  TEST ("drain", test_drain);
  TEST ("flush", test_flush);
  TEST ("flushes-at-once", test_flushes_at_once);
  TEST_WITHOUT_RING ("flush-error", test_flush_error);
  TEST ("forget", test_forget);
  TEST ("another-file", test_another_file);
  TEST ("look", test_look);
  TEST ("fd", test_fd);
  TEST ("unfit", test_unfit);
  return g_test_run ();
}
