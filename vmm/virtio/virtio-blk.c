#define G_LOG_DOMAIN "vmm-virtio"

#include "virtio/virtio-blk.h"

#include <errno.h>
#include <string.h>
#include <linux/virtio_blk.h>
#include <linux/virtio_ids.h>

#include "base/fd-source.h"
#include "base/iov.h"
#include "base/loop-thread.h"
#include "base/poll-window.h"
#include "virtio/virtio-device-private.h"

/* Theory of operation
 *
 * Whatever wakes the disk's thread, it has a turn of work (work ()): it takes a piece of what each queue has, prepares its requests for the
 * backend and kicks them once, signals what is done, and so on until there is nothing more. All runs on the disk's context with the device's
 * lock held, which guards the backend as well. All queues share it, because they share the thread.
 *
 * During a turn notifications are off: a guest that sees so leaves without an exit. Pieces are small, as most of what an image does it does in
 * kick (), by the host's page cache or a fast disk: while one queue's requests are carried out the guest prepares the other's.
 *
 * Where a CPU is to spare, and looking pays (poll-window.h), a turn of small requests goes on for a moment (linger ()): the guest's next ones are then
 * without an exit, and nobody has to be woken. Else the guest needs the CPU on which the thread would look, and it sleeps at once.
 *
 * A request for which the host has no room is kept as it is, and its owner told, who pauses the machine; virtio_blk_resume () goes on with it.
 *
 * A request keeps its element, and so its pointers into guest memory, until it is done. A driver's reset is over when all are: the
 * disk's thread sees to it, for storage can hang, and a vCPU must not. reset () and virtio_blk_free () wait for them. There are
 * never more than the queues hold (virtqueue.c).
 */
#define QUEUE_SIZE      256
#define SEGMENTS_MAX    (QUEUE_SIZE - 2)  /* less header and status */
#define RANGE_SECTORS   (1u << 22)        /* of one discard or write zeroes: 2 GiB */
#define DISCARD_SECTORS 8                 /* the unit of most file systems: 4 KiB */
#define PIECE_BYTES     (2 * 1024 * 1024) /* of a queue at a time, or one request if that has more */
#define TURN_MAX_US     10000             /* then the loop has its turn, whatever the guest does */
#define SMALL_BYTES     (64 * 1024)       /* next to larger requests, being woken costs nothing */
#define CONFIG_SIZE     sizeof (struct virtio_blk_config)
#define FEATURE(bit)    (UINT64_C (1) << (bit))

typedef struct BlkRequest BlkRequest;

struct BlkRequest
{
  BlockRequest io; /* first: done () casts */
  VirtioBlk *blk;
  unsigned queue;
  VirtqueueElement element;
  uint8_t *status;  /* guest memory */
  uint32_t written; /* bytes besides the status when all goes well */
  BlkRequest *next; /* in VirtioBlk.spare or .kept */
};

struct VirtioBlk
{
  VirtioDevice *device;
  LoopThread *thread; /* NULL: on somebody else's context */
  GMainContext *context;
  GSource *completions; /* NULL: nothing to poll */
  BlockBackend backend;
  uint64_t sectors;
  unsigned n_queues;
  bool readonly;
  bool may_linger;
  void (*no_room) (void *opaque, int code);
  void *opaque;
  char serial[VIRTIO_BLK_SERIAL_MAX];
  struct virtio_blk_config config; /* little-endian */

  /* Guarded by the device's lock. */
  unsigned in_flight; /* requests that the backend has */
  uint64_t n_taken;   /* requests since the start */
  bool are_small;     /* those that were taken last */
  PollWindow window;
  BlkRequest *spare;
  BlkRequest *kept; /* a list in the order of failure; kept_tail: where to append */
  BlkRequest **kept_tail;
  uint32_t
      unsignalled; /* queues with requests pushed since the last interrupt check: one bit each */
};

