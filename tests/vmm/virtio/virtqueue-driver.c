#include "virtqueue-driver.h"

#include <string.h>
#include <linux/virtio_ring.h>

#define NO_DESCRIPTOR UINT16_MAX

struct VirtqueueDriver
{
  VirtqueueLayout layout;
  struct vring_desc *descriptors;
  struct vring_avail *available;
  struct vring_used *used;
  uint16_t *next_free; /* per descriptor; a list of free ones */
  uint16_t first_free;
  unsigned n_free;
  uint16_t kicked; /* available index at the last must_kick () */
  uint16_t taken;
};

static uint64_t
round_up (uint64_t value)
{
  return (value + 0xfff) & ~UINT64_C (0xfff);
}

uint64_t
virtqueue_driver_footprint (uint16_t size)
{
  return round_up (16 * size) + round_up (6 + 2 * size) + round_up (6 + 8 * size);
}

VirtqueueDriver *
virtqueue_driver_new (GuestMemory *memory, uint64_t base, uint16_t size, bool event_idx,
                      bool indirect)
{
  VirtqueueDriver *driver = g_new0 (VirtqueueDriver, 1);

  driver->layout = (VirtqueueLayout){
    .size = size,
    .descriptors = base,
    .available = base + round_up (16 * size),
    .used = base + round_up (16 * size) + round_up (6 + 2 * size),
    .event_idx = event_idx,
    .indirect = indirect,
  };
  driver->descriptors = guest_memory_map (memory, base, virtqueue_driver_footprint (size));
  g_assert_nonnull (driver->descriptors);
  memset (driver->descriptors, 0, virtqueue_driver_footprint (size));
  driver->available = guest_memory_map (memory, driver->layout.available, 1);
  driver->used = guest_memory_map (memory, driver->layout.used, 1);
  driver->next_free = g_new (uint16_t, size);
  driver->n_free = size;
  for (unsigned i = 0; i < size; i++)
    driver->next_free[i] = i + 1 < size ? i + 1 : NO_DESCRIPTOR;
  return driver;
}

void
virtqueue_driver_free (VirtqueueDriver *driver)
{
  if (!driver)
    return;
  g_free (driver->next_free);
  g_free (driver);
}

const VirtqueueLayout *
virtqueue_driver_get_layout (const VirtqueueDriver *driver)
{
  return &driver->layout;
}

void
virtqueue_driver_set_descriptor (VirtqueueDriver *driver, uint16_t index, uint64_t gpa,
                                 uint32_t length, uint16_t flags, uint16_t next)
{
  driver->descriptors[index] = (struct vring_desc){
    .addr = GUINT64_TO_LE (gpa),
    .len = GUINT32_TO_LE (length),
    .flags = GUINT16_TO_LE (flags),
    .next = GUINT16_TO_LE (next),
  };
}

void
virtqueue_driver_set_available (VirtqueueDriver *driver, uint16_t slot, uint16_t head)
{
  driver->available->ring[slot % driver->layout.size] = GUINT16_TO_LE (head);
}

void
virtqueue_driver_set_available_index (VirtqueueDriver *driver, uint16_t index)
{
  __atomic_store_n (&driver->available->idx, GUINT16_TO_LE (index), __ATOMIC_RELEASE);
}

void
virtqueue_driver_make_available (VirtqueueDriver *driver, uint16_t head)
{
  uint16_t index = GUINT16_FROM_LE (driver->available->idx);

  virtqueue_driver_set_available (driver, index, head);
  virtqueue_driver_set_available_index (driver, index + 1);
}

static uint16_t
take_free (VirtqueueDriver *driver)
{
  uint16_t index = driver->first_free;

  g_assert_cmpuint (index, !=, NO_DESCRIPTOR);
  driver->first_free = driver->next_free[index];
  driver->n_free--;
  return index;
}

unsigned
virtqueue_driver_get_n_free (const VirtqueueDriver *driver)
{
  return driver->n_free;
}

