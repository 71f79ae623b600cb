#define G_LOG_DOMAIN "vmm-virtio"

#include "virtio/virtio-net.h"

#include <stddef.h>
#include <string.h>
#include <linux/virtio_ids.h>
#include <linux/virtio_net.h>

#include "base/guest-log.h"
#include "base/iov.h"
#include "net/net-frame.h"
#include "net/net-offload.h"
#include "virtio/virtio-device-private.h"

/* Theory of operation
 *
 * Everything but the reset runs on the back end's context. To the back end: each frame is copied out of guest memory once, its
 * checksum is put in, and it is sent; answers that come from within that are taken under the lock that is held already.
 *
 * From the back end: buffers are taken off the queue into a stock until they hold the frame, are filled and returned together. What finds
 * no buffers waits in a list of bounded size, then is dropped, as on a wire; the driver's next buffers come with a notification.
 *
 * Between a driver that knows long segments and a back end that ends the TCP connection itself, the segments are as long as IP allows:
 * that is what the speed depends on. The driver's MSS is raised on its way to such a back end, which keeps to it, and the driver is
 * told of a segment size that fits the MTU.
 */
#define FEATURE(bit)  (UINT64_C (1) << (bit))
#define QUEUE_SIZE    256
#define N_QUEUES      2
#define BATCH         64 /* frames to send before others have their turn */
#define WAITING_BYTES (2u << 20)
#define LONG_MSS      (65520 - 60) /* IPv6 and TCP without options */
#define CONFIG_SIZE   offsetof (struct virtio_net_config, max_virtqueue_pairs)

typedef struct virtio_net_hdr_v1 Header;

struct VirtioNet
{
  VirtioDevice *device;
  NetBackend backend;
  struct virtio_net_config config;
  GuestLog log;

  /* The device's lock guards what follows. */
  bool sending;
  bool received;
  VirtqueueElement stock[QUEUE_SIZE]; /* receive buffers that were taken and not yet returned */
  unsigned n_stock;
  size_t stock_bytes;
  GQueue waiting; /* GBytes: frames for which there were no buffers */
  size_t waiting_bytes;
  VirtqueueElement element; /* that is being sent */
  uint8_t frame[NET_FRAME_MAX];
};

/* --- to the guest --- */

/* Writes into the stock as if it was one buffer. It is large enough. */
static void
stock_write (VirtioNet *net, size_t offset, const void *bytes, size_t size)
{
  const uint8_t *from = bytes;

  for (unsigned i = 0; i < net->n_stock && size > 0; i++)
    {
      const VirtqueueElement *element = &net->stock[i];

      if (offset >= element->in_bytes)
        {
          offset -= element->in_bytes;
          continue;
        }
      const size_t done = iov_write (element->in, element->n_in, offset, from, size);
      from += done;
      size -= done;
      offset = 0;
    }
}

/* Takes buffers until the stock can hold so many bytes; without mergeable buffers one. False: there are no more now. */
static bool
stock_fill (VirtioNet *net, Virtqueue *queue, size_t size)
{
  const bool merge = virtio_device_has_feature (net->device, VIRTIO_NET_F_MRG_RXBUF);

  while (net->n_stock == 0 ||
         (merge && net->stock_bytes < size && net->n_stock < G_N_ELEMENTS (net->stock)))
    {
      VirtqueueElement *element = &net->stock[net->n_stock];

      if (!virtqueue_pop (queue, element))
        return false;
      if (element->in_bytes == 0)
        {
          virtio_device_fail (net->device, "a receive buffer without room");
          return false;
        }
      net->stock_bytes += element->in_bytes;
      net->n_stock++;
    }
  return true;
}

/* Returns the first buffers, which hold so many bytes, and moves the others up. */
static void
stock_return (VirtioNet *net, Virtqueue *queue, size_t size)
{
  unsigned n = 0;

  for (; size > 0; n++)
    {
      const VirtqueueElement *element = &net->stock[n];
      const size_t written = MIN (size, element->in_bytes);

      virtqueue_push (queue, element, written);
      net->stock_bytes -= element->in_bytes;
      size -= written;
    }
  for (unsigned i = n; i < net->n_stock; i++)
    {
      const VirtqueueElement spare = net->stock[i - n];

      net->stock[i - n] = net->stock[i];
      net->stock[i] = spare;
    }
  net->n_stock -= n;
}

