#define G_LOG_DOMAIN "vmm-virtio"

#include "virtio/vhost-user-blk.h"

#include <string.h>
#include <unistd.h>
#include <sys/eventfd.h>
#include <gio/gio.h>
#include <glib-unix.h>
#include <linux/virtio_blk.h>
#include <linux/virtio_ids.h>
#include <linux/virtio_ring.h>

#include "base/fd-source.h"
#include "virtio/vhost-user.h"
#include "virtio/virtio-device-private.h"

/* Theory of operation
 *
 * Features and config space are the back end's, as far as they are known here, read when it is first started. A later one has to have
 * the same: the guest has built on them.
 *
 * Write cache: back ends say `wce` 0 in the config space although they cache, which would make a guest leave out its flushes. The guest
 * is therefore never shown CONFIG_WCE; FLUSH alone says that there is a cache (5.2.5).
 *
 * Requests may be done out of order, so the rings' indices alone do not say which were not done when a back end died. It keeps a record
 * of them in memory that it shares with us and that we give to the next one (vhost-user: inflight). QEMU's storage daemon keeps it when
 * asked although it does not say so; hence the attempt, and a second one without where that makes it hang up. Without the
 * record a guest with requests in flight can only be reset.
 *
 * At a reset the back end stops taking requests (GET_VRING_BASE) but may still be at work on some: they are waited for, and a back end
 * that does not come to an end is ended. After reset () nobody writes to guest memory for this device.
 *
 * Interrupts go by the MSI-X vector's eventfd where there is one. Otherwise the back end signals calls[i], and on_called () interrupts.
 */
#define QUEUE_SIZE     256
#define SPACE_SIZE     offsetof (struct virtio_blk_config, write_zeroes_may_unmap) + 4
#define DRAIN_PATIENCE (10 * G_TIME_SPAN_SECOND)
#define DRAIN_STEP_US  200
#define FEATURE(bit)   (UINT64_C (1) << (bit))
#define KNOWN_FEATURES                                                                             \
  (FEATURE (VIRTIO_F_VERSION_1) | FEATURE (VIRTIO_RING_F_INDIRECT_DESC) |                          \
   FEATURE (VIRTIO_RING_F_EVENT_IDX) | FEATURE (VIRTIO_BLK_F_SIZE_MAX) |                           \
   FEATURE (VIRTIO_BLK_F_SEG_MAX) | FEATURE (VIRTIO_BLK_F_RO) | FEATURE (VIRTIO_BLK_F_BLK_SIZE) |  \
   FEATURE (VIRTIO_BLK_F_FLUSH) | FEATURE (VIRTIO_BLK_F_TOPOLOGY) | FEATURE (VIRTIO_BLK_F_MQ) |    \
   FEATURE (VIRTIO_BLK_F_DISCARD) | FEATURE (VIRTIO_BLK_F_WRITE_ZEROES))

typedef struct Call
{
  VhostUserBlk *blk;
  unsigned index;
  int eventfd;
  GSource *source;
} Call;

struct VhostUserBlk
{
  VhostUserBlkConfig config;
  VirtioDevice *device;
  const GuestMemory *memory;
  GMainContext *context;
  uint64_t features;              /* offered to the guest */
  struct virtio_blk_config space; /* little-endian; SPACE_SIZE bytes of it count */
  Call calls[VHOST_USER_BLK_QUEUES_MAX];
  bool no_tracking; /* the back end cannot */

  /* Guarded by the device's lock. */
  VhostUser *link; /* NULL: the back end is lost */
  GSource *hangup; /* of link */
  VhostUserInflight *inflight;
  bool began; /* queues were started since the last reset, perhaps by a back end that is lost */
};

static void
close_link (VhostUserBlk *blk)
{
  if (blk->hangup)
    g_source_destroy (blk->hangup);
  g_clear_pointer (&blk->hangup, g_source_unref);
  g_clear_pointer (&blk->link, vhost_user_free);
}

