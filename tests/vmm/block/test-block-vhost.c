#include <errno.h>
#include <poll.h>
#include <string.h>
#include <time.h>
#include <linux/virtio_blk.h>
#include <sys/socket.h>

#include "vhost-disk.h"

#define SECTOR BLOCK_SECTOR_SIZE

/* Time runs as it does, or by an hour from one look at it to the next. */
static bool hurry;

gint64
g_get_monotonic_time (void)
{
  static gint64 ahead;
  struct timespec now;

  clock_gettime (CLOCK_MONOTONIC, &now);
  if (hurry)
    ahead += G_TIME_SPAN_HOUR;
  return now.tv_sec * G_TIME_SPAN_SECOND + now.tv_nsec / 1000 + ahead;
}

/* --- what is asked, and what is answered --- */

static void
test_transfers (VhostDisk *f, gconstpointer data)
{
  uint8_t *bytes = vhost_disk_take_memory (f, 4096), *back = vhost_disk_take_memory (f, 4096);

  memset (bytes, 0x5a, 4096);
  g_assert_cmpint (vhost_disk_do (f, BLOCK_READ, 512, back, 4096), ==, 0);
  g_assert_cmpmem (back, 4096, f->bytes + 512, 4096);
  g_assert_cmpint (vhost_disk_do (f, BLOCK_WRITE, 8192, bytes, 4096), ==, 0);
  g_assert_cmpmem (f->bytes + 8192, 4096, bytes, 4096);
  g_assert_cmphex (f->bytes[8191], ==, (uint8_t) (8191 * 7 + (8191 >> 9)));
  g_assert_cmpint (vhost_disk_do (f, BLOCK_READ, VHOST_DISK_SIZE - 512, back, 512), ==, 0);
  g_assert_cmpmem (back, 512, f->bytes + VHOST_DISK_SIZE - 512, 512);
  g_assert_cmpuint (vhost_disk_get (&f->seen.by_type[VIRTIO_BLK_T_FLUSH]), ==, 0);
  g_assert_cmpint (vhost_disk_do (f, BLOCK_FLUSH, 0, NULL, 0), ==, 0);
  g_assert_cmpuint (vhost_disk_get (&f->seen.by_type[VIRTIO_BLK_T_FLUSH]), ==, 1);
  g_assert_cmpint (vhost_disk_do (f, BLOCK_DISCARD, 65536, NULL, 1024), ==, 0);
  g_assert_cmphex (f->bytes[65536 + 1023], ==, 0xdd);
  g_assert_cmpint (vhost_disk_do (f, BLOCK_WRITE_ZEROES, 8192, NULL, 1024), ==, 0);
  g_assert_cmphex (f->bytes[8192 + 1023], ==, 0);
  g_assert_cmphex (f->bytes[8192 + 1024], ==, 0x5a);
  g_assert_cmpuint (vhost_disk_get (&f->seen.unmaps), ==, 0);
  g_assert_cmpuint (vhost_disk_get (&f->seen.taken), ==, 6);
  g_assert_cmpuint (f->peer.n_starts, ==, 1);
  g_assert_cmpuint (f->peer.n_failures, ==, 0);
}

/* Pieces of memory that do not end where sectors do, in more steps than one. */
static void
test_pieces (VhostDisk *f, gconstpointer data)
{
  static const size_t sizes[] = { 100, 412, 70000, 300000, 1, 1023, 200000, 29552 };
  enum
  {
    SIZE = 1174 * SECTOR
  };
  uint8_t *bytes = vhost_disk_take_memory (f, SIZE);

  f->config.seg_max = 4;
  vhost_disk_begin_anew (f);
  for (unsigned operation = BLOCK_READ; operation <= BLOCK_WRITE; operation++)
    {
      VhostDiskRequest tracked = { .io = { .operation = operation, .offset = 1024 } };
      uint8_t *at = bytes;

      for (unsigned i = 0; i < G_N_ELEMENTS (sizes); i++, at += sizes[i - 1])
        {
          tracked.iov[i] = (struct iovec){ at, sizes[i] };
          tracked.io.size += sizes[i];
        }
      tracked.io.iov = tracked.iov;
      tracked.io.n_iov = G_N_ELEMENTS (sizes);
      g_assert_cmpuint (tracked.io.size, ==, SIZE);
      memset (bytes, 'w', SIZE);
      vhost_disk_submit (f, &tracked);
      vhost_disk_kick (f);
      vhost_disk_wait_done (f, &tracked);
      g_assert_cmpint (tracked.error, ==, 0);
      g_assert_cmpmem (bytes, SIZE, f->bytes + 1024, SIZE);
      g_assert_true ((bytes[SIZE - 1] == 'w') == (operation == BLOCK_WRITE));
    }
  g_assert_cmpuint (vhost_disk_get (&f->seen.most_segments), ==, 4);
  g_assert_cmpuint (vhost_disk_get (&f->seen.by_type[VIRTIO_BLK_T_IN]), ==, 3);
  g_assert_cmpuint (vhost_disk_get (&f->seen.by_type[VIRTIO_BLK_T_OUT]), ==, 3);
}

