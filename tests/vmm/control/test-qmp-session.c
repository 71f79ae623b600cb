#include "control/qmp-session.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "control/qmp-fds.h"
#include "control/qmp-message.h"
#include "fake-control-target.h"

typedef struct Fixture
{
  FakeControlTarget fake;
  ControlTarget target;
  GString *said;
  QmpSession *session;
} Fixture;

static void
on_output (const char *bytes, size_t size, void *opaque)
{
  Fixture *fixture = opaque;

  g_string_append_len (fixture->said, bytes, size);
}

static void
set_up (Fixture *fixture, const void *data)
{
  fake_control_target_init (&fixture->fake);
  fixture->target = fake_control_target_get (&fixture->fake);
  fixture->said = g_string_new (NULL);
  fixture->session = qmp_session_new (&fixture->target, on_output, fixture);
}

static void
tear_down (Fixture *fixture, const void *data)
{
  qmp_session_free (fixture->session);
  g_string_free (fixture->said, TRUE);
  fake_control_target_clear (&fixture->fake);
}

/* What the session says to text. */
static char *
ask (Fixture *fixture, const char *text)
{
  g_string_truncate (fixture->said, 0);
  g_assert_true (qmp_session_input (fixture->session, text, strlen (text)));
  return g_strdup (fixture->said->str);
}

#define assert_answer(fixture, text, expected)                                                     \
  do                                                                                               \
    {                                                                                              \
      g_autofree char *answer_ = ask (fixture, text);                                              \
      g_assert_cmpstr (answer_, ==, expected);                                                     \
    }                                                                                              \
  while (0)

#define OK                 "{\"return\":{}}\r\n"
#define ERROR(class, desc) "{\"error\":{\"class\":\"" class "\",\"desc\":\"" desc "\"}}\r\n"
#define GENERIC(desc)      ERROR ("GenericError", desc)

static void
negotiate (Fixture *fixture)
{
  assert_answer (fixture, "{\"execute\":\"qmp_capabilities\"}", OK);
}

static void
test_negotiation (Fixture *fixture, const void *data)
{
  g_assert_cmpstr (fixture->said->str, ==,
                   "{\"QMP\":{\"version\":{\"qemu\":{\"micro\":0,\"minor\":2,\"major\":7},"
                   "\"package\":\"alcove-vmm " ALCOVE_VERSION "\"},\"capabilities\":[]}}\r\n");
  assert_answer (
      fixture, "{\"execute\":\"query-status\"}",
      ERROR ("CommandNotFound", "Expecting capabilities negotiation with 'qmp_capabilities'"));
  assert_answer (fixture, "{\"execute\":\"nope\",\"id\":1}",
                 "{\"id\":1,\"error\":{\"class\":\"CommandNotFound\",\"desc\":\"Expecting "
                 "capabilities negotiation with 'qmp_capabilities'\"}}\r\n");
  assert_answer (fixture, "{\"execute\":\"qmp_capabilities\",\"arguments\":{\"enable\":[\"oob\"]}}",
                 GENERIC ("Capability oob not available"));
  assert_answer (fixture, "{\"execute\":\"qmp_capabilities\",\"arguments\":{\"enable\":[]}}", OK);
  assert_answer (
      fixture, "{\"execute\":\"qmp_capabilities\"}",
      ERROR ("CommandNotFound", "Capabilities negotiation is already complete, command ignored"));
}

static void
test_events_only_after_negotiation (Fixture *fixture, const void *data)
{
  g_string_truncate (fixture->said, 0);
  qmp_session_event (fixture->session, "{}\r\n");
  g_assert_cmpstr (fixture->said->str, ==, "");
  negotiate (fixture);
  g_string_truncate (fixture->said, 0);
  qmp_session_event (fixture->session, "{}\r\n");
  g_assert_cmpstr (fixture->said->str, ==, "{}\r\n");
}

