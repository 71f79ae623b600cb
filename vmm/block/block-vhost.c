#define G_LOG_DOMAIN "vmm-block"

#include "block/block-vhost.h"

#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>
#include <gio/gio.h>
#include <linux/virtio_blk.h>
#include <linux/virtio_config.h>
#include <linux/virtio_ring.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>

#include "base/iov.h"
#include "block/vhost-ring.h"

/* Theory of operation
 *
 * A request waits for a slot of the ring, and for as many chunks as a step of its data takes. One that is longer than its chunks or than the server
 * takes at once, and a durable one, is made in steps, one after the other in the same slot.
 *
 * Data is copied: the server sees what it is asked to write, and not the guest's memory. That costs little beside its waking, and leaves that memory
 * private to this process, in the huge pages that the host gives such.
 *
 * All that is known of a slot is known on this side (Slot). The server is told of new requests when it has asked for it; we ask to be told of the next
 * answer when somebody is about to sleep: reap () does, look () does not.
 *
 * A request keeps its slot until it is answered. When the server is lost all of them are unsent again, from their first step: what it did may be lost
 * with it, and to do it twice does no harm. The next one gets a ring of its own: what the kernel still does for the one that is gone cannot reach it.
 *
 * The socket changes with the server; who polls gets an epoll instance with the call eventfd and the socket inside.
 */
#define SLOTS        VHOST_RING_SLOTS
#define CHUNK        VHOST_RING_CHUNK
#define CHUNKS       VHOST_RING_CHUNKS
#define PATIENCE_US  (15 * G_TIME_SPAN_SECOND)
#define FEATURE(bit) (UINT64_C (1) << (bit))
#define NEEDED       (FEATURE (VIRTIO_RING_F_INDIRECT_DESC) | FEATURE (VIRTIO_RING_F_EVENT_IDX))
#define NEEDED_WRITER                                                                              \
  (FEATURE (VIRTIO_BLK_F_FLUSH) | FEATURE (VIRTIO_BLK_F_DISCARD) |                                 \
   FEATURE (VIRTIO_BLK_F_WRITE_ZEROES))
#define ACCEPTED                                                                                   \
  (FEATURE (VIRTIO_F_VERSION_1) | NEEDED | NEEDED_WRITER | FEATURE (VIRTIO_BLK_F_SEG_MAX) |        \
   FEATURE (VIRTIO_BLK_F_RO))

static_assert (SLOTS <= UINT8_MAX + 1 && CHUNKS <= UINT8_MAX + 1, "their numbers are bytes");
static_assert (CHUNKS >= SLOTS, "small requests find a chunk where they find a slot");
static_assert (CHUNK % BLOCK_SECTOR_SIZE == 0, "a step ends with a sector");

typedef struct Slot
{
  BlockRequest *request; /* NULL: free */
  bool sent;
  bool flushing; /* the last step of a durable request */
  uint64_t done; /* bytes of earlier steps */
  uint64_t step; /* bytes of this one */
  uint8_t chunks[VHOST_RING_STEP_CHUNKS];
  unsigned n_chunks;
} Slot;

struct BlockVhost
{
  BlockVhostConfig config;
  VhostRing *ring;
  int kick, call; /* eventfds */
  int epoll;

  struct virtio_blk_config space; /* as the first server said; what counts of it */
  uint64_t features;
  uint64_t size;
  unsigned segments;      /* of one step */
  uint64_t discard_bytes; /* of one step */
  uint64_t zeroes_bytes;

  VhostUser *link;       /* NULL: the server is lost */
  unsigned in_flight;    /* from submit () to done () */
  BlockRequest *waiting; /* for a slot: a list; waiting_tail: where to append */
  BlockRequest **waiting_tail;
  Slot slots[SLOTS];
  uint8_t free_slots[SLOTS]; /* a stack: those used last are in the caches */
  unsigned n_free;
  uint8_t free_chunks[CHUNKS]; /* the same */
  unsigned n_free_chunks;
};

static bool
fail (GError **error, const char *what)
{
  g_set_error (error, G_IO_ERROR, G_IO_ERROR_FAILED, "the process that serves the disk %s", what);
  return false;
}

/* --- the server, started --- */

