#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <glib.h>

/* What a network card is plugged into: takes whole Ethernet frames, with every checksum in place, and gives such. A value of two
 * words, as bus/doorbell.h; whoever made the back end frees it.
 *
 * Thread: everything happens on the back end's context, but for set_receiver () and stop (), which are called on the thread
 * that made it, before the first frame and after the last.
 */
#define NET_MTU         1500
#define NET_ETH_HEADER  14
#define NET_FRAME_PLAIN (NET_MTU + NET_ETH_HEADER)
/* No frame, in either direction, has more bytes: the Ethernet header and the longest IP packet. */
#define NET_FRAME_MAX (65535 + NET_ETH_HEADER)

typedef struct NetReceiver
{
  /* One frame for the guest, valid during the call. May come from within send (). */
  void (*receive) (void *opaque, const uint8_t *frame, size_t size);
  /* That was all for now: the time to interrupt. Not called for frames from within send (). */
  void (*flush) (void *opaque);
  void *opaque;
} NetReceiver;

typedef struct NetBackendOps
{
  /* The largest frame that send () takes; never below NET_FRAME_PLAIN. */
  size_t frame_max;
  /* It is the far end of every TCP connection, so segments longer than the guest's MSS may go both ways as one frame. */
  bool terminates_tcp;
  /* Borrowed: where receive () is called and send () must be. */
  GMainContext *(*get_context) (void *opaque);
  /* NULL: none, as at first; frames are dropped. */
  void (*set_receiver) (void *opaque, const NetReceiver *receiver);
  /* At most frame_max bytes. Never waits; what cannot be sent is dropped. */
  void (*send) (void *opaque, const uint8_t *frame, size_t size);
  /* On return nothing runs on the context any more if the back end ran it in a thread of its own. */
  void (*stop) (void *opaque);
} NetBackendOps;

typedef struct NetBackend
{
  const NetBackendOps *ops;
  void *opaque;
} NetBackend;
