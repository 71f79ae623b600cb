#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Where things are in an Ethernet frame of IPv4 or IPv6 (RFC 791, RFC 8200), as far as its bytes reach. The frame is anybody's
 * word: what is said here was checked against its size. */
#define NET_PROTOCOL_TCP    6
#define NET_PROTOCOL_UDP    17
#define NET_PROTOCOL_ICMPV6 58

typedef struct NetFrame
{
  bool ipv6;
  bool fragment;    /* not the whole of a datagram */
  uint8_t protocol; /* the IPv6 next header; extension headers are not followed */
  size_t network;   /* offset of the IP header */
  size_t transport; /* offset of what follows it */
  size_t end;       /* of the packet; Ethernet may pad behind it */
} NetFrame;

/* False: not IP, or malformed. */
bool net_frame_parse (NetFrame *frame, const uint8_t *bytes, size_t size);

/* The TCP header with its options is there whole; *payload is the offset of what follows it. */
bool net_frame_get_tcp (const NetFrame *frame, const uint8_t *bytes, size_t *payload);

/* What a guest asks the others for before it takes an IPv6 address: a neighbour solicitation from :: (RFC 4862, 5.4). */
bool net_frame_get_tentative (const NetFrame *frame, const uint8_t *bytes, uint8_t address[16]);

/* True where the frame would reach services of this computer that are not open to a network: to an address of the loopback or the
 * unspecified one, in any notation. */
bool net_frame_is_for_loopback (const NetFrame *frame, const uint8_t *bytes);

/* Big-endian. */
uint16_t net_get_u16 (const uint8_t *bytes);
uint32_t net_get_u32 (const uint8_t *bytes);
void net_put_u16 (uint8_t *bytes, uint16_t value);
void net_put_u32 (uint8_t *bytes, uint32_t value);