static void
test_queries (Fixture *fixture, const void *data)
{
  negotiate (fixture);
  assert_answer (fixture, "{\"execute\":\"query-status\"}",
                 "{\"return\":{\"status\":\"running\",\"singlestep\":false,\"running\":true}}\r\n");
  assert_answer (fixture, "{\"execute\":\"query-kvm\"}",
                 "{\"return\":{\"enabled\":true,\"present\":true}}\r\n");
  assert_answer (fixture, "{\"execute\":\"query-name\"}", "{\"return\":{\"name\":\"fake\"}}\r\n");
  assert_answer (fixture, "{\"execute\":\"query-version\"}",
                 "{\"return\":{\"qemu\":{\"micro\":0,\"minor\":2,\"major\":7},\"package\":"
                 "\"alcove-vmm " ALCOVE_VERSION "\"}}\r\n");
  g_autofree char *commands = ask (fixture, "{\"execute\":\"query-commands\"}");
  g_assert_true (g_str_has_prefix (commands, "{\"return\":[{\"name\":\"qmp_capabilities\"},"));
  g_assert_nonnull (strstr (commands, "{\"name\":\"query-commands\"}"));
  g_assert_nonnull (strstr (commands, "{\"name\":\"screendump\"}]}"));
}

static void
test_life_cycle (Fixture *fixture, const void *data)
{
  negotiate (fixture);
  assert_answer (fixture, "{\"execute\":\"stop\"}", OK);
  assert_answer (fixture, "{\"execute\":\"query-status\"}",
                 "{\"return\":{\"status\":\"paused\",\"singlestep\":false,\"running\":false}}\r\n");
  assert_answer (fixture, "{\"execute\":\"cont\"}", OK);
  assert_answer (fixture, "{\"execute\":\"system_reset\"}", OK);
  assert_answer (fixture, "{\"execute\":\"system_powerdown\"}", OK);
  fixture->fake.error = "Resetting the Virtual Machine is required";
  assert_answer (fixture, "{\"execute\":\"cont\"}",
                 GENERIC ("Resetting the Virtual Machine is required"));
  assert_answer (fixture, "{\"execute\":\"quit\",\"id\":\"q\"}",
                 "{\"return\":{},\"id\":\"q\"}\r\n");
  g_assert_cmpstr (fixture->fake.calls->str, ==, "pause cont reset powerdown cont quit ");
}

static void
test_ids (Fixture *fixture, const void *data)
{
  negotiate (fixture);
  assert_answer (fixture, "{\"execute\":\"stop\",\"id\":7}", "{\"return\":{},\"id\":7}\r\n");
  assert_answer (fixture, "{\"id\":{\"a\":[1,null]},\"execute\":\"stop\"}",
                 "{\"return\":{},\"id\":{\"a\":[1,null]}}\r\n");
  assert_answer (fixture, "{\"execute\":\"stop\",\"id\":null}", "{\"return\":{},\"id\":null}\r\n");
  assert_answer (fixture, "{\"execute\":\"nope\",\"id\":\"x\"}",
                 "{\"id\":\"x\",\"error\":{\"class\":\"CommandNotFound\",\"desc\":\"The command "
                 "nope has not been found\"}}\r\n");
  assert_answer (fixture, "{\"id\":3}",
                 "{\"id\":3,\"error\":{\"class\":\"GenericError\",\"desc\":\"QMP input lacks "
                 "member 'execute'\"}}\r\n");
}

