#define G_LOG_DOMAIN "vmm-virtio"

#include "virtio/virtio-gpu-resource.h"

#include <string.h>
#include <linux/virtio_gpu.h>

#define BYTES_PER_PIXEL 4

/* Where in a guest's pixel the byte of each of our channels is: blue, green, red, alpha. */
typedef struct PixelFormat
{
  uint32_t id;
  uint8_t order[BYTES_PER_PIXEL];
} PixelFormat;

static const PixelFormat pixel_formats[] = {
  { VIRTIO_GPU_FORMAT_B8G8R8A8_UNORM, { 0, 1, 2, 3 } },
  { VIRTIO_GPU_FORMAT_B8G8R8X8_UNORM, { 0, 1, 2, 3 } },
  { VIRTIO_GPU_FORMAT_A8R8G8B8_UNORM, { 3, 2, 1, 0 } },
  { VIRTIO_GPU_FORMAT_X8R8G8B8_UNORM, { 3, 2, 1, 0 } },
  { VIRTIO_GPU_FORMAT_R8G8B8A8_UNORM, { 2, 1, 0, 3 } },
  { VIRTIO_GPU_FORMAT_R8G8B8X8_UNORM, { 2, 1, 0, 3 } },
  { VIRTIO_GPU_FORMAT_X8B8G8R8_UNORM, { 1, 2, 3, 0 } },
  { VIRTIO_GPU_FORMAT_A8B8G8R8_UNORM, { 1, 2, 3, 0 } },
};

struct VirtioGpuResource
{
  const PixelFormat *format;
  uint32_t width;
  uint32_t height;
  ScanoutSurface *surface;
  struct iovec *backing; /* into guest RAM */
  unsigned n_backing;
  uint64_t backing_bytes;
};

struct VirtioGpuResources
{
  GHashTable *table; /* id -> VirtioGpuResource */
  uint64_t bytes;    /* of the pictures and of the lists of their backing */
};

static void
resource_free (void *data)
{
  VirtioGpuResource *resource = data;

  g_clear_pointer (&resource->surface, scanout_surface_unref);
  g_free (resource->backing);
  g_free (resource);
}

VirtioGpuResources *
virtio_gpu_resources_new (void)
{
  VirtioGpuResources *resources = g_new0 (VirtioGpuResources, 1);
  resources->table = g_hash_table_new_full (NULL, NULL, NULL, resource_free);
  return resources;
}

void
virtio_gpu_resources_free (VirtioGpuResources *resources)
{
  if (!resources)
    return;
  g_hash_table_unref (resources->table);
  g_free (resources);
}

void
virtio_gpu_resources_clear (VirtioGpuResources *resources)
{
  g_hash_table_remove_all (resources->table);
  resources->bytes = 0;
}

static const PixelFormat *
find_format (uint32_t id)
{
  for (unsigned i = 0; i < G_N_ELEMENTS (pixel_formats); i++)
    if (pixel_formats[i].id == id)
      return &pixel_formats[i];
  return NULL;
}

VirtioGpuCreateResult
virtio_gpu_resources_create (VirtioGpuResources *resources, uint32_t id, uint32_t format,
                             uint32_t width, uint32_t height)
{
  g_autoptr (GError) error = NULL;
  const PixelFormat *pixel_format = find_format (format);

  if (id == 0 || virtio_gpu_resources_lookup (resources, id))
    return VIRTIO_GPU_CREATE_BAD_ID;
  if (!pixel_format || width == 0 || height == 0 || width > SCANOUT_MAX_SIDE ||
      height > SCANOUT_MAX_SIDE)
    return VIRTIO_GPU_CREATE_BAD_PARAMETER;
  /* At most 2^30: both sides are bounded above. */
  uint64_t bytes = (uint64_t) width * height * BYTES_PER_PIXEL;
  if (g_hash_table_size (resources->table) >= VIRTIO_GPU_MAX_RESOURCES ||
      bytes > VIRTIO_GPU_MAX_RESOURCE_BYTES - resources->bytes)
    return VIRTIO_GPU_CREATE_NO_MEMORY;
  ScanoutSurface *surface = scanout_surface_new (width, height, 0, &error);
  if (!surface)
    {
      g_warning ("virtio-gpu: %s", error->message);
      return VIRTIO_GPU_CREATE_NO_MEMORY;
    }
  VirtioGpuResource *resource = g_new0 (VirtioGpuResource, 1);
  *resource = (VirtioGpuResource){
    .format = pixel_format, .width = width, .height = height, .surface = surface
  };
  resources->bytes += bytes;
  g_hash_table_insert (resources->table, GUINT_TO_POINTER (id), resource);
  return VIRTIO_GPU_CREATED;
}

VirtioGpuResource *
virtio_gpu_resources_lookup (VirtioGpuResources *resources, uint32_t id)
{
  return g_hash_table_lookup (resources->table, GUINT_TO_POINTER (id));
}

