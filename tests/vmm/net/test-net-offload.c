#include "net/net-offload.h"

#include <string.h>

#include "net/net-backend.h"
#include "net/net-frame.h"

#define TCP_FIN 0x01
#define TCP_SYN 0x02
#define TCP_PSH 0x08
#define TCP_CWR 0x80

typedef struct Taken
{
  GPtrArray *frames; /* GBytes */
} Taken;

static void
take (void *opaque, const uint8_t *frame, size_t size)
{
  g_ptr_array_add (((Taken *) opaque)->frames, g_bytes_new (frame, size));
}

static const uint8_t *
get (const Taken *taken, unsigned i, size_t *size)
{
  return g_bytes_get_data (taken->frames->pdata[i], size);
}

/* RFC 1071 as it is written: two bytes at a time, big-endian. */
static uint16_t
plain_checksum (uint32_t sum, const uint8_t *bytes, size_t size)
{
  for (size_t i = 0; i < size; i++)
    sum += i % 2 == 0 ? bytes[i] << 8 : bytes[i];
  while (sum > 0xffff)
    sum = (sum & 0xffff) + (sum >> 16);
  return ~sum;
}

static void
assert_transport_checksum (const NetFrame *frame, const uint8_t *bytes)
{
  const uint8_t *ip = bytes + frame->network;
  const size_t length = frame->end - frame->transport;
  uint32_t sum = frame->protocol + length;
  const uint8_t *addresses = ip + (frame->ipv6 ? 8 : 12);

  for (unsigned i = 0; i < (frame->ipv6 ? 32 : 8); i += 2)
    sum += net_get_u16 (addresses + i);
  g_assert_cmphex (plain_checksum (sum, bytes + frame->transport, length), ==, 0);
}

static void
assert_checksums (const uint8_t *bytes, size_t size)
{
  NetFrame frame;

  g_assert_true (net_frame_parse (&frame, bytes, size));
  if (!frame.ipv6)
    g_assert_cmphex (plain_checksum (0, bytes + frame.network, frame.transport - frame.network), ==,
                     0);
  if (!frame.fragment)
    assert_transport_checksum (&frame, bytes);
}

/* An IP frame; what is behind its headers counts up. */
static size_t
make_frame (uint8_t *bytes, bool ipv6, uint8_t protocol, size_t header, size_t payload)
{
  uint8_t *ip = bytes + NET_ETH_HEADER;
  const size_t network = ipv6 ? 40 : 20;
  uint8_t *transport = ip + network;

  memset (bytes, 0, NET_ETH_HEADER + network + header);
  net_put_u16 (bytes + 12, ipv6 ? 0x86dd : 0x0800);
  if (ipv6)
    {
      ip[0] = 0x60;
      net_put_u16 (ip + 4, header + payload);
      ip[6] = protocol;
      for (unsigned i = 0; i < 32; i++)
        ip[8 + i] = 3 * i;
    }
  else
    {
      ip[0] = 0x45;
      net_put_u16 (ip + 2, 20 + header + payload);
      net_put_u16 (ip + 4, 0x1234);
      ip[9] = protocol;
      net_put_u32 (ip + 12, 0x0a00020f);
      net_put_u32 (ip + 16, 0x01020304);
    }
  if (protocol == NET_PROTOCOL_TCP)
    transport[12] = header / 4 << 4;
  else
    net_put_u16 (transport + 4, header + payload);
  for (size_t i = 0; i < payload; i++)
    transport[header + i] = i + i / 256;
  return NET_ETH_HEADER + network + header + payload;
}

static void
test_sum (void)
{
  uint8_t bytes[70];

  for (unsigned i = 0; i < sizeof bytes; i++)
    bytes[i] = 255 - i * 7;
  for (unsigned start = 0; start < 4; start++)
    for (unsigned size = 0; start + size <= sizeof bytes; size++)
      {
        const uint16_t sum = ~net_offload_fold (net_offload_sum (bytes + start, size));

        g_assert_cmphex (GUINT16_FROM_BE (sum), ==, plain_checksum (0, bytes + start, size));
      }
}

