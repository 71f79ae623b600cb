#include "net/net-frame.h"

#include <string.h>
#include <glib.h>

#define ETH_HEADER        14
#define ETH_TYPE          12
#define TYPE_IPV4         0x0800
#define TYPE_IPV6         0x86dd
#define IPV4_HEADER       20
#define IPV4_FRAGMENT     0x3fff /* more fragments, and the offset */
#define IPV6_HEADER       40
#define NEXT_FRAGMENT     44
#define TCP_HEADER        20
#define TCP_OFFSET        12
#define SOLICITATION      24 /* of a neighbour: RFC 4861, 4.3 */
#define TYPE_SOLICITATION 135
#define IPV4_LOOPBACK     127
#define IPV4_THIS_HOST    0

uint16_t
net_get_u16 (const uint8_t *bytes)
{
  return bytes[0] << 8 | bytes[1];
}

uint32_t
net_get_u32 (const uint8_t *bytes)
{
  return (uint32_t) net_get_u16 (bytes) << 16 | net_get_u16 (bytes + 2);
}

void
net_put_u16 (uint8_t *bytes, uint16_t value)
{
  bytes[0] = value >> 8;
  bytes[1] = value;
}

void
net_put_u32 (uint8_t *bytes, uint32_t value)
{
  net_put_u16 (bytes, value >> 16);
  net_put_u16 (bytes + 2, value);
}

static bool
parse_ipv4 (NetFrame *frame, const uint8_t *ip, size_t size)
{
  if (size < IPV4_HEADER || ip[0] >> 4 != 4)
    return false;
  const size_t header = (ip[0] & 0xf) * 4;
  const size_t total = net_get_u16 (ip + 2);
  if (header < IPV4_HEADER || total < header || total > size)
    return false;
  *frame = (NetFrame){
    .fragment = (net_get_u16 (ip + 6) & IPV4_FRAGMENT) != 0,
    .protocol = ip[9],
    .network = ETH_HEADER,
    .transport = ETH_HEADER + header,
    .end = ETH_HEADER + total,
  };
  return true;
}

static bool
parse_ipv6 (NetFrame *frame, const uint8_t *ip, size_t size)
{
  if (size < IPV6_HEADER || ip[0] >> 4 != 6)
    return false;
  const size_t total = IPV6_HEADER + net_get_u16 (ip + 4);
  if (total > size)
    return false;
  *frame = (NetFrame){
    .ipv6 = true,
    .fragment = ip[6] == NEXT_FRAGMENT,
    .protocol = ip[6],
    .network = ETH_HEADER,
    .transport = ETH_HEADER + IPV6_HEADER,
    .end = ETH_HEADER + total,
  };
  return true;
}

bool
net_frame_parse (NetFrame *frame, const uint8_t *bytes, size_t size)
{
  if (size < ETH_HEADER)
    return false;
  switch (net_get_u16 (bytes + ETH_TYPE))
    {
    case TYPE_IPV4:
      return parse_ipv4 (frame, bytes + ETH_HEADER, size - ETH_HEADER);
    case TYPE_IPV6:
      return parse_ipv6 (frame, bytes + ETH_HEADER, size - ETH_HEADER);
    default:
      return false;
    }
}

bool
net_frame_get_tcp (const NetFrame *frame, const uint8_t *bytes, size_t *payload)
{
  if (frame->protocol != NET_PROTOCOL_TCP || frame->fragment ||
      frame->end - frame->transport < TCP_HEADER)
    return false;
  const size_t header = (bytes[frame->transport + TCP_OFFSET] >> 4) * 4;
  if (header < TCP_HEADER || header > frame->end - frame->transport)
    return false;
  *payload = frame->transport + header;
  return true;
}

bool
net_frame_get_tentative (const NetFrame *frame, const uint8_t *bytes, uint8_t address[16])
{
  static const uint8_t unspecified[16];
  const uint8_t *message = bytes + frame->transport;

  if (!frame->ipv6 || frame->protocol != NET_PROTOCOL_ICMPV6 ||
      frame->end - frame->transport < SOLICITATION || message[0] != TYPE_SOLICITATION ||
      memcmp (bytes + frame->network + 8, unspecified, sizeof unspecified) != 0)
    return false;
  memcpy (address, message + 8, 16);
  return true;
}

/* 0.0.0.0 as a destination is the loopback to Linux. */
static bool
is_loopback_ipv4 (const uint8_t *address)
{
  return address[0] == IPV4_LOOPBACK || address[0] == IPV4_THIS_HOST;
}

bool
net_frame_is_for_loopback (const NetFrame *frame, const uint8_t *bytes)
{
  static const uint8_t zeros[12];
  static const uint8_t mapped[12] = { [10] = 0xff, [11] = 0xff };

  if (!frame->ipv6)
    return is_loopback_ipv4 (bytes + frame->network + 16);
  const uint8_t *to = bytes + frame->network + 24;
  /* ::, ::1 and the forms that carry an IPv4 address; none of them is ever of another computer. */
  return memcmp (to, zeros, sizeof zeros) == 0 || memcmp (to, mapped, sizeof mapped) == 0;
}
