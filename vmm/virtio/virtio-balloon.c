#define G_LOG_DOMAIN "vmm-virtio"

#include "virtio/virtio-balloon.h"

#include <assert.h>
#include <string.h>
#include <linux/virtio_balloon.h>
#include <linux/virtio_ids.h>

#include "base/guest-log.h"
#include "base/iov.h"

/* Theory of operation
 *
 * A page in the balloon is dropped from the host's memory and nothing more: it stays where it is in the guest's address space, reads as
 * zeroes and takes memory again when it is written. So deflating needs no work, a guest that lies about what is in its balloon
 * loses its own data only, and no record of the balloon's pages is kept.
 *
 * Queues after the first two are there as the features say (5.5.2), but drivers disagree on how they are counted when one of them
 * is missing: Linux closes the gap, the specification does not. Since FREE_PAGE_HINT is not offered, everything behind the
 * statistics is a queue of reports, whichever index it has.
 *
 * The statistics' one buffer is kept until the next statistics are wanted; returning it is how the guest is asked for them.
 */
enum
{
  QUEUE_INFLATE,
  QUEUE_DEFLATE,
  QUEUE_STATS,
  QUEUES = 5,
};

#define QUEUE_SIZE       128
#define PAGE_SHIFT       VIRTIO_BALLOON_PFN_SHIFT
#define PAGE_BYTES       (UINT64_C (1) << PAGE_SHIFT)
#define REQUESTS_AT_ONCE 16
/* Each page and each piece of a report can be a system call, so they are counted: after PIECES_AT_ONCE others have their turn, and
 * no request is larger. Linux sends 256 pages in one and Windows 1024; of a larger one the rest is not looked at, which only keeps memory
 * with the guest that it could do without. */
#define PIECES_AT_ONCE 4096
#define PFNS_AT_ONCE   256
#define STATS_MAX      64 /* records in a buffer; later tags than we know are skipped */
#define CHANGE_GAP_US  G_TIME_SPAN_SECOND

#define FEATURE(name) (UINT64_C (1) << VIRTIO_BALLOON_F_##name)

static_assert (BALLOON_STAT_HUGETLB_FAILURES == VIRTIO_BALLOON_S_HTLB_PGFAIL, "a value a tag");
static_assert (BALLOON_STAT_DISK_CACHES == VIRTIO_BALLOON_S_CACHES, "a value a tag");

struct VirtioBalloon
{
  VirtioDevice *device;
  void (*changed) (void *opaque);
  void *opaque;
  GuestLog log;
  unsigned interval; /* seconds */
  unsigned timer;    /* GSource id; 0: none */

  /* Guarded by the device's lock. */
  VirtqueueElement element;
  VirtqueueElement stats_buffer;
  bool has_stats_buffer;
  struct virtio_balloon_config config; /* as the guest sees it, little-endian */
  BalloonStats stats;
  GSource *change; /* NULL: nothing to tell */
  int64_t last_change_us;
};

static void
forget_stats (VirtioBalloon *balloon)
{
  for (unsigned i = 0; i < BALLOON_N_STATS; i++)
    balloon->stats.values[i] = -1;
  balloon->stats.updated = 0;
}

/* --- memory --- */

/* Pages that follow each other, upwards or downwards, as a guest's allocator gives them, go back in one call. */
typedef struct Run
{
  const GuestMemory *memory;
  uint8_t *start; /* NULL: empty */
  uint8_t *end;
} Run;

static void
run_finish (Run *run)
{
  if (run->start)
    guest_memory_discard (run->memory, run->start, run->end - run->start);
  run->start = NULL;
}

static void
run_add (Run *run, uint8_t *page)
{
  if (run->start && page == run->end)
    run->end += PAGE_BYTES;
  else if (run->start && page == run->start - PAGE_BYTES)
    run->start = page;
  else
    {
      run_finish (run);
      run->start = page;
      run->end = page + PAGE_BYTES;
    }
}

/* Returns how many pages were looked at. */
static size_t
inflate (VirtioBalloon *balloon)
{
  const GuestMemory *memory = virtio_device_get_memory (balloon->device);
  const VirtqueueElement *element = &balloon->element;
  const size_t asked = element->out_bytes / sizeof (uint32_t);
  const size_t n = MIN (asked, PIECES_AT_ONCE);
  Run run = { .memory = memory };

  if (asked > n)
    guest_log (&balloon->log, "%zu pages in one request, the first %zu are taken", asked, n);
  for (size_t done = 0; done < n;)
    {
      uint32_t pfns[PFNS_AT_ONCE];
      const size_t some = MIN (PFNS_AT_ONCE, n - done);

      iov_read (element->out, element->n_out, done * sizeof *pfns, pfns, some * sizeof *pfns);
      for (size_t i = 0; i < some; i++)
        {
          const uint64_t gpa = (uint64_t) GUINT32_FROM_LE (pfns[i]) << PAGE_SHIFT;
          uint8_t *page = guest_memory_map (memory, gpa, PAGE_BYTES);

          if (page)
            run_add (&run, page);
          else
            guest_log (&balloon->log, "a page that is not RAM: 0x%" G_GINT64_MODIFIER "x", gpa);
        }
      done += some;
    }
  run_finish (&run);
  return n;
}

