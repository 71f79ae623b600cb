#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <linux/virtio_console.h>

#include "changing-memory.h"
#include "virtio-driver.h"
#include "virtio/virtio-console.h"

#define RAM             (4u << 20)
#define CONTROL_RECEIVE 2
#define CONTROL_SEND    3

typedef struct Fixture
{
  GuestMemory *memory;
  CharPort *port;
  int host_in;     /* we write what the guest receives */
  int host_out;    /* we read what the guest sends */
  CharPort *named; /* port 2; there is no port 1 */
  VirtioConsole *console;
  VirtioDriver *driver;
} Fixture;

static void
setup (Fixture *f, gconstpointer data)
{
  int in[2], out[2];

  g_assert_cmpint (pipe2 (in, O_CLOEXEC), ==, 0);
  g_assert_cmpint (pipe2 (out, O_CLOEXEC | O_NONBLOCK), ==, 0);
  f->host_in = in[1];
  f->host_out = out[0];
  f->port = char_port_new (in[0], out[1]);
  f->memory = guest_memory_new (RAM, RAM, 2 * RAM, NULL);
  f->named = char_port_new_vacant ();
  const VirtioConsolePort ports[] = { { NULL, f->port }, { "none", NULL }, { "a.name", f->named } };
  f->console = virtio_console_new (f->memory, ports, G_N_ELEMENTS (ports));
  /* The tests of the console alone have a driver that knows nothing of ports. */
  f->driver = virtio_driver_new (virtio_console_get_device (f->console), f->memory, 0,
                                 data ? UINT64_MAX : ~(UINT64_C (1) << VIRTIO_CONSOLE_F_MULTIPORT));
}

static void
teardown (Fixture *f, gconstpointer data)
{
  virtio_driver_free (f->driver);
  virtio_console_free (f->console);
  char_port_free (f->port);
  char_port_free (f->named);
  guest_memory_free (f->memory);
  close (f->host_in);
  close (f->host_out);
}

static void
test_transmit (Fixture *f, gconstpointer data)
{
  char bytes[16] = "";

  g_assert_cmpuint (virtio_driver_request (f->driver, 1, "hello", 5, NULL, 0), ==, 0);
  g_assert_cmpint (read (f->host_out, bytes, sizeof bytes), ==, 5);
  g_assert_cmpstr (bytes, ==, "hello");
}

static void
test_receive (Fixture *f, gconstpointer data)
{
  VirtqueueDriver *ring = virtio_driver_get_queue (f->driver, 0);
  char *bytes;
  uint64_t gpa = virtio_driver_alloc (f->driver, 8, (void **) &bytes);
  const DriverSegment segments[] = { { gpa, 4, true }, { gpa + 4, 4, true } };
  uint32_t written;

  /* Bytes that come before there are buffers wait. */
  g_assert_cmpint (write (f->host_in, "abcdef", 6), ==, 6);
  virtio_driver_run (f->driver);
  virtqueue_driver_add (ring, &segments[0], 1);
  virtio_driver_kick (f->driver, 0);
  virtio_driver_wait (f->driver, 0, 1);
  g_assert_true (virtqueue_driver_take_used (ring, NULL, &written));
  g_assert_cmpmem (bytes, written, "abcd", 4);
  virtqueue_driver_add (ring, &segments[1], 1);
  virtio_driver_kick (f->driver, 0);
  virtio_driver_wait (f->driver, 0, 2);
  g_assert_true (virtqueue_driver_take_used (ring, NULL, &written));
  g_assert_cmpmem (bytes + 4, written, "ef", 2);
}

