#include "virtio/virtio-net.h"

#include <string.h>
#include <linux/virtio_config.h>
#include <linux/virtio_net.h>

#include "net/net-frame.h"
#include "net/net-offload.h"
#include "changing-memory.h"
#include "virtio-driver.h"

#define RAM    (32u << 20)
#define HEADER sizeof (struct virtio_net_hdr_v1)
#define ALL    UINT64_MAX
#define BIT(n) (UINT64_C (1) << (n))

static const uint8_t mac[VIRTIO_NET_MAC_SIZE] = { 2, 0, 0, 0, 0, 7 };

typedef struct Fixture
{
  GuestMemory *memory;
  VirtioNet *net;
  VirtioDriver *driver;
  NetReceiver receiver;
  GPtrArray *sent; /* GBytes */
  bool echo;
  bool stopped;
} Fixture;

/* --- a back end --- */

static GMainContext *
get_context (void *opaque)
{
  return g_main_context_default ();
}

static void
set_receiver (void *opaque, const NetReceiver *receiver)
{
  ((Fixture *) opaque)->receiver = *receiver;
}

static void
send_frame (void *opaque, const uint8_t *frame, size_t size)
{
  Fixture *f = opaque;

  g_ptr_array_add (f->sent, g_bytes_new (frame, size));
  if (f->echo)
    f->receiver.receive (f->receiver.opaque, frame, size);
}

static void
stop (void *opaque)
{
  ((Fixture *) opaque)->stopped = true;
}

static const NetBackendOps ops = {
  .frame_max = 65534,
  .terminates_tcp = true,
  .get_context = get_context,
  .set_receiver = set_receiver,
  .send = send_frame,
  .stop = stop,
};

static void
setup (Fixture *f, gconstpointer data)
{
  const NetBackend backend = { &ops, f };

  f->sent = g_ptr_array_new_with_free_func ((GDestroyNotify) g_bytes_unref);
  f->memory = guest_memory_new (RAM, RAM, 2 * RAM, NULL);
  f->net = virtio_net_new (mac, &backend, f->memory);
  f->driver = virtio_driver_new (virtio_net_get_device (f->net), f->memory, 0,
                                 GPOINTER_TO_SIZE (data) ? GPOINTER_TO_SIZE (data) : ALL);
}

static void
teardown (Fixture *f, gconstpointer data)
{
  virtio_driver_free (f->driver);
  virtio_net_free (f->net);
  g_assert_true (f->stopped);
  guest_memory_free (f->memory);
  g_ptr_array_unref (f->sent);
}

/* --- a driver --- */

static bool
is_failed (Fixture *f)
{
  return virtio_driver_get_status (f->driver) & VIRTIO_CONFIG_S_NEEDS_RESET;
}

static void
transmit (Fixture *f, const struct virtio_net_hdr_v1 *header, const void *frame, size_t size)
{
  g_autofree uint8_t *bytes = g_malloc (HEADER + size);

  memcpy (bytes, header, HEADER);
  memcpy (bytes + HEADER, frame, size);
  g_assert_cmpuint (virtio_driver_request (f->driver, VIRTIO_NET_TX, bytes, HEADER + size, NULL, 0),
                    ==, 0);
}

/* Puts n receive buffers of size bytes each into the queue; returns where the first is. */
static uint8_t *
add_buffers (Fixture *f, unsigned n, uint32_t size)
{
  void *host;
  const uint64_t gpa = virtio_driver_alloc (f->driver, (uint64_t) n * size, &host);

  for (unsigned i = 0; i < n; i++)
    virtqueue_driver_add (virtio_driver_get_queue (f->driver, VIRTIO_NET_RX),
                          &(DriverSegment){ gpa + i * size, size, true }, 1);
  virtio_driver_kick (f->driver, VIRTIO_NET_RX);
  return host;
}

static void
receive (Fixture *f, const uint8_t *frame, size_t size)
{
  f->receiver.receive (f->receiver.opaque, frame, size);
  f->receiver.flush (f->receiver.opaque);
}

static uint16_t
used (Fixture *f)
{
  return virtqueue_driver_get_used_index (virtio_driver_get_queue (f->driver, VIRTIO_NET_RX));
}

static struct virtio_net_hdr_v1
get_header (const uint8_t *buffer)
{
  struct virtio_net_hdr_v1 header;

  memcpy (&header, buffer, HEADER);
  return header;
}