/* Every wording was taken from qemu-system-x86_64 7.2 -M none. */
static void
test_refusals (Fixture *fixture, const void *data)
{
  static const struct
  {
    const char *text;
    const char *answer;
  } cases[] = {
    { "{\"execute\":\"query-status\",\"arguments\":{\"x\":1}}",
      GENERIC ("Parameter 'x' is unexpected") },
    { "{\"execute\":\"query-status\",\"arguments\":3}",
      GENERIC ("QMP input member 'arguments' must be an object") },
    { "{\"execute\":3}", GENERIC ("QMP input member 'execute' must be a string") },
    { "{\"foo\":1}", GENERIC ("QMP input member 'foo' is unexpected") },
    { "{}", GENERIC ("QMP input lacks member 'execute'") },
    { "[]", GENERIC ("QMP input must be a JSON object") },
    { "3\n", GENERIC ("QMP input must be a JSON object") },
    { "\"x\"", GENERIC ("QMP input must be a JSON object") },
    { "null\n", GENERIC ("QMP input must be a JSON object") },
    { "{\"execute\":\"screendump\"}", GENERIC ("Parameter 'filename' is missing") },
    { "{\"execute\":\"screendump\",\"arguments\":{\"bogus\":1}}",
      GENERIC ("Parameter 'filename' is missing") },
    { "{\"execute\":\"screendump\",\"arguments\":{\"filename\":3}}",
      GENERIC ("Invalid parameter type for 'filename', expected: string") },
    { "{\"execute\":\"screendump\",\"arguments\":{\"filename\":\"x\",\"format\":\"gif\"}}",
      GENERIC ("Parameter 'format' does not accept value 'gif'") },
    { "{\"execute\":\"screendump\",\"arguments\":{\"filename\":\"x\",\"head\":\"a\"}}",
      GENERIC ("Invalid parameter type for 'head', expected: integer") },
    { "{\"execute\":\"screendump\",\"arguments\":{\"filename\":\"x\",\"bogus\":1}}",
      GENERIC ("Parameter 'bogus' is unexpected") },
    { "{\"execute\":\"screendump\",\"arguments\":{\"filename\":\"x\",\"head\":1}}",
      GENERIC ("'head' must be specified together with 'device'") },
    { "{\"execute\":\"screendump\",\"arguments\":{\"filename\":\"x\",\"device\":\"a\"}}",
      ERROR ("DeviceNotFound", "Device 'a' not found") },
    { "{\"execute\":\"getfd\"}", GENERIC ("Parameter 'fdname' is missing") },
    { "{\"execute\":\"getfd\",\"arguments\":{\"fdname\":\"a\"}}",
      GENERIC ("No file descriptor supplied via SCM_RIGHTS") },
    { "{\"execute\":\"closefd\",\"arguments\":{\"fdname\":\"a\"}}",
      GENERIC ("File descriptor named 'a' not found") },
    { "{\"execute\":\"add_client\",\"arguments\":{\"protocol\":\"spice\"}}",
      GENERIC ("Parameter 'fdname' is missing") },
    { "{\"execute\":\"add_client\",\"arguments\":{\"protocol\":\"spice\",\"fdname\":\"a\"}}",
      GENERIC ("File descriptor named 'a' has not been found") },
    { "{\"execute\":\"add_client\",\"arguments\":{\"protocol\":\"spice\",\"fdname\":\"a\","
      "\"skipauth\":3}}",
      GENERIC ("Invalid parameter type for 'skipauth', expected: boolean") },
  };

  negotiate (fixture);
  for (unsigned i = 0; i < G_N_ELEMENTS (cases); i++)
    assert_answer (fixture, cases[i].text, cases[i].answer);
  g_assert_cmpstr (fixture->fake.calls->str, ==, "");
}

/* What follows a malformed value is understood. */
static void
test_malformed_is_answered (Fixture *fixture, const void *data)
{
  static const char *const malformed[] = {
    "{\"execute\" \"stop\"}",
    "{\"execute\":stop}",
    "{\"execute\":\"stop\",}",
    "}",
    "{'execute':'stop'}",
    "{\"execute\":\"st\xff\"}",
    "[/*\"*/]\"]",
    "{\"execute\":\"stop\"]",
    "@\n",
  };

  negotiate (fixture);
  for (unsigned i = 0; i < G_N_ELEMENTS (malformed); i++)
    {
      g_autofree char *answer = ask (fixture, malformed[i]);
      g_autofree char *said = g_strescape (malformed[i], NULL);
      g_test_message ("%s: %s", said, answer);
      g_assert_true (g_str_has_prefix (
          answer, "{\"error\":{\"class\":\"GenericError\",\"desc\":\"JSON parse error, "));
      g_assert_null (strstr (strstr (answer, "\r\n") + 2, "\r\n"));
      assert_answer (fixture, "{\"execute\":\"query-name\"}",
                     "{\"return\":{\"name\":\"fake\"}}\r\n");
    }
  g_assert_cmpstr (fixture->fake.calls->str, ==, "");
}

