/* virtio-gpu, 2D.
 *
 * A resource is a picture in host memory (virtio-gpu-resource.h); the driver fills it from its own pages with TRANSFER_TO_HOST_2D, puts it on
 * the scanout with SET_SCANOUT and shows what changed with RESOURCE_FLUSH. The port's front takes the resource's memfd as it is, so
 * a flush moves no pixels here. Only a scanout that shows a part of a resource has a surface of its own, which a flush copies into.
 *
 * A flush is answered when the front has consumed it, which is what paces the guest; every other command is answered at once. An
 * answer that the front owes outlives a reset: it then finds its flush stale.
 *
 * Commands run on the main context under the device's lock, and so do most calls of the port. In any of them the front may answer any
 * flush, older ones too: such an answer only marks its flush (in_port), and the caller finishes it once the port has returned.
 * A reset can come from a vCPU thread, where the port must not be touched: it asks the main context to bring the port in line (on_sync).
 */
#define G_LOG_DOMAIN "vmm-virtio"

#include "virtio/virtio-gpu.h"

#include <string.h>
#include <linux/virtio_gpu.h>
#include <linux/virtio_ids.h>

#include "base/guest-log.h"
#include "base/iov.h"
#include "virtio/virtio-gpu-edid.h"
#include "virtio/virtio-gpu-resource.h"
#include "virtio/virtio-gpu-scanout.h"

#define CONTROL_QUEUE   0
#define CURSOR_QUEUE    1
#define N_QUEUES        2
#define QUEUE_SIZE      256
#define BYTES_PER_PIXEL 4
/* In one turn of the main loop. A single request may copy more, a whole resource at most. */
#define REQUESTS_AT_ONCE 64
#define BYTES_AT_ONCE    (UINT64_C (64) << 20)
#define PCI_CLASS_VGA    0x030000
#define CURSOR_MAX_SIDE  SCANOUT_CURSOR_MAX
/* What a monitor may ask the guest for; below it, nothing is usable. */
#define MIN_WIDTH  320
#define MIN_HEIGHT 200

struct VirtioGpu
{
  VirtioDevice *device;
  ScanoutPort *port;
  VirtioGpuResources *resources;
  VirtioGpuScanout *scanout;
  bool has_driver; /* a scanout was set since the last reset */
  ScanoutSurface *boot_surface;
  uint32_t width, height; /* what the user wants */
  uint32_t events;        /* VIRTIO_GPU_EVENT_* not yet cleared by the driver */
  GPtrArray *flushes;     /* of Flush, owed by the front; owned by whoever calls done */
  bool in_port;           /* main thread: it holds the lock and may be inside the port */
  unsigned n_done;        /* main thread: flushes that the front answered meanwhile */
  GSource *sync_source;
  VirtqueueElement element;
  uint64_t copied; /* bytes, in this turn, by us or by the front */
  GuestLog log;
};

typedef struct Flush
{
  VirtioGpu *gpu; /* main thread; NULL: it is gone */
  VirtqueueElement element;
  struct virtio_gpu_ctrl_hdr header;
  bool stale; /* the device was reset: nobody waits any more */
  bool done;  /* main thread: by the front, in a call of the port */
} Flush;

typedef struct Request
{
  struct virtio_gpu_ctrl_hdr header; /* host order */
  const VirtqueueElement *element;
  /* The whole fixed-size command as the guest wrote it, headers included. */
  union
  {
    struct virtio_gpu_ctrl_hdr hdr;
    struct virtio_gpu_resource_create_2d create_2d;
    struct virtio_gpu_resource_unref unref;
    struct virtio_gpu_resource_attach_backing attach;
    struct virtio_gpu_resource_detach_backing detach;
    struct virtio_gpu_set_scanout set_scanout;
    struct virtio_gpu_transfer_to_host_2d transfer;
    struct virtio_gpu_resource_flush flush;
    struct virtio_gpu_cmd_get_edid get_edid;
    struct virtio_gpu_update_cursor cursor;
  } command;
  union
  {
    struct virtio_gpu_ctrl_hdr hdr;
    struct virtio_gpu_resp_display_info display_info;
    struct virtio_gpu_resp_edid edid;
  } response;
  size_t response_size;
} Request;

