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

#define QUEUES      4
#define REGIONS     8
#define RECORD_SIZE 8192 /* of one queue */
#define RING_SIZE   256

/* docs/interop/vhost-user.rst; written down here once more, so that the front end is not its own judge. */
enum
{
  GET_FEATURES = 1,
  SET_FEATURES = 2,
  SET_MEM_TABLE = 5,
  SET_VRING_NUM = 8,
  SET_VRING_ADDR = 9,
  SET_VRING_BASE = 10,
  GET_VRING_BASE = 11,
  SET_VRING_KICK = 12,
  SET_VRING_CALL = 13,
  GET_PROTOCOL_FEATURES = 15,
  GET_QUEUE_NUM = 17,
  GET_CONFIG = 24,
  GET_INFLIGHT_FD = 31,
  SET_INFLIGHT_FD = 32,
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
} Region;

typedef struct Record
{
  uint64_t features;
  uint16_t version, n, last_batch_head, used_index;
  struct
  {
    uint8_t in_flight, padding[5];
    uint16_t next;
    uint64_t counter;
  } heads[RING_SIZE];
} Record;
G_STATIC_ASSERT (sizeof (Record) <= RECORD_SIZE);

typedef struct Queue
{
  bool started;
  unsigned size;
  uint16_t next; /* available */
  int kick, call;
  struct vring ring;
  Record *record;
} Queue;

struct VhostUserBackEnd
{
  VhostUserBackEndConfig config;
  int fd;
  int wake; /* eventfd: something below changed */
  GThread *thread;
  uint8_t *records;
  unsigned n_regions;
  Region regions[REGIONS];
  Queue queues[QUEUES];

  /* Atomic. */
  bool stop;
  bool holding;
  bool let_go;
  unsigned taken;
  unsigned stops;
  Queue *held_queue;
  uint16_t held_head;
};

static void *
find (VhostUserBackEnd *self, uint64_t address, bool is_gpa)
{
  for (unsigned i = 0; i < self->n_regions; i++)
    {
      const Region *region = &self->regions[i];
      const uint64_t start = is_gpa ? region->gpa : region->address;

      if (address >= start && address - start < region->size)
        return region->host + (address - start);
    }
  g_error ("an address in no region");
}

/* --- requests --- */

static void
finish (VhostUserBackEnd *self, Queue *queue, uint16_t head)
{
  static const uint64_t one = 1;
  const struct vring_desc *d = &queue->ring.desc[head];
  uint32_t written = 0;

  for (;; d = &queue->ring.desc[d->next])
    {
      if (d->flags & VRING_DESC_F_WRITE)
        {
          memset (find (self, d->addr, true), 'r', d->len);
          written += d->len;
        }
      if (!(d->flags & VRING_DESC_F_NEXT))
        break;
    }
  *((uint8_t *) find (self, d->addr, true) + d->len - 1) = VIRTIO_BLK_S_OK;
  const uint16_t index = queue->ring.used->idx;
  queue->ring.used->ring[index % queue->size] = (struct vring_used_elem){ head, written };
  if (queue->record)
    queue->record->last_batch_head = head;
  __atomic_store_n (&queue->ring.used->idx, index + 1, __ATOMIC_RELEASE);
  if (queue->record)
    {
      __atomic_store_n (&queue->record->heads[head].in_flight, 0, __ATOMIC_RELEASE);
      queue->record->used_index = index + 1;
    }
  g_assert_cmpint (write (queue->call, &one, sizeof one), ==, sizeof one);
}

static void
take (VhostUserBackEnd *self, Queue *queue, uint16_t head)
{
  if (queue->record)
    __atomic_store_n (&queue->record->heads[head].in_flight, 1, __ATOMIC_RELEASE);
  if (self->config.hold_first)
    {
      self->config.hold_first = false;
      self->held_queue = queue;
      self->held_head = head;
      __atomic_store_n (&self->holding, true, __ATOMIC_RELEASE);
    }
  else
    finish (self, queue, head);
  __atomic_add_fetch (&self->taken, 1, __ATOMIC_ACQ_REL);
}

static void
serve (VhostUserBackEnd *self, Queue *queue)
{
  while (queue->started &&
         __atomic_load_n (&queue->ring.avail->idx, __ATOMIC_ACQUIRE) != queue->next)
    take (self, queue, queue->ring.avail->ring[queue->next++ % queue->size]);
  if (queue->started)
    vring_avail_event (&queue->ring) = queue->next;
}

