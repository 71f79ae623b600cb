#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <glib.h>

/* The front end's side of a vhost-user connection: the messages that hand a device's queues, and the memory they speak of, to another process.
 * Source: QEMU, docs/interop/vhost-user.rst.
 *
 * The back end is not trusted: each of its answers is bounded, checked and waited for VHOST_USER_PATIENCE_MS at most. After an error the
 * connection is of no use any more. Errors are one line, in G_IO_ERROR.
 *
 * Thread: one at a time; the owner's lock is the guard. Every call may block that long.
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

/* First of all. */
bool vhost_user_negotiate (VhostUser *self, GError **error);
/* What the device can do: bits of virtio, without those of vhost-user itself. */
uint64_t vhost_user_get_features (const VhostUser *self);
bool vhost_user_has_config (const VhostUser *self);
/* How many queues the back end serves. */
unsigned vhost_user_get_queues (const VhostUser *self);
/* The first size bytes of the device's config space. */
bool vhost_user_read_config (VhostUser *self, void *buffer, uint32_t size, GError **error);

/* Memory that the back end maps as well: all of a file. */
typedef struct VhostUserRegion
{
  uint64_t address; /* in rings and descriptors */
  uint64_t size;    /* bytes */
  int fd;           /* borrowed */
} VhostUserRegion;

/* Hands over what all queues share, before the queues. */
bool vhost_user_set_up (VhostUser *self, uint64_t features, const VhostUserRegion *region,
                        GError **error);

typedef struct VhostUserQueue
{
  unsigned index;
  uint16_t size;
  uint16_t base;        /* of the available ring: the next request to take */
  uint64_t descriptors; /* addresses in the region, as those in descriptors */
  uint64_t available;
  uint64_t used;
  int kick; /* eventfds, borrowed */
  int call;
} VhostUserQueue;

bool vhost_user_start_queue (VhostUser *self, const VhostUserQueue *queue, GError **error);