typedef struct Command
{
  uint32_t type;
  const char *name;
  size_t size;
  /* Returns VIRTIO_GPU_RESP_*. */
  uint32_t (*run) (VirtioGpu *gpu, Request *request);
} Command;

/* The screen */

static void
sync_screen (VirtioGpu *gpu)
{
  ScanoutSurface *surface =
      gpu->has_driver ? virtio_gpu_scanout_get_surface (gpu->scanout) : gpu->boot_surface;

  /* A front may have to copy all of it. */
  if (surface && surface != scanout_port_get_surface (gpu->port))
    gpu->copied += scanout_surface_get_size (surface);
  scanout_port_set_surface (gpu->port, surface);
  if (!gpu->has_driver)
    scanout_port_set_cursor (gpu->port, NULL);
}

static void
read_rect (const struct virtio_gpu_rect *rect, ScanoutRect *out)
{
  *out = (ScanoutRect){ GUINT32_FROM_LE (rect->x), GUINT32_FROM_LE (rect->y),
                        GUINT32_FROM_LE (rect->width), GUINT32_FROM_LE (rect->height) };
}

static bool
fits (const ScanoutRect *rect, const ScanoutSurface *surface)
{
  uint32_t width = scanout_surface_get_width (surface);
  uint32_t height = scanout_surface_get_height (surface);

  return rect->width > 0 && rect->height > 0 && rect->width <= width && rect->height <= height &&
         rect->x <= width - rect->width && rect->y <= height - rect->height;
}

static uint64_t
bytes_of (const ScanoutRect *rect)
{
  return (uint64_t) rect->width * rect->height * BYTES_PER_PIXEL;
}

/* Commands of the control queue, 5.7.6.8 */

static uint32_t
get_display_info (VirtioGpu *gpu, Request *request)
{
  struct virtio_gpu_display_one *mode = &request->response.display_info.pmodes[0];

  mode->r.width = GUINT32_TO_LE (gpu->width);
  mode->r.height = GUINT32_TO_LE (gpu->height);
  mode->enabled = GUINT32_TO_LE (1);
  request->response_size = sizeof request->response.display_info;
  return VIRTIO_GPU_RESP_OK_DISPLAY_INFO;
}

static uint32_t
get_edid (VirtioGpu *gpu, Request *request)
{
  if (request->command.get_edid.scanout != 0)
    return VIRTIO_GPU_RESP_ERR_INVALID_PARAMETER;
  request->response.edid.size = GUINT32_TO_LE (VIRTIO_GPU_EDID_SIZE);
  virtio_gpu_edid_make (gpu->width, gpu->height, request->response.edid.edid);
  request->response_size = sizeof request->response.edid;
  return VIRTIO_GPU_RESP_OK_EDID;
}

static uint32_t
resource_create_2d (VirtioGpu *gpu, Request *request)
{
  static const uint32_t answers[] = {
    [VIRTIO_GPU_CREATED] = VIRTIO_GPU_RESP_OK_NODATA,
    [VIRTIO_GPU_CREATE_BAD_ID] = VIRTIO_GPU_RESP_ERR_INVALID_RESOURCE_ID,
    [VIRTIO_GPU_CREATE_BAD_PARAMETER] = VIRTIO_GPU_RESP_ERR_INVALID_PARAMETER,
    [VIRTIO_GPU_CREATE_NO_MEMORY] = VIRTIO_GPU_RESP_ERR_OUT_OF_MEMORY,
  };
  const struct virtio_gpu_resource_create_2d *command = &request->command.create_2d;

  return answers[virtio_gpu_resources_create (
      gpu->resources, GUINT32_FROM_LE (command->resource_id), GUINT32_FROM_LE (command->format),
      GUINT32_FROM_LE (command->width), GUINT32_FROM_LE (command->height))];
}