static void
request_release (BlkRequest *request)
{
  request->next = request->blk->spare;
  request->blk->spare = request;
}

/* A queue that is gone was reset meanwhile: nobody waits for the answer, and the memory may be somebody else's now. */
static void
request_finish (BlkRequest *request, uint8_t status)
{
  VirtioBlk *blk = request->blk;
  Virtqueue *queue = virtio_device_get_queue (blk->device, request->queue);

  if (queue)
    {
      *request->status = status;
      virtqueue_push (queue, &request->element,
                      (status == VIRTIO_BLK_S_OK ? request->written : 0) + 1);
      blk->unsignalled |= 1u << request->queue;
    }
  request_release (request);
}

static void
request_keep (BlkRequest *request)
{
  VirtioBlk *blk = request->blk;

  request->next = NULL;
  *blk->kept_tail = request;
  blk->kept_tail = &request->next;
}

static void
submit (BlkRequest *request)
{
  const BlockBackend *backend = &request->blk->backend;

  request->blk->in_flight++;
  backend->ops->submit (backend->opaque, &request->io);
}

static void
kick (VirtioBlk *blk)
{
  blk->backend.ops->kick (blk->backend.opaque);
}

static void
on_done (BlockRequest *io, int error)
{
  BlkRequest *request = (BlkRequest *) io;
  VirtioBlk *blk = request->blk;

  blk->in_flight--;
  if ((error == ENOSPC || error == EDQUOT) && blk->no_room &&
      virtio_device_get_queue (blk->device, request->queue))
    {
      request_keep (request);
      blk->no_room (blk->opaque, error);
      return;
    }
  request_finish (request, error == 0 ? VIRTIO_BLK_S_OK : VIRTIO_BLK_S_IOERR);
}

static BlkRequest *
request_new (VirtioBlk *blk, unsigned queue)
{
  BlkRequest *request = blk->spare;

  if (request)
    blk->spare = request->next;
  else
    request = g_new0 (BlkRequest, 1);
  request->blk = blk;
  request->io.done = on_done;
  request->queue = queue;
  request->written = 0;
  return request;
}

static void
signal_queues (VirtioBlk *blk)
{
  for (unsigned i = 0; blk->unsignalled != 0; i++)
    if (blk->unsignalled & 1u << i)
      {
        blk->unsignalled &= ~(1u << i);
        virtio_device_signal_queue (blk->device, i);
      }
}

static bool
is_inside (const VirtioBlk *blk, uint64_t sector, uint64_t n_sectors)
{
  return sector <= blk->sectors && n_sectors <= blk->sectors - sector;
}

/* 5.2.5: without FLUSH there is no other way to make data durable; with CONFIG_WCE the driver says. */
static bool
is_write_through (VirtioBlk *blk)
{
  return !virtio_device_has_feature (blk->device, VIRTIO_BLK_F_FLUSH) || blk->config.wce == 0;
}

/* Each start_ function returns VIRTIO_BLK_S_OK if the request is under way, else the status to give at once. */

static uint8_t
start_transfer (BlkRequest *request, BlockOperation operation, uint64_t sector)
{
  VirtioBlk *blk = request->blk;
  const bool out = operation == BLOCK_WRITE;
  BlockRequest *io = &request->io;

  io->iov = out ? request->element.out : request->element.in;
  io->n_iov = out ? request->element.n_out : request->element.n_in;
  io->size = out ? request->element.out_bytes : request->element.in_bytes;
  if (io->size % BLOCK_SECTOR_SIZE != 0 || !is_inside (blk, sector, io->size / BLOCK_SECTOR_SIZE) ||
      (out && blk->readonly))
    return VIRTIO_BLK_S_IOERR;
  if (io->size == 0)
    {
      request_finish (request, VIRTIO_BLK_S_OK);
      return VIRTIO_BLK_S_OK;
    }
  io->operation = operation;
  io->offset = sector * BLOCK_SECTOR_SIZE;
  io->durable = out && is_write_through (blk);
  request->written = out ? 0 : io->size;
  submit (request);
  return VIRTIO_BLK_S_OK;
}

