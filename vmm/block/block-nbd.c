#define G_LOG_DOMAIN "vmm-block"

#include "block/block-nbd.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>
#include <gio/gio.h>
#include <sys/epoll.h>
#include <sys/socket.h>

/* Theory of operation
 *
 * A request waits for a slot, whose number is the cookie by which the server's answer is known. Slots are sent one after the other
 * (to_send), as far as the socket takes them; answers come in any order, that of a read with its data behind it. Nothing is moved
 * in this process: the socket reads and writes the memory of the request.
 *
 * A request keeps its slot until it is answered. When the server is lost all of them are unsent again: each of them may be done twice
 * without harm, and none was told to be done.
 *
 * The socket changes with the server; who polls gets an epoll instance that has it inside, and that also knows when the socket has
 * room again.
 */
#define SLOTS       64
#define PIECES_MAX  64 /* of memory, in one system call */
#define PATIENCE_US (15 * G_TIME_SPAN_SECOND)
#define INFOS_MAX   16   /* answers to one option */
#define INFO_SIZE   1024 /* bytes of one */
#define NOT_READING SLOTS

/* All numbers are big-endian. */
#define INIT_MAGIC         UINT64_C (0x4e42444d41474943)
#define OPTION_MAGIC       UINT64_C (0x49484156454f5054)
#define OPTION_REPLY_MAGIC UINT64_C (0x0003e889045565a9)
#define REQUEST_MAGIC      0x25609513u
#define REPLY_MAGIC        0x67446698u

enum
{
  FLAG_FIXED_NEWSTYLE = 1 << 0, /* of the handshake */
  FLAG_NO_ZEROES = 1 << 1,
  OPTION_GO = 7,
  OPTION_ACK = 1,
  OPTION_INFO = 3,
  INFO_EXPORT = 0,
  EXPORT_READ_ONLY = 1 << 1,
  EXPORT_SEND_FLUSH = 1 << 2,
  EXPORT_SEND_FUA = 1 << 3,
  EXPORT_SEND_TRIM = 1 << 5,
  EXPORT_SEND_WRITE_ZEROES = 1 << 6,
  EXPORT_NEEDED = EXPORT_SEND_FLUSH | EXPORT_SEND_FUA | EXPORT_SEND_TRIM | EXPORT_SEND_WRITE_ZEROES,
  COMMAND_FUA = 1 << 0,
  COMMAND_NO_HOLE = 1 << 1,
};

typedef struct __attribute__ ((packed)) RequestHeader
{
  uint32_t magic;
  uint16_t flags;
  uint16_t command;
  uint64_t cookie;
  uint64_t offset;
  uint32_t size;
} RequestHeader;

typedef struct __attribute__ ((packed)) ReplyHeader
{
  uint32_t magic;
  uint32_t error;
  uint64_t cookie;
} ReplyHeader;

typedef struct Slot
{
  BlockRequest *request; /* NULL: free */
  bool sent;             /* all of it */
} Slot;

struct BlockNbd
{
  BlockNbdConfig config;
  uint64_t size;
  uint16_t flags; /* EXPORT_ */
  int epoll;
  int fd; /* -1: the server is lost */
  bool waits_for_room;
  unsigned in_flight; /* from submit () to done () */

  BlockRequest *waiting; /* for a slot: a list; waiting_tail: where to append */
  BlockRequest **waiting_tail;
  Slot slots[SLOTS];
  uint8_t to_send[SLOTS]; /* numbers of slots, a queue */
  unsigned n_to_send;
  size_t n_sent; /* bytes of the first of them */

  ReplyHeader reply;
  unsigned reading; /* the slot whose data comes, or NOT_READING: a header comes */
  size_t n_got;     /* bytes of either */
};

static bool
fail (GError **error, const char *what)
{
  g_set_error (error, G_IO_ERROR, G_IO_ERROR_FAILED, "the process that serves the disk %s", what);
  return false;
}

/* --- hello --- */

static bool
wait_for (int fd, short events, gint64 deadline, GError **error)
{
  for (;;)
    {
      struct pollfd one = { .fd = fd, .events = events };
      const gint64 left = (deadline - g_get_monotonic_time ()) / 1000;
      const int n = left > 0 ? poll (&one, 1, (int) left) : 0;

      if (n > 0)
        return true;
      if (n == 0)
        return fail (error, "does not answer in time");
      if (errno != EINTR)
        return fail (error, g_strerror (errno));
    }
}