static uint32_t
resource_unref (VirtioGpu *gpu, Request *request)
{
  uint32_t id = GUINT32_FROM_LE (request->command.unref.resource_id);

  if (!virtio_gpu_resources_remove (gpu->resources, id))
    return VIRTIO_GPU_RESP_ERR_INVALID_RESOURCE_ID;
  if (id == virtio_gpu_scanout_get_resource (gpu->scanout))
    {
      virtio_gpu_scanout_clear (gpu->scanout);
      sync_screen (gpu);
    }
  return VIRTIO_GPU_RESP_OK_NODATA;
}

static uint32_t
resource_attach_backing (VirtioGpu *gpu, Request *request)
{
  static const uint32_t answers[] = {
    [VIRTIO_GPU_ATTACHED] = VIRTIO_GPU_RESP_OK_NODATA,
    [VIRTIO_GPU_ATTACH_REFUSED] = VIRTIO_GPU_RESP_ERR_UNSPEC,
    [VIRTIO_GPU_ATTACH_NO_MEMORY] = VIRTIO_GPU_RESP_ERR_OUT_OF_MEMORY,
  };
  const struct virtio_gpu_resource_attach_backing *command = &request->command.attach;
  uint32_t n_entries = GUINT32_FROM_LE (command->nr_entries);
  VirtioGpuResource *resource =
      virtio_gpu_resources_lookup (gpu->resources, GUINT32_FROM_LE (command->resource_id));

  if (!resource)
    return VIRTIO_GPU_RESP_ERR_INVALID_RESOURCE_ID;
  if (n_entries == 0 || n_entries > VIRTIO_GPU_MAX_BACKING_ENTRIES)
    return VIRTIO_GPU_RESP_ERR_INVALID_PARAMETER;
  size_t size = n_entries * sizeof (struct virtio_gpu_mem_entry);
  g_autofree struct virtio_gpu_mem_entry *wire = g_malloc (size);
  if (iov_read (request->element->out, request->element->n_out, sizeof *command, wire, size) !=
      size)
    return VIRTIO_GPU_RESP_ERR_INVALID_PARAMETER;
  g_autofree VirtioGpuMemoryEntry *entries = g_new (VirtioGpuMemoryEntry, n_entries);
  for (uint32_t i = 0; i < n_entries; i++)
    entries[i] =
        (VirtioGpuMemoryEntry){ GUINT64_FROM_LE (wire[i].addr), GUINT32_FROM_LE (wire[i].length) };
  return answers[virtio_gpu_resources_attach (
      gpu->resources, resource, virtio_device_get_memory (gpu->device), entries, n_entries)];
}

static uint32_t
resource_detach_backing (VirtioGpu *gpu, Request *request)
{
  VirtioGpuResource *resource = virtio_gpu_resources_lookup (
      gpu->resources, GUINT32_FROM_LE (request->command.detach.resource_id));

  if (!resource)
    return VIRTIO_GPU_RESP_ERR_INVALID_RESOURCE_ID;
  virtio_gpu_resources_detach (gpu->resources, resource);
  return VIRTIO_GPU_RESP_OK_NODATA;
}

static uint32_t
transfer_to_host_2d (VirtioGpu *gpu, Request *request)
{
  const struct virtio_gpu_transfer_to_host_2d *command = &request->command.transfer;
  VirtioGpuResource *resource =
      virtio_gpu_resources_lookup (gpu->resources, GUINT32_FROM_LE (command->resource_id));
  ScanoutRect rect;

  if (!resource)
    return VIRTIO_GPU_RESP_ERR_INVALID_RESOURCE_ID;
  read_rect (&command->r, &rect);
  if (!virtio_gpu_resource_transfer (resource, &rect, GUINT64_FROM_LE (command->offset)))
    return VIRTIO_GPU_RESP_ERR_INVALID_PARAMETER;
  gpu->copied += bytes_of (&rect);
  return VIRTIO_GPU_RESP_OK_NODATA;
}

