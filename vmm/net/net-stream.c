#define G_LOG_DOMAIN "vmm-net"

#include "net/net-stream.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>
#include <glib-unix.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include "base/fd-source.h"
#include "base/loop-thread.h"
#include "net/net-frame.h"

/* Theory of operation
 *
 * What is read is kept until a frame is whole. A frame that the socket takes only a part of is kept as well, as the stream would be
 * garbage without the rest; until that is gone the guest's next frames are dropped, as by a wire that is too slow. So both are bounded.
 */
#define LENGTH_SIZE  4
#define FRAME_MAX    65534 /* passt takes no more */
#define READ_SIZE    (256 * 1024)
#define SOCKET_BYTES (4 * 1024 * 1024)

struct NetStream
{
  LoopThread *thread; /* NULL: the context is another's */
  GMainContext *context;
  NetReceiver receiver;
  NetBackendOps ops;
  int fd; /* -1: over */
  GSource *readable;
  GSource *writable; /* while there is a rest */
  void (*ended) (void *opaque, const char *reason);
  void *opaque;
  uint8_t rest[LENGTH_SIZE + FRAME_MAX]; /* of a frame that was sent in part */
  size_t rest_size;
  size_t filled; /* of bytes */
  uint8_t bytes[READ_SIZE];
};

static void
drop_source (GSource **source)
{
  if (*source)
    g_source_destroy (*source);
  g_clear_pointer (source, g_source_unref);
}

static void
end (NetStream *stream, const char *reason)
{
  if (stream->fd < 0)
    return;
  g_debug ("stream: %s", reason);
  drop_source (&stream->readable);
  drop_source (&stream->writable);
  close (stream->fd);
  stream->fd = -1;
  if (stream->ended)
    stream->ended (stream->opaque, reason);
}

static GSource *
watch (NetStream *stream, GIOCondition condition, GUnixFDSourceFunc func)
{
  GSource *source = fd_source_new (stream->fd, condition, "network stream");

  g_source_set_callback (source, G_SOURCE_FUNC (func), stream, NULL);
  g_source_attach (source, stream->context);
  return source;
}

/* --- from there --- */

/* Hands on every whole frame. False: the stream is garbage. */
static bool
take_frames (NetStream *stream)
{
  size_t at = 0;

  while (stream->filled - at >= LENGTH_SIZE)
    {
      const size_t size = net_get_u32 (stream->bytes + at);

      if (size < NET_ETH_HEADER || size > NET_FRAME_MAX)
        return false;
      if (stream->filled - at - LENGTH_SIZE < size)
        break;
      if (stream->receiver.receive)
        stream->receiver.receive (stream->receiver.opaque, stream->bytes + at + LENGTH_SIZE, size);
      at += LENGTH_SIZE + size;
    }
  stream->filled -= at;
  memmove (stream->bytes, stream->bytes + at, stream->filled);
  if (at > 0 && stream->receiver.flush)
    stream->receiver.flush (stream->receiver.opaque);
  return true;
}

static gboolean
on_readable (gint fd, GIOCondition condition, gpointer opaque)
{
  NetStream *stream = opaque;
  const ssize_t n = read (fd, stream->bytes + stream->filled, READ_SIZE - stream->filled);

  if (n < 0 && (errno == EAGAIN || errno == EINTR))
    return G_SOURCE_CONTINUE;
  if (n <= 0)
    {
      end (stream, n < 0 ? g_strerror (errno) : "it has closed the connection");
      return G_SOURCE_REMOVE;
    }
  stream->filled += n;
  if (take_frames (stream))
    return G_SOURCE_CONTINUE;
  end (stream, "it has sent what is no frame");
  return G_SOURCE_REMOVE;
}

/* --- to there --- */

