/* A frame and what is said of it: [offload: flags, start 16, offset 16, gso, gso_size 16][limit 16][frame]. Everything that reads a packet is
 * let loose on it; what is handed on has to stay in bounds and be as short as was asked. */
#include "fuzz-target.h"

#include <string.h>
#include <glib.h>

#include "net/net-backend.h"
#include "net/net-frame.h"
#include "net/net-offload.h"

#define HEAD 10

typedef struct Sum
{
  size_t limit;
  uint8_t ends; /* of all: they are there to be read */
  unsigned frames;
} Sum;

static void
take (void *opaque, const uint8_t *frame, size_t size)
{
  Sum *sum = opaque;

  g_assert_cmpuint (size, <=, sum->limit);
  g_assert_cmpuint (size, >, 0);
  sum->ends ^= frame[0] ^ frame[size - 1];
  sum->frames++;
}

static void
run (const NetOffload *offload, const uint8_t *frame, size_t size, size_t limit)
{
  g_autofree uint8_t *copy = g_memdup2 (frame, size);
  NetOffload described;
  NetFrame parsed;
  Sum sum = { .limit = limit };
  uint8_t checksum[2];
  size_t payload;

  if (!net_offload_finish (offload, copy, size, limit, take, &sum))
    g_assert_cmpuint (sum.frames, ==, 0);
  memcpy (copy, frame, size);
  net_offload_raise_mss (offload, copy, size, 65460);
  net_offload_fill_checksums (copy, size);
  if (net_offload_describe (&described, copy, size, checksum))
    g_assert_cmpuint (described.headers, <=, size);
  sum = (Sum){ .limit = limit };
  net_offload_fragment (copy, size, limit, take, &sum);
  if (!net_frame_parse (&parsed, copy, size))
    return;
  g_assert_cmpuint (parsed.end, <=, size);
  g_assert_cmpuint (parsed.transport, <=, parsed.end);
  net_frame_is_for_loopback (&parsed, copy);
  if (net_frame_get_tcp (&parsed, copy, &payload))
    g_assert_cmpuint (payload, <=, parsed.end);
}

int
LLVMFuzzerTestOneInput (const uint8_t *data, size_t size)
{
  if (size < HEAD + 1 || size - HEAD > NET_FRAME_MAX)
    return 0;
  const NetOffload offload = {
    .needs_checksum = data[0] & 1,
    .checksum_start = net_get_u16 (data + 1),
    .checksum_offset = net_get_u16 (data + 3),
    .gso = data[5] % 3,
    .gso_size = net_get_u16 (data + 6),
  };
  run (&offload, data + HEAD, size - HEAD, MAX (net_get_u16 (data + 8), size > 2000 ? 600 : 64));
  return 0;
}
