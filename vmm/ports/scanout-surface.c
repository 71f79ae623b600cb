#include "ports/scanout-surface.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <sys/mman.h>
#include <unistd.h>
#include <gio/gio.h>

#define PAGE 4096

struct ScanoutSurface
{
  gatomicrefcount references;
  uint32_t width;
  uint32_t height;
  uint32_t stride;
  size_t size;
  uint8_t *pixels;
  int fd;
  ScanoutSurface *owner; /* of pixels and fd; NULL: this one */
};

static bool
fail (ScanoutSurface *surface, GError **error)
{
  g_set_error (error, G_IO_ERROR, g_io_error_from_errno (errno),
               "no memory for a picture of %ux%u: %s", surface->width, surface->height,
               g_strerror (errno));
  return false;
}

static bool
back_with_memfd (ScanoutSurface *surface, GError **error)
{
  surface->fd = memfd_create ("alcove-scanout", MFD_CLOEXEC | MFD_ALLOW_SEALING);
  if (surface->fd < 0 || ftruncate (surface->fd, (off_t) surface->size) != 0 ||
      fcntl (surface->fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) != 0)
    return fail (surface, error);
  void *pixels = mmap (NULL, surface->size, PROT_READ | PROT_WRITE, MAP_SHARED, surface->fd, 0);
  if (pixels == MAP_FAILED)
    return fail (surface, error);
  surface->pixels = pixels;
  return true;
}

ScanoutSurface *
scanout_surface_new (uint32_t width, uint32_t height, size_t min_bytes, GError **error)
{
  g_return_val_if_fail (width >= 1 && width <= SCANOUT_MAX_SIDE, NULL);
  g_return_val_if_fail (height >= 1 && height <= SCANOUT_MAX_SIDE, NULL);

  g_autoptr (ScanoutSurface) surface = g_new0 (ScanoutSurface, 1);
  g_atomic_ref_count_init (&surface->references);
  surface->fd = -1;
  surface->width = width;
  surface->height = height;
  surface->stride = width * 4;
  size_t bytes = MAX ((size_t) surface->stride * height, min_bytes);
  surface->size = (bytes + PAGE - 1) & ~(size_t) (PAGE - 1);
  return back_with_memfd (surface, error) ? g_steal_pointer (&surface) : NULL;
}

ScanoutSurface *
scanout_surface_new_view (ScanoutSurface *of, uint32_t width, uint32_t height)
{
  g_return_val_if_fail (width >= 1 && width <= SCANOUT_MAX_SIDE, NULL);
  g_return_val_if_fail (height >= 1 && height <= SCANOUT_MAX_SIDE, NULL);
  g_return_val_if_fail ((uint64_t) width * height * 4 <= of->size, NULL);

  ScanoutSurface *view = g_new0 (ScanoutSurface, 1);
  g_atomic_ref_count_init (&view->references);
  view->width = width;
  view->height = height;
  view->stride = width * 4;
  view->size = of->size;
  view->pixels = of->pixels;
  view->fd = of->fd;
  view->owner = scanout_surface_ref (of);
  return view;
}

ScanoutSurface *
scanout_surface_ref (ScanoutSurface *surface)
{
  g_atomic_ref_count_inc (&surface->references);
  return surface;
}

void
scanout_surface_unref (ScanoutSurface *surface)
{
  if (!surface || !g_atomic_ref_count_dec (&surface->references))
    return;
  if (surface->pixels && !surface->owner)
    munmap (surface->pixels, surface->size);
  if (surface->fd >= 0 && !surface->owner)
    close (surface->fd);
  scanout_surface_unref (surface->owner);
  g_free (surface);
}

uint32_t
scanout_surface_get_width (const ScanoutSurface *surface)
{
  return surface->width;
}

uint32_t
scanout_surface_get_height (const ScanoutSurface *surface)
{
  return surface->height;
}

uint32_t
scanout_surface_get_stride (const ScanoutSurface *surface)
{
  return surface->stride;
}

size_t
scanout_surface_get_size (const ScanoutSurface *surface)
{
  return surface->size;
}

uint8_t *
scanout_surface_get_pixels (const ScanoutSurface *surface)
{
  return surface->pixels;
}

int
scanout_surface_get_fd (const ScanoutSurface *surface)
{
  return surface->fd;
}
