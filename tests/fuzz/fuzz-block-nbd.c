/* A server of a disk that lies: [flags][n, 2 bytes][what the first says, n bytes], and then the same of the next one, as often as one is
 * started. FLAG_GREETED: a good greeting comes before what it says. The requests are always the same. */
#include "fuzz-target.h"

#include <string.h>
#include <unistd.h>
#include <sys/socket.h>

#include "block/block-nbd.h"
#include "disk-peer.h"
#include "fuzz-input.h"

#define SAYS_MAX 32768 /* what a socket holds without a reader */
#define STARTS   3
#define REQUESTS 8
#define SIZE     4096u

enum
{
  FLAG_GREETED = 1 << 0,
};

typedef struct World
{
  DiskPeer peer; /* first: run () casts */
  FuzzInput input;
} World;

typedef struct Request
{
  BlockRequest io; /* first: on_done () casts */
  struct iovec iov;
  bool done;
  uint8_t bytes[SIZE];
} Request;

static const uint8_t greeting[] = "NBDMAGICIHAVEOPT\0\3"
                                  "\0\3\xe8\x89\4\x55\x65\xa9\0\0\0\7\0\0\0\3\0\0\0\14"
                                  "\0\0\0\0\0\0\0\1\0\0\0\155"
                                  "\0\3\xe8\x89\4\x55\x65\xa9\0\0\0\7\0\0\0\1\0\0\0";

static void
run (DiskPeer *peer)
{
  World *world = (World *) peer;
  const unsigned flags = fuzz_take (&world->input, 1);
  size_t n = fuzz_take (&world->input, 2) % SAYS_MAX;
  const uint8_t *bytes = fuzz_take_bytes (&world->input, &n);

  if (flags & FLAG_GREETED)
    g_assert_cmpint (write (peer->fd, greeting, sizeof greeting), ==, sizeof greeting);
  g_assert_cmpint (write (peer->fd, bytes, n), ==, n);
  shutdown (peer->fd, SHUT_WR);
}

static void
on_done (BlockRequest *io, int error)
{
  Request *request = (Request *) io;

  g_assert_false (request->done);
  request->done = true;
}

int
LLVMFuzzerTestOneInput (const uint8_t *data, size_t size)
{
  World world = { .peer = { .run = run, .fd = -1 }, .input = { data, size } };
  const BlockNbdConfig config = { DISK_PEER_CALLS (&world.peer) };
  BlockNbd *nbd = block_nbd_new (&config, NULL);
  g_autofree Request *requests = g_new0 (Request, REQUESTS);
  BlockBackend backend;

  if (nbd)
    {
      block_nbd_get_backend (nbd, &backend);
      for (unsigned i = 0; i < REQUESTS; i++)
        {
          requests[i].iov = (struct iovec){ requests[i].bytes, SIZE };
          requests[i].io = (BlockRequest){
            .operation = i % 5, .size = SIZE, .iov = &requests[i].iov, .n_iov = 1, .done = on_done
          };
          backend.ops->submit (nbd, &requests[i].io);
        }
      backend.ops->kick (nbd);
      for (unsigned i = 0; i < STARTS; i++)
        {
          backend.ops->reap (nbd);
          if (world.peer.n_failures == world.peer.n_starts)
            block_nbd_resume (nbd, NULL);
        }
      backend.ops->free (nbd);
      for (unsigned i = 0; i < REQUESTS; i++)
        g_assert_true (requests[i].done);
    }
  disk_peer_end (&world.peer);
  return 0;
}