/* As a driver leaves it: the pseudo-header's sum in the checksum's place. */
static NetOffload
describe_as_driver (uint8_t *bytes, size_t size, unsigned checksum_offset, NetGso gso,
                    uint16_t gso_size)
{
  NetFrame frame;

  g_assert_true (net_frame_parse (&frame, bytes, size));
  const uint8_t *ip = bytes + frame.network;
  uint32_t sum = frame.protocol + (frame.end - frame.transport);
  for (unsigned i = 0; i < (frame.ipv6 ? 32 : 8); i += 2)
    sum += net_get_u16 (ip + (frame.ipv6 ? 8 : 12) + i);
  while (sum > 0xffff)
    sum = (sum & 0xffff) + (sum >> 16);
  net_put_u16 (bytes + frame.transport + checksum_offset, sum);
  return (NetOffload){
    .needs_checksum = true,
    .checksum_start = frame.transport,
    .checksum_offset = checksum_offset,
    .gso = gso,
    .gso_size = gso_size,
  };
}

static void
test_checksum (void)
{
  g_autoptr (GPtrArray) frames = g_ptr_array_new_with_free_func ((GDestroyNotify) g_bytes_unref);
  Taken taken = { frames };
  uint8_t bytes[2048];

  for (unsigned ipv6 = 0; ipv6 < 2; ipv6++)
    for (unsigned tcp = 0; tcp < 2; tcp++)
      for (unsigned payload = 0; payload < 5; payload++)
        {
          size_t size = make_frame (bytes, ipv6, tcp ? NET_PROTOCOL_TCP : NET_PROTOCOL_UDP,
                                    tcp ? 20 : 8, payload);
          const NetOffload offload =
              describe_as_driver (bytes, size, tcp ? 16 : 6, NET_GSO_NONE, 0);

          if (!ipv6)
            net_put_u16 (bytes + NET_ETH_HEADER + 10,
                         plain_checksum (0, bytes + NET_ETH_HEADER, 20));
          g_assert_true (net_offload_finish (&offload, bytes, size, sizeof bytes, take, &taken));
          assert_checksums (bytes, size);
        }
  g_assert_cmpuint (frames->len, ==, 20);
}

static void
check_segments (const Taken *taken, bool ipv6, size_t payload, size_t gso_size, size_t frame_max)
{
  uint32_t sequence = 0xfffffff0u;
  size_t done = 0;

  for (unsigned i = 0; i < taken->frames->len; i++)
    {
      const bool last = i + 1 == taken->frames->len;
      size_t size, start;
      const uint8_t *bytes = get (taken, i, &size);
      NetFrame frame;

      g_assert_cmpuint (size, <=, frame_max);
      assert_checksums (bytes, size);
      g_assert_true (net_frame_parse (&frame, bytes, size));
      g_assert_true (net_frame_get_tcp (&frame, bytes, &start));
      const uint8_t *tcp = bytes + frame.transport;
      g_assert_cmphex (net_get_u32 (tcp + 4), ==, sequence);
      g_assert_cmphex (tcp[13], ==, (last ? TCP_FIN | TCP_PSH : 0) | (i == 0 ? TCP_CWR : 0));
      if (!ipv6)
        g_assert_cmphex (net_get_u16 (bytes + 18), ==, 0x1234 + i);
      if (!last)
        g_assert_cmpuint ((frame.end - start) % gso_size, ==, 0);
      for (size_t k = start; k < frame.end; k++, done++)
        g_assert_cmphex (bytes[k], ==, (uint8_t) (done + done / 256));
      sequence += frame.end - start;
    }
  g_assert_cmpuint (done, ==, payload);
}

