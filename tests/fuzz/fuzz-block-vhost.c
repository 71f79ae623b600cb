/* A disk whose server lies: [flags][steps, n 2 bytes][n bytes of steps][script, n 2 bytes][what the first server answers:
 * vhost-user-script.h], and then those of the next one, as often as one is started. The steps are what the disk's owner and the server do, the
 * latter also in the memory that both share. */
#include "fuzz-target.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>
#include <linux/virtio_blk.h>
#include <linux/virtio_ring.h>
#include <sys/mman.h>
#include <sys/socket.h>

#include "block/block-vhost.h"
#include "disk-peer.h"
#include "vhost-user-script.h"

#define STEPS_MAX 256
#define REQUESTS  300 /* more than the queue holds */
#define SECTOR    512u
#define DATA_SIZE 65536u
#define PIECES    8

enum
{
  FLAG_READONLY = 1 << 0,
};

/* One byte each; what follows it is taken in step (). */
enum
{
  STEP_SUBMIT,      /* [operation][sector, 2][sectors][pieces, flags] */
  STEP_SUBMIT_MANY, /* [operation][how many] */
  STEP_KICK,
  STEP_LOOK,
  STEP_REAP,
  STEP_DRAIN,
  STEP_RESUME,
  STEP_ANSWER, /* [status][how many]: as a good server does */
  STEP_USED,   /* [id, 4][step of the index, 2] */
  STEP_WRITE,  /* [offset, 3][n][n bytes], anywhere in the shared memory */
  STEP_SAY,    /* [n][n bytes], on the socket */
  STEP_HANG_UP,
  STEPS
};

enum
{
  SUBMIT_PIECES = 0x0f,
  SUBMIT_DURABLE = 0x10,
  SUBMIT_UNMAP = 0x20,
};

typedef struct Request
{
  BlockRequest io; /* first: on_done () casts */
  struct iovec iov[PIECES];
  bool in_flight;
} Request;

/* What a server learns of the memory of the rings. */
typedef struct Shared
{
  uint8_t *bytes; /* NULL: nothing */
  uint64_t size, address;
  struct vring ring;
  uint16_t taken;
  int call;
} Shared;

typedef struct World
{
  DiskPeer peer; /* first: run_server () casts */
  FuzzInput scripts;
  uint8_t *data;
  Shared shared;
  BlockVhost *vhost;
  BlockBackend backend;
  unsigned n_requests;
  Request requests[REQUESTS];
} World;

/* --- the server --- */

static void
run_server (DiskPeer *peer)
{
  World *world = (World *) peer;
  size_t n = fuzz_take (&world->scripts, 2);
  const uint8_t *bytes = fuzz_take_bytes (&world->scripts, &n);

  vhost_user_script_run (peer->fd, (FuzzInput){ bytes, n });
}

static void
forget (Shared *shared)
{
  if (shared->bytes)
    munmap (shared->bytes, shared->size);
  if (shared->call >= 0)
    close (shared->call);
  *shared = (Shared){ .call = -1 };
}

static void
join_server (DiskPeer *peer)
{
  forget (&((World *) peer)->shared);
}

static void *
find (const Shared *shared, uint64_t address, uint64_t size)
{
  if (!shared->bytes || address < shared->address || size > shared->size ||
      address - shared->address > shared->size - size)
    return NULL;
  return shared->bytes + (address - shared->address);
}

/* docs/interop/vhost-user.rst: SET_MEM_TABLE, SET_VRING_NUM, SET_VRING_ADDR, SET_VRING_CALL. */
static void
learn_message (Shared *shared, uint32_t request, const uint64_t *words, const int *fds)
{
  if (request == 5)
    {
      shared->size = words[2];
      shared->address = words[3];
      shared->bytes = mmap (NULL, words[2], PROT_READ | PROT_WRITE, MAP_SHARED, fds[0], 0);
      g_assert_true (shared->bytes != MAP_FAILED);
    }
  else if (request == 8)
    shared->ring.num = (unsigned) (words[0] >> 32);
  else if (request == 9)
    {
      shared->ring.desc = find (shared, words[1], shared->ring.num * sizeof *shared->ring.desc);
      shared->ring.used = find (shared, words[2], 6 + shared->ring.num * 8);
      shared->ring.avail = find (shared, words[3], 6 + shared->ring.num * 2);
      g_assert_true (shared->ring.desc && shared->ring.used && shared->ring.avail);
    }
  else if (request == 13)
    shared->call = dup (fds[0]);
}

