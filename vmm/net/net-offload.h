#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What a network card does for its driver: puts in checksums, cuts long TCP segments (RFC 9293, RFC 1071), and the reverse. Knows no
 * guest memory: virtio-net.c says it in the words of its header.
 *
 * Frames and descriptions are the guest's word: whatever does not add up is refused, and no byte outside the frame is touched.
 */
typedef enum
{
  NET_GSO_NONE,
  NET_GSO_TCPV4,
  NET_GSO_TCPV6
} NetGso;

typedef struct NetOffload
{
  bool
      needs_checksum; /* of all from checksum_start on, where the pseudo-header's sum is in its place */
  uint16_t checksum_start;  /* offset in the frame */
  uint16_t checksum_offset; /* from there */
  NetGso gso;
  uint16_t gso_size; /* TCP payload of each segment on the wire */
  uint16_t headers;  /* bytes before the payload; only net_offload_describe () says it */
} NetOffload;

typedef void (*NetOffloadSink) (void *opaque, const uint8_t *frame, size_t size);

/* Hands the frame, changed in place, to sink whole where it has at most frame_max bytes, else in several TCP segments, each of a multiple of
 * gso_size. False, and nothing handed over: the description does not fit the frame. */
bool net_offload_finish (const NetOffload *offload, uint8_t *frame, size_t size, size_t frame_max,
                         NetOffloadSink sink, void *opaque);

/* The reverse, for a guest that takes long segments: a TCP frame beyond NET_FRAME_PLAIN gets a description, and `checksum` what has to
 * be in its checksum's place then. False: no such frame; *offload is then empty. */
bool net_offload_describe (NetOffload *offload, const uint8_t *frame, size_t size,
                           uint8_t checksum[2]);

/* Hands an IPv4 packet that is too long to sink in fragments (RFC 791, 3.2), whether it may be fragmented or not: there is only one wire.
 * False, and nothing handed over: it is no IPv4. */
bool net_offload_fragment (const uint8_t *frame, size_t size, size_t frame_max, NetOffloadSink sink,
                           void *opaque);

/* Lets the far end of a TCP connection send segments of up to mss bytes, whatever the guest said in its SYN: changes the option there. The
 * checksum follows, unless offload says that it is still to be made. */
void net_offload_raise_mss (const NetOffload *offload, uint8_t *frame, size_t size, uint16_t mss);

/* Puts every checksum of an IP packet in: of the IPv4 header, TCP, UDP. One that is malformed or a fragment is left as it is. */
void net_offload_fill_checksums (uint8_t *frame, size_t size);

/* The Internet checksum's sum (RFC 1071), not yet folded or inverted; to be added up over pieces that begin at even offsets. */
uint64_t net_offload_sum (const uint8_t *bytes, size_t size);
uint16_t net_offload_fold (uint64_t sum);