static uint32_t
show_resource (VirtioGpu *gpu, uint32_t id, const ScanoutRect *rect)
{
  VirtioGpuResource *resource = virtio_gpu_resources_lookup (gpu->resources, id);
  g_autoptr (GError) error = NULL;

  if (!resource)
    return VIRTIO_GPU_RESP_ERR_INVALID_RESOURCE_ID;
  ScanoutSurface *surface = virtio_gpu_resource_get_surface (resource);
  if (!fits (rect, surface))
    return VIRTIO_GPU_RESP_ERR_INVALID_PARAMETER;
  if (virtio_gpu_scanout_show (gpu->scanout, id, surface, rect, &error))
    return VIRTIO_GPU_RESP_OK_NODATA;
  g_warning ("virtio-gpu: %s", error->message);
  return VIRTIO_GPU_RESP_ERR_OUT_OF_MEMORY;
}

static uint32_t
set_scanout (VirtioGpu *gpu, Request *request)
{
  const struct virtio_gpu_set_scanout *command = &request->command.set_scanout;
  uint32_t id = GUINT32_FROM_LE (command->resource_id);
  uint32_t answer = VIRTIO_GPU_RESP_OK_NODATA;
  ScanoutRect rect;

  if (command->scanout_id != 0)
    return VIRTIO_GPU_RESP_ERR_INVALID_SCANOUT_ID;
  read_rect (&command->r, &rect);
  if (id == 0)
    virtio_gpu_scanout_clear (gpu->scanout);
  else
    answer = show_resource (gpu, id, &rect);
  if (answer == VIRTIO_GPU_RESP_OK_NODATA)
    {
      g_debug ("virtio-gpu: scanout shows resource %u", id);
      /* Disabling before anything was shown is what a driver does while it sets up: the boot picture stays. */
      gpu->has_driver |= id != 0;
      sync_screen (gpu);
    }
  return answer;
}

/* Only the checks: what follows is start_flush (). */
static uint32_t
resource_flush (VirtioGpu *gpu, Request *request)
{
  const struct virtio_gpu_resource_flush *command = &request->command.flush;
  VirtioGpuResource *resource =
      virtio_gpu_resources_lookup (gpu->resources, GUINT32_FROM_LE (command->resource_id));
  ScanoutRect rect;

  if (!resource)
    return VIRTIO_GPU_RESP_ERR_INVALID_RESOURCE_ID;
  read_rect (&command->r, &rect);
  return fits (&rect, virtio_gpu_resource_get_surface (resource))
             ? VIRTIO_GPU_RESP_OK_NODATA
             : VIRTIO_GPU_RESP_ERR_INVALID_PARAMETER;
}

/* Commands of the cursor queue, 5.7.6.10 */

static bool
load_cursor (VirtioGpu *gpu, const struct virtio_gpu_update_cursor *command)
{
  VirtioGpuResource *resource =
      virtio_gpu_resources_lookup (gpu->resources, GUINT32_FROM_LE (command->resource_id));
  if (!resource)
    return false;
  ScanoutSurface *surface = virtio_gpu_resource_get_surface (resource);
  uint32_t width = scanout_surface_get_width (surface);
  uint32_t height = scanout_surface_get_height (surface);
  if (width > CURSOR_MAX_SIDE || height > CURSOR_MAX_SIDE)
    return false;
  ScanoutCursor cursor = { .width = width,
                           .height = height,
                           .hot_x = MIN (GUINT32_FROM_LE (command->hot_x), width - 1),
                           .hot_y = MIN (GUINT32_FROM_LE (command->hot_y), height - 1),
                           .pixels = (uint32_t *) scanout_surface_get_pixels (surface) };
  scanout_port_set_cursor (gpu->port, &cursor);
  return true;
}

