#pragma once

#include "block/block-backend.h"
#include "virtio/virtio-device.h"

/* A disk (Virtual I/O Device 1.2, 5.2) on any backend (block/block-backend.h): several queues, flush, discard, write zeroes, serial number. Requests are
 * taken, carried out and returned in a thread of the disk's own; no vCPU waits for one, but to reset the device.
 */
typedef struct VirtioBlk VirtioBlk;

#define VIRTIO_BLK_QUEUES_MAX 4
#define VIRTIO_BLK_SERIAL_MAX 20 /* bytes */

typedef struct VirtioBlkConfig
{
  BlockBackend backend; /* taken over */
  bool readonly;
  bool may_linger; /* a CPU is to spare: it may look at its rings for a moment before it sleeps */
  const char *serial; /* at most VIRTIO_BLK_SERIAL_MAX bytes count; NULL: none */
  unsigned n_queues;  /* 1..VIRTIO_BLK_QUEUES_MAX; one a vCPU is best */

  /* The host has no room for what the guest writes (ENOSPC, EDQUOT): the request is kept until virtio_blk_resume (). Any thread,
   * device's lock held: may not call anything here. NULL: the guest is told instead, which takes it for a broken disk. */
  void (*no_room) (void *opaque, int code);
  void *opaque;
} VirtioBlkConfig;

/* context: where the disk works; NULL: in a thread of its own. */
VirtioBlk *virtio_blk_new (const VirtioBlkConfig *config, const GuestMemory *memory,
                           GMainContext *context);
/* Waits for what is in flight. */
void virtio_blk_free (VirtioBlk *blk);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (VirtioBlk, virtio_blk_free)

/* Makes the requests again that were kept. Any thread. */
void virtio_blk_resume (VirtioBlk *blk);

/* Borrowed. */
VirtioDevice *virtio_blk_get_device (VirtioBlk *blk);