/* Also does again what the record says was not done. */
static void
start (VhostUserBackEnd *self, Queue *queue)
{
  unsigned n = 0;

  queue->started = true;
  if (queue->record && queue->record->version != 0)
    {
      uint16_t heads[RING_SIZE];
      for (unsigned i = 0; i < RING_SIZE; i++)
        if (queue->record->heads[i].in_flight)
          heads[n++] = i;
      queue->next = queue->ring.used->idx + n;
      for (unsigned i = 0; i < n; i++)
        take (self, queue, heads[i]);
    }
  else if (queue->record)
    queue->record->version = 1;
  serve (self, queue);
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
      self->regions[i].host = mmap (NULL, words[1], PROT_READ | PROT_WRITE, MAP_SHARED,
                                    message->fds[i], (off_t) words[3]);
      g_assert_true (self->regions[i].host != MAP_FAILED);
    }
}

static void
set_records (VhostUserBackEnd *self, const Message *message)
{
  g_assert_cmpuint (message->n_fds, ==, 1);
  self->records =
      mmap (NULL, message->u64[0], PROT_READ | PROT_WRITE, MAP_SHARED, message->fds[0], 0);
  g_assert_true (self->records != MAP_FAILED);
  for (unsigned i = 0; i < self->config.n_queues; i++)
    self->queues[i].record = (Record *) (self->records + i * RECORD_SIZE);
}

static void
set_ring (VhostUserBackEnd *self, const Message *message)
{
  Queue *queue = &self->queues[message->u32[0]];

  queue->ring.num = queue->size;
  queue->ring.desc = find (self, message->u64[1], false);
  queue->ring.used = find (self, message->u64[2], false);
  queue->ring.avail = find (self, message->u64[3], false);
}

static void
send_reply (VhostUserBackEnd *self, Message *message, uint32_t size, int fd)
{
  union
  {
    char room[CMSG_SPACE (sizeof (int))];
    struct cmsghdr align;
  } control = {};
  struct iovec iov[] = { { message, 12 }, { message->bytes, size } };
  struct msghdr msg = { .msg_iov = iov, .msg_iovlen = 2 };

  message->flags = 1 | 4;
  message->size = size;
  if (fd >= 0)
    {
      msg.msg_control = control.room;
      msg.msg_controllen = sizeof control.room;
      struct cmsghdr *head = CMSG_FIRSTHDR (&msg);
      head->cmsg_level = SOL_SOCKET;
      head->cmsg_type = SCM_RIGHTS;
      head->cmsg_len = CMSG_LEN (sizeof fd);
      memcpy (CMSG_DATA (head), &fd, sizeof fd);
    }
  sendmsg (self->fd, &msg, MSG_NOSIGNAL);
}

static void
make_records (VhostUserBackEnd *self, Message *message)
{
  const int fd = memfd_create ("records", MFD_CLOEXEC | MFD_ALLOW_SEALING);

  message->u64[0] = self->config.n_queues * RECORD_SIZE;
  message->u64[1] = 0;
  g_assert_cmpint (ftruncate (fd, (off_t) message->u64[0]), ==, 0);
  g_assert_cmpint (fcntl (fd, F_ADD_SEALS, F_SEAL_SHRINK), ==, 0);
  send_reply (self, message, 24, fd);
  close (fd);
}

static void
fill_config (VhostUserBackEnd *self, Message *message)
{
  const struct virtio_blk_config space = {
    .capacity = self->config.sectors,
    .seg_max = 126,
    .blk_size = 512,
  };

  g_assert_cmpuint (message->u32[1], <=, sizeof space);
  memcpy (message->bytes + 12, &space, message->u32[1]);
  send_reply (self, message, message->size, -1);
}

static uint64_t
get_features (const VhostUserBackEnd *self)
{
  const unsigned bits[] = { VIRTIO_BLK_F_SEG_MAX,      VIRTIO_BLK_F_BLK_SIZE,
                            VIRTIO_BLK_F_FLUSH,        VIRTIO_BLK_F_CONFIG_WCE,
                            VIRTIO_BLK_F_MQ,           VIRTIO_BLK_F_DISCARD,
                            VIRTIO_BLK_F_WRITE_ZEROES, VIRTIO_RING_F_INDIRECT_DESC,
                            VIRTIO_RING_F_EVENT_IDX,   30,
                            VIRTIO_F_VERSION_1,        40 /* of which nobody has heard */ };
  uint64_t features = self->config.readonly ? UINT64_C (1) << VIRTIO_BLK_F_RO : 0;

  for (unsigned i = 0; i < G_N_ELEMENTS (bits); i++)
    features |= UINT64_C (1) << bits[i];
  return features;
}

