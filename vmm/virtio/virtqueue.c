#define G_LOG_DOMAIN "vmm-virtio"

#include "virtio/virtqueue.h"

#include <string.h>
#include <linux/virtio_ring.h>

/* Theory of operation
 *
 * The three parts of the ring are resolved to host pointers once, in virtqueue_new (); guest memory never moves. The driver
 * may write to them at any moment, so each field is read exactly once, by an atomic load, into a local that is then checked
 * and used.
 *
 * last_available: how many requests were taken. shadow_available: what the available index was when last looked at, so that
 * a batch costs one look. used_index is ours alone: the ring only gets copies of it. All three run freely modulo 2^16.
 *
 * Ordering, with the driver's side in brackets:
 *  - available index is loaded with acquire [stored after the ring entry and descriptors]: what it announces is then visible.
 *  - used index is stored with release [loaded before the used entry]: the entry and the data are visible before it.
 *  - full barrier between asking for notification and looking at the available index again [index stored, full
 *    barrier, notification wish loaded]: one of the two sides sees the other, so no request is left unnoticed.
 *  - full barrier between storing the used index and loading the driver's wish for an interrupt [wish stored, full barrier, used
 *    index loaded]: for the same reason.
 */
#define INITIAL_SEGMENTS     32
#define SEGMENTS_MAX         VIRTQUEUE_MAX_SIZE
#define PIECES_OF_A_SEGMENT  2 /* RAM has up to two regions */
#define DESCRIPTOR_ALIGNMENT 16
#define AVAILABLE_ALIGNMENT  2
#define USED_ALIGNMENT       4

struct Virtqueue
{
  const GuestMemory *memory; /* borrowed */
  uint16_t size;
  bool event_idx;
  bool indirect;

  /* Guest memory, shared with the driver. */
  const struct vring_desc *descriptors;
  const uint16_t *available; /* flags, index, ring[size], used_event */
  uint16_t *used;            /* flags, index, ring[size], available_event */

  uint16_t last_available;
  uint16_t shadow_available;
  uint16_t used_index;
  uint16_t signalled_used; /* the used index of the last must_interrupt () */
  bool notification;

  const char *fault;
  struct vring_desc
      *table; /* the indirect table in work, SEGMENTS_MAX entries; NULL without indirect */
};

/* A descriptor in host order. */
typedef struct Descriptor
{
  uint64_t address;
  uint32_t length;
  uint16_t flags;
  uint16_t next;
} Descriptor;

static uint16_t
load_u16 (const uint16_t *p)
{
  return GUINT16_FROM_LE (__atomic_load_n (p, __ATOMIC_RELAXED));
}

static void
store_u16 (uint16_t *p, uint16_t value)
{
  __atomic_store_n (p, GUINT16_TO_LE (value), __ATOMIC_RELAXED);
}

static const uint16_t *
available_flags (const Virtqueue *queue)
{
  return queue->available;
}

static const uint16_t *
available_index (const Virtqueue *queue)
{
  return queue->available + 1;
}

static const uint16_t *
available_ring (const Virtqueue *queue)
{
  return queue->available + 2;
}

static const uint16_t *
used_event (const Virtqueue *queue)
{
  return queue->available + 2 + queue->size;
}

static uint16_t *
used_flags (Virtqueue *queue)
{
  return queue->used;
}

static uint16_t *
used_index (Virtqueue *queue)
{
  return queue->used + 1;
}

static struct vring_used_elem *
used_ring (Virtqueue *queue)
{
  return (struct vring_used_elem *) (queue->used + 2);
}

static uint16_t *
available_event (Virtqueue *queue)
{
  return queue->used + 2 + queue->size * sizeof (struct vring_used_elem) / sizeof (uint16_t);
}

static void *
map_part (const GuestMemory *memory, const char *name, uint64_t gpa, size_t size,
          unsigned alignment, GError **error)
{
  if (gpa % alignment != 0)
    {
      g_set_error (error, G_FILE_ERROR, G_FILE_ERROR_INVAL,
                   "%s at 0x%" G_GINT64_MODIFIER "x is not aligned to %u", name, gpa, alignment);
      return NULL;
    }
  void *host = guest_memory_map (memory, gpa, size);
  if (!host)
    g_set_error (error, G_FILE_ERROR, G_FILE_ERROR_FAULT,
                 "%s at 0x%" G_GINT64_MODIFIER "x, %" G_GSIZE_FORMAT " bytes, is not in RAM", name,
                 gpa, size);
  return host;
}