/* More than the shared memory has room for; the small one behind them has its turn. */
static void
test_large (VhostDisk *f, gconstpointer data)
{
  enum
  {
    N = 12,
    EACH = 1 << 20,
    SHARED = 8 << 20
  };
  uint8_t *bytes = vhost_disk_take_memory (f, N * EACH),
          *small = vhost_disk_take_memory (f, SECTOR);
  VhostDiskRequest all[N], last;

  f->config.holds = 1;
  vhost_disk_begin_anew (f);
  for (unsigned i = 0; i < N; i++)
    vhost_disk_ask (f, &all[i], BLOCK_READ, i % 7 * EACH + SECTOR, bytes + i * EACH, EACH);
  vhost_disk_ask (f, &last, BLOCK_READ, SECTOR, small, SECTOR);
  vhost_disk_kick (f);
  vhost_disk_wait_taken (f, SHARED / EACH);
  for (unsigned i = 1; i < N; i++)
    vhost_disk_wait_done (f, &all[i]);
  vhost_disk_wait_done (f, &last);
  vhost_user_back_end_let_go (f->server);
  vhost_disk_wait_done (f, &all[0]);
  for (unsigned i = 0; i < N; i++)
    g_assert_cmpmem (bytes + i * EACH, EACH, f->bytes + i % 7 * EACH + SECTOR, EACH);
  g_assert_cmpmem (small, SECTOR, f->bytes + SECTOR, SECTOR);
  g_assert_cmpuint (vhost_disk_get (&f->seen.most_segments), ==, 16);
}

static void
test_ranges (VhostDisk *f, gconstpointer data)
{
  VhostDiskRequest zeroes = { .io = { .operation = BLOCK_WRITE_ZEROES,
                                      .offset = 65536,
                                      .size = 100 * SECTOR,
                                      .may_unmap = true } };

  f->config.max_discard_sectors = 64;
  f->config.max_write_zeroes_sectors = 32;
  vhost_disk_begin_anew (f);
  g_assert_cmpint (vhost_disk_do (f, BLOCK_DISCARD, 512, NULL, 1000 * SECTOR), ==, 0);
  g_assert_cmpuint (vhost_disk_get (&f->seen.by_type[VIRTIO_BLK_T_DISCARD]), ==, 16);
  g_assert_cmpuint (vhost_disk_get (&f->seen.largest_range), ==, 64);
  g_assert_cmphex (f->bytes[511], ==, (uint8_t) (511 * 7));
  for (unsigned i = 512; i < 512 + 1000 * SECTOR; i++)
    g_assert_cmphex (f->bytes[i], ==, 0xdd);
  g_assert_cmphex (f->bytes[512 + 1000 * SECTOR + 1], !=, 0xdd);
  vhost_disk_submit (f, &zeroes);
  vhost_disk_kick (f);
  vhost_disk_wait_done (f, &zeroes);
  g_assert_cmpint (zeroes.error, ==, 0);
  g_assert_cmpuint (vhost_disk_get (&f->seen.by_type[VIRTIO_BLK_T_WRITE_ZEROES]), ==, 4);
  g_assert_cmpuint (vhost_disk_get (&f->seen.unmaps), ==, 4);
  for (unsigned i = 0; i < 100 * SECTOR; i++)
    g_assert_cmphex (f->bytes[65536 + i], ==, 0);
  g_assert_cmphex (f->bytes[65536 + 100 * SECTOR], ==, 0xdd);
}

