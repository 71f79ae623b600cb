#define G_LOG_DOMAIN "vmm-virtio"

#include "virtio/vhost-vsock.h"

#include <errno.h>
#include <fcntl.h>
#include <gio/gio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <unistd.h>
#include <linux/vhost.h>
#include <linux/virtio_config.h>
#include <linux/virtio_ids.h>
#include <linux/virtio_ring.h>
#include <linux/virtio_vsock.h>

#include "base/fd-source.h"
#include "virtio/virtio-device-private.h"

/* Theory of operation
 *
 * When the driver is ready the kernel is handed its two rings and the guest's memory (Linux, include/uapi/linux/vhost.h), the eventfd by which
 * the guest notifies, and one by which it is interrupted: KVM's own where the transport has one. The third queue, for events, is
 * ours; there are none, since a machine does not move to another host while it runs. A guest's mistake in a ring
 * makes the kernel stop that ring, as it would stop a program's.
 */
enum
{
  QUEUE_RECEIVE,
  QUEUE_TRANSMIT,
  QUEUES_OF_KERNEL,
  QUEUES = 3,
};

#define QUEUE_SIZE  128
#define MEMORY_MAX  8 /* regions */
#define FEATURE(n)  (UINT64_C (1) << (n))
#define F_SEQPACKET 1

typedef struct Call
{
  VhostVsock *vsock;
  unsigned index;
  int eventfd; /* for when the transport has none */
  GSource *source;
} Call;

struct VhostVsock
{
  VirtioDevice *device;
  const GuestMemory *memory; /* borrowed */
  int fd;
  uint64_t cid; /* little-endian */
  Call calls[QUEUES_OF_KERNEL];
  bool running; /* guarded by the device's lock */
};

static bool
fail (GError **error, const char *what)
{
  const int saved = errno;

  g_set_error (error, G_IO_ERROR, g_io_error_from_errno (saved), "%s: %s", what,
               g_strerror (saved));
  return false;
}

/* --- rings; lock held --- */

static bool
set_memory (VhostVsock *vsock, GError **error)
{
  struct
  {
    struct vhost_memory header;
    struct vhost_memory_region regions[MEMORY_MAX];
  } table = { 0 };
  unsigned n;
  const GuestMemoryRegion *regions = guest_memory_get_regions (vsock->memory, &n);

  g_assert (n <= MEMORY_MAX);
  table.header.nregions = n;
  for (unsigned i = 0; i < n; i++)
    table.regions[i] = (struct vhost_memory_region){
      .guest_phys_addr = regions[i].gpa,
      .memory_size = regions[i].size,
      .userspace_addr = (uintptr_t) regions[i].host,
    };
  return ioctl (vsock->fd, VHOST_SET_MEM_TABLE, &table) == 0 || fail (error, "VHOST_SET_MEM_TABLE");
}

static bool
set_call (VhostVsock *vsock, unsigned index, GError **error)
{
  const int irqfd = virtio_device_get_queue_irqfd (vsock->device, index);
  struct vhost_vring_file file = { index, irqfd >= 0 ? irqfd : vsock->calls[index].eventfd };

  return ioctl (vsock->fd, VHOST_SET_VRING_CALL, &file) == 0 ||
         fail (error, "VHOST_SET_VRING_CALL");
}

/* The rings were found to be in RAM when the device became live. */
static uintptr_t
locate (const VhostVsock *vsock, uint64_t gpa)
{
  return (uintptr_t) guest_memory_map (vsock->memory, gpa, 1);
}

static bool
start_ring (VhostVsock *vsock, unsigned index, GError **error)
{
  VirtioQueueConfig config;

  if (!virtio_device_get_queue_config (vsock->device, index, &config) || !config.enabled)
    {
      errno = EINVAL;
      return fail (error, "the driver did not enable its queues");
    }
  struct vhost_vring_state size = { index, config.size };
  struct vhost_vring_state base = { index, 0 };
  struct vhost_vring_addr address = {
    .index = index,
    .desc_user_addr = locate (vsock, config.descriptors),
    .avail_user_addr = locate (vsock, config.available),
    .used_user_addr = locate (vsock, config.used),
  };
  struct vhost_vring_file kick = { index, virtio_device_get_queue_eventfd (vsock->device, index) };

  if (ioctl (vsock->fd, VHOST_SET_VRING_NUM, &size) < 0)
    return fail (error, "VHOST_SET_VRING_NUM");
  if (ioctl (vsock->fd, VHOST_SET_VRING_BASE, &base) < 0)
    return fail (error, "VHOST_SET_VRING_BASE");
  if (ioctl (vsock->fd, VHOST_SET_VRING_ADDR, &address) < 0)
    return fail (error, "VHOST_SET_VRING_ADDR");
  if (ioctl (vsock->fd, VHOST_SET_VRING_KICK, &kick) < 0)
    return fail (error, "VHOST_SET_VRING_KICK");
  return set_call (vsock, index, error);
}

static bool
set_running (VhostVsock *vsock, int running, GError **error)
{
  if (ioctl (vsock->fd, VHOST_VSOCK_SET_RUNNING, &running) < 0)
    return fail (error, "VHOST_VSOCK_SET_RUNNING");
  vsock->running = running;
  return true;
}

static bool
start (VhostVsock *vsock, GError **error)
{
  uint64_t features = (uint64_t) virtio_device_get_driver_features (vsock->device, 1) << 32 |
                      virtio_device_get_driver_features (vsock->device, 0);

  if (ioctl (vsock->fd, VHOST_SET_FEATURES, &features) < 0)
    return fail (error, "VHOST_SET_FEATURES");
  if (!set_memory (vsock, error))
    return false;
  for (unsigned i = 0; i < QUEUES_OF_KERNEL; i++)
    if (!start_ring (vsock, i, error))
      return false;
  return set_running (vsock, 1, error);
}

