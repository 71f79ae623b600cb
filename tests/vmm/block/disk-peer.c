#include "disk-peer.h"

#include <unistd.h>
#include <sys/socket.h>

int
disk_peer_start (void *opaque, GError **error)
{
  DiskPeer *peer = opaque;
  int pair[2];

  if (peer->fd >= 0)
    disk_peer_end (peer);
  peer->n_starts++;
  g_assert_cmpint (socketpair (AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), ==, 0);
  peer->fd = pair[1];
  peer->run (peer);
  return pair[0];
}

void
disk_peer_end (void *opaque)
{
  DiskPeer *peer = opaque;

  peer->n_ends++;
  if (peer->fd < 0)
    return;
  shutdown (peer->fd, SHUT_RDWR);
  if (peer->join)
    peer->join (peer);
  close (peer->fd);
  peer->fd = -1;
}

static char *
get_complaint (void *opaque)
{
  return NULL;
}

const BlockServerOps disk_peer_ops = {
  .start = disk_peer_start,
  .end = disk_peer_end,
  .get_complaint = get_complaint,
};

void
disk_peer_failed (void *opaque, const char *reason)
{
  DiskPeer *peer = opaque;

  g_assert_nonnull (reason);
  peer->n_failures++;
  /* What was not started is not lost. */
  g_assert_cmpuint (peer->n_failures, <=, peer->n_starts);
}
