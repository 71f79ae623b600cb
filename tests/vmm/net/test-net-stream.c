#include "net/net-stream.h"

#include <string.h>
#include <unistd.h>
#include <glib-unix.h>
#include <sys/socket.h>

#include "net/net-frame.h"

typedef struct Fixture
{
  NetStream *stream;
  NetBackend backend;
  int there;
  GPtrArray *got; /* GBytes */
  unsigned flushes;
  char *reason;
} Fixture;

static void
receive (void *opaque, const uint8_t *frame, size_t size)
{
  g_ptr_array_add (((Fixture *) opaque)->got, g_bytes_new (frame, size));
}

static void
flush (void *opaque)
{
  ((Fixture *) opaque)->flushes++;
}

static void
ended (void *opaque, const char *reason)
{
  Fixture *f = opaque;

  g_assert_null (f->reason);
  f->reason = g_strdup (reason);
}

static void
setup (Fixture *f, gconstpointer data)
{
  int pair[2];

  g_assert_cmpint (socketpair (AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), ==, 0);
  f->there = pair[1];
  g_unix_set_fd_nonblocking (f->there, TRUE, NULL);
  f->got = g_ptr_array_new_with_free_func ((GDestroyNotify) g_bytes_unref);
  f->stream = net_stream_new (pair[0], true, g_main_context_default (), ended, f);
  f->backend = net_stream_get_backend (f->stream);
  f->backend.ops->set_receiver (f->backend.opaque,
                                &(NetReceiver){ .receive = receive, .flush = flush, .opaque = f });
}

static void
teardown (Fixture *f, gconstpointer data)
{
  f->backend.ops->stop (f->backend.opaque);
  net_stream_free (f->stream);
  if (f->there >= 0)
    close (f->there);
  g_ptr_array_unref (f->got);
  g_free (f->reason);
}

static void
run (void)
{
  while (g_main_context_iteration (NULL, FALSE))
    ;
}

static void
put (Fixture *f, const uint8_t *bytes, size_t size)
{
  g_assert_cmpint (write (f->there, bytes, size), ==, size);
  run ();
}

static void
test_receive (Fixture *f, gconstpointer data)
{
  uint8_t bytes[2 * (4 + 100)] = { [3] = 100, [4] = 1, [107] = 100, [108] = 2 };

  put (f, bytes, 3); /* a part of the length */
  put (f, bytes + 3, 50);
  g_assert_cmpuint (f->got->len, ==, 0);
  g_assert_cmpuint (f->flushes, ==, 0);
  put (f, bytes + 53, sizeof bytes - 53);
  g_assert_cmpuint (f->got->len, ==, 2);
  g_assert_cmpuint (f->flushes, ==, 1);
  for (unsigned i = 0; i < 2; i++)
    {
      gsize size;
      const uint8_t *frame = g_bytes_get_data (f->got->pdata[i], &size);

      g_assert_cmpuint (size, ==, 100);
      g_assert_cmpuint (frame[0], ==, i + 1);
    }
  g_assert_null (f->reason);
}

static void
test_no_frame (Fixture *f, gconstpointer data)
{
  static const uint8_t lengths[][4] = {
    { 0, 0, 0, 0 }, { 0, 0, 0, 13 }, { 0, 1, 0, 14 }, { 0xff, 0xff, 0xff, 0xff }
  };

  put (f, lengths[GPOINTER_TO_UINT (data) - 1], 4);
  g_assert_cmpstr (f->reason, ==, "it has sent what is no frame");
  f->backend.ops->send (f->backend.opaque, (const uint8_t[64]){ 0 }, 64);
  run ();
}

static void
test_closed (Fixture *f, gconstpointer data)
{
  close (f->there);
  f->there = -1;
  run ();
  g_assert_cmpstr (f->reason, ==, "it has closed the connection");
  f->backend.ops->send (f->backend.opaque, (const uint8_t[64]){ 0 }, 64);
}

/* A peer that does not read: frames are lost whole, and what arrives is frames. */
static void
test_slow (Fixture *f, gconstpointer data)
{
  g_autofree uint8_t *frame = g_malloc0 (60000);
  g_autoptr (GByteArray) all = g_byte_array_new ();
  uint8_t bytes[65536];
  unsigned sent = 500, arrived = 0;
  size_t at = 0;

  for (unsigned i = 0; i < sent; i++)
    {
      net_put_u32 (frame, i);
      memset (frame + 4, i, 60000 - 4);
      f->backend.ops->send (f->backend.opaque, frame, 60000 - i);
    }
  for (unsigned idle = 0; idle < 2;)
    {
      const ssize_t n = read (f->there, bytes, sizeof bytes);

      run ();
      idle = n > 0 ? 0 : idle + 1;
      if (n > 0)
        g_byte_array_append (all, bytes, n);
    }
  for (; at < all->len; arrived++)
    {
      const size_t size = net_get_u32 (all->data + at);
      const uint32_t i = net_get_u32 (all->data + at + 4);

      g_assert_cmpuint (size, ==, 60000 - i);
      g_assert_cmpuint (all->data[at + 4 + size - 1], ==, (uint8_t) i);
      at += 4 + size;
    }
  g_assert_cmpuint (at, ==, all->len);
  g_assert_cmpuint (arrived, >, 0);
  g_assert_cmpuint (arrived, <, sent);
  f->backend.ops->send (f->backend.opaque, frame, 100); /* it goes on */
  g_assert_cmpint (read (f->there, bytes, sizeof bytes), ==, 104);
}

#define ADD(name, func, data)                                                                      \
  g_test_add ("/net-stream/" name, Fixture, GUINT_TO_POINTER (data), setup, func, teardown)

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  ADD ("receive", test_receive, 0);
  ADD ("no-frame/empty", test_no_frame, 1);
  ADD ("no-frame/short", test_no_frame, 2);
  ADD ("no-frame/long", test_no_frame, 3);
  ADD ("no-frame/endless", test_no_frame, 4);
  ADD ("closed", test_closed, 0);
  ADD ("slow", test_slow, 0);
  return g_test_run ();
}
