#include "net/net-guard.h"

#include <string.h>
#include <arpa/inet.h>
#include <glib.h>

#include "net/net-backend.h"
#include "net/net-offload.h"

#define DNS     0x0a000203u
#define WORLD   0xc0000201u
#define TCP_SYN 0x02
#define TCP_ACK 0x10
#define SECOND  G_TIME_SPAN_SECOND
#define FULL    NET_GUARD_SOCKETS_MAX
#define PAYLOAD (NET_ETH_HEADER + 20)

static const uint8_t dns6[16] = { 0xfe, 0xc0, [15] = 3 };
static const uint8_t gateway6[16] = { 0xfe, 0xc0, [15] = 2 };

typedef struct Fixture
{
  NetGuard *guard;
  unsigned n_sockets;
  int64_t now_us;
  const uint8_t *frame; /* that passed */
  size_t size;
  NetFrame parsed;
} Fixture;

static void
setup (Fixture *f, gconstpointer data)
{
  f->guard = net_guard_new (DNS, dns6, gateway6);
  f->now_us = 1000 * SECOND;
}

static void
teardown (Fixture *f, gconstpointer data)
{
  net_guard_free (f->guard);
}

static size_t
make (uint8_t *frame, uint8_t protocol, uint32_t to, size_t size)
{
  uint8_t *ip = frame + NET_ETH_HEADER;

  memset (frame, 0, PAYLOAD);
  net_put_u16 (frame + 12, 0x0800);
  ip[0] = 0x45;
  net_put_u16 (ip + 2, 20 + size);
  net_put_u16 (ip + 4, 77);
  ip[9] = protocol;
  net_put_u32 (ip + 12, 0x0a00020f);
  net_put_u32 (ip + 16, to);
  return PAYLOAD + size;
}

static bool
check (Fixture *f, const uint8_t *frame, size_t size)
{
  f->frame = frame;
  f->size = size;
  return net_guard_check (f->guard, &f->frame, &f->size, &f->parsed, f->n_sockets, f->now_us);
}

static bool
check_udp (Fixture *f, uint32_t to, uint16_t from_port, uint16_t port)
{
  uint8_t frame[128] = { 0 };
  const size_t size = make (frame, NET_PROTOCOL_UDP, to, 8);

  net_put_u16 (frame + PAYLOAD, from_port);
  net_put_u16 (frame + PAYLOAD + 2, port);
  return check (f, frame, size);
}

static bool
check_tcp (Fixture *f, uint32_t to, uint16_t port, uint8_t flags)
{
  uint8_t frame[128] = { 0 };
  const size_t size = make (frame, NET_PROTOCOL_TCP, to, 20);

  net_put_u16 (frame + PAYLOAD + 2, port);
  frame[PAYLOAD + 12] = 0x50;
  frame[PAYLOAD + 13] = flags;
  return check (f, frame, size);
}

/* Sends bytes [offset, offset + length) of a datagram whose bytes count; last says that there are no more. */
static bool
check_fragment (Fixture *f, uint16_t id, size_t offset, size_t length, bool last)
{
  g_autofree uint8_t *frame = g_malloc (PAYLOAD + length);
  const size_t size = make (frame, NET_PROTOCOL_UDP, WORLD, length);

  net_put_u16 (frame + NET_ETH_HEADER + 4, id);
  net_put_u16 (frame + NET_ETH_HEADER + 6, offset / 8 | (last ? 0 : 0x2000));
  for (size_t i = 0; i < length; i++)
    frame[PAYLOAD + i] = (offset + i) * 5 + (offset + i) / 256;
  const bool passed = check (f, frame, size);
  /* It is not ours. */
  if (passed)
    g_assert_true (f->frame < frame || f->frame >= frame + size);
  return passed;
}

static void
assert_datagram (Fixture *f, size_t length)
{
  g_assert_cmpuint (f->size, ==, PAYLOAD + length);
  g_assert_false (f->parsed.fragment);
  g_assert_cmpuint (f->parsed.end - f->parsed.transport, ==, length);
  for (size_t i = 0; i < length; i++)
    g_assert_cmphex (f->frame[PAYLOAD + i], ==, (uint8_t) (i * 5 + i / 256));
  const uint16_t checksum = ~net_offload_fold (net_offload_sum (f->frame + NET_ETH_HEADER, 20));
  g_assert_cmphex (checksum, ==, 0);
}

static void
test_closed (Fixture *f, gconstpointer data)
{
  uint8_t frame[64] = { 0 };

  g_assert_true (check_udp (f, WORLD, 1, 99));
  g_assert_false (check_udp (f, 0x7f000001, 1, 99));
  g_assert_false (check_tcp (f, 0, 99, TCP_SYN));
  g_assert_true (check_udp (f, DNS, 1, 53));
  g_assert_true (check_tcp (f, DNS, 53, TCP_SYN));
  g_assert_false (check_udp (f, DNS, 1, 54));
  g_assert_false (check_tcp (f, DNS, 80, TCP_SYN));
  g_assert_false (check (f, frame, 13));
  g_assert_false (check (f, frame, sizeof frame));
  net_put_u16 (frame + 12, 0x0806);
  g_assert_true (check (f, frame, sizeof frame));
  g_assert_cmpuint (f->parsed.end, ==, 0);
}

