#pragma once

#include <stdint.h>

#define VIRTIO_GPU_EDID_SIZE 128

/* A base block of EDID 1.4 (VESA E-EDID standard, release A2) of a monitor that prefers width x height at 60 Hz; each is cut
 * to what its detailed timing can say (4095). */
void virtio_gpu_edid_make (uint32_t width, uint32_t height, uint8_t edid[VIRTIO_GPU_EDID_SIZE]);