static unsigned
count_buffers (const VirtioNet *net, size_t size)
{
  unsigned n = 0;

  for (size_t room = 0; room < size; n++)
    room += net->stock[n].in_bytes;
  return n;
}

static bool
takes_long (const VirtioNet *net, bool ipv6)
{
  return virtio_device_has_feature (net->device, VIRTIO_NET_F_GUEST_CSUM) &&
         virtio_device_has_feature (net->device,
                                    ipv6 ? VIRTIO_NET_F_GUEST_TSO6 : VIRTIO_NET_F_GUEST_TSO4);
}

/* The back end's checksums are good (net-backend.h): where there is one the driver need not look at it again. */
static void
describe (VirtioNet *net, const uint8_t *frame, size_t size, const NetOffload *offload,
          Header *header)
{
  NetFrame parsed;

  *header = (Header){ 0 };
  if (offload->gso != NET_GSO_NONE)
    {
      header->flags = VIRTIO_NET_HDR_F_NEEDS_CSUM;
      header->gso_type =
          offload->gso == NET_GSO_TCPV6 ? VIRTIO_NET_HDR_GSO_TCPV6 : VIRTIO_NET_HDR_GSO_TCPV4;
      header->gso_size = GUINT16_TO_LE (offload->gso_size);
      header->hdr_len = GUINT16_TO_LE (offload->headers);
      header->csum_start = GUINT16_TO_LE (offload->checksum_start);
      header->csum_offset = GUINT16_TO_LE (offload->checksum_offset);
    }
  else if (virtio_device_has_feature (net->device, VIRTIO_NET_F_GUEST_CSUM) &&
           net_frame_parse (&parsed, frame, size) && !parsed.fragment &&
           (parsed.protocol == NET_PROTOCOL_TCP || parsed.protocol == NET_PROTOCOL_UDP))
    header->flags = VIRTIO_NET_HDR_F_DATA_VALID;
}

/* False: no buffers. A frame that never fits is dropped. */
static bool
put_frame (VirtioNet *net, Virtqueue *queue, const uint8_t *frame, size_t size)
{
  const size_t total = sizeof (Header) + size;
  NetOffload offload;
  Header header;
  uint8_t checksum[2];

  if (!stock_fill (net, queue, total))
    return false;
  if (net->stock_bytes < total)
    {
      guest_log (&net->log, "a frame of %" G_GSIZE_FORMAT " bytes does not fit the buffers", size);
      return true;
    }
  net_offload_describe (&offload, frame, size, checksum);
  describe (net, frame, size, &offload, &header);
  header.num_buffers = GUINT16_TO_LE (count_buffers (net, total));
  stock_write (net, 0, &header, sizeof header);
  stock_write (net, sizeof header, frame, size);
  if (offload.gso != NET_GSO_NONE)
    stock_write (net, sizeof header + offload.checksum_start + offload.checksum_offset, checksum,
                 sizeof checksum);
  stock_return (net, queue, total);
  net->received = true;
  return true;
}

static void
put_waiting (VirtioNet *net, Virtqueue *queue)
{
  GBytes *first;

  while ((first = g_queue_peek_head (&net->waiting)))
    {
      gsize size;
      const uint8_t *frame = g_bytes_get_data (first, &size);

      if (!put_frame (net, queue, frame, size))
        return;
      net->waiting_bytes -= size;
      g_bytes_unref (g_queue_pop_head (&net->waiting));
    }
}

static void
put_or_keep (void *opaque, const uint8_t *frame, size_t size)
{
  VirtioNet *net = opaque;
  Virtqueue *queue = virtio_device_get_queue (net->device, VIRTIO_NET_RX);

  if (!queue || (g_queue_is_empty (&net->waiting) && put_frame (net, queue, frame, size)))
    return;
  if (net->waiting_bytes + size > WAITING_BYTES)
    {
      g_debug ("virtio-net: no receive buffers: dropped %" G_GSIZE_FORMAT " bytes", size);
      return;
    }
  net->waiting_bytes += size;
  g_queue_push_tail (&net->waiting, g_bytes_new (frame, size));
}

