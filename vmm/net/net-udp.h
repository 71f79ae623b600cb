#pragma once

#include "config/vm-forward.h"
#include "net/net-frame.h"
#include "net/net-offload.h"

/* A UDP port of this computer whose datagrams go to the guest, and the guest's answers back to those who sent one: to nobody else, so
 * the port opens nothing of this computer to the guest.
 *
 * A sender on this computer's loopback, or on a link, is the gateway to the guest. Thread: that of the context.
 */
typedef struct NetUdp NetUdp;

/* Of the forward's family; IPv4 addresses are mapped ones, as in vm-forward.h. */
typedef struct NetUdpWire
{
  uint8_t gateway_mac[6];
  struct in6_addr gateway;
  /* Called with a frame for the guest, and when that was all for now. */
  NetOffloadSink deliver;
  void (*flush) (void *opaque);
  void *opaque;
} NetUdpWire;

typedef struct NetUdpGuest
{
  uint8_t mac[6];
  struct in6_addr address; /* where the forward says none; :: is not known yet */
} NetUdpGuest;

/* forward: a UDP one. NULL: *failure is an errno. */
NetUdp *net_udp_new (const VmForward *forward, const NetUdpWire *wire, GMainContext *context,
                     int *failure);
void net_udp_free (NetUdp *udp);

/* The guest has sent a frame; *parsed is of it. True: it was an answer, and is done with. */
bool net_udp_take (NetUdp *udp, const NetFrame *parsed, const uint8_t *frame);
/* Where the guest is; datagrams that come before are lost. */
void net_udp_set_guest (NetUdp *udp, const NetUdpGuest *guest);
