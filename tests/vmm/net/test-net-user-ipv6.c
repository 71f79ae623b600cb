/* The user network by IPv6. Skipped where this computer has none. */
#include "user-guest.h"

#include <ifaddrs.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>
#include <arpa/inet.h>
#include <gio/gio.h>
#include <sys/socket.h>

#include "net/net-frame.h"

#define HEADERS   54
#define FRAME_MAX 2000
#define TCP_SYN   0x02
#define TCP_RST   0x04
#define TCP_ACK   0x10
#define GATEWAY   "fec0::2"
#define GUEST     "fec0::5054:ff:fe12:3456"
#define OTHER     "fec0::9"

/* --- a guest --- */

static struct in6_addr
parse (const char *text)
{
  struct in6_addr address;

  g_assert_cmpint (inet_pton (AF_INET6, text, &address), ==, 1);
  return address;
}

/* Ethernet and IPv6 around what is at frame + HEADERS. */
static void
send_ipv6 (UserGuest *f, uint8_t *frame, uint8_t protocol, const char *from, const char *to,
           size_t size)
{
  static const uint8_t macs[12] = { 0x52, 0x56, 0, 0, 0, 2, USER_GUEST_MAC };
  const struct in6_addr source = parse (from), target = parse (to);
  uint8_t *ip = frame + 14;

  memcpy (frame, macs, sizeof macs);
  net_put_u16 (frame + 12, 0x86dd);
  memset (ip, 0, 8);
  ip[0] = 6 << 4;
  net_put_u16 (ip + 4, size);
  ip[6] = protocol;
  ip[7] = 255;
  memcpy (ip + 8, &source, 16);
  memcpy (ip + 24, &target, 16);
  user_guest_send (f, frame, HEADERS + size);
}

static void
send_udp (UserGuest *f, const char *from, uint16_t from_port, const char *to, uint16_t port,
          const char *text)
{
  uint8_t frame[FRAME_MAX] = { 0 };
  uint8_t *udp = frame + HEADERS;

  net_put_u16 (udp, from_port);
  net_put_u16 (udp + 2, port);
  net_put_u16 (udp + 4, 8 + strlen (text));
  memcpy (udp + 8, text, strlen (text));
  send_ipv6 (f, frame, NET_PROTOCOL_UDP, from, to, 8 + strlen (text));
}

static void
send_syn (UserGuest *f, const char *to, uint16_t from_port, uint16_t port)
{
  uint8_t frame[FRAME_MAX] = { 0 };
  uint8_t *tcp = frame + HEADERS;

  net_put_u16 (tcp, from_port);
  net_put_u16 (tcp + 2, port);
  net_put_u32 (tcp + 4, 1);
  tcp[12] = 0x50;
  tcp[13] = TCP_SYN;
  net_put_u16 (tcp + 14, 8192);
  send_ipv6 (f, frame, NET_PROTOCOL_TCP, GUEST, to, 20);
}

/* What net_offload_fill_checksums () does not do. */
static void
send_icmp (UserGuest *f, uint8_t *frame, const char *from, const char *to, size_t size)
{
  const struct in6_addr source = parse (from), target = parse (to);
  uint8_t *message = frame + HEADERS;
  uint32_t sum = size + NET_PROTOCOL_ICMPV6;

  for (unsigned i = 0; i < 16; i += 2)
    sum += net_get_u16 (source.s6_addr + i) + net_get_u16 (target.s6_addr + i);
  for (unsigned i = 0; i < size; i += 2)
    sum += net_get_u16 (message + i);
  while (sum > UINT16_MAX)
    sum = (sum & UINT16_MAX) + (sum >> 16);
  net_put_u16 (message + 2, ~sum);
  send_ipv6 (f, frame, NET_PROTOCOL_ICMPV6, from, to, size);
}