static void
test_stream (Fixture *fixture, const void *data)
{
  const char *text = " {\"execute\":\"qmp_capabilities\"}{\"execute\":\"stop\",\n\"id\":\"}{\"}\r\n"
                     "{\"execute\":\"cont\",\"id\":\"\\\"\"}";

  g_string_truncate (fixture->said, 0);
  for (const char *p = text; *p != '\0'; p++)
    g_assert_true (qmp_session_input (fixture->session, p, 1));
  g_assert_cmpstr (fixture->said->str, ==,
                   OK "{\"return\":{},\"id\":\"}{\"}\r\n{\"return\":{},\"id\":\"\\\"\"}\r\n");
}

static void
test_white_space_is_not_kept (Fixture *fixture, const void *data)
{
  g_autofree char *spaces = g_strnfill (QMP_VALUE_MAX, ' ');

  for (unsigned i = 0; i < 4; i++)
    g_assert_true (qmp_session_input (fixture->session, spaces, QMP_VALUE_MAX));
  negotiate (fixture);
}

static void
test_a_value_of_100_MB (Fixture *fixture, const void *data)
{
  g_autofree char *piece = g_strnfill (1u << 20, 'x');
  size_t taken = 0;

  negotiate (fixture);
  g_string_truncate (fixture->said, 0);
  g_assert_true (qmp_session_input (fixture->session, "{\"execute\":\"", 12));
  while (taken < 100 && qmp_session_input (fixture->session, piece, 1u << 20))
    taken++;
  g_assert_cmpuint (taken, <=, QMP_VALUE_MAX >> 20);
  g_assert_cmpstr (fixture->said->str, ==, GENERIC ("JSON token size limit exceeded"));
}

static void
test_nesting_bomb (Fixture *fixture, const void *data)
{
  g_autofree char *bomb = g_strnfill (QMP_DEPTH_MAX + 1, '[');

  g_string_truncate (fixture->said, 0);
  g_assert_false (qmp_session_input (fixture->session, bomb, QMP_DEPTH_MAX + 1));
  g_assert_cmpstr (fixture->said->str, ==, GENERIC ("JSON nesting depth limit exceeded"));
}

static bool
is_open (int fd)
{
  return fcntl (fd, F_GETFD) >= 0;
}

static void
test_add_client (Fixture *fixture, const void *data)
{
  int fds[2] = { open ("/dev/null", O_RDONLY), open ("/dev/null", O_RDONLY) };

  negotiate (fixture);
  qmp_session_receive_fds (fixture->session, fds, 2);
  assert_answer (fixture, "{\"execute\":\"getfd\",\"arguments\":{\"fdname\":\"s\"}}", OK);
  /* One descriptor a getfd: the second is closed with it, as in QEMU. */
  g_assert_false (is_open (fds[1]));
  assert_answer (fixture,
                 "{\"execute\":\"add_client\",\"arguments\":{\"protocol\":\"spice\","
                 "\"fdname\":\"s\",\"skipauth\":true}}",
                 OK);
  g_assert_cmpint (fixture->fake.last_fd, ==, fds[0]);
  g_assert_true (is_open (fds[0]));
  assert_answer (fixture, "{\"execute\":\"closefd\",\"arguments\":{\"fdname\":\"s\"}}",
                 GENERIC ("File descriptor named 's' not found"));
  g_assert_cmpstr (fixture->fake.calls->str, ==, "add_spice_client(skip) ");
}

