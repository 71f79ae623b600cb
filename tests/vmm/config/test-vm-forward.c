#include "config/vm-forward.h"

#include "config/vm-config.h"

static void
assert_parsed (const char *text, const char *expected)
{
  g_autoptr (GError) error = NULL;
  VmForward forward;

  g_assert_true (vm_forward_parse (&forward, text, &error));
  g_assert_no_error (error);
  g_autofree char *again = vm_forward_to_string (&forward);
  g_assert_cmpstr (again, ==, expected);
}

static void
test_parse (void)
{
  assert_parsed ("tcp:127.0.0.1:2222-:22", "tcp:127.0.0.1:2222-:22");
  assert_parsed ("tcp::2222-:22", "tcp:127.0.0.1:2222-:22");
  assert_parsed (":0.0.0.0:1-:65535", "tcp:0.0.0.0:1-:65535");
  assert_parsed ("udp:192.168.1.2:53-10.0.2.15:5353", "udp:192.168.1.2:53-10.0.2.15:5353");
  assert_parsed ("tcp::22-0.0.0.0:22", "tcp:127.0.0.1:22-:22");
  assert_parsed ("tcp:[::1]:8080-[fec0::15]:80", "tcp:[::1]:8080-[fec0::15]:80");
  assert_parsed ("tcp:[::1]:8080-:80", "tcp:[::1]:8080-:80");
  assert_parsed ("udp:[::]:53-[::]:5353", "udp:[::]:53-:5353");
  assert_parsed ("udp:[2001:DB8:0::1]:1-[fe80::9]:2", "udp:[2001:db8::1]:1-[fe80::9]:2");
  assert_parsed ("tcp:[::ffff:192.0.2.1]:1-:2", "tcp:192.0.2.1:1-:2");
  /* The short words. */
  assert_parsed ("tcp:2222:22", "tcp:127.0.0.1:2222-:22");
  assert_parsed ("udp:53:5353", "udp:127.0.0.1:53-:5353");
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
    "tcp:[::1:22-:22",
    "tcp:[::1]22-:22",
    "tcp:[::1]",
    "tcp:[]:22-:22",
    "tcp:[127.0.0.1]:22-:22",
    "tcp:[::g]:22-:22",
    "tcp:[fe80::1%lo]:22-:22",
    "tcp::22-[fec0::15]",
    "tcp::22-[fec0::15:22",
    "tcp:22:0",
    "tcp:22:",
    "tcp:22:22:22",
    "tcp:[::1]:22:22",
    "tcp:: 22-:22",
    "tcp::22x-:22",
    "tcp::+22-:22",
    "tcp::22-10.0.2.256:22",
    "\xff\xfe",
  };

  for (unsigned i = 0; i < G_N_ELEMENTS (bad); i++)
    {
      g_autoptr (GError) error = NULL;
      VmForward forward = { .host_port = 7 };

      g_assert_false (vm_forward_parse (&forward, bad[i], &error));
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
  VmForward a, b;

  g_assert_true (vm_forward_parse_host (&a, "udp::53", NULL));
  g_assert_true (vm_forward_parse (&b, "udp:127.0.0.1:53-:1", NULL));
  g_assert_true (vm_forward_same_host (&a, &b));
  b.protocol = VM_FORWARD_TCP;
  g_assert_false (vm_forward_same_host (&a, &b));
  g_assert_true (vm_forward_parse_host (&a, "udp:[::1]:53", NULL));
  g_assert_true (vm_forward_parse (&b, "udp:[0:0::1]:53-:1", NULL));
  g_assert_true (vm_forward_same_host (&a, &b));
  g_assert_true (vm_forward_is_ipv6 (&a));
  g_assert_true (vm_forward_parse (&b, "udp:[::]:53-:1", NULL));
  g_assert_false (vm_forward_same_host (&a, &b));
  g_assert_false (vm_forward_parse_host (&a, "udp:[::1]:53-", NULL));
  g_assert_false (vm_forward_parse_host (&a, "udp::53-:53", &error));
  g_assert_error (error, VM_CONFIG_ERROR, VM_CONFIG_ERROR_USAGE);
}

static void
assert_validation (const char *text, const char *expected)
{
  g_autoptr (GError) error = NULL;
  VmForward forward;

  g_assert_true (vm_forward_parse (&forward, text, NULL));
  g_assert_true (vm_forward_validate (&forward, &error) == (expected == NULL));
  g_assert_cmpstr (error ? error->message : NULL, ==, expected);
}

static void
test_what_belongs_together (void)
{
  assert_validation ("tcp::22-:22", NULL);
  assert_validation ("tcp::22-10.0.2.9:22", NULL);
  assert_validation ("tcp:[::1]:22-:22", NULL);
  assert_validation ("tcp:[::1]:22-[fe80::9]:22", NULL);
  assert_validation ("tcp:[::1]:22-10.0.2.9:22",
                     "forward tcp:[::1]:22-10.0.2.9:22: one address is of IPv4 and the other of "
                     "IPv6; both have to be of the same");
  assert_validation ("tcp::22-[fec0::9]:22",
                     "forward tcp:127.0.0.1:22-[fec0::9]:22: one address is of IPv4 and the other "
                     "of IPv6; both have to be of the same");
  assert_validation ("udp:[fe80::1]:22-:22",
                     "forward udp:[fe80::1]:22-:22: a link-local address belongs to one interface, "
                     "and none can be said; use another address of this computer, or [::] for all");
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/vm-forward/parse", test_parse);
  g_test_add_func ("/vm-forward/refused", test_refused);
  g_test_add_func ("/vm-forward/host", test_host);
  g_test_add_func ("/vm-forward/what-belongs-together", test_what_belongs_together);
  return g_test_run ();
}
