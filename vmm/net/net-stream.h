#pragma once

#include "net/net-backend.h"

/* Frames over a stream socket, each behind its length in four bytes, big-endian: what QEMU's -netdev stream and passt speak. The other
 * end may be anything: a length that no frame has ends the connection, as its own end does; frames are dropped from then on.
 */
typedef struct NetStream NetStream;

/* Takes fd. context: where it runs; NULL: in a thread of its own. ended: the connection is over; on the context; NULL: none.
 * terminates_tcp: see net-backend.h. */
NetStream *net_stream_new (int fd, bool terminates_tcp, GMainContext *context,
                           void (*ended) (void *opaque, const char *reason), void *opaque);
void net_stream_free (NetStream *stream);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (NetStream, net_stream_free)

NetBackend net_stream_get_backend (NetStream *stream);
