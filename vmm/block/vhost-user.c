#define G_LOG_DOMAIN "vmm-block"

#include "block/vhost-user.h"

#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>
#include <gio/gio.h>
#include <linux/virtio_config.h>
#include <sys/socket.h>

/* Theory of operation
 *
 * Every exchange is one message out and, where the request has one, one message in: exchange (). With REPLY_ACK those without an answer
 * of their own are acknowledged too, so that a failure is known where it happens and nothing is set live too early.
 *
 * Numbers are in the host's byte order, as the protocol has it.
 *
 * No answer that is asked for brings an fd: those that come are closed.
 */
#define VERSION       1u
#define FLAG_REPLY    (1u << 2)
#define FLAG_NEED_ACK (1u << 3)
#define FDS_MAX       8 /* of a message */
#define PAYLOAD_MAX   (12 + VHOST_USER_CONFIG_MAX)
#define BIT(n)        (UINT64_C (1) << (n))
#define F_PROTOCOL    30 /* of the device's features: the rest of the protocol is there */

/* Protocol features. */
enum
{
  PROTOCOL_MQ = 0,
  PROTOCOL_REPLY_ACK = 3,
  PROTOCOL_CONFIG = 9,
};

typedef enum
{
  GET_FEATURES = 1,
  SET_FEATURES = 2,
  SET_OWNER = 3,
  SET_MEM_TABLE = 5,
  SET_VRING_NUM = 8,
  SET_VRING_ADDR = 9,
  SET_VRING_BASE = 10,
  SET_VRING_KICK = 12,
  SET_VRING_CALL = 13,
  GET_PROTOCOL_FEATURES = 15,
  SET_PROTOCOL_FEATURES = 16,
  GET_QUEUE_NUM = 17,
  SET_VRING_ENABLE = 18,
  GET_CONFIG = 24,
} Request;

typedef struct Header
{
  uint32_t request;
  uint32_t flags;
  uint32_t size;
} Header;
static_assert (sizeof (Header) == 12, "as on the wire");

typedef struct VringState
{
  uint32_t index;
  uint32_t value;
} VringState;

typedef struct VringAddress
{
  uint32_t index;
  uint32_t flags;
  uint64_t descriptors;
  uint64_t used;
  uint64_t available;
  uint64_t log;
} VringAddress;

typedef struct MemoryTable
{
  uint32_t n_regions;
  uint32_t padding;
  struct
  {
    uint64_t gpa;
    uint64_t size;
    uint64_t address;
    uint64_t offset;
  } region;
} MemoryTable;

typedef struct ConfigSpace
{
  uint32_t offset;
  uint32_t size;
  uint32_t flags;
  uint8_t bytes[VHOST_USER_CONFIG_MAX];
} ConfigSpace;

struct VhostUser
{
  int fd;
  uint64_t features;
  uint64_t protocol;
  unsigned n_queues;
};

/* A message, with the fds that go or came with it. */
typedef struct Message
{
  Header header;
  uint8_t payload[PAYLOAD_MAX];
  int fds[FDS_MAX];
  unsigned n_fds;
} Message;
static_assert (sizeof (MemoryTable) <= PAYLOAD_MAX, "the largest that is sent");
static_assert (sizeof (ConfigSpace) <= PAYLOAD_MAX, "the largest that is received");

VhostUser *
vhost_user_new (int fd)
{
  VhostUser *self = g_new0 (VhostUser, 1);

  self->fd = fd;
  return self;
}

void
vhost_user_free (VhostUser *self)
{
  if (!self)
    return;
  close (self->fd);
  g_free (self);
}

int
vhost_user_get_fd (const VhostUser *self)
{
  return self->fd;
}

uint64_t
vhost_user_get_features (const VhostUser *self)
{
  return self->features & ~BIT (F_PROTOCOL);
}

bool
vhost_user_has_config (const VhostUser *self)
{
  return (self->protocol & BIT (PROTOCOL_CONFIG)) != 0;
}

