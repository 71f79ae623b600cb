#include "user-guest.h"

#include <arpa/inet.h>
#include <errno.h>
#include <string.h>
#include <unistd.h>
#include <gio/gio.h>
#include <sys/socket.h>

#include "config/vm-config.h"
#include "net/net-frame.h"

#define NETWORK   0x0a000200u
#define GATEWAY   (NETWORK + 2)
#define DNS       (NETWORK + 3)
#define GUEST     (NETWORK + 15)
#define LOOPBACK  0x7f000001u
#define TCP_SYN   0x02
#define TCP_RST   0x04
#define TCP_ACK   0x10
#define FRAME_MAX 2000

static const uint8_t guest_mac[6] = { USER_GUEST_MAC };
static const uint8_t gateway_mac[6] = { 0x52, 0x55, 10, 0, 2, 2 };

/* --- a guest --- */

/* Ethernet and IPv4 around what is at frame + 34. */
static size_t
wrap (uint8_t *frame, uint8_t protocol, uint32_t from, uint32_t to, size_t size)
{
  uint8_t *ip = frame + 14;

  memcpy (frame, gateway_mac, 6);
  memcpy (frame + 6, guest_mac, 6);
  net_put_u16 (frame + 12, 0x0800);
  memset (ip, 0, 20);
  ip[0] = 0x45;
  net_put_u16 (ip + 2, 20 + size);
  ip[8] = 64;
  ip[9] = protocol;
  net_put_u32 (ip + 12, from);
  net_put_u32 (ip + 16, to);
  return 34 + size;
}

static void
send_udp (UserGuest *f, uint32_t from, uint16_t from_port, uint32_t to, uint16_t port,
          const void *bytes, size_t size)
{
  uint8_t frame[FRAME_MAX];
  uint8_t *udp = frame + 34;

  net_put_u16 (udp, from_port);
  net_put_u16 (udp + 2, port);
  net_put_u16 (udp + 4, 8 + size);
  net_put_u16 (udp + 6, 0);
  memcpy (udp + 8, bytes, size);
  user_guest_send (f, frame, wrap (frame, NET_PROTOCOL_UDP, from, to, 8 + size));
}

static void
send_tcp (UserGuest *f, uint32_t to, uint16_t from_port, uint16_t port, uint32_t sequence,
          uint32_t acknowledged, uint8_t flags)
{
  uint8_t frame[FRAME_MAX];
  uint8_t *tcp = frame + 34;

  memset (tcp, 0, 20);
  net_put_u16 (tcp, from_port);
  net_put_u16 (tcp + 2, port);
  net_put_u32 (tcp + 4, sequence);
  net_put_u32 (tcp + 8, acknowledged);
  tcp[12] = 0x50;
  tcp[13] = flags;
  net_put_u16 (tcp + 14, 8192);
  user_guest_send (f, frame, wrap (frame, NET_PROTOCOL_TCP, GUEST, to, 20));
}

static void
send_arp (UserGuest *f, uint32_t who)
{
  uint8_t frame[42] = { [12] = 0x08, 0x06, 0, 1, 8, 0, 6, 4, 0, 1 };

  memset (frame, 0xff, 6);
  memcpy (frame + 6, guest_mac, 6);
  memcpy (frame + 22, guest_mac, 6);
  net_put_u32 (frame + 28, GUEST);
  net_put_u32 (frame + 38, who);
  f->backend.ops->send (f->backend.opaque, frame, sizeof frame);
}

/* Lets the network know the guest. */
static void
say_hello (UserGuest *f)
{
  send_arp (f, GATEWAY);
  g_assert_cmpuint (f->got->len, ==, 1);
  g_ptr_array_set_size (f->got, 0);
}

/* --- this computer --- */