/* A reader that does not read: the request waits, nothing is lost, and all of it comes when it reads. */
static void
test_slow_reader (Fixture *f, gconstpointer data)
{
  enum
  {
    SIZE = 1 << 20
  };
  VirtqueueDriver *ring = virtio_driver_get_queue (f->driver, 1);
  uint8_t *bytes;
  uint64_t gpa = virtio_driver_alloc (f->driver, SIZE, (void **) &bytes);
  const DriverSegment segment = { gpa, SIZE, false };
  g_autofree uint8_t *got = g_malloc (SIZE);
  size_t n_got = 0;

  for (unsigned i = 0; i < SIZE; i++)
    bytes[i] = i * 31 + (i >> 8);
  virtqueue_driver_add (ring, &segment, 1);
  virtio_driver_kick (f->driver, 1);
  g_assert_cmpuint (virtqueue_driver_get_used_index (ring), ==, 0);
  while (n_got < SIZE)
    {
      ssize_t n = read (f->host_out, got + n_got, SIZE - n_got);
      if (n > 0)
        n_got += n;
      g_main_context_iteration (NULL, n <= 0);
    }
  virtio_driver_wait (f->driver, 1, 1);
  g_assert_cmpmem (got, SIZE, bytes, SIZE);
}

static void
test_reset_while_waiting (Fixture *f, gconstpointer data)
{
  VirtqueueDriver *ring = virtio_driver_get_queue (f->driver, 1);
  const DriverSegment segment = { virtio_driver_alloc (f->driver, 1 << 20, NULL), 1 << 20, false };
  uint8_t bytes[4096];

  virtqueue_driver_add (ring, &segment, 1);
  virtio_driver_kick (f->driver, 1);
  virtio_driver_free (f->driver);
  while (read (f->host_out, bytes, sizeof bytes) > 0)
    while (g_main_context_iteration (NULL, FALSE))
      ;
  f->driver = virtio_driver_new (virtio_console_get_device (f->console), f->memory, 0, UINT64_MAX);
  virtio_driver_request (f->driver, 1, "again", 5, NULL, 0);
  g_assert_cmpint (read (f->host_out, bytes, sizeof bytes), ==, 5);
  g_assert_cmpmem (bytes, 5, "again", 5);
}

static void
test_emergency_write (Fixture *f, gconstpointer data)
{
  const uint32_t word = GUINT32_TO_LE ('!');
  char byte = 0;

  virtio_driver_write_config (f->driver, offsetof (struct virtio_console_config, emerg_wr), &word,
                              4);
  virtio_driver_run (f->driver);
  g_assert_cmpint (read (f->host_out, &byte, 1), ==, 1);
  g_assert_cmpint (byte, ==, '!');
}

/* Buffers of no size are no way to keep the loop busy, and lose no byte. */
static void
test_empty_buffers (Fixture *f, gconstpointer data)
{
  VirtqueueDriver *ring = virtio_driver_get_queue (f->driver, 0);
  char *bytes;
  uint64_t gpa = virtio_driver_alloc (f->driver, 8, (void **) &bytes);
  const DriverSegment empty = { gpa, 0, true };
  const DriverSegment full = { gpa, 8, true };

  for (unsigned i = 0; i < 20; i++)
    virtqueue_driver_add (ring, &empty, 1);
  virtqueue_driver_add (ring, &full, 1);
  g_assert_cmpint (write (f->host_in, "abc", 3), ==, 3);
  virtio_driver_kick (f->driver, 0);
  virtio_driver_wait (f->driver, 0, 21);
  g_assert_cmpmem (bytes, 3, "abc", 3);
}

/* --- ports --- */

static void
say (Fixture *f, uint32_t id, uint16_t event, uint16_t value)
{
  const struct virtio_console_control message = { id, event, value };

  virtio_driver_request (f->driver, CONTROL_SEND, &message, sizeof message, NULL, 0);
}

/* What the device says next; what follows the message is its text. */
static struct virtio_console_control
hear (Fixture *f, char *text)
{
  struct
  {
    struct virtio_console_control message;
    char text[64];
  } in = { 0 };
  const uint32_t n = virtio_driver_request (f->driver, CONTROL_RECEIVE, NULL, 0, &in, sizeof in);

  g_assert_cmpuint (n, >=, sizeof in.message);
  if (text)
    memcpy (text, in.text, sizeof in.text);
  else
    g_assert_cmpuint (n, ==, sizeof in.message);
  return in.message;
}

