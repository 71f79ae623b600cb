#include <errno.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>
#include <gio/gio.h>
#include <linux/virtio_blk.h>
#include <linux/virtio_config.h>
#include <linux/virtio_ring.h>
#include <sys/socket.h>

#include "vhost-disk.h"

#define SECTOR BLOCK_SECTOR_SIZE
#define BIT(n) (UINT64_C (1) << (n))

/* --- servers that die --- */

static void
test_death_while_idle (VhostDisk *f, gconstpointer data)
{
  struct pollfd one = { .fd = f->backend.fd, .events = POLLIN };
  uint8_t *bytes = vhost_disk_take_memory (f, SECTOR);

  g_assert_cmpint (vhost_disk_do (f, BLOCK_READ, 0, bytes, SECTOR), ==, 0);
  shutdown (f->peer.fd, SHUT_RDWR);
  vhost_disk_wait_lost (f);
  g_assert_cmpuint (f->peer.n_ends, ==, 1);
  g_assert_cmpint (poll (&one, 1, 0), ==, 0);
  vhost_disk_reap (f);
  f->backend.ops->look (f->backend.opaque);
  g_assert_cmpuint (f->peer.n_failures, ==, 1);
  vhost_disk_resume (f);
  vhost_disk_resume (f); /* does nothing */
  g_assert_cmpuint (f->peer.n_starts, ==, 2);
  g_assert_cmpint (vhost_disk_do (f, BLOCK_READ, 0, bytes, SECTOR), ==, 0);
}

/* In the middle of one of many: those that are not done are asked again, from their start. */
static void
test_death (VhostDisk *f, gconstpointer data)
{
  enum
  {
    N = 300
  };
  uint8_t *bytes = vhost_disk_take_memory (f, N * SECTOR);
  g_autofree VhostDiskRequest *all = g_new0 (VhostDiskRequest, N);
  unsigned n_done = 0;

  f->config.dies_at = 50;
  f->config.holds = 2;
  vhost_disk_begin_anew (f);
  for (unsigned i = 0; i < N; i++)
    {
      memset (bytes + i * SECTOR, i, SECTOR);
      vhost_disk_ask (f, &all[i], i % 2 ? BLOCK_WRITE : BLOCK_READ, i * SECTOR, bytes + i * SECTOR,
                      SECTOR);
    }
  vhost_disk_kick (f);
  vhost_disk_wait_lost (f);
  g_assert_cmpuint (f->peer.n_ends, ==, 1);
  for (unsigned i = 0; i < N; i++)
    n_done += all[i].done;
  /* What was told to be done right before the end may have been overlooked. */
  g_assert_cmpuint (n_done, <=, 48);
  g_assert_false (all[1].done);
  vhost_disk_reap (f);
  vhost_disk_kick (f);
  g_assert_cmpuint (f->peer.n_failures, ==, 1);

  f->config.dies_at = f->config.holds = 0;
  vhost_disk_resume (f);
  for (unsigned i = 0; i < N; i++)
    vhost_disk_wait_done (f, &all[i]);
  for (unsigned i = 0; i < N; i++)
    {
      g_assert_cmpint (all[i].error, ==, 0);
      g_assert_cmpmem (bytes + i * SECTOR, SECTOR, f->bytes + i * SECTOR, SECTOR);
      if (i % 2)
        g_assert_cmphex (f->bytes[i * SECTOR + SECTOR - 1], ==, (uint8_t) i);
    }
  /* Those that were done are not asked again. */
  g_assert_cmpuint (vhost_disk_get (&f->seen.taken), ==, 50 + N - n_done);
  g_assert_cmpuint (f->peer.n_failures, ==, 1);
}