uint16_t
virtqueue_driver_add (VirtqueueDriver *driver, const DriverSegment *segments, unsigned n)
{
  uint16_t head = driver->first_free;

  g_assert_cmpuint (n, >, 0);
  for (unsigned i = 0; i < n; i++)
    {
      uint16_t index = take_free (driver);
      uint16_t flags = segments[i].writable ? VRING_DESC_F_WRITE : 0;

      if (i + 1 < n)
        flags |= VRING_DESC_F_NEXT;
      virtqueue_driver_set_descriptor (driver, index, segments[i].gpa, segments[i].size, flags,
                                       i + 1 < n ? driver->first_free : 0);
    }
  virtqueue_driver_make_available (driver, head);
  return head;
}

uint16_t
virtqueue_driver_add_indirect (VirtqueueDriver *driver, uint64_t table_gpa,
                               const DriverSegment *segments, unsigned n)
{
  /* The table is in the same memory as the ring: found from the ring's own place. */
  struct vring_desc *table =
      (struct vring_desc *) ((uint8_t *) driver->descriptors +
                             ((int64_t) table_gpa - (int64_t) driver->layout.descriptors));
  uint16_t head = take_free (driver);

  for (unsigned i = 0; i < n; i++)
    {
      uint16_t flags = segments[i].writable ? VRING_DESC_F_WRITE : 0;

      if (i + 1 < n)
        flags |= VRING_DESC_F_NEXT;
      table[i] = (struct vring_desc){
        .addr = GUINT64_TO_LE (segments[i].gpa),
        .len = GUINT32_TO_LE (segments[i].size),
        .flags = GUINT16_TO_LE (flags),
        .next = GUINT16_TO_LE (i + 1),
      };
    }
  virtqueue_driver_set_descriptor (driver, head, table_gpa, n * sizeof (struct vring_desc),
                                   VRING_DESC_F_INDIRECT, 0);
  virtqueue_driver_make_available (driver, head);
  return head;
}

bool
virtqueue_driver_must_kick (VirtqueueDriver *driver)
{
  uint16_t now = GUINT16_FROM_LE (driver->available->idx);
  uint16_t before = driver->kicked;

  driver->kicked = now;
  __atomic_thread_fence (__ATOMIC_SEQ_CST);
  if (driver->layout.event_idx)
    return vring_need_event (virtqueue_driver_get_available_event (driver), now, before);
  return now != before && !(GUINT16_FROM_LE (driver->used->flags) & VRING_USED_F_NO_NOTIFY);
}

bool
virtqueue_driver_take_used (VirtqueueDriver *driver, uint16_t *head, uint32_t *written)
{
  if (virtqueue_driver_get_used_index (driver) == driver->taken)
    return false;

  const struct vring_used_elem *entry = &driver->used->ring[driver->taken % driver->layout.size];
  uint32_t id = GUINT32_FROM_LE (entry->id);
  g_assert_cmpuint (id, <, driver->layout.size);
  if (head)
    *head = id;
  if (written)
    *written = GUINT32_FROM_LE (entry->len);
  driver->taken++;

  uint16_t index = id;
  for (;;)
    {
      const struct vring_desc *d = &driver->descriptors[index];
      bool more = (GUINT16_FROM_LE (d->flags) & VRING_DESC_F_NEXT) != 0;

      driver->next_free[index] = driver->first_free;
      driver->first_free = index;
      driver->n_free++;
      if (!more)
        return true;
      index = GUINT16_FROM_LE (d->next);
    }
}

void
virtqueue_driver_set_no_interrupt (VirtqueueDriver *driver, bool no_interrupt)
{
  driver->available->flags = GUINT16_TO_LE (no_interrupt ? VRING_AVAIL_F_NO_INTERRUPT : 0);
}

void
virtqueue_driver_set_used_event (VirtqueueDriver *driver, uint16_t event)
{
  driver->available->ring[driver->layout.size] = GUINT16_TO_LE (event);
}

uint16_t
virtqueue_driver_get_used_index (VirtqueueDriver *driver)
{
  return GUINT16_FROM_LE (__atomic_load_n (&driver->used->idx, __ATOMIC_ACQUIRE));
}

uint16_t
virtqueue_driver_get_available_event (VirtqueueDriver *driver)
{
  const uint16_t *event = (const uint16_t *) &driver->used->ring[driver->layout.size];

  return GUINT16_FROM_LE (*event);
}
