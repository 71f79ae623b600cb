#pragma once

#include "virtio/virtio-device.h"

/* A disk (Virtual I/O Device 1.2, 5.2) that another process serves by vhost-user. The guest's notifications go to that process and its
 * interrupts to the guest without this one in between: it negotiates, and it starts, stops and replaces the back end.
 *
 * A back end that dies, hangs or talks nonsense is lost: it is ended, `failed` is called, and the guest's requests wait until
 * vhost_user_blk_resume () has started another, which does those again that were not done.
 */
typedef struct VhostUserBlk VhostUserBlk;

#define VHOST_USER_BLK_QUEUES_MAX 4

typedef struct VhostUserBlkConfig
{
  bool readonly;
  unsigned n_queues; /* 1..VHOST_USER_BLK_QUEUES_MAX */

  /* Starts the back end, after ending one that runs; returns a socket that is connected to it, owned by the caller, or -1. Main thread. */
  int (*start) (void *opaque, GError **error);
  /* Ends it; when this returns it touches neither guest memory nor the image. Any thread, device's lock held. */
  void (*end) (void *opaque);
  /* What the back end itself said when it failed, one line, owned by the caller; NULL: nothing. Main thread. */
  char *(*get_complaint) (void *opaque);
  /* It was lost and has been ended. Any thread, device's lock held: may not call anything here. */
  void (*failed) (void *opaque, const char *reason);
  void *opaque;
} VhostUserBlkConfig;

/* Starts the back end. memory: made by guest_memory_new_shared (). context: where hang-ups are noticed; NULL: the main one. */
VhostUserBlk *vhost_user_blk_new (const VhostUserBlkConfig *config, const GuestMemory *memory,
                                  GMainContext *context, GError **error);
/* Waits for what is in flight; the back end is left to the caller. */
void vhost_user_blk_free (VhostUserBlk *blk);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (VhostUserBlk, vhost_user_blk_free)

/* Borrowed. */
VirtioDevice *vhost_user_blk_get_device (VhostUserBlk *blk);
/* Bytes. */
uint64_t vhost_user_blk_get_size (const VhostUserBlk *blk);
/* The vCPUs stand still. Starts the back end again if it was lost. Main thread. */
bool vhost_user_blk_resume (VhostUserBlk *blk, GError **error);
