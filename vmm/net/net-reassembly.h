#pragma once

#include <stddef.h>
#include <stdint.h>

#include "net/net-frame.h"

/* Puts IPv4 fragments together (RFC 791, 3.2; RFC 815), a few datagrams at a time: the oldest makes room for another. Fragments that overlap or
 * contradict one another make their datagram void (as RFC 5722 has it for IPv6), so there is one way to read each.
 */
typedef struct NetReassembly NetReassembly;

NetReassembly *net_reassembly_new (void);
void net_reassembly_free (NetReassembly *reassembly);

/* parsed is of frame, which is a fragment. The whole datagram as one frame when this was what it lacked, valid until the next call;
 * NULL: more is needed, or it was dropped. IPv6 fragments are dropped. */
const uint8_t *net_reassembly_add (NetReassembly *reassembly, const NetFrame *parsed,
                                   const uint8_t *frame, int64_t now_us, size_t *size);
