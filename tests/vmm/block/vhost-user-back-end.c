#include "vhost-user-back-end.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>
#include <linux/virtio_blk.h>
#include <linux/virtio_config.h>
#include <linux/virtio_ring.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/uio.h>

#define REGIONS   8
#define RING_SIZE 256 /* the largest */
#define SEGMENTS  512 /* of one request */
#define SECTOR    512u
#define BIT(n)    (UINT64_C (1) << (n))

/* docs/interop/vhost-user.rst; written down here once more, so that the front end is not its own judge. */
enum
{
  GET_FEATURES = 1,
  SET_FEATURES = 2,
  SET_MEM_TABLE = 5,
  SET_VRING_NUM = 8,
  SET_VRING_ADDR = 9,
  SET_VRING_BASE = 10,
  SET_VRING_KICK = 12,
  SET_VRING_CALL = 13,
  GET_PROTOCOL_FEATURES = 15,
  GET_QUEUE_NUM = 17,
  GET_CONFIG = 24,
};

typedef struct Message
{
  uint32_t request, flags, size;
  union
  {
    uint8_t bytes[512];
    uint32_t u32[128];
    uint64_t u64[64];
  };
  int fds[REGIONS];
  unsigned n_fds;
} Message;

typedef struct Region
{
  uint64_t gpa, size, address;
  uint8_t *host;
  int seals;
} Region;

typedef struct Request
{
  uint16_t head;
  struct virtio_blk_outhdr header;
  unsigned n_data;
  struct iovec data[SEGMENTS];
  uint8_t *status;
} Request;

struct VhostUserBackEnd
{
  VhostUserBackEndConfig config;
  VhostUserBackEndSeen *seen;
  int fd;
  int wake; /* eventfd: stop or let_go changed */
  GThread *thread;
  bool dead;
  uint64_t acknowledged;
  unsigned n_regions;
  Region regions[REGIONS];

  bool started;
  uint16_t next; /* available */
  int kick, call;
  struct vring ring;
  const Region *ring_region; /* where all of it is */
  bool in_flight[RING_SIZE];
  unsigned n_in_flight, n_taken;
  Request *held;

  /* Atomic. */
  bool stop;
  bool let_go;
};

/* --- memory --- */

static const Region *
find_region (VhostUserBackEnd *self, uint64_t address, uint64_t size)
{
  for (unsigned i = 0; i < self->n_regions; i++)
    {
      const Region *region = &self->regions[i];

      if (address >= region->gpa && address - region->gpa < region->size &&
          size <= region->size - (address - region->gpa))
        return region;
    }
  g_error ("an address in no region");
}

static void *
find (VhostUserBackEnd *self, uint64_t address, uint64_t size)
{
  const Region *region = find_region (self, address, size);

  return region->host + (address - region->gpa);
}

/* --- requests --- */

static void
add (unsigned *count, unsigned n)
{
  __atomic_add_fetch (count, n, __ATOMIC_ACQ_REL);
}

static void
note_most (unsigned *most, unsigned n)
{
  if (n > *most)
    __atomic_store_n (most, n, __ATOMIC_RELEASE);
}

/* A readable header, the data, a writable byte: what can be written comes last. */
static void
frame (Request *request, const struct iovec *segments, const bool *writable, unsigned n)
{
  g_assert_cmpuint (n, >=, 2);
  for (unsigned i = 1; i < n; i++)
    g_assert_true (writable[i] || !writable[i - 1]);
  g_assert_false (writable[0]);
  g_assert_cmpuint (segments[0].iov_len, ==, sizeof request->header);
  memcpy (&request->header, segments[0].iov_base, sizeof request->header);
  g_assert_true (writable[n - 1]);
  g_assert_cmpuint (segments[n - 1].iov_len, ==, 1);
  request->status = segments[n - 1].iov_base;
  request->n_data = n - 2;
  memcpy (request->data, segments + 1, request->n_data * sizeof *segments);
  for (unsigned i = 1; i < n - 1; i++)
    g_assert_true (writable[i] == (request->header.type == VIRTIO_BLK_T_IN));
}