/* With a request of several steps, at its last one. */
static void
test_death_in_steps (VhostDisk *f, gconstpointer data)
{
  VhostDiskRequest zeroes = {
    .io = { .operation = BLOCK_WRITE_ZEROES, .size = 32 * SECTOR, .durable = true }
  };

  f->config.max_write_zeroes_sectors = 16;
  f->config.dies_at = 3;
  vhost_disk_begin_anew (f);
  vhost_disk_submit (f, &zeroes);
  vhost_disk_kick (f);
  vhost_disk_wait_lost (f);
  g_assert_cmpuint (vhost_disk_get (&f->seen.by_type[VIRTIO_BLK_T_FLUSH]), ==, 1);
  memset (f->bytes, 'x', 32 * SECTOR); /* what was not flushed may be lost */
  f->config.dies_at = 0;
  vhost_disk_resume (f);
  vhost_disk_wait_done (f, &zeroes);
  g_assert_cmpint (zeroes.error, ==, 0);
  g_assert_cmpuint (vhost_disk_get (&f->seen.by_type[VIRTIO_BLK_T_WRITE_ZEROES]), ==, 4);
  g_assert_cmpuint (vhost_disk_get (&f->seen.by_type[VIRTIO_BLK_T_FLUSH]), ==, 2);
  for (unsigned i = 0; i < 32 * SECTOR; i++)
    g_assert_cmphex (f->bytes[i], ==, 0);
}

/* What comes while it is lost is done by the next one, and nobody has to ask again for that. */
static void
test_submit_while_lost (VhostDisk *f, gconstpointer data)
{
  enum
  {
    N = 200
  };
  uint8_t *bytes = vhost_disk_take_memory (f, N * SECTOR);
  g_autofree VhostDiskRequest *all = g_new0 (VhostDiskRequest, N);

  shutdown (f->peer.fd, SHUT_RDWR);
  vhost_disk_wait_lost (f);
  for (unsigned i = 0; i < N; i++)
    vhost_disk_ask (f, &all[i], BLOCK_READ, i * SECTOR, bytes + i * SECTOR, SECTOR);
  vhost_disk_kick (f);
  g_assert_false (all[0].done);
  vhost_disk_resume (f);
  for (unsigned i = 0; i < N; i++)
    vhost_disk_wait_done (f, &all[i]);
  g_assert_cmpmem (bytes, N * SECTOR, f->bytes, N * SECTOR);
}

/* Servers that die one after the other, each with requests in flight. */
static void
test_death_again (VhostDisk *f, gconstpointer data)
{
  uint8_t *bytes = vhost_disk_take_memory (f, 40 * SECTOR);
  VhostDiskRequest all[40];

  f->config.dies_at = 7;
  vhost_disk_begin_anew (f);
  for (unsigned i = 0; i < G_N_ELEMENTS (all); i++)
    {
      memset (bytes + i * SECTOR, i, SECTOR);
      vhost_disk_ask (f, &all[i], BLOCK_WRITE, i * SECTOR, bytes + i * SECTOR, SECTOR);
    }
  vhost_disk_kick (f);
  for (unsigned i = 0; i < 5; i++)
    {
      vhost_disk_wait_lost (f);
      vhost_disk_resume (f);
    }
  vhost_disk_wait_lost (f);
  f->config.dies_at = 0;
  vhost_disk_resume (f);
  for (unsigned i = 0; i < G_N_ELEMENTS (all); i++)
    vhost_disk_wait_done (f, &all[i]);
  g_assert_cmpmem (bytes, 40 * SECTOR, f->bytes, 40 * SECTOR);
  g_assert_cmpuint (f->peer.n_failures, ==, 6);
}