static int
open_socket (int type, uint16_t *port)
{
  struct sockaddr_in address = { .sin_family = AF_INET,
                                 .sin_addr.s_addr = GUINT32_TO_BE (LOOPBACK) };
  socklen_t size = sizeof address;
  const struct timeval patience = { .tv_sec = 10 };
  int fd = socket (AF_INET, type | SOCK_CLOEXEC, 0);

  g_assert_cmpint (bind (fd, (struct sockaddr *) &address, sizeof address), ==, 0);
  g_assert_cmpint (getsockname (fd, (struct sockaddr *) &address, &size), ==, 0);
  if (type == SOCK_STREAM)
    g_assert_cmpint (listen (fd, 1), ==, 0);
  setsockopt (fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
  *port = ntohs (address.sin_port);
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

static void
send_to (int fd, uint16_t port, const char *text)
{
  const struct sockaddr_in address = { .sin_family = AF_INET,
                                       .sin_port = htons (port),
                                       .sin_addr.s_addr = GUINT32_TO_BE (LOOPBACK) };

  g_assert_cmpint (
      sendto (fd, text, strlen (text), 0, (const struct sockaddr *) &address, sizeof address), ==,
      strlen (text));
}

/* --- tests --- */

static void
test_arp (UserGuest *f, gconstpointer data)
{
  gsize size;

  send_arp (f, GATEWAY);
  g_assert_cmpuint (f->got->len, ==, 1);
  const uint8_t *answer = g_bytes_get_data (f->got->pdata[0], &size);
  g_assert_cmpuint (net_get_u16 (answer + 12), ==, 0x0806);
  g_assert_cmpmem (answer + 22, 6, gateway_mac, 6);
}

static void
test_dhcp (UserGuest *f, gconstpointer data)
{
  uint8_t discover[300] = { 1, 1, 6 };
  size_t size;

  memcpy (discover + 28, guest_mac, 6);
  memcpy (discover + 236, "\x63\x82\x53\x63\x35\x01\x01\xff", 8);
  send_udp (f, 0, 68, UINT32_MAX, 67, discover, sizeof discover);
  const uint8_t *answer =
      user_guest_wait (f, false, NET_PROTOCOL_UDP, 68, &size, USER_GUEST_PATIENCE);
  g_assert_nonnull (answer);
  g_assert_cmpuint (size, >, 8 + 240);
  g_assert_cmphex (net_get_u32 (answer + 8 + 16), ==, GUEST);
  g_assert_cmpuint (answer[8 + 242], ==, 2); /* DHCPOFFER */
}

static void
test_udp_forward (UserGuest *f, gconstpointer data)
{
  g_autoptr (GError) error = NULL;
  VmForward forward = user_guest_make_forward ("udp::%u-:53", find_port (SOCK_DGRAM));
  uint16_t mine, other;
  int fd = open_socket (SOCK_DGRAM, &mine), stranger = open_socket (SOCK_DGRAM, &other);
  char got[64];
  size_t size;

  g_assert_true (net_user_add_forward (f->user, &forward, &error));
  say_hello (f);
  send_to (fd, forward.host_port, "question");
  const uint8_t *udp = user_guest_wait (f, false, NET_PROTOCOL_UDP, 53, &size, USER_GUEST_PATIENCE);
  g_assert_nonnull (udp);
  g_assert_cmpmem (udp + 8, size - 8, "question", 8);
  g_assert_cmpuint (net_get_u16 (udp), ==, mine);
  g_assert_cmphex (net_get_u32 (udp - 8), ==, GATEWAY);
  g_assert_true (f->flushed);
  /* Only who sent one is answered. */
  send_udp (f, GUEST, 53, GATEWAY, other, "unasked", 7);
  send_udp (f, GUEST, 54, GATEWAY, mine, "wrong port", 10);
  send_udp (f, GUEST + 1, 53, GATEWAY, mine, "wrong address", 13);
  send_udp (f, GUEST, 53, GATEWAY, mine, "answer", 6);
  g_assert_cmpint (recv (fd, got, sizeof got, 0), ==, 6);
  g_assert_cmpmem (got, 6, "answer", 6);
  g_assert_cmpint (recv (stranger, got, sizeof got, MSG_DONTWAIT), <, 0);
  g_assert_cmpint (recv (fd, got, sizeof got, MSG_DONTWAIT), <, 0);
  close (fd);
  close (stranger);
}

static void
test_tcp_forward (UserGuest *f, gconstpointer data)
{
  g_autoptr (GError) error = NULL;
  VmForward forward = user_guest_make_forward ("tcp::%u-:22", find_port (SOCK_STREAM));
  const struct sockaddr_in address = { .sin_family = AF_INET,
                                       .sin_port = htons (forward.host_port),
                                       .sin_addr.s_addr = GUINT32_TO_BE (LOOPBACK) };
  int fd = socket (AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  size_t size;

  say_hello (f);
  g_assert_true (net_user_add_forward (f->user, &forward, &error));
  g_assert_cmpint (connect (fd, (const struct sockaddr *) &address, sizeof address), ==, 0);
  const uint8_t *tcp = user_guest_wait (f, false, NET_PROTOCOL_TCP, 22, &size, USER_GUEST_PATIENCE);
  g_assert_nonnull (tcp);
  g_assert_cmphex (tcp[13], ==, TCP_SYN);
  g_assert_cmphex (net_get_u32 (tcp - 8), ==, GATEWAY);
  close (fd);
  /* Removed, the port is free again. */
  g_assert_true (net_user_remove_forward (f->user, &forward, &error));
  fd = socket (AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  g_assert_cmpint (connect (fd, (const struct sockaddr *) &address, sizeof address), <, 0);
  close (fd);
  g_assert_false (net_user_remove_forward (f->user, &forward, &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_NOT_FOUND);
}

static gint n_awake;

static gint
count_awake (GPollFD *fds, guint n, gint timeout)
{
  const gint n_ready = g_poll (fds, n, 0);

  n_awake += n_ready > 0;
  return n_ready;
}

/* A connection on which nothing happens keeps nobody awake. */
static void
test_idle_connection (UserGuest *f, gconstpointer data)
{
  g_autoptr (GError) error = NULL;
  VmForward forward = user_guest_make_forward ("tcp::%u-:22", find_port (SOCK_STREAM));
  const struct sockaddr_in address = { .sin_family = AF_INET,
                                       .sin_port = htons (forward.host_port),
                                       .sin_addr.s_addr = GUINT32_TO_BE (LOOPBACK) };
  int fd = socket (AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  size_t size;

  say_hello (f);
  g_assert_true (net_user_add_forward (f->user, &forward, &error));
  g_assert_cmpint (connect (fd, (const struct sockaddr *) &address, sizeof address), ==, 0);
  const uint8_t *tcp = user_guest_wait (f, false, NET_PROTOCOL_TCP, 22, &size, USER_GUEST_PATIENCE);
  g_assert_nonnull (tcp);
  send_tcp (f, net_get_u32 (tcp - 8), 22, net_get_u16 (tcp), 1, net_get_u32 (tcp + 4) + 1,
            TCP_SYN | TCP_ACK);
  g_assert_nonnull (user_guest_wait (f, false, NET_PROTOCOL_TCP, 22, &size, USER_GUEST_PATIENCE));
  for (unsigned i = 0; i < 10; i++) /* what the handshake left to do */
    g_main_context_iteration (NULL, FALSE);
  g_main_context_set_poll_func (NULL, count_awake);
  n_awake = 0;
  for (unsigned i = 0; i < 100; i++)
    g_main_context_iteration (NULL, FALSE);
  g_main_context_set_poll_func (NULL, NULL);
  g_assert_cmpint (n_awake, <, 5);
  close (fd);
}

static void
test_port_in_use (UserGuest *f, gconstpointer data)
{
  for (VmForwardProtocol protocol = 0; protocol < VM_N_FORWARDS; protocol++)
    {
      g_autoptr (GError) error = NULL;
      uint16_t port;
      int fd = open_socket (protocol == VM_FORWARD_TCP ? SOCK_STREAM : SOCK_DGRAM, &port);
      const VmForward forward =
          user_guest_make_forward ("%s::%u-:22", vm_forward_protocol_to_string (protocol), port);
      g_autofree char *text = vm_forward_to_string (&forward);
      g_autofree char *expected = g_strdup_printf (
          "forward %s: Address already in use; another program has the port: choose another one",
          text);

      g_assert_false (net_user_add_forward (f->user, &forward, &error));
      g_assert_cmpstr (error->message, ==, expected);
      close (fd);
      g_clear_error (&error);
      g_assert_true (net_user_add_forward (f->user, &forward, &error));
      g_assert_false (net_user_add_forward (f->user, &forward, &error));
      g_assert_cmpstr (error->message, ==, expected);
    }
}

static void
test_too_many (UserGuest *f, gconstpointer data)
{
  g_autoptr (GError) error = NULL;
  VmForward forward = user_guest_make_forward ("udp::1-:22");

  for (unsigned i = 0; i < VM_FORWARDS_MAX; i++)
    {
      forward.host_port = find_port (SOCK_DGRAM);
      g_assert_true (net_user_add_forward (f->user, &forward, &error));
    }
  forward.host_port = find_port (SOCK_DGRAM);
  g_assert_false (net_user_add_forward (f->user, &forward, &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_NO_SPACE);
}

/* However the guest names it: what listens on the host's loopback hears nothing. */
static void
test_loopback_closed (UserGuest *f, gconstpointer data)
{
  static const uint32_t names[] = { GATEWAY, DNS,     LOOPBACK,    LOOPBACK + 1,
                                    0,       NETWORK, NETWORK + 9, NETWORK + 255 };
  uint16_t tcp_port, udp_port;
  int tcp = open_socket (SOCK_STREAM, &tcp_port), udp = open_socket (SOCK_DGRAM, &udp_port);
  char got[64];
  size_t size;

  say_hello (f);
  for (unsigned i = 0; i < G_N_ELEMENTS (names); i++)
    {
      send_udp (f, GUEST, 1000, names[i], udp_port, "knock", 5);
      send_tcp (f, names[i], 1000 + i, tcp_port, 1, 0, TCP_SYN);
    }
  for (unsigned i = 0; i < G_N_ELEMENTS (names); i++)
    {
      const uint8_t *answer = user_guest_wait (f, false, NET_PROTOCOL_TCP, 1000 + i, &size, 20000);

      if (answer)
        g_assert_true (answer[13] & TCP_RST);
    }
  g_assert_cmpint (recv (udp, got, sizeof got, MSG_DONTWAIT), <, 0);
  GSocket *listener = g_socket_new_from_fd (tcp, NULL);
  g_socket_set_blocking (listener, FALSE);
  g_assert_null (g_socket_accept (listener, NULL, NULL));
  g_object_unref (listener);
  close (udp);
}

static void
test_restricted (UserGuest *f, gconstpointer data)
{
  g_autoptr (GError) error = NULL;
  VmForward forward = user_guest_make_forward ("udp::%u-:53", find_port (SOCK_DGRAM));
  uint16_t mine;
  int fd = open_socket (SOCK_DGRAM, &mine);
  char got[64];
  size_t size;

  say_hello (f);
  /* TEST-NET-1: answered by nobody, but libslirp would try. */
  send_tcp (f, 0xc0000201, 1000, 80, 1, 0, TCP_SYN);
  g_assert_true (net_user_add_forward (f->user, &forward, &error));
  send_to (fd, forward.host_port, "question");
  g_assert_nonnull (user_guest_wait (f, false, NET_PROTOCOL_UDP, 53, &size, USER_GUEST_PATIENCE));
  send_udp (f, GUEST, 53, GATEWAY, mine, "answer", 6);
  g_assert_cmpint (recv (fd, got, sizeof got, 0), ==, 6);
  close (fd);
}

/* Nothing that a guest sends ends the network; short, odd and random frames. */
static void
test_rubbish (UserGuest *f, gconstpointer data)
{
  g_autoptr (GRand) rand = g_rand_new_with_seed (3);
  uint8_t frame[FRAME_MAX];

  for (unsigned i = 0; i < 3000; i++)
    {
      const size_t size = g_rand_int_range (rand, 0, 120);

      for (size_t k = 0; k < size; k++)
        frame[k] = g_rand_int (rand);
      if (i % 2 && size > 14)
        wrap (frame, i % 4 == 1 ? NET_PROTOCOL_TCP : NET_PROTOCOL_UDP, GUEST,
              0x7f000000 + g_rand_int (rand) % 256, MAX (size, 34) - 34);
      f->backend.ops->send (f->backend.opaque, frame, size);
    }
  g_ptr_array_set_size (f->got, 0);
  send_arp (f, GATEWAY);
  g_assert_cmpuint (f->got->len, ==, 1);
}

/* In a thread of its own. */
static void
test_thread (void)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (NetUser) user = net_user_new (false, NULL, &error);
  VmForward forward = user_guest_make_forward ("tcp::%u-:22", find_port (SOCK_STREAM));

  g_assert_no_error (error);
  g_assert_true (net_user_add_forward (user, &forward, &error));
  g_assert_false (net_user_add_forward (user, &forward, &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_ADDRESS_IN_USE);
  g_clear_error (&error);
  g_assert_true (net_user_remove_forward (user, &forward, &error));
  g_assert_true (net_user_add_forward (user, &forward, &error));
}

#define ADD(name, func, restricted)                                                                \
  g_test_add ("/net-user/" name, UserGuest, restricted, user_guest_setup, func, user_guest_teardown)

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_log_set_always_fatal (G_LOG_FATAL_MASK | G_LOG_LEVEL_CRITICAL); /* guests are complained of */
  ADD ("arp", test_arp, NULL);
  ADD ("dhcp", test_dhcp, NULL);
  ADD ("udp-forward", test_udp_forward, NULL);
  ADD ("tcp-forward", test_tcp_forward, NULL);
  ADD ("idle-connection", test_idle_connection, NULL);
  ADD ("port-in-use", test_port_in_use, NULL);
  ADD ("too-many", test_too_many, NULL);
  ADD ("loopback-closed", test_loopback_closed, NULL);
  ADD ("restricted", test_restricted, "restricted");
  ADD ("rubbish", test_rubbish, NULL);
  g_test_add_func ("/net-user/thread", test_thread);
  return g_test_run ();
}
