#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>
#include <glib/gstdio.h>

#include "block-calls.h"
#include "block/block-raw.h"

#define IMAGE (1u << 20)

/* Each test with the ring and without, where there is one. */
typedef struct Fixture
{
  char *path;
  BlockRaw *raw;
  unsigned n_done;
  int error; /* of the last */
} Fixture;

typedef struct Tracked
{
  BlockRequest io; /* first: on_done () casts */
  Fixture *fixture;
} Tracked;

static uint8_t
pattern (uint64_t offset)
{
  return (offset >> 9) * 7 + offset;
}

static void
setup (Fixture *f, gconstpointer data)
{
  g_autofree uint8_t *bytes = g_malloc (IMAGE);
  g_autoptr (GError) error = NULL;
  BlockImage image;

  block_calls = (BlockCalls){ .no_ring = data != NULL };
  for (unsigned i = 0; i < IMAGE; i++)
    bytes[i] = pattern (i);
  close (g_file_open_tmp ("alcove-raw-XXXXXX", &f->path, NULL));
  g_assert_true (g_file_set_contents (f->path, (const char *) bytes, IMAGE, NULL));
  g_assert_true (block_image_open (&image, f->path, false, &error));
  g_assert_no_error (error);
  f->raw = block_raw_new (&image);
  g_assert_cmpint (block_raw_get_fd (f->raw) >= 0, ==, !data && block_calls_have_ring ());
}

static void
teardown (Fixture *f, gconstpointer data)
{
  block_raw_free (f->raw);
  g_unlink (f->path);
  g_free (f->path);
}

static void
on_done (BlockRequest *io, int error)
{
  Tracked *tracked = (Tracked *) io;

  tracked->fixture->n_done++;
  tracked->fixture->error = error;
}

/* Its errno. */
static int
run (Fixture *f, BlockRequest io)
{
  Tracked tracked = { .io = io, .fixture = f };

  tracked.io.done = on_done;
  f->n_done = 0;
  block_raw_submit (f->raw, &tracked.io);
  block_raw_kick (f->raw);
  block_raw_drain (f->raw);
  g_assert_cmpuint (f->n_done, ==, 1);
  return f->error;
}

static int
transfer (Fixture *f, BlockOperation operation, uint64_t offset, void *bytes, size_t size,
          bool durable)
{
  /* An odd place and pieces: one that direct I/O takes, one that it does not. */
  struct iovec iov[] = { { bytes, 100 }, { (uint8_t *) bytes + 100, size - 100 } };

  return run (f, (BlockRequest){ .operation = operation,
                                 .offset = offset,
                                 .size = size,
                                 .iov = iov,
                                 .n_iov = 2,
                                 .durable = durable });
}

static void
assert_file (Fixture *f, uint64_t offset, const uint8_t *expected, size_t size)
{
  g_autofree uint8_t *bytes = g_malloc (size);
  const int fd = open (f->path, O_RDONLY | O_CLOEXEC);

  g_assert_cmpint (pread (fd, bytes, size, (off_t) offset), ==, size);
  close (fd);
  g_assert_cmpmem (bytes, size, expected, size);
}

static void
test_transfers (Fixture *f, gconstpointer data)
{
  uint8_t bytes[8192];

  g_assert_cmpint (transfer (f, BLOCK_READ, 1024, bytes, sizeof bytes, false), ==, 0);
  for (unsigned i = 0; i < sizeof bytes; i++)
    g_assert_cmphex (bytes[i], ==, pattern (1024 + i));
  memset (bytes, 0x5a, sizeof bytes);
  g_assert_cmpint (transfer (f, BLOCK_WRITE, 4096, bytes, sizeof bytes, false), ==, 0);
  assert_file (f, 4096, bytes, sizeof bytes);
  g_assert_cmpuint (block_calls.n_reads, ==, 1);
  g_assert_cmpuint (block_calls.n_writes, ==, 1);
  g_assert_cmpuint (block_calls.n_durable + block_calls.n_syncs, ==, 0);
}

/* Moved in parts, they are continued, with pieces in the middle of a part. */
static void
test_short_transfers (Fixture *f, gconstpointer data)
{
  uint8_t bytes[4096];

  block_calls.at_most = 700;
  g_assert_cmpint (transfer (f, BLOCK_READ, 512, bytes, sizeof bytes, false), ==, 0);
  for (unsigned i = 0; i < sizeof bytes; i++)
    g_assert_cmphex (bytes[i], ==, pattern (512 + i));
  g_assert_cmpuint (block_calls.n_reads, ==, 7);
  for (unsigned i = 0; i < sizeof bytes; i++)
    bytes[i] = i / 3;
  g_assert_cmpint (transfer (f, BLOCK_WRITE, 8192, bytes, sizeof bytes, true), ==, 0);
  assert_file (f, 8192, bytes, sizeof bytes);
  g_assert_cmpuint (block_calls.n_durable, ==, 7);
}

