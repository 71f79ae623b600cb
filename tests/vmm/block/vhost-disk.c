#include "vhost-disk.h"

#include <poll.h>

#define MEMORY_SIZE (16u << 20)

/* --- its life --- */

static void
run_server (DiskPeer *peer)
{
  VhostDisk *f = (VhostDisk *) peer;

  f->server = vhost_user_back_end_new (&f->config, peer->fd);
}

static void
join_server (DiskPeer *peer)
{
  g_clear_pointer (&((VhostDisk *) peer)->server, vhost_user_back_end_free);
}

BlockVhost *
vhost_disk_connect (VhostDisk *f, bool readonly, GError **error)
{
  const BlockVhostConfig config = { .readonly = readonly, DISK_PEER_CALLS (&f->peer) };

  return block_vhost_new (&config, error);
}

void
vhost_disk_prepare (VhostDisk *f)
{
  *f = (VhostDisk){ .peer = { .run = run_server, .join = join_server, .fd = -1 } };
  f->bytes = g_malloc (VHOST_DISK_SIZE);
  for (unsigned i = 0; i < VHOST_DISK_SIZE; i++)
    f->bytes[i] = i * 7 + (i >> 9);
  f->config = (VhostUserBackEndConfig){ .sectors = VHOST_DISK_SECTORS,
                                        .contents = f->bytes,
                                        .seen = &f->seen };
  f->memory = g_malloc0 (MEMORY_SIZE);
}

void
vhost_disk_begin (VhostDisk *f)
{
  g_autoptr (GError) error = NULL;

  f->vhost = vhost_disk_connect (f, false, &error);
  g_assert_no_error (error);
  block_vhost_get_backend (f->vhost, &f->backend);
  g_assert_cmpuint (f->backend.size, ==, VHOST_DISK_SIZE);
}

void
vhost_disk_set_up (VhostDisk *f, gconstpointer data)
{
  vhost_disk_prepare (f);
  vhost_disk_begin (f);
}

void
vhost_disk_end (VhostDisk *f)
{
  f->backend.ops->free (f->vhost);
  disk_peer_end (&f->peer);
}

void
vhost_disk_release (VhostDisk *f)
{
  g_free (f->memory);
  g_free (f->bytes);
}

void
vhost_disk_tear_down (VhostDisk *f, gconstpointer data)
{
  vhost_disk_end (f);
  vhost_disk_release (f);
}

void
vhost_disk_begin_anew (VhostDisk *f)
{
  vhost_disk_end (f);
  f->seen = (VhostUserBackEndSeen){};
  f->peer.n_starts = f->peer.n_ends = f->peer.n_failures = 0;
  vhost_disk_begin (f);
}

void
vhost_disk_wait_taken (VhostDisk *f, unsigned n)
{
  while (vhost_disk_get (&f->seen.taken) < n)
    g_thread_yield ();
}

/* --- requests --- */

uint8_t *
vhost_disk_take_memory (VhostDisk *f, size_t size)
{
  uint8_t *bytes = f->memory + f->taken_memory;

  f->taken_memory += size;
  g_assert_cmpuint (f->taken_memory, <=, MEMORY_SIZE);
  return bytes;
}

static void
on_done (BlockRequest *io, int error)
{
  VhostDiskRequest *tracked = (VhostDiskRequest *) io;

  g_assert_false (tracked->done);
  tracked->done = true;
  tracked->error = error;
}

void
vhost_disk_submit (VhostDisk *f, VhostDiskRequest *tracked)
{
  tracked->io.done = on_done;
  f->backend.ops->submit (f->backend.opaque, &tracked->io);
}

void
vhost_disk_ask (VhostDisk *f, VhostDiskRequest *tracked, BlockOperation operation, uint64_t offset,
                uint8_t *bytes, size_t size)
{
  *tracked = (VhostDiskRequest){ .io = { .operation = operation, .offset = offset, .size = size } };
  tracked->iov[0] = (struct iovec){ bytes, size };
  if (bytes)
    tracked->io.iov = tracked->iov;
  tracked->io.n_iov = bytes != NULL;
  vhost_disk_submit (f, tracked);
}

void
vhost_disk_kick (VhostDisk *f)
{
  f->backend.ops->kick (f->backend.opaque);
}

void
vhost_disk_reap (VhostDisk *f)
{
  f->backend.ops->reap (f->backend.opaque);
}

void
vhost_disk_wait_readable (VhostDisk *f)
{
  struct pollfd one = { .fd = f->backend.fd, .events = POLLIN };

  g_assert_cmpint (poll (&one, 1, 20000), ==, 1);
}

void
vhost_disk_wait_done (VhostDisk *f, VhostDiskRequest *tracked)
{
  while (!tracked->done)
    {
      vhost_disk_wait_readable (f);
      vhost_disk_reap (f);
    }
}

int
vhost_disk_do (VhostDisk *f, BlockOperation operation, uint64_t offset, uint8_t *bytes, size_t size)
{
  VhostDiskRequest tracked;

  vhost_disk_ask (f, &tracked, operation, offset, bytes, size);
  vhost_disk_kick (f);
  vhost_disk_wait_done (f, &tracked);
  return tracked.error;
}

void
vhost_disk_wait_lost (VhostDisk *f)
{
  const unsigned before = f->peer.n_failures;

  while (f->peer.n_failures == before)
    {
      vhost_disk_wait_readable (f);
      vhost_disk_reap (f);
    }
  g_assert_true (block_vhost_is_lost (f->vhost));
  g_assert_null (f->server);
}

void
vhost_disk_resume (VhostDisk *f)
{
  g_autoptr (GError) error = NULL;
  const bool good = block_vhost_resume (f->vhost, &error);

  g_assert_no_error (error);
  g_assert_true (good);
  g_assert_false (block_vhost_is_lost (f->vhost));
}