Virtqueue *
virtqueue_new (const GuestMemory *memory, const VirtqueueLayout *layout, GError **error)
{
  const size_t n = layout->size;

  if (n == 0 || n > VIRTQUEUE_MAX_SIZE || (n & (n - 1)) != 0)
    {
      g_set_error (error, G_FILE_ERROR, G_FILE_ERROR_INVAL, "queue size %u is not possible",
                   layout->size);
      return NULL;
    }

  g_autoptr (Virtqueue) queue = g_new0 (Virtqueue, 1);
  queue->memory = memory;
  queue->size = layout->size;
  queue->event_idx = layout->event_idx;
  queue->indirect = layout->indirect;
  queue->notification = true;
  /* The event fields are there with and without EVENT_IDX (2.7.6, 2.7.8). */
  queue->descriptors = map_part (memory, "descriptor table", layout->descriptors,
                                 n * sizeof (struct vring_desc), DESCRIPTOR_ALIGNMENT, error);
  if (!queue->descriptors)
    return NULL;
  queue->available =
      map_part (memory, "available ring", layout->available, 6 + 2 * n, AVAILABLE_ALIGNMENT, error);
  if (!queue->available)
    return NULL;
  queue->used = map_part (memory, "used ring", layout->used,
                          6 + n * sizeof (struct vring_used_elem), USED_ALIGNMENT, error);
  if (!queue->used)
    return NULL;
  if (layout->indirect)
    queue->table = g_new (struct vring_desc, SEGMENTS_MAX);
  return g_steal_pointer (&queue);
}

void
virtqueue_free (Virtqueue *queue)
{
  if (!queue)
    return;
  g_free (queue->table);
  g_free (queue);
}

void
virtqueue_element_clear (VirtqueueElement *element)
{
  g_free (element->storage);
  *element = (VirtqueueElement){ 0 };
}

void
virtqueue_element_move (VirtqueueElement *dst, VirtqueueElement *src)
{
  *dst = *src;
  *src = (VirtqueueElement){ 0 };
}

static bool
fail (Virtqueue *queue, const char *fault)
{
  if (!queue->fault)
    queue->fault = fault;
  return false;
}

/* Appends the host memory of one descriptor. Up to n_out + n_in pieces of storage are in use. */
static bool
add_segment (Virtqueue *queue, VirtqueueElement *element, const Descriptor *d)
{
  const bool writable = (d->flags & VRING_DESC_F_WRITE) != 0;
  const unsigned filled = element->n_out + element->n_in;

  if (!writable && element->n_in > 0)
    return fail (queue, "a readable descriptor after a writable one");
  if (d->length == 0)
    return true;
  if (filled + PIECES_OF_A_SEGMENT > element->capacity)
    {
      element->capacity = MAX (INITIAL_SEGMENTS, element->capacity * 2);
      element->storage = g_renew (struct iovec, element->storage, element->capacity);
    }
  int pieces = guest_memory_map_iov (queue->memory, d->address, d->length,
                                     element->storage + filled, PIECES_OF_A_SEGMENT);
  if (pieces < 0)
    return fail (queue, "a descriptor's buffer outside RAM");
  /* At most 2 * SEGMENTS_MAX lengths below 2^32: the sums fit into 64 bits. */
  if (writable)
    {
      element->n_in += pieces;
      element->in_bytes += d->length;
    }
  else
    {
      element->n_out += pieces;
      element->out_bytes += d->length;
    }
  return true;
}

static Descriptor
load_descriptor (const struct vring_desc *from)
{
  return (Descriptor){
    .address = GUINT64_FROM_LE (__atomic_load_n (&from->addr, __ATOMIC_RELAXED)),
    .length = GUINT32_FROM_LE (__atomic_load_n (&from->len, __ATOMIC_RELAXED)),
    .flags = load_u16 (&from->flags),
    .next = load_u16 (&from->next),
  };
}

/* The table is copied first: it may cross regions, and its entries may not change while they are walked. */
static bool
walk_indirect (Virtqueue *queue, VirtqueueElement *element, const Descriptor *outer, unsigned taken)
{
  const unsigned n = outer->length / sizeof (struct vring_desc);
  unsigned index = 0;

  if (outer->flags & VRING_DESC_F_NEXT)
    return fail (queue, "an indirect descriptor with a next one");
  if (n == 0 || outer->length % sizeof (struct vring_desc) != 0 || n > SEGMENTS_MAX)
    return fail (queue, "an indirect table of impossible length");
  if (!guest_memory_read (queue->memory, outer->address, queue->table, outer->length))
    return fail (queue, "an indirect table outside RAM");
  for (unsigned i = 0; i < n; i++)
    {
      const Descriptor d = load_descriptor (&queue->table[index]);

      if (d.flags & VRING_DESC_F_INDIRECT)
        return fail (queue, "an indirect table inside another");
      if (taken + i >= SEGMENTS_MAX)
        return fail (queue, "a chain that is too long");
      if (!add_segment (queue, element, &d))
        return false;
      if (!(d.flags & VRING_DESC_F_NEXT))
        return true;
      if (d.next >= n)
        return fail (queue, "a next descriptor beyond its indirect table");
      index = d.next;
    }
  return fail (queue, "a loop in an indirect table");
}