static void
solicit (UserGuest *f, const char *from, const char *whom)
{
  const struct in6_addr target = parse (whom);
  uint8_t frame[FRAME_MAX] = { [HEADERS] = 135 };

  memcpy (frame + HEADERS + 8, &target, 16);
  send_icmp (f, frame, from, "ff02::1:ff00:2", 24);
}

/* The guest takes an address, and asks for the gateway, by which the network knows where it is. */
static void
take_address (UserGuest *f, const char *address)
{
  solicit (f, "::", address);
  solicit (f, address, GATEWAY);
}

static void
assert_addresses (const uint8_t *transport, const char *from, const char *to)
{
  char text[INET6_ADDRSTRLEN];

  g_assert_cmpstr (inet_ntop (AF_INET6, transport - 32, text, sizeof text), ==, from);
  g_assert_cmpstr (inet_ntop (AF_INET6, transport - 16, text, sizeof text), ==, to);
}

/* --- this computer --- */

static struct sockaddr_in6
make_address (const char *address, uint16_t port)
{
  return (struct sockaddr_in6){
    .sin6_family = AF_INET6,
    .sin6_port = htons (port),
    .sin6_addr = parse (address),
  };
}

/* -1: there is no IPv6. */
static int
open_socket (int type, uint16_t *port)
{
  struct sockaddr_in6 address = make_address ("::1", 0);
  socklen_t size = sizeof address;
  const struct timeval patience = { .tv_sec = 10 };
  const int fd = socket (AF_INET6, type | SOCK_CLOEXEC, 0);

  if (fd < 0 || bind (fd, (struct sockaddr *) &address, sizeof address) < 0)
    return -1;
  g_assert_cmpint (getsockname (fd, (struct sockaddr *) &address, &size), ==, 0);
  if (type == SOCK_STREAM)
    g_assert_cmpint (listen (fd, 1), ==, 0);
  setsockopt (fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
  *port = ntohs (address.sin6_port);
  return fd;
}

/* One that nobody has now. */
static uint16_t
find_port (int type)
{
  uint16_t port;

  close (open_socket (type, &port));
  return port;
}

static int
connect_to (uint16_t port)
{
  const struct sockaddr_in6 address = make_address ("::1", port);
  const int fd = socket (AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);

  g_assert_cmpint (connect (fd, (const struct sockaddr *) &address, sizeof address), ==, 0);
  return fd;
}

static void
send_to (int fd, uint16_t port, const char *text)
{
  const struct sockaddr_in6 address = make_address ("::1", port);

  g_assert_cmpint (
      sendto (fd, text, strlen (text), 0, (const struct sockaddr *) &address, sizeof address), ==,
      strlen (text));
}

/* --- tests --- */

static void
assert_connects (UserGuest *f, const VmForward *forward, const char *guest)
{
  size_t size;
  const int fd = connect_to (forward->host_port);
  const uint8_t *tcp =
      user_guest_wait (f, true, NET_PROTOCOL_TCP, forward->guest_port, &size, USER_GUEST_PATIENCE);

  g_assert_nonnull (tcp);
  g_assert_cmphex (tcp[13], ==, TCP_SYN);
  assert_addresses (tcp, GATEWAY, guest);
  close (fd);
  g_ptr_array_set_size (f->got, 0);
}

static void
test_tcp_forward (UserGuest *f, gconstpointer data)
{
  g_autoptr (GError) error = NULL;
  const VmForward forward =
      user_guest_make_forward ("tcp:[::1]:%u-[" OTHER "]:22", find_port (SOCK_STREAM));

  take_address (f, OTHER);
  g_assert_true (net_user_add_forward (f->user, &forward, &error));
  take_address (f, GUEST); /* another one, which is not the forward's */
  assert_connects (f, &forward, OTHER);
  /* Removed, the port is free again. */
  g_assert_true (net_user_remove_forward (f->user, &forward, &error));
  g_assert_true (net_user_add_forward (f->user, &forward, &error));
}

/* The guest's address is the last that it took; it is not known before. */
static void
test_tcp_forward_follows (UserGuest *f, gconstpointer data)
{
  g_autoptr (GError) error = NULL;
  const VmForward forward = user_guest_make_forward ("tcp:[::1]:%u-:22", find_port (SOCK_STREAM));

  g_assert_true (net_user_add_forward (f->user, &forward, &error));
  solicit (f, "fe80::5054:ff:fe12:3456", GATEWAY);
  take_address (f, GUEST);
  assert_connects (f, &forward, GUEST);
  take_address (f, OTHER);
  assert_connects (f, &forward, OTHER);
  solicit (f, GUEST, GATEWAY);
  assert_connects (f, &forward, OTHER);
  g_assert_true (net_user_remove_forward (f->user, &forward, &error));
}

/* A guest that takes its address without asking. */
static void
test_tcp_forward_not_asked (UserGuest *f, gconstpointer data)
{
  g_autoptr (GError) error = NULL;
  const VmForward forward = user_guest_make_forward ("tcp:[::1]:%u-:22", find_port (SOCK_STREAM));

  g_assert_true (net_user_add_forward (f->user, &forward, &error));
  solicit (f, "fe80::5054:ff:fe12:3456", GATEWAY);
  solicit (f, GUEST, GATEWAY);
  assert_connects (f, &forward, GUEST);
}

static void
test_udp_forward (UserGuest *f, gconstpointer data)
{
  g_autoptr (GError) error = NULL;
  const VmForward forward = user_guest_make_forward ("udp:[::1]:%u-:53", find_port (SOCK_DGRAM));
  uint16_t mine, other;
  const int fd = open_socket (SOCK_DGRAM, &mine), stranger = open_socket (SOCK_DGRAM, &other);
  char got[64];
  size_t size;

  g_assert_true (net_user_add_forward (f->user, &forward, &error));
  send_to (fd, forward.host_port, "too early");
  for (unsigned i = 0; i < 10; i++)
    g_main_context_iteration (NULL, FALSE);
  take_address (f, GUEST);
  send_to (fd, forward.host_port, "question");
  const uint8_t *udp = user_guest_wait (f, true, NET_PROTOCOL_UDP, 53, &size, USER_GUEST_PATIENCE);
  g_assert_nonnull (udp);
  g_assert_cmpmem (udp + 8, size - 8, "question", 8);
  g_assert_cmpuint (net_get_u16 (udp), ==, mine);
  assert_addresses (udp, GATEWAY, GUEST);
  g_assert_true (f->flushed);
  /* Only who sent one is answered. */
  send_udp (f, GUEST, 53, GATEWAY, other, "unasked");
  send_udp (f, GUEST, 54, GATEWAY, mine, "wrong port");
  send_udp (f, GUEST, 53, "::1", mine, "wrong address");
  send_udp (f, GUEST, 53, GATEWAY, mine, "answer");
  g_assert_cmpint (recv (fd, got, sizeof got, 0), ==, 6);
  g_assert_cmpmem (got, 6, "answer", 6);
  send_udp (f, OTHER, 53, GATEWAY, mine, "by another of its addresses");
  g_assert_cmpint (recv (fd, got, sizeof got, 0), ==, 27);
  g_assert_cmpint (recv (stranger, got, sizeof got, MSG_DONTWAIT), <, 0);
  g_assert_cmpint (recv (fd, got, sizeof got, MSG_DONTWAIT), <, 0);
  close (fd);
  close (stranger);
}

static void
assert_refused (UserGuest *f, const VmForward *forward, const char *reason)
{
  g_autoptr (GError) error = NULL;
  g_autofree char *text = vm_forward_to_string (forward);
  g_autofree char *expected = g_strdup_printf ("forward %s: %s", text, reason);

  g_assert_false (net_user_add_forward (f->user, forward, &error));
  g_assert_cmpstr (error->message, ==, expected);
}

static void
test_refused (UserGuest *f, gconstpointer data)
{
  g_autoptr (GError) error = NULL;

  for (VmForwardProtocol protocol = 0; protocol < VM_N_FORWARDS; protocol++)
    {
      const char *word = vm_forward_protocol_to_string (protocol);
      uint16_t port;
      const int fd = open_socket (protocol == VM_FORWARD_TCP ? SOCK_STREAM : SOCK_DGRAM, &port);
      const VmForward loopback = user_guest_make_forward ("%s:[::1]:%u-:22", word, port);
      const VmForward all = user_guest_make_forward ("%s:[::]:%u-:22", word, port);
      const VmForward all4 = user_guest_make_forward ("%s:0.0.0.0:%u-:22", word, port);
      const VmForward foreign = user_guest_make_forward ("%s:[2001:db8::7]:%u-:22", word, port);

      assert_refused (f, &loopback,
                      "Address already in use; another program has the port: choose another one");
      assert_refused (f, &foreign,
                      "Cannot assign requested address; it has to be one of this computer's "
                      "addresses");
      close (fd);
      /* All of IPv6 is not IPv4. */
      g_assert_true (net_user_add_forward (f->user, &all, &error));
      g_assert_true (net_user_add_forward (f->user, &all4, &error));
      assert_refused (f, &all,
                      "Address already in use; another program has the port: choose another one");
    }
}

static bool
has_connection (int listener)
{
  struct pollfd poll_fd = { .fd = listener, .events = POLLIN };

  return poll (&poll_fd, 1, 0) > 0;
}

static void
test_loopback_closed (UserGuest *f, gconstpointer data)
{
  static const char *const names[] = { GATEWAY,   "fec0::3", "fec0::",           "fec0::7",
                                       "::1",     "::",      "::ffff:127.0.0.1", "::127.0.0.1",
                                       "ff01::1", "ff02::1" };
  uint16_t tcp_port, udp_port;
  const int tcp = open_socket (SOCK_STREAM, &tcp_port), udp = open_socket (SOCK_DGRAM, &udp_port);
  char got[64];

  take_address (f, GUEST);
  for (unsigned i = 0; i < G_N_ELEMENTS (names); i++)
    {
      send_udp (f, GUEST, 1000, names[i], udp_port, "knock");
      send_syn (f, names[i], 1000 + i, tcp_port);
    }
  for (unsigned i = 0; i < G_N_ELEMENTS (names); i++)
    {
      const uint8_t *answer = user_guest_wait (f, true, NET_PROTOCOL_TCP, 1000 + i, NULL, 20000);

      if (answer)
        g_assert_true (answer[13] & TCP_RST);
    }
  g_assert_cmpint (recv (udp, got, sizeof got, MSG_DONTWAIT), <, 0);
  g_assert_false (has_connection (tcp));
  close (tcp);
  close (udp);
}

/* An address of this computer that is not its loopback's; or skips. */
static bool
find_address (char text[INET6_ADDRSTRLEN])
{
  struct ifaddrs *list;
  bool found = false;

  g_assert_cmpint (getifaddrs (&list), ==, 0);
  for (struct ifaddrs *one = list; one && !found; one = one->ifa_next)
    if (one->ifa_addr && one->ifa_addr->sa_family == AF_INET6)
      {
        const struct in6_addr *address = &((struct sockaddr_in6 *) one->ifa_addr)->sin6_addr;

        found = !IN6_IS_ADDR_LOOPBACK (address) && !IN6_IS_ADDR_LINKLOCAL (address) &&
                inet_ntop (AF_INET6, address, text, INET6_ADDRSTRLEN);
      }
  freeifaddrs (list);
  if (!found)
    g_test_skip ("this computer has no address but its loopback's");
  return found;
}

/* Whether a guest reaches a service of an address that is open to everybody. */
static void
test_world (UserGuest *f, gconstpointer data)
{
  const bool restricted = data != NULL;
  char text[INET6_ADDRSTRLEN];

  if (!find_address (text))
    return;
  struct sockaddr_in6 address = make_address (text, 0);
  socklen_t size = sizeof address;
  const int tcp = socket (AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
  const int udp = socket (AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  const struct timeval patience = { .tv_sec = 10 };
  char got[64];

  g_assert_cmpint (bind (tcp, (struct sockaddr *) &address, sizeof address), ==, 0);
  g_assert_cmpint (listen (tcp, 1), ==, 0);
  g_assert_cmpint (getsockname (tcp, (struct sockaddr *) &address, &size), ==, 0);
  g_assert_cmpint (bind (udp, (struct sockaddr *) &address, sizeof address), ==, 0);
  setsockopt (udp, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
  take_address (f, GUEST);
  send_udp (f, GUEST, 1000, text, ntohs (address.sin6_port), "knock");
  send_syn (f, text, 1000, ntohs (address.sin6_port));
  const uint8_t *answer =
      user_guest_wait (f, true, NET_PROTOCOL_TCP, 1000, NULL, USER_GUEST_PATIENCE);
  g_assert_nonnull (answer);
  g_assert_cmphex (answer[13], ==, restricted ? TCP_RST | TCP_ACK : TCP_SYN | TCP_ACK);
  g_assert_true (has_connection (tcp) == !restricted);
  g_assert_cmpint (recv (udp, got, sizeof got, restricted ? MSG_DONTWAIT : 0), ==,
                   restricted ? -1 : 5);
  close (tcp);
  close (udp);
}

/* Only the network itself answers, under each of its names; libslirp complains of others without end. */
static void
test_ping (UserGuest *f, gconstpointer data)
{
  static const char *const names[] = { "2001:db8::1", "::1",     "fec0::7", "fe80::7",
                                       "ff02::1",     "fec0::3", "fe80::2", GATEWAY };

  take_address (f, GUEST);
  g_ptr_array_set_size (f->got, 0);
  for (unsigned i = 0; i < G_N_ELEMENTS (names); i++)
    {
      uint8_t frame[FRAME_MAX] = { [HEADERS] = 128 };

      net_put_u16 (frame + HEADERS + 4, i);
      send_icmp (f, frame, GUEST, names[i], 8);
    }
  g_assert_cmpuint (f->got->len, ==, 3);
  for (unsigned i = 0; i < 3; i++)
    {
      const uint8_t *answer = g_bytes_get_data (f->got->pdata[i], NULL);
      g_assert_cmpuint (answer[HEADERS], ==, 129);
      g_assert_cmpuint (net_get_u16 (answer + HEADERS + 4), ==, G_N_ELEMENTS (names) - 3 + i);
    }
}

#define ADD(name, func, restricted)                                                                \
  g_test_add ("/net-user-ipv6/" name, UserGuest, restricted, user_guest_setup, func,               \
              user_guest_teardown)

int
main (int argc, char **argv)
{
  uint16_t port;
  const int fd = open_socket (SOCK_STREAM, &port);

  g_test_init (&argc, &argv, NULL);
  if (fd < 0)
    {
      g_print ("1..0 # SKIP this computer has no IPv6\n");
      return 0;
    }
  close (fd);
  g_log_set_always_fatal (G_LOG_FATAL_MASK | G_LOG_LEVEL_CRITICAL); /* guests are complained of */
  ADD ("tcp-forward", test_tcp_forward, NULL);
  ADD ("tcp-forward-follows", test_tcp_forward_follows, NULL);
  ADD ("tcp-forward-not-asked", test_tcp_forward_not_asked, NULL);
  ADD ("udp-forward", test_udp_forward, NULL);
  ADD ("refused", test_refused, NULL);
  ADD ("loopback-closed", test_loopback_closed, NULL);
  ADD ("world", test_world, NULL);
  ADD ("restricted", test_world, "restricted");
  ADD ("restricted-tcp-forward", test_tcp_forward, "restricted");
  ADD ("restricted-udp-forward", test_udp_forward, "restricted");
  ADD ("ping", test_ping, NULL);
  return g_test_run ();
}