/* Long TCP segments come only to a driver that takes them; other long packets are cut up for everyone. */
static void
receive_locked (VirtioNet *net, const uint8_t *frame, size_t size)
{
  NetFrame parsed;

  if (size < NET_ETH_HEADER)
    return;
  if (size <= NET_FRAME_PLAIN ||
      (net_frame_parse (&parsed, frame, size) && parsed.protocol == NET_PROTOCOL_TCP &&
       takes_long (net, parsed.ipv6)))
    put_or_keep (net, frame, size);
  else if (!net_offload_fragment (frame, size, NET_FRAME_PLAIN, put_or_keep, net))
    g_debug ("virtio-net: dropped a packet of %" G_GSIZE_FORMAT " bytes", size);
}

static void
receive (void *opaque, const uint8_t *frame, size_t size)
{
  VirtioNet *net = opaque;

  if (net->sending)
    {
      receive_locked (net, frame, size);
      return;
    }
  virtio_device_lock (net->device);
  receive_locked (net, frame, size);
  virtio_device_unlock (net->device);
}

static void
signal_received (VirtioNet *net)
{
  if (net->received)
    virtio_device_signal_queue (net->device, VIRTIO_NET_RX);
  net->received = false;
}

static void
flush (void *opaque)
{
  VirtioNet *net = opaque;

  virtio_device_lock (net->device);
  signal_received (net);
  virtio_device_unlock (net->device);
}

/* --- from the guest --- */

/* 5.1.6.2. False: the header is not one that the negotiated features allow. */
static bool
parse_header (VirtioNet *net, const Header *header, NetOffload *offload)
{
  unsigned feature;

  *offload = (NetOffload){
    .needs_checksum = (header->flags & VIRTIO_NET_HDR_F_NEEDS_CSUM) != 0,
    .checksum_start = GUINT16_FROM_LE (header->csum_start),
    .checksum_offset = GUINT16_FROM_LE (header->csum_offset),
    .gso_size = GUINT16_FROM_LE (header->gso_size),
  };
  switch (header->gso_type)
    {
    case VIRTIO_NET_HDR_GSO_NONE:
      return !offload->needs_checksum || virtio_device_has_feature (net->device, VIRTIO_NET_F_CSUM);
    case VIRTIO_NET_HDR_GSO_TCPV4:
      offload->gso = NET_GSO_TCPV4;
      feature = VIRTIO_NET_F_HOST_TSO4;
      break;
    case VIRTIO_NET_HDR_GSO_TCPV6:
      offload->gso = NET_GSO_TCPV6;
      feature = VIRTIO_NET_F_HOST_TSO6;
      break;
    default:
      return false;
    }
  return virtio_device_has_feature (net->device, feature) &&
         virtio_device_has_feature (net->device, VIRTIO_NET_F_CSUM);
}

static void
raise_mss (VirtioNet *net, const NetOffload *offload, size_t size)
{
  NetFrame parsed;

  if (net->backend.ops->terminates_tcp && size <= NET_FRAME_PLAIN &&
      net_frame_parse (&parsed, net->frame, size) && takes_long (net, parsed.ipv6))
    net_offload_raise_mss (offload, net->frame, size, LONG_MSS);
}

static void
on_frame (void *opaque, const uint8_t *frame, size_t size)
{
  VirtioNet *net = opaque;

  net->backend.ops->send (net->backend.opaque, frame, size);
}

static void
transmit (VirtioNet *net)
{
  const VirtqueueElement *element = &net->element;
  const size_t size = element->out_bytes - sizeof (Header);
  NetOffload offload;
  Header header;

  if (element->out_bytes < sizeof header + NET_ETH_HEADER || size > sizeof net->frame)
    {
      guest_log (&net->log, "a frame of %" G_GSIZE_FORMAT " bytes with its header",
                 element->out_bytes);
      return;
    }
  iov_read (element->out, element->n_out, 0, &header, sizeof header);
  iov_read (element->out, element->n_out, sizeof header, net->frame, size);
  if (!parse_header (net, &header, &offload))
    {
      guest_log (&net->log, "flags 0x%x and segmentation 0x%x were not negotiated", header.flags,
                 header.gso_type);
      return;
    }
  raise_mss (net, &offload, size);
  if (!net_offload_finish (&offload, net->frame, size, net->backend.ops->frame_max, on_frame, net))
    guest_log (&net->log, "a frame of %" G_GSIZE_FORMAT " bytes that its header does not fit",
               size);
}