static bool
check_ipv6 (Fixture *f, uint8_t protocol, const char *to, uint16_t port)
{
  uint8_t frame[128] = { 0 };
  uint8_t *ip = frame + NET_ETH_HEADER;

  net_put_u16 (frame + 12, 0x86dd);
  ip[0] = 0x60;
  net_put_u16 (ip + 4, 20);
  ip[6] = protocol;
  g_assert_cmpint (inet_pton (AF_INET6, to, ip + 24), ==, 1);
  if (protocol == NET_PROTOCOL_ICMPV6)
    ip[40] = port;
  else
    net_put_u16 (ip + 42, port);
  ip[40 + 13] = TCP_SYN;
  return check (f, frame, NET_ETH_HEADER + 60);
}

static void
test_closed_ipv6 (Fixture *f, gconstpointer data)
{
  static const char *const loopbacks[] = {
    "::1", "::", "::127.0.0.1", "::ffff:127.0.0.1", "::ffff:0.0.0.0", "::2"
  };

  for (unsigned i = 0; i < G_N_ELEMENTS (loopbacks); i++)
    {
      g_assert_false (check_ipv6 (f, NET_PROTOCOL_UDP, loopbacks[i], 53));
      g_assert_false (check_ipv6 (f, NET_PROTOCOL_TCP, loopbacks[i], 80));
    }
  g_assert_true (check_ipv6 (f, NET_PROTOCOL_UDP, "2001:db8::1", 99));
  g_assert_true (check_ipv6 (f, NET_PROTOCOL_TCP, "2001:db8::1", 80));
  g_assert_true (check_ipv6 (f, NET_PROTOCOL_UDP, "fec0::3", 53));
  g_assert_true (check_ipv6 (f, NET_PROTOCOL_TCP, "fec0::3", 53));
  g_assert_false (check_ipv6 (f, NET_PROTOCOL_UDP, "fec0::3", 54));
  g_assert_false (check_ipv6 (f, NET_PROTOCOL_TCP, "fec0::3", 80));
}

static void
test_ping_ipv6 (Fixture *f, gconstpointer data)
{
  g_assert_true (check_ipv6 (f, NET_PROTOCOL_ICMPV6, "fec0::2", 128));
  g_assert_true (check_ipv6 (f, NET_PROTOCOL_ICMPV6, "fec0::3", 128));
  g_assert_true (check_ipv6 (f, NET_PROTOCOL_ICMPV6, "fe80::2", 128));
  g_assert_false (check_ipv6 (f, NET_PROTOCOL_ICMPV6, "fec0::4", 128));
  g_assert_false (check_ipv6 (f, NET_PROTOCOL_ICMPV6, "fec0:0:0:1::2", 128));
  g_assert_false (check_ipv6 (f, NET_PROTOCOL_ICMPV6, "2001:db8::2", 128));
  g_assert_false (check_ipv6 (f, NET_PROTOCOL_ICMPV6, "ff02::1", 128));
  g_assert_true (check_ipv6 (f, NET_PROTOCOL_ICMPV6, "ff02::1:ff00:2", 135));
}

/* What there is goes on, nothing new begins. */
static void
test_too_many_sockets (Fixture *f, gconstpointer data)
{
  uint8_t ping[64];

  g_assert_true (check_udp (f, WORLD, 1000, 99));
  f->n_sockets = FULL;
  g_assert_true (check_udp (f, WORLD, 1000, 99));
  g_assert_false (check_udp (f, WORLD, 1001, 99));
  g_assert_false (check_tcp (f, WORLD, 80, TCP_SYN));
  g_assert_true (check_tcp (f, WORLD, 80, TCP_ACK));
  g_assert_true (check_tcp (f, WORLD, 80, TCP_SYN | TCP_ACK)); /* by a forward */
  g_assert_false (check (f, ping, make (ping, 1, WORLD, 8)));
  f->n_sockets = FULL - 1;
  g_assert_true (check_udp (f, WORLD, 1001, 99));
  g_assert_true (check_tcp (f, WORLD, 80, TCP_SYN));
  /* The port's socket is gone after a while. */
  f->now_us += 241 * SECOND;
  f->n_sockets = FULL;
  g_assert_false (check_udp (f, WORLD, 1000, 99));
}

/* Each address that a guest sends from has sockets of its own. */
static void
test_too_many_by_address (Fixture *f, gconstpointer data)
{
  uint8_t frame[128] = { 0 };
  const size_t size = make (frame, NET_PROTOCOL_UDP, WORLD, 8);

  g_assert_true (check (f, frame, size));
  f->n_sockets = FULL;
  g_assert_true (check (f, frame, size));
  frame[NET_ETH_HEADER + 15] ^= 1;
  g_assert_false (check (f, frame, size));
  g_assert_false (check_ipv6 (f, NET_PROTOCOL_UDP, "2001:db8::1", 99));
  f->n_sockets = 0;
  g_assert_true (check_ipv6 (f, NET_PROTOCOL_UDP, "2001:db8::1", 99));
  f->n_sockets = FULL;
  g_assert_true (check_ipv6 (f, NET_PROTOCOL_UDP, "2001:db8::1", 99));
  g_assert_true (check_ipv6 (f, NET_PROTOCOL_UDP, "2001:db8::2", 99));
}

