#define G_LOG_DOMAIN "vmm-block"

#include "block/vhost-ring.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>
#include <gio/gio.h>
#include <linux/virtio_blk.h>
#include <linux/virtio_ring.h>
#include <sys/mman.h>

/* Theory of operation
 *
 * Each slot has a place for header, range and status, and a table of descriptors that the one descriptor of the slot's number in the ring leads to
 * (indirect descriptors). The memory is only written here, but for the used ring, the status and what is read into chunks.
 *
 * Both sides say by EVENT_IDX of which entry they want to be told.
 */
#define BASE UINT64_C (0x100000) /* the server's addresses: this and the offset in the memory */

/* Shared with the server. */
typedef struct SlotMemory
{
  struct virtio_blk_outhdr header;
  struct virtio_blk_discard_write_zeroes range;
  uint8_t status;
  struct vring_desc table[VHOST_RING_STEP_CHUNKS + 2];
} SlotMemory;

typedef struct RingMemory
{
  struct vring_desc descriptors[VHOST_RING_SLOTS];
  struct
  {
    uint16_t flags;
    uint16_t index;
    uint16_t ring[VHOST_RING_SLOTS];
    uint16_t used_event;
  } available __attribute__ ((aligned (64)));
  struct
  {
    uint16_t flags;
    uint16_t index;
    struct vring_used_elem ring[VHOST_RING_SLOTS];
    uint16_t available_event;
  } used __attribute__ ((aligned (64)));
  SlotMemory slots[VHOST_RING_SLOTS];
  uint8_t chunks[VHOST_RING_CHUNKS][VHOST_RING_CHUNK] __attribute__ ((aligned (4096)));
} RingMemory;
static_assert (offsetof (RingMemory, used) % 4 == 0, "2.7: alignment of the used ring");

struct VhostRing
{
  RingMemory *memory;
  int fd;
  uint16_t available; /* requests ever put */
  uint16_t last_kick; /* of these, at the last look at the server's wish */
  uint16_t used;      /* answers ever taken */
  uint16_t asked_at;  /* of these, when the server was asked to tell the next one */
};

/* --- its memory --- */

VhostRing *
vhost_ring_new (GError **error)
{
  g_autoptr (VhostRing) ring = g_new0 (VhostRing, 1);
  void *memory = MAP_FAILED;

  ring->fd = memfd_create ("disk-ring", MFD_CLOEXEC | MFD_ALLOW_SEALING);
  /* Sealed: a server that cut it off would end us. */
  if (ring->fd >= 0 && ftruncate (ring->fd, sizeof (RingMemory)) == 0 &&
      fcntl (ring->fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) == 0)
    memory = mmap (NULL, sizeof (RingMemory), PROT_READ | PROT_WRITE, MAP_SHARED, ring->fd, 0);
  if (memory == MAP_FAILED)
    {
      g_set_error (error, G_IO_ERROR, G_IO_ERROR_FAILED, "no memory for a disk's queue: %s",
                   g_strerror (errno));
      return NULL;
    }
  madvise (memory, sizeof (RingMemory), MADV_DONTFORK);
  ring->memory = memory;
  return g_steal_pointer (&ring);
}

void
vhost_ring_free (VhostRing *ring)
{
  if (!ring)
    return;
  if (ring->memory)
    munmap (ring->memory, sizeof (RingMemory));
  if (ring->fd >= 0)
    close (ring->fd);
  g_free (ring);
}

static uint64_t
get_address (const VhostRing *ring, const void *place)
{
  return BASE + (uint64_t) ((const uint8_t *) place - (const uint8_t *) ring->memory);
}

bool
vhost_ring_hand_over (const VhostRing *ring, VhostUser *link, uint64_t features, int kick, int call,
                      GError **error)
{
  const VhostUserRegion region = { .address = BASE, .size = sizeof (RingMemory), .fd = ring->fd };
  const VhostUserQueue queue = {
    .size = VHOST_RING_SLOTS,
    .descriptors = get_address (ring, ring->memory->descriptors),
    .available = get_address (ring, &ring->memory->available),
    .used = get_address (ring, &ring->memory->used),
    .kick = kick,
    .call = call,
  };

  return vhost_user_set_up (link, features, &region, error) &&
         vhost_user_start_queue (link, &queue, error);
}

uint8_t *
vhost_ring_get_chunk (const VhostRing *ring, unsigned chunk)
{
  return ring->memory->chunks[chunk];
}

/* --- requests go out --- */

static void
set_descriptor (const VhostRing *ring, SlotMemory *memory, unsigned index, const void *place,
                size_t size, uint16_t flags)
{
  memory->table[index] = (struct vring_desc){
    .addr = GUINT64_TO_LE (get_address (ring, place)),
    .len = GUINT32_TO_LE ((uint32_t) size),
    .flags = GUINT16_TO_LE (flags),
    .next = GUINT16_TO_LE (index + 1),
  };
}