/* The flush comes after the write is done, and only then the request is. */
static void
test_durable (VhostDisk *f, gconstpointer data)
{
  uint8_t *bytes = vhost_disk_take_memory (f, SECTOR);
  VhostDiskRequest tracked = { .io = { .operation = BLOCK_WRITE,
                                       .size = SECTOR,
                                       .durable = true,
                                       .iov = tracked.iov,
                                       .n_iov = 1 },
                               .iov = { { bytes, SECTOR } } };
  VhostDiskRequest zeroes = {
    .io = { .operation = BLOCK_WRITE_ZEROES, .size = SECTOR, .durable = true }
  };
  VhostDiskRequest after;

  memset (bytes, 'd', SECTOR);
  f->config.holds = 1;
  vhost_disk_begin_anew (f);
  vhost_disk_submit (f, &tracked);
  vhost_disk_ask (f, &after, BLOCK_READ, 8192, vhost_disk_take_memory (f, SECTOR), SECTOR);
  vhost_disk_kick (f);
  vhost_disk_wait_done (f, &after);
  g_assert_false (tracked.done);
  g_assert_cmpuint (vhost_disk_get (&f->seen.by_type[VIRTIO_BLK_T_FLUSH]), ==, 0);
  vhost_user_back_end_let_go (f->server);
  vhost_disk_wait_done (f, &tracked);
  g_assert_cmpuint (vhost_disk_get (&f->seen.by_type[VIRTIO_BLK_T_FLUSH]), ==, 1);
  g_assert_cmphex (f->bytes[SECTOR - 1], ==, 'd');

  f->config.holds = 2; /* the flush */
  vhost_disk_begin_anew (f);
  vhost_disk_submit (f, &zeroes);
  vhost_disk_kick (f);
  while (vhost_disk_get (&f->seen.taken) < 2)
    vhost_disk_reap (f);
  vhost_disk_reap (f);
  g_assert_false (zeroes.done);
  g_assert_cmpuint (vhost_disk_get (&f->seen.by_type[VIRTIO_BLK_T_FLUSH]), ==, 1);
  g_assert_cmphex (f->bytes[SECTOR - 1], ==, 0);
  vhost_user_back_end_let_go (f->server);
  vhost_disk_wait_done (f, &zeroes);
  g_assert_cmpint (zeroes.error, ==, 0);
}

/* More requests than the queue holds. */
static void
test_many (VhostDisk *f, gconstpointer data)
{
  enum
  {
    N = 1000,
    EACH = 1024
  };
  uint8_t *bytes = vhost_disk_take_memory (f, N * EACH);
  g_autofree VhostDiskRequest *all = g_new0 (VhostDiskRequest, N);
  VhostDiskRequest *first = &all[0];

  f->config.holds = 1;
  vhost_disk_begin_anew (f);
  for (unsigned i = 0; i < N; i++)
    {
      memset (bytes + i * EACH, i, EACH);
      vhost_disk_ask (f, &all[i], i % 2 ? BLOCK_WRITE : BLOCK_READ, i * EACH, bytes + i * EACH,
                      EACH);
    }
  vhost_disk_kick (f);
  vhost_disk_wait_taken (f, VHOST_DISK_QUEUE);
  for (unsigned i = 1; i < N; i++)
    vhost_disk_wait_done (f, &all[i]);
  g_assert_false (first->done);
  vhost_user_back_end_let_go (f->server);
  vhost_disk_wait_done (f, first);
  for (unsigned i = 0; i < N; i++)
    {
      g_assert_cmpint (all[i].error, ==, 0);
      g_assert_cmpmem (bytes + i * EACH, EACH, f->bytes + i * EACH, EACH);
      if (i % 2)
        g_assert_cmphex (f->bytes[i * EACH + EACH - 1], ==, (uint8_t) i);
    }
  g_assert_cmpuint (vhost_disk_get (&f->seen.taken), ==, N);
  g_assert_cmpuint (f->peer.n_failures, ==, 0);
}