/* Lock held. */
static void
lose (VhostUserBlk *blk, const char *reason)
{
  if (!blk->link)
    return;
  close_link (blk);
  blk->config.end (blk->config.opaque);
  blk->config.failed (blk->config.opaque, reason);
}

static gboolean
on_hangup (gint fd, GIOCondition condition, gpointer opaque)
{
  VhostUserBlk *blk = opaque;

  virtio_device_lock (blk->device);
  /* It may have been noticed by somebody else meanwhile, and there may be another link already. */
  if (blk->hangup && blk->hangup == g_main_current_source ())
    lose (blk, "the process that serves the disk has ended");
  virtio_device_unlock (blk->device);
  return G_SOURCE_REMOVE;
}

static void
watch_link (VhostUserBlk *blk)
{
  blk->hangup = g_unix_fd_source_new (vhost_user_get_fd (blk->link), G_IO_HUP | G_IO_ERR);
  g_source_set_callback (blk->hangup, G_SOURCE_FUNC (on_hangup), blk, NULL);
  g_source_set_name (blk->hangup, "vhost-user hang-up");
  g_source_attach (blk->hangup, blk->context);
}

/* --- the back end, started --- */

static bool
fail (GError **error, const char *what)
{
  g_set_error_literal (error, G_IO_ERROR, G_IO_ERROR_FAILED, what);
  return false;
}

/* One attempt. *tracking_refused: the record of requests was what it did not like. */
static VhostUser *
attempt (VhostUserBlk *blk, bool *tracking_refused, GError **error)
{
  const int fd = blk->config.start (blk->config.opaque, error);

  *tracking_refused = false;
  if (fd < 0)
    return NULL;
  g_autoptr (VhostUser) link = vhost_user_new (fd);
  const bool negotiated = vhost_user_negotiate (link, !blk->no_tracking, error);
  *tracking_refused = !blk->no_tracking && vhost_user_get_features (link) != 0;
  if (!negotiated)
    return NULL;
  if (!blk->no_tracking && !blk->inflight &&
      !vhost_user_get_inflight (link, blk->config.n_queues, QUEUE_SIZE, &blk->inflight, error))
    return NULL;
  *tracking_refused = false;
  if (vhost_user_get_queues (link) < blk->config.n_queues || !vhost_user_has_config (link))
    {
      fail (error, "the process that serves the disk has too few queues or no config space");
      return NULL;
    }
  return g_steal_pointer (&link);
}

/* Its own words are better than that it hung up. */
static void
explain (VhostUserBlk *blk, GError **error)
{
  g_autofree char *complaint = blk->config.get_complaint (blk->config.opaque);

  if (!complaint)
    return;
  g_clear_error (error);
  fail (error, complaint);
}

static VhostUser *
start_back_end (VhostUserBlk *blk, GError **error)
{
  g_autoptr (GError) failure = NULL;
  bool tracking_refused;
  VhostUser *link = attempt (blk, &tracking_refused, &failure);

  if (!link && tracking_refused)
    {
      g_debug ("no record of requests in flight: %s", failure->message);
      g_clear_error (&failure);
      g_clear_pointer (&blk->inflight, vhost_user_inflight_free);
      blk->no_tracking = true;
      link = attempt (blk, &tracking_refused, &failure);
    }
  if (link)
    return link;
  blk->config.end (blk->config.opaque);
  explain (blk, &failure);
  g_propagate_error (error, g_steal_pointer (&failure));
  return NULL;
}

static bool
read_space (VhostUserBlk *blk, VhostUser *link, struct virtio_blk_config *space, GError **error)
{
  *space = (struct virtio_blk_config){};
  if (!vhost_user_read_config (link, space, SPACE_SIZE, error))
    return false;
  const uint32_t block = GUINT32_FROM_LE (space->blk_size);
  const uint64_t sectors = GUINT64_FROM_LE (space->capacity);

  if (sectors == 0 || sectors > INT64_MAX / 512)
    return fail (error, "the image has an impossible size");
  if ((vhost_user_get_features (link) & FEATURE (VIRTIO_BLK_F_BLK_SIZE)) &&
      (block < 512 || (block & (block - 1)) != 0))
    return fail (error, "the image has an impossible block size");
  space->num_queues = GUINT16_TO_LE (blk->config.n_queues);
  space->wce = 1;
  return true;
}