/* What was said to the server so far. */
static void
learn (World *world)
{
  for (;;)
    {
      union
      {
        char room[CMSG_SPACE (sizeof (int))];
        struct cmsghdr align;
      } control;
      uint32_t header[3];
      uint64_t words[64];
      struct iovec iov = { header, sizeof header };
      struct msghdr msg = { .msg_iov = &iov,
                            .msg_iovlen = 1,
                            .msg_control = control.room,
                            .msg_controllen = sizeof control.room };

      if (recvmsg (world->peer.fd, &msg, MSG_DONTWAIT | MSG_CMSG_CLOEXEC) != sizeof header)
        return;
      g_assert_cmpuint (header[2], <=, sizeof words);
      g_assert_cmpint (recv (world->peer.fd, words, header[2], MSG_DONTWAIT), ==, header[2]);
      struct cmsghdr *head = CMSG_FIRSTHDR (&msg);
      const int *fds = head ? (const int *) CMSG_DATA (head) : NULL;
      learn_message (&world->shared, header[0], words, fds);
      for (unsigned i = 0; head && i < (head->cmsg_len - CMSG_LEN (0)) / sizeof (int); i++)
        close (fds[i]);
    }
}

static void
publish (Shared *shared, uint32_t id, uint16_t step)
{
  static const uint64_t one = 1;
  struct vring_used *used = shared->ring.used;

  used->ring[used->idx % shared->ring.num] = (struct vring_used_elem){ id, 1 };
  used->idx += step;
  g_assert_cmpint (write (shared->call, &one, sizeof one), ==, sizeof one);
}

/* Where the last descriptor of a request leads. It may all have been overwritten. */
static uint8_t *
find_status (const Shared *shared, unsigned id)
{
  const struct vring_desc *first = &shared->ring.desc[id % shared->ring.num];
  const unsigned n = first->len / sizeof *first;
  const uint8_t *table = find (shared, first->addr, first->len);
  struct vring_desc last;

  if (!table || n == 0)
    return NULL;
  memcpy (&last, table + (n - 1) * sizeof last, sizeof last); /* wherever that is by now */
  return find (shared, last.addr, 1);
}

static void
answer (Shared *shared, uint8_t status, unsigned n)
{
  for (; n > 0 && shared->ring.avail->idx != shared->taken; n--)
    {
      const uint16_t id = shared->ring.avail->ring[shared->taken++ % shared->ring.num];
      uint8_t *where = find_status (shared, id);

      if (where)
        *where = status;
      publish (shared, id, 1);
    }
}

static void
write_shared (Shared *shared, uint64_t offset, const uint8_t *bytes, size_t n)
{
  offset %= shared->size;
  memcpy (shared->bytes + offset, bytes, MIN (n, shared->size - offset));
}

/* --- the owner --- */

static void
on_done (BlockRequest *io, int error)
{
  Request *request = (Request *) io;

  g_assert_true (request->in_flight);
  g_assert_true (error == 0 || error == EIO);
  request->in_flight = false;
}

static void
submit (World *world, BlockOperation operation, uint64_t sector, uint64_t sectors, unsigned flags)
{
  const bool transfers = operation == BLOCK_READ || operation == BLOCK_WRITE;
  const uint64_t end = world->backend.size / SECTOR;

  if (world->n_requests == REQUESTS)
    return;
  Request *request = &world->requests[world->n_requests++];
  BlockRequest *io = &request->io;
  *io = (BlockRequest){ .operation = operation,
                        .may_unmap = flags & SUBMIT_UNMAP,
                        .durable = flags & SUBMIT_DURABLE,
                        .done = on_done };
  request->in_flight = true;
  sector %= end;
  sectors = MIN (MAX (sectors, 1), end - sector);
  if (transfers)
    sectors = MIN (sectors, DATA_SIZE / SECTOR);
  if (operation != BLOCK_FLUSH)
    {
      io->offset = sector * SECTOR;
      io->size = sectors * SECTOR;
    }
  if (transfers)
    {
      const unsigned n = 1 + (flags & SUBMIT_PIECES) % PIECES;
      const size_t each = io->size / n;

      for (unsigned i = 0; i < n; i++)
        request->iov[i] =
            (struct iovec){ world->data + i * each, i < n - 1 ? each : io->size - i * each };
      io->iov = request->iov;
      io->n_iov = n;
    }
  world->backend.ops->submit (world->backend.opaque, io);
}

