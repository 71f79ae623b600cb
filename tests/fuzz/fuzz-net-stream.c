/* The other end of a network socket: the input is [flags] and then what it sends, in pieces whose sizes flags say. The guest sends every
 * frame back, which the other end reads or, by flags, does not. Every frame has a size that a frame may have and lies in what was
 * received; after what is no frame there is nothing more. */
#include "fuzz-target.h"

#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "fuzz-input.h"
#include "net/net-frame.h"
#include "net/net-stream.h"

#define INPUT_MAX    65536
#define SOCKET_BYTES 4096 /* soon full */

enum
{
  FLAG_PIECE = 0x3f, /* of 64 bytes */
  FLAG_READS = 1 << 6,
  FLAG_WHOLE = 1 << 7,
};

typedef struct World
{
  NetBackend backend;
  size_t received;
  uint8_t ends; /* of all frames: they are there to be read */
  unsigned flushed;
  bool over;
} World;

static void
receive (void *opaque, const uint8_t *frame, size_t size)
{
  World *world = opaque;

  g_assert_false (world->over);
  g_assert_cmpuint (size, >=, NET_ETH_HEADER);
  g_assert_cmpuint (size, <=, NET_FRAME_MAX);
  world->ends ^= frame[0] ^ frame[size - 1];
  world->received += size;
  if (size <= world->backend.ops->frame_max)
    world->backend.ops->send (world->backend.opaque, frame, size);
}

static void
flush (void *opaque)
{
  ((World *) opaque)->flushed++;
}

static void
ended (void *opaque, const char *reason)
{
  World *world = opaque;

  g_assert_false (world->over);
  world->over = true;
}

static void
run (int other, uint8_t flags)
{
  uint8_t bytes[1024];

  do
    while (g_main_context_iteration (NULL, FALSE))
      ;
  while ((flags & FLAG_READS) && recv (other, bytes, sizeof bytes, MSG_DONTWAIT) > 0);
}

static void
say (World *world, int other, const uint8_t *data, size_t size, uint8_t flags)
{
  const size_t piece = flags & FLAG_WHOLE ? size : 64 * ((flags & FLAG_PIECE) + 1);

  for (size_t at = 0; at < size && !world->over; at += piece)
    {
      g_assert_cmpint (send (other, data + at, MIN (piece, size - at), MSG_NOSIGNAL), >, 0);
      run (other, flags);
    }
  shutdown (other, SHUT_WR);
  run (other, flags);
}

int
LLVMFuzzerTestOneInput (const uint8_t *data, size_t size)
{
  static const int bytes = SOCKET_BYTES;
  World world = { 0 };
  const NetReceiver receiver = { .receive = receive, .flush = flush, .opaque = &world };
  int pair[2];

  if (size < 1 || size > INPUT_MAX)
    return 0;
  g_assert_cmpint (socketpair (AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), ==, 0);
  NetStream *stream = net_stream_new (pair[0], true, g_main_context_default (), ended, &world);
  setsockopt (pair[0], SOL_SOCKET, SO_SNDBUF, &bytes, sizeof bytes);
  world.backend = net_stream_get_backend (stream);
  world.backend.ops->set_receiver (world.backend.opaque, &receiver);
  say (&world, pair[1], data + 1, size - 1, data[0]);
  g_assert_cmpuint (world.received, <=, size);
  g_assert_true (world.over);
  world.backend.ops->stop (world.backend.opaque);
  net_stream_free (stream);
  close (pair[1]);
  return 0;
}
