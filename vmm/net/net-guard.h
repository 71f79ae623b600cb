#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "net/net-frame.h"

/* What of a guest's frames the user network gets to see. Stopped are: packets to the loopback of the host by its own addresses, all but DNS
 * to the DNS server's address (which may be this computer), ping by IPv6 to others than the network itself (which libslirp has not, and
 * logs), everything that is neither IP nor ARP, and, from the moment that the network
 * has too many sockets, what would make another. IPv4 fragments are put together here, in bounded memory (RFC 791, 3.2); those that
 * overlap make their datagram void.
 *
 * Thread: one at a time.
 */
typedef struct NetGuard NetGuard;

#define NET_GUARD_SOCKETS_MAX 2048

/* dns: IPv4 in the host's order; dns6: the same server's other address; gateway6: of the same /64. */
NetGuard *net_guard_new (uint32_t dns, const uint8_t dns6[16], const uint8_t gateway6[16]);
void net_guard_free (NetGuard *guard);

/* False: the frame is dropped, or kept until the rest of its datagram comes. Else *frame and *size are what to hand on: the frame itself, or a
 * datagram, which is valid until the next call. *parsed is of it, with end 0 when it is ARP. */
bool net_guard_check (NetGuard *guard, const uint8_t **frame, size_t *size, NetFrame *parsed,
                      unsigned n_sockets, int64_t now_us);