static void
test_cut (void)
{
  static const size_t payloads[] = { 1, 1447, 1448, 1449, 2896, 60000 };
  static const size_t limits[] = { NET_FRAME_PLAIN, 4000, 65534 };
  g_autofree uint8_t *bytes = g_malloc (NET_FRAME_MAX);

  for (unsigned ipv6 = 0; ipv6 < 2; ipv6++)
    for (unsigned i = 0; i < G_N_ELEMENTS (payloads); i++)
      for (unsigned k = 0; k < G_N_ELEMENTS (limits); k++)
        {
          g_autoptr (GPtrArray) frames =
              g_ptr_array_new_with_free_func ((GDestroyNotify) g_bytes_unref);
          Taken taken = { frames };
          const size_t size = make_frame (bytes, ipv6, NET_PROTOCOL_TCP, 32, payloads[i]);
          uint8_t *tcp = bytes + NET_ETH_HEADER + (ipv6 ? 40 : 20);

          net_put_u32 (tcp + 4, 0xfffffff0u);
          tcp[13] = TCP_FIN | TCP_PSH | TCP_CWR;
          if (!ipv6)
            net_put_u16 (bytes + NET_ETH_HEADER + 10,
                         plain_checksum (0, bytes + NET_ETH_HEADER, 20));
          const NetOffload offload = describe_as_driver (
              bytes, size, 16, ipv6 ? NET_GSO_TCPV6 : NET_GSO_TCPV4, ipv6 ? 1428 : 1448);
          g_assert_true (net_offload_finish (&offload, bytes, size, limits[k], take, &taken));
          check_segments (&taken, ipv6, payloads[i], offload.gso_size, limits[k]);
        }
}

static void
assert_refused (const NetOffload *offload, const uint8_t *frame, size_t size)
{
  g_autoptr (GPtrArray) frames = g_ptr_array_new_with_free_func ((GDestroyNotify) g_bytes_unref);
  g_autofree uint8_t *copy = g_memdup2 (frame, size);
  Taken taken = { frames };

  g_assert_false (net_offload_finish (offload, copy, size, NET_FRAME_PLAIN, take, &taken));
  g_assert_cmpuint (frames->len, ==, 0);
}

static void
test_lies (void)
{
  uint8_t bytes[4096];
  size_t size = make_frame (bytes, false, NET_PROTOCOL_TCP, 20, 3000);
  const NetOffload good = { true, 34, 16, NET_GSO_TCPV4, 1448, 0 };
  NetOffload offload;

  assert_refused (&(NetOffload){ .gso = NET_GSO_NONE }, bytes, size); /* too long, and no TCP */
  offload = good, offload.gso = NET_GSO_TCPV6;
  assert_refused (&offload, bytes, size);
  offload = good, offload.gso_size = 0;
  assert_refused (&offload, bytes, size);
  offload = good, offload.gso_size = 1500; /* one does not fit */
  assert_refused (&offload, bytes, size);
  offload = good, offload.needs_checksum = false;
  assert_refused (&offload, bytes, size);
  offload = good, offload.checksum_start = 0;
  assert_refused (&offload, bytes, size);
  offload = good, offload.checksum_start = size - 1;
  assert_refused (&offload, bytes, size);
  offload = good, offload.checksum_offset = UINT16_MAX;
  assert_refused (&offload, bytes, size);
  bytes[NET_ETH_HEADER + 32] = 0x10; /* a TCP header of 4 bytes */
  assert_refused (&good, bytes, size);
  bytes[NET_ETH_HEADER + 32] = 0xf0;
  net_put_u16 (bytes + NET_ETH_HEADER + 2, 70); /* and one that the packet is too short for */
  assert_refused (&good, bytes, size);
  net_put_u16 (bytes + NET_ETH_HEADER + 2, UINT16_MAX);
  assert_refused (&good, bytes, size);
  bytes[NET_ETH_HEADER] = 0x44;
  assert_refused (&good, bytes, size);
  size = make_frame (bytes, false, NET_PROTOCOL_UDP, 8, 3000);
  assert_refused (&good, bytes, size);
}

