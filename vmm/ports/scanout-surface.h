#pragma once

#include <stddef.h>
#include <stdint.h>
#include <glib.h>

/* Pixels that somebody may show: 32 bits each, blue in the lowest byte, the highest unused (DRM's XRGB8888), rows from the top down,
 * in a memfd of their own at offset 0. The memfd is sealed against shrinking and growing, so that whoever maps it cannot be
 * hurt by us; its contents go on changing.
 *
 * Thread: reference counting from any; the pixels belong to the producer, a reader may see a frame half drawn.
 */
typedef struct ScanoutSurface ScanoutSurface;

#define SCANOUT_MAX_SIDE 16384

/* width, height: 1..SCANOUT_MAX_SIDE. The memfd holds at least min_bytes (0: just the picture), rounded up to whole pages; all is zero (black).
 * Error: the host has no memory for it. */
ScanoutSurface *scanout_surface_new (uint32_t width, uint32_t height, size_t min_bytes,
                                     GError **error);
/* The same pixels as another picture: width * height * 4 is at most the size of `of`, which lives on as long as the view. */
ScanoutSurface *scanout_surface_new_view (ScanoutSurface *of, uint32_t width, uint32_t height);
ScanoutSurface *scanout_surface_ref (ScanoutSurface *surface);
void scanout_surface_unref (ScanoutSurface *surface);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (ScanoutSurface, scanout_surface_unref)

uint32_t scanout_surface_get_width (const ScanoutSurface *surface);
uint32_t scanout_surface_get_height (const ScanoutSurface *surface);
/* Bytes from one row to the next. */
uint32_t scanout_surface_get_stride (const ScanoutSurface *surface);
/* Bytes of the mapping and of the memfd. */
size_t scanout_surface_get_size (const ScanoutSurface *surface);
uint8_t *scanout_surface_get_pixels (const ScanoutSurface *surface);
/* Borrowed. */
int scanout_surface_get_fd (const ScanoutSurface *surface);
