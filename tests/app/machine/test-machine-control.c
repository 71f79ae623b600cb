#include "machine/machine-control.h"

#include "app-test.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>
#include <libglib-testing/signal-logger.h>

#define GREETING                                                                                   \
  "{\"QMP\": {\"version\": {\"qemu\": {\"micro\": 22, \"minor\": 2, \"major\": 7}, "               \
  "\"package\": \"Debian\"}, \"capabilities\": [\"oob\"]}}\r\n"
#define DEEP_16      "[[[[[[[[[[[[[[[["
#define DEEP         DEEP_16 DEEP_16 DEEP_16 DEEP_16 DEEP_16
#define OWN_COMMANDS "[{\"name\": \"add_client\"}, {\"name\": \"x-alcove-add-client\"}]"

/* The other end of the connection, in the same thread: it speaks when the test says so. */
typedef struct Peer
{
  char *path;
  int listener;
  int fd;
  int given_fd; /* the last that came along, -1: none */
  MachineControl *control;
  AppTestWait connecting;
} Peer;

static void
peer_listen (Peer *peer)
{
  struct sockaddr_un address = { .sun_family = AF_UNIX };

  peer->fd = peer->given_fd = -1;
  peer->control = NULL;
  peer->connecting.result = NULL;
  peer->path = app_test_path ("control.sock");
  peer->listener = socket (AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  g_strlcpy (address.sun_path, peer->path, sizeof address.sun_path);
  g_assert_no_errno (bind (peer->listener, (struct sockaddr *) &address, sizeof address));
  g_assert_no_errno (listen (peer->listener, 1));
}

static void
peer_say (Peer *peer, const char *text)
{
  g_assert_cmpint (send (peer->fd, text, strlen (text), MSG_NOSIGNAL), ==, strlen (text));
}

static char
peer_read_byte (Peer *peer)
{
  union
  {
    struct cmsghdr head;
    char room[CMSG_SPACE (sizeof (int))];
  } control;
  char byte;
  struct iovec vector = { &byte, 1 };
  struct msghdr message = {
    .msg_iov = &vector, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control
  };
  struct cmsghdr *head;

  while (recvmsg (peer->fd, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC) != 1)
    {
      g_assert_cmpint (errno, ==, EAGAIN);
      g_main_context_iteration (NULL, TRUE);
    }
  head = CMSG_FIRSTHDR (&message);
  if (head != NULL && head->cmsg_type == SCM_RIGHTS)
    memcpy (&peer->given_fd, CMSG_DATA (head), sizeof peer->given_fd);
  return byte;
}

/* The next command: its object (unref it); its id is in it. */
static JsonObject *
peer_hear (Peer *peer, const char *command)
{
  g_autoptr (GString) line = g_string_new (NULL);
  g_autoptr (JsonNode) node = NULL;
  JsonObject *object;
  char byte;

  while ((byte = peer_read_byte (peer)) != '\n')
    g_string_append_c (line, byte);
  node = json_from_string (line->str, NULL);
  g_assert_nonnull (node);
  object = json_node_dup_object (node);
  g_assert_cmpstr (json_object_get_string_member (object, "execute"), ==, command);
  return object;
}

static void
peer_answer (Peer *peer, JsonObject *request, const char *value)
{
  g_autofree char *text = g_strdup_printf ("{\"return\": %s, \"id\": \"%s\"}\r\n", value,
                                           json_object_get_string_member (request, "id"));

  peer_say (peer, text);
}

static void
peer_hear_and_answer (Peer *peer, const char *command, const char *value)
{
  g_autoptr (JsonObject) request = peer_hear (peer, command);

  peer_answer (peer, request, value);
}

static void
peer_accept (Peer *peer)
{
  machine_control_connect_async (peer->path, NULL, app_test_callback, &peer->connecting);
  peer->fd = accept4 (peer->listener, NULL, NULL, SOCK_CLOEXEC);
  g_assert_cmpint (peer->fd, >=, 0);
}

static void
peer_open_with (Peer *peer, const char *greeting, const char *commands)
{
  g_autoptr (GAsyncResult) result = NULL;
  g_autoptr (GError) error = NULL;

  peer_listen (peer);
  peer_accept (peer);
  peer_say (peer, greeting);
  peer_hear_and_answer (peer, "qmp_capabilities", "{}");
  peer_hear_and_answer (peer, "query-commands", commands);
  result = app_test_wait (&peer->connecting);
  peer->control = machine_control_connect_finish (result, &error);
  g_assert_no_error (error);
}

static void
peer_open (Peer *peer, const char *commands)
{
  peer_open_with (peer, GREETING, commands);
}

static void
peer_clear (Peer *peer)
{
  g_clear_object (&peer->control);
  close (peer->listener);
  if (peer->fd >= 0)
    close (peer->fd);
  if (peer->given_fd >= 0)
    close (peer->given_fd);
  g_free (peer->path);
}

static void
execute (Peer *peer, const char *command, AppTestWait *wait)
{
  machine_control_execute_async (peer->control, command, NULL, NULL, app_test_callback, wait);
}

static JsonNode *
finish (Peer *peer, AppTestWait *wait, GError **error)
{
  g_autoptr (GAsyncResult) result = app_test_wait (wait);

  return machine_control_execute_finish (peer->control, result, error);
}

static void
test_connect (void)
{
  Peer peer;

  peer_open (&peer, "[]");
  g_assert_true (machine_control_is_open (peer.control));
  g_assert_cmpstr (machine_control_get_peer (peer.control), ==, "QEMU 7.2.22");
  peer_clear (&peer);
}

/* Answers belong to commands by their id, in whatever order they come. */
static void
test_answers (void)
{
  Peer peer;
  AppTestWait one = { NULL }, two = { NULL }, three = { NULL };
  g_autoptr (JsonObject) first = NULL;
  g_autoptr (JsonObject) second = NULL;
  g_autoptr (JsonNode) answer = NULL;
  g_autoptr (GError) error = NULL;

  peer_open (&peer, "[]");
  execute (&peer, "query-status", &one);
  execute (&peer, "query-kvm", &two);
  execute (&peer, "dance", &three);
  first = peer_hear (&peer, "query-status");
  second = peer_hear (&peer, "query-kvm");
  peer_say (&peer, "{\"return\": {}, \"id\": \"nobody's\"}\n{\"return\": 5, \"id\": 7}\n");
  peer_answer (&peer, second, "2");
  peer_answer (&peer, first, "1");
  answer = finish (&peer, &two, &error);
  g_assert_cmpint (json_node_get_int (answer), ==, 2);
  g_clear_pointer (&answer, json_node_unref);
  answer = finish (&peer, &one, &error);
  g_assert_cmpint (json_node_get_int (answer), ==, 1);
  g_clear_pointer (&answer, json_node_unref);
  {
    g_autoptr (JsonObject) request = peer_hear (&peer, "dance");
    g_autofree char *text = g_strdup_printf (
        "{\"id\": \"%s\", \"error\": {\"class\": \"CommandNotFound\", \"desc\": \"No\\ndance\"}}\n",
        json_object_get_string_member (request, "id"));

    peer_say (&peer, text);
  }
  g_assert_null (finish (&peer, &three, &error));
  app_test_assert_error (error, MACHINE_CONTROL_ERROR, MACHINE_CONTROL_ERROR_COMMAND_NOT_FOUND,
                         "No dance");
  peer_clear (&peer);
}

/* Wherever the peer's bytes are cut; a detail is heard by who asked for it only. */
static void
test_events (void)
{
  static const char text[] =
      "{\"timestamp\": {\"seconds\": 1, \"microseconds\": 2}, \"event\": \"SHUTDOWN\", \"data\": "
      "{\"guest\": true}}\r\n{\"event\": \"STOP\"}\r\n";
  Peer peer;
  g_autoptr (GtSignalLogger) logger = gt_signal_logger_new ();
  g_autoptr (JsonObject) data = NULL;
  g_autofree char *name = NULL;

  peer_open (&peer, "[]");
  gt_signal_logger_connect (logger, peer.control, "event");
  for (const char *p = text; *p != '\0'; p++)
    {
      g_assert_cmpint (send (peer.fd, p, 1, MSG_NOSIGNAL), ==, 1);
      while (g_main_context_iteration (NULL, FALSE))
        ;
    }
  gt_signal_logger_assert_emission_pop (logger, peer.control, "event", &name, &data);
  g_assert_cmpstr (name, ==, "SHUTDOWN");
  g_assert_true (json_object_get_boolean_member (data, "guest"));
  g_clear_pointer (&data, json_object_unref);
  g_clear_pointer (&name, g_free);
  gt_signal_logger_assert_emission_pop (logger, peer.control, "event", &name, &data);
  g_assert_cmpstr (name, ==, "STOP");
  g_assert_null (data);
  gt_signal_logger_assert_no_emissions (logger);
  peer_clear (&peer);
}

/* --- the display --------------------------------------------------------------------------- */

static void
check_display (const char *commands, const char *expected)
{
  Peer peer;
  AppTestWait wait = { NULL };
  g_autoptr (GAsyncResult) result = NULL;
  g_autoptr (GError) error = NULL;
  g_autoptr (JsonObject) getfd = NULL;
  g_autoptr (JsonObject) request = NULL;
  JsonObject *arguments;
  char byte = 0;
  int fd;

  peer_open (&peer, commands);
  machine_control_open_display_async (peer.control, NULL, app_test_callback, &wait);
  getfd = peer_hear (&peer, "getfd");
  g_assert_cmpint (peer.given_fd, >=, 0);
  peer_answer (&peer, getfd, "{}");
  request = peer_hear (&peer, expected);
  arguments = json_object_get_object_member (request, "arguments");
  g_assert_cmpstr (json_object_get_string_member (arguments, "protocol"), ==, "spice");
  g_assert_true (json_object_get_boolean_member (arguments, "skipauth"));
  g_assert_cmpstr (
      json_object_get_string_member (arguments, "fdname"), ==,
      json_object_get_string_member (json_object_get_object_member (getfd, "arguments"), "fdname"));
  peer_answer (&peer, request, "{}");
  result = app_test_wait (&wait);
  fd = machine_control_open_display_finish (peer.control, result, &error);
  g_assert_no_error (error);
  g_assert_cmpint (write (peer.given_fd, "x", 1), ==, 1);
  g_assert_cmpint (read (fd, &byte, 1), ==, 1);
  g_assert_cmpint (byte, ==, 'x');
  close (fd);
  peer_clear (&peer);
}

static void
test_display_of_qemu (void)
{
  check_display ("[{\"name\": \"add_client\"}, {\"name\": \"getfd\"}]", "add_client");
  /* Answers that make no sense offer nothing. */
  check_display ("{}", "add_client");
  check_display ("[1, {}, {\"name\": 2}, [\"x-alcove-add-client\"], null]", "add_client");
}

static void
test_display_of_ours (void)
{
  check_display (OWN_COMMANDS, "x-alcove-add-client");
}

/* A peer that does not even know query-commands. */
static void
test_no_query_commands (void)
{
  Peer peer;
  g_autoptr (JsonObject) request = NULL;
  g_autoptr (GAsyncResult) result = NULL;
  g_autoptr (GError) error = NULL;
  g_autofree char *text = NULL;

  peer_listen (&peer);
  peer_accept (&peer);
  peer_say (&peer, GREETING);
  peer_hear_and_answer (&peer, "qmp_capabilities", "{}");
  request = peer_hear (&peer, "query-commands");
  text = g_strdup_printf (
      "{\"id\": \"%s\", \"error\": {\"class\": \"CommandNotFound\", \"desc\": \"\"}}\n",
      json_object_get_string_member (request, "id"));
  peer_say (&peer, text);
  result = app_test_wait (&peer.connecting);
  peer.control = machine_control_connect_finish (result, &error);
  g_assert_no_error (error);
  peer_clear (&peer);
}

static void
test_display_refused (void)
{
  Peer peer;
  AppTestWait wait = { NULL };
  g_autoptr (GAsyncResult) result = NULL;
  g_autoptr (GError) error = NULL;
  g_autoptr (JsonObject) request = NULL;
  g_autofree char *text = NULL;

  peer_open (&peer, "[]");
  machine_control_open_display_async (peer.control, NULL, app_test_callback, &wait);
  peer_hear_and_answer (&peer, "getfd", "{}");
  request = peer_hear (&peer, "add_client");
  text = g_strdup_printf (
      "{\"id\": \"%s\", \"error\": {\"class\": \"GenericError\", \"desc\": \"no spice\"}}\n",
      json_object_get_string_member (request, "id"));
  peer_say (&peer, text);
  result = app_test_wait (&wait);
  g_assert_cmpint (machine_control_open_display_finish (peer.control, result, &error), ==, -1);
  app_test_assert_error (error, MACHINE_CONTROL_ERROR, MACHINE_CONTROL_ERROR_GENERIC, "no spice");
  peer_clear (&peer);
}

/* --- ends ---------------------------------------------------------------------------------- */

static void
test_peer_gone (void)
{
  Peer peer;
  AppTestWait one = { NULL }, two = { NULL }, late = { NULL };
  g_autoptr (GtSignalLogger) logger = gt_signal_logger_new ();
  g_autoptr (GError) error = NULL;
  GError *reason;

  peer_open (&peer, "[]");
  gt_signal_logger_connect (logger, peer.control, "closed");
  execute (&peer, "stop", &one);
  execute (&peer, "cont", &two);
  close (peer.fd);
  peer.fd = -1;
  g_assert_null (finish (&peer, &one, &error));
  g_assert_nonnull (error);
  g_clear_error (&error);
  g_assert_null (finish (&peer, &two, &error));
  g_assert_nonnull (error);
  g_clear_error (&error);
  g_assert_false (machine_control_is_open (peer.control));
  gt_signal_logger_assert_emission_pop (logger, peer.control, "closed", &reason);
  gt_signal_logger_assert_no_emissions (logger);
  g_clear_error (&reason);
  execute (&peer, "stop", &late);
  g_assert_null (finish (&peer, &late, &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_CLOSED);
  peer_clear (&peer);
}

static void
test_cancel (void)
{
  Peer peer;
  AppTestWait slow = { NULL }, next = { NULL };
  g_autoptr (GCancellable) cancellable = g_cancellable_new ();
  g_autoptr (JsonObject) request = NULL;
  g_autoptr (JsonNode) answer = NULL;
  g_autoptr (GError) error = NULL;

  peer_open (&peer, "[]");
  machine_control_execute_async (peer.control, "stop", NULL, cancellable, app_test_callback, &slow);
  request = peer_hear (&peer, "stop");
  g_cancellable_cancel (cancellable);
  g_assert_null (finish (&peer, &slow, &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_CANCELLED);
  g_clear_error (&error);
  peer_answer (&peer, request, "{}"); /* late: nobody waits */
  execute (&peer, "cont", &next);
  peer_hear_and_answer (&peer, "cont", "3");
  answer = finish (&peer, &next, &error);
  g_assert_no_error (error);
  g_assert_cmpint (json_node_get_int (answer), ==, 3);
  peer_clear (&peer);
}

static void
test_cancel_connecting (void)
{
  Peer peer;
  g_autoptr (GCancellable) cancellable = g_cancellable_new ();
  g_autoptr (GAsyncResult) result = NULL;
  g_autoptr (GError) error = NULL;

  peer_listen (&peer);
  machine_control_connect_async (peer.path, cancellable, app_test_callback, &peer.connecting);
  g_cancellable_cancel (cancellable);
  result = app_test_wait (&peer.connecting);
  g_assert_null (machine_control_connect_finish (result, &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_CANCELLED);
  peer_clear (&peer);
}

/* A peer that takes commands and never answers. */
static void
test_too_many (void)
{
  Peer peer;
  AppTestWait waits[MACHINE_CONTROL_PENDING_MAX + 1] = { { NULL } };
  g_autoptr (GError) error = NULL;

  peer_open (&peer, "[]");
  for (guint i = 0; i <= MACHINE_CONTROL_PENDING_MAX; i++)
    execute (&peer, "stop", &waits[i]);
  g_assert_null (finish (&peer, &waits[MACHINE_CONTROL_PENDING_MAX], &error));
  app_test_assert_error (error, G_IO_ERROR, G_IO_ERROR_BUSY, "does not answer");
  machine_control_close (peer.control);
  for (guint i = 0; i < MACHINE_CONTROL_PENDING_MAX; i++)
    {
      g_assert_null (finish (&peer, &waits[i], &error));
      g_assert_error (error, G_IO_ERROR, G_IO_ERROR_CANCELLED);
      g_clear_error (&error);
    }
  peer_clear (&peer);
}

static void
test_no_socket (void)
{
  g_autofree char *path = app_test_path ("nothing.sock");
  AppTestWait wait = { NULL };
  g_autoptr (GAsyncResult) result = NULL;
  g_autoptr (GError) error = NULL;

  machine_control_connect_async (path, NULL, app_test_callback, &wait);
  result = app_test_wait (&wait);
  g_assert_null (machine_control_connect_finish (result, &error));
  g_assert_nonnull (strstr (error->message, path));
}

/* --- garbage ------------------------------------------------------------------------------- */

static const char *const garbage[] = {
  "hello\n",
  "\xff\xfe\xfd\n",
  "[]\n",
  "1\n",
  "{\"QMP\": \n",
  "HTTP/1.1 200 OK\r\n",
  "{\"a\": " DEEP "\n",
};

static void
test_garbage_for_greeting (void)
{
  for (guint i = 0; i < G_N_ELEMENTS (garbage); i++)
    {
      Peer peer;
      g_autoptr (GAsyncResult) result = NULL;
      g_autoptr (GError) error = NULL;

      peer_listen (&peer);
      peer_accept (&peer);
      peer_say (&peer, garbage[i]);
      result = app_test_wait (&peer.connecting);
      g_assert_null (machine_control_connect_finish (result, &error));
      g_assert_nonnull (strstr (error->message, "does not speak QMP"));
      peer_clear (&peer);
    }
}

static void
test_garbage_later (void)
{
  for (guint i = 0; i < G_N_ELEMENTS (garbage); i++)
    {
      Peer peer;
      AppTestWait wait = { NULL };
      g_autoptr (GError) error = NULL;

      peer_open (&peer, "[]");
      execute (&peer, "stop", &wait);
      peer_say (&peer, garbage[i]);
      g_assert_null (finish (&peer, &wait, &error));
      g_assert_nonnull (strstr (error->message, "does not speak QMP"));
      g_assert_false (machine_control_is_open (peer.control));
      peer_clear (&peer);
    }
}

/* Well-formed, but not as QMP has it: passed over without harm. */
static void
test_odd_messages (void)
{
  static const char *const odd[] = {
    "{}\n",
    "\r\n",
    "{\"event\": 5}\n",
    "{\"event\": {}, \"return\": 1}\n",
    "{\"event\": \"X\", \"data\": [1]}\n",
    "{\"return\": {}}\n",
    "{\"error\": 7, \"id\": null}\n",
    "{\"QMP\": {}}\n",
  };
  Peer peer;
  AppTestWait wait = { NULL };
  g_autoptr (JsonNode) answer = NULL;
  g_autoptr (GError) error = NULL;

  peer_open (&peer, "[]");
  for (guint i = 0; i < G_N_ELEMENTS (odd); i++)
    peer_say (&peer, odd[i]);
  execute (&peer, "stop", &wait);
  peer_hear_and_answer (&peer, "stop", "4");
  answer = finish (&peer, &wait, &error);
  g_assert_no_error (error);
  g_assert_cmpint (json_node_get_int (answer), ==, 4);
  peer_clear (&peer);
}

/* A peer whose version is no number connects as well; it is only not named truly. */
static void
test_odd_version (void)
{
  static const char *const greetings[] = {
    "{\"QMP\": {\"version\": {\"qemu\": {\"major\": {}, \"minor\": [], \"micro\": \"x\"}, "
    "\"package\": 7}}}\n",
    "{\"QMP\": {\"version\": {\"qemu\": {\"major\": null, \"minor\": true}}}}\n",
  };

  for (guint i = 0; i < G_N_ELEMENTS (greetings); i++)
    {
      Peer peer;

      peer_open_with (&peer, greetings[i], "[]");
      g_assert_cmpstr (machine_control_get_peer (peer.control), ==, "QEMU 0.0.0");
      peer_clear (&peer);
    }
}

/* A line of 100 MB: we hang up long before. */
static void
test_endless_line (void)
{
  g_autofree char *piece = g_strnfill (65536, 'x');
  gsize sent = 0;
  Peer peer;

  peer_open (&peer, "[]");
  while (machine_control_is_open (peer.control) && sent < 100 * 1000 * 1000)
    {
      ssize_t went = send (peer.fd, piece, 65536, MSG_NOSIGNAL | MSG_DONTWAIT);

      sent += MAX (went, 0);
      g_main_context_iteration (NULL, FALSE);
    }
  g_assert_false (machine_control_is_open (peer.control));
  g_assert_cmpuint (sent, <, 2 * MACHINE_CONTROL_LINE_MAX);
  peer_clear (&peer);
}

int
main (int argc, char **argv)
{
  app_test_init (&argc, &argv);
  g_test_add_func ("/machine-control/connect", test_connect);
  g_test_add_func ("/machine-control/answers", test_answers);
  g_test_add_func ("/machine-control/events", test_events);
  g_test_add_func ("/machine-control/display-of-qemu", test_display_of_qemu);
  g_test_add_func ("/machine-control/display-of-ours", test_display_of_ours);
  g_test_add_func ("/machine-control/no-query-commands", test_no_query_commands);
  g_test_add_func ("/machine-control/display-refused", test_display_refused);
  g_test_add_func ("/machine-control/peer-gone", test_peer_gone);
  g_test_add_func ("/machine-control/cancel", test_cancel);
  g_test_add_func ("/machine-control/cancel-connecting", test_cancel_connecting);
  g_test_add_func ("/machine-control/too-many", test_too_many);
  g_test_add_func ("/machine-control/no-socket", test_no_socket);
  g_test_add_func ("/machine-control/garbage-for-greeting", test_garbage_for_greeting);
  g_test_add_func ("/machine-control/odd-version", test_odd_version);
  g_test_add_func ("/machine-control/garbage-later", test_garbage_later);
  g_test_add_func ("/machine-control/odd-messages", test_odd_messages);
  g_test_add_func ("/machine-control/endless-line", test_endless_line);
  return g_test_run ();
}