/* An Ethernet frame of a protocol that nobody knows. */
static void
fill (uint8_t *frame, size_t size, uint8_t seed)
{
  for (size_t i = 0; i < size; i++)
    frame[i] = seed + i * 3;
  net_put_u16 (frame + 12, 0x88b5);
}

/* TCP over IPv4 without options. */
static void
fill_tcp (uint8_t *frame, size_t size, uint8_t flags)
{
  fill (frame, size, 9);
  memset (frame + 14, 0, 40);
  net_put_u16 (frame + 12, 0x0800);
  frame[14] = 0x45;
  net_put_u16 (frame + 16, size - 14);
  frame[23] = NET_PROTOCOL_TCP;
  net_put_u32 (frame + 26, 0x0a00020f);
  net_put_u32 (frame + 30, 0x01020304);
  frame[46] = 0x50;
  frame[47] = flags;
  net_offload_fill_checksums (frame, size);
}

/* --- tests --- */

static void
test_config (Fixture *f, gconstpointer data)
{
  struct virtio_net_config config;

  virtio_driver_read_config (f->driver, 0, &config, sizeof config);
  g_assert_cmpmem (config.mac, sizeof config.mac, mac, sizeof mac);
  g_assert_cmpuint (config.status, ==, VIRTIO_NET_S_LINK_UP);
  g_assert_cmphex (config.max_virtqueue_pairs, ==, 0xffff); /* not there */
}

static void
test_transmit (Fixture *f, gconstpointer data)
{
  const struct virtio_net_hdr_v1 header = { 0 };
  uint8_t frame[600];

  fill (frame, sizeof frame, 1);
  transmit (f, &header, frame, sizeof frame);
  g_assert_cmpuint (f->sent->len, ==, 1);
  gsize size;
  const uint8_t *sent = g_bytes_get_data (f->sent->pdata[0], &size);
  g_assert_cmpmem (sent, size, frame, sizeof frame);
}

static void
test_transmit_long (Fixture *f, gconstpointer data)
{
  g_autofree uint8_t *frame = g_malloc (60000);
  const struct virtio_net_hdr_v1 header = {
    .flags = VIRTIO_NET_HDR_F_NEEDS_CSUM,
    .gso_type = VIRTIO_NET_HDR_GSO_TCPV4,
    .gso_size = GUINT16_TO_LE (1448),
    .csum_start = GUINT16_TO_LE (34),
    .csum_offset = GUINT16_TO_LE (16),
  };

  fill_tcp (frame, 60000, 0);
  transmit (f, &header, frame, 60000);
  g_assert_cmpuint (f->sent->len, ==, 1);
  g_assert_cmpuint (g_bytes_get_size (f->sent->pdata[0]), ==, 60000);
}

/* What the header says and the frame or the features do not bear out is dropped; the device goes on. */
static void
test_transmit_lies (Fixture *f, gconstpointer data)
{
  static const struct virtio_net_hdr_v1 headers[] = {
    { .gso_type = 2 },
    { .gso_type = VIRTIO_NET_HDR_GSO_UDP },
    { .gso_type = VIRTIO_NET_HDR_GSO_TCPV4 | VIRTIO_NET_HDR_GSO_ECN },
    { .gso_type = VIRTIO_NET_HDR_GSO_TCPV4 },
    { .flags = VIRTIO_NET_HDR_F_NEEDS_CSUM, .csum_start = 0xffff, .csum_offset = 0xffff },
    { .flags = VIRTIO_NET_HDR_F_NEEDS_CSUM, .csum_start = 34, .csum_offset = 0xffff },
    { .flags = VIRTIO_NET_HDR_F_NEEDS_CSUM, .csum_start = 100, .csum_offset = 0 },
    { .flags = VIRTIO_NET_HDR_F_NEEDS_CSUM, .csum_start = 99, .csum_offset = 0 },
  };
  uint8_t frame[100];

  fill_tcp (frame, sizeof frame, 0);
  for (unsigned i = 0; i < G_N_ELEMENTS (headers); i++)
    transmit (f, &headers[i], frame, sizeof frame);
  transmit (f, &headers[0], frame, 13);
  virtio_driver_request (f->driver, VIRTIO_NET_TX, frame, 5, NULL, 0);
  g_assert_cmpuint (f->sent->len, ==, 0);
  transmit (f, &(struct virtio_net_hdr_v1){ 0 }, frame, sizeof frame);
  g_assert_cmpuint (f->sent->len, ==, 1);
  g_assert_false (is_failed (f));
}