static void
submit_some (World *world, FuzzInput *input, bool many)
{
  const BlockOperation operation = fuzz_take (input, 1) % (BLOCK_WRITE_ZEROES + 1);

  if (many)
    for (unsigned n = fuzz_take (input, 1); n > 0; n--)
      submit (world, operation, n, 1, n);
  else
    {
      const uint64_t sector = fuzz_take (input, 2), sectors = fuzz_take (input, 1);

      submit (world, operation, sector, sectors, fuzz_take (input, 1));
    }
}

static void
resume (World *world)
{
  g_autoptr (GError) error = NULL;
  const bool good = block_vhost_resume (world->vhost, &error);

  g_assert_true (good == (error == NULL));
  if (good)
    learn (world);
}

/* What the server does; there is one. */
static void
step_of_server (World *world, unsigned what, FuzzInput *input)
{
  Shared *shared = &world->shared;
  size_t n;

  switch (what)
    {
    case STEP_ANSWER:
      {
        const uint8_t status = fuzz_take (input, 1);

        answer (shared, status, fuzz_take (input, 1));
        return;
      }
    case STEP_USED:
      {
        const uint32_t id = fuzz_take (input, 4);

        publish (shared, id, fuzz_take (input, 2));
        return;
      }
    case STEP_WRITE:
      {
        const uint64_t offset = fuzz_take (input, 3);

        n = fuzz_take (input, 1);
        const uint8_t *bytes = fuzz_take_bytes (input, &n);
        write_shared (shared, offset, bytes, n);
        return;
      }
    case STEP_SAY:
      {
        n = fuzz_take (input, 1);
        const uint8_t *bytes = fuzz_take_bytes (input, &n);
        send (world->peer.fd, bytes, n, MSG_NOSIGNAL | MSG_DONTWAIT);
        return;
      }
    default:
      shutdown (world->peer.fd, SHUT_RDWR);
      return;
    }
}

static void
step (World *world, FuzzInput *input)
{
  const BlockBackend *backend = &world->backend;
  const unsigned what = fuzz_take (input, 1) % STEPS;

  switch (what)
    {
    case STEP_SUBMIT:
    case STEP_SUBMIT_MANY:
      submit_some (world, input, what == STEP_SUBMIT_MANY);
      break;
    case STEP_KICK:
      backend->ops->kick (backend->opaque);
      break;
    case STEP_LOOK:
      backend->ops->look (backend->opaque);
      break;
    case STEP_REAP:
      backend->ops->reap (backend->opaque);
      break;
    case STEP_DRAIN:
      backend->ops->drain (backend->opaque);
      for (unsigned i = 0; i < world->n_requests; i++)
        g_assert_false (world->requests[i].in_flight);
      break;
    case STEP_RESUME:
      resume (world);
      break;
    default:
      if (!block_vhost_is_lost (world->vhost))
        step_of_server (world, what, input);
    }
  /* A server that was lost has been ended. */
  g_assert_true (block_vhost_is_lost (world->vhost) == (world->peer.fd < 0));
}

static void
run (World *world, bool readonly, FuzzInput *steps)
{
  const BlockVhostConfig config = { .readonly = readonly, DISK_PEER_CALLS (&world->peer) };
  g_autoptr (GError) error = NULL;

  world->vhost = block_vhost_new (&config, &error);
  g_assert_true ((world->vhost != NULL) == (error == NULL));
  if (!world->vhost)
    return;
  block_vhost_get_backend (world->vhost, &world->backend);
  g_assert_cmpuint (world->backend.size, >, 0);
  learn (world);
  for (unsigned i = 0; i < STEPS_MAX && steps->size > 0; i++)
    step (world, steps);
  world->backend.ops->free (world->backend.opaque);
  for (unsigned i = 0; i < world->n_requests; i++)
    g_assert_false (world->requests[i].in_flight);
}

int
LLVMFuzzerTestOneInput (const uint8_t *data, size_t size)
{
  FuzzInput input = { data, size };
  g_autofree World *world = g_new0 (World, 1);
  const unsigned flags = fuzz_take (&input, 1);
  FuzzInput steps = { .size = fuzz_take (&input, 2) };

  steps.data = fuzz_take_bytes (&input, &steps.size);
  world->peer = (DiskPeer){ .run = run_server, .join = join_server, .fd = -1 };
  world->scripts = input;
  world->shared.call = -1;
  world->data = g_malloc0 (DATA_SIZE);
  run (world, flags & FLAG_READONLY, &steps);
  disk_peer_end (&world->peer);
  forget (&world->shared);
  g_free (world->data);
  return 0;
}
