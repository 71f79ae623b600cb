#define G_LOG_DOMAIN "vmm-net"

#include "net/net-udp.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include "base/fd-source.h"
#include "net/net-backend.h"

#define PEERS       256
#define BATCH       32 /* datagrams before others have their turn */
#define IPV4_HEADER 20
#define UDP_HEADER  8
#define TYPE_IPV4   0x0800
#define TTL         64
#define PAYLOAD     (NET_ETH_HEADER + IPV4_HEADER + UDP_HEADER)
#define LOOPBACK    127

typedef struct Peer
{
  uint32_t address; /* as the guest sees it; host's order */
  uint16_t port;    /* 0: nobody */
  struct sockaddr_in real;
} Peer;

struct NetUdp
{
  NetForward forward;
  NetUdpWire wire;
  int fd;
  GSource *source;
  bool has_guest;
  uint8_t guest_mac[6];
  Peer peers[PEERS]; /* the next one to be forgotten is at oldest */
  unsigned oldest;
  uint16_t next_id;
  uint8_t frame[NET_FRAME_MAX];
};

static Peer *
find_peer (NetUdp *udp, uint32_t address, uint16_t port)
{
  for (unsigned i = 0; i < PEERS; i++)
    if (udp->peers[i].port == port && udp->peers[i].address == address)
      return &udp->peers[i];
  return NULL;
}

static uint32_t
shown_address (const NetUdp *udp, const struct sockaddr_in *real)
{
  const uint32_t address = GUINT32_FROM_BE (real->sin_addr.s_addr);

  return address >> 24 == LOOPBACK ? udp->wire.gateway : address;
}

static const Peer *
remember_peer (NetUdp *udp, const struct sockaddr_in *real)
{
  const Peer peer = {
    .address = shown_address (udp, real),
    .port = GUINT16_FROM_BE (real->sin_port),
    .real = *real,
  };
  Peer *place = find_peer (udp, peer.address, peer.port);

  if (!place)
    {
      place = &udp->peers[udp->oldest];
      udp->oldest = (udp->oldest + 1) % PEERS;
    }
  *place = peer;
  return place;
}

/* The datagram's bytes are behind the headers already. */
static void
deliver (NetUdp *udp, const Peer *from, size_t size)
{
  uint8_t *ip = udp->frame + NET_ETH_HEADER;
  uint8_t *header = ip + IPV4_HEADER;
  const uint32_t to =
      udp->forward.guest_address ? udp->forward.guest_address : udp->wire.guest_address;

  memcpy (udp->frame, udp->guest_mac, 6);
  memcpy (udp->frame + 6, udp->wire.gateway_mac, 6);
  net_put_u16 (udp->frame + 12, TYPE_IPV4);
  memset (ip, 0, IPV4_HEADER + UDP_HEADER);
  ip[0] = 4 << 4 | IPV4_HEADER / 4;
  net_put_u16 (ip + 2, IPV4_HEADER + UDP_HEADER + size);
  net_put_u16 (ip + 4, udp->next_id++);
  ip[8] = TTL;
  ip[9] = NET_PROTOCOL_UDP;
  net_put_u32 (ip + 12, from->address);
  net_put_u32 (ip + 16, to);
  net_put_u16 (header, from->port);
  net_put_u16 (header + 2, udp->forward.guest_port);
  net_put_u16 (header + 4, UDP_HEADER + size);
  net_offload_fill_checksums (udp->frame, PAYLOAD + size);
  udp->wire.deliver (udp->wire.opaque, udp->frame, PAYLOAD + size);
}

static gboolean
on_datagrams (gint fd, GIOCondition condition, gpointer opaque)
{
  NetUdp *udp = opaque;
  const size_t room = NET_FRAME_MAX - PAYLOAD;

  for (unsigned i = 0; i < BATCH; i++)
    {
      struct sockaddr_in from;
      socklen_t length = sizeof from;
      const ssize_t n = recvfrom (fd, udp->frame + PAYLOAD, room, 0, &from, &length);

      if (n < 0)
        break; /* none, or a word of the network about an answer of ours */
      if (udp->has_guest && length == sizeof from && from.sin_port != 0)
        deliver (udp, remember_peer (udp, &from), n);
    }
  udp->wire.flush (udp->wire.opaque);
  return G_SOURCE_CONTINUE;
}

bool
net_udp_take (NetUdp *udp, const NetFrame *parsed, const uint8_t *frame)
{
  const uint8_t *ip = frame + parsed->network;
  const uint8_t *header = frame + parsed->transport;
  const uint32_t guest =
      udp->forward.guest_address ? udp->forward.guest_address : udp->wire.guest_address;

  if (parsed->ipv6 || parsed->fragment || parsed->protocol != NET_PROTOCOL_UDP ||
      parsed->end - parsed->transport < UDP_HEADER ||
      net_get_u16 (header) != udp->forward.guest_port || net_get_u32 (ip + 12) != guest)
    return false;
  const size_t size = net_get_u16 (header + 4);
  const Peer *peer = find_peer (udp, net_get_u32 (ip + 16), net_get_u16 (header + 2));
  if (!peer || peer->port == 0 || size < UDP_HEADER || size > parsed->end - parsed->transport)
    return false;
  /* As on a wire: what cannot be sent is lost. */
  if (sendto (udp->fd, header + UDP_HEADER, size - UDP_HEADER, 0, &peer->real, sizeof peer->real) <
      0)
    g_debug ("a datagram from the guest: %s", g_strerror (errno));
  return true;
}

void
net_udp_set_guest_mac (NetUdp *udp, const uint8_t mac[6])
{
  udp->has_guest = true;
  memcpy (udp->guest_mac, mac, sizeof udp->guest_mac);
}

NetUdp *
net_udp_new (const NetForward *forward, const NetUdpWire *wire, GMainContext *context, int *failure)
{
  const struct sockaddr_in address = {
    .sin_family = AF_INET,
    .sin_port = GUINT16_TO_BE (forward->host_port),
    .sin_addr.s_addr = GUINT32_TO_BE (forward->host_address),
  };
  const int fd = socket (AF_INET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

  if (fd < 0 || bind (fd, &address, sizeof address) < 0)
    {
      *failure = errno;
      if (fd >= 0)
        close (fd);
      return NULL;
    }
  NetUdp *udp = g_new0 (NetUdp, 1);
  udp->forward = *forward;
  udp->wire = *wire;
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