static void
expect (Fixture *f, uint32_t id, uint16_t event, uint16_t value)
{
  const struct virtio_console_control message = hear (f, NULL);

  g_assert_cmpuint (message.id, ==, id);
  g_assert_cmpuint (message.event, ==, event);
  g_assert_cmpuint (message.value, ==, value);
}

/* A buffer for a control message that is not used: the device has nothing to say. */
static void
expect_silence (Fixture *f)
{
  VirtqueueDriver *ring = virtio_driver_get_queue (f->driver, CONTROL_RECEIVE);
  const uint16_t used = virtqueue_driver_get_used_index (ring);
  const DriverSegment segment = { virtio_driver_alloc (f->driver, 8, NULL), 8, true };

  virtqueue_driver_add (ring, &segment, 1);
  virtio_driver_kick (f->driver, CONTROL_RECEIVE);
  g_assert_cmpuint (virtqueue_driver_get_used_index (ring), ==, used);
}

/* Our end of what is at the other end of the named port. */
static int
join (Fixture *f)
{
  int fds[2];

  g_assert_cmpint (socketpair (AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds), ==, 0);
  char_port_connect (f->named, fds[1]);
  return fds[0];
}

static void
get_ready (Fixture *f)
{
  say (f, 0, VIRTIO_CONSOLE_DEVICE_READY, 1);
  expect (f, 0, VIRTIO_CONSOLE_PORT_ADD, 1);
  expect (f, 2, VIRTIO_CONSOLE_PORT_ADD, 1);
}

static void
test_ports_are_told (Fixture *f, gconstpointer data)
{
  struct virtio_console_config config;
  char text[64];

  virtio_driver_read_config (f->driver, 0, &config, sizeof config);
  g_assert_cmpuint (config.max_nr_ports, ==, 3);
  get_ready (f);
  say (f, 0, VIRTIO_CONSOLE_PORT_READY, 1);
  expect (f, 0, VIRTIO_CONSOLE_CONSOLE_PORT, 1);
  expect (f, 0, VIRTIO_CONSOLE_PORT_OPEN, 1);
  say (f, 2, VIRTIO_CONSOLE_PORT_READY, 1);
  const struct virtio_console_control name = hear (f, text);
  g_assert_cmpuint (name.id, ==, 2);
  g_assert_cmpuint (name.event, ==, VIRTIO_CONSOLE_PORT_NAME);
  g_assert_cmpstr (text, ==, "a.name");
  /* Who comes and goes. */
  const int host = join (f);
  expect (f, 2, VIRTIO_CONSOLE_PORT_OPEN, 1);
  close (host);
  virtio_driver_run (f->driver);
  expect (f, 2, VIRTIO_CONSOLE_PORT_OPEN, 0);
  expect_silence (f);
}

static void
test_console_among_ports (Fixture *f, gconstpointer data)
{
  char bytes[8] = "";

  get_ready (f);
  say (f, 0, VIRTIO_CONSOLE_PORT_READY, 1);
  say (f, 0, VIRTIO_CONSOLE_PORT_OPEN, 1);
  virtio_driver_request (f->driver, 1, "out", 3, NULL, 0);
  g_assert_cmpint (read (f->host_out, bytes, sizeof bytes), ==, 3);
  g_assert_cmpstr (bytes, ==, "out");
  g_assert_cmpint (write (f->host_in, "in", 2), ==, 2);
  g_assert_cmpuint (virtio_driver_request (f->driver, 0, NULL, 0, bytes, sizeof bytes), ==, 2);
  g_assert_cmpmem (bytes, 2, "in", 2);
}

static void
test_both_ways (Fixture *f, gconstpointer data)
{
  char bytes[8] = "";
  const int host = join (f);

  get_ready (f);
  say (f, 2, VIRTIO_CONSOLE_PORT_READY, 1);
  say (f, 2, VIRTIO_CONSOLE_PORT_OPEN, 1);
  virtio_driver_request (f->driver, 7, "out", 3, NULL, 0);
  g_assert_cmpint (read (host, bytes, sizeof bytes), ==, 3);
  g_assert_cmpstr (bytes, ==, "out");
  g_assert_cmpint (write (host, "in", 2), ==, 2);
  g_assert_cmpuint (virtio_driver_request (f->driver, 6, NULL, 0, bytes, sizeof bytes), ==, 2);
  g_assert_cmpmem (bytes, 2, "in", 2);
  close (host);
}