/* Who sends from ever new ports, as a name server, is not held up while the sockets are few. */
static void
test_many_ports (Fixture *f, gconstpointer data)
{
  for (unsigned i = 1; i < 60000; i++)
    g_assert_true (check_udp (f, WORLD, i, 53));
  f->n_sockets = FULL;
  g_assert_true (check_udp (f, WORLD, 59999, 53));
  g_assert_false (check_udp (f, WORLD, 60000, 53));
}

static void
test_in_order (Fixture *f, gconstpointer data)
{
  g_assert_false (check_fragment (f, 1, 0, 1480, false));
  g_assert_false (check_fragment (f, 1, 1480, 1480, false));
  g_assert_true (check_fragment (f, 1, 2960, 333, true));
  assert_datagram (f, 3293);
  /* The same id again is another datagram. */
  g_assert_false (check_fragment (f, 1, 0, 8, false));
  g_assert_true (check_fragment (f, 1, 8, 8, true));
  assert_datagram (f, 16);
}

static void
test_any_order (Fixture *f, gconstpointer data)
{
  g_assert_false (check_fragment (f, 1, 1600, 7, true));
  g_assert_false (check_fragment (f, 2, 800, 800, false));
  g_assert_false (check_fragment (f, 1, 800, 800, false));
  g_assert_false (check_fragment (f, 2, 0, 800, false));
  g_assert_true (check_fragment (f, 1, 0, 800, false));
  assert_datagram (f, 1607);
  g_assert_true (check_fragment (f, 2, 1600, 100, true));
  assert_datagram (f, 1700);
}

static void
test_largest (Fixture *f, gconstpointer data)
{
  const size_t length = 65535 - 20;

  for (size_t at = 0; at + 1480 < length; at += 1480)
    g_assert_false (check_fragment (f, 1, at, 1480, false));
  g_assert_true (check_fragment (f, 1, length / 1480 * 1480, length % 1480, true));
  assert_datagram (f, length);
  g_assert_false (check_fragment (f, 2, 65512, 8, true)); /* a byte too far */
}

/* Each makes its datagram void: what comes after begins another. */
static void
test_contradictions (Fixture *f, gconstpointer data)
{
  g_assert_false (check_fragment (f, 1, 0, 800, false));
  g_assert_false (check_fragment (f, 1, 792, 800, false)); /* overlaps */
  g_assert_false (check_fragment (f, 1, 800, 8, true));
  g_assert_false (check_fragment (f, 2, 0, 801, false)); /* not a multiple of 8 */
  g_assert_false (check_fragment (f, 2, 800, 8, true));
  g_assert_false (check_fragment (f, 3, 800, 8, true)); /* two ends */
  g_assert_false (check_fragment (f, 3, 1600, 8, true));
  g_assert_false (check_fragment (f, 3, 0, 800, false));
  g_assert_false (check_fragment (f, 4, 1600, 8, false)); /* bytes behind the end */
  g_assert_false (check_fragment (f, 4, 8, 8, true));
  g_assert_false (check_fragment (f, 4, 0, 8, false));
  g_assert_false (check_fragment (f, 5, 16, 0, true)); /* nothing */
  g_assert_false (check_fragment (f, 5, 0, 16, false));
}

/* However many are begun: the memory is bounded, and the newest are not lost. */
static void
test_flood (Fixture *f, gconstpointer data)
{
  for (unsigned i = 0; i < 5000; i++, f->now_us++)
    g_assert_false (check_fragment (f, i, 0, 8, false));
  g_assert_true (check_fragment (f, 4999, 8, 8, true));
  g_assert_true (check_fragment (f, 4985, 8, 8, true));
  g_assert_false (check_fragment (f, 4000, 8, 8, true));
  g_assert_false (check_fragment (f, 6000, 0, 8, false));
  f->now_us += 31 * SECOND;
  g_assert_false (check_fragment (f, 6000, 8, 8, true));
}

#define ADD(name, func) g_test_add ("/net-guard/" name, Fixture, NULL, setup, func, teardown)

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_log_set_always_fatal (G_LOG_FATAL_MASK | G_LOG_LEVEL_CRITICAL); /* guests are complained of */
  ADD ("closed", test_closed);
  ADD ("closed-ipv6", test_closed_ipv6);
  ADD ("ping-ipv6", test_ping_ipv6);
  ADD ("too-many-sockets", test_too_many_sockets);
  ADD ("too-many-by-address", test_too_many_by_address);
  ADD ("many-ports", test_many_ports);
  ADD ("fragments/in-order", test_in_order);
  ADD ("fragments/any-order", test_any_order);
  ADD ("fragments/largest", test_largest);
  ADD ("fragments/contradictions", test_contradictions);
  ADD ("fragments/flood", test_flood);
  return g_test_run ();
}