/* Bytes of a range of so many sectors. */
static uint64_t
get_range_limit (uint32_t sectors)
{
  return (uint64_t) GUINT32_FROM_LE (sectors) * BLOCK_SECTOR_SIZE;
}

static bool
check (const BlockVhost *self, uint64_t features, const struct virtio_blk_config *space,
       GError **error)
{
  const uint64_t sectors = GUINT64_FROM_LE (space->capacity);

  if ((features & NEEDED) != NEEDED)
    return fail (error, "is too old");
  if (!self->config.readonly && (features & FEATURE (VIRTIO_BLK_F_RO)))
    return fail (error, "says that it cannot be written");
  if (!self->config.readonly && (features & NEEDED_WRITER) != NEEDED_WRITER)
    return fail (error, "cannot flush, discard or write zeroes");
  if (sectors == 0 || sectors > INT64_MAX / BLOCK_SECTOR_SIZE)
    return fail (error, "says an impossible size");
  if (!self->config.readonly &&
      (space->max_discard_sectors == 0 || space->max_write_zeroes_sectors == 0))
    return fail (error, "says that it can discard nothing");
  return true;
}

/* A link to a server that was started, and what it said of the disk; NULL: error. */
static VhostUser *
attempt (BlockVhost *self, struct virtio_blk_config *space, GError **error)
{
  const int fd = self->config.server.ops->start (self->config.server.opaque, error);

  if (fd < 0)
    return NULL;
  g_autoptr (VhostUser) link = vhost_user_new (fd);
  *space = (struct virtio_blk_config){};
  if (!vhost_user_negotiate (link, error))
    return NULL;
  if (vhost_user_get_queues (link) < 1 || !vhost_user_has_config (link))
    {
      fail (error, "has no queue or no config space");
      return NULL;
    }
  if (!vhost_user_read_config (
          link, space, offsetof (struct virtio_blk_config, write_zeroes_may_unmap), error) ||
      !check (self, vhost_user_get_features (link), space, error))
    return NULL;
  return g_steal_pointer (&link);
}

/* With a ring of its own. */
static bool
hand_over (BlockVhost *self, VhostUser *link, GError **error)
{
  struct epoll_event event = { .events = EPOLLIN };
  g_autoptr (VhostRing) ring = vhost_ring_new (error);

  if (!ring || !vhost_ring_hand_over (ring, link, vhost_user_get_features (link) & ACCEPTED,
                                      self->kick, self->call, error))
    return false;
  vhost_ring_free (self->ring);
  self->ring = g_steal_pointer (&ring);
  for (unsigned i = 0; i < SLOTS; i++)
    {
      Slot *slot = &self->slots[i];

      slot->sent = slot->flushing = false;
      slot->done = 0;
    }
  return epoll_ctl (self->epoll, EPOLL_CTL_ADD, vhost_user_get_fd (link), &event) == 0 ||
         fail (error, g_strerror (errno));
}

/* *space is what counts of what it said. Its own words are better than that it hung up. */
static VhostUser *
start_server (BlockVhost *self, struct virtio_blk_config *space, GError **error)
{
  g_autoptr (GError) failure = NULL;
  VhostUser *link = attempt (self, space, &failure);

  if (link)
    return link;
  self->config.server.ops->end (self->config.server.opaque);
  g_autofree char *complaint = self->config.server.ops->get_complaint (self->config.server.opaque);
  if (complaint)
    g_set_error_literal (error, G_IO_ERROR, G_IO_ERROR_FAILED, complaint);
  else
    g_propagate_error (error, g_steal_pointer (&failure));
  return NULL;
}

static void
lose (BlockVhost *self, const char *reason)
{
  if (!self->link)
    return;
  epoll_ctl (self->epoll, EPOLL_CTL_DEL, vhost_user_get_fd (self->link), NULL);
  g_clear_pointer (&self->link, vhost_user_free);
  self->config.server.ops->end (self->config.server.opaque);
  self->config.failed (self->config.opaque, reason);
}

/* --- requests go out --- */

