#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <glib.h>

#include "bus/guest-memory.h"
#include "virtio/virtio-device.h"
#include "virtqueue-driver.h"

/* A guest's driver of a whole device, without a transport: negotiates, builds every queue, makes requests, counts
 * interrupts. The device's context must be the one that the test runs in (the default one). */
typedef struct VirtioDriver VirtioDriver;

/* Takes features of those offered (VERSION_1, INDIRECT_DESC and EVENT_IDX too, so UINT64_MAX: all), sets DRIVER_OK and lets the
 * device work. Guest memory from base on holds the rings; what is behind them is given out by virtio_driver_alloc (). */
VirtioDriver *virtio_driver_new (VirtioDevice *device, GuestMemory *memory, uint64_t base,
                                 uint64_t features);
/* Resets the device unless that has been done. */
void virtio_driver_free (VirtioDriver *driver);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (VirtioDriver, virtio_driver_free)

VirtqueueDriver *virtio_driver_get_queue (VirtioDriver *driver, unsigned index);

/* Guest memory, zeroed, aligned to 4 KiB; returns its address. *host (may be NULL) is where we see it. */
uint64_t virtio_driver_alloc (VirtioDriver *driver, uint64_t size, void **host);

/* Makes one request of the two parts (each may be empty), notifies, and runs the main context until it is used (at most 10 s,
 * then the test fails). Copies what the device wrote into in; returns how much that was. */
uint32_t virtio_driver_request (VirtioDriver *driver, unsigned queue, const void *out,
                                uint32_t out_size, void *in, uint32_t in_size);

/* Notifies if the device wants it. */
void virtio_driver_notify (VirtioDriver *driver, unsigned queue);
/* The same, and runs the main context until nothing is pending. */
void virtio_driver_kick (VirtioDriver *driver, unsigned queue);
/* Runs the main context until the queue's used index is this (at most 10 s). */
void virtio_driver_wait (VirtioDriver *driver, unsigned queue, uint16_t used_index);
/* Runs the main context until nothing is pending. */
void virtio_driver_run (VirtioDriver *driver);

unsigned virtio_driver_get_interrupts (VirtioDriver *driver, unsigned queue);
unsigned virtio_driver_get_config_interrupts (VirtioDriver *driver);
uint8_t virtio_driver_get_status (VirtioDriver *driver);
void virtio_driver_read_config (VirtioDriver *driver, uint32_t offset, void *buffer, uint32_t size);
void virtio_driver_write_config (VirtioDriver *driver, uint32_t offset, const void *buffer,
                                 uint32_t size);
/* Until the status reads as 0 (at most 10 s). */
void virtio_driver_reset (VirtioDriver *driver);