static bool
learn_features (VhostUserBlk *blk, VhostUser *link, GError **error)
{
  const uint64_t ro = FEATURE (VIRTIO_BLK_F_RO);

  blk->features = vhost_user_get_features (link) & KNOWN_FEATURES;
  if (!blk->config.readonly && (blk->features & ro))
    return fail (error, "the process that serves the disk says that it cannot be written");
  if (!blk->config.readonly && !(blk->features & FEATURE (VIRTIO_BLK_F_FLUSH)))
    return fail (error, "the process that serves the disk has no flush");
  if (blk->config.readonly)
    blk->features &= ~(FEATURE (VIRTIO_BLK_F_DISCARD) | FEATURE (VIRTIO_BLK_F_WRITE_ZEROES));
  if (blk->config.n_queues == 1)
    blk->features &= ~FEATURE (VIRTIO_BLK_F_MQ);
  return true;
}

/* --- queues --- */

static bool
get_config (const VhostUserBlk *blk, unsigned index, VirtioQueueConfig *config)
{
  return virtio_device_get_queue_config (blk->device, index, config) && config->enabled;
}

/* The used ring's index: what the back end has told the driver to be done. */
static uint16_t
get_used_index (const VhostUserBlk *blk, const VirtioQueueConfig *config)
{
  const uint16_t *used = guest_memory_map (blk->memory, config->used, 4);

  return used ? GUINT16_FROM_LE (__atomic_load_n (used + 1, __ATOMIC_ACQUIRE)) : 0;
}

static uint16_t
get_available_index (const VhostUserBlk *blk, const VirtioQueueConfig *config)
{
  const uint16_t *available = guest_memory_map (blk->memory, config->available, 4);

  return available ? GUINT16_FROM_LE (__atomic_load_n (available + 1, __ATOMIC_ACQUIRE)) : 0;
}

static int
choose_call (const VhostUserBlk *blk, unsigned index)
{
  const int irqfd = virtio_device_get_queue_irqfd (blk->device, index);

  return irqfd >= 0 ? irqfd : blk->calls[index].eventfd;
}

/* The rings were found to be in RAM when the device became live. */
static bool
start_queue (VhostUserBlk *blk, unsigned index, const VirtioQueueConfig *config, GError **error)
{
  const VhostUserQueue queue = {
    .index = index,
    .size = config->size,
    .base = blk->began ? get_used_index (blk, config) : 0,
    .descriptors = guest_memory_map (blk->memory, config->descriptors, 1),
    .available = guest_memory_map (blk->memory, config->available, 1),
    .used = guest_memory_map (blk->memory, config->used, 1),
    .kick = virtio_device_get_queue_eventfd (blk->device, index),
    .call = choose_call (blk, index),
  };

  return vhost_user_start_queue (blk->link, &queue, error);
}

/* Live. Lock held. */
static bool
start_queues (VhostUserBlk *blk, GError **error)
{
  const uint64_t features = (uint64_t) virtio_device_get_driver_features (blk->device, 1) << 32 |
                            virtio_device_get_driver_features (blk->device, 0);
  VirtioQueueConfig config;

  if (blk->inflight && !blk->began)
    vhost_user_inflight_clear (blk->inflight);
  if (!vhost_user_set_up (blk->link, features, blk->memory, blk->inflight, error))
    return false;
  for (unsigned i = 0; i < blk->config.n_queues; i++)
    if (get_config (blk, i, &config) && !start_queue (blk, i, &config, error))
      return false;
  blk->began = true;
  return true;
}

static bool
is_live (const VhostUserBlk *blk)
{
  for (unsigned i = 0; i < blk->config.n_queues; i++)
    if (virtio_device_get_queue (blk->device, i))
      return true;
  return false;
}