unsigned
vhost_user_get_queues (const VhostUser *self)
{
  return self->n_queues;
}

/* --- messages --- */

static bool
fail (GError **error, Request request, const char *what)
{
  g_set_error (error, G_IO_ERROR, G_IO_ERROR_FAILED, "vhost-user request %u: %s", request, what);
  return false;
}

static bool
wait_for (VhostUser *self, short events, gint64 deadline, Request request, GError **error)
{
  struct pollfd ready = { .fd = self->fd, .events = events };

  for (;;)
    {
      const gint64 left = (deadline - g_get_monotonic_time ()) / 1000;
      const int n = left > 0 ? poll (&ready, 1, (int) left) : 0;

      if (n > 0)
        return true;
      if (n == 0)
        return fail (error, request, "no answer in time");
      if (errno != EINTR)
        return fail (error, request, g_strerror (errno));
    }
}

static bool
send_message (VhostUser *self, Message *message, gint64 deadline, GError **error)
{
  const Request request = message->header.request;
  const size_t size = sizeof message->header + message->header.size;
  uint8_t bytes[sizeof message->header + PAYLOAD_MAX];
  union
  {
    char room[CMSG_SPACE (FDS_MAX * sizeof (int))];
    struct cmsghdr align;
  } control = {};
  struct iovec iov = { .iov_base = bytes };

  memcpy (bytes, &message->header, sizeof message->header);
  memcpy (bytes + sizeof message->header, message->payload, message->header.size);
  for (size_t sent = 0; sent < size;)
    {
      struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };

      iov = (struct iovec){ bytes + sent, size - sent };
      if (sent == 0 && message->n_fds > 0)
        {
          msg.msg_control = control.room;
          msg.msg_controllen = CMSG_SPACE (message->n_fds * sizeof (int));
          struct cmsghdr *head = CMSG_FIRSTHDR (&msg);
          head->cmsg_level = SOL_SOCKET;
          head->cmsg_type = SCM_RIGHTS;
          head->cmsg_len = CMSG_LEN (message->n_fds * sizeof (int));
          memcpy (CMSG_DATA (head), message->fds, message->n_fds * sizeof (int));
        }
      const ssize_t n = sendmsg (self->fd, &msg, MSG_NOSIGNAL | MSG_DONTWAIT);
      if (n >= 0)
        sent += (size_t) n;
      else if (errno == EAGAIN)
        {
          if (!wait_for (self, POLLOUT, deadline, request, error))
            return false;
        }
      else if (errno != EINTR)
        return fail (error, request, g_strerror (errno));
    }
  return true;
}

/* Takes the fds out of a received header; those beyond the room are closed by the kernel (MSG_CTRUNC). */
static void
take_fds (struct msghdr *msg, Message *message)
{
  for (struct cmsghdr *head = CMSG_FIRSTHDR (msg); head; head = CMSG_NXTHDR (msg, head))
    {
      if (head->cmsg_level != SOL_SOCKET || head->cmsg_type != SCM_RIGHTS)
        continue;
      const unsigned n = (head->cmsg_len - CMSG_LEN (0)) / sizeof (int);
      const int *fds = (const int *) CMSG_DATA (head);
      for (unsigned i = 0; i < n; i++)
        if (message->n_fds < FDS_MAX)
          message->fds[message->n_fds++] = fds[i];
        else
          close (fds[i]);
    }
}

