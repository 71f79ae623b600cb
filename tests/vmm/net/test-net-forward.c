#include "net/net-forward.h"

static void
assert_parsed (const char *text, const char *expected)
{
  g_autoptr (GError) error = NULL;
  NetForward forward;

  g_assert_true (net_forward_parse (&forward, text, &error));
  g_assert_no_error (error);
  g_autofree char *again = net_forward_to_string (&forward);
  g_assert_cmpstr (again, ==, expected);
}

static void
test_parse (void)
{
  assert_parsed ("tcp:127.0.0.1:2222-:22", "tcp:127.0.0.1:2222-:22");
  assert_parsed ("tcp::2222-:22", "tcp:127.0.0.1:2222-:22");
  assert_parsed (":0.0.0.0:1-:65535", "tcp:0.0.0.0:1-:65535");
  assert_parsed ("udp:192.168.1.2:53-10.0.2.15:5353", "udp:192.168.1.2:53-10.0.2.15:5353");
}

static void
test_refused (void)
{
  static const char *const bad[] = {
    "",
    "tcp",
    "tcp::22",
    "tcp::0-:22",
    "tcp::65536-:22",
    "tcp::22-:0",
    "tcp::22-22",
    "tcp::22-:22-:23",
    "sctp::22-:22",
    "tcp:localhost:22-:22",
    "tcp:1.2.3:22-:22",
    "tcp:::1:22-:22",
    "tcp:: 22-:22",
    "tcp::22x-:22",
    "tcp::+22-:22",
    "tcp::22-10.0.2.256:22",
    "\xff\xfe",
  };

  for (unsigned i = 0; i < G_N_ELEMENTS (bad); i++)
    {
      g_autoptr (GError) error = NULL;
      NetForward forward = { .host_port = 7 };

      g_assert_false (net_forward_parse (&forward, bad[i], &error));
      g_assert_error (error, VM_CONFIG_ERROR, VM_CONFIG_ERROR_USAGE);
      g_assert_true (g_str_has_prefix (error->message, "forward '"));
      g_assert_true (g_utf8_validate (error->message, -1, NULL));
      g_assert_cmpuint (forward.host_port, ==, 7);
    }
}

static void
test_host (void)
{
  g_autoptr (GError) error = NULL;
  NetForward a, b;

  g_assert_true (net_forward_parse_host (&a, "udp::53", NULL));
  g_assert_true (net_forward_parse (&b, "udp:127.0.0.1:53-:1", NULL));
  g_assert_true (net_forward_same_host (&a, &b));
  b.protocol = VM_FORWARD_TCP;
  g_assert_false (net_forward_same_host (&a, &b));
  g_assert_false (net_forward_parse_host (&a, "udp::53-:53", &error));
  g_assert_error (error, VM_CONFIG_ERROR, VM_CONFIG_ERROR_USAGE);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/net-forward/parse", test_parse);
  g_test_add_func ("/net-forward/refused", test_refused);
  g_test_add_func ("/net-forward/host", test_host);
  return g_test_run ();
}
