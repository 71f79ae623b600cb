#define G_LOG_DOMAIN "vmm-net"

#include "net/net-udp.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>
#include <sys/socket.h>

#include "base/fd-source.h"
#include "net/net-backend.h"
#include "net/net-forward.h"

#define PEERS       256
#define BATCH       32 /* datagrams before others have their turn */
#define IPV4_HEADER 20
#define IPV6_HEADER 40
#define UDP_HEADER  8
#define TYPE_IPV4   0x0800
#define TYPE_IPV6   0x86dd
#define TTL         64
#define LOOPBACK    127

typedef struct Peer
{
  struct in6_addr address; /* as the guest sees it */
  uint16_t port;           /* 0: nobody */
  struct sockaddr_storage real;
} Peer;

struct NetUdp
{
  VmForward forward;
  NetUdpWire wire;
  bool ipv6;
  size_t headers; /* of a frame, before the datagram's bytes */
  int fd;
  GSource *source;
  bool has_guest;
  NetUdpGuest guest;
  Peer peers[PEERS]; /* the next one to be forgotten is at oldest */
  unsigned oldest;
  uint16_t next_id;
  uint8_t frame[NET_FRAME_MAX];
};

static bool
is_same (const struct in6_addr *a, const struct in6_addr *b)
{
  return memcmp (a, b, sizeof *a) == 0;
}

static Peer *
find_peer (NetUdp *udp, const struct in6_addr *address, uint16_t port)
{
  for (unsigned i = 0; i < PEERS; i++)
    if (udp->peers[i].port == port && is_same (&udp->peers[i].address, address))
      return &udp->peers[i];
  return NULL;
}

static struct in6_addr
map_ipv4 (const void *bytes)
{
  struct in6_addr address = { .s6_addr = { [10] = 0xff, 0xff } };

  memcpy (address.s6_addr + 12, bytes, 4);
  return address;
}

/* Who sent it, as the guest shall see. An address that means something on this computer alone is the gateway's. */
static void
name_peer (const NetUdp *udp, Peer *peer)
{
  const struct sockaddr_in *ipv4 = (const struct sockaddr_in *) &peer->real;
  const struct sockaddr_in6 *ipv6 = (const struct sockaddr_in6 *) &peer->real;
  bool local;

  if (udp->ipv6)
    {
      peer->address = ipv6->sin6_addr;
      peer->port = GUINT16_FROM_BE (ipv6->sin6_port);
      local = IN6_IS_ADDR_LOOPBACK (&peer->address) || IN6_IS_ADDR_LINKLOCAL (&peer->address);
    }
  else
    {
      peer->address = map_ipv4 (&ipv4->sin_addr);
      peer->port = GUINT16_FROM_BE (ipv4->sin_port);
      local = peer->address.s6_addr[12] == LOOPBACK;
    }
  if (local)
    peer->address = udp->wire.gateway;
}

static const Peer *
remember_peer (NetUdp *udp, const Peer *peer)
{
  Peer *place = find_peer (udp, &peer->address, peer->port);

  if (!place)
    {
      place = &udp->peers[udp->oldest];
      udp->oldest = (udp->oldest + 1) % PEERS;
    }
  *place = *peer;
  return place;
}

static void
put_ipv4 (NetUdp *udp, uint8_t *ip, const struct in6_addr *from, const struct in6_addr *to,
          size_t size)
{
  memset (ip, 0, IPV4_HEADER);
  ip[0] = 4 << 4 | IPV4_HEADER / 4;
  net_put_u16 (ip + 2, IPV4_HEADER + size);
  net_put_u16 (ip + 4, udp->next_id++);
  ip[8] = TTL;
  ip[9] = NET_PROTOCOL_UDP;
  memcpy (ip + 12, from->s6_addr + 12, 4);
  memcpy (ip + 16, to->s6_addr + 12, 4);
}

static void
put_ipv6 (uint8_t *ip, const struct in6_addr *from, const struct in6_addr *to, size_t size)
{
  memset (ip, 0, IPV6_HEADER);
  ip[0] = 6 << 4;
  net_put_u16 (ip + 4, size);
  ip[6] = NET_PROTOCOL_UDP;
  ip[7] = TTL;
  memcpy (ip + 8, from, sizeof *from);
  memcpy (ip + 24, to, sizeof *to);
}

static const struct in6_addr *
get_guest_address (const NetUdp *udp)
{
  return IN6_IS_ADDR_UNSPECIFIED (&udp->forward.guest_address) ? &udp->guest.address
                                                               : &udp->forward.guest_address;
}