static Request *
read_request (VhostUserBackEnd *self, uint16_t head)
{
  Request *request = g_new0 (Request, 1);
  const struct vring_desc *table = self->ring.desc;
  unsigned size = self->ring.num, i = head, n = 0;
  struct iovec segments[SEGMENTS];
  bool writable[SEGMENTS];

  g_assert_cmpuint (head, <, size);
  if (table[head].flags & VRING_DESC_F_INDIRECT)
    {
      g_assert_true (self->acknowledged & BIT (VIRTIO_RING_F_INDIRECT_DESC));
      g_assert_cmpuint (table[head].flags, ==, VRING_DESC_F_INDIRECT);
      g_assert_cmpuint (table[head].len % sizeof *table, ==, 0);
      size = table[head].len / sizeof *table;
      table = find (self, table[head].addr, table[head].len);
      i = 0;
    }
  for (bool more = true; more; n++)
    {
      g_assert_cmpuint (i, <, size);
      g_assert_cmpuint (n, <, MIN (size, SEGMENTS));
      g_assert_cmpuint (table[i].len, >, 0);
      segments[n] =
          (struct iovec){ find (self, table[i].addr, table[i].len), .iov_len = table[i].len };
      writable[n] = table[i].flags & VRING_DESC_F_WRITE;
      more = table[i].flags & VRING_DESC_F_NEXT;
      i = table[i].next;
    }
  request->head = head;
  frame (request, segments, writable, n);
  return request;
}

/* Only the first bytes of it, `most`. Returns how many those were. */
static uint32_t
transfer (VhostUserBackEnd *self, const Request *request, uint64_t most)
{
  const bool in = request->header.type == VIRTIO_BLK_T_IN;
  const uint64_t end = self->config.sectors * SECTOR;
  uint64_t at = request->header.sector * SECTOR, done = 0;

  for (unsigned i = 0; i < request->n_data; i++)
    {
      const struct iovec *data = &request->data[i];
      const size_t size = MIN (data->iov_len, most - done);

      g_assert_cmpuint (at, <=, end);
      g_assert_cmpuint (data->iov_len, <=, end - at);
      if (in)
        memcpy (data->iov_base, self->config.contents + at, size);
      else
        memcpy (self->config.contents + at, data->iov_base, size);
      at += data->iov_len;
      done += size;
    }
  if (most == UINT64_MAX)
    g_assert_cmpuint (done % SECTOR, ==, 0);
  return in ? (uint32_t) done : 0;
}

/* What was discarded reads as 0xdd, what was zeroed as 0. */
static void
do_range (VhostUserBackEnd *self, const Request *request)
{
  const bool zeroes = request->header.type == VIRTIO_BLK_T_WRITE_ZEROES;
  const uint32_t most =
      zeroes ? self->config.max_write_zeroes_sectors : self->config.max_discard_sectors;
  struct virtio_blk_discard_write_zeroes range;

  g_assert_cmpuint (request->n_data, ==, 1);
  g_assert_cmpuint (request->data[0].iov_len, ==, sizeof range);
  memcpy (&range, request->data[0].iov_base, sizeof range);
  g_assert_cmpuint (range.num_sectors, >, 0);
  g_assert_cmpuint (range.num_sectors, <=, most);
  g_assert_cmpuint (range.sector, <, self->config.sectors);
  g_assert_cmpuint (range.num_sectors, <=, self->config.sectors - range.sector);
  g_assert_cmpuint (range.flags, <=, zeroes ? VIRTIO_BLK_WRITE_ZEROES_FLAG_UNMAP : 0);
  add (&self->seen->unmaps, range.flags != 0);
  note_most (&self->seen->largest_range, range.num_sectors);
  memset (self->config.contents + range.sector * SECTOR, zeroes ? 0 : 0xdd,
          (size_t) range.num_sectors * SECTOR);
}