static bool
receive (VhostUser *self, Message *message, void *bytes, size_t size, gint64 deadline,
         Request request, GError **error)
{
  for (size_t got = 0; got < size;)
    {
      union
      {
        char room[CMSG_SPACE (FDS_MAX * sizeof (int))];
        struct cmsghdr align;
      } control;
      struct iovec iov = { (uint8_t *) bytes + got, size - got };
      struct msghdr msg = { .msg_iov = &iov,
                            .msg_iovlen = 1,
                            .msg_control = control.room,
                            .msg_controllen = sizeof control.room };

      if (!wait_for (self, POLLIN, deadline, request, error))
        return false;
      const ssize_t n = recvmsg (self->fd, &msg, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
      if (n == 0)
        return fail (error, request, "the other side hung up");
      if (n < 0 && errno != EAGAIN && errno != EINTR)
        return fail (error, request, g_strerror (errno));
      if (n < 0)
        continue;
      take_fds (&msg, message);
      got += (size_t) n;
    }
  return true;
}

static void
message_close_fds (Message *message)
{
  while (message->n_fds > 0)
    close (message->fds[--message->n_fds]);
}

/* An answer to request with size bytes at most; how many there are is in its header. */
static bool
receive_reply (VhostUser *self, Request request, Message *reply, uint32_t size, gint64 deadline,
               GError **error)
{
  Header *header = &reply->header;

  if (!receive (self, reply, header, sizeof *header, deadline, request, error))
    return false;
  if (header->request != (uint32_t) request || (header->flags & 3) != VERSION ||
      !(header->flags & FLAG_REPLY))
    return fail (error, request, "an answer to something else");
  if (header->size > size)
    return fail (error, request, "an answer that is too long");
  return receive (self, reply, reply->payload, header->size, deadline, request, error);
}

static Message
new_message (Request request, const void *payload, uint32_t size)
{
  Message message = { .header = { .request = request, .flags = VERSION, .size = size } };

  if (size > 0)
    memcpy (message.payload, payload, size);
  return message;
}

/* A request that has an answer of exactly size bytes; its fds, if there are any, are the caller's when this succeeds. */
static bool
exchange (VhostUser *self, Message *message, void *answer, uint32_t size, Message *reply,
          GError **error)
{
  const gint64 deadline = g_get_monotonic_time () + VHOST_USER_PATIENCE_MS * INT64_C (1000);
  const Request request = message->header.request;

  *reply = (Message){};
  if (send_message (self, message, deadline, error) &&
      receive_reply (self, request, reply, size, deadline, error))
    {
      if (reply->header.size == size)
        {
          memcpy (answer, reply->payload, size);
          return true;
        }
      fail (error, request, "an answer that is too short");
    }
  message_close_fds (reply);
  return false;
}

/* A request whose answer has no fds. */
static bool
ask (VhostUser *self, Request request, const void *payload, uint32_t payload_size, void *answer,
     uint32_t size, GError **error)
{
  Message message = new_message (request, payload, payload_size);
  Message reply;

  if (!exchange (self, &message, answer, size, &reply, error))
    return false;
  if (reply.n_fds == 0)
    return true;
  message_close_fds (&reply);
  return fail (error, request, "an answer with file descriptors that nobody asked for");
}

static bool
ask_u64 (VhostUser *self, Request request, uint64_t *answer, GError **error)
{
  return ask (self, request, NULL, 0, answer, sizeof *answer, error);
}

/* A request without an answer of its own. Fds are borrowed. */
static bool
tell_with_fds (VhostUser *self, Request request, const void *payload, uint32_t size, const int *fds,
               unsigned n_fds, GError **error)
{
  const gint64 deadline = g_get_monotonic_time () + VHOST_USER_PATIENCE_MS * INT64_C (1000);
  Message message = new_message (request, payload, size);
  Message reply;
  uint64_t status;

  for (unsigned i = 0; i < n_fds; i++)
    message.fds[message.n_fds++] = fds[i];
  if (!(self->protocol & BIT (PROTOCOL_REPLY_ACK)))
    return send_message (self, &message, deadline, error);
  message.header.flags |= FLAG_NEED_ACK;
  if (!exchange (self, &message, &status, sizeof status, &reply, error))
    return false;
  message_close_fds (&reply);
  return status == 0 || fail (error, request, "refused");
}

static bool
tell (VhostUser *self, Request request, const void *payload, uint32_t size, GError **error)
{
  return tell_with_fds (self, request, payload, size, NULL, 0, error);
}

static bool
tell_u64 (VhostUser *self, Request request, uint64_t value, GError **error)
{
  return tell (self, request, &value, sizeof value, error);
}

/* --- the device as a whole --- */

bool
vhost_user_negotiate (VhostUser *self, GError **error)
{
  const uint64_t wanted = BIT (PROTOCOL_MQ) | BIT (PROTOCOL_REPLY_ACK) | BIT (PROTOCOL_CONFIG);
  const uint64_t needed = BIT (F_PROTOCOL) | BIT (VIRTIO_F_VERSION_1);
  uint64_t offered, n_queues = 1;

  if (!ask_u64 (self, GET_FEATURES, &self->features, error))
    return false;
  if ((self->features & needed) != needed)
    return fail (error, GET_FEATURES, "the other side is too old");
  if (!tell (self, SET_OWNER, NULL, 0, error) ||
      !ask_u64 (self, GET_PROTOCOL_FEATURES, &offered, error))
    return false;
  const uint64_t chosen = offered & wanted;
  if (!tell_u64 (self, SET_PROTOCOL_FEATURES, chosen, error))
    return false;
  self->protocol = chosen;
  if ((chosen & BIT (PROTOCOL_MQ)) && !ask_u64 (self, GET_QUEUE_NUM, &n_queues, error))
    return false;
  self->n_queues = MIN (n_queues, VHOST_USER_QUEUES_MAX);
  g_debug ("vhost-user: features 0x%" G_GINT64_MODIFIER "x, protocol 0x%" G_GINT64_MODIFIER
           "x of 0x%" G_GINT64_MODIFIER "x, %u queues",
           self->features, chosen, offered, self->n_queues);
  return true;
}

bool
vhost_user_read_config (VhostUser *self, void *buffer, uint32_t size, GError **error)
{
  ConfigSpace space = { .size = size };
  const uint32_t whole = offsetof (ConfigSpace, bytes) + size;

  g_return_val_if_fail (size <= VHOST_USER_CONFIG_MAX, false);
  if (!ask (self, GET_CONFIG, &space, whole, &space, whole, error))
    return false;
  if (space.size != size || space.offset != 0)
    return fail (error, GET_CONFIG, "not the part of the config space that was asked for");
  memcpy (buffer, space.bytes, size);
  return true;
}

bool
vhost_user_set_up (VhostUser *self, uint64_t features, const VhostUserRegion *region,
                   GError **error)
{
  const MemoryTable table = {
    .n_regions = 1,
    .region = { .gpa = region->address, .size = region->size, .address = region->address },
  };

  return tell_u64 (self, SET_FEATURES, features | BIT (F_PROTOCOL), error) &&
         tell_with_fds (self, SET_MEM_TABLE, &table, sizeof table, &region->fd, 1, error);
}

/* --- queues --- */

bool
vhost_user_start_queue (VhostUser *self, const VhostUserQueue *queue, GError **error)
{
  const uint64_t which = queue->index;
  const VringState size = { queue->index, queue->size };
  const VringState base = { queue->index, queue->base };
  const VringState enable = { queue->index, 1 };
  const VringAddress address = {
    .index = queue->index,
    .descriptors = queue->descriptors,
    .used = queue->used,
    .available = queue->available,
  };

  return tell (self, SET_VRING_NUM, &size, sizeof size, error) &&
         tell (self, SET_VRING_BASE, &base, sizeof base, error) &&
         tell (self, SET_VRING_ADDR, &address, sizeof address, error) &&
         tell_with_fds (self, SET_VRING_CALL, &which, sizeof which, &queue->call, 1, error) &&
         tell_with_fds (self, SET_VRING_KICK, &which, sizeof which, &queue->kick, 1, error) &&
         tell (self, SET_VRING_ENABLE, &enable, sizeof enable, error);
}