static uint8_t
start_flush (BlkRequest *request)
{
  if (request->blk->readonly)
    {
      request_finish (request, VIRTIO_BLK_S_OK);
      return VIRTIO_BLK_S_OK;
    }
  request->io.operation = BLOCK_FLUSH;
  submit (request);
  return VIRTIO_BLK_S_OK;
}

static uint8_t
start_range (BlkRequest *request, BlockOperation operation)
{
  VirtioBlk *blk = request->blk;
  const VirtqueueElement *element = &request->element;
  BlockRequest *io = &request->io;
  struct virtio_blk_discard_write_zeroes range;

  /* 5.2.6.1: as many ranges as max_discard_seg, max_write_zeroes_seg: one. */
  if (element->out_bytes != sizeof range ||
      iov_read (element->out, element->n_out, 0, &range, sizeof range) != sizeof range)
    return VIRTIO_BLK_S_IOERR;
  const uint64_t sector = GUINT64_FROM_LE (range.sector);
  const uint32_t n_sectors = GUINT32_FROM_LE (range.num_sectors);
  const uint32_t flags = GUINT32_FROM_LE (range.flags);
  /* 5.2.6.2: unknown flags, and unmap on a discard, are not supported. */
  if (flags & ~VIRTIO_BLK_WRITE_ZEROES_FLAG_UNMAP || (operation == BLOCK_DISCARD && flags != 0))
    return VIRTIO_BLK_S_UNSUPP;
  if (blk->readonly || n_sectors > RANGE_SECTORS || !is_inside (blk, sector, n_sectors))
    return VIRTIO_BLK_S_IOERR;
  if (n_sectors == 0)
    {
      request_finish (request, VIRTIO_BLK_S_OK);
      return VIRTIO_BLK_S_OK;
    }
  io->operation = operation;
  io->offset = sector * BLOCK_SECTOR_SIZE;
  io->size = (uint64_t) n_sectors * BLOCK_SECTOR_SIZE;
  io->may_unmap = (flags & VIRTIO_BLK_WRITE_ZEROES_FLAG_UNMAP) != 0;
  io->durable = operation == BLOCK_WRITE_ZEROES && is_write_through (blk);
  submit (request);
  return VIRTIO_BLK_S_OK;
}

static uint8_t
start_get_id (BlkRequest *request)
{
  const VirtqueueElement *element = &request->element;

  request->written =
      iov_write (element->in, element->n_in, 0, request->blk->serial, sizeof request->blk->serial);
  request_finish (request, VIRTIO_BLK_S_OK);
  return VIRTIO_BLK_S_OK;
}

static uint8_t
start_by_type (BlkRequest *request, const struct virtio_blk_outhdr *header)
{
  switch (GUINT32_FROM_LE (header->type))
    {
    case VIRTIO_BLK_T_IN:
      return start_transfer (request, BLOCK_READ, GUINT64_FROM_LE (header->sector));
    case VIRTIO_BLK_T_OUT:
      return start_transfer (request, BLOCK_WRITE, GUINT64_FROM_LE (header->sector));
    case VIRTIO_BLK_T_FLUSH:
      return start_flush (request);
    case VIRTIO_BLK_T_DISCARD:
      return start_range (request, BLOCK_DISCARD);
    case VIRTIO_BLK_T_WRITE_ZEROES:
      return start_range (request, BLOCK_WRITE_ZEROES);
    case VIRTIO_BLK_T_GET_ID:
      return start_get_id (request);
    default:
      return VIRTIO_BLK_S_UNSUPP;
    }
}