static void
test_add_client_that_maps_memfds (Fixture *fixture, const void *data)
{
  int fd = open ("/dev/null", O_RDONLY);

  negotiate (fixture);
  qmp_session_receive_fds (fixture->session, &fd, 1);
  assert_answer (fixture, "{\"execute\":\"getfd\",\"arguments\":{\"fdname\":\"s\"}}", OK);
  assert_answer (fixture,
                 "{\"execute\":\"x-alcove-add-client\",\"arguments\":{\"protocol\":\"spice\","
                 "\"fdname\":\"s\",\"skipauth\":true}}",
                 OK);
  g_assert_cmpint (fixture->fake.last_fd, ==, fd);
  g_assert_cmpstr (fixture->fake.calls->str, ==, "add_spice_client(skip,memfd) ");
}

static void
test_descriptor_of_a_refused_client_is_closed (Fixture *fixture, const void *data)
{
  int fd = open ("/dev/null", O_RDONLY);

  negotiate (fixture);
  qmp_session_receive_fds (fixture->session, &fd, 1);
  assert_answer (fixture, "{\"execute\":\"getfd\",\"arguments\":{\"fdname\":\"v\"}}", OK);
  assert_answer (fixture,
                 "{\"execute\":\"add_client\",\"arguments\":{\"protocol\":\"foo\","
                 "\"fdname\":\"v\"}}",
                 GENERIC ("protocol 'foo' is invalid"));
  g_assert_false (is_open (fd));
  fd = open ("/dev/null", O_RDONLY);
  qmp_session_receive_fds (fixture->session, &fd, 1);
  assert_answer (fixture, "{\"execute\":\"getfd\",\"arguments\":{\"fdname\":\"1a\"}}",
                 GENERIC ("Parameter 'fdname' expects a name not starting with a digit"));
  g_assert_false (is_open (fd));
}

static void
test_descriptors_are_bounded (Fixture *fixture, const void *data)
{
  int last = -1;

  negotiate (fixture);
  for (unsigned i = 0; i <= QMP_FDS_NAMED_MAX; i++)
    {
      g_autofree char *line =
          g_strdup_printf ("{\"execute\":\"getfd\",\"arguments\":{\"fdname\":\"f%u\"}}", i);
      last = open ("/dev/null", O_RDONLY);
      qmp_session_receive_fds (fixture->session, &last, 1);
      assert_answer (fixture, line,
                     i < QMP_FDS_NAMED_MAX
                         ? OK
                         : GENERIC ("Too many file descriptors: at most 16 may be waiting"));
    }
  g_assert_false (is_open (last));
  /* A name that is taken is given to the new one. */
  last = open ("/dev/null", O_RDONLY);
  qmp_session_receive_fds (fixture->session, &last, 1);
  assert_answer (fixture, "{\"execute\":\"getfd\",\"arguments\":{\"fdname\":\"f0\"}}", OK);
  assert_answer (fixture, "{\"execute\":\"closefd\",\"arguments\":{\"fdname\":\"f0\"}}", OK);
  g_assert_false (is_open (last));
  /* Never asked for: the next message's take their place, more than a few are closed at once. */
  int many[QMP_FDS_RECEIVED_MAX + 2];
  for (unsigned round = 0; round < 2; round++)
    {
      int first = many[0];
      for (unsigned i = 0; i < G_N_ELEMENTS (many); i++)
        many[i] = open ("/dev/null", O_RDONLY);
      qmp_session_receive_fds (fixture->session, many, G_N_ELEMENTS (many));
      g_assert_false (is_open (many[G_N_ELEMENTS (many) - 1]));
      if (round == 1)
        g_assert_false (is_open (first));
    }
}