/* Who is told that one is done asks for the next one at once. */
typedef struct Chain
{
  BlockRequest io; /* first: on_link_done () casts */
  struct iovec iov;
  VhostDisk *fixture;
  unsigned left;
} Chain;

static void
on_link_done (BlockRequest *io, int error)
{
  Chain *chain = (Chain *) io;
  VhostDisk *f = chain->fixture;

  g_assert_cmpint (error, ==, 0);
  if (--chain->left == 0)
    return;
  f->backend.ops->submit (f->backend.opaque, io);
  f->backend.ops->kick (f->backend.opaque);
}

static void
test_chains (VhostDisk *f, gconstpointer data)
{
  Chain chains[200];

  for (unsigned i = 0; i < G_N_ELEMENTS (chains); i++)
    {
      chains[i] = (Chain){ .io = { .operation = BLOCK_READ,
                                   .size = SECTOR,
                                   .n_iov = 1,
                                   .iov = &chains[i].iov,
                                   .done = on_link_done },
                           .iov = { vhost_disk_take_memory (f, SECTOR), SECTOR },
                           .fixture = f,
                           .left = 20 };
      f->backend.ops->submit (f->backend.opaque, &chains[i].io);
    }
  vhost_disk_kick (f);
  for (unsigned i = 0; i < G_N_ELEMENTS (chains); i++)
    while (chains[i].left > 0)
      {
        vhost_disk_wait_readable (f);
        vhost_disk_reap (f);
      }
  g_assert_cmpuint (vhost_disk_get (&f->seen.taken), ==, 20 * G_N_ELEMENTS (chains));
}

/* Discards are a hint. */
static void
test_errors (VhostDisk *f, gconstpointer data)
{
  static const uint8_t statuses[] = { VIRTIO_BLK_S_IOERR, VIRTIO_BLK_S_UNSUPP, 3, 0xff };
  uint8_t *bytes = vhost_disk_take_memory (f, SECTOR);

  for (unsigned i = 0; i < G_N_ELEMENTS (statuses); i++)
    {
      f->config.status = statuses[i];
      vhost_disk_begin_anew (f);
      g_assert_cmpint (vhost_disk_do (f, BLOCK_READ, 0, bytes, SECTOR), ==, EIO);
      g_assert_cmpint (vhost_disk_do (f, BLOCK_WRITE, 0, bytes, SECTOR), ==, EIO);
      g_assert_cmpint (vhost_disk_do (f, BLOCK_FLUSH, 0, NULL, 0), ==, EIO);
      g_assert_cmpint (vhost_disk_do (f, BLOCK_DISCARD, 0, NULL, SECTOR), ==, 0);
      g_assert_cmpint (vhost_disk_do (f, BLOCK_WRITE_ZEROES, 0, NULL, SECTOR), ==, EIO);
      g_assert_cmpuint (f->peer.n_failures, ==, 0);
    }
}

/* --- who looks, and who sleeps --- */

/* Nobody has to be told for an answer to be found. */
static void
test_look (VhostDisk *f, gconstpointer data)
{
  uint8_t *bytes = vhost_disk_take_memory (f, SECTOR);
  VhostDiskRequest first, second;

  f->config.never_calls = true;
  vhost_disk_begin_anew (f);
  vhost_disk_ask (f, &first, BLOCK_READ, 0, bytes, SECTOR);
  vhost_disk_kick (f);
  while (!first.done)
    f->backend.ops->look (f->backend.opaque);
  vhost_disk_ask (f, &second, BLOCK_READ, SECTOR, bytes, SECTOR);
  vhost_disk_kick (f);
  while (!second.done)
    vhost_disk_reap (f);
  g_assert_cmpint (first.error | second.error, ==, 0);
  g_assert_cmpmem (bytes, SECTOR, f->bytes + SECTOR, SECTOR);
}