static void
test_transmit_huge (Fixture *f, gconstpointer data)
{
  const uint32_t size = 8u << 20;
  const uint64_t gpa = virtio_driver_alloc (f->driver, size, NULL);

  virtqueue_driver_add (virtio_driver_get_queue (f->driver, VIRTIO_NET_TX),
                        &(DriverSegment){ gpa, size, false }, 1);
  virtio_driver_kick (f->driver, VIRTIO_NET_TX);
  g_assert_cmpuint (f->sent->len, ==, 0);
  g_assert_false (is_failed (f));
}

/* 5.1.6.2: offloads that were not negotiated. */
static void
test_transmit_plain (Fixture *f, gconstpointer data)
{
  const struct virtio_net_hdr_v1 header = {
    .flags = VIRTIO_NET_HDR_F_NEEDS_CSUM,
    .csum_start = GUINT16_TO_LE (34),
    .csum_offset = GUINT16_TO_LE (16),
  };
  uint8_t frame[100];

  fill_tcp (frame, sizeof frame, 0);
  transmit (f, &header, frame, sizeof frame);
  g_assert_cmpuint (f->sent->len, ==, 0);
  transmit (f, &(struct virtio_net_hdr_v1){ 0 }, frame, sizeof frame);
  g_assert_cmpuint (f->sent->len, ==, 1);
}

static void
test_receive (Fixture *f, gconstpointer data)
{
  uint8_t frame[300];
  const uint8_t *buffer = add_buffers (f, 2, 2048);
  uint32_t written;

  fill (frame, sizeof frame, 4);
  receive (f, frame, sizeof frame);
  g_assert_cmpuint (used (f), ==, 1);
  g_assert_true (virtqueue_driver_take_used (virtio_driver_get_queue (f->driver, VIRTIO_NET_RX),
                                             NULL, &written));
  g_assert_cmpuint (written, ==, HEADER + sizeof frame);
  g_assert_cmpuint (get_header (buffer).num_buffers, ==, 1);
  g_assert_cmpuint (get_header (buffer).flags, ==, 0);
  g_assert_cmpmem (buffer + HEADER, sizeof frame, frame, sizeof frame);
  g_assert_cmpuint (virtio_driver_get_interrupts (f->driver, VIRTIO_NET_RX), ==, 1);
}

static void
test_receive_checked (Fixture *f, gconstpointer data)
{
  uint8_t frame[300];
  const uint8_t *buffer = add_buffers (f, 1, 2048);

  fill_tcp (frame, sizeof frame, 0);
  receive (f, frame, sizeof frame);
  g_assert_cmpuint (get_header (buffer).flags, ==, VIRTIO_NET_HDR_F_DATA_VALID);
}

/* A long segment is spread over buffers, and waits until there are enough. */
static void
test_receive_merged (Fixture *f, gconstpointer data)
{
  g_autofree uint8_t *frame = g_malloc (20000);
  const uint8_t *buffer = add_buffers (f, 3, 4096);
  NetOffload offload;
  uint8_t checksum[2];

  fill_tcp (frame, 20000, 0);
  receive (f, frame, 20000);
  g_assert_cmpuint (used (f), ==, 0);
  add_buffers (f, 2, 4096); /* right behind the others */
  g_assert_cmpuint (used (f), ==, 5);
  const struct virtio_net_hdr_v1 header = get_header (buffer);
  g_assert_cmpuint (header.num_buffers, ==, 5);
  g_assert_cmpuint (header.flags, ==, VIRTIO_NET_HDR_F_NEEDS_CSUM);
  g_assert_cmpuint (header.gso_type, ==, VIRTIO_NET_HDR_GSO_TCPV4);
  g_assert_cmpuint (header.hdr_len, ==, 54);
  g_assert_cmpuint (header.csum_start, ==, 34);
  g_assert_cmpuint (header.csum_offset, ==, 16);
  g_assert_true (net_offload_describe (&offload, frame, 20000, checksum));
  memcpy (frame + 50, checksum, sizeof checksum);
  g_assert_cmpmem (buffer + HEADER, 20000, frame, 20000);
}

