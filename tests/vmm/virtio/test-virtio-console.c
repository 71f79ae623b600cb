#include <fcntl.h>
#include <string.h>
#include <unistd.h>
#include <linux/virtio_console.h>

#include "virtio-driver.h"
#include "virtio/virtio-console.h"

#define RAM (4u << 20)

typedef struct Fixture
{
  GuestMemory *memory;
  CharPort *port;
  int host_in;  /* we write what the guest receives */
  int host_out; /* we read what the guest sends */
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
  f->console = virtio_console_new (f->memory, f->port);
  f->driver = virtio_driver_new (virtio_console_get_device (f->console), f->memory, 0, UINT64_MAX);
}

static void
teardown (Fixture *f, gconstpointer data)
{
  virtio_driver_free (f->driver);
  virtio_console_free (f->console);
  char_port_free (f->port);
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

#define ADD(name, func) g_test_add ("/virtio-console/" name, Fixture, NULL, setup, func, teardown)

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  ADD ("transmit", test_transmit);
  ADD ("receive", test_receive);
  ADD ("hostile-11-slow-reader", test_slow_reader);
  ADD ("hostile-7-reset-while-waiting", test_reset_while_waiting);
  ADD ("emergency-write", test_emergency_write);
  ADD ("empty-buffers", test_empty_buffers);
  return g_test_run ();
}