static void
test_another_image (VhostDisk *f, gconstpointer data)
{
  g_autoptr (GError) error = NULL;
  uint8_t *bytes = vhost_disk_take_memory (f, SECTOR);
  VhostDiskRequest tracked;

  f->config.dies_at = 1;
  vhost_disk_begin_anew (f);
  vhost_disk_ask (f, &tracked, BLOCK_READ, 0, bytes, SECTOR);
  vhost_disk_kick (f);
  vhost_disk_wait_lost (f);
  f->config.dies_at = 0;
  f->config.sectors--;
  g_assert_false (block_vhost_resume (f->vhost, &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_FAILED);
  g_assert_nonnull (strstr (error->message, "another image"));
  g_assert_null (f->server);
  g_assert_true (block_vhost_is_lost (f->vhost));
  f->config.sectors++;
  f->config.lacks = BIT (VIRTIO_BLK_F_SEG_MAX);
  g_clear_error (&error);
  g_assert_false (block_vhost_resume (f->vhost, &error));
  g_assert_null (f->server);
  f->config.lacks = 0;
  g_assert_cmpuint (vhost_disk_get (&f->seen.taken), ==, 1);
  vhost_disk_resume (f);
  vhost_disk_wait_done (f, &tracked);
  g_assert_cmpint (tracked.error, ==, 0);
  g_assert_cmpuint (f->peer.n_failures, ==, 1);
}

/* It is freed while it is lost, with requests. */
static void
test_end_without_server (VhostDisk *f, gconstpointer data)
{
  uint8_t *bytes = vhost_disk_take_memory (f, 150 * SECTOR);
  VhostDiskRequest all[150];

  f->config.dies_at = 1;
  vhost_disk_begin_anew (f);
  for (unsigned i = 0; i < G_N_ELEMENTS (all); i++)
    vhost_disk_ask (f, &all[i], BLOCK_READ, i * SECTOR, bytes + i * SECTOR, SECTOR);
  f->backend.ops->drain (f->backend.opaque);
  for (unsigned i = 0; i < G_N_ELEMENTS (all); i++)
    {
      g_assert_true (all[i].done);
      g_assert_cmpint (all[i].error, ==, EIO);
    }
  g_assert_cmpuint (f->peer.n_failures, ==, 1);
}

/* --- servers that lie --- */

/* The first answer is a lie. Whatever it was, each request is done once in the end, as it should be. */
static void
test_lies (VhostDisk *f, gconstpointer data)
{
  static const VhostUserBackEndLie lies[] = {
    VHOST_USER_BACK_END_ID_BEYOND,    VHOST_USER_BACK_END_ID_HUGE,
    VHOST_USER_BACK_END_ID_OF_NOBODY, VHOST_USER_BACK_END_TWICE,
    VHOST_USER_BACK_END_INDEX_JUMPS,  VHOST_USER_BACK_END_INDEX_GOES_BACK,
  };
  uint8_t *bytes = vhost_disk_take_memory (f, SECTOR);

  for (unsigned i = 0; i < G_N_ELEMENTS (lies); i++)
    {
      VhostDiskRequest tracked;

      f->config.lie = lies[i];
      vhost_disk_begin_anew (f);
      memset (bytes, i, SECTOR);
      vhost_disk_ask (f, &tracked, BLOCK_WRITE, i * SECTOR, bytes, SECTOR);
      vhost_disk_kick (f);
      vhost_disk_wait_lost (f);
      g_assert_cmpuint (f->peer.n_failures, ==, 1);
      g_assert_cmpuint (f->peer.n_ends, ==, 1);
      vhost_disk_reap (f);
      f->backend.ops->look (f->backend.opaque);
      g_assert_cmpuint (f->peer.n_failures, ==, 1);
      f->config.lie = VHOST_USER_BACK_END_HONEST;
      memset (f->bytes + i * SECTOR, 'x', tracked.done ? 0 : SECTOR);
      vhost_disk_resume (f);
      vhost_disk_wait_done (f, &tracked);
      g_assert_cmpint (tracked.error, ==, 0);
      g_assert_cmpmem (f->bytes + i * SECTOR, SECTOR, bytes, SECTOR);
      g_assert_cmpint (vhost_disk_do (f, BLOCK_READ, 0, bytes, SECTOR), ==, 0);
      g_assert_cmpuint (f->peer.n_failures, ==, 1);
    }
}

/* What the server says besides is of no use to it: how much it wrote; that it is done, but not how. */
static void
test_what_is_not_believed (VhostDisk *f, gconstpointer data)
{
  uint8_t *bytes = vhost_disk_take_memory (f, SECTOR);

  f->config.lie = VHOST_USER_BACK_END_LENGTH;
  vhost_disk_begin_anew (f);
  g_assert_cmpint (vhost_disk_do (f, BLOCK_READ, 0, bytes, SECTOR), ==, 0);
  g_assert_cmpmem (f->bytes, SECTOR, bytes, SECTOR);
  f->config.lie = VHOST_USER_BACK_END_NO_STATUS;
  vhost_disk_begin_anew (f);
  g_assert_cmpint (vhost_disk_do (f, BLOCK_READ, 0, bytes, SECTOR), ==, EIO);
  g_assert_cmpint (vhost_disk_do (f, BLOCK_READ, 0, bytes, SECTOR), ==, 0);
  g_assert_cmpuint (f->peer.n_failures, ==, 0);
}

/* All that is shared but the data is overwritten: what was asked for is known without it. */
static void
test_memory_is_overwritten (VhostDisk *f, gconstpointer data)
{
  enum
  {
    N = 200
  };
  uint8_t *bytes = vhost_disk_take_memory (f, N * SECTOR);
  g_autofree VhostDiskRequest *all = g_new0 (VhostDiskRequest, N);

  f->config.lie = VHOST_USER_BACK_END_OVERWRITES;
  vhost_disk_begin_anew (f);
  for (unsigned i = 0; i < N; i++)
    {
      memset (bytes + i * SECTOR, i, SECTOR);
      vhost_disk_ask (f, &all[i], BLOCK_WRITE, i * SECTOR, bytes + i * SECTOR, SECTOR);
    }
  vhost_disk_kick (f);
  vhost_disk_wait_lost (f);
  g_assert_cmpuint (f->peer.n_failures, ==, 1);
  f->config.lie = VHOST_USER_BACK_END_HONEST;
  vhost_disk_resume (f);
  for (unsigned i = 0; i < N; i++)
    {
      vhost_disk_wait_done (f, &all[i]);
      g_assert_cmpint (all[i].error, ==, 0);
    }
  g_assert_cmpmem (bytes, N * SECTOR, f->bytes, N * SECTOR);
  g_assert_cmpuint (f->peer.n_failures, ==, 1);
}

/* --- servers that are not taken --- */

static void
test_refused (void)
{
  static const struct
  {
    VhostUserBackEndConfig config;
    const char *words;
  } cases[] = {
    { { .sectors = 0 }, "impossible size" },
    { { .sectors = UINT64_MAX }, "impossible size" },
    { { .sectors = INT64_MAX / 512 + 1 }, "impossible size" },
    { { .sectors = 8, .readonly = true }, "cannot be written" },
    { { .sectors = 8, .lacks = BIT (VIRTIO_BLK_F_FLUSH) }, "cannot flush" },
    { { .sectors = 8, .lacks = BIT (VIRTIO_BLK_F_DISCARD) }, "discard" },
    { { .sectors = 8, .lacks = BIT (VIRTIO_BLK_F_WRITE_ZEROES) }, "write zeroes" },
    { { .sectors = 8, .lacks = BIT (VIRTIO_RING_F_INDIRECT_DESC) }, "too old" },
    { { .sectors = 8, .lacks = BIT (VIRTIO_RING_F_EVENT_IDX) }, "too old" },
    { { .sectors = 8, .lacks = BIT (VIRTIO_F_VERSION_1) }, "too old" },
    { { .sectors = 8, .no_config_space = true }, "no config space" },
  };

  for (unsigned i = 0; i < G_N_ELEMENTS (cases); i++)
    {
      g_autoptr (GError) error = NULL;
      VhostDisk f;

      vhost_disk_prepare (&f);
      f.config = cases[i].config;
      f.config.seen = &f.seen;
      g_assert_null (vhost_disk_connect (&f, false, &error));
      g_assert_error (error, G_IO_ERROR, G_IO_ERROR_FAILED);
      g_assert_nonnull (strstr (error->message, cases[i].words));
      g_assert_null (f.server);
      g_assert_cmpuint (f.peer.n_ends, ==, 1);
      g_assert_cmpuint (f.peer.n_failures, ==, 0);
      vhost_disk_release (&f);
    }
}

/* A disk that is only read needs nothing of what writers do. */
static void
test_read_only (void)
{
  g_autoptr (GError) error = NULL;
  VhostDisk f;

  vhost_disk_prepare (&f);
  f.config.readonly = true;
  f.config.lacks =
      BIT (VIRTIO_BLK_F_FLUSH) | BIT (VIRTIO_BLK_F_DISCARD) | BIT (VIRTIO_BLK_F_WRITE_ZEROES);
  f.vhost = vhost_disk_connect (&f, true, &error);
  g_assert_no_error (error);
  block_vhost_get_backend (f.vhost, &f.backend);
  g_assert_cmpint (vhost_disk_do (&f, BLOCK_READ, 0, vhost_disk_take_memory (&f, SECTOR), SECTOR),
                   ==, 0);
  g_assert_cmpmem (f.memory, SECTOR, f.bytes, SECTOR);
  vhost_disk_tear_down (&f, NULL);
}

/* --- servers that do not start --- */

static int
refuse_to_start (void *opaque, GError **error)
{
  g_set_error_literal (error, G_IO_ERROR, G_IO_ERROR_NOT_FOUND, "not installed");
  return -1;
}

static char *
complain (void *opaque)
{
  return g_strdup ("the image is broken");
}

static void
test_not_started (void)
{
  g_autoptr (GError) error = NULL;
  VhostDisk f;

  vhost_disk_prepare (&f);
  BlockVhostConfig config = { DISK_PEER_CALLS (&f.peer) };
  BlockServerOps ops = disk_peer_ops;
  config.server.ops = &ops;
  ops.start = refuse_to_start;
  g_assert_null (block_vhost_new (&config, &error));
  g_assert_cmpstr (error->message, ==, "not installed");
  g_clear_error (&error);
  /* What the server says of itself is the better reason. */
  ops.get_complaint = complain;
  g_assert_null (block_vhost_new (&config, &error));
  g_assert_cmpstr (error->message, ==, "the image is broken");
  g_clear_error (&error);
  ops.start = disk_peer_start;
  f.config.sectors = 0;
  g_assert_null (block_vhost_new (&config, &error));
  g_assert_cmpstr (error->message, ==, "the image is broken");
  vhost_disk_release (&f);
}

/* No file descriptor stays, whatever became of the server. */
static unsigned
count_open_files (void)
{
  g_autoptr (GDir) folder = g_dir_open ("/proc/self/fd", 0, NULL);
  unsigned n = 0;

  while (g_dir_read_name (folder))
    n++;
  return n;
}

static void
test_descriptors (void)
{
  const unsigned n_open = count_open_files ();
  VhostDisk f;

  vhost_disk_prepare (&f);
  vhost_disk_begin (&f);
  shutdown (f.peer.fd, SHUT_RDWR);
  vhost_disk_wait_lost (&f);
  f.config.sectors--;
  g_assert_false (block_vhost_resume (f.vhost, NULL));
  f.config.sectors++;
  vhost_disk_resume (&f);
  vhost_disk_tear_down (&f, NULL);
  test_refused ();
  g_assert_cmpuint (count_open_files (), ==, n_open);
}

#define TEST(name, function)                                                                       \
  g_test_add ("/block-vhost-lost/" name, VhostDisk, NULL, vhost_disk_set_up, function,             \
              vhost_disk_tear_down)

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  TEST ("death", test_death);
  TEST ("death-while-idle", test_death_while_idle);
  TEST ("death-in-steps", test_death_in_steps);
  TEST ("death-again", test_death_again);
  TEST ("submit-while-lost", test_submit_while_lost);
  TEST ("another-image", test_another_image);
  TEST ("end-without-server", test_end_without_server);
  TEST ("hostile-19-lies", test_lies);
  TEST ("hostile-19-not-believed", test_what_is_not_believed);
  TEST ("hostile-19-memory-is-overwritten", test_memory_is_overwritten);
  g_test_add_func ("/block-vhost-lost/hostile-19-refused", test_refused);
  g_test_add_func ("/block-vhost-lost/read-only", test_read_only);
  g_test_add_func ("/block-vhost-lost/not-started", test_not_started);
  g_test_add_func ("/block-vhost-lost/descriptors", test_descriptors);
  return g_test_run ();
}