/* Who looks is not called: but for the first, which was asked for before anybody looked. */
static void
test_no_calls (VhostDisk *f, gconstpointer data)
{
  uint8_t *bytes = vhost_disk_take_memory (f, SECTOR);
  VhostDiskRequest tracked;

  for (unsigned i = 0; i < 50; i++)
    {
      vhost_disk_ask (f, &tracked, BLOCK_READ, i * SECTOR, bytes, SECTOR);
      vhost_disk_kick (f);
      while (!tracked.done)
        f->backend.ops->look (f->backend.opaque);
    }
  g_assert_cmpuint (vhost_disk_get (&f->seen.calls), ==, 1);
}

/* One that comes late does not keep anybody awake. */
static void
test_call_for_nothing (VhostDisk *f, gconstpointer data)
{
  struct pollfd one = { .fd = f->backend.fd, .events = POLLIN };
  uint8_t *bytes = vhost_disk_take_memory (f, SECTOR);

  for (unsigned i = 0; i < 3; i++)
    {
      vhost_user_back_end_call (f->server);
      vhost_disk_wait_readable (f);
      vhost_disk_reap (f);
      g_assert_cmpint (poll (&one, 1, 0), ==, 0);
      g_assert_cmpint (vhost_disk_do (f, BLOCK_READ, i * SECTOR, bytes, SECTOR), ==, 0);
      g_assert_cmpmem (bytes, SECTOR, f->bytes + i * SECTOR, SECTOR);
    }
  g_assert_cmpuint (f->peer.n_failures, ==, 0);
}

/* After any number of looks and answers: who is about to sleep reaps, and is woken; and is not while there is nothing. */
static void
test_wake_up (VhostDisk *f, gconstpointer data)
{
  struct pollfd one = { .events = POLLIN };
  uint8_t *bytes = vhost_disk_take_memory (f, SECTOR);

  for (unsigned n_looks = 0; n_looks < 40; n_looks++)
    {
      VhostDiskRequest held;

      f->config.holds = n_looks + 1;
      vhost_disk_begin_anew (f);
      one.fd = f->backend.fd;
      for (unsigned i = 0; i < n_looks; i++)
        {
          VhostDiskRequest looked_for;

          vhost_disk_ask (f, &looked_for, BLOCK_READ, 0, bytes, SECTOR);
          vhost_disk_kick (f);
          while (!looked_for.done)
            f->backend.ops->look (f->backend.opaque);
        }
      vhost_disk_ask (f, &held, BLOCK_READ, 0, bytes, SECTOR);
      vhost_disk_kick (f);
      vhost_disk_wait_taken (f, n_looks + 1);
      vhost_disk_reap (f);
      g_assert_false (held.done);
      g_assert_cmpint (poll (&one, 1, 0), ==, 0);
      vhost_user_back_end_let_go (f->server);
      vhost_disk_wait_readable (f);
      vhost_disk_reap (f);
      g_assert_true (held.done);
      g_assert_cmpint (poll (&one, 1, 0), ==, 0);
    }
}

/* Several requests in one go are one kick. */
static void
test_one_kick (VhostDisk *f, gconstpointer data)
{
  uint8_t *bytes = vhost_disk_take_memory (f, 64 * SECTOR);
  VhostDiskRequest all[64];

  for (unsigned i = 0; i < G_N_ELEMENTS (all); i++)
    vhost_disk_ask (f, &all[i], BLOCK_READ, i * SECTOR, bytes + i * SECTOR, SECTOR);
  g_assert_cmpuint (vhost_disk_get (&f->seen.taken), ==, 0);
  vhost_disk_kick (f);
  vhost_disk_wait_taken (f, G_N_ELEMENTS (all));
  for (unsigned i = 0; i < G_N_ELEMENTS (all); i++)
    vhost_disk_wait_done (f, &all[i]);
  g_assert_cmpuint (vhost_disk_get (&f->seen.kicks), ==, 1);
}

/* A server that looks itself is not woken. */
static void
test_no_kicks (VhostDisk *f, gconstpointer data)
{
  uint8_t *bytes = vhost_disk_take_memory (f, SECTOR);

  f->config.never_sleeps = true;
  vhost_disk_begin_anew (f);
  for (unsigned i = 0; i < 50; i++)
    g_assert_cmpint (vhost_disk_do (f, BLOCK_READ, i * SECTOR, bytes, SECTOR), ==, 0);
  shutdown (f->peer.fd, SHUT_RDWR);
  vhost_disk_wait_lost (f);
  g_assert_cmpuint (vhost_disk_get (&f->seen.kicks), ==, 0);
}