/* Frames wait for buffers, in order, and not without bound. */
static void
test_receive_late (Fixture *f, gconstpointer data)
{
  uint8_t frame[1000];

  for (unsigned i = 0; i < 5000; i++)
    {
      fill (frame, sizeof frame, i);
      receive (f, frame, sizeof frame);
    }
  g_assert_cmpuint (used (f), ==, 0);
  const uint8_t *buffers = add_buffers (f, 200, 2048);
  g_assert_cmpuint (used (f), ==, 200);
  for (unsigned i = 0; i < 200; i++)
    {
      fill (frame, sizeof frame, i);
      g_assert_cmpmem (buffers + i * 2048 + HEADER, sizeof frame, frame, sizeof frame);
    }
  VirtqueueDriver *queue = virtio_driver_get_queue (f->driver, VIRTIO_NET_RX);
  unsigned taken = 0;
  for (unsigned n = 200; n == 200; taken += n)
    {
      for (n = 0; virtqueue_driver_take_used (queue, NULL, NULL); n++)
        ;
      if (n == 200)
        add_buffers (f, 200, 2048);
    }
  g_assert_cmpuint (taken, ==, (2u << 20) / sizeof frame);
}

/* Buffers of a byte each: one frame never fits the whole queue of them, the next, smaller one does. */
static void
test_receive_tiny (Fixture *f, gconstpointer data)
{
  uint8_t frame[1000];

  fill (frame, sizeof frame, 1);
  add_buffers (f, 256, 1);
  receive (f, frame, sizeof frame);
  g_assert_cmpuint (used (f), ==, 0);
  receive (f, frame, 100);
  g_assert_cmpuint (used (f), ==, 100 + HEADER);
  g_assert_false (is_failed (f));
}

static void
test_receive_unmerged (Fixture *f, gconstpointer data)
{
  uint8_t frame[1000];
  const uint8_t *buffer = add_buffers (f, 2, 500);

  fill (frame, sizeof frame, 1);
  receive (f, frame, sizeof frame); /* does not fit one buffer */
  g_assert_cmpuint (used (f), ==, 0);
  receive (f, frame, 100);
  g_assert_cmpuint (used (f), ==, 1);
  g_assert_cmpmem (buffer + HEADER, 100, frame, 100);
  g_assert_cmpuint (get_header (buffer).num_buffers, ==, 1);
}

/* A long datagram comes in fragments, whatever the driver takes. */
static void
test_receive_fragments (Fixture *f, gconstpointer data)
{
  uint8_t frame[4000];
  const uint8_t *buffers = add_buffers (f, 8, 2048);
  NetFrame parsed;

  fill_tcp (frame, sizeof frame, 0);
  frame[23] = NET_PROTOCOL_UDP;
  receive (f, frame, sizeof frame);
  g_assert_cmpuint (used (f), ==, 3);
  for (unsigned i = 0; i < 3; i++)
    {
      g_assert_true (net_frame_parse (&parsed, buffers + i * 2048 + HEADER, 2048 - HEADER));
      g_assert_true (parsed.fragment);
      g_assert_cmpuint (get_header (buffers + i * 2048).flags, ==, 0);
    }
}

/* A driver without segmentation gets no long segment. */
static void
test_receive_too_long (Fixture *f, gconstpointer data)
{
  g_autofree uint8_t *frame = g_malloc (20000);

  add_buffers (f, 16, 2048);
  fill_tcp (frame, 20000, 0);
  frame[14] = 0x65; /* and no IPv4 either */
  receive (f, frame, 20000);
  g_assert_cmpuint (used (f), ==, 0);
}

static void
test_answer (Fixture *f, gconstpointer data)
{
  uint8_t frame[200];
  const uint8_t *buffer = add_buffers (f, 1, 2048);

  f->echo = true;
  fill (frame, sizeof frame, 1);
  transmit (f, &(struct virtio_net_hdr_v1){ 0 }, frame, sizeof frame);
  g_assert_cmpuint (used (f), ==, 1);
  g_assert_cmpmem (buffer + HEADER, sizeof frame, frame, sizeof frame);
  g_assert_cmpuint (virtio_driver_get_interrupts (f->driver, VIRTIO_NET_RX), ==, 1);
}

static void
send_syn (Fixture *f, uint8_t *frame)
{
  static const uint8_t option[4] = { 2, 4, 0x05, 0xb4 };
  gsize size;

  fill_tcp (frame, 58, 2);
  frame[46] = 0x60;
  memcpy (frame + 54, option, sizeof option);
  net_offload_fill_checksums (frame, 58);
  transmit (f, &(struct virtio_net_hdr_v1){ 0 }, frame, 58);
  memcpy (frame, g_bytes_get_data (f->sent->pdata[0], &size), 58);
}