/* Returns how many bytes of the request's memory were written. */
static uint32_t
do_request (VhostUserBackEnd *self, const Request *request, uint64_t most)
{
  switch (request->header.type)
    {
    case VIRTIO_BLK_T_IN:
    case VIRTIO_BLK_T_OUT:
      return transfer (self, request, most);
    case VIRTIO_BLK_T_FLUSH:
      g_assert_cmpuint (request->n_data, ==, 0);
      return 0;
    case VIRTIO_BLK_T_DISCARD:
    case VIRTIO_BLK_T_WRITE_ZEROES:
      do_range (self, request);
      return 0;
    default:
      g_error ("a request of no known type");
    }
}

/* --- the used ring --- */

void
vhost_user_back_end_call (VhostUserBackEnd *self)
{
  static const uint64_t one = 1;

  add (&self->seen->calls, 1);
  g_assert_cmpint (write (self->call, &one, sizeof one), ==, sizeof one);
}

static void
publish (VhostUserBackEnd *self, uint32_t id, uint32_t written, uint16_t step)
{
  struct vring *ring = &self->ring;
  const uint16_t old = ring->used->idx, new = old + step;
  const bool events = self->acknowledged & BIT (VIRTIO_RING_F_EVENT_IDX);

  ring->used->ring[old % ring->num] = (struct vring_used_elem){ id, written };
  __atomic_store_n (&ring->used->idx, new, __ATOMIC_RELEASE);
  __atomic_thread_fence (__ATOMIC_SEQ_CST);
  if (self->config.never_calls)
    return;
  if (step != 1 || (events ? vring_need_event (vring_used_event (ring), new, old)
                           : !(ring->avail->flags & VRING_AVAIL_F_NO_INTERRUPT)))
    vhost_user_back_end_call (self);
}

static void
overwrite_rings (VhostUserBackEnd *self)
{
  memset (self->ring_region->host, 0xff, self->ring_region->size);
  self->dead = true;
}

static void
tell (VhostUserBackEnd *self, const Request *request, uint32_t written)
{
  const VhostUserBackEndLie lie = self->config.lie;
  const uint16_t head = request->head;
  const unsigned size = self->ring.num;

  self->config.lie = VHOST_USER_BACK_END_HONEST;
  switch (lie)
    {
    case VHOST_USER_BACK_END_ID_BEYOND:
      publish (self, size, written, 1);
      return;
    case VHOST_USER_BACK_END_ID_HUGE:
      publish (self, UINT32_MAX - head, written, 1);
      return;
    case VHOST_USER_BACK_END_ID_OF_NOBODY:
      publish (self, (head + 1) % size, written, 1);
      return;
    case VHOST_USER_BACK_END_TWICE:
      publish (self, head, written, 1);
      publish (self, head, written, 1);
      return;
    case VHOST_USER_BACK_END_INDEX_JUMPS:
      publish (self, head, written, size + 1);
      return;
    case VHOST_USER_BACK_END_INDEX_GOES_BACK:
      publish (self, head, written, UINT16_MAX);
      return;
    case VHOST_USER_BACK_END_LENGTH:
      publish (self, head, UINT32_MAX, 1);
      return;
    case VHOST_USER_BACK_END_OVERWRITES:
      overwrite_rings (self);
      return;
    default:
      publish (self, head, written, 1);
      return;
    }
}

/* Takes over the request. */
static void
finish (VhostUserBackEnd *self, Request *request)
{
  uint32_t written = 1;

  if (self->config.status == VIRTIO_BLK_S_OK)
    written += do_request (self, request, UINT64_MAX);
  if (self->config.lie != VHOST_USER_BACK_END_NO_STATUS)
    *request->status = self->config.status;
  self->in_flight[request->head] = false;
  self->n_in_flight--;
  tell (self, request, written);
  g_free (request);
}

static bool
is_let_go (VhostUserBackEnd *self)
{
  return __atomic_load_n (&self->let_go, __ATOMIC_ACQUIRE);
}

