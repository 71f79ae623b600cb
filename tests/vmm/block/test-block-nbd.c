#include <errno.h>
#include <string.h>
#include <unistd.h>
#include <gio/gio.h>
#include <poll.h>
#include <sys/socket.h>

#include "block/block-nbd.h"
#include "disk-peer.h"

#define SIZE (4u << 20)

/* A disk in memory, and a thread that serves it by NBD until it is told to break off. */
typedef struct Fixture
{
  DiskPeer peer; /* first: run_server () casts */
  uint8_t *bytes;
  BlockNbd *nbd;
  BlockBackend backend;
  GThread *server;

  /* What the server does; set while none runs, or between requests. */
  uint64_t size;
  uint16_t flags;
  int error;           /* of writes */
  unsigned dies_after; /* requests that it takes and does not answer any more; 0: never */
  const char *nonsense;

  /* What it has seen. */
  unsigned n_flushes;
  unsigned n_durable;
  unsigned n_taken;
} Fixture;

typedef struct Tracked
{
  BlockRequest io; /* first: on_done () casts */
  struct iovec iov[3];
  bool done;
  int error;
} Tracked;

/* --- the server --- */

static bool
get (int fd, void *bytes, size_t size)
{
  for (size_t done = 0; done < size;)
    {
      const ssize_t n = recv (fd, (uint8_t *) bytes + done, size - done, 0);

      if (n <= 0)
        return false;
      done += (size_t) n;
    }
  return true;
}

static void
put (int fd, const void *bytes, size_t size)
{
  for (size_t done = 0; done < size;)
    {
      const ssize_t n = send (fd, (const uint8_t *) bytes + done, size - done, MSG_NOSIGNAL);

      if (n <= 0)
        return;
      done += (size_t) n;
    }
}

static void
put_number (int fd, unsigned bytes, uint64_t value)
{
  const uint64_t big = GUINT64_TO_BE (value);

  put (fd, (const uint8_t *) &big + 8 - bytes, bytes);
}

static uint64_t
take (const uint8_t *bytes, unsigned n)
{
  uint64_t value = 0;

  for (unsigned i = 0; i < n; i++)
    value = value << 8 | bytes[i];
  return value;
}

static bool
greet (Fixture *f, int fd)
{
  uint8_t question[4 + 16 + 4 + 4 + 2];

  put_number (fd, 8, UINT64_C (0x4e42444d41474943));
  put_number (fd, 8, UINT64_C (0x49484156454f5054));
  put_number (fd, 2, 3);
  if (!get (fd, question, sizeof question))
    return false;
  g_assert_cmpuint (take (question, 4), ==, 3);
  g_assert_cmpuint (take (question + 12, 4), ==, 7);
  g_assert_cmpmem (question + 24, 4, BLOCK_NBD_EXPORT, 4);
  /* Something of no interest, the size, the end. */
  for (unsigned i = 0; i < 3; i++)
    {
      put_number (fd, 8, UINT64_C (0x3e889045565a9));
      put_number (fd, 4, 7);
      put_number (fd, 4, i == 2 ? 1 : 3);
      put_number (fd, 4, i == 2 ? 0 : i == 1 ? 12 : 5);
      if (i == 0)
        put (fd, "\0\1abc", 5);
      if (i != 1)
        continue;
      put_number (fd, 2, 0);
      put_number (fd, 8, f->size);
      put_number (fd, 2, f->flags);
    }
  return true;
}

static bool
serve_one (Fixture *f, int fd)
{
  uint8_t head[28];
  uint32_t error = 0;

  if (!get (fd, head, sizeof head))
    return false;
  const unsigned command = take (head + 6, 2), flags = take (head + 4, 2);
  const uint64_t cookie = take (head + 8, 8), offset = take (head + 16, 8);
  const uint32_t size = take (head + 24, 4);
  g_assert_cmphex (take (head, 4), ==, 0x25609513);
  g_assert_cmpuint (offset + size, <=, SIZE);
  f->n_durable += flags & 1;
  f->n_flushes += command == 3;
  if (command == 1 && !get (fd, f->bytes + offset, size))
    return false;
  if (command == 6)
    memset (f->bytes + offset, 0, size);
  if (command == 1 || command == 6)
    error = f->error;
  if (++f->n_taken == f->dies_after)
    return false;
  if (f->nonsense)
    {
      put (fd, f->nonsense, 16);
      return true;
    }
  put_number (fd, 4, 0x67446698);
  put_number (fd, 4, error);
  put_number (fd, 8, cookie);
  if (command == 0)
    put (fd, f->bytes + offset, size);
  return true;
}

