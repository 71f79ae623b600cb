#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <glib.h>

#include "ports/scanout-port.h"

/* What of which resource virtio-gpu shows (Virtual I/O Device 1.2, 5.7.6.8, SET_SCANOUT). The whole of a resource is shown as it is; a
 * part of one has a surface of its own, which is kept up to date by copies.
 *
 * Thread: main, under the device's lock, but virtio_gpu_scanout_clear (): any, under the lock.
 */
typedef struct VirtioGpuScanout VirtioGpuScanout;

VirtioGpuScanout *virtio_gpu_scanout_new (void);
void virtio_gpu_scanout_free (VirtioGpuScanout *scanout);

/* Shows nothing. */
void virtio_gpu_scanout_clear (VirtioGpuScanout *scanout);
/* rect lies inside surface, the picture of resource id, which is not 0; a reference is taken. Error: the host has no memory, and what was
 * shown stays. */
bool virtio_gpu_scanout_show (VirtioGpuScanout *scanout, uint32_t id, ScanoutSurface *surface,
                              const ScanoutRect *rect, GError **error);
/* Resource id, whose picture is surface, changed in rect. Gives what of that is shown, in the scanout's own coordinates; false: nothing. */
bool virtio_gpu_scanout_update (VirtioGpuScanout *scanout, uint32_t id, ScanoutSurface *surface,
                                const ScanoutRect *rect, ScanoutRect *shown);

/* 0: none. */
uint32_t virtio_gpu_scanout_get_resource (const VirtioGpuScanout *scanout);
/* Borrowed; NULL: none. */
ScanoutSurface *virtio_gpu_scanout_get_surface (const VirtioGpuScanout *scanout);
