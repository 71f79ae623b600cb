#pragma once

#include <glib.h>

#include "block/block-server.h"

/* Who serves a disk, as block-nbd.h and block-vhost.h start it, at the other end of a socketpair in the same process. Embed it in what
 * the functions below need, as the first member. */
typedef struct DiskPeer DiskPeer;

struct DiskPeer
{
  /* Says what it has to say, or begins to serve. */
  void (*run) (DiskPeer *peer);
  /* Its socket has been shut down: waits for what run began. Or NULL. */
  void (*join) (DiskPeer *peer);

  int fd; /* the peer's side; -1: it does not run. Begins as that */
  unsigned n_starts;
  unsigned n_ends; /* how often that was wanted */
  unsigned n_failures;
};

/* For the initialiser of a BlockNbdConfig or a BlockVhostConfig. */
#define DISK_PEER_CALLS(PEER)                                                                      \
  .server = { &disk_peer_ops, (PEER) }, .failed = disk_peer_failed, .opaque = (PEER)

extern const BlockServerOps disk_peer_ops;

int disk_peer_start (void *peer, GError **error);
void disk_peer_end (void *peer);
void disk_peer_failed (void *peer, const char *reason);
