#define G_LOG_DOMAIN "vmm-net"

#include "net/net-offload.h"

#include <string.h>
#include <glib.h>

#include "net/net-backend.h"
#include "net/net-frame.h"

#define IPV4_LENGTH      2
#define IPV4_ID          4
#define IPV4_FRAGMENT    6
#define FRAGMENT_OFFSET  0x1fff /* in units of 8 bytes */
#define FRAGMENT_MORE    0x2000
#define FRAGMENT_UNIT    8
#define IPV4_CHECKSUM    10
#define IPV4_SOURCE      12
#define IPV6_LENGTH      4
#define IPV6_SOURCE      8
#define IPV6_HEADER      40
#define TCP_SEQUENCE     4
#define TCP_FLAGS        13
#define TCP_CHECKSUM     16
#define TCP_OPTIONS      20
#define TCP_FIN          0x01
#define TCP_SYN          0x02
#define TCP_PSH          0x08
#define TCP_CWR          0x80
#define UDP_HEADER       8
#define UDP_CHECKSUM     6
#define OPTION_END       0
#define OPTION_NOTHING   1
#define OPTION_MSS       2
#define OPTION_MSS_SIZE  4
#define HEADERS_MAX      (NET_ETH_HEADER + 60 + 60)
#define ALL_ONES         0xffff
#define PLAIN_HEADERS_V4 (20 + 32) /* of a plain segment: with timestamps */
#define PLAIN_HEADERS_V6 (40 + 32)

/* Eight bytes at a time in the host's order: the sum is the same but for the order of its bytes (RFC 1071, 2(B)). */
uint64_t
net_offload_sum (const uint8_t *bytes, size_t size)
{
  uint64_t sum = 0;
  uint16_t last = 0;

  for (; size >= 8; bytes += 8, size -= 8)
    {
      uint32_t word[2];

      memcpy (word, bytes, sizeof word);
      sum += (uint64_t) word[0] + word[1]; /* 2^31 rounds until it could overflow */
    }
  for (; size >= 2; bytes += 2, size -= 2)
    {
      uint16_t half;

      memcpy (&half, bytes, sizeof half);
      sum += half;
    }
  if (size > 0)
    memcpy (&last, bytes, 1);
  return sum + last;
}

/* In the order of the host's bytes, as net_offload_sum (): in memory it is big-endian. */
uint16_t
net_offload_fold (uint64_t sum)
{
  while (sum > ALL_ONES)
    sum = (sum & ALL_ONES) + (sum >> 16);
  return sum;
}

static void
store (uint8_t *bytes, uint16_t in_memory_order)
{
  memcpy (bytes, &in_memory_order, sizeof in_memory_order);
}

static uint64_t
pseudo_header_sum (const NetFrame *frame, const uint8_t *bytes)
{
  const uint32_t length = frame->end - frame->transport;
  const uint8_t tail[8] = { length >> 24,   length >> 16, length >> 8, length, 0, 0, 0,
                            frame->protocol };
  const uint8_t *ip = bytes + frame->network;

  return net_offload_sum (tail, sizeof tail) + (frame->ipv6
                                                    ? net_offload_sum (ip + IPV6_SOURCE, 32)
                                                    : net_offload_sum (ip + IPV4_SOURCE, 8));
}

/* A UDP checksum of zero would say that there is none (RFC 768); to TCP both zeros are the same. */
static void
finish_checksum (const NetOffload *offload, uint8_t *frame, size_t size)
{
  const size_t start = offload->checksum_start;
  const uint16_t sum = ~net_offload_fold (net_offload_sum (frame + start, size - start));

  store (frame + start + offload->checksum_offset, sum ? sum : ALL_ONES);
}

/* --- cutting --- */

static void
set_ipv4_checksum (const NetFrame *frame, uint8_t *bytes)
{
  uint8_t *ip = bytes + frame->network;

  net_put_u16 (ip + IPV4_CHECKSUM, 0);
  store (ip + IPV4_CHECKSUM,
         ~net_offload_fold (net_offload_sum (ip, frame->transport - frame->network)));
}