static void
test_screendump (Fixture *fixture, const void *data)
{
  negotiate (fixture);
  assert_answer (fixture,
                 "{\"execute\":\"screendump\",\"arguments\":{\"filename\":\"/a b\",\"format\":"
                 "\"png\"}}",
                 OK);
  fixture->fake.error = "No space left on \"device\"\n\xff";
  assert_answer (fixture, "{\"execute\":\"screendump\",\"arguments\":{\"filename\":\"x\"}}",
                 GENERIC ("No space left on \\\"device\\\"\\n\xef\xbf\xbd"));
  g_assert_cmpstr (fixture->fake.calls->str, ==, "screendump(/a b) screendump(x) ");
}

static void
test_set_boot (Fixture *fixture, const void *data)
{
  negotiate (fixture);
  assert_answer (fixture,
                 "{\"execute\":\"x-alcove-set-boot\",\"arguments\":{\"device\":\"cdrom\"}}", OK);
  assert_answer (fixture,
                 "{\"execute\":\"x-alcove-set-boot\",\"arguments\":{\"device\":\"network\","
                 "\"menu\":true}}",
                 OK);
  assert_answer (fixture, "{\"execute\":\"x-alcove-set-boot\"}", OK);
  assert_answer (fixture,
                 "{\"execute\":\"x-alcove-set-boot\",\"arguments\":{\"device\":\"floppy\"}}",
                 GENERIC ("Parameter 'device' does not accept value 'floppy'"));
  fixture->fake.error = "it has no boot order";
  assert_answer (fixture, "{\"execute\":\"x-alcove-set-boot\",\"arguments\":{\"device\":\"disk\"}}",
                 GENERIC ("it has no boot order"));
  g_assert_cmpstr (fixture->fake.calls->str, ==,
                   "set_boot(cdrom) set_boot(network,menu) set_boot(unsaid) set_boot(disk) ");
}

#define FORWARD(command, text)                                                                     \
  "{\"execute\":\"x-alcove-hostfwd-" command "\",\"arguments\":{\"forward\":\"" text "\"}}"

static void
test_forwards (Fixture *fixture, const void *data)
{
  negotiate (fixture);
  assert_answer (fixture, FORWARD ("add", "tcp::2222-:22"), OK);
  assert_answer (fixture, FORWARD ("remove", "tcp::2222"), OK);
  assert_answer (fixture, FORWARD ("add", "tcp::2222"),
                 GENERIC ("forward 'tcp::2222': not [tcp|udp]:[HOSTADDRESS]:HOSTPORT-"
                          "[GUESTADDRESS]:GUESTPORT with ports from 1 to 65535 and addresses of "
                          "IPv4, or of IPv6 in brackets"));
  assert_answer (fixture, FORWARD ("remove", "tcp"),
                 GENERIC ("forward 'tcp': not [tcp|udp]:[HOSTADDRESS]:HOSTPORT with a port from 1 "
                          "to 65535 and addresses of IPv4, or of IPv6 in brackets"));
  assert_answer (fixture, FORWARD ("add", "tcp:[::1]:80-10.0.2.15:80"),
                 GENERIC ("forward tcp:[::1]:80-10.0.2.15:80: one address is of IPv4 and the other "
                          "of IPv6; both have to be of the same"));
  assert_answer (fixture, FORWARD ("add", "tcp:[::1]:80-[fec0::9]:80"), OK);
  assert_answer (fixture, FORWARD ("remove", "tcp:[::1]:80"), OK);
  assert_answer (fixture, "{\"execute\":\"x-alcove-hostfwd-add\"}",
                 GENERIC ("Parameter 'forward' is missing"));
  fixture->fake.error = "in use";
  assert_answer (fixture, FORWARD ("add", "udp:0.0.0.0:53-:5353"), GENERIC ("in use"));
  g_assert_cmpstr (fixture->fake.calls->str, ==,
                   "add_forward(tcp:127.0.0.1:2222-:22) remove_forward(tcp:127.0.0.1:2222-:0) "
                   "add_forward(tcp:[::1]:80-[fec0::9]:80) remove_forward(tcp:[::1]:80-:0) "
                   "add_forward(udp:0.0.0.0:53-:5353) ");
}

