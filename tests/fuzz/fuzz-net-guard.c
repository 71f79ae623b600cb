/* What a guest sends to its user network: a row of [seconds since the last, sockets 2 bits | how 6 bits][n][n bytes], each a frame as it is or,
 * by `how`, the payload of an IPv4 fragment [id][place 16]. What passes is well-formed, whole, and nothing that is closed. */
#include "fuzz-target.h"

#include <string.h>
#include <glib.h>

#include "net/net-backend.h"
#include "net/net-guard.h"

#define DNS         0x0a000203u
#define HEADERS     (NET_ETH_HEADER + 20)
#define FRAGMENT    1
#define LONG        2
#define FRAME_BYTES 4096

static size_t
make_fragment (uint8_t *frame, const uint8_t *bytes, size_t n, bool is_long)
{
  const size_t size = is_long ? 1480 : n;
  uint8_t *ip = frame + NET_ETH_HEADER;

  memset (frame, 0, HEADERS + size);
  memcpy (frame + 12, "\x08\x00\x45", 3);
  net_put_u16 (ip + 2, 20 + size);
  if (n >= 3)
    {
      ip[5] = bytes[0] & 3;
      memcpy (ip + 6, bytes + 1, 2);
    }
  ip[9] = NET_PROTOCOL_UDP;
  net_put_u32 (ip + 16, 0x01020304);
  memcpy (ip + 20, bytes, MIN (n, size));
  return HEADERS + size;
}

static void
check (NetGuard *guard, const uint8_t *bytes, size_t size, unsigned n_sockets, int64_t now_us)
{
  /* Exactly as long as it says, so that a byte too far is seen. */
  g_autofree uint8_t *copy = g_memdup2 (bytes, size);
  const uint8_t *frame = copy;
  NetFrame parsed, again;

  if (!net_guard_check (guard, &frame, &size, &parsed, n_sockets, now_us))
    return;
  g_assert_cmpuint (size, >=, NET_ETH_HEADER);
  g_assert_cmpuint (size, <=, NET_FRAME_MAX);
  if (parsed.end == 0)
    return;
  g_assert_true (net_frame_parse (&again, frame, size));
  g_assert_cmpuint (again.transport, ==, parsed.transport);
  g_assert_cmpuint (again.end, ==, parsed.end);
  g_assert_false (parsed.fragment);
  g_assert_false (net_frame_is_for_loopback (&parsed, frame));
}

int
LLVMFuzzerTestOneInput (const uint8_t *data, size_t size)
{
  static const uint8_t dns6[16] = { 0xfe, 0xc0, [15] = 3 };
  static const uint8_t gateway6[16] = { 0xfe, 0xc0, [15] = 2 };
  NetGuard *guard = net_guard_new (DNS, dns6, gateway6);
  uint8_t fragment[FRAME_BYTES];
  int64_t now_us = G_TIME_SPAN_HOUR;

  while (size >= 3)
    {
      const uint8_t how = data[1];
      const size_t n = MIN ((size_t) data[2], size - 3);
      const unsigned n_sockets = (how >> 6) * (NET_GUARD_SOCKETS_MAX / 2);

      now_us += data[0] * G_TIME_SPAN_SECOND;
      data += 3;
      if (how & FRAGMENT)
        check (guard, fragment, make_fragment (fragment, data, n, how & LONG), n_sockets, now_us);
      else
        check (guard, data, n, n_sockets, now_us);
      data += n;
      size -= n + 3;
    }
  net_guard_free (guard);
  return 0;
}