static gboolean
on_writable (gint fd, GIOCondition condition, gpointer opaque)
{
  NetStream *stream = opaque;
  const ssize_t n = send (fd, stream->rest, stream->rest_size, MSG_DONTWAIT | MSG_NOSIGNAL);

  if (n < 0 && errno != EAGAIN && errno != EINTR)
    {
      end (stream, g_strerror (errno));
      return G_SOURCE_REMOVE;
    }
  if (n > 0)
    {
      stream->rest_size -= n;
      memmove (stream->rest, stream->rest + n, stream->rest_size);
    }
  if (stream->rest_size > 0)
    return G_SOURCE_CONTINUE;
  g_clear_pointer (&stream->writable, g_source_unref);
  return G_SOURCE_REMOVE;
}

static void
keep_rest (NetStream *stream, const uint8_t *length, const uint8_t *frame, size_t size,
           size_t written)
{
  size_t filled = 0;

  if (written < LENGTH_SIZE)
    {
      filled = LENGTH_SIZE - written;
      memcpy (stream->rest, length + written, filled);
      written = LENGTH_SIZE;
    }
  memcpy (stream->rest + filled, frame + written - LENGTH_SIZE, LENGTH_SIZE + size - written);
  stream->rest_size = filled + LENGTH_SIZE + size - written;
  stream->writable = watch (stream, G_IO_OUT, on_writable);
}

static void
send_frame (void *opaque, const uint8_t *frame, size_t size)
{
  NetStream *stream = opaque;
  uint8_t length[LENGTH_SIZE];
  struct iovec iov[] = { { length, sizeof length }, { (void *) frame, size } };
  const struct msghdr message = { .msg_iov = iov, .msg_iovlen = G_N_ELEMENTS (iov) };

  g_return_if_fail (size <= FRAME_MAX);
  if (stream->fd < 0 || stream->rest_size > 0)
    return;
  net_put_u32 (length, size);
  const ssize_t n = sendmsg (stream->fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
  /* An error shows on the reading side as well, and is told there. */
  if (n > 0 && (size_t) n < LENGTH_SIZE + size)
    keep_rest (stream, length, frame, size, n);
}

/* --- the back end --- */

static GMainContext *
get_context (void *opaque)
{
  return ((NetStream *) opaque)->context;
}

static gboolean
start_reading (gpointer opaque)
{
  NetStream *stream = opaque;

  if (stream->fd >= 0 && !stream->readable)
    stream->readable = watch (stream, G_IO_IN | G_IO_HUP | G_IO_ERR, on_readable);
  return G_SOURCE_REMOVE;
}

static void
set_receiver (void *opaque, const NetReceiver *receiver)
{
  NetStream *stream = opaque;

  stream->receiver = receiver ? *receiver : (NetReceiver){ 0 };
  g_main_context_invoke (stream->context, start_reading, stream);
}

static void
stop (void *opaque)
{
  NetStream *stream = opaque;

  g_clear_pointer (&stream->thread, loop_thread_free);
  stream->receiver = (NetReceiver){ 0 };
}

NetBackend
net_stream_get_backend (NetStream *stream)
{
  return (NetBackend){ .ops = &stream->ops, .opaque = stream };
}

/* --- life --- */

NetStream *
net_stream_new (int fd, bool terminates_tcp, GMainContext *context,
                void (*ended) (void *opaque, const char *reason), void *opaque)
{
  static const int bytes = SOCKET_BYTES;
  NetStream *stream = g_new0 (NetStream, 1);

  stream->fd = fd;
  stream->ended = ended;
  stream->opaque = opaque;
  stream->ops = (NetBackendOps){
    .frame_max = FRAME_MAX,
    .terminates_tcp = terminates_tcp,
    .get_context = get_context,
    .set_receiver = set_receiver,
    .send = send_frame,
    .stop = stop,
  };
  /* The more the better; the host may allow less. */
  setsockopt (fd, SOL_SOCKET, SO_SNDBUF, &bytes, sizeof bytes);
  g_unix_set_fd_nonblocking (fd, TRUE, NULL);
  if (!context)
    stream->thread = loop_thread_new ("net");
  stream->context =
      g_main_context_ref (context ? context : loop_thread_get_context (stream->thread));
  return stream;
}

void
net_stream_free (NetStream *stream)
{
  if (!stream)
    return;
  stop (stream);
  stream->ended = NULL;
  end (stream, "freed");
  g_main_context_unref (stream->context);
  g_free (stream);
}
