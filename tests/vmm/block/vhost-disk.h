#pragma once

#include <glib.h>

#include "block/block-vhost.h"
#include "disk-peer.h"
#include "vhost-user-back-end.h"

/* A BlockVhost for tests: the servers are of vhost-user-back-end.h, the disk's contents and the memory of requests are here. */
#define VHOST_DISK_SECTORS 16384u
#define VHOST_DISK_SIZE    (VHOST_DISK_SECTORS * BLOCK_SECTOR_SIZE)
#define VHOST_DISK_PIECES  16
#define VHOST_DISK_QUEUE   128 /* requests that the server has at once */

typedef struct VhostDisk
{
  DiskPeer peer;                 /* first: its run () casts */
  VhostUserBackEndConfig config; /* of the next one */
  VhostUserBackEndSeen seen;
  VhostUserBackEnd *server;
  uint8_t *bytes;  /* what the disk has */
  uint8_t *memory; /* where data is */
  size_t taken_memory;
  BlockVhost *vhost;
  BlockBackend backend;
} VhostDisk;

typedef struct VhostDiskRequest
{
  BlockRequest io; /* first: what is submitted is cast to it */
  struct iovec iov[VHOST_DISK_PIECES];
  bool done;
  int error;
} VhostDiskRequest;

/* All but the disk itself; and its end. */
void vhost_disk_prepare (VhostDisk *f);
void vhost_disk_release (VhostDisk *f);
/* The caller's, with a server as config says; NULL: error. */
BlockVhost *vhost_disk_connect (VhostDisk *f, bool readonly, GError **error);
/* The same, which has to work, as vhost and backend. */
void vhost_disk_begin (VhostDisk *f);
void vhost_disk_end (VhostDisk *f);
/* Another server, and nothing that the first one saw. */
void vhost_disk_begin_anew (VhostDisk *f);
/* prepare and begin, end and release: for g_test_add (). */
void vhost_disk_set_up (VhostDisk *f, gconstpointer data);
void vhost_disk_tear_down (VhostDisk *f, gconstpointer data);

/* A number of what the server saw. */
static inline unsigned
vhost_disk_get (const unsigned *seen)
{
  return __atomic_load_n (seen, __ATOMIC_ACQUIRE);
}

void vhost_disk_wait_taken (VhostDisk *f, unsigned n);

/* The disk's; zeros. */
uint8_t *vhost_disk_take_memory (VhostDisk *f, size_t size);
/* It is checked that it is done once only. */
void vhost_disk_submit (VhostDisk *f, VhostDiskRequest *tracked);
/* Submits one in one piece; bytes: NULL where there are none. */
void vhost_disk_ask (VhostDisk *f, VhostDiskRequest *tracked, BlockOperation operation,
                     uint64_t offset, uint8_t *bytes, size_t size);
void vhost_disk_kick (VhostDisk *f);
void vhost_disk_reap (VhostDisk *f);
/* Until the backend's fd is readable. */
void vhost_disk_wait_readable (VhostDisk *f);
/* As who sleeps in between. */
void vhost_disk_wait_done (VhostDisk *f, VhostDiskRequest *tracked);
/* Asks, waits, and says what became of it. */
int vhost_disk_do (VhostDisk *f, BlockOperation operation, uint64_t offset, uint8_t *bytes,
                   size_t size);
/* Until another one than before is lost. */
void vhost_disk_wait_lost (VhostDisk *f);
void vhost_disk_resume (VhostDisk *f);