static void
set_ip_length (const NetFrame *frame, uint8_t *bytes, uint16_t id)
{
  uint8_t *ip = bytes + frame->network;

  if (frame->ipv6)
    {
      net_put_u16 (ip + IPV6_LENGTH, frame->end - frame->transport);
      return;
    }
  net_put_u16 (ip + IPV4_LENGTH, frame->end - frame->network);
  net_put_u16 (ip + IPV4_ID, id);
  set_ipv4_checksum (frame, bytes);
}

static void
set_tcp (const NetFrame *frame, uint8_t *bytes, uint32_t sequence, uint8_t flags)
{
  uint8_t *tcp = bytes + frame->transport;

  net_put_u32 (tcp + TCP_SEQUENCE, sequence);
  tcp[TCP_FLAGS] = flags;
  net_put_u16 (tcp + TCP_CHECKSUM, 0);
  store (tcp + TCP_CHECKSUM,
         ~net_offload_fold (pseudo_header_sum (frame, bytes) +
                            net_offload_sum (tcp, frame->end - frame->transport)));
}

/* Each piece gets its headers right before its bytes, over the end of the piece that went before. */
static bool
cut (const NetOffload *offload, uint8_t *bytes, size_t size, size_t frame_max, NetOffloadSink sink,
     void *opaque)
{
  NetFrame whole;
  size_t payload;
  uint8_t headers[HEADERS_MAX];

  if (!net_frame_parse (&whole, bytes, size) || !net_frame_get_tcp (&whole, bytes, &payload) ||
      whole.ipv6 != (offload->gso == NET_GSO_TCPV6) || payload >= frame_max ||
      offload->gso_size == 0)
    return false;
  const size_t step = (frame_max - payload) / offload->gso_size * offload->gso_size;
  if (step == 0)
    return false;
  memcpy (headers, bytes, payload);
  const uint32_t sequence = net_get_u32 (headers + whole.transport + TCP_SEQUENCE);
  const uint8_t flags = headers[whole.transport + TCP_FLAGS];
  const uint16_t id = net_get_u16 (headers + whole.network + IPV4_ID);
  size_t done = 0;

  do
    {
      const size_t piece = MIN (step, whole.end - payload - done);
      const bool last = payload + done + piece == whole.end;
      uint8_t *segment = bytes + done;
      NetFrame frame = whole;

      memcpy (segment, headers, payload);
      frame.end = payload + piece;
      set_ip_length (&frame, segment, id + done / step);
      set_tcp (&frame, segment, sequence + done,
               flags & ~((last ? 0 : TCP_FIN | TCP_PSH) | (done > 0 ? TCP_CWR : 0)));
      sink (opaque, segment, frame.end);
      done += piece;
    }
  while (payload + done < whole.end);
  return true;
}

bool
net_offload_finish (const NetOffload *offload, uint8_t *frame, size_t size, size_t frame_max,
                    NetOffloadSink sink, void *opaque)
{
  const size_t place = (size_t) offload->checksum_start + offload->checksum_offset;

  if (offload->needs_checksum && (place + 2 > size || offload->checksum_start < NET_ETH_HEADER))
    return false;
  if (offload->gso != NET_GSO_NONE && !offload->needs_checksum)
    return false;
  if (size > frame_max)
    return offload->gso != NET_GSO_NONE && cut (offload, frame, size, frame_max, sink, opaque);
  if (offload->needs_checksum)
    finish_checksum (offload, frame, size);
  sink (opaque, frame, size);
  return true;
}

/* --- to the guest --- */

bool
net_offload_describe (NetOffload *offload, const uint8_t *bytes, size_t size, uint8_t checksum[2])
{
  NetFrame frame;
  size_t payload;

  *offload = (NetOffload){ 0 };
  if (size <= NET_FRAME_PLAIN || !net_frame_parse (&frame, bytes, size) ||
      !net_frame_get_tcp (&frame, bytes, &payload))
    return false;
  *offload = (NetOffload){
    .needs_checksum = true,
    .checksum_start = frame.transport,
    .checksum_offset = TCP_CHECKSUM,
    .gso = frame.ipv6 ? NET_GSO_TCPV6 : NET_GSO_TCPV4,
    .gso_size = NET_MTU - (frame.ipv6 ? PLAIN_HEADERS_V6 : PLAIN_HEADERS_V4),
    .headers = payload,
  };
  store (checksum, net_offload_fold (pseudo_header_sum (&frame, bytes)));
  return true;
}

