/* A UDP port that is forwarded: datagrams of the host, and frames of the guest, some of which answer; by IPv4, and the same again by
 * IPv6. Input: a row of [what 1 byte] with
 * a datagram [n][n bytes], a frame [n][n bytes], or an answer [ports and addresses right or wrong 1 byte][length 2 bytes][n][n bytes].
 * What the guest gets is a whole UDP packet; an answer goes to nobody but who asked. */
#include "fuzz-target.h"

#include <string.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include "fuzz-input.h"
#include "net/net-backend.h"
#include "net/net-udp.h"

#define PORT        53
#define HEADERS_MAX (NET_ETH_HEADER + 40 + 8)
#define STEPS_MAX   64

enum
{
  STEP_DATAGRAM,
  STEP_FRAME,
  STEP_ANSWER,
  STEP_MAC,
  STEPS
};

enum
{
  WRONG_ADDRESS = 1 << 0,
  WRONG_PORT = 1 << 1,
  WRONG_SENDER = 1 << 2,
  WRONG_LENGTH = 1 << 3,
};

typedef struct World
{
  bool ipv6;
  NetUdp *udp;
  int host; /* connected to the forward */
  uint16_t host_port;
  unsigned frames;
} World;

static void
deliver (void *opaque, const uint8_t *frame, size_t size)
{
  World *world = opaque;
  NetFrame parsed;

  g_assert_true (net_frame_parse (&parsed, frame, size));
  g_assert_cmpuint (parsed.end, ==, size);
  g_assert_cmpuint (parsed.protocol, ==, NET_PROTOCOL_UDP);
  g_assert_cmpuint (net_get_u16 (frame + parsed.transport), ==, world->host_port);
  g_assert_cmpuint (net_get_u16 (frame + parsed.transport + 4), ==, size - parsed.transport);
  world->frames++;
}

static void
flush (void *opaque)
{
}

/* An address of the guest's network, or of the loopback, as vm-forward.h has it. */
static struct in6_addr
make_address (const World *world, uint8_t network, uint8_t host)
{
  struct in6_addr address = { .s6_addr = { [10] = 0xff, 0xff, network, 0, 0, host } };

  if (world->ipv6)
    address = (struct in6_addr){ .s6_addr = { network == 127 ? 0 : 0xfe, [15] = host } };
  return address;
}

static bool
make (World *world)
{
  const VmForward forward = { .protocol = VM_FORWARD_UDP,
                              .host_address = make_address (world, 127, 1),
                              .guest_port = PORT };
  const NetUdpWire wire = {
    .gateway = make_address (world, 10, 2), .deliver = deliver, .flush = flush, .opaque = world
  };
  struct sockaddr_storage address;
  socklen_t length = sizeof address;
  int failure = 0;

  GMainContext *context = g_main_context_default ();
  /* Its socket gets the lowest number that is free. */
  const int fd = dup (STDERR_FILENO);
  close (fd);
  world->udp = net_udp_new (&forward, &wire, context, &failure);
  if (!world->udp && world->ipv6)
    return false; /* this computer has none */
  g_assert_nonnull (world->udp);
  g_assert_cmpint (getsockname (fd, (struct sockaddr *) &address, &length), ==, 0);
  world->host = socket (address.ss_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  g_assert_cmpint (connect (world->host, (struct sockaddr *) &address, length), ==, 0);
  g_assert_cmpint (getsockname (world->host, (struct sockaddr *) &address, &length), ==, 0);
  /* Both families have it there. */
  world->host_port = GUINT16_FROM_BE (((struct sockaddr_in *) &address)->sin_port);
  return true;
}

/* Exactly as long as it says, so that a byte too far is seen. */
static bool
take_frame (World *world, const uint8_t *bytes, size_t n)
{
  g_autofree uint8_t *frame = g_memdup2 (bytes, n);
  NetFrame parsed;

  return n > 0 && net_frame_parse (&parsed, frame, n) && net_udp_take (world->udp, &parsed, frame);
}

static void
answer (World *world, FuzzInput *input)
{
  const unsigned wrong = fuzz_take (input, 1), length = fuzz_take (input, 2);
  size_t n = fuzz_take (input, 1);
  const uint8_t *bytes = fuzz_take_bytes (input, &n);
  uint8_t frame[HEADERS_MAX + 255] = { 0 }, *ip = frame + NET_ETH_HEADER;
  uint8_t *header = ip + (world->ipv6 ? 40 : 20);
  const struct in6_addr from = make_address (world, 10, wrong & WRONG_SENDER ? 16 : 15);
  const struct in6_addr to = make_address (world, wrong & WRONG_ADDRESS ? 127 : 10, 2);
  uint8_t got[256];

  net_put_u16 (frame + 12, world->ipv6 ? 0x86dd : 0x0800);
  ip[0] = world->ipv6 ? 0x60 : 0x45;
  net_put_u16 (ip + (world->ipv6 ? 4 : 2), 8 + n + (world->ipv6 ? 0 : 20));
  ip[world->ipv6 ? 6 : 9] = NET_PROTOCOL_UDP;
  if (world->ipv6)
    {
      memcpy (ip + 8, &from, 16);
      memcpy (ip + 24, &to, 16);
    }
  else
    {
      memcpy (ip + 12, from.s6_addr + 12, 4);
      memcpy (ip + 16, to.s6_addr + 12, 4);
    }
  net_put_u16 (header, PORT);
  net_put_u16 (header + 2, world->host_port + (wrong & WRONG_PORT ? 1 : 0));
  net_put_u16 (header + 4, wrong & WRONG_LENGTH ? length : 8 + n);
  if (n > 0)
    memcpy (header + 8, bytes, n);
  const bool taken = take_frame (world, frame, header + 8 + n - frame);
  /* By IPv6 it may answer from any of its addresses. */
  if (wrong & (WRONG_ADDRESS | WRONG_PORT) || (wrong & WRONG_SENDER && !world->ipv6) ||
      world->frames == 0)
    g_assert_false (taken);
  if (taken)
    g_assert_cmpint (recv (world->host, got, sizeof got, MSG_DONTWAIT), <=, (ssize_t) n);
}

static void
step (World *world, FuzzInput *input)
{
  const NetUdpGuest guest = { .mac = { 2, 0, 0, 0, 0, 1 },
                              .address = make_address (world, 10, 15) };
  const unsigned what = fuzz_take (input, 1) % STEPS;

  if (what == STEP_MAC)
    net_udp_set_guest (world->udp, &guest);
  else if (what == STEP_ANSWER)
    answer (world, input);
  else
    {
      size_t n = fuzz_take (input, 1);
      const uint8_t *bytes = fuzz_take_bytes (input, &n);

      if (what == STEP_FRAME)
        take_frame (world, bytes, n);
      else
        g_assert_cmpint (send (world->host, bytes, n, 0), ==, (ssize_t) n);
    }
  while (g_main_context_iteration (NULL, FALSE))
    ;
}

static void
run (World *world, FuzzInput input)
{
  if (!make (world))
    return;
  for (unsigned i = 0; i < STEPS_MAX && input.size > 0; i++)
    step (world, &input);
  net_udp_free (world->udp);
  close (world->host);
}

int
LLVMFuzzerTestOneInput (const uint8_t *data, size_t size)
{
  run (&(World){ .ipv6 = false }, (FuzzInput){ data, size });
  run (&(World){ .ipv6 = true }, (FuzzInput){ data, size });
  return 0;
}