/* The datagram's bytes are behind the headers already. */
static void
deliver (NetUdp *udp, const Peer *from, size_t size)
{
  const struct in6_addr *to = get_guest_address (udp);
  uint8_t *ip = udp->frame + NET_ETH_HEADER;
  uint8_t *header = udp->frame + udp->headers - UDP_HEADER;

  memcpy (udp->frame, udp->guest.mac, 6);
  memcpy (udp->frame + 6, udp->wire.gateway_mac, 6);
  net_put_u16 (udp->frame + 12, udp->ipv6 ? TYPE_IPV6 : TYPE_IPV4);
  if (udp->ipv6)
    put_ipv6 (ip, &from->address, to, UDP_HEADER + size);
  else
    put_ipv4 (udp, ip, &from->address, to, UDP_HEADER + size);
  net_put_u16 (header, from->port);
  net_put_u16 (header + 2, udp->forward.guest_port);
  net_put_u16 (header + 4, UDP_HEADER + size);
  net_put_u16 (header + 6, 0);
  net_offload_fill_checksums (udp->frame, udp->headers + size);
  udp->wire.deliver (udp->wire.opaque, udp->frame, udp->headers + size);
}

static gboolean
on_datagrams (gint fd, GIOCondition condition, gpointer opaque)
{
  NetUdp *udp = opaque;
  const size_t room = NET_FRAME_MAX - udp->headers;

  for (unsigned i = 0; i < BATCH; i++)
    {
      Peer peer;
      socklen_t length = sizeof peer.real;
      const ssize_t n = recvfrom (fd, udp->frame + udp->headers, room, 0,
                                  (struct sockaddr *) &peer.real, &length);

      if (n < 0)
        break; /* none, or a word of the network about an answer of ours */
      if (!udp->has_guest || IN6_IS_ADDR_UNSPECIFIED (get_guest_address (udp)))
        continue;
      name_peer (udp, &peer);
      if (peer.port != 0)
        deliver (udp, remember_peer (udp, &peer), n);
    }
  udp->wire.flush (udp->wire.opaque);
  return G_SOURCE_CONTINUE;
}

/* Which of its IPv6 addresses a guest answers from is its own choice (RFC 6724), unless the forward names one. */
static bool
is_from_guest (const NetUdp *udp, const struct in6_addr *from)
{
  return is_same (from, get_guest_address (udp)) ||
         (udp->ipv6 && IN6_IS_ADDR_UNSPECIFIED (&udp->forward.guest_address));
}

bool
net_udp_take (NetUdp *udp, const NetFrame *parsed, const uint8_t *frame)
{
  const uint8_t *ip = frame + parsed->network;
  const uint8_t *header = frame + parsed->transport;
  struct in6_addr from, to;

  if (parsed->ipv6 != udp->ipv6 || parsed->fragment || parsed->protocol != NET_PROTOCOL_UDP ||
      parsed->end - parsed->transport < UDP_HEADER ||
      net_get_u16 (header) != udp->forward.guest_port)
    return false;
  if (udp->ipv6)
    {
      memcpy (&from, ip + 8, sizeof from);
      memcpy (&to, ip + 24, sizeof to);
    }
  else
    {
      from = map_ipv4 (ip + 12);
      to = map_ipv4 (ip + 16);
    }
  const size_t size = net_get_u16 (header + 4);
  const Peer *peer = find_peer (udp, &to, net_get_u16 (header + 2));
  if (!is_from_guest (udp, &from) || !peer || peer->port == 0 || size < UDP_HEADER ||
      size > parsed->end - parsed->transport)
    return false;
  /* As on a wire: what cannot be sent is lost. */
  if (sendto (udp->fd, header + UDP_HEADER, size - UDP_HEADER, 0,
              (const struct sockaddr *) &peer->real,
              udp->ipv6 ? sizeof (struct sockaddr_in6) : sizeof (struct sockaddr_in)) < 0)
    g_debug ("a datagram from the guest: %s", g_strerror (errno));
  return true;
}

void
net_udp_set_guest (NetUdp *udp, const NetUdpGuest *guest)
{
  udp->has_guest = true;
  udp->guest = *guest;
}

NetUdp *
net_udp_new (const VmForward *forward, const NetUdpWire *wire, GMainContext *context, int *failure)
{
  const int fd = net_forward_open (forward);

  if (fd < 0)
    {
      *failure = -fd;
      return NULL;
    }
  NetUdp *udp = g_new0 (NetUdp, 1);
  udp->forward = *forward;
  udp->wire = *wire;
  udp->ipv6 = vm_forward_is_ipv6 (forward);
  udp->headers = NET_ETH_HEADER + (udp->ipv6 ? IPV6_HEADER : IPV4_HEADER) + UDP_HEADER;
  udp->fd = fd;
  udp->source = fd_source_new (fd, G_IO_IN, "UDP forward");
  g_source_set_callback (udp->source, G_SOURCE_FUNC (on_datagrams), udp, NULL);
  g_source_attach (udp->source, context);
  return udp;
}

void
net_udp_free (NetUdp *udp)
{
  if (!udp)
    return;
  g_source_destroy (udp->source);
  g_source_unref (udp->source);
  close (udp->fd);
  g_free (udp);
}