static void
take (VhostUserBackEnd *self, uint16_t head)
{
  g_autofree Request *request = read_request (self, head);

  g_assert_false (self->in_flight[head]);
  self->in_flight[head] = true;
  self->n_in_flight++;
  note_most (&self->seen->most_segments, request->n_data);
  g_assert_cmpuint (request->n_data, <=, self->config.seg_max);
  add (&self->seen->by_type[request->header.type % 16], 1);
  self->n_taken++;
  if (self->n_taken == self->config.holds && !is_let_go (self))
    self->held = g_steal_pointer (&request);
  /* Who sees that it is done sees it counted; who sees it counted can let it go. */
  add (&self->seen->taken, 1);
  if (!request)
    return;
  if (self->n_taken != self->config.dies_at)
    {
      finish (self, g_steal_pointer (&request));
      return;
    }
  do_request (self, request, SECTOR / 2);
  self->dead = true;
}

static void
serve (VhostUserBackEnd *self)
{
  const struct vring *ring = &self->ring;

  while (self->started && !self->dead)
    {
      const uint16_t available = __atomic_load_n (&ring->avail->idx, __ATOMIC_ACQUIRE);

      g_assert_cmpuint ((uint16_t) (available - self->next), <=, ring->num - self->n_in_flight);
      if (available != self->next)
        {
          take (self, ring->avail->ring[self->next++ % ring->num]);
          continue;
        }
      vring_avail_event (ring) = self->next - (self->config.never_sleeps ? 1 : 0);
      __atomic_thread_fence (__ATOMIC_SEQ_CST);
      if (__atomic_load_n (&ring->avail->idx, __ATOMIC_ACQUIRE) == self->next)
        return;
    }
}

static void
start (VhostUserBackEnd *self)
{
  /* Its own counters go on from here. */
  g_assert_cmpuint (self->ring.used->idx, ==, self->next);
  self->started = true;
  serve (self);
}

/* --- messages --- */

static void
set_memory (VhostUserBackEnd *self, const Message *message)
{
  self->n_regions = message->u32[0];
  g_assert_cmpuint (self->n_regions, ==, message->n_fds);
  for (unsigned i = 0; i < self->n_regions; i++)
    {
      const uint64_t *words = message->u64 + 1 + i * 4;

      self->regions[i] = (Region){ .gpa = words[0], .size = words[1], .address = words[2] };
      g_assert_cmphex (words[0], ==, words[2]);
      self->regions[i].host = mmap (NULL, words[1], PROT_READ | PROT_WRITE, MAP_SHARED,
                                    message->fds[i], (off_t) words[3]);
      g_assert_true (self->regions[i].host != MAP_FAILED);
      self->regions[i].seals = fcntl (message->fds[i], F_GET_SEALS);
    }
}

/* In memory that cannot be cut off: to touch what was would end the driver. */
static void
set_ring (VhostUserBackEnd *self, const Message *message)
{
  struct vring *ring = &self->ring;

  g_assert_cmpuint (message->u32[0], ==, 0);
  ring->desc = find (self, message->u64[1], sizeof *ring->desc * ring->num);
  ring->used = find (self, message->u64[2], 6 + sizeof *ring->used->ring * ring->num);
  ring->avail = find (self, message->u64[3], 6 + sizeof *ring->avail->ring * ring->num);
  self->ring_region = find_region (self, message->u64[1], 1);
  g_assert_true (find_region (self, message->u64[2], 1) == self->ring_region);
  g_assert_true (find_region (self, message->u64[3], 1) == self->ring_region);
  g_assert_true (self->ring_region->seals & F_SEAL_SHRINK);
}

static void
send_reply (VhostUserBackEnd *self, Message *message, uint32_t size)
{
  struct iovec iov[] = { { message, 12 }, { message->bytes, size } };
  struct msghdr msg = { .msg_iov = iov, .msg_iovlen = 2 };

  message->flags = 1 | 4;
  message->size = size;
  sendmsg (self->fd, &msg, MSG_NOSIGNAL);
}

static void
send_number (VhostUserBackEnd *self, Message *message, uint64_t number)
{
  message->u64[0] = number;
  send_reply (self, message, sizeof number);
}