bool
net_offload_fragment (const uint8_t *bytes, size_t size, size_t frame_max, NetOffloadSink sink,
                      void *opaque)
{
  g_autofree uint8_t *piece = NULL;
  NetFrame whole;

  if (!net_frame_parse (&whole, bytes, size) || whole.ipv6 ||
      frame_max < whole.transport + FRAGMENT_UNIT || frame_max > NET_FRAME_MAX)
    return false;
  const size_t step = (frame_max - whole.transport) / FRAGMENT_UNIT * FRAGMENT_UNIT;
  const size_t length = whole.end - whole.transport;
  const uint16_t place = net_get_u16 (bytes + whole.network + IPV4_FRAGMENT);
  const uint16_t id = net_get_u16 (bytes + whole.network + IPV4_ID);

  piece = g_malloc (frame_max);
  memcpy (piece, bytes, whole.transport);
  for (size_t done = 0; done < length; done += step)
    {
      NetFrame frame = whole;
      const bool last = length - done <= step;

      frame.end = whole.transport + MIN (step, length - done);
      memcpy (piece + whole.transport, bytes + whole.transport + done, frame.end - whole.transport);
      net_put_u16 (piece + whole.network + IPV4_FRAGMENT,
                   ((place & FRAGMENT_OFFSET) + done / FRAGMENT_UNIT) |
                       (last ? place & FRAGMENT_MORE : FRAGMENT_MORE));
      set_ip_length (&frame, piece, id);
      sink (opaque, piece, frame.end);
    }
  return true;
}

void
net_offload_fill_checksums (uint8_t *bytes, size_t size)
{
  NetOffload offload = { 0 };
  NetFrame frame;
  size_t payload;

  if (!net_frame_parse (&frame, bytes, size) || frame.fragment)
    return;
  if (!frame.ipv6)
    set_ipv4_checksum (&frame, bytes);
  if (net_frame_get_tcp (&frame, bytes, &payload))
    offload.checksum_offset = TCP_CHECKSUM;
  else if (frame.protocol == NET_PROTOCOL_UDP && frame.end - frame.transport >= UDP_HEADER)
    offload.checksum_offset = UDP_CHECKSUM;
  else
    return;
  offload.checksum_start = frame.transport;
  store (bytes + frame.transport + offload.checksum_offset,
         net_offload_fold (pseudo_header_sum (&frame, bytes)));
  finish_checksum (&offload, bytes, frame.end);
}

/* The MSS option of a SYN; NULL: none. */
static uint8_t *
find_mss (uint8_t *tcp, size_t header)
{
  for (size_t at = TCP_OPTIONS; at < header && tcp[at] != OPTION_END;)
    {
      if (tcp[at] == OPTION_NOTHING)
        {
          at++;
          continue;
        }
      if (header - at < 2 || tcp[at + 1] < 2 || tcp[at + 1] > header - at)
        return NULL;
      if (tcp[at] == OPTION_MSS && tcp[at + 1] == OPTION_MSS_SIZE)
        return tcp + at + 2;
      at += tcp[at + 1];
    }
  return NULL;
}

void
net_offload_raise_mss (const NetOffload *offload, uint8_t *bytes, size_t size, uint16_t mss)
{
  NetFrame frame;
  size_t payload;

  if (!net_frame_parse (&frame, bytes, size) || !net_frame_get_tcp (&frame, bytes, &payload))
    return;
  uint8_t *tcp = bytes + frame.transport;
  if (!(tcp[TCP_FLAGS] & TCP_SYN))
    return;
  uint8_t *option = find_mss (tcp, payload - frame.transport);
  const uint16_t old = option ? net_get_u16 (option) : 0;
  if (!option || old >= mss)
    return;
  net_put_u16 (option, mss);
  if (offload->needs_checksum)
    return;
  /* RFC 1624, equation 3; at an odd offset the halves of the words change sides. */
  const bool odd = (option - tcp) % 2 != 0;
  const uint16_t from = odd ? GUINT16_SWAP_LE_BE (old) : old;
  const uint16_t to = odd ? GUINT16_SWAP_LE_BE (mss) : mss;
  const uint16_t sum = ~net_get_u16 (tcp + TCP_CHECKSUM);
  net_put_u16 (tcp + TCP_CHECKSUM, ~net_offload_fold ((uint64_t) sum + (uint16_t) ~from + to));
}