/* 5.5.6.7: the pages are the buffers. A guest that wants a pattern in its free pages would find zeroes instead. */
static size_t
take_report (VirtioBalloon *balloon)
{
  const VirtqueueElement *element = &balloon->element;

  if (!virtio_device_has_feature (balloon->device, VIRTIO_BALLOON_F_REPORTING) ||
      balloon->config.poison_val != 0)
    return 0;
  for (unsigned i = 0; i < element->n_in; i++)
    guest_memory_discard (virtio_device_get_memory (balloon->device), element->in[i].iov_base,
                          element->in[i].iov_len);
  return element->n_in;
}

/* --- statistics --- */

static void
read_stats (VirtioBalloon *balloon, const VirtqueueElement *element)
{
  struct virtio_balloon_stat records[STATS_MAX];
  const size_t size = iov_read (element->out, element->n_out, 0, records, sizeof records);

  forget_stats (balloon);
  for (size_t i = 0; i < size / sizeof *records; i++)
    {
      const uint16_t tag = GUINT16_FROM_LE (records[i].tag);
      const uint64_t value = GUINT64_FROM_LE (records[i].val);

      if (tag < BALLOON_N_STATS)
        balloon->stats.values[tag] = (int64_t) MIN (value, (uint64_t) INT64_MAX);
    }
  balloon->stats.updated = g_get_real_time () / G_USEC_PER_SEC;
}

/* A driver has one buffer (5.5.6.3); if it makes a second one available, the first goes back. */
static void
take_stats (VirtioBalloon *balloon, Virtqueue *queue)
{
  if (balloon->has_stats_buffer)
    virtqueue_push (queue, &balloon->stats_buffer, 0);
  virtqueue_element_clear (&balloon->stats_buffer);
  virtqueue_element_move (&balloon->stats_buffer, &balloon->element);
  balloon->has_stats_buffer = true;
  read_stats (balloon, &balloon->stats_buffer);
}

static gboolean
ask_for_stats (void *opaque)
{
  VirtioBalloon *balloon = opaque;

  virtio_device_lock (balloon->device);
  Virtqueue *queue = virtio_device_get_queue (balloon->device, QUEUE_STATS);
  if (queue && balloon->has_stats_buffer)
    {
      balloon->has_stats_buffer = false;
      virtqueue_push (queue, &balloon->stats_buffer, 0);
      virtio_device_signal_queue (balloon->device, QUEUE_STATS);
    }
  virtio_device_unlock (balloon->device);
  return G_SOURCE_CONTINUE;
}

/* --- the device --- */

static void
notify (void *opaque, unsigned index)
{
  VirtioBalloon *balloon = opaque;
  Virtqueue *queue = virtio_device_get_queue (balloon->device, index);
  const bool is_stats = index == QUEUE_STATS &&
                        virtio_device_has_feature (balloon->device, VIRTIO_BALLOON_F_STATS_VQ);
  unsigned done = 0;
  size_t pieces = 0;

  for (; done < REQUESTS_AT_ONCE && pieces < PIECES_AT_ONCE &&
         virtqueue_pop (queue, &balloon->element);
       done++)
    {
      if (is_stats)
        {
          take_stats (balloon, queue);
          continue;
        }
      if (index == QUEUE_INFLATE)
        pieces += inflate (balloon);
      else if (index != QUEUE_DEFLATE)
        pieces += take_report (balloon);
      virtqueue_push (queue, &balloon->element, 0);
    }
  if (done == REQUESTS_AT_ONCE || pieces >= PIECES_AT_ONCE)
    virtio_device_notify_again (balloon->device, index);
  virtio_device_signal_queue (balloon->device, index);
}

static gboolean
tell_change (void *opaque)
{
  VirtioBalloon *balloon = opaque;

  virtio_device_lock (balloon->device);
  g_clear_pointer (&balloon->change, g_source_unref);
  balloon->last_change_us = g_get_monotonic_time ();
  virtio_device_unlock (balloon->device);
  balloon->changed (balloon->opaque);
  return G_SOURCE_REMOVE;
}

/* Lock held, any thread. A guest that inflates says so after every 256 pages. */
static void
note_change (VirtioBalloon *balloon)
{
  if (!balloon->changed || balloon->change)
    return;
  const int64_t now = g_get_monotonic_time ();
  const int64_t wait = balloon->last_change_us + CHANGE_GAP_US - now;
  balloon->change =
      g_timeout_source_new (balloon->last_change_us && wait > 0 ? wait / 1000 + 1 : 0);
  g_source_set_callback (balloon->change, tell_change, balloon, NULL);
  g_source_attach (balloon->change, NULL);
}