/* Takes header and status off the element. False: it is not a request at all. */
static bool
frame (BlkRequest *request, struct virtio_blk_outhdr *header)
{
  VirtqueueElement *element = &request->element;

  if (element->out_bytes < sizeof *header || element->in_bytes < 1)
    return false;
  iov_read (element->out, element->n_out, 0, header, sizeof *header);
  iov_trim_front (&element->out, &element->n_out, sizeof *header);
  element->out_bytes -= sizeof *header;

  const struct iovec *last = &element->in[element->n_in - 1];
  request->status = (uint8_t *) last->iov_base + last->iov_len - 1;
  iov_trim_back (element->in, &element->n_in, 1);
  element->in_bytes--;
  return true;
}

/* Takes a piece of what a queue has, and signals what of it is done at once. Was there anything? */
static bool
serve (VirtioBlk *blk, unsigned index)
{
  Virtqueue *queue = virtio_device_get_queue (blk->device, index);
  uint64_t bytes = 0;
  unsigned taken = 0;

  if (!queue)
    return false;
  BlkRequest *request = request_new (blk, index);
  while (taken < QUEUE_SIZE && bytes < PIECE_BYTES && virtqueue_pop (queue, &request->element))
    {
      struct virtio_blk_outhdr header;

      taken++;
      bytes += request->element.out_bytes + request->element.in_bytes;
      if (!frame (request, &header))
        {
          virtio_device_fail (blk->device, "a request without header or status");
          break;
        }
      const uint8_t status = start_by_type (request, &header);
      if (status != VIRTIO_BLK_S_OK)
        request_finish (request, status);
      request = request_new (blk, index);
    }
  request_release (request);
  if (taken > 0)
    {
      blk->n_taken += taken;
      blk->are_small = bytes / taken <= SMALL_BYTES;
      kick (blk);
    }
  blk->unsignalled |= 1u << index; /* a broken queue is told there too */
  signal_queues (blk);
  return taken > 0;
}

static void
set_notification (VirtioBlk *blk, bool enabled)
{
  for (unsigned i = 0; i < blk->n_queues; i++)
    {
      Virtqueue *queue = virtio_device_get_queue (blk->device, i);

      if (queue)
        virtqueue_set_notification (queue, enabled);
    }
}

static void
reap (VirtioBlk *blk, bool again_soon)
{
  const BlockBackend *backend = &blk->backend;

  if (again_soon && backend->ops->look)
    backend->ops->look (backend->opaque);
  else
    backend->ops->reap (backend->opaque);
  signal_queues (blk);
  if (blk->in_flight == 0)
    virtio_device_end_reset (blk->device);
}

/* Is there anything? Then it is done. */
static bool
look (VirtioBlk *blk)
{
  const unsigned in_flight = blk->in_flight;
  bool any;

  reap (blk, true);
  any = blk->in_flight != in_flight;
  for (unsigned i = 0; i < blk->n_queues; i++)
    any |= serve (blk, i);
  return any;
}

/* Looks on, until there has been nothing for a moment. The lock is free between two looks, for a vCPU at the registers. */
static void
linger (VirtioBlk *blk, gint64 now, gint64 end)
{
  const uint64_t taken = blk->n_taken;

  while (blk->are_small && now < end && poll_window_is_open (&blk->window, now))
    {
      virtio_device_unlock (blk->device);
      __builtin_ia32_pause ();
      virtio_device_lock (blk->device);
      const bool any = look (blk);
      now = g_get_monotonic_time ();
      if (any)
        poll_window_idle (&blk->window, now);
    }
  poll_window_close (&blk->window, blk->n_taken != taken);
}

static void
work (VirtioBlk *blk)
{
  gint64 now = g_get_monotonic_time ();
  const gint64 end = now + TURN_MAX_US;
  const bool may_linger = blk->may_linger && poll_window_wake (&blk->window, now);

  set_notification (blk, false);
  while (look (blk) && (now = g_get_monotonic_time ()) < end)
    ;
  poll_window_idle (&blk->window, now);
  if (may_linger && blk->are_small && now < end)
    linger (blk, now, end);
  set_notification (blk, true);
  /* Of what came before the driver could see that, nobody tells. */
  for (unsigned i = 0; i < blk->n_queues; i++)
    if (serve (blk, i))
      virtio_device_notify_again (blk->device, i);
  reap (blk, false);
}