/* Copies between a slot's chunks and the request's memory. */
static void
copy_step (BlockVhost *self, const Slot *slot)
{
  const BlockRequest *request = slot->request;

  for (uint64_t copied = 0; copied < slot->step; copied += CHUNK)
    {
      uint8_t *chunk = vhost_ring_get_chunk (self->ring, slot->chunks[copied / CHUNK]);
      const uint64_t offset = slot->done + copied;
      const size_t size = MIN (slot->step - copied, CHUNK);

      if (request->operation == BLOCK_WRITE)
        iov_read (request->iov, request->n_iov, offset, chunk, size);
      else
        iov_write (request->iov, request->n_iov, offset, chunk, size);
    }
}

static void
describe_transfer (BlockVhost *self, Slot *slot, VhostRingRequest *step)
{
  const BlockRequest *request = slot->request;

  slot->step = MIN (request->size - slot->done, (uint64_t) slot->n_chunks * CHUNK);
  if (request->operation == BLOCK_WRITE)
    copy_step (self, slot);
  step->type = request->operation == BLOCK_WRITE ? VIRTIO_BLK_T_OUT : VIRTIO_BLK_T_IN;
  step->sector = (request->offset + slot->done) / BLOCK_SECTOR_SIZE;
  step->chunks = slot->chunks;
  step->size = slot->step;
}

static void
describe_range (BlockVhost *self, Slot *slot, VhostRingRequest *step)
{
  const BlockRequest *request = slot->request;
  const bool zeroes = request->operation == BLOCK_WRITE_ZEROES;

  slot->step = MIN (request->size - slot->done, zeroes ? self->zeroes_bytes : self->discard_bytes);
  step->type = zeroes ? VIRTIO_BLK_T_WRITE_ZEROES : VIRTIO_BLK_T_DISCARD;
  step->sector = (request->offset + slot->done) / BLOCK_SECTOR_SIZE;
  step->n_sectors = (uint32_t) (slot->step / BLOCK_SECTOR_SIZE);
  step->flags = zeroes && request->may_unmap ? VIRTIO_BLK_WRITE_ZEROES_FLAG_UNMAP : 0;
}

static void
complete (BlockVhost *self, unsigned index, int error)
{
  Slot *slot = &self->slots[index];
  BlockRequest *request = slot->request;

  for (unsigned i = 0; i < slot->n_chunks; i++)
    self->free_chunks[self->n_free_chunks++] = slot->chunks[i];
  *slot = (Slot){};
  self->free_slots[self->n_free++] = (uint8_t) index;
  self->in_flight--;
  request->done (request, request->operation == BLOCK_DISCARD ? 0 : error);
}

static void
send_step (BlockVhost *self, unsigned index)
{
  Slot *slot = &self->slots[index];
  VhostRingRequest step = { .type = VIRTIO_BLK_T_FLUSH };

  slot->step = 0;
  if (!slot->flushing && slot->n_chunks > 0)
    describe_transfer (self, slot, &step);
  else if (!slot->flushing && slot->request->operation != BLOCK_FLUSH)
    describe_range (self, slot, &step);
  slot->sent = true;
  vhost_ring_put (self->ring, index, &step);
}

/* Of one step. */
static unsigned
count_chunks (const BlockVhost *self, const BlockRequest *request)
{
  const bool has_data = request->operation == BLOCK_READ || request->operation == BLOCK_WRITE;

  const uint64_t all = MAX ((request->size + CHUNK - 1) / CHUNK, 1);

  return has_data ? (unsigned) MIN (all, self->segments) : 0;
}

static BlockRequest *
take_waiting (BlockVhost *self)
{
  BlockRequest *request = self->waiting;

  self->waiting = request->next;
  if (!self->waiting)
    self->waiting_tail = &self->waiting;
  return request;
}

static void
fill_slots (BlockVhost *self)
{
  while (self->waiting && self->n_free > 0 &&
         count_chunks (self, self->waiting) <= self->n_free_chunks)
    {
      const unsigned index = self->free_slots[--self->n_free];
      Slot *slot = &self->slots[index];

      *slot = (Slot){ .request = take_waiting (self) };
      for (; slot->n_chunks < count_chunks (self, slot->request); slot->n_chunks++)
        slot->chunks[slot->n_chunks] = self->free_chunks[--self->n_free_chunks];
      send_step (self, index);
    }
}

