#define G_LOG_DOMAIN "vmm-net"

#include "net/net-reassembly.h"

#include <stdbool.h>
#include <string.h>
#include <glib.h>

#include "net/net-backend.h"
#include "net/net-offload.h"

#define DATAGRAMS   16
#define PATIENCE_US (30 * G_TIME_SPAN_SECOND)
#define UNIT        8 /* bytes; offsets count in them */
#define HEADERS_MAX (NET_ETH_HEADER + 60)
#define PAYLOAD_MAX 65535
#define FLAGS       6
#define OFFSET      0x1fff
#define MORE        0x2000
#define KEY_SIZE    11 /* addresses, id, protocol */

typedef struct Datagram
{
  bool used;
  uint8_t key[KEY_SIZE];
  int64_t since_us;
  size_t headers; /* bytes, right before the payload; 0: the first fragment did not come yet */
  size_t arrived;
  size_t total;                              /* 0: the last fragment did not come yet */
  uint8_t units[PAYLOAD_MAX / UNIT / 8 + 1]; /* a bit each: it is there */
  uint8_t bytes[HEADERS_MAX + PAYLOAD_MAX];
} Datagram;

struct NetReassembly
{
  Datagram *datagrams[DATAGRAMS]; /* made when they are first needed */
};

NetReassembly *
net_reassembly_new (void)
{
  return g_new0 (NetReassembly, 1);
}

void
net_reassembly_free (NetReassembly *reassembly)
{
  if (!reassembly)
    return;
  for (unsigned i = 0; i < DATAGRAMS; i++)
    g_free (reassembly->datagrams[i]);
  g_free (reassembly);
}

static void
start (Datagram *datagram, const uint8_t *key, int64_t now_us)
{
  datagram->used = true;
  memcpy (datagram->key, key, KEY_SIZE);
  datagram->since_us = now_us;
  datagram->headers = datagram->arrived = datagram->total = 0;
  memset (datagram->units, 0, sizeof datagram->units);
}

/* The datagram of that key, or a new one: in place of none, one that has waited too long, or the oldest. */
static Datagram *
find (NetReassembly *reassembly, const uint8_t *key, int64_t now_us)
{
  Datagram **place = NULL;

  for (unsigned i = 0; i < DATAGRAMS; i++)
    {
      Datagram *datagram = reassembly->datagrams[i];

      if (datagram && datagram->used && now_us - datagram->since_us > PATIENCE_US)
        datagram->used = false;
      if (datagram && datagram->used && memcmp (datagram->key, key, KEY_SIZE) == 0)
        return datagram;
      const bool is_free = !datagram || !datagram->used;
      const bool place_is_free = place && (!*place || !(*place)->used);
      if (!place || (is_free && (!place_is_free || (datagram && !*place))) ||
          (!is_free && !place_is_free && datagram->since_us < (*place)->since_us))
        place = &reassembly->datagrams[i];
    }
  if (!*place)
    *place = g_new (Datagram, 1);
  start (*place, key, now_us);
  return *place;
}

/* Marks the units of a fragment. False: some are there already. */
static bool
mark (Datagram *datagram, size_t offset, size_t length)
{
  for (size_t unit = offset / UNIT; unit < (offset + length + UNIT - 1) / UNIT; unit++)
    {
      const uint8_t bit = 1u << unit % 8;

      if (datagram->units[unit / 8] & bit)
        return false;
      datagram->units[unit / 8] |= bit;
    }
  return true;
}

/* False: the fragment contradicts the others, or itself. */
static bool
take (Datagram *datagram, const NetFrame *parsed, const uint8_t *frame)
{
  const uint16_t place = net_get_u16 (frame + parsed->network + FLAGS);
  const size_t offset = (size_t) (place & OFFSET) * UNIT;
  const size_t length = parsed->end - parsed->transport;
  const bool is_last = !(place & MORE);

  if (length == 0 || (!is_last && length % UNIT != 0) ||
      offset + length > PAYLOAD_MAX - (parsed->transport - parsed->network) ||
      (is_last && datagram->total != 0) || !mark (datagram, offset, length))
    return false;
  memcpy (datagram->bytes + HEADERS_MAX + offset, frame + parsed->transport, length);
  datagram->arrived += length;
  if (is_last)
    datagram->total = offset + length;
  if (offset == 0)
    {
      datagram->headers = parsed->transport;
      memcpy (datagram->bytes + HEADERS_MAX - parsed->transport, frame, parsed->transport);
    }
  return datagram->total == 0 || datagram->arrived <= datagram->total;
}

static const uint8_t *
finish (Datagram *datagram, size_t *size)
{
  uint8_t *frame = datagram->bytes + HEADERS_MAX - datagram->headers;
  uint8_t *ip = frame + NET_ETH_HEADER;
  const size_t header = datagram->headers - NET_ETH_HEADER;

  datagram->used = false;
  net_put_u16 (ip + 2, header + datagram->total);
  net_put_u16 (ip + FLAGS, 0);
  net_put_u16 (ip + 10, 0);
  const uint16_t checksum = ~net_offload_fold (net_offload_sum (ip, header));
  memcpy (ip + 10, &checksum, sizeof checksum);
  *size = datagram->headers + datagram->total;
  return frame;
}

/* Units beyond the last fragment's end would make the sum right while others lack. */
static bool
is_whole (const Datagram *datagram)
{
  if (datagram->headers == 0 || datagram->total == 0 || datagram->arrived != datagram->total)
    return false;
  for (size_t unit = 0; unit < (datagram->total + UNIT - 1) / UNIT; unit++)
    if (!(datagram->units[unit / 8] >> unit % 8 & 1))
      return false;
  return true;
}

const uint8_t *
net_reassembly_add (NetReassembly *reassembly, const NetFrame *parsed, const uint8_t *frame,
                    int64_t now_us, size_t *size)
{
  const uint8_t *ip = frame + parsed->network;
  uint8_t key[KEY_SIZE];

  if (parsed->ipv6)
    return NULL;
  memcpy (key, ip + 12, 8);
  memcpy (key + 8, ip + 4, 2);
  key[10] = parsed->protocol;
  Datagram *datagram = find (reassembly, key, now_us);
  if (!take (datagram, parsed, frame))
    {
      datagram->used = false;
      return NULL;
    }
  return is_whole (datagram) ? finish (datagram, size) : NULL;
}
