#define G_LOG_DOMAIN "vmm-net"

#include "net/net-guard.h"

#include <string.h>
#include <glib.h>

#include "base/guest-log.h"
#include "net/net-backend.h"
#include "net/net-reassembly.h"

#define PORT_DNS         53
#define TYPE_ARP         0x0806
#define ECHO_REQUEST     128
#define TCP_FLAGS        13
#define TCP_SYN          0x02
#define TCP_ACK          0x10
#define SENDERS_MAX      8192 /* a name server asks from a new port each time, for a moment */
#define SENDERS_KNOWN_US (240 * G_TIME_SPAN_SECOND) /* for so long libslirp keeps a UDP socket */

/* What libslirp has a UDP socket for. */
typedef struct Sender
{
  uint8_t address[16]; /* as it is in the packet, and the rest zero */
  uint16_t port;
} Sender;

struct NetGuard
{
  GuestLog log;
  uint32_t dns;
  uint8_t dns6[16];
  uint8_t gateway6[16];
  NetReassembly *reassembly;
  int64_t senders_since_us;
  GHashTable *senders; /* a set of Sender, at most SENDERS_MAX */
};

static guint
hash_sender (gconstpointer key)
{
  const Sender *sender = key;
  guint hash = sender->port;

  for (unsigned i = 0; i < sizeof sender->address; i++)
    hash = hash * 33 + sender->address[i];
  return hash;
}

static gboolean
is_same_sender (gconstpointer a, gconstpointer b)
{
  const Sender *one = a, *other = b;

  return one->port == other->port &&
         memcmp (one->address, other->address, sizeof one->address) == 0;
}

NetGuard *
net_guard_new (uint32_t dns, const uint8_t dns6[16], const uint8_t gateway6[16])
{
  NetGuard *guard = g_new0 (NetGuard, 1);

  guest_log_init (&guard->log, "net-user");
  guard->dns = dns;
  memcpy (guard->dns6, dns6, sizeof guard->dns6);
  memcpy (guard->gateway6, gateway6, sizeof guard->gateway6);
  guard->reassembly = net_reassembly_new ();
  guard->senders = g_hash_table_new_full (hash_sender, is_same_sender, g_free, NULL);
  return guard;
}

void
net_guard_free (NetGuard *guard)
{
  if (!guard)
    return;
  net_reassembly_free (guard->reassembly);
  g_hash_table_unref (guard->senders);
  g_free (guard);
}

static bool
is_for_dns_server (const NetGuard *guard, const NetFrame *frame, const uint8_t *bytes)
{
  const uint8_t *ip = bytes + frame->network;

  return frame->ipv6 ? memcmp (ip + 24, guard->dns6, sizeof guard->dns6) == 0
                     : net_get_u32 (ip + 16) == guard->dns;
}

/* ping: answered by libslirp itself. */
static bool
is_dns (const NetFrame *frame, const uint8_t *bytes)
{
  if (frame->protocol != NET_PROTOCOL_TCP && frame->protocol != NET_PROTOCOL_UDP)
    return true;
  return frame->end - frame->transport >= 4 &&
         net_get_u16 (bytes + frame->transport + 2) == PORT_DNS;
}

/* The gateway and the DNS server have a link-local address as well. */
static bool
is_for_network_itself (const NetGuard *guard, const uint8_t to[16])
{
  static const uint8_t link_local[8] = { 0xfe, 0x80 };

  return (memcmp (to, guard->gateway6, 8) == 0 || memcmp (to, link_local, 8) == 0) &&
         (memcmp (to + 8, guard->gateway6 + 8, 8) == 0 || memcmp (to + 8, guard->dns6 + 8, 8) == 0);
}

static bool
is_ping_of_others (const NetGuard *guard, const NetFrame *frame, const uint8_t *bytes)
{
  return frame->ipv6 && frame->protocol == NET_PROTOCOL_ICMPV6 && frame->end > frame->transport &&
         bytes[frame->transport] == ECHO_REQUEST &&
         !is_for_network_itself (guard, bytes + frame->network + 24);
}

static bool
has_udp_socket (NetGuard *guard, const NetFrame *frame, const uint8_t *bytes, bool is_full,
                int64_t now_us)
{
  const uint8_t *ip = bytes + frame->network;
  Sender sender = { .port = net_get_u16 (bytes + frame->transport) };

  if (frame->ipv6)
    memcpy (sender.address, ip + 8, 16);
  else
    memcpy (sender.address, ip + 12, 4);
  if (now_us - guard->senders_since_us > SENDERS_KNOWN_US ||
      (!is_full && g_hash_table_size (guard->senders) >= SENDERS_MAX))
    {
      guard->senders_since_us = now_us;
      g_hash_table_remove_all (guard->senders);
    }
  const bool known = g_hash_table_contains (guard->senders, &sender);
  if (!known && !is_full)
    g_hash_table_add (guard->senders, g_memdup2 (&sender, sizeof sender));
  return known || !is_full;
}

/* libslirp has one UDP socket for each address and port that the guest sends from, and one for each TCP connection and ping. */
static bool
has_socket (NetGuard *guard, const NetFrame *frame, const uint8_t *bytes, unsigned n_sockets,
            int64_t now_us)
{
  const uint8_t *transport = bytes + frame->transport;
  const size_t size = frame->end - frame->transport;
  const bool is_full = n_sockets >= NET_GUARD_SOCKETS_MAX;

  if (frame->protocol == NET_PROTOCOL_TCP)
    return !is_full ||
           (size > TCP_FLAGS && (transport[TCP_FLAGS] & (TCP_SYN | TCP_ACK)) != TCP_SYN);
  if (frame->protocol != NET_PROTOCOL_UDP)
    return !is_full ||
           frame->protocol == NET_PROTOCOL_ICMPV6; /* neighbour discovery has to go on */
  return size >= 2 && has_udp_socket (guard, frame, bytes, is_full, now_us);
}

static bool
may_pass (NetGuard *guard, const NetFrame *frame, const uint8_t *bytes, unsigned n_sockets,
          int64_t now_us)
{
  if (net_frame_is_for_loopback (frame, bytes))
    {
      guest_log (&guard->log, "a packet to the loopback of the host was dropped");
      return false;
    }
  if ((is_for_dns_server (guard, frame, bytes) && !is_dns (frame, bytes)) ||
      is_ping_of_others (guard, frame, bytes))
    return false;
  if (has_socket (guard, frame, bytes, n_sockets, now_us))
    return true;
  guest_log (&guard->log, "%u sockets are open: no more", n_sockets);
  return false;
}

bool
net_guard_check (NetGuard *guard, const uint8_t **frame, size_t *size, NetFrame *parsed,
                 unsigned n_sockets, int64_t now_us)
{
  *parsed = (NetFrame){ 0 };
  if (*size < NET_ETH_HEADER)
    return false;
  if (!net_frame_parse (parsed, *frame, *size))
    {
      *parsed = (NetFrame){ 0 };
      return net_get_u16 (*frame + 12) == TYPE_ARP;
    }
  if (parsed->fragment)
    {
      *frame = net_reassembly_add (guard->reassembly, parsed, *frame, now_us, size);
      if (!*frame || !net_frame_parse (parsed, *frame, *size) || parsed->fragment)
        return false;
    }
  return may_pass (guard, parsed, *frame, n_sockets, now_us);
}
