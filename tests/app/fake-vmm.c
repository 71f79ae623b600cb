/* Stands where alcove-vmm does: takes its command line, answers QMP on the control socket, and does what $FAKE_VMM says:
 *
 *   (nothing)   runs until it is told to quit or to power down
 *   die         one line on stderr, exit status 1, no socket
 *   deaf        never makes the socket
 *   stubborn    answers "quit" but does not end
 *   crash       exit status 3 after the first "stop"
 *   no-thumb    screendump writes what is no PNG
 *   own-display offers x-alcove-add-client besides add_client
 *   held-disc   a guest holds the disc: it is let go of by force only
 *   no-drive    has no CD-ROM drive
 *
 * A display that was given to it reads the name of the command by which it was.
 */

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>
#include <gio/gio.h>
#include <json-glib/json-glib.h>

static int given_fd = -1;
static gboolean running = TRUE;

static gboolean
mode_is (const char *mode)
{
  return g_strcmp0 (g_getenv ("FAKE_VMM"), mode) == 0;
}

static void
say (int fd, const char *text)
{
  g_autofree char *line = g_strconcat (text, "\r\n", NULL);

  if (write (fd, line, strlen (line)) < 0)
    _exit (0);
}

static void
answer (int fd, JsonObject *request, const char *value)
{
  g_autofree char *text = NULL;

  text = g_strdup_printf ("{\"return\": %s, \"id\": \"%s\"}", value,
                          json_object_get_string_member_with_default (request, "id", ""));
  say (fd, text);
}

static void
event (int fd, const char *name, const char *data)
{
  g_autofree char *text =
      g_strdup_printf ("{\"event\": \"%s\", \"data\": %s, \"timestamp\": {\"seconds\": 1, "
                       "\"microseconds\": 2}}",
                       name, data);

  say (fd, text);
}

static void
dump_screen (const char *path)
{
  static const guint8 png[] = { 0x89, 'P', 'N', 'G', '\r', '\n', 0x1a, '\n', 0, 0, 0, 13 };

  if (mode_is ("no-thumb"))
    g_file_set_contents (path, "not a picture", -1, NULL);
  else
    g_file_set_contents (path, (const char *) png, sizeof png, NULL);
}

static void
add_client (const char *command)
{
  if (given_fd < 0 || write (given_fd, command, strlen (command)) < 0)
    _exit (9);
  close (given_fd);
  given_fd = -1;
}

/* What was asked of the drive is in the file `disc`, in the machine's folder. */
static void
change_disc (int fd, JsonObject *request, const char *command, JsonObject *arguments)
{
  gboolean force = json_object_get_boolean_member_with_default (arguments, "force", FALSE);
  const char *id = json_object_get_string_member_with_default (arguments, "id", "");
  const char *file = json_object_get_string_member_with_default (arguments, "filename", "-");
  const char *problem = NULL;
  g_autofree char *text = NULL;

  if (mode_is ("no-drive") || !g_str_equal (id, "cdrom0"))
    problem = "DeviceNotFound";
  else if (mode_is ("held-disc") && !force)
    problem = "GenericError";
  if (problem != NULL)
    text = g_strdup_printf ("{\"error\": {\"class\": \"%s\", \"desc\": \"held or not there\"}, "
                            "\"id\": \"%s\"}",
                            problem, json_object_get_string_member (request, "id"));
  if (text != NULL)
    {
      say (fd, text);
      return;
    }
  text = g_strdup_printf ("%s %s", command, file);
  g_file_set_contents ("disc", text, -1, NULL);
  answer (fd, request, "{}");
}