bool
virtio_gpu_resources_remove (VirtioGpuResources *resources, uint32_t id)
{
  VirtioGpuResource *resource = virtio_gpu_resources_lookup (resources, id);

  if (!resource)
    return false;
  virtio_gpu_resources_detach (resources, resource);
  resources->bytes -= (uint64_t) resource->width * resource->height * BYTES_PER_PIXEL;
  g_hash_table_remove (resources->table, GUINT_TO_POINTER (id));
  return true;
}

ScanoutSurface *
virtio_gpu_resource_get_surface (VirtioGpuResource *resource)
{
  return resource->surface;
}

VirtioGpuAttachResult
virtio_gpu_resources_attach (VirtioGpuResources *resources, VirtioGpuResource *resource,
                             const GuestMemory *memory, const VirtioGpuMemoryEntry *entries,
                             unsigned n_entries)
{
  if (resource->backing || n_entries == 0 || n_entries > VIRTIO_GPU_MAX_BACKING_ENTRIES)
    return VIRTIO_GPU_ATTACH_REFUSED;
  /* An entry may cross from one region of RAM to the next: two pieces at most. */
  g_autofree struct iovec *backing = g_new (struct iovec, 2 * n_entries);
  unsigned n_backing = 0;
  uint64_t total = 0;
  for (unsigned i = 0; i < n_entries; i++)
    {
      int pieces = guest_memory_map_iov (memory, entries[i].gpa, entries[i].length,
                                         backing + n_backing, 2 * n_entries - n_backing);
      if (pieces < 0)
        return VIRTIO_GPU_ATTACH_REFUSED;
      n_backing += pieces;
      total += entries[i].length;
    }
  uint64_t bytes = n_backing * sizeof *backing;
  if (bytes > VIRTIO_GPU_MAX_RESOURCE_BYTES - resources->bytes)
    return VIRTIO_GPU_ATTACH_NO_MEMORY;
  resources->bytes += bytes;
  resource->backing = g_renew (struct iovec, g_steal_pointer (&backing), n_backing);
  resource->n_backing = n_backing;
  resource->backing_bytes = total;
  return VIRTIO_GPU_ATTACHED;
}

void
virtio_gpu_resources_detach (VirtioGpuResources *resources, VirtioGpuResource *resource)
{
  resources->bytes -= resource->n_backing * sizeof *resource->backing;
  g_clear_pointer (&resource->backing, g_free);
  resource->n_backing = 0;
  resource->backing_bytes = 0;
}

/* A place in the backing that only moves forward, so that a transfer of many rows walks the pieces once. */
typedef struct BackingCursor
{
  const struct iovec *piece;
  const struct iovec *end;
  uint64_t start; /* of the piece, in bytes of the backing */
} BackingCursor;

static void
cursor_read (BackingCursor *cursor, uint64_t offset, uint8_t *buffer, size_t size)
{
  while (size > 0 && cursor->piece < cursor->end)
    {
      uint64_t inside = offset - cursor->start;
      if (inside >= cursor->piece->iov_len)
        {
          cursor->start += cursor->piece->iov_len;
          cursor->piece++;
          continue;
        }
      size_t length = MIN (size, cursor->piece->iov_len - inside);
      memcpy (buffer, (const uint8_t *) cursor->piece->iov_base + inside, length);
      buffer += length;
      offset += length;
      size -= length;
    }
}

static void
reorder (const PixelFormat *format, uint8_t *row, uint32_t width)
{
  for (uint32_t x = 0; x < width; x++, row += BYTES_PER_PIXEL)
    {
      uint8_t pixel[BYTES_PER_PIXEL];
      memcpy (pixel, row, sizeof pixel);
      for (unsigned i = 0; i < BYTES_PER_PIXEL; i++)
        row[i] = pixel[format->order[i]];
    }
}

bool
virtio_gpu_resource_transfer (VirtioGpuResource *resource, const ScanoutRect *rect, uint64_t offset)
{
  uint64_t row_bytes = (uint64_t) resource->width * BYTES_PER_PIXEL;

  if (!resource->backing || rect->width == 0 || rect->height == 0 ||
      rect->width > resource->width || rect->x > resource->width - rect->width ||
      rect->height > resource->height || rect->y > resource->height - rect->height)
    return false;
  /* rows * row_bytes fits 31 bits, so only the offset can overflow. */
  uint64_t needed = (rect->height - 1) * row_bytes + (uint64_t) rect->width * BYTES_PER_PIXEL;
  if (offset > resource->backing_bytes || needed > resource->backing_bytes - offset)
    return false;

  BackingCursor cursor = { resource->backing, resource->backing + resource->n_backing, 0 };
  uint8_t *pixels = scanout_surface_get_pixels (resource->surface);
  uint32_t stride = scanout_surface_get_stride (resource->surface);
  for (uint32_t y = 0; y < rect->height; y++)
    {
      uint8_t *row = pixels + (size_t) (rect->y + y) * stride + (size_t) rect->x * BYTES_PER_PIXEL;
      cursor_read (&cursor, offset + y * row_bytes, row, (size_t) rect->width * BYTES_PER_PIXEL);
      if (resource->format->order[0] != 0)
        reorder (resource->format, row, rect->width);
    }
  return true;
}
