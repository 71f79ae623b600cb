#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>
#include <glib.h>

#include "bus/guest-memory.h"

/* One split virtqueue (Virtual I/O Device 1.2, section 2.7) as the device sees it, with indirect
 * descriptors (2.7.5.3) and EVENT_IDX (2.7.7, 2.7.10).
 *
 * Everything in it is the guest's word. A chain that loops, is longer than the queue, points outside RAM, nests indirect tables,
 * has a readable descriptor after a writable one or an available index that jumps by more than the queue's size
 * makes the queue broken: virtqueue_pop () returns false from then on and virtqueue_is_broken () is true, which the
 * transport shows to the driver as DEVICE_NEEDS_RESET. Nothing is allocated in proportion to what the guest says beyond
 * VIRTQUEUE_MAX_SIZE segments.
 *
 * Thread: one at a time; the device's lock (virtio-device.h) is the guard.
 */
#define VIRTQUEUE_MAX_SIZE 1024

typedef struct Virtqueue Virtqueue;

/* One request: descriptors resolved to host memory and range-checked. Reuse one element for many pops; the
 * iovecs stay valid until the next pop into the same element or its clear. Guest memory behind them may change at any time. */
typedef struct VirtqueueElement
{
  uint16_t head;
  unsigned n_out;    /* readable by the device */
  unsigned n_in;     /* writable by the device */
  struct iovec *out; /* owned by the element */
  struct iovec *in;
  size_t out_bytes;
  size_t in_bytes;
  /* private: */
  struct iovec *storage;
  unsigned capacity;
} VirtqueueElement;

void virtqueue_element_clear (VirtqueueElement *element);
/* Moves src into dst (which must be zero or cleared) and leaves src zero: for requests that outlive the next pop. */
void virtqueue_element_move (VirtqueueElement *dst, VirtqueueElement *src);

typedef struct VirtqueueLayout
{
  uint16_t size; /* a power of two, 1..VIRTQUEUE_MAX_SIZE */
  uint64_t descriptors;
  uint64_t available;
  uint64_t used;
  bool event_idx;
  bool indirect;
} VirtqueueLayout;

/* Refused (NULL, error says what) when the layout is malformed, misaligned or outside RAM. memory is borrowed. */
Virtqueue *virtqueue_new (const GuestMemory *memory, const VirtqueueLayout *layout, GError **error);
void virtqueue_free (Virtqueue *queue);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (Virtqueue, virtqueue_free)

/* Takes the next available request. False when there is none (then the driver has been asked, with EVENT_IDX or flags, to
 * notify about the next one, and the ring was looked at again after asking) or the queue is broken. */
bool virtqueue_pop (Virtqueue *queue, VirtqueueElement *element);

/* Returns a request, written: bytes placed into its in segments. The driver sees it at once; it is interrupted only by virtqueue_must_interrupt (). */
void virtqueue_push (Virtqueue *queue, const VirtqueueElement *element, uint32_t written);

/* True once after pushes that the driver wants to hear of (EVENT_IDX window or NO_INTERRUPT flag). */
bool virtqueue_must_interrupt (Virtqueue *queue);

/* While disabled, the driver is asked not to notify: for a device that polls while it works through a batch. */
void virtqueue_set_notification (Virtqueue *queue, bool enabled);

bool virtqueue_is_broken (const Virtqueue *queue);
/* Why, for the log; NULL while it is not broken. */
const char *virtqueue_get_fault (const Virtqueue *queue);
