#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>
#include <glib.h>

#include "bus/guest-memory.h"
#include "ports/scanout-port.h"

/* The resources of virtio-gpu (Virtual I/O Device 1.2, 5.7.6.7): pictures in host memory that the guest fills from its own, and the
 * limits that keep a hostile guest from taking the host's memory with them.
 *
 * Every function that takes ids, sizes or offsets takes the guest's word for them and checks it; false or NULL means refused, without effect.
 * Thread: under the device's lock.
 */
typedef struct VirtioGpuResources VirtioGpuResources;
typedef struct VirtioGpuResource VirtioGpuResource;

#define VIRTIO_GPU_MAX_RESOURCES 512
/* Of all together, the lists of their backing included. */
#define VIRTIO_GPU_MAX_RESOURCE_BYTES  (UINT64_C (512) << 20)
#define VIRTIO_GPU_MAX_BACKING_ENTRIES 16384

typedef struct VirtioGpuMemoryEntry
{
  uint64_t gpa;
  uint32_t length;
} VirtioGpuMemoryEntry;

VirtioGpuResources *virtio_gpu_resources_new (void);
void virtio_gpu_resources_free (VirtioGpuResources *resources);
/* Drops all of them. A surface that a front still shows lives on until that lets go. */
void virtio_gpu_resources_clear (VirtioGpuResources *resources);

typedef enum
{
  VIRTIO_GPU_CREATED,
  VIRTIO_GPU_CREATE_BAD_ID,        /* 0, or already there */
  VIRTIO_GPU_CREATE_BAD_PARAMETER, /* format or size */
  VIRTIO_GPU_CREATE_NO_MEMORY,     /* over a limit, or the host refused */
} VirtioGpuCreateResult;

VirtioGpuCreateResult virtio_gpu_resources_create (VirtioGpuResources *resources, uint32_t id,
                                                   uint32_t format, uint32_t width,
                                                   uint32_t height);
VirtioGpuResource *virtio_gpu_resources_lookup (VirtioGpuResources *resources, uint32_t id);
bool virtio_gpu_resources_remove (VirtioGpuResources *resources, uint32_t id);

/* Borrowed from the resource. */
ScanoutSurface *virtio_gpu_resource_get_surface (VirtioGpuResource *resource);

typedef enum
{
  VIRTIO_GPU_ATTACHED,
  VIRTIO_GPU_ATTACH_REFUSED,   /* there is backing already, or a range is not RAM */
  VIRTIO_GPU_ATTACH_NO_MEMORY, /* over the limit */
} VirtioGpuAttachResult;

/* The guest's pages that transfers read. resource is one of resources. */
VirtioGpuAttachResult virtio_gpu_resources_attach (VirtioGpuResources *resources,
                                                   VirtioGpuResource *resource,
                                                   const GuestMemory *memory,
                                                   const VirtioGpuMemoryEntry *entries,
                                                   unsigned n_entries);
void virtio_gpu_resources_detach (VirtioGpuResources *resources, VirtioGpuResource *resource);
/* Copies a rectangle from the backing, whose byte at offset is the rectangle's first; rows of the backing are as wide as the resource. */
bool virtio_gpu_resource_transfer (VirtioGpuResource *resource, const ScanoutRect *rect,
                                   uint64_t offset);
