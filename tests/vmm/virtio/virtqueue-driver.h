#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <glib.h>

#include "bus/guest-memory.h"
#include "virtio/virtqueue.h"

/* One virtqueue as a guest's driver sees it: builds the ring in guest memory, adds requests, takes used ones. Also writes
 * what no honest driver would. */
typedef struct VirtqueueDriver VirtqueueDriver;

typedef struct DriverSegment
{
  uint64_t gpa;
  uint32_t size;
  bool writable; /* by the device */
} DriverSegment;

/* Bytes of guest memory from base on that a ring of size takes. */
uint64_t virtqueue_driver_footprint (uint16_t size);

/* base: a multiple of 4 KiB; the memory there is zeroed. */
VirtqueueDriver *virtqueue_driver_new (GuestMemory *memory, uint64_t base, uint16_t size,
                                       bool event_idx, bool indirect);
void virtqueue_driver_free (VirtqueueDriver *driver);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (VirtqueueDriver, virtqueue_driver_free)

const VirtqueueLayout *virtqueue_driver_get_layout (const VirtqueueDriver *driver);

/* Descriptors that no request has: each segment that is added takes one, an indirect table takes one. */
unsigned virtqueue_driver_get_n_free (const VirtqueueDriver *driver);
/* Adds a chain of n segments to the free descriptors and makes it available. Returns its head. */
uint16_t virtqueue_driver_add (VirtqueueDriver *driver, const DriverSegment *segments, unsigned n);
/* The same by an indirect table, written at table_gpa. */
uint16_t virtqueue_driver_add_indirect (VirtqueueDriver *driver, uint64_t table_gpa,
                                        const DriverSegment *segments, unsigned n);
/* Does the device want to hear of what was added since the last call? */
bool virtqueue_driver_must_kick (VirtqueueDriver *driver);
/* Takes the next used request and frees its descriptors. head and written may be NULL. */
bool virtqueue_driver_take_used (VirtqueueDriver *driver, uint16_t *head, uint32_t *written);

/* The driver's wish for interrupts: the flag, or with EVENT_IDX the used index after which to interrupt. */
void virtqueue_driver_set_no_interrupt (VirtqueueDriver *driver, bool no_interrupt);
void virtqueue_driver_set_used_event (VirtqueueDriver *driver, uint16_t event);

/* Raw writes. */
void virtqueue_driver_set_descriptor (VirtqueueDriver *driver, uint16_t index, uint64_t gpa,
                                      uint32_t length, uint16_t flags, uint16_t next);
void virtqueue_driver_set_available (VirtqueueDriver *driver, uint16_t slot, uint16_t head);
void virtqueue_driver_set_available_index (VirtqueueDriver *driver, uint16_t index);
/* As virtqueue_driver_add () for descriptors already written. */
void virtqueue_driver_make_available (VirtqueueDriver *driver, uint16_t head);
uint16_t virtqueue_driver_get_used_index (VirtqueueDriver *driver);
uint16_t virtqueue_driver_get_available_event (VirtqueueDriver *driver);
