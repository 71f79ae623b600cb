#include "virtio/virtio-gpu-scanout.h"

#include <string.h>

#define BYTES_PER_PIXEL 4

struct VirtioGpuScanout
{
  uint32_t resource_id; /* 0: off */
  ScanoutRect rect;     /* in the resource */
  ScanoutSurface *surface;
  bool is_part; /* surface is our own copy of rect */
};

VirtioGpuScanout *
virtio_gpu_scanout_new (void)
{
  return g_new0 (VirtioGpuScanout, 1);
}

void
virtio_gpu_scanout_free (VirtioGpuScanout *scanout)
{
  if (!scanout)
    return;
  virtio_gpu_scanout_clear (scanout);
  g_free (scanout);
}

void
virtio_gpu_scanout_clear (VirtioGpuScanout *scanout)
{
  g_clear_pointer (&scanout->surface, scanout_surface_unref);
  *scanout = (VirtioGpuScanout){ 0 };
}

/* rect: in the scanout. */
static void
copy_part (VirtioGpuScanout *scanout, ScanoutSurface *source, const ScanoutRect *rect)
{
  uint32_t from_stride = scanout_surface_get_stride (source);
  uint32_t to_stride = scanout_surface_get_stride (scanout->surface);
  const uint8_t *from = scanout_surface_get_pixels (source);
  uint8_t *to = scanout_surface_get_pixels (scanout->surface);

  from += (size_t) (scanout->rect.y + rect->y) * from_stride +
          (size_t) (scanout->rect.x + rect->x) * BYTES_PER_PIXEL;
  to += (size_t) rect->y * to_stride + (size_t) rect->x * BYTES_PER_PIXEL;
  for (uint32_t y = 0; y < rect->height; y++, from += from_stride, to += to_stride)
    memcpy (to, from, (size_t) rect->width * BYTES_PER_PIXEL);
}

bool
virtio_gpu_scanout_show (VirtioGpuScanout *scanout, uint32_t id, ScanoutSurface *surface,
                         const ScanoutRect *rect, GError **error)
{
  bool is_part = rect->width != scanout_surface_get_width (surface) ||
                 rect->height != scanout_surface_get_height (surface);
  ScanoutSurface *shown = is_part ? scanout_surface_new (rect->width, rect->height, 0, error)
                                  : scanout_surface_ref (surface);

  if (!shown)
    return false;
  virtio_gpu_scanout_clear (scanout);
  *scanout = (VirtioGpuScanout){ id, *rect, shown, is_part };
  if (is_part)
    copy_part (scanout, surface, &(ScanoutRect){ 0, 0, rect->width, rect->height });
  return true;
}

/* What both rectangles cover, relative to base; false when nothing. */
static bool
intersect (const ScanoutRect *base, const ScanoutRect *rect, ScanoutRect *out)
{
  uint64_t left = MAX (base->x, rect->x), top = MAX (base->y, rect->y);
  uint64_t right = MIN ((uint64_t) base->x + base->width, (uint64_t) rect->x + rect->width);
  uint64_t bottom = MIN ((uint64_t) base->y + base->height, (uint64_t) rect->y + rect->height);

  if (left >= right || top >= bottom)
    return false;
  *out = (ScanoutRect){ left - base->x, top - base->y, right - left, bottom - top };
  return true;
}

bool
virtio_gpu_scanout_update (VirtioGpuScanout *scanout, uint32_t id, ScanoutSurface *surface,
                           const ScanoutRect *rect, ScanoutRect *shown)
{
  if (id != scanout->resource_id || !intersect (&scanout->rect, rect, shown))
    return false;
  if (scanout->is_part)
    copy_part (scanout, surface, shown);
  return true;
}

uint32_t
virtio_gpu_scanout_get_resource (const VirtioGpuScanout *scanout)
{
  return scanout->resource_id;
}

ScanoutSurface *
virtio_gpu_scanout_get_surface (const VirtioGpuScanout *scanout)
{
  return scanout->surface;
}