static void
config_read (void *opaque, uint32_t offset, void *buffer, uint32_t size)
{
  VirtioBalloon *balloon = opaque;

  memcpy (buffer, (const uint8_t *) &balloon->config + offset, size);
}

/* What of the write is behind its field or before it is not the driver's. */
static void
config_write (void *opaque, uint32_t offset, const void *buffer, uint32_t size)
{
  VirtioBalloon *balloon = opaque;
  struct virtio_balloon_config written = balloon->config;

  memcpy ((uint8_t *) &written + offset, buffer, size);
  if (virtio_device_has_feature (balloon->device, VIRTIO_BALLOON_F_PAGE_POISON))
    balloon->config.poison_val = written.poison_val;
  if (balloon->config.actual == written.actual)
    return;
  balloon->config.actual = written.actual;
  note_change (balloon);
}

static void
reset (void *opaque)
{
  VirtioBalloon *balloon = opaque;

  balloon->has_stats_buffer = false;
  forget_stats (balloon);
  balloon->config.poison_val = 0;
  if (balloon->config.actual == 0)
    return;
  balloon->config.actual = 0;
  note_change (balloon);
}

static const VirtioDeviceType type = {
  .name = "virtio-balloon",
  .id = VIRTIO_ID_BALLOON,
  .pci_class = 0x00ff00, /* as QEMU has it: there is no class for it */
  .features =
      FEATURE (STATS_VQ) | FEATURE (DEFLATE_ON_OOM) | FEATURE (PAGE_POISON) | FEATURE (REPORTING),
  .max_queues = QUEUES,
  .queue_size = QUEUE_SIZE,
  .config_read = config_read,
  .config_write = config_write,
  .notify = notify,
  .reset = reset,
};

VirtioBalloon *
virtio_balloon_new (const GuestMemory *memory, void (*changed) (void *opaque), void *opaque)
{
  VirtioBalloon *balloon = g_new0 (VirtioBalloon, 1);

  guest_log_init (&balloon->log, type.name);
  balloon->changed = changed;
  balloon->opaque = opaque;
  forget_stats (balloon);
  balloon->device = virtio_device_new (&type, balloon, QUEUES, sizeof balloon->config,
                                       type.features, memory, NULL);
  return balloon;
}

void
virtio_balloon_free (VirtioBalloon *balloon)
{
  if (!balloon)
    return;
  g_clear_handle_id (&balloon->timer, g_source_remove);
  virtio_device_free (balloon->device);
  if (balloon->change)
    g_source_destroy (balloon->change);
  g_clear_pointer (&balloon->change, g_source_unref);
  virtqueue_element_clear (&balloon->element);
  virtqueue_element_clear (&balloon->stats_buffer);
  g_free (balloon);
}

VirtioDevice *
virtio_balloon_get_device (VirtioBalloon *balloon)
{
  return balloon->device;
}

static uint64_t
count_pages (const VirtioBalloon *balloon)
{
  return guest_memory_get_size (virtio_device_get_memory (balloon->device)) >> PAGE_SHIFT;
}

void
virtio_balloon_set_target (VirtioBalloon *balloon, uint64_t bytes)
{
  const uint64_t all = count_pages (balloon);

  virtio_device_lock (balloon->device);
  balloon->config.num_pages = GUINT32_TO_LE ((uint32_t) (all - MIN (all, bytes >> PAGE_SHIFT)));
  virtio_device_signal_config (balloon->device);
  virtio_device_unlock (balloon->device);
}

uint64_t
virtio_balloon_get_actual (VirtioBalloon *balloon)
{
  const uint64_t all = count_pages (balloon);

  virtio_device_lock (balloon->device);
  const uint64_t inflated = MIN (all, GUINT32_FROM_LE (balloon->config.actual));
  virtio_device_unlock (balloon->device);
  return (all - inflated) << PAGE_SHIFT;
}

void
virtio_balloon_set_interval (VirtioBalloon *balloon, unsigned seconds)
{
  g_clear_handle_id (&balloon->timer, g_source_remove);
  balloon->interval = seconds;
  if (seconds > 0)
    balloon->timer = g_timeout_add_seconds (seconds, ask_for_stats, balloon);
}

unsigned
virtio_balloon_get_interval (VirtioBalloon *balloon)
{
  return balloon->interval;
}

void
virtio_balloon_get_stats (VirtioBalloon *balloon, BalloonStats *stats)
{
  virtio_device_lock (balloon->device);
  *stats = balloon->stats;
  virtio_device_unlock (balloon->device);
}