static uint32_t
move_cursor (VirtioGpu *gpu, Request *request)
{
  const struct virtio_gpu_cursor_pos *pos = &request->command.cursor.pos;

  if (pos->scanout_id != 0)
    return VIRTIO_GPU_RESP_ERR_INVALID_SCANOUT_ID;
  scanout_port_move_cursor (gpu->port, (int32_t) GUINT32_FROM_LE (pos->x),
                            (int32_t) GUINT32_FROM_LE (pos->y));
  return VIRTIO_GPU_RESP_OK_NODATA;
}

static uint32_t
update_cursor (VirtioGpu *gpu, Request *request)
{
  const struct virtio_gpu_update_cursor *command = &request->command.cursor;

  if (command->pos.scanout_id != 0)
    return VIRTIO_GPU_RESP_ERR_INVALID_SCANOUT_ID;
  if (command->resource_id == 0)
    scanout_port_set_cursor (gpu->port, NULL);
  else if (!load_cursor (gpu, command))
    return VIRTIO_GPU_RESP_ERR_INVALID_RESOURCE_ID;
  return move_cursor (gpu, request);
}

#define COMMAND(ID, MEMBER, RUN)                                                                   \
  {                                                                                                \
    .type = VIRTIO_GPU_CMD_##ID, .name = #ID, .size = sizeof (((Request *) NULL)->command.MEMBER), \
    .run = RUN                                                                                     \
  }

static const Command control_commands[] = {
  COMMAND (GET_DISPLAY_INFO, hdr, get_display_info),
  COMMAND (RESOURCE_CREATE_2D, create_2d, resource_create_2d),
  COMMAND (RESOURCE_UNREF, unref, resource_unref),
  COMMAND (SET_SCANOUT, set_scanout, set_scanout),
  COMMAND (RESOURCE_FLUSH, flush, resource_flush),
  COMMAND (TRANSFER_TO_HOST_2D, transfer, transfer_to_host_2d),
  COMMAND (RESOURCE_ATTACH_BACKING, attach, resource_attach_backing),
  COMMAND (RESOURCE_DETACH_BACKING, detach, resource_detach_backing),
  COMMAND (GET_EDID, get_edid, get_edid),
};

static const Command cursor_commands[] = {
  COMMAND (UPDATE_CURSOR, cursor, update_cursor),
  COMMAND (MOVE_CURSOR, cursor, move_cursor),
};

/* Requests and answers */

static const Command *
find_command (unsigned queue, uint32_t type)
{
  const Command *table = queue == CONTROL_QUEUE ? control_commands : cursor_commands;
  unsigned length =
      queue == CONTROL_QUEUE ? G_N_ELEMENTS (control_commands) : G_N_ELEMENTS (cursor_commands);

  for (unsigned i = 0; i < length; i++)
    if (table[i].type == type)
      return &table[i];
  return NULL;
}

/* 5.7.6.7: a fence and its context come back in the answer. */
static void
make_answer (struct virtio_gpu_ctrl_hdr *answer, const struct virtio_gpu_ctrl_hdr *asked,
             uint32_t type)
{
  answer->type = GUINT32_TO_LE (type);
  answer->flags = 0;
  if (asked->flags & VIRTIO_GPU_FLAG_FENCE)
    {
      answer->flags = GUINT32_TO_LE (VIRTIO_GPU_FLAG_FENCE);
      answer->fence_id = GUINT64_TO_LE (asked->fence_id);
      answer->ctx_id = GUINT32_TO_LE (asked->ctx_id);
    }
}

static void
push_answer (VirtioGpu *gpu, unsigned queue, const VirtqueueElement *element, const void *answer,
             size_t size)
{
  Virtqueue *virtqueue = virtio_device_get_queue (gpu->device, queue);

  if (!virtqueue)
    return;
  size_t written = iov_write (element->in, element->n_in, 0, answer, size);
  virtqueue_push (virtqueue, element, written);
}