/* Bytes for a port that nobody in the guest has open wait for who opens it. */
static void
test_closed (Fixture *f, gconstpointer data)
{
  VirtqueueDriver *ring = virtio_driver_get_queue (f->driver, 6);
  char *bytes;
  const DriverSegment segment = { virtio_driver_alloc (f->driver, 8, (void **) &bytes), 8, true };
  const int host = join (f);

  get_ready (f);
  virtqueue_driver_add (ring, &segment, 1);
  virtio_driver_kick (f->driver, 6);
  g_assert_cmpint (write (host, "early", 5), ==, 5);
  virtio_driver_run (f->driver);
  g_assert_cmpuint (virtqueue_driver_get_used_index (ring), ==, 0);
  say (f, 2, VIRTIO_CONSOLE_PORT_OPEN, 1);
  virtio_driver_wait (f->driver, 6, 1);
  g_assert_cmpmem (bytes, 5, "early", 5);
  /* With nobody at the other end what the guest sends is lost, open or not. */
  close (host);
  virtio_driver_run (f->driver);
  virtio_driver_request (f->driver, 7, "lost", 4, NULL, 0);
  say (f, 2, VIRTIO_CONSOLE_PORT_OPEN, 0);
  virtio_driver_request (f->driver, 7, "lost", 4, NULL, 0);
  /* And what it sends to a port of which there is but the number. */
  virtio_driver_request (f->driver, 5, "lost", 4, NULL, 0);
}

/* A program that writes and ends at once has written: the guest's driver does not wait with the close until the host has taken all. */
static void
test_close_after_write (Fixture *f, gconstpointer data)
{
  enum
  {
    SIZE = 1 << 20
  };
  VirtqueueDriver *ring = virtio_driver_get_queue (f->driver, 7);
  const DriverSegment segment = { virtio_driver_alloc (f->driver, SIZE, NULL), SIZE, false };
  const int host = join (f);
  char bytes[4096];
  size_t n_got = 0;

  get_ready (f);
  say (f, 2, VIRTIO_CONSOLE_PORT_OPEN, 1);
  virtqueue_driver_add (ring, &segment, 1);
  virtqueue_driver_add (ring, &segment, 1);
  virtio_driver_kick (f->driver, 7);
  g_assert_cmpuint (virtqueue_driver_get_used_index (ring), ==, 0);
  say (f, 2, VIRTIO_CONSOLE_PORT_OPEN, 0);
  while (n_got < 2 * SIZE)
    {
      const ssize_t n = read (host, bytes, sizeof bytes);

      n_got += MAX (n, 0);
      g_main_context_iteration (NULL, n <= 0);
    }
  virtio_driver_wait (f->driver, 7, 2);
  close (host);
}

/* Every event for every number, and messages of every size, also with buffers that are too small for an answer. */
static void
test_control_garbage (Fixture *f, gconstpointer data)
{
  static const uint32_t ids[] = { 0, 1, 2, 3, 0x7fffffff, UINT32_MAX };
  const uint8_t zeros[64] = { 0 };
  uint8_t small[4];

  for (unsigned event = 0; event < 20; event++)
    for (unsigned i = 0; i < G_N_ELEMENTS (ids); i++)
      {
        say (f, ids[i], event, 0);
        say (f, ids[i], event, UINT16_MAX);
        say (f, ids[i], event << 8, 1);
      }
  for (unsigned size = 1; size <= sizeof zeros; size++)
    virtio_driver_request (f->driver, CONTROL_SEND, zeros, size, NULL, 0);
  /* The wrong way round. */
  virtio_driver_request (f->driver, CONTROL_SEND, NULL, 0, small, sizeof small);
  say (f, 0, VIRTIO_CONSOLE_DEVICE_READY, 1);
  g_assert_cmpuint (
      virtio_driver_request (f->driver, CONTROL_RECEIVE, NULL, 0, small, sizeof small), ==, 4);
  g_assert_cmpuint (virtio_driver_get_status (f->driver) & 64, ==, 0);
  /* What it said last counts, and it works as ever. */
  virtio_driver_free (f->driver);
  f->driver = virtio_driver_new (virtio_console_get_device (f->console), f->memory, 0, UINT64_MAX);
  test_both_ways (f, data);
}