static bool
say (int fd, const void *bytes, size_t size, gint64 deadline, GError **error)
{
  for (size_t done = 0; done < size;)
    {
      if (!wait_for (fd, POLLOUT, deadline, error))
        return false;
      const ssize_t n =
          send (fd, (const uint8_t *) bytes + done, size - done, MSG_NOSIGNAL | MSG_DONTWAIT);
      if (n < 0 && errno != EAGAIN && errno != EINTR)
        return fail (error, "hung up");
      done += n > 0 ? (size_t) n : 0;
    }
  return true;
}

static bool
hear (int fd, void *bytes, size_t size, gint64 deadline, GError **error)
{
  for (size_t done = 0; done < size;)
    {
      if (!wait_for (fd, POLLIN, deadline, error))
        return false;
      const ssize_t n = recv (fd, (uint8_t *) bytes + done, size - done, MSG_DONTWAIT);
      if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR))
        return fail (error, "hung up");
      done += n > 0 ? (size_t) n : 0;
    }
  return true;
}

static bool
ask_for_export (int fd, gint64 deadline, GError **error)
{
  const struct __attribute__ ((packed))
  {
    uint32_t flags;
    uint64_t magic;
    uint32_t option;
    uint32_t size;
    uint32_t name_size;
    char name[sizeof BLOCK_NBD_EXPORT - 1];
    uint16_t n_infos;
  } question = {
    .flags = GUINT32_TO_BE (FLAG_FIXED_NEWSTYLE | FLAG_NO_ZEROES),
    .magic = GUINT64_TO_BE (OPTION_MAGIC),
    .option = GUINT32_TO_BE (OPTION_GO),
    .size =
        GUINT32_TO_BE (sizeof question.name_size + sizeof question.name + sizeof question.n_infos),
    .name_size = GUINT32_TO_BE (sizeof question.name),
    .name = BLOCK_NBD_EXPORT,
  };

  return say (fd, &question, sizeof question, deadline, error);
}

/* Until the server says that this was all. */
static bool
hear_export (int fd, uint64_t *size, uint16_t *flags, gint64 deadline, GError **error)
{
  *size = 0;
  for (unsigned i = 0; i < INFOS_MAX; i++)
    {
      struct __attribute__ ((packed))
      {
        uint64_t magic;
        uint32_t option;
        uint32_t type;
        uint32_t size;
      } head;
      union
      {
        uint8_t bytes[INFO_SIZE];
        struct __attribute__ ((packed))
        {
          uint16_t kind;
          uint64_t size;
          uint16_t flags;
        } export;
      } info;

      if (!hear (fd, &head, sizeof head, deadline, error))
        return false;
      const uint32_t type = GUINT32_FROM_BE (head.type), length = GUINT32_FROM_BE (head.size);
      if (head.magic != GUINT64_TO_BE (OPTION_REPLY_MAGIC) || length > sizeof info ||
          head.option != GUINT32_TO_BE (OPTION_GO))
        return fail (error, "does not speak NBD");
      if (!hear (fd, &info, length, deadline, error))
        return false;
      if (type == OPTION_ACK)
        return *size > 0 || fail (error, "has nothing to serve");
      if (type != OPTION_INFO)
        return fail (error, "refuses to serve it");
      if (length != sizeof info.export || info.export.kind != GUINT16_TO_BE (INFO_EXPORT))
        continue;
      *size = GUINT64_FROM_BE (info.export.size);
      *flags = GUINT16_FROM_BE (info.export.flags);
    }
  return fail (error, "talks without end");
}

static bool
shake_hands (int fd, uint64_t *size, uint16_t *flags, GError **error)
{
  const gint64 deadline = g_get_monotonic_time () + PATIENCE_US;
  struct __attribute__ ((packed))
  {
    uint64_t init;
    uint64_t option;
    uint16_t flags;
  } hello;

  if (!hear (fd, &hello, sizeof hello, deadline, error))
    return false;
  if (hello.init != GUINT64_TO_BE (INIT_MAGIC) || hello.option != GUINT64_TO_BE (OPTION_MAGIC) ||
      (GUINT16_FROM_BE (hello.flags) & FLAG_FIXED_NEWSTYLE) == 0 ||
      (GUINT16_FROM_BE (hello.flags) & FLAG_NO_ZEROES) == 0)
    return fail (error, "does not speak NBD");
  if (!ask_for_export (fd, deadline, error) || !hear_export (fd, size, flags, deadline, error))
    return false;
  if (*size % BLOCK_SECTOR_SIZE != 0 || *size > INT64_MAX)
    return fail (error, "says an impossible size");
  if ((*flags & EXPORT_NEEDED) != EXPORT_NEEDED || (*flags & EXPORT_READ_ONLY))
    return fail (error, "cannot write, flush or discard");
  return true;
}

