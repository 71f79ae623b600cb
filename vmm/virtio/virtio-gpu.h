#pragma once

#include "bus/guest-memory.h"
#include "ports/scanout-port.h"
#include "virtio/virtio-device.h"

/* A 2D graphics card with one scanout, a hardware cursor and EDID (Virtual I/O Device 1.2, section 5.7).
 *
 * Thread: main, but for the callbacks that virtio-device.h names.
 */
typedef struct VirtioGpu VirtioGpu;

/* port and memory are borrowed. width, height: the size that the guest is told to prefer until the user asks for another. */
VirtioGpu *virtio_gpu_new (const GuestMemory *memory, ScanoutPort *port, uint32_t width,
                           uint32_t height);
/* The front may still owe answers to flushes: they then find nobody. */
void virtio_gpu_free (VirtioGpu *gpu);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (VirtioGpu, virtio_gpu_free)

/* Borrowed. */
VirtioDevice *virtio_gpu_get_device (VirtioGpu *gpu);

/* What the screen shows from each reset until the driver sets its first scanout. A reference is taken; NULL: nothing. */
void virtio_gpu_set_boot_surface (VirtioGpu *gpu, ScanoutSurface *surface);