static void
test_mss (Fixture *f, gconstpointer data)
{
  uint8_t frame[58], again[58];

  send_syn (f, frame);
  g_assert_cmpuint (net_get_u16 (frame + 56), >, 60000);
  memcpy (again, frame, sizeof frame);
  net_offload_fill_checksums (again, sizeof again);
  g_assert_cmpmem (frame, sizeof frame, again, sizeof again);
}

static void
test_mss_plain (Fixture *f, gconstpointer data)
{
  uint8_t frame[58];

  send_syn (f, frame);
  g_assert_cmpuint (net_get_u16 (frame + 56), ==, 1460);
}

static void
test_empty_buffer (Fixture *f, gconstpointer data)
{
  uint8_t frame[64];
  const uint64_t gpa = virtio_driver_alloc (f->driver, 64, NULL);

  fill (frame, sizeof frame, 1);
  virtqueue_driver_add (virtio_driver_get_queue (f->driver, VIRTIO_NET_RX),
                        &(DriverSegment){ gpa, 64, false }, 1);
  virtio_driver_kick (f->driver, VIRTIO_NET_RX);
  receive (f, frame, sizeof frame);
  g_assert_true (is_failed (f));
  receive (f, frame, sizeof frame); /* and nothing more happens */
}

/* A reset forgets the buffers that were taken and the frames that wait. */
static void
test_reset (Fixture *f, gconstpointer data)
{
  g_autofree uint8_t *frame = g_malloc (20000);

  fill_tcp (frame, 20000, 0);
  add_buffers (f, 2, 4096);
  receive (f, frame, 20000);
  virtio_driver_reset (f->driver);
  receive (f, frame, 20000);
  g_clear_pointer (&f->driver, virtio_driver_free);
  f->driver = virtio_driver_new (virtio_net_get_device (f->net), f->memory, 0, ALL);
  add_buffers (f, 1, 4096);
  g_assert_cmpuint (used (f), ==, 0);
  receive (f, frame, 14);
  g_assert_cmpuint (used (f), ==, 1);
}

/* What the device was told is gone as soon as it has read it: it goes by its copy. */
static void
setup_changing (Fixture *f, gconstpointer data)
{
  setup (f, data);
  changing_memory_begin ();
}

static void
teardown_changing (Fixture *f, gconstpointer data)
{
  g_assert_cmpuint (changing_memory_end (), >, 0);
  teardown (f, data);
}

#define ADD_CHANGING(name, data, func)                                                             \
  g_test_add ("/virtio-net/hostile-8-memory-changes/" name, Fixture, data, setup_changing, func,   \
              teardown_changing)

#define ADD(name, func, features)                                                                  \
  g_test_add ("/virtio-net/" name, Fixture, GSIZE_TO_POINTER (features), setup, func, teardown)
#define PLAIN (BIT (VIRTIO_F_VERSION_1) | BIT (VIRTIO_NET_F_MAC))

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_log_set_always_fatal (G_LOG_FATAL_MASK |
                          G_LOG_LEVEL_CRITICAL); /* the device complains of a hostile driver */
  ADD ("config", test_config, 0);
  ADD ("transmit", test_transmit, 0);
  ADD ("transmit-long", test_transmit_long, 0);
  ADD ("hostile-3-transmit-lies", test_transmit_lies, 0);
  ADD ("hostile-3-transmit-huge", test_transmit_huge, 0);
  ADD ("transmit-plain", test_transmit_plain, PLAIN);
  ADD ("receive", test_receive, 0);
  ADD ("receive-checked", test_receive_checked, 0);
  ADD ("receive-merged", test_receive_merged, 0);
  ADD ("hostile-11-receive-late", test_receive_late, 0);
  ADD ("hostile-3-receive-tiny", test_receive_tiny, 0);
  ADD ("receive-unmerged", test_receive_unmerged, PLAIN);
  ADD ("receive-fragments", test_receive_fragments, 0);
  ADD ("receive-too-long", test_receive_too_long, PLAIN);
  ADD ("answer", test_answer, 0);
  ADD ("mss", test_mss, 0);
  ADD ("mss-plain", test_mss_plain, PLAIN);
  ADD ("empty-buffer", test_empty_buffer, 0);
  ADD ("hostile-7-reset", test_reset, 0);
  ADD_CHANGING ("transmit", NULL, test_transmit);
  ADD_CHANGING ("transmit-long", NULL, test_transmit_long);
  ADD_CHANGING ("transmit-lies", NULL, test_transmit_lies);
  return g_test_run ();
}