static void
notify (void *opaque, unsigned index)
{
  work (opaque);
}

static gboolean
on_completions (gint fd, GIOCondition condition, gpointer opaque)
{
  VirtioBlk *blk = opaque;

  virtio_device_lock (blk->device);
  work (blk);
  virtio_device_unlock (blk->device);
  return G_SOURCE_CONTINUE;
}

/* The list is taken off first: what is submitted may fail again. */
static BlkRequest *
take_kept (VirtioBlk *blk)
{
  BlkRequest *kept = blk->kept;

  blk->kept = NULL;
  blk->kept_tail = &blk->kept;
  return kept;
}

void
virtio_blk_resume (VirtioBlk *blk)
{
  virtio_device_lock (blk->device);
  for (BlkRequest *request = take_kept (blk), *next; request; request = next)
    {
      next = request->next;
      submit (request);
    }
  kick (blk);
  signal_queues (blk);
  virtio_device_unlock (blk->device);
}

static void
drop_kept (VirtioBlk *blk)
{
  for (BlkRequest *request = take_kept (blk), *next; request; request = next)
    {
      next = request->next;
      request_release (request);
    }
}

static bool
begin_reset (void *opaque)
{
  VirtioBlk *blk = opaque;

  drop_kept (blk);
  return blk->in_flight == 0;
}

static void
reset (void *opaque)
{
  VirtioBlk *blk = opaque;

  blk->backend.ops->drain (blk->backend.opaque);
  drop_kept (blk);
  blk->unsignalled = 0;
  blk->config.wce = 1;
}

static void
config_read (void *opaque, uint32_t offset, void *buffer, uint32_t size)
{
  VirtioBlk *blk = opaque;

  memcpy (buffer, (const uint8_t *) &blk->config + offset, size);
}

/* Only writeback can be written (5.2.5), a byte of its own. */
static void
config_write (void *opaque, uint32_t offset, const void *buffer, uint32_t size)
{
  const uint32_t wce = offsetof (struct virtio_blk_config, wce);
  VirtioBlk *blk = opaque;

  if (offset <= wce && wce - offset < size &&
      virtio_device_has_feature (blk->device, VIRTIO_BLK_F_CONFIG_WCE))
    blk->config.wce = ((const uint8_t *) buffer)[wce - offset] & 1;
}

static const VirtioDeviceType type = {
  .name = "virtio-blk",
  .id = VIRTIO_ID_BLOCK,
  .pci_class = 0x018000,
  .features = FEATURE (VIRTIO_BLK_F_SEG_MAX) | FEATURE (VIRTIO_BLK_F_BLK_SIZE) |
              FEATURE (VIRTIO_BLK_F_TOPOLOGY) | FEATURE (VIRTIO_BLK_F_FLUSH) |
              FEATURE (VIRTIO_BLK_F_CONFIG_WCE) | FEATURE (VIRTIO_BLK_F_MQ) |
              FEATURE (VIRTIO_BLK_F_DISCARD) | FEATURE (VIRTIO_BLK_F_WRITE_ZEROES) |
              FEATURE (VIRTIO_BLK_F_RO),
  .max_queues = VIRTIO_BLK_QUEUES_MAX,
  .queue_size = QUEUE_SIZE,
  .config_read = config_read,
  .config_write = config_write,
  .notify = notify,
  .begin_reset = begin_reset,
  .reset = reset,
};

static uint64_t
get_features (const VirtioBlkConfig *config)
{
  uint64_t features = type.features;

  if (config->readonly)
    features &= ~(FEATURE (VIRTIO_BLK_F_DISCARD) | FEATURE (VIRTIO_BLK_F_WRITE_ZEROES));
  else
    features &= ~FEATURE (VIRTIO_BLK_F_RO);
  if (config->n_queues == 1)
    features &= ~FEATURE (VIRTIO_BLK_F_MQ);
  return features;
}