static void
test_balloon (Fixture *fixture, const void *data)
{
  negotiate (fixture);
  assert_answer (fixture, "{\"execute\":\"query-balloon\"}",
                 "{\"return\":{\"actual\":536870912}}\r\n");
  assert_answer (fixture, "{\"execute\":\"balloon\",\"arguments\":{\"value\":1048576}}", OK);
  assert_answer (fixture, "{\"execute\":\"balloon\",\"arguments\":{\"value\":0}}",
                 GENERIC ("Parameter 'target' expects a size"));
  assert_answer (fixture, "{\"execute\":\"balloon\",\"arguments\":{\"value\":-1}}",
                 GENERIC ("Parameter 'target' expects a size"));
  assert_answer (fixture, "{\"execute\":\"balloon\",\"arguments\":{\"value\":\"1G\"}}",
                 GENERIC ("Invalid parameter type for 'value', expected: integer"));
  g_assert_cmpstr (fixture->fake.calls->str, ==, "set_balloon(1048576) ");
}

#define QOM(command, path, rest)                                                                   \
  "{\"execute\":\"qom-" command "\",\"arguments\":{\"path\":\"" path "\",\"property\":" rest "}}"
#define BALLOON "/machine/peripheral/balloon0"

static void
test_balloon_stats (Fixture *fixture, const void *data)
{
  negotiate (fixture);
  g_autofree char *stats = ask (fixture, QOM ("get", BALLOON, "\"guest-stats\""));
  g_assert_nonnull (strstr (stats, "\"stat-free-memory\":4096"));
  g_assert_nonnull (strstr (stats, "\"stat-htlb-pgfail\":-1"));
  g_assert_nonnull (strstr (stats, "\"last-update\":1600000000"));
  assert_answer (fixture, QOM ("get", "balloon0", "\"guest-stats-polling-interval\""),
                 "{\"return\":2}\r\n");
  assert_answer (fixture, QOM ("set", BALLOON, "\"guest-stats-polling-interval\",\"value\":5"), OK);
  assert_answer (fixture, QOM ("set", BALLOON, "\"guest-stats-polling-interval\",\"value\":-5"),
                 GENERIC ("timer value must be greater than zero"));
  assert_answer (fixture,
                 QOM ("set", BALLOON, "\"guest-stats-polling-interval\",\"value\":4294967296"),
                 GENERIC ("timer value is too big"));
  assert_answer (fixture, QOM ("set", BALLOON, "\"guest-stats\",\"value\":1"),
                 GENERIC ("Property 'virtio-balloon-pci.guest-stats' is not writable"));
  assert_answer (fixture, QOM ("get", BALLOON, "\"x\""),
                 GENERIC ("Property 'virtio-balloon-pci.x' not found"));
  assert_answer (fixture, QOM ("get", "/machine", "\"type\""),
                 ERROR ("DeviceNotFound", "Device '/machine' not found"));
  g_assert_cmpstr (fixture->fake.calls->str, ==, "set_balloon_interval(5) ");
}

static void
test_balloon_event (void)
{
  g_autofree char *line = qmp_message_balloon_change (1048576);

  g_assert_true (
      g_str_has_suffix (line, "},\"event\":\"BALLOON_CHANGE\",\"data\":{\"actual\":1048576}}\r\n"));
}