static bool
is_tracked (const VhostUserBlk *blk)
{
  return blk->inflight && vhost_user_inflight_is_kept (blk->inflight);
}

static bool
is_idle (const VhostUserBlk *blk, const uint16_t *bases)
{
  VirtioQueueConfig config;

  if (is_tracked (blk))
    return vhost_user_inflight_count (blk->inflight) == 0;
  for (unsigned i = 0; i < blk->config.n_queues; i++)
    if (get_config (blk, i, &config) && get_used_index (blk, &config) != bases[i])
      return false;
  return true;
}

/* Lock held. */
static bool
stop_queues (VhostUserBlk *blk, GError **error)
{
  const gint64 end = g_get_monotonic_time () + DRAIN_PATIENCE;
  uint16_t bases[VHOST_USER_BLK_QUEUES_MAX] = {};
  VirtioQueueConfig config;

  for (unsigned i = 0; i < blk->config.n_queues; i++)
    if (get_config (blk, i, &config) && !vhost_user_stop_queue (blk->link, i, &bases[i], error))
      return false;
  while (!is_idle (blk, bases))
    {
      if (g_get_monotonic_time () > end)
        return fail (error, "the process that serves the disk does not finish its requests");
      g_usleep (DRAIN_STEP_US);
    }
  return true;
}

/* --- the device's callbacks: lock held --- */

static void
activate (void *opaque)
{
  VhostUserBlk *blk = opaque;
  g_autoptr (GError) error = NULL;

  /* While it is lost the machine is about to be paused: vhost_user_blk_resume () starts the queues. */
  if (blk->link && !start_queues (blk, &error))
    lose (blk, error->message);
}

static void
irqfd_changed (void *opaque, unsigned index)
{
  VhostUserBlk *blk = opaque;
  g_autoptr (GError) error = NULL;

  if (blk->link && blk->began &&
      !vhost_user_set_call (blk->link, index, choose_call (blk, index), &error))
    lose (blk, error->message);
}

static void
reset (void *opaque)
{
  VhostUserBlk *blk = opaque;
  g_autoptr (GError) error = NULL;

  if (blk->link && blk->began && !stop_queues (blk, &error))
    lose (blk, error->message);
  blk->began = false;
}

static void
config_read (void *opaque, uint32_t offset, void *buffer, uint32_t size)
{
  VhostUserBlk *blk = opaque;

  memcpy (buffer, (const uint8_t *) &blk->space + offset, size);
}

/* Never called: the queues are the back end's. */
static void
notify (void *opaque, unsigned index)
{
}

static const VirtioDeviceType type = {
  .name = "vhost-user-blk",
  .id = VIRTIO_ID_BLOCK,
  .pci_class = 0x018000,
  .features = KNOWN_FEATURES,
  .max_queues = VHOST_USER_BLK_QUEUES_MAX,
  .queue_size = QUEUE_SIZE,
  .external = true,
  .config_read = config_read,
  .activate = activate,
  .irqfd_changed = irqfd_changed,
  .notify = notify,
  .reset = reset,
};

/* --- life --- */

static gboolean
on_called (gint fd, GIOCondition condition, gpointer opaque)
{
  Call *call = opaque;
  uint64_t count;

  if (read (fd, &count, sizeof count) != sizeof count)
    return G_SOURCE_CONTINUE;
  virtio_device_lock (call->blk->device);
  virtio_device_interrupt_queue (call->blk->device, call->index);
  virtio_device_unlock (call->blk->device);
  return G_SOURCE_CONTINUE;
}

static bool
make_calls (VhostUserBlk *blk, GError **error)
{
  for (unsigned i = 0; i < blk->config.n_queues; i++)
    {
      Call *call = &blk->calls[i];

      *call = (Call){ .blk = blk, .index = i, .eventfd = eventfd (0, EFD_CLOEXEC | EFD_NONBLOCK) };
      if (call->eventfd < 0)
        return fail (error, "no more file descriptors; raise the limit (ulimit -n)");
      call->source = fd_source_new (call->eventfd, G_IO_IN, "vhost-user call");
      g_source_set_callback (call->source, G_SOURCE_FUNC (on_called), call, NULL);
      g_source_attach (call->source, blk->context);
    }
  return true;
}