static void
push (BlockVhost *self)
{
  static const uint64_t one = 1;

  if (!self->link)
    return;
  fill_slots (self);
  if (vhost_ring_must_kick (self->ring) && write (self->kick, &one, sizeof one) < 0)
    g_debug ("kick: %s", g_strerror (errno));
}

/* --- answers come in --- */

static void
take_answer (BlockVhost *self, unsigned index, uint8_t status)
{
  Slot *slot = &self->slots[index];
  const BlockRequest *request = slot->request;
  const bool writes = request->operation == BLOCK_WRITE || request->operation == BLOCK_WRITE_ZEROES;

  slot->sent = false;
  if (request->operation == BLOCK_READ && status == VIRTIO_BLK_S_OK)
    copy_step (self, slot);
  slot->done += slot->step;
  if (status != VIRTIO_BLK_S_OK)
    complete (self, index, EIO);
  else if (request->operation != BLOCK_FLUSH && slot->done < request->size)
    send_step (self, index);
  else if (writes && request->durable && !slot->flushing)
    {
      slot->flushing = true;
      send_step (self, index);
    }
  else
    complete (self, index, 0);
}

static bool
collect (BlockVhost *self)
{
  VhostRingAnswer answer;
  unsigned index;
  uint8_t status;
  bool any = false;

  while (self->link && (answer = vhost_ring_take (self->ring, &index, &status)) != VHOST_RING_EMPTY)
    {
      if (answer == VHOST_RING_NONSENSE || !self->slots[index].sent)
        {
          lose (self, "the process that serves the disk talks nonsense");
          break;
        }
      any = true;
      take_answer (self, index, status);
    }
  return any;
}

static bool
has_hung_up (const BlockVhost *self)
{
  uint8_t byte;

  return self->link &&
         (recv (vhost_user_get_fd (self->link), &byte, 1, MSG_PEEK | MSG_DONTWAIT) >= 0 ||
          (errno != EAGAIN && errno != EINTR));
}

/* Has `call` signalled at the next answer. It was signalled if there were some since it was last asked for, or may have been late. */
static void
ask_to_be_told (BlockVhost *self, bool may_be_late)
{
  uint64_t count;

  if ((vhost_ring_ask (self->ring) || may_be_late) && read (self->call, &count, sizeof count) < 0 &&
      errno != EAGAIN)
    g_debug ("call: %s", g_strerror (errno));
}

/* --- the backend --- */

static void
submit (void *opaque, BlockRequest *request)
{
  BlockVhost *self = opaque;

  request->next = NULL;
  *self->waiting_tail = request;
  self->waiting_tail = &request->next;
  self->in_flight++;
}

static void
kick (void *opaque)
{
  push (opaque);
}

static void
look (void *opaque)
{
  BlockVhost *self = opaque;

  if (collect (self))
    push (self);
}

static void
reap (void *opaque)
{
  BlockVhost *self = opaque;
  const bool any = collect (self);

  do
    ask_to_be_told (self, !any);
  while (collect (self));
  push (self);
  if (!any && has_hung_up (self))
    lose (self, "the process that serves the disk has ended");
}

/* The server is lost, and nobody will wait for another. */
static void
abandon (BlockVhost *self)
{
  for (unsigned i = 0; i < SLOTS; i++)
    if (self->slots[i].request)
      complete (self, i, EIO);
  while (self->waiting)
    {
      BlockRequest *request = take_waiting (self);

      self->in_flight--;
      request->done (request, EIO);
    }
}

static void
drain (void *opaque)
{
  const gint64 end = g_get_monotonic_time () + PATIENCE_US;
  BlockVhost *self = opaque;

  push (self);
  while (self->in_flight > 0 && self->link)
    {
      struct pollfd one = { .fd = self->epoll, .events = POLLIN };
      const gint64 left = (end - g_get_monotonic_time ()) / 1000;

      reap (self);
      if (self->in_flight == 0 || !self->link)
        break;
      if (left <= 0 || poll (&one, 1, (int) left) == 0)
        lose (self, "the process that serves the disk does not answer in time");
    }
  abandon (self);
}

