#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "block/vhost-user.h"

/* The virtqueue between a driver here and a vhost-user-blk server, and memory for the data of its requests, all of which the server maps (Virtual I/O
 * Device 1.2, 2.7 and 5.2.6). A request has a slot; its data is in chunks. Who uses them, and for how long, is the owner's affair.
 *
 * The server may write anything there at any time: what it says is read once and checked. It is told no address of this process.
 *
 * Thread: one at a time.
 */
typedef struct VhostRing VhostRing;

#define VHOST_RING_SLOTS       128u
#define VHOST_RING_CHUNK       65536u
#define VHOST_RING_CHUNKS      128u
#define VHOST_RING_STEP_CHUNKS 16u /* of one request */

VhostRing *vhost_ring_new (GError **error);
void vhost_ring_free (VhostRing *ring);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (VhostRing, vhost_ring_free)

/* Once, to a server that has negotiated. kick, call: eventfds, borrowed. */
bool vhost_ring_hand_over (const VhostRing *ring, VhostUser *link, uint64_t features, int kick,
                           int call, GError **error);

/* Borrowed: VHOST_RING_CHUNK bytes, aligned as direct I/O wants it. */
uint8_t *vhost_ring_get_chunk (const VhostRing *ring, unsigned chunk);

typedef struct VhostRingRequest
{
  uint32_t type;   /* VIRTIO_BLK_T_ */
  uint64_t sector; /* of a transfer, or of the range */
  /* A transfer: size bytes of these chunks, one after the other; at most VHOST_RING_STEP_CHUNKS. */
  const uint8_t *chunks;
  size_t size;
  /* Discard, write zeroes. */
  uint32_t n_sectors;
  uint32_t flags; /* VIRTIO_BLK_WRITE_ZEROES_FLAG_ */
} VhostRingRequest;

/* Makes a request available in a slot that has none. */
void vhost_ring_put (VhostRing *ring, unsigned slot, const VhostRingRequest *request);
/* Whether the server is to be told of what was put since the last time. */
bool vhost_ring_must_kick (VhostRing *ring);

typedef enum
{
  VHOST_RING_EMPTY,
  VHOST_RING_ANSWERED,
  VHOST_RING_NONSENSE /* a slot that there is not */
} VhostRingAnswer;

/* The next answer: its slot, which the caller has to have put, and VIRTIO_BLK_S_. */
VhostRingAnswer vhost_ring_take (VhostRing *ring, unsigned *slot, uint8_t *status);
/* Asks to be told of the next answer; true: `call` may have been signalled since it was asked the last time. Look for answers again afterwards: those
 * that came before are not told. */
bool vhost_ring_ask (VhostRing *ring);