static void
activate (void *opaque)
{
  VhostVsock *vsock = opaque;
  g_autoptr (GError) error = NULL;

  if (!start (vsock, &error))
    virtio_device_fail (vsock->device, "%s", error->message);
}

static void
irqfd_changed (void *opaque, unsigned index)
{
  VhostVsock *vsock = opaque;
  g_autoptr (GError) error = NULL;

  if (vsock->running && index < QUEUES_OF_KERNEL && !set_call (vsock, index, &error))
    virtio_device_fail (vsock->device, "%s", error->message);
}

/* The kernel has let go of the rings when the call returns. */
static void
reset (void *opaque)
{
  VhostVsock *vsock = opaque;
  g_autoptr (GError) error = NULL;

  if (vsock->running && !set_running (vsock, 0, &error))
    g_warning ("vhost-vsock: %s", error->message);
}

static void
config_read (void *opaque, uint32_t offset, void *buffer, uint32_t size)
{
  VhostVsock *vsock = opaque;

  memcpy (buffer, (const uint8_t *) &vsock->cid + offset, size);
}

/* Never called: the queues are the kernel's. */
static void
notify (void *opaque, unsigned index)
{
}

static const VirtioDeviceType type = {
  .name = "vhost-vsock",
  .id = VIRTIO_ID_VSOCK,
  .pci_class = 0x078000,
  .features = FEATURE (F_SEQPACKET) | FEATURE (VIRTIO_RING_F_INDIRECT_DESC) |
              FEATURE (VIRTIO_RING_F_EVENT_IDX) | FEATURE (VIRTIO_F_VERSION_1),
  .max_queues = QUEUES,
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
  virtio_device_lock (call->vsock->device);
  virtio_device_interrupt_queue (call->vsock->device, call->index);
  virtio_device_unlock (call->vsock->device);
  return G_SOURCE_CONTINUE;
}

static bool
make_calls (VhostVsock *vsock, GError **error)
{
  for (unsigned i = 0; i < QUEUES_OF_KERNEL; i++)
    {
      Call *call = &vsock->calls[i];

      call->eventfd = eventfd (0, EFD_CLOEXEC | EFD_NONBLOCK);
      if (call->eventfd < 0)
        return fail (error, "eventfd");
      call->source = fd_source_new (call->eventfd, G_IO_IN, "vhost-vsock call");
      g_source_set_callback (call->source, G_SOURCE_FUNC (on_called), call, NULL);
      g_source_attach (call->source, NULL);
    }
  return true;
}

static bool
open_kernel (VhostVsock *vsock, const char *path, GError **error)
{
  vsock->fd = open (path, O_RDWR | O_CLOEXEC);
  if (vsock->fd >= 0)
    return true;
  const int saved = errno;
  g_set_error (error, G_IO_ERROR, g_io_error_from_errno (saved), "%s: %s; %s", path,
               g_strerror (saved),
               saved == EACCES ? "let this user open it (as a rule by the group kvm)"
                               : "load the host kernel's module vhost_vsock (modprobe "
                                 "vhost_vsock), or leave the option out");
  return false;
}

static bool
take_address (VhostVsock *vsock, uint32_t cid, uint64_t *features, GError **error)
{
  const uint64_t wide = cid;

  if (ioctl (vsock->fd, VHOST_SET_OWNER, NULL) < 0)
    return fail (error, "it is no vhost device: VHOST_SET_OWNER");
  if (ioctl (vsock->fd, VHOST_GET_FEATURES, features) < 0)
    return fail (error, "VHOST_GET_FEATURES");
  if (ioctl (vsock->fd, VHOST_VSOCK_SET_GUEST_CID, &wide) == 0)
    return true;
  if (errno != EADDRINUSE)
    return fail (error, "VHOST_VSOCK_SET_GUEST_CID");
  g_set_error (error, G_IO_ERROR, G_IO_ERROR_ADDRESS_IN_USE,
               "another machine has the CID %u; choose another", cid);
  return false;
}

VhostVsock *
vhost_vsock_new (const char *path, uint32_t cid, const GuestMemory *memory, GError **error)
{
  g_autoptr (VhostVsock) vsock = g_new0 (VhostVsock, 1);
  uint64_t features = 0;

  vsock->fd = -1;
  vsock->memory = memory;
  vsock->cid = GUINT64_TO_LE ((uint64_t) cid);
  for (unsigned i = 0; i < QUEUES_OF_KERNEL; i++)
    vsock->calls[i] = (Call){ .vsock = vsock, .index = i, .eventfd = -1 };
  if (!open_kernel (vsock, path, error) || !take_address (vsock, cid, &features, error))
    return NULL;
  vsock->device = virtio_device_new (&type, vsock, QUEUES, sizeof vsock->cid,
                                     features & type.features, memory, NULL);
  if (!make_calls (vsock, error))
    return NULL;
  return g_steal_pointer (&vsock);
}

void
vhost_vsock_free (VhostVsock *vsock)
{
  if (!vsock)
    return;
  virtio_device_free (vsock->device);
  for (unsigned i = 0; i < QUEUES_OF_KERNEL; i++)
    {
      Call *call = &vsock->calls[i];

      if (call->source)
        g_source_destroy (call->source);
      g_clear_pointer (&call->source, g_source_unref);
      if (call->eventfd >= 0)
        close (call->eventfd);
    }
  if (vsock->fd >= 0)
    close (vsock->fd);
  g_free (vsock);
}

VirtioDevice *
vhost_vsock_get_device (VhostVsock *vsock)
{
  return vsock->device;
}
