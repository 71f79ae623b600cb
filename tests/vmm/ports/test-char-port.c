#include <fcntl.h>
#include <glib/gstdio.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "ports/char-port.h"

typedef struct
{
  char input[600];
  size_t n_input;
  size_t room; /* how much receive takes from now on */
  unsigned n_writable;
} Client;

static size_t
client_receive (void *opaque, const uint8_t *bytes, size_t size)
{
  Client *client = opaque;
  size_t n = MIN (size, client->room);

  memcpy (client->input + client->n_input, bytes, n);
  client->n_input += n;
  client->room -= n;
  return n;
}

static void
client_writable (void *opaque)
{
  Client *client = opaque;
  client->n_writable++;
}

static const CharClientOps client_ops = { client_receive, client_writable };

static void
iterate (void)
{
  while (g_main_context_iteration (NULL, FALSE))
    ;
}

static void
make_pipe (int fds[2])
{
  g_assert_cmpint (pipe2 (fds, O_CLOEXEC), ==, 0);
}

/* What the client does not take now waits for it, in order, and nothing more is read meanwhile. */
static void
test_input_waits (void)
{
  int in[2];
  make_pipe (in);
  g_autoptr (CharPort) port = char_port_new (in[0], -1);
  Client client = { .room = 3 };

  char_port_set_client (port, &client_ops, &client);
  g_assert_cmpint (write (in[1], "abcdefg", 7), ==, 7);
  iterate ();
  g_assert_cmpmem (client.input, client.n_input, "abc", 3);
  client.room = 2;
  char_port_accept_input (port);
  iterate ();
  g_assert_cmpmem (client.input, client.n_input, "abcde", 5);
  client.room = 100;
  char_port_accept_input (port);
  iterate ();
  g_assert_cmpint (write (in[1], "h", 1), ==, 1);
  iterate ();
  g_assert_cmpmem (client.input, client.n_input, "abcdefgh", 8);
  close (in[1]);
  iterate ();
}

/* A reader that stalls: writes come back short, never block, and the client hears of room later. */
static void
test_output_back_pressure (void)
{
  int out[2];
  make_pipe (out);
  g_autoptr (CharPort) port = char_port_new (-1, out[1]);
  Client client = { 0 };
  g_autofree uint8_t *block = g_malloc0 (1 << 20);
  g_autofree uint8_t *sink = g_malloc (1 << 20);

  char_port_set_client (port, &client_ops, &client);
  size_t taken = char_port_write (port, block, 1 << 20);
  g_assert_cmpuint (taken, >, 0);
  g_assert_cmpuint (taken, <, 1 << 20);
  iterate ();
  g_assert_cmpuint (client.n_writable, ==, 0);
  g_assert_cmpint (read (out[0], sink, 1 << 20), >, 0);
  iterate ();
  g_assert_cmpuint (client.n_writable, ==, 1);
  g_assert_cmpuint (char_port_write (port, block, 512), ==, 512);
  close (out[0]);
}

/* A reader that goes away: output is lost, the writer goes on. */
static void
test_reader_gone (void)
{
  int out[2];
  make_pipe (out);
  g_autoptr (CharPort) port = char_port_new (-1, out[1]);

  close (out[0]);
  g_test_expect_message ("vmm-ports", G_LOG_LEVEL_WARNING, "*lost*");
  g_assert_cmpuint (char_port_write (port, (const uint8_t *) "abc", 3), ==, 3);
  g_test_assert_expected_messages ();
  g_assert_cmpuint (char_port_write (port, (const uint8_t *) "abc", 3), ==, 3);
}

static void
test_file (void)
{
  g_autoptr (GError) error = NULL;
  g_autofree char *folder = g_dir_make_tmp ("char-port-XXXXXX", &error);
  g_assert_no_error (error);
  g_autofree char *path = g_build_filename (folder, "log", NULL);
  g_autofree char *text = NULL;

  struct stat info;

  mode_t old = umask (0002);
  CharPort *port = char_port_new_file (path, &error);
  umask (old);
  g_assert_no_error (error);
  /* What a guest says on its console is for this user alone. */
  g_assert_cmpint (stat (path, &info), ==, 0);
  g_assert_cmphex (info.st_mode & 0777, ==, 0600);
  g_assert_cmpuint (char_port_write (port, (const uint8_t *) "hello\n", 6), ==, 6);
  g_assert_true (g_file_get_contents (path, &text, NULL, NULL));
  g_assert_cmpstr (text, ==, "hello\n");
  char_port_free (port);
  g_assert_null (char_port_new_file (folder, &error));
  g_assert_error (error, G_FILE_ERROR, G_FILE_ERROR_ISDIR);
  g_assert_nonnull (strstr (error->message, folder));
  g_unlink (path);
  g_rmdir (folder);
}

int
main (int argc, char **argv)
{
  signal (SIGPIPE, SIG_IGN);
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/char-port/input-waits", test_input_waits);
  g_test_add_func ("/char-port/output-back-pressure", test_output_back_pressure);
  g_test_add_func ("/char-port/reader-gone", test_reader_gone);
  g_test_add_func ("/char-port/file", test_file);
  return g_test_run ();
}