static void
finish_flush (VirtioGpu *gpu, Flush *flush)
{
  if (!flush->stale)
    {
      struct virtio_gpu_ctrl_hdr answer = { 0 };
      make_answer (&answer, &flush->header, VIRTIO_GPU_RESP_OK_NODATA);
      push_answer (gpu, CONTROL_QUEUE, &flush->element, &answer, sizeof answer);
    }
  g_ptr_array_remove_fast (gpu->flushes, flush);
  virtqueue_element_clear (&flush->element);
  g_free (flush);
}

/* From the front, on the main thread. */
static void
on_flush_done (void *data)
{
  Flush *flush = data;
  VirtioGpu *gpu = flush->gpu;

  if (!gpu)
    {
      g_free (flush);
      return;
    }
  if (gpu->in_port)
    {
      flush->done = true;
      gpu->n_done++;
      return;
    }
  virtio_device_lock (gpu->device);
  finish_flush (gpu, flush);
  virtio_device_signal_queue (gpu->device, CONTROL_QUEUE);
  virtio_device_unlock (gpu->device);
}

/* What the front answered while it could not be heard. */
static void
finish_done_flushes (VirtioGpu *gpu)
{
  for (unsigned i = gpu->flushes->len; i > 0 && gpu->n_done > 0; i--)
    {
      Flush *flush = g_ptr_array_index (gpu->flushes, i - 1);
      if (!flush->done)
        continue;
      gpu->n_done--;
      finish_flush (gpu, flush);
    }
}

/* Takes the element of a flush that resource_flush () accepted. */
static void
start_flush (VirtioGpu *gpu, const Request *request)
{
  const struct virtio_gpu_resource_flush *command = &request->command.flush;
  Flush *flush = g_new0 (Flush, 1);
  ScanoutRect asked, shown;

  flush->gpu = gpu;
  flush->header = request->header;
  virtqueue_element_move (&flush->element, &gpu->element);
  g_ptr_array_add (gpu->flushes, flush);

  read_rect (&command->r, &asked);
  uint32_t id = GUINT32_FROM_LE (command->resource_id);
  VirtioGpuResource *resource = virtio_gpu_resources_lookup (gpu->resources, id);
  if (virtio_gpu_scanout_update (gpu->scanout, id, virtio_gpu_resource_get_surface (resource),
                                 &asked, &shown))
    {
      gpu->copied += bytes_of (&shown);
      scanout_port_flush (gpu->port, &shown, on_flush_done, flush);
    }
  else
    on_flush_done (flush);
}

/* What follows the header. What follows that is read by the command: nothing is read twice. */
static bool
read_rest (const Command *command, Request *request)
{
  const size_t header = sizeof request->command.hdr, rest = command->size - header;

  return iov_read (request->element->out, request->element->n_out, header,
                   (uint8_t *) &request->command + header, rest) == rest;
}

static void
run_request (VirtioGpu *gpu, unsigned queue)
{
  Request request;

  /* All of it: what is not filled in below goes to the guest. */
  memset (&request, 0, sizeof request);
  request.element = &gpu->element;
  request.response_size = sizeof request.response.hdr;
  struct virtio_gpu_ctrl_hdr *wire = &request.command.hdr;
  const size_t size = iov_read (gpu->element.out, gpu->element.n_out, 0, wire, sizeof *wire);
  uint32_t answer = VIRTIO_GPU_RESP_ERR_UNSPEC;

  if (size < sizeof *wire)
    {
      guest_log (&gpu->log, "a command of %zu bytes is shorter than its header", size);
      push_answer (gpu, queue, &gpu->element, NULL, 0);
      return;
    }
  request.header = (struct virtio_gpu_ctrl_hdr){ .type = GUINT32_FROM_LE (wire->type),
                                                 .flags = GUINT32_FROM_LE (wire->flags),
                                                 .fence_id = GUINT64_FROM_LE (wire->fence_id),
                                                 .ctx_id = GUINT32_FROM_LE (wire->ctx_id) };
  const Command *command = find_command (queue, request.header.type);
  if (!command)
    guest_log (&gpu->log, "unknown command %#x", request.header.type);
  else if (!read_rest (command, &request))
    guest_log (&gpu->log, "%s is cut short", command->name);
  else if ((answer = command->run (gpu, &request)) >= VIRTIO_GPU_RESP_ERR_UNSPEC)
    guest_log (&gpu->log, "%s refused: answer %#x", command->name, answer);
  else if (request.header.type == VIRTIO_GPU_CMD_RESOURCE_FLUSH)
    {
      start_flush (gpu, &request);
      return;
    }
  make_answer (&request.response.hdr, &request.header, answer);
  push_answer (gpu, queue, &gpu->element, &request.response, request.response_size);
}