/* A guest that asks and never listens: what it is told in the end is one message of each kind. */
static void
test_control_flood (Fixture *f, gconstpointer data)
{
  char text[64];

  for (unsigned i = 0; i < 3000; i++)
    {
      say (f, 0, VIRTIO_CONSOLE_DEVICE_READY, 1);
      say (f, 2, VIRTIO_CONSOLE_PORT_READY, 1);
      close (join (f));
      virtio_driver_run (f->driver);
    }
  const int host = join (f);
  expect (f, 0, VIRTIO_CONSOLE_PORT_ADD, 1);
  expect (f, 2, VIRTIO_CONSOLE_PORT_ADD, 1);
  expect (f, 2, VIRTIO_CONSOLE_PORT_OPEN, 1);
  g_assert_cmpuint (hear (f, text).event, ==, VIRTIO_CONSOLE_PORT_NAME);
  expect_silence (f);
  close (host);
}

/* As many messages as are taken at once: the next one is heard all the same. */
static void
test_control_burst (Fixture *f, gconstpointer data)
{
  VirtqueueDriver *ring = virtio_driver_get_queue (f->driver, CONTROL_SEND);
  const struct virtio_console_control ready = { 0, VIRTIO_CONSOLE_DEVICE_READY, 1 };
  void *bytes;
  const DriverSegment segment = { virtio_driver_alloc (f->driver, sizeof ready, &bytes),
                                  sizeof ready, false };

  memcpy (bytes, &ready, sizeof ready);
  for (unsigned i = 0; i < 64; i++)
    virtqueue_driver_add (ring, &segment, 1);
  virtio_driver_kick (f->driver, CONTROL_SEND);
  virtio_driver_wait (f->driver, CONTROL_SEND, 64);
  while (virtqueue_driver_take_used (ring, NULL, NULL))
    ;
  say (f, 0, VIRTIO_CONSOLE_DEVICE_READY, 1);
  expect (f, 0, VIRTIO_CONSOLE_PORT_ADD, 1);
}

/* Floods of both sides, neither of which reads: nothing is kept but what the socket and the one request hold. */
static void
test_never_read (Fixture *f, gconstpointer data)
{
  VirtqueueDriver *ring = virtio_driver_get_queue (f->driver, 7);
  const DriverSegment segment = { virtio_driver_alloc (f->driver, 1 << 20, NULL), 1 << 20, false };
  const int host = join (f);
  g_autofree uint8_t *block = g_malloc0 (1 << 20);
  size_t sent = 0;
  ssize_t n;

  get_ready (f);
  say (f, 2, VIRTIO_CONSOLE_PORT_OPEN, 1);
  for (unsigned i = 0; i < 64; i++)
    virtqueue_driver_add (ring, &segment, 1);
  virtio_driver_kick (f->driver, 7);
  while ((n = write (host, block, 1 << 20)) > 0)
    {
      sent += n;
      virtio_driver_run (f->driver);
    }
  g_assert_cmpuint (sent, <, 1 << 20);
  g_assert_cmpuint (virtqueue_driver_get_used_index (ring), ==, 0);
  /* The peer is gone: what waited for it is lost. */
  close (host);
  say (f, 2, VIRTIO_CONSOLE_PORT_OPEN, 0);
  virtio_driver_wait (f->driver, 7, 64);
}