/* Answers may have failed the device meanwhile: then the queue is gone. */
static void
notify_tx (VirtioNet *net)
{
  Virtqueue *queue;
  unsigned sent = 0;

  net->sending = true;
  for (; sent < BATCH && (queue = virtio_device_get_queue (net->device, VIRTIO_NET_TX)) &&
         virtqueue_pop (queue, &net->element);
       sent++)
    {
      transmit (net);
      virtqueue_push (queue, &net->element, 0);
    }
  net->sending = false;
  if (sent == BATCH)
    virtio_device_notify_again (net->device, VIRTIO_NET_TX);
  virtio_device_signal_queue (net->device, VIRTIO_NET_TX);
}

static void
notify (void *opaque, unsigned index)
{
  VirtioNet *net = opaque;

  if (index == VIRTIO_NET_TX)
    notify_tx (net);
  else
    put_waiting (net, virtio_device_get_queue (net->device, VIRTIO_NET_RX));
  signal_received (net);
}

/* --- life --- */

static void
reset (void *opaque)
{
  VirtioNet *net = opaque;

  net->n_stock = 0;
  net->stock_bytes = 0;
  net->received = false;
  g_queue_clear_full (&net->waiting, (GDestroyNotify) g_bytes_unref);
  net->waiting_bytes = 0;
}

static void
config_read (void *opaque, uint32_t offset, void *buffer, uint32_t size)
{
  VirtioNet *net = opaque;

  memcpy (buffer, (const uint8_t *) &net->config + offset, size);
}

static const VirtioDeviceType type = {
  .name = "virtio-net",
  .id = VIRTIO_ID_NET,
  .pci_class = 0x020000,
  .features = FEATURE (VIRTIO_NET_F_MAC) | FEATURE (VIRTIO_NET_F_STATUS) |
              FEATURE (VIRTIO_NET_F_MRG_RXBUF) | FEATURE (VIRTIO_NET_F_CSUM) |
              FEATURE (VIRTIO_NET_F_HOST_TSO4) | FEATURE (VIRTIO_NET_F_HOST_TSO6) |
              FEATURE (VIRTIO_NET_F_GUEST_CSUM) | FEATURE (VIRTIO_NET_F_GUEST_TSO4) |
              FEATURE (VIRTIO_NET_F_GUEST_TSO6),
  .max_queues = N_QUEUES,
  .queue_size = QUEUE_SIZE,
  .config_read = config_read,
  .notify = notify,
  .reset = reset,
};

VirtioNet *
virtio_net_new (const uint8_t mac[VIRTIO_NET_MAC_SIZE], const NetBackend *backend,
                const GuestMemory *memory)
{
  VirtioNet *net = g_new0 (VirtioNet, 1);

  net->backend = *backend;
  net->config.status = GUINT16_TO_LE (VIRTIO_NET_S_LINK_UP);
  memcpy (net->config.mac, mac, VIRTIO_NET_MAC_SIZE);
  guest_log_init (&net->log, type.name);
  g_queue_init (&net->waiting);
  net->device = virtio_device_new (&type, net, N_QUEUES, CONFIG_SIZE, type.features, memory,
                                   backend->ops->get_context (backend->opaque));
  backend->ops->set_receiver (backend->opaque,
                              &(NetReceiver){ .receive = receive, .flush = flush, .opaque = net });
  return net;
}

void
virtio_net_free (VirtioNet *net)
{
  if (!net)
    return;
  /* First the rings are gone, then nobody runs, then it goes. */
  virtio_device_lock (net->device);
  virtio_device_reset (net->device);
  virtio_device_unlock (net->device);
  net->backend.ops->stop (net->backend.opaque);
  virtio_device_free (net->device);
  for (unsigned i = 0; i < G_N_ELEMENTS (net->stock); i++)
    virtqueue_element_clear (&net->stock[i]);
  virtqueue_element_clear (&net->element);
  g_free (net);
}

VirtioDevice *
virtio_net_get_device (VirtioNet *net)
{
  return net->device;
}