static void
gpu_notify (void *opaque, unsigned index)
{
  VirtioGpu *gpu = opaque;
  Virtqueue *queue = virtio_device_get_queue (gpu->device, index);

  unsigned done = 0;

  gpu->in_port = true;
  gpu->copied = 0;
  while (queue && done < REQUESTS_AT_ONCE && gpu->copied < BYTES_AT_ONCE &&
         virtqueue_pop (queue, &gpu->element))
    {
      run_request (gpu, index);
      finish_done_flushes (gpu);
      done++;
    }
  gpu->in_port = false;
  /* Others of the main loop first: a guest can fill the ring as fast as it is emptied. */
  if (done == REQUESTS_AT_ONCE || gpu->copied >= BYTES_AT_ONCE)
    virtio_device_notify_again (gpu->device, index);
  virtio_device_signal_queue (gpu->device, index);
  if (index != CONTROL_QUEUE)
    virtio_device_signal_queue (gpu->device, CONTROL_QUEUE);
}

/* Life cycle */

/* Main thread, lock not held. */
static void
sync_screen_now (VirtioGpu *gpu)
{
  virtio_device_lock (gpu->device);
  gpu->in_port = true;
  sync_screen (gpu);
  gpu->in_port = false;
  finish_done_flushes (gpu);
  virtio_device_signal_queue (gpu->device, CONTROL_QUEUE);
  virtio_device_unlock (gpu->device);
}

static gboolean
on_sync (void *data)
{
  VirtioGpu *gpu = data;

  virtio_device_lock (gpu->device);
  g_clear_pointer (&gpu->sync_source, g_source_unref);
  virtio_device_unlock (gpu->device);
  sync_screen_now (gpu);
  return G_SOURCE_REMOVE;
}

/* Lock held; any thread. */
static void
schedule_sync (VirtioGpu *gpu)
{
  if (gpu->sync_source)
    return;
  gpu->sync_source = g_idle_source_new ();
  g_source_set_priority (gpu->sync_source, G_PRIORITY_DEFAULT);
  g_source_set_callback (gpu->sync_source, on_sync, gpu, NULL);
  g_source_attach (gpu->sync_source, NULL);
}

static void
orphan_flushes (VirtioGpu *gpu)
{
  for (unsigned i = 0; i < gpu->flushes->len; i++)
    {
      Flush *flush = g_ptr_array_index (gpu->flushes, i);
      flush->stale = true;
      virtqueue_element_clear (&flush->element);
    }
}

static void
gpu_reset (void *opaque)
{
  VirtioGpu *gpu = opaque;

  orphan_flushes (gpu);
  virtqueue_element_clear (&gpu->element);
  virtio_gpu_scanout_clear (gpu->scanout);
  virtio_gpu_resources_clear (gpu->resources);
  gpu->has_driver = false;
  gpu->events = 0;
  schedule_sync (gpu);
}

static void
gpu_config_read (void *opaque, uint32_t offset, void *buffer, uint32_t size)
{
  VirtioGpu *gpu = opaque;
  struct virtio_gpu_config config = { .events_read = GUINT32_TO_LE (gpu->events),
                                      .num_scanouts = GUINT32_TO_LE (1) };

  memcpy (buffer, (uint8_t *) &config + offset, size);
}