static bool
walk_chain (Virtqueue *queue, VirtqueueElement *element, uint16_t head)
{
  uint16_t index = head;

  for (unsigned i = 0; i < queue->size; i++)
    {
      if (index >= queue->size)
        return fail (queue, "a descriptor index beyond the queue");
      const Descriptor d = load_descriptor (&queue->descriptors[index]);

      if (d.flags & VRING_DESC_F_INDIRECT)
        {
          if (!queue->indirect)
            return fail (queue, "an indirect descriptor that was not negotiated");
          return walk_indirect (queue, element, &d, i);
        }
      if (!add_segment (queue, element, &d))
        return false;
      if (!(d.flags & VRING_DESC_F_NEXT))
        return true;
      index = d.next;
    }
  return fail (queue, "a loop in a chain");
}

static bool
look_for_more (Virtqueue *queue)
{
  /* acquire: ring entry and descriptors are read after the index that announces them. */
  uint16_t index = GUINT16_FROM_LE (__atomic_load_n (available_index (queue), __ATOMIC_ACQUIRE));

  if ((uint16_t) (index - queue->last_available) > queue->size)
    return fail (queue, "an available index that jumps by more than the queue's size");
  queue->shadow_available = index;
  return index != queue->last_available;
}

/* Tells the driver from which request on it shall notify. */
static void
publish_notification (Virtqueue *queue)
{
  if (queue->event_idx)
    {
      if (queue->notification)
        store_u16 (available_event (queue), queue->last_available);
      /* While off the event field stays behind, where it was: no index passes it again for 2^16 requests. */
    }
  else
    store_u16 (used_flags (queue), queue->notification ? 0 : VRING_USED_F_NO_NOTIFY);
}

static bool
has_more (Virtqueue *queue)
{
  if (queue->shadow_available != queue->last_available || look_for_more (queue))
    return true;
  if (queue->fault || !queue->notification)
    return false;
  publish_notification (queue);
  /* Orders the wish before the look: the driver that added a request just now either sees the wish or is seen. */
  __atomic_thread_fence (__ATOMIC_SEQ_CST);
  return look_for_more (queue);
}

bool
virtqueue_pop (Virtqueue *queue, VirtqueueElement *element)
{
  element->n_out = element->n_in = 0;
  element->out_bytes = element->in_bytes = 0;
  if (queue->fault || !has_more (queue))
    return false;

  /* Requests that are taken and not returned cost memory: a driver may have as many as the queue holds, even if it
   * makes one descriptor available over and over. */
  if ((uint16_t) (queue->last_available - queue->used_index) >= queue->size)
    return fail (queue, "more requests in flight than the queue holds");
  element->head = load_u16 (available_ring (queue) + queue->last_available % queue->size);
  if (!walk_chain (queue, element, element->head))
    return false;
  queue->last_available++;
  /* storage may have moved while it grew: set only now. */
  element->out = element->storage;
  element->in = element->storage ? element->storage + element->n_out : NULL;
  return true;
}

void
virtqueue_push (Virtqueue *queue, const VirtqueueElement *element, uint32_t written)
{
  if (queue->fault)
    return;
  struct vring_used_elem *entry = used_ring (queue) + queue->used_index % queue->size;
  __atomic_store_n (&entry->id, GUINT32_TO_LE ((uint32_t) element->head), __ATOMIC_RELAXED);
  __atomic_store_n (&entry->len, GUINT32_TO_LE (written), __ATOMIC_RELAXED);
  queue->used_index++;
  /* release: the driver that sees the index sees the entry and what was written to the buffers. */
  __atomic_store_n (used_index (queue), GUINT16_TO_LE (queue->used_index), __ATOMIC_RELEASE);
}

bool
virtqueue_must_interrupt (Virtqueue *queue)
{
  const uint16_t before = queue->signalled_used;
  const uint16_t now = queue->used_index;

  if (before == now || queue->fault)
    return false;
  queue->signalled_used = now;
  /* Orders the used index before the look at the driver's wish; the driver does the reverse. */
  __atomic_thread_fence (__ATOMIC_SEQ_CST);
  if (!queue->event_idx)
    return !(load_u16 (available_flags (queue)) & VRING_AVAIL_F_NO_INTERRUPT);
  /* 2.7.7.2: was used_event passed by the indices pushed since? */
  return vring_need_event (load_u16 (used_event (queue)), now, before);
}

void
virtqueue_set_notification (Virtqueue *queue, bool enabled)
{
  queue->notification = enabled;
  publish_notification (queue);
  if (enabled)
    __atomic_thread_fence (
        __ATOMIC_SEQ_CST); /* as in has_more (): the next pop looks after the wish */
}

bool
virtqueue_is_broken (const Virtqueue *queue)
{
  return queue->fault != NULL;
}

const char *
virtqueue_get_fault (const Virtqueue *queue)
{
  return queue->fault;
}
