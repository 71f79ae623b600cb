#include "control/control-server.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>
#include <gio/gio.h>

#include "fake-control-target.h"

typedef struct Fixture
{
  char *folder;
  char *path;
  FakeControlTarget fake;
  ControlTarget target;
  ControlServer *server;
} Fixture;

static void
set_up (Fixture *fixture, const void *data)
{
  g_autoptr (GError) error = NULL;

  fixture->folder = g_dir_make_tmp ("alcove-control-XXXXXX", NULL);
  fixture->path = g_build_filename (fixture->folder, "qmp", NULL);
  fake_control_target_init (&fixture->fake);
  fixture->target = fake_control_target_get (&fixture->fake);
  fixture->server = control_server_new (fixture->path, &fixture->target, &error);
  g_assert_no_error (error);
}

static void
tear_down (Fixture *fixture, const void *data)
{
  control_server_free (fixture->server);
  fake_control_target_clear (&fixture->fake);
  rmdir (fixture->folder);
  g_free (fixture->folder);
  g_free (fixture->path);
}

/* Lets the server do what it can do now. */
static void
settle (void)
{
  while (g_main_context_iteration (NULL, FALSE))
    ;
}

static int
connect_client (Fixture *fixture)
{
  struct sockaddr_un address = { .sun_family = AF_UNIX };
  int fd = socket (AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

  g_strlcpy (address.sun_path, fixture->path, sizeof address.sun_path);
  g_assert_cmpint (connect (fd, (struct sockaddr *) &address, sizeof address), ==, 0);
  settle ();
  return fd;
}

/* Everything that waits to be read; *eof when the server closed. */
static char *
read_all (int fd, bool *eof)
{
  g_autoptr (GString) text = g_string_new (NULL);
  char buffer[65536];
  ssize_t n;

  settle ();
  while ((n = read (fd, buffer, sizeof buffer)) > 0)
    {
      g_string_append_len (text, buffer, n);
      settle ();
    }
  if (eof != NULL)
    *eof = n == 0 || errno == ECONNRESET;
  return g_string_free (g_steal_pointer (&text), FALSE);
}

static void
say (int fd, const char *text)
{
  g_assert_cmpint (write (fd, text, strlen (text)), ==, strlen (text));
  settle ();
}

static int
connect_negotiated (Fixture *fixture)
{
  int fd = connect_client (fixture);

  say (fd, "{\"execute\":\"qmp_capabilities\"}");
  g_autofree char *said = read_all (fd, NULL);
  g_assert_true (g_str_has_prefix (said, "{\"QMP\":"));
  g_assert_true (g_str_has_suffix (said, "\r\n{\"return\":{}}\r\n"));
  return fd;
}

static void
test_only_for_this_user (Fixture *fixture, const void *data)
{
  struct stat info;

  g_assert_cmpint (stat (fixture->path, &info), ==, 0);
  g_assert_cmpuint (info.st_mode & 0777, ==, 0600);
}

static void
test_clients_at_the_same_time (Fixture *fixture, const void *data)
{
  int a = connect_negotiated (fixture), b = connect_negotiated (fixture);
  int silent = connect_client (fixture);
  g_free (read_all (silent, NULL));

  say (a, "{\"execute\":\"stop\",\"id\":1}");
  g_autofree char *said = read_all (a, NULL);
  g_assert_cmpstr (said, ==, "{\"return\":{},\"id\":1}\r\n");
  control_server_emit (fixture->server, MACHINE_EVENT_STOP, MACHINE_CAUSE_NONE);
  g_autofree char *event_a = read_all (a, NULL);
  g_autofree char *event_b = read_all (b, NULL);
  g_autofree char *event_silent = read_all (silent, NULL);
  g_assert_nonnull (strstr (event_a, "\"event\":\"STOP\""));
  g_assert_cmpstr (event_a, ==, event_b);
  g_assert_cmpstr (event_silent, ==, "");
  close (a);
  settle ();
  g_assert_cmpuint (control_server_get_n_clients (fixture->server), ==, 2);
  say (b, "{\"execute\":\"cont\"}");
  g_assert_cmpstr (fixture->fake.calls->str, ==, "pause cont ");
  close (b);
  close (silent);
  settle ();
  g_assert_cmpuint (control_server_get_n_clients (fixture->server), ==, 0);
}

static void
test_too_many_clients (Fixture *fixture, const void *data)
{
  int fds[CONTROL_CLIENTS_MAX + 1];
  bool eof = false;

  g_test_expect_message ("vmm-control", G_LOG_LEVEL_WARNING, "a client was refused: 8*");
  for (unsigned i = 0; i < G_N_ELEMENTS (fds); i++)
    fds[i] = connect_client (fixture);
  g_test_assert_expected_messages ();
  g_free (read_all (fds[CONTROL_CLIENTS_MAX], &eof));
  g_assert_true (eof);
  for (unsigned i = 0; i < G_N_ELEMENTS (fds); i++)
    close (fds[i]);
  settle ();
  close (connect_negotiated (fixture));
}

/* A client that asks and never reads is dropped, and holds a bounded amount of memory until then. */
static void
test_client_that_does_not_read (Fixture *fixture, const void *data)
{
  const char *request = "{\"execute\":\"query-commands\"}";
  int fd = connect_negotiated (fixture);
  int other = connect_negotiated (fixture);
  unsigned sent = 0;

  while (control_server_get_n_clients (fixture->server) == 2 && sent < 1000000)
    {
      if (send (fd, request, strlen (request), MSG_NOSIGNAL) < 0)
        g_assert_true (errno == EAGAIN || errno == EPIPE);
      sent++;
      settle ();
    }
  g_assert_cmpuint (control_server_get_n_clients (fixture->server), ==, 1);
  say (other, "{\"execute\":\"query-name\"}");
  g_autofree char *said = read_all (other, NULL);
  g_assert_cmpstr (said, ==, "{\"return\":{\"name\":\"fake\"}}\r\n");
  close (fd);
  close (other);
}

static void
test_slow_reader_gets_all (Fixture *fixture, const void *data)
{
  const char *request = "{\"execute\":\"query-commands\"}";
  int fd = connect_negotiated (fixture);

  /* More than a socket's buffer takes, less than the limit. */
  for (unsigned i = 0; i < 2000; i++)
    say (fd, request);
  g_autofree char *said = read_all (fd, NULL);
  unsigned lines = 0;
  for (const char *p = said; (p = strstr (p, "{\"return\":[")) != NULL; p++)
    lines++;
  g_assert_cmpuint (lines, ==, 2000);
  g_assert_true (g_str_has_suffix (said, "]}\r\n"));
  close (fd);
}

static void
test_endless_line (Fixture *fixture, const void *data)
{
  g_autofree char *piece = g_strnfill (65536, 'x');
  int fd = connect_negotiated (fixture);
  size_t sent = 0;

  say (fd, "{\"execute\":\"");
  while (sent < (100u << 20) && control_server_get_n_clients (fixture->server) == 1)
    {
      ssize_t n = send (fd, piece, 65536, MSG_NOSIGNAL);
      sent += n > 0 ? n : 0;
      settle ();
    }
  g_assert_cmpuint (sent, <, 4u << 20);
  g_assert_cmpuint (control_server_get_n_clients (fixture->server), ==, 0);
  /* close with unread input resets the connection: what was said may be lost, the next client is not. */
  close (fd);
  close (connect_negotiated (fixture));
}

static void
send_with_fds (int fd, const char *text, const int *fds, unsigned n)
{
  union
  {
    char bytes[CMSG_SPACE (64 * sizeof (int))];
    struct cmsghdr align;
  } control = {};
  struct iovec iov = { .iov_base = (char *) text, .iov_len = strlen (text) };
  struct msghdr message = { .msg_iov = &iov,
                            .msg_iovlen = 1,
                            .msg_control = control.bytes,
                            .msg_controllen = CMSG_SPACE (n * sizeof (int)) };
  struct cmsghdr *header = CMSG_FIRSTHDR (&message);

  header->cmsg_level = SOL_SOCKET;
  header->cmsg_type = SCM_RIGHTS;
  header->cmsg_len = CMSG_LEN (n * sizeof (int));
  memcpy (CMSG_DATA (header), fds, n * sizeof (int));
  g_assert_cmpint (sendmsg (fd, &message, 0), ==, strlen (text));
  settle ();
}

static unsigned
count_fds (void)
{
  g_autoptr (GDir) dir = g_dir_open ("/proc/self/fd", 0, NULL);
  unsigned n = 0;

  while (g_dir_read_name (dir) != NULL)
    n++;
  return n;
}

static void
test_add_client_with_a_socketpair (Fixture *fixture, const void *data)
{
  int fd = connect_negotiated (fixture);
  int pair[2];
  char byte = 0;

  g_assert_cmpint (socketpair (AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), ==, 0);
  send_with_fds (fd, "{\"execute\":\"getfd\",\"arguments\":{\"fdname\":\"spice\"}}", &pair[1], 1);
  close (pair[1]);
  say (fd, "{\"execute\":\"add_client\",\"arguments\":{\"protocol\":\"spice\",\"fdname\":"
           "\"spice\"}}");
  g_autofree char *said = read_all (fd, NULL);
  g_assert_cmpstr (said, ==, "{\"return\":{}}\r\n{\"return\":{}}\r\n");
  g_assert_cmpint (fcntl (fixture->fake.last_fd, F_GETFD) & FD_CLOEXEC, ==, FD_CLOEXEC);
  g_assert_cmpint (write (fixture->fake.last_fd, "!", 1), ==, 1);
  g_assert_cmpint (read (pair[0], &byte, 1), ==, 1);
  g_assert_cmpint (byte, ==, '!');
  close (pair[0]);
  close (fd);
}

static void
test_flood_of_descriptors (Fixture *fixture, const void *data)
{
  int fd = connect_negotiated (fixture);
  int many[64];
  unsigned before = count_fds ();

  for (unsigned i = 0; i < G_N_ELEMENTS (many); i++)
    many[i] = STDERR_FILENO;
  for (unsigned i = 0; i < 100; i++)
    send_with_fds (fd, " ", many, G_N_ELEMENTS (many));
  g_assert_cmpuint (count_fds (), <=, before + 4);
  close (fd);
  settle ();
  /* The connection's two ends are gone as well. */
  g_assert_cmpuint (count_fds (), ==, before - 2);
}

static void
test_stale_socket_is_replaced (Fixture *fixture, const void *data)
{
  g_autofree char *path = g_build_filename (fixture->folder, "stale", NULL);
  struct sockaddr_un address = { .sun_family = AF_UNIX };
  int fd = socket (AF_UNIX, SOCK_STREAM, 0);
  g_autoptr (GError) error = NULL;

  g_strlcpy (address.sun_path, path, sizeof address.sun_path);
  g_assert_cmpint (bind (fd, (struct sockaddr *) &address, sizeof address), ==, 0);
  close (fd);
  ControlServer *server = control_server_new (path, &fixture->target, &error);
  g_assert_no_error (error);
  control_server_free (server);
  g_assert_cmpint (access (path, F_OK), ==, -1);
}

static void
test_other_files_are_left_alone (Fixture *fixture, const void *data)
{
  g_autofree char *path = g_build_filename (fixture->folder, "precious", NULL);
  g_autoptr (GError) error = NULL;

  /* The socket of a running server. */
  g_assert_null (control_server_new (fixture->path, &fixture->target, &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_ADDRESS_IN_USE);
  close (connect_negotiated (fixture));
  g_clear_error (&error);
  g_assert_true (g_file_set_contents (path, "x", 1, NULL));
  g_assert_null (control_server_new (path, &fixture->target, &error));
  g_assert_nonnull (strstr (error->message, path));
  g_assert_cmpint (unlink (path), ==, 0);
  g_clear_error (&error);
  g_assert_null (control_server_new ("/nonexistent/qmp", &fixture->target, &error));
  g_assert_nonnull (strstr (error->message, "No such file"));
}

#define add(name, func) g_test_add ("/control-server/" name, Fixture, NULL, set_up, func, tear_down)

int
main (int argc, char **argv)
{
  g_setenv ("LC_ALL", "C", TRUE);
  g_test_init (&argc, &argv, NULL);
  add ("only-for-this-user", test_only_for_this_user);
  add ("clients-at-the-same-time", test_clients_at_the_same_time);
  add ("too-many-clients", test_too_many_clients);
  add ("client-that-does-not-read", test_client_that_does_not_read);
  add ("slow-reader", test_slow_reader_gets_all);
  add ("endless-line", test_endless_line);
  add ("add-client", test_add_client_with_a_socketpair);
  add ("flood-of-descriptors", test_flood_of_descriptors);
  add ("stale-socket", test_stale_socket_is_replaced);
  add ("other-files", test_other_files_are_left_alone);
  return g_test_run ();
}
