#pragma once

#include "virtio/virtio-device.h"

/* The entropy device (Virtual I/O Device 1.2, 5.4): fills buffers from the host's getrandom (). Runs on the main context. */
typedef struct VirtioRng VirtioRng;

VirtioRng *virtio_rng_new (const GuestMemory *memory);
void virtio_rng_free (VirtioRng *rng);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (VirtioRng, virtio_rng_free)

/* Borrowed. */
VirtioDevice *virtio_rng_get_device (VirtioRng *rng);
