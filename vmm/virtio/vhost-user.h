#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <glib.h>

#include "bus/guest-memory.h"

/* The front end's side of a vhost-user connection: the messages that hand a device's queues and the guest's memory to another process.
 * Source: QEMU, docs/interop/vhost-user.rst.
 *
 * The back end is not trusted: each of its answers is bounded, checked and waited for VHOST_USER_PATIENCE_MS at most. After an error the
 * connection is of no use any more. Errors are one line, in G_IO_ERROR.
 *
 * Thread: one at a time; the device's lock is the guard. Every call may block that long.
 */
typedef struct VhostUser VhostUser;

#define VHOST_USER_QUEUES_MAX  16
#define VHOST_USER_CONFIG_MAX  256 /* bytes */
#define VHOST_USER_PATIENCE_MS 15000

/* fd: a connected stream socket, taken over. */
VhostUser *vhost_user_new (int fd);
void vhost_user_free (VhostUser *self);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (VhostUser, vhost_user_free)

/* Borrowed; hangs up when the back end is gone. */
int vhost_user_get_fd (const VhostUser *self);

/* First of all. force_tracking: has the back end keep its record of requests in flight also when it does not say that it can; one
 * that really cannot may hang up. */
bool vhost_user_negotiate (VhostUser *self, bool force_tracking, GError **error);
/* What the device can do: bits of virtio, without those of vhost-user itself. */
uint64_t vhost_user_get_features (const VhostUser *self);
bool vhost_user_has_config (const VhostUser *self);
/* How many queues the back end serves. */
unsigned vhost_user_get_queues (const VhostUser *self);
/* The first size bytes of the device's config space. */
bool vhost_user_read_config (VhostUser *self, void *buffer, uint32_t size, GError **error);

/* The record of requests in flight: it outlives the back end, and the next one does them again. */
typedef struct VhostUserInflight VhostUserInflight;

/* *inflight stays NULL where the back end keeps none. */
bool vhost_user_get_inflight (VhostUser *self, unsigned n_queues, uint16_t queue_size,
                              VhostUserInflight **inflight, GError **error);
void vhost_user_inflight_free (VhostUserInflight *inflight);
/* As new, for a device that starts anew. */
void vhost_user_inflight_clear (VhostUserInflight *inflight);
/* The back end has begun to write it. */
bool vhost_user_inflight_is_kept (const VhostUserInflight *inflight);
/* Requests of all queues that were taken and are not done. The back end may say anything. */
unsigned vhost_user_inflight_count (const VhostUserInflight *inflight);

/* Hands over what all queues share, before the queues. inflight: or NULL. memory: made by guest_memory_new_shared (). */
bool vhost_user_set_up (VhostUser *self, uint64_t features, const GuestMemory *memory,
                        const VhostUserInflight *inflight, GError **error);

typedef struct VhostUserQueue
{
  unsigned index;
  uint16_t size;
  uint16_t base;           /* of the available ring: the next request to take */
  const void *descriptors; /* addresses in this process */
  const void *available;
  const void *used;
  int kick; /* eventfds, borrowed */
  int call;
} VhostUserQueue;

bool vhost_user_start_queue (VhostUser *self, const VhostUserQueue *queue, GError **error);
/* call: as in VhostUserQueue, of a queue that was started. */
bool vhost_user_set_call (VhostUser *self, unsigned index, int call, GError **error);
/* The back end takes no more requests from now on; those in flight go on. base: which would have been the next one. */
bool vhost_user_stop_queue (VhostUser *self, unsigned index, uint16_t *base, GError **error);