VhostUserBlk *
vhost_user_blk_new (const VhostUserBlkConfig *config, const GuestMemory *memory,
                    GMainContext *context, GError **error)
{
  g_return_val_if_fail (config->n_queues >= 1 && config->n_queues <= VHOST_USER_BLK_QUEUES_MAX,
                        NULL);
  g_autoptr (VhostUserBlk) blk = g_new0 (VhostUserBlk, 1);
  blk->config = *config;
  blk->memory = memory;
  blk->context = g_main_context_ref (context ? context : g_main_context_default ());
  blk->link = start_back_end (blk, error);
  if (!blk->link || !read_space (blk, blk->link, &blk->space, error) ||
      !learn_features (blk, blk->link, error))
    return NULL;
  blk->device = virtio_device_new (&type, blk, config->n_queues, SPACE_SIZE, blk->features, memory,
                                   blk->context);
  if (!make_calls (blk, error))
    return NULL;
  watch_link (blk);
  return g_steal_pointer (&blk);
}

void
vhost_user_blk_free (VhostUserBlk *blk)
{
  if (!blk)
    return;
  if (blk->device)
    {
      virtio_device_lock (blk->device);
      virtio_device_reset (blk->device);
      virtio_device_unlock (blk->device);
    }
  close_link (blk);
  for (unsigned i = 0; i < blk->config.n_queues; i++)
    {
      if (!blk->calls[i].source)
        continue;
      g_source_destroy (blk->calls[i].source);
      g_source_unref (blk->calls[i].source);
      close (blk->calls[i].eventfd);
    }
  virtio_device_free (blk->device);
  vhost_user_inflight_free (blk->inflight);
  g_main_context_unref (blk->context);
  g_free (blk);
}

VirtioDevice *
vhost_user_blk_get_device (VhostUserBlk *blk)
{
  return blk->device;
}

uint64_t
vhost_user_blk_get_size (const VhostUserBlk *blk)
{
  return GUINT64_FROM_LE (blk->space.capacity) * 512;
}

/* --- again --- */

static bool
is_the_same (VhostUserBlk *blk, VhostUser *link, GError **error)
{
  struct virtio_blk_config space;

  if (!read_space (blk, link, &space, error))
    return false;
  if (memcmp (&space, &blk->space, SPACE_SIZE) != 0 ||
      (blk->features & ~vhost_user_get_features (link)))
    return fail (error, "the image is not the same any more");
  return true;
}

static bool
has_unknown_requests (const VhostUserBlk *blk)
{
  VirtioQueueConfig config;

  for (unsigned i = 0; i < blk->config.n_queues; i++)
    if (get_config (blk, i, &config) &&
        get_available_index (blk, &config) != get_used_index (blk, &config))
      return blk->began && !is_tracked (blk);
  return false;
}

/* Lock held. */
static bool
replace_back_end (VhostUserBlk *blk, GError **error)
{
  if (is_live (blk) && has_unknown_requests (blk))
    return fail (error, "which requests the process that served the disk had not done is not "
                        "known: reset the machine");
  VhostUser *link = start_back_end (blk, error);
  if (!link)
    return false;
  if (!is_the_same (blk, link, error))
    {
      vhost_user_free (link);
      blk->config.end (blk->config.opaque);
      return false;
    }
  blk->link = link;
  if (!is_live (blk) || start_queues (blk, error))
    {
      watch_link (blk);
      return true;
    }
  close_link (blk);
  blk->config.end (blk->config.opaque);
  return false;
}

bool
vhost_user_blk_resume (VhostUserBlk *blk, GError **error)
{
  virtio_device_lock (blk->device);
  const bool good = blk->link || replace_back_end (blk, error);
  virtio_device_unlock (blk->device);
  return good;
}