static void *
serve (void *data)
{
  Fixture *f = data;

  if (greet (f, f->peer.fd))
    while (serve_one (f, f->peer.fd))
      ;
  shutdown (f->peer.fd, SHUT_RDWR);
  return NULL;
}

/* --- who starts it --- */

static void
run_server (DiskPeer *peer)
{
  ((Fixture *) peer)->server = g_thread_new ("server", serve, peer);
}

static void
join_server (DiskPeer *peer)
{
  g_thread_join (g_steal_pointer (&((Fixture *) peer)->server));
}

static BlockNbd *
connect_nbd (Fixture *f, GError **error)
{
  const BlockNbdConfig config = { DISK_PEER_CALLS (&f->peer) };

  return block_nbd_new (&config, error);
}

static void
prepare (Fixture *f)
{
  f->peer = (DiskPeer){ .run = run_server, .join = join_server, .fd = -1 };
  f->bytes = g_malloc (SIZE);
  for (unsigned i = 0; i < SIZE; i++)
    f->bytes[i] = i * 7 + (i >> 9);
  f->size = SIZE;
  f->flags = 1 | 4 | 8 | 32 | 64;
}

static void
setup (Fixture *f, gconstpointer data)
{
  g_autoptr (GError) error = NULL;

  prepare (f);
  f->nbd = connect_nbd (f, &error);
  g_assert_no_error (error);
  block_nbd_get_backend (f->nbd, &f->backend);
  g_assert_cmpuint (f->backend.size, ==, SIZE);
}

static void
teardown (Fixture *f, gconstpointer data)
{
  f->backend.ops->free (f->nbd);
  disk_peer_end (&f->peer);
  g_free (f->bytes);
}

/* --- requests --- */

static void
on_done (BlockRequest *io, int error)
{
  Tracked *tracked = (Tracked *) io;

  g_assert_false (tracked->done);
  tracked->done = true;
  tracked->error = error;
}

/* Of memory in three pieces. */
static void
begin (Fixture *f, Tracked *tracked, BlockOperation operation, uint64_t offset, uint8_t *bytes,
       size_t size)
{
  *tracked = (Tracked){
    .io = { .operation = operation, .offset = offset, .size = size, .done = on_done },
  };
  if (bytes)
    {
      tracked->iov[0] = (struct iovec){ bytes, 100 };
      tracked->iov[1] = (struct iovec){ bytes + 100, 200 };
      tracked->iov[2] = (struct iovec){ bytes + 300, size - 300 };
      tracked->io.iov = tracked->iov;
      tracked->io.n_iov = 3;
    }
  f->backend.ops->submit (f->nbd, &tracked->io);
}

static void
wait_done (Fixture *f, Tracked *tracked)
{
  while (!tracked->done)
    {
      struct pollfd one = { .fd = f->backend.fd, .events = POLLIN };

      g_assert_cmpint (poll (&one, 1, 20000), ==, 1);
      f->backend.ops->reap (f->nbd);
    }
}

static int
run (Fixture *f, BlockOperation operation, uint64_t offset, uint8_t *bytes, size_t size)
{
  Tracked tracked;

  begin (f, &tracked, operation, offset, bytes, size);
  f->backend.ops->kick (f->nbd);
  wait_done (f, &tracked);
  return tracked.error;
}