/* A fresh driver is told nothing that it has not asked for, and gets nothing for a port that it has not opened. */
static void
test_reset_in_any_state (Fixture *f, gconstpointer data)
{
  int host = join (f);

  for (unsigned state = 0; state < 6; state++)
    {
      const DriverSegment segment = { RAM / 2, 1 << 20, false };
      const DriverSegment room = { RAM / 2, 8, true };

      if (state > 0)
        say (f, 0, VIRTIO_CONSOLE_DEVICE_READY, 1);
      if (state > 1)
        say (f, 2, VIRTIO_CONSOLE_PORT_READY, 1);
      if (state > 2)
        say (f, 2, VIRTIO_CONSOLE_PORT_OPEN, 1);
      if (state > 3)
        virtqueue_driver_add (virtio_driver_get_queue (f->driver, 7), &segment, 1);
      if (state > 4)
        g_assert_cmpint (write (host, "waits", 5), ==, 5);
      virtio_driver_kick (f->driver, 7);
      virtio_driver_free (f->driver);
      f->driver =
          virtio_driver_new (virtio_console_get_device (f->console), f->memory, 0, UINT64_MAX);
      close (host);
      host = join (f);
      g_assert_cmpint (write (host, "again", 5), ==, 5);
      virtqueue_driver_add (virtio_driver_get_queue (f->driver, 6), &room, 1);
      virtio_driver_kick (f->driver, 6);
      expect_silence (f);
      g_assert_cmpuint (virtqueue_driver_get_used_index (virtio_driver_get_queue (f->driver, 6)),
                        ==, 0);
    }
  virtio_driver_free (f->driver);
  f->driver = virtio_driver_new (virtio_console_get_device (f->console), f->memory, 0, UINT64_MAX);
  test_both_ways (f, data);
  close (host);
}

#define PORTS GINT_TO_POINTER (true)
/* What the device was told is gone as soon as it has read it: it goes by its copy. */
static void
setup_changing (Fixture *f, gconstpointer data)
{
  setup (f, data);
  changing_memory_begin ();
}

static void
teardown_changing (Fixture *f, gconstpointer data)
{
  g_assert_cmpuint (changing_memory_end (), >, 0);
  teardown (f, data);
}

#define ADD_CHANGING(name, data, func)                                                             \
  g_test_add ("/virtio-console/hostile-8-memory-changes/" name, Fixture, data, setup_changing,     \
              func, teardown_changing)

#define ADD(name, func) g_test_add ("/virtio-console/" name, Fixture, NULL, setup, func, teardown)
#define ADD_PORTS(name, func)                                                                      \
  g_test_add ("/virtio-console/" name, Fixture, PORTS, setup, func, teardown)

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_log_set_always_fatal (G_LOG_FATAL_MASK | G_LOG_LEVEL_CRITICAL); /* guests are complained of */
  ADD ("transmit", test_transmit);
  ADD ("receive", test_receive);
  ADD ("hostile-11-slow-reader", test_slow_reader);
  ADD ("hostile-7-reset-while-waiting", test_reset_while_waiting);
  ADD ("emergency-write", test_emergency_write);
  ADD ("empty-buffers", test_empty_buffers);
  ADD_PORTS ("ports-are-told", test_ports_are_told);
  ADD_PORTS ("console-among-ports", test_console_among_ports);
  ADD_PORTS ("both-ways", test_both_ways);
  ADD_PORTS ("closed", test_closed);
  ADD_PORTS ("close-after-write", test_close_after_write);
  ADD_PORTS ("hostile-13-control-garbage", test_control_garbage);
  ADD_PORTS ("hostile-18-control-flood", test_control_flood);
  ADD_PORTS ("hostile-18-control-burst", test_control_burst);
  ADD_PORTS ("hostile-11-never-read", test_never_read);
  ADD_PORTS ("hostile-7-reset-in-any-state", test_reset_in_any_state);
  ADD_CHANGING ("control", PORTS, test_ports_are_told);
  ADD_CHANGING ("both-ways", PORTS, test_both_ways);
  return g_test_run ();
}