static void
free_vhost (void *opaque)
{
  block_vhost_free (opaque);
}

static const BlockBackendOps ops = {
  .submit = submit,
  .kick = kick,
  .reap = reap,
  .look = look,
  .drain = drain,
  .free = free_vhost,
};

void
block_vhost_get_backend (BlockVhost *self, BlockBackend *backend)
{
  *backend = (BlockBackend){ .ops = &ops, .opaque = self, .fd = self->epoll, .size = self->size };
}

bool
block_vhost_is_lost (const BlockVhost *self)
{
  return self->link == NULL;
}

/* --- life --- */

static bool
make_fds (BlockVhost *self, GError **error)
{
  struct epoll_event event = { .events = EPOLLIN };

  self->kick = eventfd (0, EFD_CLOEXEC | EFD_NONBLOCK);
  self->call = eventfd (0, EFD_CLOEXEC | EFD_NONBLOCK);
  self->epoll = epoll_create1 (EPOLL_CLOEXEC);
  if (self->kick >= 0 && self->call >= 0 && self->epoll >= 0 &&
      epoll_ctl (self->epoll, EPOLL_CTL_ADD, self->call, &event) == 0)
    return true;
  return fail (error, "cannot be watched: no more file descriptors; raise the limit (ulimit -n)");
}

static void
learn (BlockVhost *self, const VhostUser *link)
{
  const struct virtio_blk_config *space = &self->space;
  const uint32_t segments = GUINT32_FROM_LE (space->seg_max);

  self->features = vhost_user_get_features (link) & ACCEPTED;
  self->size = GUINT64_FROM_LE (space->capacity) * BLOCK_SECTOR_SIZE;
  self->discard_bytes = get_range_limit (space->max_discard_sectors);
  self->zeroes_bytes = get_range_limit (space->max_write_zeroes_sectors);
  self->segments = VHOST_RING_STEP_CHUNKS;
  if ((self->features & FEATURE (VIRTIO_BLK_F_SEG_MAX)) && segments > 0)
    self->segments = MIN (segments, VHOST_RING_STEP_CHUNKS);
}

BlockVhost *
block_vhost_new (const BlockVhostConfig *config, GError **error)
{
  g_autoptr (BlockVhost) self = g_new0 (BlockVhost, 1);

  self->config = *config;
  self->waiting_tail = &self->waiting;
  self->kick = self->call = self->epoll = -1;
  for (unsigned i = 0; i < SLOTS; i++)
    self->free_slots[self->n_free++] = (uint8_t) i;
  for (unsigned i = 0; i < CHUNKS; i++)
    self->free_chunks[self->n_free_chunks++] = (uint8_t) i;
  if (!make_fds (self, error))
    return NULL;
  g_autoptr (VhostUser) link = start_server (self, &self->space, error);
  if (!link)
    return NULL;
  learn (self, link);
  if (!hand_over (self, link, error))
    {
      config->server.ops->end (config->server.opaque);
      return NULL;
    }
  self->link = g_steal_pointer (&link);
  return g_steal_pointer (&self);
}

void
block_vhost_free (BlockVhost *self)
{
  if (!self)
    return;
  drain (self);
  vhost_user_free (self->link);
  vhost_ring_free (self->ring);
  if (self->kick >= 0)
    close (self->kick);
  if (self->call >= 0)
    close (self->call);
  if (self->epoll >= 0)
    close (self->epoll);
  g_free (self);
}

bool
block_vhost_resume (BlockVhost *self, GError **error)
{
  struct virtio_blk_config space;

  if (self->link)
    return true;
  g_autoptr (VhostUser) link = start_server (self, &space, error);
  if (!link)
    return false;
  bool good = memcmp (&space, &self->space, sizeof space) == 0 &&
              (vhost_user_get_features (link) & ACCEPTED) == self->features;
  if (!good)
    fail (error, "has another image than before");
  good = good && hand_over (self, link, error);
  if (!good)
    {
      self->config.server.ops->end (self->config.server.opaque);
      return false;
    }
  self->link = g_steal_pointer (&link);
  for (unsigned i = 0; i < SLOTS; i++)
    if (self->slots[i].request)
      send_step (self, i);
  push (self);
  return true;
}