static void
test_transfers (Fixture *f, gconstpointer data)
{
  uint8_t bytes[4096], back[4096];

  memset (bytes, 0x5a, sizeof bytes);
  g_assert_cmpint (run (f, BLOCK_READ, 512, back, sizeof back), ==, 0);
  g_assert_cmpmem (back, sizeof back, f->bytes + 512, sizeof back);
  g_assert_cmpint (run (f, BLOCK_WRITE, 8192, bytes, sizeof bytes), ==, 0);
  g_assert_cmpmem (f->bytes + 8192, sizeof bytes, bytes, sizeof bytes);
  g_assert_cmpuint (f->n_durable + f->n_flushes, ==, 0);
  g_assert_cmpint (run (f, BLOCK_FLUSH, 0, NULL, 0), ==, 0);
  g_assert_cmpuint (f->n_flushes, ==, 1);
  g_assert_cmpint (run (f, BLOCK_DISCARD, 0, NULL, 65536), ==, 0);
  g_assert_cmpint (run (f, BLOCK_WRITE_ZEROES, 8192, NULL, 1024), ==, 0);
  g_assert_cmphex (f->bytes[8192 + 1023], ==, 0);
  g_assert_cmphex (f->bytes[8192 + 1024], ==, 0x5a);
  Tracked durable;
  begin (f, &durable, BLOCK_WRITE, 0, bytes, sizeof bytes);
  durable.io.durable = true;
  f->backend.ops->drain (f->nbd);
  g_assert_true (durable.done);
  g_assert_cmpuint (f->n_durable, ==, 1);
}

/* More requests than slots, more bytes than the socket takes at once. */
static void
test_many (Fixture *f, gconstpointer data)
{
  enum
  {
    N = 200,
    EACH = 16384
  };
  g_autofree uint8_t *bytes = g_malloc (N * EACH);
  g_autofree Tracked *all = g_new0 (Tracked, N);

  for (unsigned i = 0; i < N; i++)
    {
      memset (bytes + i * EACH, i, EACH);
      begin (f, &all[i], i % 2 ? BLOCK_WRITE : BLOCK_READ, i * EACH, bytes + i * EACH, EACH);
    }
  f->backend.ops->kick (f->nbd);
  for (unsigned i = 0; i < N; i++)
    wait_done (f, &all[i]);
  for (unsigned i = 0; i < N; i++)
    {
      g_assert_cmpint (all[i].error, ==, 0);
      g_assert_cmpmem (bytes + i * EACH, EACH, f->bytes + i * EACH, EACH);
      if (i % 2)
        g_assert_cmphex (f->bytes[i * EACH + EACH - 1], ==, i);
    }
  g_assert_cmpuint (f->peer.n_failures, ==, 0);
}

/* Only writes may say that there is no room. */
static void
test_errors (Fixture *f, gconstpointer data)
{
  uint8_t bytes[512] = { 0 };

  f->error = ENOSPC;
  g_assert_cmpint (run (f, BLOCK_WRITE, 0, bytes, sizeof bytes), ==, ENOSPC);
  f->error = EPERM;
  g_assert_cmpint (run (f, BLOCK_WRITE, 0, bytes, sizeof bytes), ==, EIO);
  g_assert_cmpint (run (f, BLOCK_READ, 0, bytes, sizeof bytes), ==, 0);
}

/* It dies with requests that it took and did not answer: the next one is asked for them. */
static void
test_death (Fixture *f, gconstpointer data)
{
  enum
  {
    N = 100
  };
  g_autofree uint8_t *bytes = g_malloc (N * 512);
  g_autofree Tracked *all = g_new0 (Tracked, N);
  g_autoptr (GError) error = NULL;

  f->dies_after = 30;
  for (unsigned i = 0; i < N; i++)
    {
      memset (bytes + i * 512, i, 512);
      begin (f, &all[i], i % 2 ? BLOCK_WRITE : BLOCK_READ, i * 512, bytes + i * 512, 512);
    }
  f->backend.ops->kick (f->nbd);
  while (f->peer.n_failures == 0)
    f->backend.ops->reap (f->nbd);
  g_assert_cmpuint (f->peer.n_ends, ==, 1);
  g_assert_false (all[N - 1].done);
  /* Another image in its place is not taken. */
  f->dies_after = 0;
  f->size = SIZE - 512;
  g_assert_false (block_nbd_resume (f->nbd, &error));
  g_assert_nonnull (strstr (error->message, "another image"));
  f->size = SIZE;
  g_clear_error (&error);
  g_assert_true (block_nbd_resume (f->nbd, &error));
  g_assert_no_error (error);
  for (unsigned i = 0; i < N; i++)
    {
      wait_done (f, &all[i]);
      g_assert_cmpint (all[i].error, ==, 0);
      g_assert_cmpmem (bytes + i * 512, 512, f->bytes + i * 512, 512);
    }
  g_assert_cmpuint (f->peer.n_failures, ==, 1);
  g_assert_cmpuint (f->peer.n_starts, ==, 3);
}