/* False: hang up. */
static bool
answer (VhostUserBackEnd *self, Message *message)
{
  Queue *queue = &self->queues[message->u32[0] % QUEUES];
  const bool wants_ack = (message->flags & 8) != 0;

  switch (message->request)
    {
    case GET_FEATURES:
      message->u64[0] = get_features (self);
      send_reply (self, message, 8, -1);
      return true;
    case GET_PROTOCOL_FEATURES:
      message->u64[0] = 1 << 0 | 1 << 3 | 1 << 9; /* MQ, REPLY_ACK, CONFIG; not the record */
      send_reply (self, message, 8, -1);
      return true;
    case GET_QUEUE_NUM:
      message->u64[0] = self->config.n_queues;
      send_reply (self, message, 8, -1);
      return true;
    case GET_CONFIG:
      fill_config (self, message);
      return true;
    case GET_INFLIGHT_FD:
      if (self->config.no_record)
        return false;
      make_records (self, message);
      return true;
    case GET_VRING_BASE:
      queue->started = false;
      message->u32[1] = queue->next;
      __atomic_add_fetch (&self->stops, 1, __ATOMIC_ACQ_REL);
      send_reply (self, message, 8, -1);
      return true;
    case SET_MEM_TABLE:
      set_memory (self, message);
      break;
    case SET_INFLIGHT_FD:
      set_records (self, message);
      break;
    case SET_VRING_NUM:
      queue->size = message->u32[1];
      break;
    case SET_VRING_BASE:
      queue->next = message->u32[1];
      break;
    case SET_VRING_ADDR:
      set_ring (self, message);
      break;
    case SET_VRING_CALL:
      queue->call = dup (message->fds[0]);
      break;
    case SET_VRING_KICK:
      queue->kick = dup (message->fds[0]);
      break;
    default:
      break;
    }
  const bool is_kick = message->request == SET_VRING_KICK;
  if (wants_ack)
    {
      message->u64[0] = 0;
      send_reply (self, message, 8, -1);
    }
  if (is_kick)
    start (self, queue);
  return true;
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

static bool
converse (VhostUserBackEnd *self)
{
  Message message;
  const bool good = receive (self, &message) && answer (self, &message);

  while (good && message.n_fds > 0)
    close (message.fds[--message.n_fds]);
  return good;
}

static void
on_wake (VhostUserBackEnd *self)
{
  uint64_t count;

  g_assert_cmpint (read (self->wake, &count, sizeof count), ==, sizeof count);
  if (__atomic_load_n (&self->let_go, __ATOMIC_ACQUIRE) &&
      __atomic_load_n (&self->holding, __ATOMIC_ACQUIRE))
    {
      self->holding = false;
      finish (self, self->held_queue, self->held_head);
    }
}

static gpointer
run (gpointer data)
{
  VhostUserBackEnd *self = data;

  for (;;)
    {
      struct pollfd fds[2 + QUEUES] = { { .fd = self->fd, .events = POLLIN },
                                        { .fd = self->wake, .events = POLLIN } };
      uint64_t count;

      for (unsigned i = 0; i < QUEUES; i++)
        fds[2 + i] = (struct pollfd){ .fd = self->queues[i].started ? self->queues[i].kick : -1,
                                      .events = POLLIN };
      g_assert_cmpint (poll (fds, G_N_ELEMENTS (fds), -1), >, 0);
      if (fds[1].revents)
        on_wake (self);
      if (__atomic_load_n (&self->stop, __ATOMIC_ACQUIRE))
        break;
      if (fds[0].revents && !converse (self))
        break;
      for (unsigned i = 0; i < QUEUES; i++)
        if (fds[2 + i].revents && read (self->queues[i].kick, &count, sizeof count) > 0)
          serve (self, &self->queues[i]);
    }
  close (self->fd);
  return NULL;
}

/* --- life --- */

VhostUserBackEnd *
vhost_user_back_end_new (const VhostUserBackEndConfig *config, int *fd)
{
  VhostUserBackEnd *self = g_new0 (VhostUserBackEnd, 1);
  int pair[2];

  g_assert_cmpint (socketpair (AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), ==, 0);
  self->config = *config;
  self->fd = pair[1];
  self->wake = eventfd (0, EFD_CLOEXEC);
  for (unsigned i = 0; i < QUEUES; i++)
    self->queues[i].kick = self->queues[i].call = -1;
  *fd = pair[0];
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
  if (self->records)
    munmap (self->records, self->config.n_queues * RECORD_SIZE);
  for (unsigned i = 0; i < QUEUES; i++)
    {
      if (self->queues[i].kick >= 0)
        close (self->queues[i].kick);
      if (self->queues[i].call >= 0)
        close (self->queues[i].call);
    }
  close (self->wake);
  g_free (self);
}

unsigned
vhost_user_back_end_get_taken (VhostUserBackEnd *self)
{
  return __atomic_load_n (&self->taken, __ATOMIC_ACQUIRE);
}

unsigned
vhost_user_back_end_get_stops (VhostUserBackEnd *self)
{
  return __atomic_load_n (&self->stops, __ATOMIC_ACQUIRE);
}