static gpointer
let_go (gpointer data)
{
  VhostDisk *f = data;

  vhost_disk_wait_taken (f, 1);
  vhost_user_back_end_let_go (f->server);
  return NULL;
}

static void
test_drain (VhostDisk *f, gconstpointer data)
{
  uint8_t *bytes = vhost_disk_take_memory (f, SECTOR);
  VhostDiskRequest tracked;

  f->config.holds = 1;
  vhost_disk_begin_anew (f);
  vhost_disk_ask (f, &tracked, BLOCK_READ, 0, bytes, SECTOR); /* and no kick */
  GThread *thread = g_thread_new ("let go", let_go, f);
  f->backend.ops->drain (f->backend.opaque);
  g_thread_join (thread);
  g_assert_true (tracked.done);
  g_assert_cmpint (tracked.error, ==, 0);
  g_assert_cmpmem (bytes, SECTOR, f->bytes, SECTOR);
  g_assert_cmpuint (f->peer.n_failures, ==, 0);
  /* It goes on as before. */
  g_assert_cmpint (vhost_disk_do (f, BLOCK_READ, SECTOR, bytes, SECTOR), ==, 0);
}

/* A server that does not answer is not waited for without end. */
static void
test_drain_in_vain (VhostDisk *f, gconstpointer data)
{
  uint8_t *bytes = vhost_disk_take_memory (f, 200 * SECTOR);
  VhostDiskRequest all[200];

  f->config.holds = 1;
  vhost_disk_begin_anew (f);
  for (unsigned i = 0; i < G_N_ELEMENTS (all); i++)
    vhost_disk_ask (f, &all[i], BLOCK_WRITE, i * SECTOR, bytes, SECTOR);
  vhost_disk_kick (f);
  vhost_disk_wait_taken (f, VHOST_DISK_QUEUE);
  hurry = true;
  f->backend.ops->drain (f->backend.opaque);
  hurry = false;
  g_assert_true (all[0].done);
  g_assert_cmpint (all[0].error, ==, EIO);
  for (unsigned i = 1; i < G_N_ELEMENTS (all); i++)
    g_assert_true (all[i].done);
  g_assert_cmpuint (f->peer.n_failures, ==, 1);
  g_assert_cmpuint (f->peer.n_ends, ==, 1);
  g_assert_true (block_vhost_is_lost (f->vhost));
  /* And with nobody there. */
  vhost_disk_ask (f, &all[0], BLOCK_WRITE, 0, bytes, SECTOR);
  f->backend.ops->drain (f->backend.opaque);
  g_assert_true (all[0].done);
  g_assert_cmpint (all[0].error, ==, EIO);
  /* What was given up is not asked again. */
  f->config.holds = 0;
  const unsigned taken = vhost_disk_get (&f->seen.taken);
  vhost_disk_resume (f);
  g_assert_cmpint (vhost_disk_do (f, BLOCK_READ, SECTOR, bytes, SECTOR), ==, 0);
  g_assert_cmpuint (vhost_disk_get (&f->seen.taken), ==, taken + 1);
}

#define TEST(name, function)                                                                       \
  g_test_add ("/block-vhost/" name, VhostDisk, NULL, vhost_disk_set_up, function,                  \
              vhost_disk_tear_down)

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  TEST ("transfers", test_transfers);
  TEST ("pieces", test_pieces);
  TEST ("large", test_large);
  TEST ("ranges", test_ranges);
  TEST ("durable", test_durable);
  TEST ("many", test_many);
  TEST ("chains", test_chains);
  TEST ("errors", test_errors);
  TEST ("look", test_look);
  TEST ("no-calls", test_no_calls);
  TEST ("hostile-19-call-for-nothing", test_call_for_nothing);
  TEST ("wake-up", test_wake_up);
  TEST ("one-kick", test_one_kick);
  TEST ("no-kicks", test_no_kicks);
  TEST ("drain", test_drain);
  TEST ("hostile-19-drain-in-vain", test_drain_in_vain);
  return g_test_run ();
}