static void
fill_config (VhostUserBackEnd *self, Message *message)
{
  const struct virtio_blk_config space = {
    .capacity = self->config.sectors,
    .seg_max = self->config.seg_max,
    .blk_size = SECTOR,
    .num_queues = 1,
    .max_discard_sectors = self->config.max_discard_sectors,
    .max_discard_seg = 1,
    .discard_sector_alignment = 1,
    .max_write_zeroes_sectors = self->config.max_write_zeroes_sectors,
    .max_write_zeroes_seg = 1,
    .write_zeroes_may_unmap = 1,
  };

  g_assert_cmpuint (message->u32[1], <=, sizeof space);
  memcpy (message->bytes + 12, &space, message->u32[1]);
  send_reply (self, message, message->size);
}

static uint64_t
get_features (const VhostUserBackEnd *self)
{
  const uint64_t features = BIT (VIRTIO_BLK_F_SEG_MAX) | BIT (VIRTIO_BLK_F_BLK_SIZE) |
                            BIT (VIRTIO_BLK_F_FLUSH) | BIT (VIRTIO_BLK_F_CONFIG_WCE) |
                            BIT (VIRTIO_BLK_F_MQ) | BIT (VIRTIO_BLK_F_DISCARD) |
                            BIT (VIRTIO_BLK_F_WRITE_ZEROES) | BIT (VIRTIO_RING_F_INDIRECT_DESC) |
                            BIT (VIRTIO_RING_F_EVENT_IDX) | BIT (30) | BIT (VIRTIO_F_VERSION_1) |
                            BIT (40) /* of which nobody has heard */;

  return (features | (self->config.readonly ? BIT (VIRTIO_BLK_F_RO) : 0)) & ~self->config.lacks;
}

static void
set_features (VhostUserBackEnd *self, uint64_t features)
{
  g_assert_cmphex (features & ~get_features (self), ==, 0);
  g_assert_cmphex (features & BIT (40), ==, 0);
  g_assert_true (features & BIT (VIRTIO_F_VERSION_1));
  self->acknowledged = features;
}

/* Requests with an answer of their own. False: it is none of these. */
static bool
answer_question (VhostUserBackEnd *self, Message *message)
{
  switch (message->request)
    {
    case GET_FEATURES:
      send_number (self, message, get_features (self));
      return true;
    case GET_PROTOCOL_FEATURES: /* MQ, REPLY_ACK, CONFIG */
      send_number (self, message, 1 << 0 | 1 << 3 | (self->config.no_config_space ? 0 : 1 << 9));
      return true;
    case GET_QUEUE_NUM:
      send_number (self, message, 1);
      return true;
    case GET_CONFIG:
      fill_config (self, message);
      return true;
    default:
      return false;
    }
}

static void
answer (VhostUserBackEnd *self, Message *message)
{
  const bool wants_ack = (message->flags & 8) != 0;
  const bool is_kick = message->request == SET_VRING_KICK;

  if (answer_question (self, message))
    return;
  switch (message->request)
    {
    case SET_FEATURES:
      set_features (self, message->u64[0]);
      break;
    case SET_MEM_TABLE:
      set_memory (self, message);
      break;
    case SET_VRING_NUM:
      g_assert_cmpuint (message->u32[1], <=, RING_SIZE);
      self->ring.num = message->u32[1];
      break;
    case SET_VRING_BASE:
      self->next = message->u32[1];
      break;
    case SET_VRING_ADDR:
      set_ring (self, message);
      break;
    case SET_VRING_CALL:
      self->call = dup (message->fds[0]);
      break;
    case SET_VRING_KICK:
      self->kick = dup (message->fds[0]);
      break;
    default:
      break;
    }
  if (wants_ack)
    send_number (self, message, 0);
  if (is_kick)
    start (self);
}