static void
init_config (VirtioBlk *blk)
{
  const unsigned physical = MAX (blk->backend.alignment, BLOCK_SECTOR_SIZE);

  blk->config = (struct virtio_blk_config){
    .capacity = GUINT64_TO_LE (blk->sectors),
    .seg_max = GUINT32_TO_LE (SEGMENTS_MAX),
    .blk_size = GUINT32_TO_LE (BLOCK_SECTOR_SIZE),
    .physical_block_exp = g_bit_storage (physical / BLOCK_SECTOR_SIZE) - 1,
    .wce = 1,
    .num_queues = GUINT16_TO_LE (blk->n_queues),
    .max_discard_sectors = GUINT32_TO_LE (RANGE_SECTORS),
    .max_discard_seg = GUINT32_TO_LE (1),
    .discard_sector_alignment = GUINT32_TO_LE (DISCARD_SECTORS),
    .max_write_zeroes_sectors = GUINT32_TO_LE (RANGE_SECTORS),
    .max_write_zeroes_seg = GUINT32_TO_LE (1),
    .write_zeroes_may_unmap = 1,
  };
}

static void
watch_completions (VirtioBlk *blk)
{
  if (blk->backend.fd < 0)
    return;
  blk->completions = fd_source_new (blk->backend.fd, G_IO_IN, "virtio-blk completions");
  g_source_set_callback (blk->completions, G_SOURCE_FUNC (on_completions), blk, NULL);
  g_source_attach (blk->completions, blk->context);
}

VirtioBlk *
virtio_blk_new (const VirtioBlkConfig *config, const GuestMemory *memory, GMainContext *context)
{
  g_return_val_if_fail (config->n_queues >= 1 && config->n_queues <= VIRTIO_BLK_QUEUES_MAX, NULL);

  VirtioBlk *blk = g_new0 (VirtioBlk, 1);
  blk->backend = config->backend;
  blk->sectors = config->backend.size / BLOCK_SECTOR_SIZE;
  blk->n_queues = config->n_queues;
  blk->readonly = config->readonly;
  blk->may_linger = config->may_linger;
  blk->no_room = config->no_room;
  blk->opaque = config->opaque;
  blk->kept_tail = &blk->kept;
  if (config->serial)
    memcpy (blk->serial, config->serial, strnlen (config->serial, sizeof blk->serial));
  init_config (blk);
  if (!context)
    {
      blk->thread = loop_thread_new ("disk");
      loop_thread_prefer_batches (blk->thread);
    }
  blk->context = g_main_context_ref (context ? context : loop_thread_get_context (blk->thread));
  blk->device = virtio_device_new (&type, blk, config->n_queues, CONFIG_SIZE, get_features (config),
                                   memory, blk->context);
  watch_completions (blk);
  return blk;
}

void
virtio_blk_free (VirtioBlk *blk)
{
  if (!blk)
    return;
  /* First nothing new is taken and all is done; then nobody runs; then it goes. */
  virtio_device_lock (blk->device);
  virtio_device_reset (blk->device);
  virtio_device_unlock (blk->device);
  loop_thread_free (blk->thread);
  if (blk->completions)
    {
      g_source_destroy (blk->completions);
      g_source_unref (blk->completions);
    }
  virtio_device_free (blk->device);
  blk->backend.ops->free (blk->backend.opaque);
  g_main_context_unref (blk->context);
  while (blk->spare)
    {
      BlkRequest *request = blk->spare;

      blk->spare = request->next;
      virtqueue_element_clear (&request->element);
      g_free (request);
    }
  g_free (blk);
}

VirtioDevice *
virtio_blk_get_device (VirtioBlk *blk)
{
  return blk->device;
}