/* Nobody waits for another: requests end, as the machine does. */
static void
test_end_without_server (Fixture *f, gconstpointer data)
{
  uint8_t bytes[512];
  Tracked tracked;

  f->dies_after = 1;
  begin (f, &tracked, BLOCK_READ, 0, bytes, sizeof bytes);
  f->backend.ops->drain (f->nbd);
  g_assert_true (tracked.done);
  g_assert_cmpint (tracked.error, ==, EIO);
  g_assert_cmpuint (f->peer.n_failures, ==, 1);
}

/* Answers that nobody asked for: another magic, a cookie that is not in use, one that cannot be. */
static void
test_nonsense (Fixture *f, gconstpointer data)
{
  static const char *const answers[] = {
    "\x67\x44\x66\x99\0\0\0\0\0\0\0\0\0\0\0\0",
    "\x67\x44\x66\x98\0\0\0\0\0\0\0\0\0\0\0\7",
    "\x67\x44\x66\x98\0\0\0\0\xff\xff\xff\xff\xff\xff\xff\xff",
  };
  uint8_t bytes[512];

  for (unsigned i = 0; i < G_N_ELEMENTS (answers); i++)
    {
      Tracked tracked;

      f->nonsense = answers[i];
      begin (f, &tracked, BLOCK_READ, 0, bytes, sizeof bytes);
      f->backend.ops->kick (f->nbd);
      while (f->peer.n_failures == i)
        f->backend.ops->reap (f->nbd);
      g_assert_false (tracked.done);
      f->nonsense = NULL;
      g_assert_true (block_nbd_resume (f->nbd, NULL));
      wait_done (f, &tracked);
      g_assert_cmpint (tracked.error, ==, 0);
    }
}

static void
test_refused (void)
{
  static const struct
  {
    uint64_t size;
    uint16_t flags;
    const char *words;
  } cases[] = {
    { 0, 1 | 4 | 8 | 32 | 64, "has nothing to serve" },
    { 511, 1 | 4 | 8 | 32 | 64, "an impossible size" },
    { UINT64_MAX - 511, 1 | 4 | 8 | 32 | 64, "an impossible size" },
    { SIZE, 1 | 2 | 4 | 8 | 32 | 64, "cannot write" },
    { SIZE, 1 | 8 | 32 | 64, "cannot write, flush" },
  };

  for (unsigned i = 0; i < G_N_ELEMENTS (cases); i++)
    {
      g_autoptr (GError) error = NULL;
      Fixture f = { 0 };

      prepare (&f);
      f.size = cases[i].size;
      f.flags = cases[i].flags;
      g_assert_null (connect_nbd (&f, &error));
      g_assert_error (error, G_IO_ERROR, G_IO_ERROR_FAILED);
      g_assert_nonnull (strstr (error->message, cases[i].words));
      g_assert_cmpuint (f.peer.n_ends, ==, 1);
      g_free (f.bytes);
    }
}

#define TEST(name, function)                                                                       \
  g_test_add ("/block-nbd/" name, Fixture, NULL, setup, function, teardown)

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  TEST ("transfers", test_transfers);
  TEST ("many", test_many);
  TEST ("errors", test_errors);
  TEST ("death", test_death);
  TEST ("end-without-server", test_end_without_server);
  TEST ("hostile-19-nonsense", test_nonsense);
  g_test_add_func ("/block-nbd/hostile-19-refused", test_refused);
  return g_test_run ();
}