static void
gpu_config_write (void *opaque, uint32_t offset, const void *buffer, uint32_t size)
{
  VirtioGpu *gpu = opaque;
  uint32_t clear;

  if (offset != offsetof (struct virtio_gpu_config, events_clear) || size != sizeof clear)
    return;
  memcpy (&clear, buffer, sizeof clear);
  gpu->events &= ~GUINT32_FROM_LE (clear);
}

static void
on_resize (void *opaque, uint32_t width, uint32_t height)
{
  VirtioGpu *gpu = opaque;

  width = CLAMP (width, MIN_WIDTH, SCANOUT_MAX_SIDE);
  height = CLAMP (height, MIN_HEIGHT, SCANOUT_MAX_SIDE);
  virtio_device_lock (gpu->device);
  if (width != gpu->width || height != gpu->height)
    {
      g_debug ("virtio-gpu: the user wants %ux%u", width, height);
      gpu->width = width;
      gpu->height = height;
      gpu->events |= VIRTIO_GPU_EVENT_DISPLAY;
      virtio_device_signal_config (gpu->device);
    }
  virtio_device_unlock (gpu->device);
}

static const VirtioDeviceType gpu_type = {
  .name = "virtio-gpu",
  .id = VIRTIO_ID_GPU,
  .pci_class = PCI_CLASS_VGA,
  .features = UINT64_C (1) << VIRTIO_GPU_F_EDID,
  .max_queues = N_QUEUES,
  .queue_size = QUEUE_SIZE,
  .config_read = gpu_config_read,
  .config_write = gpu_config_write,
  .notify = gpu_notify,
  .reset = gpu_reset,
};

VirtioGpu *
virtio_gpu_new (const GuestMemory *memory, ScanoutPort *port, uint32_t width, uint32_t height)
{
  VirtioGpu *gpu = g_new0 (VirtioGpu, 1);

  gpu->port = port;
  gpu->width = width;
  gpu->height = height;
  gpu->resources = virtio_gpu_resources_new ();
  gpu->scanout = virtio_gpu_scanout_new ();
  gpu->flushes = g_ptr_array_new ();
  guest_log_init (&gpu->log, gpu_type.name);
  gpu->device = virtio_device_new (&gpu_type, gpu, N_QUEUES, sizeof (struct virtio_gpu_config),
                                   gpu_type.features, memory, NULL);
  scanout_port_set_resize_func (port, on_resize, gpu);
  return gpu;
}

void
virtio_gpu_free (VirtioGpu *gpu)
{
  if (!gpu)
    return;
  scanout_port_set_resize_func (gpu->port, NULL, NULL);
  scanout_port_set_surface (gpu->port, NULL);
  virtio_device_free (gpu->device);
  orphan_flushes (gpu);
  for (unsigned i = 0; i < gpu->flushes->len; i++)
    ((Flush *) g_ptr_array_index (gpu->flushes, i))->gpu = NULL;
  if (gpu->sync_source)
    g_source_destroy (gpu->sync_source);
  g_clear_pointer (&gpu->sync_source, g_source_unref);
  virtqueue_element_clear (&gpu->element);
  virtio_gpu_scanout_free (gpu->scanout);
  g_clear_pointer (&gpu->boot_surface, scanout_surface_unref);
  virtio_gpu_resources_free (gpu->resources);
  g_ptr_array_unref (gpu->flushes);
  g_free (gpu);
}

VirtioDevice *
virtio_gpu_get_device (VirtioGpu *gpu)
{
  return gpu->device;
}

void
virtio_gpu_set_boot_surface (VirtioGpu *gpu, ScanoutSurface *surface)
{
  virtio_device_lock (gpu->device);
  g_clear_pointer (&gpu->boot_surface, scanout_surface_unref);
  gpu->boot_surface = surface ? scanout_surface_ref (surface) : NULL;
  virtio_device_unlock (gpu->device);
  sync_screen_now (gpu);
}