static void
carry_out (int fd, JsonObject *request)
{
  const char *command = json_object_get_string_member (request, "execute");
  JsonObject *arguments = json_object_has_member (request, "arguments")
                              ? json_object_get_object_member (request, "arguments")
                              : NULL;

  if (g_str_equal (command, "query-kvm"))
    answer (fd, request, "{\"enabled\": false, \"present\": true}");
  else if (g_str_equal (command, "eject") || g_str_equal (command, "blockdev-change-medium"))
    change_disc (fd, request, command, arguments);
  else if (g_str_equal (command, "query-status"))
    answer (fd, request,
            running ? "{\"running\": true, \"status\": \"running\"}"
                    : "{\"running\": false, \"status\": \"paused\"}");
  else if (g_str_equal (command, "screendump"))
    {
      dump_screen (json_object_get_string_member (arguments, "filename"));
      answer (fd, request, "{}");
    }
  else if (g_str_equal (command, "query-commands"))
    answer (fd, request,
            mode_is ("own-display")
                ? "[{\"name\": \"add_client\"}, {\"name\": \"x-alcove-add-client\"}]"
                : "[{\"name\": \"add_client\"}]");
  else if (g_str_equal (command, "add_client") ||
           (g_str_equal (command, "x-alcove-add-client") && mode_is ("own-display")))
    {
      add_client (command);
      answer (fd, request, "{}");
    }
  else if (g_str_equal (command, "stop") || g_str_equal (command, "cont"))
    {
      if (mode_is ("crash"))
        _exit (3);
      running = g_str_equal (command, "cont");
      event (fd, running ? "RESUME" : "STOP", "{}");
      answer (fd, request, "{}");
    }
  else if (g_str_equal (command, "qmp_capabilities") || g_str_equal (command, "getfd") ||
           g_str_equal (command, "system_reset"))
    answer (fd, request, "{}");
  else if (g_str_equal (command, "system_powerdown") || g_str_equal (command, "quit"))
    {
      answer (fd, request, "{}");
      if (mode_is ("stubborn"))
        return;
      event (fd, "SHUTDOWN", "{\"guest\": true, \"reason\": \"guest-shutdown\"}");
      _exit (0);
    }
  else
    {
      g_autofree char *text = g_strdup_printf (
          "{\"error\": {\"class\": \"CommandNotFound\", \"desc\": \"The command %s has not been "
          "found\"}, \"id\": \"%s\"}",
          command, json_object_get_string_member (request, "id"));

      say (fd, text);
    }
}

static ssize_t
receive (int fd, char *data, size_t size)
{
  union
  {
    struct cmsghdr head;
    char room[CMSG_SPACE (sizeof (int))];
  } control;
  struct iovec vector = { data, size };
  struct msghdr message = {
    .msg_iov = &vector, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control
  };
  ssize_t got = recvmsg (fd, &message, 0);
  struct cmsghdr *head = got >= 0 ? CMSG_FIRSTHDR (&message) : NULL;

  if (head != NULL && head->cmsg_type == SCM_RIGHTS)
    memcpy (&given_fd, CMSG_DATA (head), sizeof given_fd);
  return got;
}

static void
serve (int fd)
{
  g_autoptr (GString) text = g_string_new (NULL);
  char piece[4096];
  ssize_t got;

  say (
      fd,
      "{\"QMP\": {\"version\": {\"qemu\": {\"micro\": 1, \"minor\": 0, \"major\": 0}, \"package\": "
      "\"alcove-fake\"}, \"capabilities\": []}}");
  while ((got = receive (fd, piece, sizeof piece)) > 0)
    {
      char *newline;

      g_string_append_len (text, piece, got);
      while ((newline = strchr (text->str, '\n')) != NULL)
        {
          g_autoptr (JsonParser) parser = json_parser_new ();

          if (!json_parser_load_from_data (parser, text->str, newline - text->str, NULL))
            _exit (8);
          g_string_erase (text, 0, newline + 1 - text->str);
          carry_out (fd, json_node_get_object (json_parser_get_root (parser)));
        }
    }
}

int
main (int argc, char **argv)
{
  struct sockaddr_un address = { .sun_family = AF_UNIX };
  int listener = socket (AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

  alarm (100); /* no test leaves one behind */
  for (int i = 1; i + 1 < argc; i++)
    if (g_str_equal (argv[i], "--control") && g_str_has_prefix (argv[i + 1], "unix:"))
      g_strlcpy (address.sun_path, argv[i + 1] + strlen ("unix:"), sizeof address.sun_path);
  if (mode_is ("die"))
    {
      g_printerr ("starting\nfake-vmm: the disk is upside down\n\n");
      return 1;
    }
  while (mode_is ("deaf"))
    pause ();
  if (bind (listener, (struct sockaddr *) &address, sizeof address) != 0 ||
      listen (listener, 4) != 0)
    return 7;
  for (;;)
    {
      int fd = accept (listener, NULL, NULL);

      if (fd < 0)
        return 6;
      serve (fd);
      close (fd);
    }
}
