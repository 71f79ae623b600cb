#include <errno.h>
#include <fcntl.h>
#include <glib/gstdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "ports/char-socket.h"

#define SIZE (3u << 20)

typedef struct Fixture
{
  char *folder;
  char *path;
  CharSocket *socket;
  CharPort *port;
  /* The device. */
  GByteArray *input;
  size_t room; /* how much receive takes from now on */
  GString *events;
} Fixture;

static size_t
receive (void *opaque, const uint8_t *bytes, size_t size)
{
  Fixture *f = opaque;
  const size_t n = MIN (size, f->room);

  g_byte_array_append (f->input, bytes, n);
  f->room -= n;
  return n;
}

static void
writable (void *opaque)
{
  g_string_append_c (((Fixture *) opaque)->events, 'w');
}

static void
connected (void *opaque, bool is_connected)
{
  g_string_append_c (((Fixture *) opaque)->events, is_connected ? '+' : '-');
}

static const CharClientOps client_ops = { receive, writable, connected };

static void
set_up (Fixture *f, gconstpointer data)
{
  g_autoptr (GError) error = NULL;

  f->folder = g_dir_make_tmp ("char-socket-XXXXXX", NULL);
  f->path = g_build_filename (f->folder, "socket", NULL);
  f->socket = char_socket_new ("--port", f->path, &error);
  g_assert_no_error (error);
  f->port = char_socket_get_port (f->socket);
  f->input = g_byte_array_new ();
  f->room = SIZE_MAX;
  f->events = g_string_new (NULL);
  char_port_set_client (f->port, &client_ops, f);
}

static void
tear_down (Fixture *f, gconstpointer data)
{
  char_port_set_client (f->port, NULL, NULL);
  char_socket_free (f->socket);
  g_assert_cmpint (g_access (f->path, F_OK), ==, -1);
  g_rmdir (f->folder);
  g_free (f->path);
  g_free (f->folder);
  g_byte_array_unref (f->input);
  g_string_free (f->events, TRUE);
}

static void
run (void)
{
  while (g_main_context_iteration (NULL, FALSE))
    ;
}