static bool
receive (VhostUserBackEnd *self, Message *message)
{
  union
  {
    char room[CMSG_SPACE (REGIONS * sizeof (int))];
    struct cmsghdr align;
  } control;
  struct iovec iov = { message, 12 };
  struct msghdr msg = { .msg_iov = &iov,
                        .msg_iovlen = 1,
                        .msg_control = control.room,
                        .msg_controllen = sizeof control.room };

  message->n_fds = 0;
  if (recvmsg (self->fd, &msg, MSG_WAITALL) != 12)
    return false;
  struct cmsghdr *head = CMSG_FIRSTHDR (&msg);
  if (head)
    {
      message->n_fds = (head->cmsg_len - CMSG_LEN (0)) / sizeof (int);
      memcpy (message->fds, CMSG_DATA (head), message->n_fds * sizeof (int));
    }
  g_assert_cmpuint (message->size, <=, sizeof message->bytes);
  return message->size == 0 ||
         recv (self->fd, message->bytes, message->size, MSG_WAITALL) == (ssize_t) message->size;
}

/* False: the front end hung up. */
static bool
converse (VhostUserBackEnd *self)
{
  Message message;

  if (!receive (self, &message))
    return false;
  answer (self, &message);
  while (message.n_fds > 0)
    close (message.fds[--message.n_fds]);
  return true;
}

/* --- the thread --- */

static void
on_wake (VhostUserBackEnd *self)
{
  uint64_t count;

  g_assert_cmpint (read (self->wake, &count, sizeof count), ==, sizeof count);
  if (is_let_go (self) && self->held)
    finish (self, g_steal_pointer (&self->held));
}

static bool
take_kick (VhostUserBackEnd *self)
{
  uint64_t count;

  if (read (self->kick, &count, sizeof count) != sizeof count)
    return false;
  add (&self->seen->kicks, 1);
  return true;
}

static gpointer
run (gpointer data)
{
  VhostUserBackEnd *self = data;

  while (!self->dead)
    {
      struct pollfd fds[] = { { .fd = self->fd, .events = POLLIN },
                              { .fd = self->wake, .events = POLLIN },
                              { .fd = self->started ? self->kick : -1, .events = POLLIN } };

      g_assert_cmpint (poll (fds, G_N_ELEMENTS (fds), self->config.never_sleeps ? 0 : -1), >=, 0);
      if (__atomic_load_n (&self->stop, __ATOMIC_ACQUIRE))
        break;
      if (fds[1].revents)
        on_wake (self);
      if (fds[0].revents && !converse (self))
        break;
      if ((fds[2].revents && take_kick (self)) || self->config.never_sleeps)
        serve (self);
    }
  shutdown (self->fd, SHUT_RDWR);
  return NULL;
}

/* --- life --- */

VhostUserBackEnd *
vhost_user_back_end_new (const VhostUserBackEndConfig *config, int fd)
{
  VhostUserBackEnd *self = g_new0 (VhostUserBackEnd, 1);
  VhostUserBackEndConfig *own = &self->config;

  *own = *config;
  own->seg_max = own->seg_max ? own->seg_max : 126;
  if (own->max_discard_sectors == 0)
    own->max_discard_sectors = (uint32_t) MIN (own->sectors, UINT32_MAX);
  if (own->max_write_zeroes_sectors == 0)
    own->max_write_zeroes_sectors = (uint32_t) MIN (own->sectors, UINT32_MAX);
  self->seen = config->seen;
  self->fd = fd;
  self->wake = eventfd (0, EFD_CLOEXEC);
  self->kick = self->call = -1;
  self->thread = g_thread_new ("back end", run, self);
  return self;
}

static void
wake (VhostUserBackEnd *self)
{
  static const uint64_t one = 1;

  g_assert_cmpint (write (self->wake, &one, sizeof one), ==, sizeof one);
}

void
vhost_user_back_end_let_go (VhostUserBackEnd *self)
{
  __atomic_store_n (&self->let_go, true, __ATOMIC_RELEASE);
  wake (self);
}

void
vhost_user_back_end_free (VhostUserBackEnd *self)
{
  if (!self)
    return;
  __atomic_store_n (&self->stop, true, __ATOMIC_RELEASE);
  wake (self);
  g_thread_join (self->thread);
  for (unsigned i = 0; i < self->n_regions; i++)
    munmap (self->regions[i].host, self->regions[i].size);
  if (self->kick >= 0)
    {
      take_kick (self);
      close (self->kick);
    }
  if (self->call >= 0)
    close (self->call);
  close (self->wake);
  g_free (self->held);
  g_free (self);
}