static void
test_describe (void)
{
  uint8_t bytes[4096], checksum[2];
  NetOffload offload;

  for (unsigned ipv6 = 0; ipv6 < 2; ipv6++)
    {
      const size_t size = make_frame (bytes, ipv6, NET_PROTOCOL_TCP, 20, 3000);
      const NetOffload driver = describe_as_driver (bytes, size, 16, NET_GSO_NONE, 0);
      const unsigned start = NET_ETH_HEADER + (ipv6 ? 40 : 20);

      g_assert_true (net_offload_describe (&offload, bytes, size, checksum));
      g_assert_cmpuint (offload.gso, ==, ipv6 ? NET_GSO_TCPV6 : NET_GSO_TCPV4);
      g_assert_cmpuint (offload.checksum_start, ==, start);
      g_assert_cmpuint (offload.headers, ==, start + 20);
      g_assert_cmpuint (offload.headers - NET_ETH_HEADER + offload.gso_size, <=, NET_MTU);
      g_assert_cmphex (net_get_u16 (checksum), ==,
                       net_get_u16 (bytes + driver.checksum_start + 16));
    }
  g_assert_false (net_offload_describe (
      &offload, bytes, make_frame (bytes, false, NET_PROTOCOL_TCP, 20, 1000), checksum));
  g_assert_cmpuint (offload.gso, ==, NET_GSO_NONE);
  g_assert_false (net_offload_describe (
      &offload, bytes, make_frame (bytes, false, NET_PROTOCOL_UDP, 8, 3000), checksum));
}

static void
test_fragment (void)
{
  g_autoptr (GPtrArray) frames = g_ptr_array_new_with_free_func ((GDestroyNotify) g_bytes_unref);
  uint8_t bytes[8192], joined[8192];
  const size_t size = make_frame (bytes, false, NET_PROTOCOL_UDP, 8, 5000);
  Taken taken = { frames };
  size_t done = 0;

  g_assert_true (net_offload_fragment (bytes, size, NET_FRAME_PLAIN, take, &taken));
  g_assert_cmpuint (frames->len, ==, 4);
  for (unsigned i = 0; i < frames->len; i++)
    {
      size_t length;
      const uint8_t *piece = get (&taken, i, &length);
      NetFrame frame;

      g_assert_cmpuint (length, <=, NET_FRAME_PLAIN);
      assert_checksums (piece, length);
      g_assert_true (net_frame_parse (&frame, piece, length));
      g_assert_true (frame.fragment);
      g_assert_cmphex (net_get_u16 (piece + 20), ==, (i < 3 ? 0x2000 : 0) | done / 8);
      memcpy (joined + done, piece + frame.transport, frame.end - frame.transport);
      done += frame.end - frame.transport;
    }
  g_assert_cmpmem (joined, done, bytes + NET_ETH_HEADER + 20, size - NET_ETH_HEADER - 20);
  g_assert_false (net_offload_fragment (bytes, make_frame (bytes, true, NET_PROTOCOL_UDP, 8, 5000),
                                        NET_FRAME_PLAIN, take, &taken));
}