/* A connection to a server that was started, or -1. */
static int
connect_to_server (BlockNbd *nbd, uint64_t *size, uint16_t *flags, GError **error)
{
  g_autoptr (GError) failure = NULL;
  const int fd = nbd->config.server.ops->start (nbd->config.server.opaque, &failure);

  if (fd >= 0 && shake_hands (fd, size, flags, &failure))
    return fd;
  if (fd >= 0)
    close (fd);
  nbd->config.server.ops->end (nbd->config.server.opaque);
  /* Its own words are better than that it hung up. */
  g_autofree char *complaint = nbd->config.server.ops->get_complaint (nbd->config.server.opaque);
  if (complaint)
    g_set_error_literal (error, G_IO_ERROR, G_IO_ERROR_FAILED, complaint);
  else
    g_propagate_error (error, g_steal_pointer (&failure));
  return -1;
}

/* --- the socket --- */

static void
wait_for_room (BlockNbd *nbd, bool wait)
{
  struct epoll_event event = { .events = EPOLLIN | (wait ? EPOLLOUT : 0) };

  if (nbd->waits_for_room == wait)
    return;
  nbd->waits_for_room = wait;
  epoll_ctl (nbd->epoll, EPOLL_CTL_MOD, nbd->fd, &event);
}

static bool
take_connection (BlockNbd *nbd, int fd, GError **error)
{
  struct epoll_event event = { .events = EPOLLIN };

  if (epoll_ctl (nbd->epoll, EPOLL_CTL_ADD, fd, &event) < 0)
    {
      close (fd);
      return fail (error, g_strerror (errno));
    }
  nbd->fd = fd;
  nbd->waits_for_room = false;
  nbd->n_sent = nbd->n_got = nbd->n_to_send = 0;
  nbd->reading = NOT_READING;
  return true;
}

static void
lose (BlockNbd *nbd, const char *reason)
{
  if (nbd->fd < 0)
    return;
  epoll_ctl (nbd->epoll, EPOLL_CTL_DEL, nbd->fd, NULL);
  close (nbd->fd);
  nbd->fd = -1;
  for (unsigned i = 0; i < SLOTS; i++)
    nbd->slots[i].sent = false;
  nbd->config.server.ops->end (nbd->config.server.opaque);
  nbd->config.failed (nbd->config.opaque, reason);
}

/* The pieces of a request's memory from a byte on. */
static unsigned
slice (const BlockRequest *request, size_t skip, struct iovec *pieces, unsigned n_max)
{
  unsigned n = 0;

  for (unsigned i = 0; i < request->n_iov && n < n_max; i++)
    {
      const struct iovec *iov = &request->iov[i];

      if (skip >= iov->iov_len)
        {
          skip -= iov->iov_len;
          continue;
        }
      pieces[n++] = (struct iovec){ (uint8_t *) iov->iov_base + skip, iov->iov_len - skip };
      skip = 0;
    }
  return n;
}

/* --- requests go out --- */

static RequestHeader
describe (const BlockRequest *request, unsigned slot)
{
  static const uint16_t commands[] = {
    [BLOCK_READ] = 0,    [BLOCK_WRITE] = 1,        [BLOCK_FLUSH] = 3,
    [BLOCK_DISCARD] = 4, [BLOCK_WRITE_ZEROES] = 6,
  };
  const bool writes = request->operation == BLOCK_WRITE || request->operation == BLOCK_WRITE_ZEROES;
  uint16_t flags = writes && request->durable ? COMMAND_FUA : 0;

  if (request->operation == BLOCK_WRITE_ZEROES && !request->may_unmap)
    flags |= COMMAND_NO_HOLE;
  return (RequestHeader){
    .magic = GUINT32_TO_BE (REQUEST_MAGIC),
    .flags = GUINT16_TO_BE (flags),
    .command = GUINT16_TO_BE (commands[request->operation]),
    .cookie = GUINT64_TO_BE (slot),
    .offset = GUINT64_TO_BE (request->operation == BLOCK_FLUSH ? 0 : request->offset),
    .size = GUINT32_TO_BE (request->operation == BLOCK_FLUSH ? 0 : (uint32_t) request->size),
  };
}