/* What a guest relies on when the host loses its power. */
static void
test_flushes_reach_the_kernel (Fixture *f, gconstpointer data)
{
  uint8_t bytes[512] = { 1 };

  g_assert_cmpint (run (f, (BlockRequest){ .operation = BLOCK_FLUSH }), ==, 0);
  g_assert_cmpuint (block_calls.n_syncs, ==, 1);
  g_assert_cmpint (transfer (f, BLOCK_WRITE, 0, bytes, sizeof bytes, true), ==, 0);
  g_assert_cmpuint (block_calls.n_durable, ==, 1);
  for (unsigned unmap = 0; unmap < 2; unmap++)
    {
      const BlockRequest zeroes = {
        .operation = BLOCK_WRITE_ZEROES, .size = 4096, .may_unmap = unmap, .durable = true
      };

      g_assert_cmpint (run (f, zeroes), ==, 0);
      g_assert_cmpuint (block_calls.n_syncs, ==, 2 + unmap);
    }
}

/* The host gets its room back only where the guest allows it. */
static void
test_zeroes_unmap (Fixture *f, gconstpointer data)
{
  static const uint8_t zeros[8192];
  BlockRequest zeroes = { .operation = BLOCK_WRITE_ZEROES, .offset = 4096, .size = sizeof zeros };

  g_assert_cmpint (run (f, zeroes), ==, 0);
  g_assert_cmphex (block_calls.allocate_modes & FALLOC_FL_PUNCH_HOLE, ==, 0);
  assert_file (f, 4096, zeros, sizeof zeros);
  block_calls.allocate_modes = 0;
  zeroes.offset = 65536;
  zeroes.may_unmap = true;
  g_assert_cmpint (run (f, zeroes), ==, 0);
  g_assert_cmphex (block_calls.allocate_modes, ==, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE);
  assert_file (f, 65536, zeros, sizeof zeros);
}

/* Where the file system knows neither holes nor zeroed ranges. */
static void
test_zeroes_by_writing (Fixture *f, gconstpointer data)
{
  static const uint8_t zeros[70000 / 512 * 512];
  const BlockRequest zeroes = {
    .operation = BLOCK_WRITE_ZEROES, .offset = 512, .size = sizeof zeros, .may_unmap = true
  };

  block_calls.allocate_refused = FALLOC_FL_PUNCH_HOLE | FALLOC_FL_ZERO_RANGE;
  for (unsigned i = 0; i < 2; i++)
    {
      block_calls.allocate_modes = 0;
      g_assert_cmpint (run (f, zeroes), ==, 0);
      assert_file (f, 512, zeros, sizeof zeros);
    }
  /* It is not asked again for what it does not know. */
  g_assert_cmphex (block_calls.allocate_modes, ==, 0);
  g_assert_cmpint (run (f, (BlockRequest){ .operation = BLOCK_DISCARD, .size = 4096 }), ==, 0);
}

/* Only what may be tried again says that there is no room: after a flush that failed it is not known what was lost. */
static void
test_no_room (Fixture *f, gconstpointer data)
{
  BlockRequest zeroes = { .operation = BLOCK_WRITE_ZEROES, .size = 4096 };
  uint8_t bytes[512] = { 1 };

  block_calls.write_error = ENOSPC;
  g_assert_cmpint (transfer (f, BLOCK_WRITE, 0, bytes, sizeof bytes, false), ==, ENOSPC);
  g_assert_cmpint (run (f, zeroes), ==, ENOSPC);
  block_calls.write_error = 0;
  block_calls.sync_error = ENOSPC;
  g_assert_cmpint (run (f, (BlockRequest){ .operation = BLOCK_FLUSH }), ==, EIO);
  zeroes.durable = true;
  g_assert_cmpint (run (f, zeroes), ==, EIO);
  block_calls.sync_error = EDQUOT;
  g_assert_cmpint (run (f, (BlockRequest){ .operation = BLOCK_FLUSH }), ==, EIO);
}

static void
add (const char *name, void (*func) (Fixture *f, gconstpointer data), bool with_ring)
{
  g_autofree char *ring = g_strconcat ("/block-raw/ring/", name, NULL);
  g_autofree char *plain = g_strconcat ("/block-raw/plain/", name, NULL);

  if (with_ring)
    g_test_add (ring, Fixture, NULL, setup, func, teardown);
  g_test_add (plain, Fixture, "plain", setup, func, teardown);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  add ("transfers", test_transfers, true);
  add ("short-transfers", test_short_transfers, false);
  add ("flushes-reach-the-kernel", test_flushes_reach_the_kernel, true);
  add ("zeroes-unmap", test_zeroes_unmap, true);
  add ("zeroes-by-writing", test_zeroes_by_writing, false);
  add ("no-room", test_no_room, false);
  return g_test_run ();
}