static void
test_mss (void)
{
  static const uint8_t options[][8] = {
    { 2, 4, 0x05, 0xb4, 1, 1, 1, 0 }, /* at an even offset */
    { 1, 2, 4, 0x05, 0xb4, 1, 1, 0 }, /* at an odd one */
  };
  const NetOffload none = { 0 };
  uint8_t bytes[256];

  for (unsigned i = 0; i < G_N_ELEMENTS (options); i++)
    {
      size_t size = make_frame (bytes, false, NET_PROTOCOL_TCP, 28, 0);
      uint8_t *tcp = bytes + NET_ETH_HEADER + 20;

      tcp[13] = TCP_SYN;
      memcpy (tcp + 20, options[i], 8);
      net_offload_fill_checksums (bytes, size);
      assert_checksums (bytes, size);
      net_offload_raise_mss (&none, bytes, size, 65460);
      g_assert_cmpuint (net_get_u16 (tcp + 22 + i), ==, 65460);
      assert_checksums (bytes, size);
      net_offload_raise_mss (&none, bytes, size, 536); /* never lowered */
      g_assert_cmpuint (net_get_u16 (tcp + 22 + i), ==, 65460);
      tcp[13] = 0; /* only of a SYN */
      net_offload_raise_mss (&none, bytes, size, 65461);
      g_assert_cmpuint (net_get_u16 (tcp + 22 + i), ==, 65460);
    }
}

static void
test_mss_lies (void)
{
  static const uint8_t options[][4] = { { 2, 4, 0, 0 }, { 2, 0, 0, 0 }, { 2, 255, 0, 0 },
                                        { 1, 1, 1, 2 }, { 0, 2, 4, 5 }, { 2, 1, 2, 4 },
                                        { 3, 2, 2, 4 } };
  const NetOffload none = { 0 };
  uint8_t bytes[256], before[256];

  for (unsigned i = 1; i < G_N_ELEMENTS (options); i++)
    {
      const size_t size = make_frame (bytes, false, NET_PROTOCOL_TCP, 24, 0);
      uint8_t *tcp = bytes + NET_ETH_HEADER + 20;

      tcp[13] = TCP_SYN;
      memcpy (tcp + 20, options[i], 4);
      memcpy (before, bytes, size);
      net_offload_raise_mss (&none, bytes, size, 65460);
      g_assert_cmpmem (before, size, bytes, size);
    }
}

static void
test_loopback (void)
{
  static const struct
  {
    uint32_t address;
    bool is_loopback;
  } cases[] = {
    { 0x7f000001, true },  { 0x7fffffff, true },  { 0, true },
    { 0x0a000202, false }, { 0xc0a80001, false },
  };
  uint8_t bytes[256];
  NetFrame frame;

  for (unsigned i = 0; i < G_N_ELEMENTS (cases); i++)
    {
      const size_t size = make_frame (bytes, false, NET_PROTOCOL_UDP, 8, 0);

      net_put_u32 (bytes + NET_ETH_HEADER + 16, cases[i].address);
      g_assert_true (net_frame_parse (&frame, bytes, size));
      g_assert_true (net_frame_is_for_loopback (&frame, bytes) == cases[i].is_loopback);
    }
  const size_t size = make_frame (bytes, true, NET_PROTOCOL_UDP, 8, 0);
  uint8_t *to = bytes + NET_ETH_HEADER + 24;

  g_assert_true (net_frame_parse (&frame, bytes, size));
  g_assert_false (net_frame_is_for_loopback (&frame, bytes));
  memset (to, 0, 16);
  g_assert_true (net_frame_is_for_loopback (&frame, bytes)); /* :: */
  to[15] = 1;
  g_assert_true (net_frame_is_for_loopback (&frame, bytes));
  memset (to + 10, 0xff, 2);
  to[12] = 127;
  g_assert_true (net_frame_is_for_loopback (&frame, bytes)); /* ::ffff:127.0.0.1 */
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/net-offload/sum", test_sum);
  g_test_add_func ("/net-offload/checksum", test_checksum);
  g_test_add_func ("/net-offload/cut", test_cut);
  g_test_add_func ("/net-offload/lies", test_lies);
  g_test_add_func ("/net-offload/describe", test_describe);
  g_test_add_func ("/net-offload/fragment", test_fragment);
  g_test_add_func ("/net-offload/mss", test_mss);
  g_test_add_func ("/net-offload/mss-lies", test_mss_lies);
  g_test_add_func ("/net-offload/loopback", test_loopback);
  return g_test_run ();
}