/* True: the first of to_send has gone out whole. */
static bool
send_first (BlockNbd *nbd)
{
  Slot *slot = &nbd->slots[nbd->to_send[0]];
  const BlockRequest *request = slot->request;
  RequestHeader header = describe (request, nbd->to_send[0]);
  const size_t data = request->operation == BLOCK_WRITE ? request->size : 0;
  struct iovec pieces[PIECES_MAX];
  struct msghdr message = { .msg_iov = pieces };

  while (nbd->n_sent < sizeof header + data)
    {
      const size_t of_data = nbd->n_sent > sizeof header ? nbd->n_sent - sizeof header : 0;
      unsigned n = 0;

      if (nbd->n_sent < sizeof header)
        pieces[n++] =
            (struct iovec){ (uint8_t *) &header + nbd->n_sent, sizeof header - nbd->n_sent };
      if (data > 0)
        n += slice (request, of_data, pieces + n, PIECES_MAX - n);
      message.msg_iovlen = n;
      const ssize_t sent = sendmsg (nbd->fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
      if (sent < 0 && errno == EINTR)
        continue;
      if (sent < 0 && errno == EAGAIN)
        wait_for_room (nbd, true);
      else if (sent < 0)
        lose (nbd, "the process that serves the disk has ended");
      if (sent < 0)
        return false;
      nbd->n_sent += (size_t) sent;
    }
  slot->sent = true;
  nbd->n_sent = 0;
  memmove (nbd->to_send, nbd->to_send + 1, --nbd->n_to_send);
  return true;
}

static void
fill_slots (BlockNbd *nbd)
{
  for (unsigned i = 0; i < SLOTS && nbd->waiting; i++)
    {
      if (nbd->slots[i].request)
        continue;
      nbd->slots[i] = (Slot){ .request = nbd->waiting };
      nbd->waiting = nbd->waiting->next;
      if (!nbd->waiting)
        nbd->waiting_tail = &nbd->waiting;
      nbd->to_send[nbd->n_to_send++] = i;
    }
}

static void
push (BlockNbd *nbd)
{
  if (nbd->fd < 0)
    return;
  fill_slots (nbd);
  while (nbd->n_to_send > 0)
    if (!send_first (nbd))
      return;
  wait_for_room (nbd, false);
}

/* --- answers come in --- */

static void
complete (BlockNbd *nbd, unsigned index, int error)
{
  BlockRequest *request = nbd->slots[index].request;

  nbd->slots[index] = (Slot){};
  nbd->in_flight--;
  request->done (request, error);
}

/* The numbers are Linux's own. */
static int
get_error (const BlockRequest *request, uint32_t said)
{
  const bool writes = request->operation == BLOCK_WRITE || request->operation == BLOCK_WRITE_ZEROES;

  if (said == 0 || request->operation == BLOCK_DISCARD)
    return 0;
  return said == ENOSPC && writes ? ENOSPC : EIO;
}

/* False: what came is no answer. */
static bool
take_header (BlockNbd *nbd)
{
  const uint64_t cookie = GUINT64_FROM_BE (nbd->reply.cookie);
  const uint32_t said = GUINT32_FROM_BE (nbd->reply.error);

  nbd->n_got = 0;
  if (nbd->reply.magic != GUINT32_TO_BE (REPLY_MAGIC) || cookie >= SLOTS ||
      !nbd->slots[cookie].sent)
    return false;
  const BlockRequest *request = nbd->slots[cookie].request;
  if (request->operation == BLOCK_READ && said == 0)
    nbd->reading = cookie;
  else
    complete (nbd, cookie, get_error (request, said));
  return true;
}

/* Bytes; 0: the server hung up; -1: errno. */
static ssize_t
receive (BlockNbd *nbd)
{
  struct iovec pieces[PIECES_MAX] = { { (uint8_t *) &nbd->reply + nbd->n_got,
                                        sizeof nbd->reply - nbd->n_got } };
  struct msghdr message = { .msg_iov = pieces, .msg_iovlen = 1 };

  if (nbd->reading != NOT_READING)
    message.msg_iovlen = slice (nbd->slots[nbd->reading].request, nbd->n_got, pieces, PIECES_MAX);
  return recvmsg (nbd->fd, &message, MSG_DONTWAIT);
}

static void
pull (BlockNbd *nbd)
{
  while (nbd->fd >= 0)
    {
      const ssize_t n = receive (nbd);

      if (n < 0 && errno == EINTR)
        continue;
      if (n < 0 && errno == EAGAIN)
        return;
      if (n <= 0)
        {
          lose (nbd, "the process that serves the disk has ended");
          return;
        }
      nbd->n_got += (size_t) n;
      if (nbd->reading == NOT_READING)
        {
          if (nbd->n_got == sizeof nbd->reply && !take_header (nbd))
            lose (nbd, "the process that serves the disk talks nonsense");
        }
      else if (nbd->n_got == nbd->slots[nbd->reading].request->size)
        {
          const unsigned slot = nbd->reading;

          nbd->reading = NOT_READING;
          nbd->n_got = 0;
          complete (nbd, slot, 0);
        }
    }
}

/* --- the backend --- */

static void
submit (void *opaque, BlockRequest *request)
{
  BlockNbd *nbd = opaque;

  request->next = NULL;
  *nbd->waiting_tail = request;
  nbd->waiting_tail = &request->next;
  nbd->in_flight++;
}

static void
kick (void *opaque)
{
  push (opaque);
}

static void
reap (void *opaque)
{
  pull (opaque);
  push (opaque);
}

/* The server is lost, and nobody will wait for another. */
static void
abandon (BlockNbd *nbd)
{
  for (unsigned i = 0; i < SLOTS; i++)
    if (nbd->slots[i].request)
      complete (nbd, i, EIO);
  while (nbd->waiting)
    {
      BlockRequest *request = nbd->waiting;

      nbd->waiting = request->next;
      if (!nbd->waiting)
        nbd->waiting_tail = &nbd->waiting;
      nbd->in_flight--;
      request->done (request, EIO);
    }
}

static void
drain (void *opaque)
{
  const gint64 end = g_get_monotonic_time () + PATIENCE_US;
  BlockNbd *nbd = opaque;

  while (nbd->in_flight > 0 && nbd->fd >= 0)
    {
      g_autoptr (GError) error = NULL;

      reap (nbd);
      if (nbd->in_flight > 0 && nbd->fd >= 0 &&
          !wait_for (nbd->fd, POLLIN | (nbd->n_to_send > 0 ? POLLOUT : 0), end, &error))
        lose (nbd, error->message);
    }
  abandon (nbd);
}

static void
free_nbd (void *opaque)
{
  block_nbd_free (opaque);
}

static const BlockBackendOps ops = {
  .submit = submit,
  .kick = kick,
  .reap = reap,
  .drain = drain,
  .free = free_nbd,
};

void
block_nbd_get_backend (BlockNbd *nbd, BlockBackend *backend)
{
  *backend = (BlockBackend){ .ops = &ops, .opaque = nbd, .fd = nbd->epoll, .size = nbd->size };
}

/* --- life --- */

BlockNbd *
block_nbd_new (const BlockNbdConfig *config, GError **error)
{
  g_autoptr (BlockNbd) nbd = g_new0 (BlockNbd, 1);

  nbd->config = *config;
  nbd->waiting_tail = &nbd->waiting;
  nbd->fd = -1;
  nbd->epoll = epoll_create1 (EPOLL_CLOEXEC);
  if (nbd->epoll < 0)
    {
      fail (error, "cannot be watched: no more file descriptors; raise the limit (ulimit -n)");
      return NULL;
    }
  const int fd = connect_to_server (nbd, &nbd->size, &nbd->flags, error);
  if (fd < 0 || !take_connection (nbd, fd, error))
    return NULL;
  return g_steal_pointer (&nbd);
}

void
block_nbd_free (BlockNbd *nbd)
{
  if (!nbd)
    return;
  drain (nbd);
  if (nbd->fd >= 0)
    close (nbd->fd);
  if (nbd->epoll >= 0)
    close (nbd->epoll);
  g_free (nbd);
}

bool
block_nbd_is_lost (const BlockNbd *nbd)
{
  return nbd->fd < 0;
}

bool
block_nbd_resume (BlockNbd *nbd, GError **error)
{
  uint64_t size;
  uint16_t flags;

  if (nbd->fd >= 0)
    return true;
  const int fd = connect_to_server (nbd, &size, &flags, error);
  if (fd < 0)
    return false;
  if (size != nbd->size || flags != nbd->flags)
    {
      close (fd);
      nbd->config.server.ops->end (nbd->config.server.opaque);
      return fail (error, "has another image than before");
    }
  if (!take_connection (nbd, fd, error))
    {
      nbd->config.server.ops->end (nbd->config.server.opaque);
      return false;
    }
  for (unsigned i = 0; i < SLOTS; i++)
    if (nbd->slots[i].request)
      nbd->to_send[nbd->n_to_send++] = i;
  push (nbd);
  return true;
}