static int
dial (Fixture *f)
{
  struct sockaddr_un address = { .sun_family = AF_UNIX };
  const int fd = socket (AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

  strcpy (address.sun_path, f->path);
  g_assert_cmpint (connect (fd, (struct sockaddr *) &address, sizeof address), ==, 0);
  run ();
  return fd;
}

static void
wait_input (Fixture *f, size_t size)
{
  while (f->input->len < size)
    g_main_context_iteration (NULL, TRUE);
}

/* Until the device was told so; the events are forgotten. */
static void
wait_event (Fixture *f, char event)
{
  while (!strchr (f->events->str, event))
    g_main_context_iteration (NULL, TRUE);
  g_string_truncate (f->events, 0);
}

static void
count_opened (void *opaque, bool is_open)
{
  g_string_append_c (opaque, is_open ? 'o' : 'c');
}

static void
test_one_after_another (Fixture *f, gconstpointer data)
{
  struct stat info;
  char bytes[8] = "";

  g_assert_cmpint (stat (f->path, &info), ==, 0);
  g_assert_cmpint (info.st_mode & 0777, ==, 0600);
  g_assert_false (char_port_is_connected (f->port));
  g_assert_cmpuint (char_port_write (f->port, (const uint8_t *) "lost", 4), ==, 4);
  const int first = dial (f);
  g_assert_true (char_port_is_connected (f->port));
  g_assert_cmpstr (f->events->str, ==, "+");
  g_assert_cmpint (write (first, "one", 3), ==, 3);
  wait_input (f, 3);
  g_assert_cmpuint (char_port_write (f->port, (const uint8_t *) "1", 1), ==, 1);
  g_assert_cmpint (read (first, bytes, sizeof bytes), ==, 1);
  g_assert_cmpstr (bytes, ==, "1");
  /* The second is not heard before the first has gone. */
  const int second = dial (f);
  g_assert_cmpint (write (second, "two", 3), ==, 3);
  run ();
  g_assert_cmpuint (f->input->len, ==, 3);
  close (first);
  wait_input (f, 6);
  g_assert_cmpmem (f->input->data, f->input->len, "onetwo", 6);
  g_assert_true (g_str_has_prefix (f->events->str, "+-"));
  g_assert_true (g_str_has_suffix (f->events->str, "+"));
  close (second);
  wait_event (f, '-');
}

/* A client that leaves at once: all that it sent still comes. */
static void
test_what_was_sent_before_the_end (Fixture *f, gconstpointer data)
{
  g_autofree uint8_t *bytes = g_malloc (SIZE);
  const int fd = dial (f);
  size_t sent = 0;

  for (unsigned i = 0; i < SIZE; i++)
    bytes[i] = i * 7 + (i >> 9);
  char_port_set_open (f->port, true);
  f->room = 0;
  while (sent < SIZE)
    {
      const ssize_t n = write (fd, bytes + sent, SIZE - sent);
      sent += MAX (n, 0);
      f->room = 100000;
      char_port_accept_input (f->port);
      run ();
    }
  f->room = 0;
  close (fd);
  run ();
  g_assert_cmpuint (f->input->len, <, SIZE);
  f->room = SIZE_MAX;
  char_port_accept_input (f->port);
  wait_event (f, '-');
  g_assert_cmpmem (f->input->data, f->input->len, bytes, SIZE);
}

/* A guest that never opens its port does not keep the next client waiting for ever. */
static void
test_gone_before_it_was_heard (Fixture *f, gconstpointer data)
{
  const int first = dial (f);

  f->room = 0;
  g_assert_cmpint (write (first, "one", 3), ==, 3);
  run ();
  close (first);
  wait_event (f, '-');
  const int second = dial (f);
  g_assert_cmpint (write (second, "two", 3), ==, 3);
  wait_event (f, '+');
  f->room = SIZE_MAX;
  char_port_set_open (f->port, true);
  char_port_accept_input (f->port);
  wait_input (f, 3);
  g_assert_cmpmem (f->input->data, f->input->len, "two", 3);
  /* Nor does one that closes it with bytes not read. */
  g_byte_array_set_size (f->input, 0);
  f->room = 0;
  g_assert_cmpint (write (second, "more", 4), ==, 4);
  close (second);
  run ();
  g_assert_true (char_port_is_connected (f->port));
  char_port_set_open (f->port, false);
  wait_event (f, '-');
  g_assert_cmpuint (f->input->len, ==, 0);
}

/* Neither side's flood is kept anywhere but in the socket, and whoever waits goes on when the other is gone. */
static void
test_floods (Fixture *f, gconstpointer data)
{
  g_autofree uint8_t *block = g_malloc0 (SIZE);
  const int fd = dial (f);
  size_t sent = 0;
  ssize_t n;

  f->room = 0;
  while ((n = write (fd, block, SIZE)) > 0)
    {
      sent += n;
      run ();
    }
  g_assert_cmpint (errno, ==, EAGAIN);
  g_assert_cmpuint (sent, <, 1 << 20);
  size_t taken = char_port_write (f->port, block, SIZE);
  g_assert_cmpuint (taken, <, 1 << 20);
  g_assert_cmpuint (char_port_write (f->port, block, SIZE), ==, 0);
  g_string_truncate (f->events, 0);
  run ();
  g_assert_cmpstr (f->events->str, ==, "");
  close (fd);
  wait_event (f, 'w');
  g_assert_cmpuint (char_port_write (f->port, block, SIZE), ==, SIZE);
}

/* Closed and opened again is told as both, what is written then waits for that, and a guest that goes on so is not followed each time. */
static void
test_opened (Fixture *f, gconstpointer data)
{
  static const CharHostOps ops = { .opened = count_opened };
  g_autoptr (CharPort) port = char_port_new (-1, -1);
  g_autoptr (GString) told = g_string_new (NULL);

  g_assert_true (char_port_is_connected (port));
  char_port_set_client (port, &client_ops, f);
  char_port_set_host (port, &ops, told);
  char_port_set_open (port, true);
  g_assert_cmpuint (char_port_write (port, (const uint8_t *) "early", 5), ==, 0);
  wait_event (f, 'w');
  g_assert_cmpstr (told->str, ==, "o");
  g_assert_cmpuint (char_port_write (port, (const uint8_t *) "late", 4), ==, 4);
  const gint64 start = g_get_monotonic_time ();
  for (unsigned i = 0; i < 1000; i++)
    {
      char_port_set_open (port, false);
      char_port_set_open (port, true);
      run ();
    }
  wait_event (f, 'w');
  g_assert_true (g_str_has_prefix (told->str, "oco"));
  g_assert_cmpint (told->len, <=, 3 + 2 * ((g_get_monotonic_time () - start) / 250000 + 1));
  /* Who comes later hears of it too. */
  g_string_truncate (told, 0);
  char_port_set_host (port, NULL, NULL);
  char_port_set_host (port, &ops, told);
  g_assert_cmpstr (told->str, ==, "o");
}

static void
test_connected_by_hand (Fixture *f, gconstpointer data)
{
  g_autoptr (CharPort) port = char_port_new (-1, -1);
  int fds[2];
  char byte = 0;

  char_port_set_client (port, &client_ops, f);
  g_assert_cmpint (socketpair (AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), ==, 0);
  char_port_connect (port, fds[0]);
  g_assert_cmpuint (char_port_write (port, (const uint8_t *) "x", 1), ==, 1);
  g_assert_cmpint (read (fds[1], &byte, 1), ==, 1);
  g_assert_cmpint (write (fds[1], "y", 1), ==, 1);
  wait_input (f, 1);
  char_port_connect (port, -1);
  g_assert_cmpint (read (fds[1], &byte, 1), ==, 0);
  g_assert_cmpuint (char_port_write (port, (const uint8_t *) "x", 1), ==, 1);
  /* For this device there is always somebody. */
  g_assert_null (strpbrk (f->events->str, "+-"));
  close (fds[1]);
}

static void
test_in_use (Fixture *f, gconstpointer data)
{
  g_autoptr (GError) error = NULL;

  g_assert_null (char_socket_new ("--port", f->path, &error));
  g_assert_nonnull (strstr (error->message, "--port"));
  g_assert_nonnull (strstr (error->message, f->path));
}

#define ADD(NAME, FUNC) g_test_add ("/char-socket/" NAME, Fixture, NULL, set_up, FUNC, tear_down)

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  ADD ("one-after-another", test_one_after_another);
  ADD ("what-was-sent-before-the-end", test_what_was_sent_before_the_end);
  ADD ("gone-before-it-was-heard", test_gone_before_it_was_heard);
  ADD ("floods", test_floods);
  ADD ("opened", test_opened);
  ADD ("connected-by-hand", test_connected_by_hand);
  ADD ("in-use", test_in_use);
  return g_test_run ();
}