static void
test_events (void)
{
  static const struct
  {
    MachineEvent event;
    MachineCause cause;
    const char *rest;
  } cases[] = {
    { MACHINE_EVENT_STOP, MACHINE_CAUSE_NONE, "\"event\":\"STOP\"}\r\n" },
    { MACHINE_EVENT_RESUME, MACHINE_CAUSE_NONE, "\"event\":\"RESUME\"}\r\n" },
    { MACHINE_EVENT_POWERDOWN, MACHINE_CAUSE_NONE, "\"event\":\"POWERDOWN\"}\r\n" },
    { MACHINE_EVENT_RESET, MACHINE_CAUSE_GUEST_RESET,
      "\"event\":\"RESET\",\"data\":{\"guest\":true,\"reason\":\"guest-reset\"}}\r\n" },
    { MACHINE_EVENT_RESET, MACHINE_CAUSE_HOST_QMP_SYSTEM_RESET,
      "\"event\":\"RESET\",\"data\":{\"guest\":false,\"reason\":\"host-qmp-system-reset\"}}\r\n" },
    { MACHINE_EVENT_SHUTDOWN, MACHINE_CAUSE_GUEST_SHUTDOWN,
      "\"event\":\"SHUTDOWN\",\"data\":{\"guest\":true,\"reason\":\"guest-shutdown\"}}\r\n" },
    { MACHINE_EVENT_SHUTDOWN, MACHINE_CAUSE_HOST_QMP_QUIT,
      "\"event\":\"SHUTDOWN\",\"data\":{\"guest\":false,\"reason\":\"host-qmp-quit\"}}\r\n" },
    { MACHINE_EVENT_GUEST_PANICKED, MACHINE_CAUSE_GUEST_PANIC,
      "\"event\":\"GUEST_PANICKED\",\"data\":{\"action\":\"poweroff\"}}\r\n" },
  };

  for (unsigned i = 0; i < G_N_ELEMENTS (cases); i++)
    {
      int64_t before = g_get_real_time ();
      g_autofree char *line = qmp_message_event (cases[i].event, cases[i].cause);
      long long seconds = 0, microseconds = -1;
      int used = 0;
      sscanf (line, "{\"timestamp\":{\"seconds\":%lld,\"microseconds\":%lld},%n", &seconds,
              &microseconds, &used);
      g_assert_cmpint (microseconds, <, G_USEC_PER_SEC);
      g_assert_cmpint (seconds * G_USEC_PER_SEC + microseconds, >=, before);
      g_assert_cmpint (seconds * G_USEC_PER_SEC + microseconds, <=, g_get_real_time ());
      g_assert_cmpstr (line + used, ==, cases[i].rest);
    }
}

/* A target that lacks a function would end the process when a client asks for it: it does so at once. */
static void
test_incomplete_target (Fixture *fixture, const void *data)
{
  ControlTargetOps ops = *fixture->target.ops;
  const ControlTarget target = { .ops = &ops };

  if (!g_test_subprocess ())
    {
      g_test_trap_subprocess (NULL, 0, G_TEST_SUBPROCESS_DEFAULT);
      g_test_trap_assert_failed ();
      g_test_trap_assert_stderr ("*assert_complete*");
      return;
    }
  ops.set_balloon_interval = NULL;
  qmp_session_free (qmp_session_new (&target, on_output, fixture));
}

#define add(name, func) g_test_add ("/qmp-session/" name, Fixture, NULL, set_up, func, tear_down)

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  add ("negotiation", test_negotiation);
  add ("events-after-negotiation", test_events_only_after_negotiation);
  add ("queries", test_queries);
  add ("life-cycle", test_life_cycle);
  add ("ids", test_ids);
  add ("refusals", test_refusals);
  add ("malformed", test_malformed_is_answered);
  add ("stream", test_stream);
  add ("white-space", test_white_space_is_not_kept);
  add ("value-of-100-MB", test_a_value_of_100_MB);
  add ("nesting-bomb", test_nesting_bomb);
  add ("add-client", test_add_client);
  add ("add-memfd-client", test_add_client_that_maps_memfds);
  add ("refused-client", test_descriptor_of_a_refused_client_is_closed);
  add ("descriptors-bounded", test_descriptors_are_bounded);
  add ("screendump", test_screendump);
  add ("set-boot", test_set_boot);
  add ("incomplete-target", test_incomplete_target);
  add ("forwards", test_forwards);
  add ("balloon", test_balloon);
  add ("balloon-stats", test_balloon_stats);
  g_test_add_func ("/qmp-session/balloon-event", test_balloon_event);
  g_test_add_func ("/qmp-session/events", test_events);
  return g_test_run ();
}