/* Both return how many descriptors they took. */
static unsigned
add_data (const VhostRing *ring, SlotMemory *memory, const VhostRingRequest *request)
{
  const uint16_t flags =
      VRING_DESC_F_NEXT | (request->type == VIRTIO_BLK_T_IN ? VRING_DESC_F_WRITE : 0);
  unsigned n = 0;

  for (size_t done = 0; done < request->size; done += VHOST_RING_CHUNK, n++)
    set_descriptor (ring, memory, n + 1, ring->memory->chunks[request->chunks[n]],
                    MIN (request->size - done, VHOST_RING_CHUNK), flags);
  return n;
}

static unsigned
add_range (const VhostRing *ring, SlotMemory *memory, const VhostRingRequest *request)
{
  memory->range = (struct virtio_blk_discard_write_zeroes){
    .sector = GUINT64_TO_LE (request->sector),
    .num_sectors = GUINT32_TO_LE (request->n_sectors),
    .flags = GUINT32_TO_LE (request->flags),
  };
  set_descriptor (ring, memory, 1, &memory->range, sizeof memory->range, VRING_DESC_F_NEXT);
  return 1;
}

static void
describe (VhostRing *ring, unsigned slot, const VhostRingRequest *request)
{
  SlotMemory *memory = &ring->memory->slots[slot];
  const bool has_range = request->n_sectors > 0;
  const unsigned n =
      has_range ? add_range (ring, memory, request) : add_data (ring, memory, request);

  memory->header = (struct virtio_blk_outhdr){
    .type = GUINT32_TO_LE (request->type),
    .sector = GUINT64_TO_LE (has_range ? 0 : request->sector),
  };
  memory->status = 0xff;
  set_descriptor (ring, memory, 0, &memory->header, sizeof memory->header, VRING_DESC_F_NEXT);
  set_descriptor (ring, memory, n + 1, &memory->status, sizeof memory->status, VRING_DESC_F_WRITE);
  ring->memory->descriptors[slot] = (struct vring_desc){
    .addr = GUINT64_TO_LE (get_address (ring, memory->table)),
    .len = GUINT32_TO_LE ((uint32_t) ((n + 2) * sizeof (struct vring_desc))),
    .flags = GUINT16_TO_LE (VRING_DESC_F_INDIRECT),
  };
}

void
vhost_ring_put (VhostRing *ring, unsigned slot, const VhostRingRequest *request)
{
  RingMemory *memory = ring->memory;

  describe (ring, slot, request);
  memory->available.ring[ring->available % VHOST_RING_SLOTS] = GUINT16_TO_LE ((uint16_t) slot);
  ring->available++;
  /* release: the server that sees the index sees the entry, and the request. */
  __atomic_store_n (&memory->available.index, GUINT16_TO_LE (ring->available), __ATOMIC_RELEASE);
}

bool
vhost_ring_must_kick (VhostRing *ring)
{
  const uint16_t last = ring->last_kick;

  if (ring->available == last)
    return false;
  /* Orders the index before the look at the server's wish; it does the reverse. */
  __atomic_thread_fence (__ATOMIC_SEQ_CST);
  const uint16_t wish =
      GUINT16_FROM_LE (__atomic_load_n (&ring->memory->used.available_event, __ATOMIC_RELAXED));
  ring->last_kick = ring->available;
  return vring_need_event (wish, ring->available, last);
}

/* --- answers come in --- */

VhostRingAnswer
vhost_ring_take (VhostRing *ring, unsigned *slot, uint8_t *status)
{
  const RingMemory *memory = ring->memory;
  const struct vring_used_elem *entry = &memory->used.ring[ring->used % VHOST_RING_SLOTS];

  /* acquire: the entries, and what the server wrote for them, are read after the index that announces them. */
  if (GUINT16_FROM_LE (__atomic_load_n (&memory->used.index, __ATOMIC_ACQUIRE)) == ring->used)
    return VHOST_RING_EMPTY;
  *slot = GUINT32_FROM_LE (__atomic_load_n (&entry->id, __ATOMIC_RELAXED));
  if (*slot >= VHOST_RING_SLOTS)
    return VHOST_RING_NONSENSE;
  *status = __atomic_load_n (&memory->slots[*slot].status, __ATOMIC_RELAXED);
  ring->used++;
  return VHOST_RING_ANSWERED;
}

bool
vhost_ring_ask (VhostRing *ring)
{
  const bool may_be_signalled = ring->used != ring->asked_at;

  ring->asked_at = ring->used;
  __atomic_store_n (&ring->memory->available.used_event, GUINT16_TO_LE (ring->used),
                    __ATOMIC_RELAXED);
  /* Orders the wish before the look at the index that follows; the server does the reverse. */
  __atomic_thread_fence (__ATOMIC_SEQ_CST);
  return may_be_signalled;
}
