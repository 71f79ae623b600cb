#include <string.h>
#include <linux/virtio_ring.h>

#include "bus/guest-memory.h"
#include "virtio/virtqueue.h"
#include "changing-memory.h"
#include "virtqueue-driver.h"

#define MIB      UINT64_C (0x100000)
#define RING     UINT64_C (0x10000)
#define DATA     UINT64_C (0x100000)
#define TABLE    UINT64_C (0x80000)
#define RAM      (4 * MIB)
#define BEYOND   (64 * MIB)
#define SIZE     8
#define REQUESTS 300000 /* more than an index counts */

typedef struct Fixture
{
  GuestMemory *memory;
  VirtqueueDriver *driver;
  Virtqueue *queue;
  VirtqueueElement element;
} Fixture;

typedef struct Options
{
  bool event_idx;
  bool indirect;
} Options;

static const Options plain = { false, false };
static const Options modern = { true, true };

static void
setup (Fixture *f, gconstpointer data)
{
  const Options *options = data;
  g_autoptr (GError) error = NULL;

  f->memory = guest_memory_new (RAM, RAM, 8 * RAM, &error);
  g_assert_no_error (error);
  f->driver = virtqueue_driver_new (f->memory, RING, SIZE, options->event_idx, options->indirect);
  f->queue = virtqueue_new (f->memory, virtqueue_driver_get_layout (f->driver), &error);
  g_assert_no_error (error);
}

static void
teardown (Fixture *f, gconstpointer data)
{
  virtqueue_element_clear (&f->element);
  virtqueue_free (f->queue);
  virtqueue_driver_free (f->driver);
  guest_memory_free (f->memory);
}

static void
assert_broken (Fixture *f, const char *why)
{
  g_assert_false (virtqueue_pop (f->queue, &f->element));
  g_assert_true (virtqueue_is_broken (f->queue));
  g_assert_nonnull (strstr (virtqueue_get_fault (f->queue), why));
  /* For good, and silently. */
  g_assert_false (virtqueue_pop (f->queue, &f->element));
  virtqueue_push (f->queue, &f->element, 0);
  g_assert_cmpuint (virtqueue_driver_get_used_index (f->driver), ==, 0);
}

static void
test_chain (Fixture *f, gconstpointer data)
{
  const DriverSegment segments[] = {
    { DATA, 16, false },
    { DATA + 0x1000, 512, true },
    { DATA + 0x2000, 1, true },
  };
  uint16_t head = virtqueue_driver_add (f->driver, segments, 3);

  g_assert_true (virtqueue_pop (f->queue, &f->element));
  g_assert_cmpuint (f->element.head, ==, head);
  g_assert_cmpuint (f->element.n_out, ==, 1);
  g_assert_cmpuint (f->element.n_in, ==, 2);
  g_assert_cmpuint (f->element.out_bytes, ==, 16);
  g_assert_cmpuint (f->element.in_bytes, ==, 513);
  g_assert_true (f->element.in[1].iov_base == guest_memory_map (f->memory, DATA + 0x2000, 1));
  g_assert_false (virtqueue_pop (f->queue, &f->element));
  g_assert_false (virtqueue_is_broken (f->queue));

  f->element.head = head;
  virtqueue_push (f->queue, &f->element, 513);
  uint16_t used;
  uint32_t written;
  g_assert_true (virtqueue_driver_take_used (f->driver, &used, &written));
  g_assert_cmpuint (used, ==, head);
  g_assert_cmpuint (written, ==, 513);
}

static void
test_indirect (Fixture *f, gconstpointer data)
{
  DriverSegment segments[100];

  for (unsigned i = 0; i < 100; i++)
    segments[i] = (DriverSegment){ DATA + i * 0x1000, 4096, i >= 50 };
  virtqueue_driver_add_indirect (f->driver, TABLE, segments, 100);
  g_assert_true (virtqueue_pop (f->queue, &f->element));
  g_assert_cmpuint (f->element.n_out, ==, 50);
  g_assert_cmpuint (f->element.n_in, ==, 50);
  for (unsigned i = 0; i < 50; i++)
    g_assert_true (f->element.in[i].iov_base ==
                   guest_memory_map (f->memory, segments[50 + i].gpa, 1));
}

/* Every index wraps several times; nothing is lost, reordered or seen twice. */
static void
test_wrap (Fixture *f, gconstpointer data)
{
  for (unsigned i = 0; i < REQUESTS; i++)
    {
      const DriverSegment segment = { DATA + i % 4096, 1 + i % 100, i % 2 };
      uint16_t head = virtqueue_driver_add (f->driver, &segment, 1);
      uint16_t used;
      uint32_t written;

      g_assert_true (virtqueue_pop (f->queue, &f->element));
      g_assert_cmpuint (f->element.out_bytes + f->element.in_bytes, ==, segment.size);
      virtqueue_push (f->queue, &f->element, i);
      g_assert_true (virtqueue_driver_take_used (f->driver, &used, &written));
      g_assert_cmpuint (used, ==, head);
      g_assert_cmpuint (written, ==, i);
    }
}

static void
test_empty_buffer (Fixture *f, gconstpointer data)
{
  const DriverSegment segment = { BEYOND, 0, false };

  virtqueue_driver_add (f->driver, &segment, 1);
  g_assert_true (virtqueue_pop (f->queue, &f->element));
  g_assert_cmpuint (f->element.n_out + f->element.n_in, ==, 0);
}

static void
test_layout_refused (void)
{
  g_autoptr (GuestMemory) memory = guest_memory_new (RAM, RAM, 8 * RAM, NULL);
  const VirtqueueLayout good = {
    .size = 256, .descriptors = RING, .available = RING + 0x2000, .used = RING + 0x4000
  };
  const struct
  {
    const char *what;
    VirtqueueLayout layout;
  } bad[] = {
    { "size 0", { 0, RING, RING + 0x2000, RING + 0x4000 } },
    { "size not a power of two", { 255, RING, RING + 0x2000, RING + 0x4000 } },
    { "size too large", { 2048, RING, RING + 0x10000, RING + 0x20000 } },
    { "descriptors misaligned", { 256, RING + 8, RING + 0x2000, RING + 0x4000 } },
    { "available misaligned", { 256, RING, RING + 0x2001, RING + 0x4000 } },
    { "used misaligned", { 256, RING, RING + 0x2000, RING + 0x4002 } },
    { "descriptors reach out of RAM", { 256, RAM - 0xff0, RING, RING + 0x4000 } },
    { "available outside RAM", { 256, RING, BEYOND, RING + 0x4000 } },
    { "used reaches out of RAM", { 256, RING, RING + 0x2000, RAM - 2048 } },
    { "used wraps", { 256, RING, RING + 0x2000, UINT64_MAX - 3 } },
  };

  g_autoptr (Virtqueue) queue = virtqueue_new (memory, &good, NULL);
  g_assert_nonnull (queue);
  for (unsigned i = 0; i < G_N_ELEMENTS (bad); i++)
    {
      g_autoptr (GError) error = NULL;

      g_test_message ("%s", bad[i].what);
      g_assert_null (virtqueue_new (memory, &bad[i].layout, &error));
      g_assert_nonnull (error);
    }
}

static void
test_loop (Fixture *f, gconstpointer data)
{
  virtqueue_driver_set_descriptor (f->driver, 0, DATA, 1, VRING_DESC_F_NEXT, 1);
  virtqueue_driver_set_descriptor (f->driver, 1, DATA, 1, VRING_DESC_F_NEXT, 0);
  virtqueue_driver_make_available (f->driver, 0);
  assert_broken (f, "loop");
}

static void
test_loop_in_indirect (Fixture *f, gconstpointer data)
{
  struct vring_desc table[2] = {
    { GUINT64_TO_LE (DATA), GUINT32_TO_LE (1), GUINT16_TO_LE (VRING_DESC_F_NEXT),
      GUINT16_TO_LE (1) },
    { GUINT64_TO_LE (DATA), GUINT32_TO_LE (1), GUINT16_TO_LE (VRING_DESC_F_NEXT),
      GUINT16_TO_LE (0) },
  };

  g_assert_true (guest_memory_write (f->memory, TABLE, table, sizeof table));
  virtqueue_driver_set_descriptor (f->driver, 0, TABLE, sizeof table, VRING_DESC_F_INDIRECT, 0);
  virtqueue_driver_make_available (f->driver, 0);
  assert_broken (f, "loop");
}

static void
test_nested_indirect (Fixture *f, gconstpointer data)
{
  struct vring_desc table = { GUINT64_TO_LE (TABLE), GUINT32_TO_LE (16),
                              GUINT16_TO_LE (VRING_DESC_F_INDIRECT), 0 };

  g_assert_true (guest_memory_write (f->memory, TABLE, &table, sizeof table));
  virtqueue_driver_set_descriptor (f->driver, 0, TABLE, 16, VRING_DESC_F_INDIRECT, 0);
  virtqueue_driver_make_available (f->driver, 0);
  assert_broken (f, "inside another");
}

static void
test_indirect_bounds (Fixture *f, gconstpointer data)
{
  const struct
  {
    uint64_t gpa;
    uint32_t length;
    uint16_t flags;
  } bad[] = {
    { TABLE, 0, 0 },
    { TABLE, 15, 0 },
    { TABLE, 17, 0 },
    { TABLE, 16 * (VIRTQUEUE_MAX_SIZE + 1), 0 },
    { TABLE, UINT32_MAX & ~15u, 0 },
    { RAM - 8, 16, 0 },
    { UINT64_MAX - 8, 16, 0 },
    { TABLE, 16, VRING_DESC_F_NEXT },
  };

  for (unsigned i = 0; i < G_N_ELEMENTS (bad); i++)
    {
      g_autoptr (Virtqueue) queue =
          virtqueue_new (f->memory, virtqueue_driver_get_layout (f->driver), NULL);

      virtqueue_driver_set_descriptor (f->driver, 0, bad[i].gpa, bad[i].length,
                                       VRING_DESC_F_INDIRECT | bad[i].flags, 1);
      virtqueue_driver_set_available (f->driver, 0, 0);
      virtqueue_driver_set_available_index (f->driver, 1);
      g_test_message ("length %u at 0x%" G_GINT64_MODIFIER "x", bad[i].length, bad[i].gpa);
      g_assert_false (virtqueue_pop (queue, &f->element));
      g_assert_true (virtqueue_is_broken (queue));
    }
}

static void
test_indirect_not_negotiated (Fixture *f, gconstpointer data)
{
  const DriverSegment segment = { DATA, 1, false };

  virtqueue_driver_add_indirect (f->driver, TABLE, &segment, 1);
  assert_broken (f, "not negotiated");
}

/* 1024 descriptors in the table behind 7 in the ring: longer than anything that may be. */
static void
test_chain_too_long (Fixture *f, gconstpointer data)
{
  DriverSegment segments[VIRTQUEUE_MAX_SIZE];

  for (unsigned i = 0; i < VIRTQUEUE_MAX_SIZE; i++)
    segments[i] = (DriverSegment){ DATA, 1, false };
  for (unsigned i = 1; i < SIZE; i++)
    virtqueue_driver_set_descriptor (f->driver, i, DATA, 1, VRING_DESC_F_NEXT, (i + 1) % SIZE);
  virtqueue_driver_add_indirect (f->driver, TABLE, segments, VIRTQUEUE_MAX_SIZE);
  g_assert_true (virtqueue_pop (f->queue, &f->element));
  g_assert_cmpuint (f->element.out_bytes, ==, VIRTQUEUE_MAX_SIZE);
  virtqueue_driver_make_available (f->driver, 1);
  assert_broken (f, "too long");
}

static void
test_length_overflow (Fixture *f, gconstpointer data)
{
  const DriverSegment segment = { DATA, UINT32_MAX, false };

  virtqueue_driver_add (f->driver, &segment, 1);
  assert_broken (f, "outside RAM");
}

static void
test_address_wraps (Fixture *f, gconstpointer data)
{
  const DriverSegment segment = { UINT64_MAX - 10, 100, true };

  virtqueue_driver_add (f->driver, &segment, 1);
  assert_broken (f, "outside RAM");
}

/* Only RAM is memory to a device: no buffer and no table of descriptors of its can be registers, its own included. */
static void
test_buffer_is_registers (Fixture *f, gconstpointer data)
{
  const DriverSegment segment = { UINT64_C (0xfe000000), 16, true };

  virtqueue_driver_add (f->driver, &segment, 1);
  assert_broken (f, "outside RAM");
}

/* --- memory that changes while it is read --- */

typedef struct Flipper
{
  GuestMemory *memory;
  bool stop;
  unsigned rounds; /* of flips */
} Flipper;

static unsigned
pick (uint64_t *random, unsigned n)
{
  *random ^= *random << 13;
  *random ^= *random >> 7;
  *random ^= *random << 17;
  return (*random >> 32) % n;
}

/* Descriptors of the ring and of the table, from what is good to what is not and back, as quickly as it goes. */
static void *
flip (void *opaque)
{
  static const uint64_t addresses[] = { DATA, DATA, TABLE, TABLE, RAM - 8, RAM - 4096, BEYOND };
  static const uint32_t lengths[] = { 1, 16, 32, 128, 4096, 0, UINT32_MAX };
  static const uint16_t flags[] = { 0,
                                    VRING_DESC_F_NEXT,
                                    VRING_DESC_F_NEXT,
                                    VRING_DESC_F_WRITE,
                                    VRING_DESC_F_NEXT | VRING_DESC_F_WRITE,
                                    VRING_DESC_F_INDIRECT };
  static const uint16_t nexts[] = { 0, 1, 2, 3, 7, SIZE };
  Flipper *flipper = opaque;
  struct vring_desc *tables[] = { guest_memory_map (flipper->memory, RING, 1),
                                  guest_memory_map (flipper->memory, TABLE, 1) };
  uint64_t random = 88172645463325252;

  while (!__atomic_load_n (&flipper->stop, __ATOMIC_RELAXED))
    {
      struct vring_desc *d = &tables[pick (&random, 2)][pick (&random, SIZE)];
      const uint64_t address = addresses[pick (&random, G_N_ELEMENTS (addresses))];
      const uint32_t length = lengths[pick (&random, G_N_ELEMENTS (lengths))];
      const uint16_t flag = flags[pick (&random, G_N_ELEMENTS (flags))];
      const uint16_t next = nexts[pick (&random, G_N_ELEMENTS (nexts))];

      __atomic_store_n (&d->addr, GUINT64_TO_LE (address), __ATOMIC_RELAXED);
      __atomic_store_n (&d->len, GUINT32_TO_LE (length), __ATOMIC_RELAXED);
      __atomic_store_n (&d->flags, GUINT16_TO_LE (flag), __ATOMIC_RELAXED);
      __atomic_store_n (&d->next, GUINT16_TO_LE (next), __ATOMIC_RELAXED);
      __atomic_add_fetch (&flipper->rounds, 1, __ATOMIC_RELAXED);
    }
  return NULL;
}

static size_t
assert_inside (const Fixture *f, const struct iovec *iov, unsigned n)
{
  const uint8_t *ram = guest_memory_map (f->memory, 0, RAM);
  size_t sum = 0;

  for (unsigned i = 0; i < n; i++)
    {
      const uint8_t *start = iov[i].iov_base;

      g_assert_true (start >= ram && start < ram + RAM);
      g_assert_cmpuint (iov[i].iov_len, <=, (size_t) (ram + RAM - start));
      sum += iov[i].iov_len;
    }
  return sum;
}

/* Whatever a descriptor said when it was looked at, what comes of it is in RAM and as long as the element says. */
static void
test_memory_changes (Fixture *f, gconstpointer data)
{
  const VirtqueueLayout *layout = virtqueue_driver_get_layout (f->driver);
  Flipper flipper = { .memory = f->memory };
  GThread *thread = g_thread_new ("flip", flip, &flipper);
  unsigned popped = 0, broken = 0;

  for (unsigned i = 0; popped < 200000 || broken < 2000 ||
                       __atomic_load_n (&flipper.rounds, __ATOMIC_RELAXED) < 1000000;
       i++)
    {
      virtqueue_driver_make_available (f->driver, i % SIZE);
      if (virtqueue_pop (f->queue, &f->element))
        {
          g_assert_cmpuint (assert_inside (f, f->element.out, f->element.n_out), ==,
                            f->element.out_bytes);
          g_assert_cmpuint (assert_inside (f, f->element.in, f->element.n_in), ==,
                            f->element.in_bytes);
          virtqueue_push (f->queue, &f->element, 0);
          popped++;
          continue;
        }
      g_assert_true (virtqueue_is_broken (f->queue));
      broken++;
      virtqueue_free (f->queue);
      virtqueue_driver_set_available_index (f->driver, 0);
      f->queue = virtqueue_new (f->memory, layout, NULL);
      g_assert_nonnull (f->queue);
    }
  __atomic_store_n (&flipper.stop, true, __ATOMIC_RELAXED);
  g_thread_join (thread);
}

static void
test_wrong_direction (Fixture *f, gconstpointer data)
{
  const DriverSegment segments[] = { { DATA, 16, true }, { DATA + 16, 16, false } };

  virtqueue_driver_add (f->driver, segments, 2);
  assert_broken (f, "readable descriptor after");
}

static void
test_head_beyond_queue (Fixture *f, gconstpointer data)
{
  virtqueue_driver_make_available (f->driver, SIZE);
  assert_broken (f, "beyond the queue");
}

static void
test_next_beyond_queue (Fixture *f, gconstpointer data)
{
  virtqueue_driver_set_descriptor (f->driver, 0, DATA, 1, VRING_DESC_F_NEXT, SIZE);
  virtqueue_driver_make_available (f->driver, 0);
  assert_broken (f, "beyond the queue");
}

static void
test_available_index_jumps (Fixture *f, gconstpointer data)
{
  virtqueue_driver_set_available_index (f->driver, SIZE + 1);
  assert_broken (f, "jumps");
}

/* One descriptor made available again and again while its request is not returned. */
static void
test_in_flight_bound (Fixture *f, gconstpointer data)
{
  virtqueue_driver_set_descriptor (f->driver, 0, DATA, 1, 0, 0);
  for (unsigned i = 0; i < SIZE; i++)
    {
      virtqueue_driver_make_available (f->driver, 0);
      g_assert_true (virtqueue_pop (f->queue, &f->element));
    }
  virtqueue_driver_make_available (f->driver, 0);
  assert_broken (f, "in flight");
}

static void
test_interrupt_flag (Fixture *f, gconstpointer data)
{
  const DriverSegment segment = { DATA, 1, true };

  g_assert_false (virtqueue_must_interrupt (f->queue));
  for (unsigned quiet = 0; quiet < 2; quiet++)
    {
      virtqueue_driver_set_no_interrupt (f->driver, quiet);
      virtqueue_driver_add (f->driver, &segment, 1);
      g_assert_true (virtqueue_pop (f->queue, &f->element));
      virtqueue_push (f->queue, &f->element, 1);
      g_assert_cmpint (virtqueue_must_interrupt (f->queue), ==, !quiet);
      g_assert_false (virtqueue_must_interrupt (f->queue));
    }
}

/* One interrupt when the fourth is used, none before and none after. */
static void
test_interrupt_event (Fixture *f, gconstpointer data)
{
  const DriverSegment segment = { DATA, 1, true };

  virtqueue_driver_set_used_event (f->driver, 3);
  for (unsigned i = 0; i < 7; i++)
    {
      virtqueue_driver_add (f->driver, &segment, 1);
      g_assert_true (virtqueue_pop (f->queue, &f->element));
      virtqueue_push (f->queue, &f->element, 1);
      g_assert_cmpint (virtqueue_must_interrupt (f->queue), ==, i == 3);
    }
}

/* A batch is one interrupt. */
static void
test_interrupt_batch (Fixture *f, gconstpointer data)
{
  const DriverSegment segment = { DATA, 1, true };

  virtqueue_driver_set_used_event (f->driver, 2);
  for (unsigned i = 0; i < 6; i++)
    virtqueue_driver_add (f->driver, &segment, 1);
  while (virtqueue_pop (f->queue, &f->element))
    virtqueue_push (f->queue, &f->element, 1);
  g_assert_true (virtqueue_must_interrupt (f->queue));
  g_assert_false (virtqueue_must_interrupt (f->queue));
}

/* The driver kicks once a batch: the device asks again only when it has found the ring empty. */
static void
test_notification (Fixture *f, gconstpointer data)
{
  const DriverSegment segment = { DATA, 1, false };

  virtqueue_driver_add (f->driver, &segment, 1);
  g_assert_true (virtqueue_driver_must_kick (f->driver));
  if (virtqueue_driver_get_layout (f->driver)->event_idx)
    {
      virtqueue_driver_add (f->driver, &segment, 1);
      g_assert_false (virtqueue_driver_must_kick (f->driver));
    }
  while (virtqueue_pop (f->queue, &f->element))
    virtqueue_push (f->queue, &f->element, 0);
  virtqueue_driver_add (f->driver, &segment, 1);
  g_assert_true (virtqueue_driver_must_kick (f->driver));
}

static void
test_notification_off (Fixture *f, gconstpointer data)
{
  const DriverSegment segment = { DATA, 1, false };

  virtqueue_driver_add (f->driver, &segment, 1);
  g_assert_true (virtqueue_driver_must_kick (f->driver));
  virtqueue_set_notification (f->queue, false);
  g_assert_true (virtqueue_pop (f->queue, &f->element));
  g_assert_false (virtqueue_pop (f->queue, &f->element));
  virtqueue_driver_add (f->driver, &segment, 1);
  g_assert_false (virtqueue_driver_must_kick (f->driver));
  /* What came while off is found by the pop that follows. */
  virtqueue_set_notification (f->queue, true);
  g_assert_true (virtqueue_pop (f->queue, &f->element));
  g_assert_false (virtqueue_pop (f->queue, &f->element));
  virtqueue_driver_add (f->driver, &segment, 1);
  g_assert_true (virtqueue_driver_must_kick (f->driver));
}

static void
test_move (Fixture *f, gconstpointer data)
{
  const DriverSegment segment = { DATA, 77, false };
  VirtqueueElement kept = { 0 };

  virtqueue_driver_add (f->driver, &segment, 1);
  virtqueue_driver_add (f->driver, &segment, 1);
  g_assert_true (virtqueue_pop (f->queue, &f->element));
  virtqueue_element_move (&kept, &f->element);
  g_assert_null (f->element.storage);
  g_assert_true (virtqueue_pop (f->queue, &f->element));
  g_assert_cmpuint (kept.out[0].iov_len, ==, 77);
  g_assert_cmpuint (kept.head, !=, f->element.head);
  virtqueue_element_clear (&kept);
}

/* The indirect table is gone as soon as it has been read: what comes of it is of the copy. */
static void
test_indirect_table_changes (Fixture *f, gconstpointer data)
{
  changing_memory_begin ();
  test_indirect (f, data);
  g_assert_cmpuint (changing_memory_end (), >, 0);
}

#define ADD(name, options, func)                                                                   \
  g_test_add ("/virtqueue/" name, Fixture, &options, setup, func, teardown)

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/virtqueue/hostile-2-layout-refused", test_layout_refused);
  ADD ("chain", plain, test_chain);
  ADD ("indirect", modern, test_indirect);
  ADD ("wrap", plain, test_wrap);
  ADD ("wrap-event-idx", modern, test_wrap);
  ADD ("empty-buffer", plain, test_empty_buffer);
  ADD ("hostile-3-loop", plain, test_loop);
  ADD ("hostile-3-loop-in-indirect", modern, test_loop_in_indirect);
  ADD ("hostile-3-nested-indirect", modern, test_nested_indirect);
  ADD ("hostile-3-indirect-bounds", modern, test_indirect_bounds);
  ADD ("hostile-3-indirect-not-negotiated", plain, test_indirect_not_negotiated);
  ADD ("hostile-3-chain-too-long", modern, test_chain_too_long);
  ADD ("hostile-3-length-overflow", plain, test_length_overflow);
  ADD ("hostile-3-address-wraps", plain, test_address_wraps);
  ADD ("hostile-6-buffer-is-registers", plain, test_buffer_is_registers);
  ADD ("hostile-8-memory-changes", modern, test_memory_changes);
  ADD ("hostile-8-indirect-table-changes", modern, test_indirect_table_changes);
  ADD ("hostile-3-wrong-direction", plain, test_wrong_direction);
  ADD ("hostile-3-head-beyond-queue", plain, test_head_beyond_queue);
  ADD ("hostile-3-next-beyond-queue", plain, test_next_beyond_queue);
  ADD ("hostile-10-available-index-jumps", plain, test_available_index_jumps);
  ADD ("hostile-9-in-flight-bound", plain, test_in_flight_bound);
  ADD ("interrupt-flag", plain, test_interrupt_flag);
  ADD ("interrupt-event", modern, test_interrupt_event);
  ADD ("interrupt-batch", modern, test_interrupt_batch);
  ADD ("notification", plain, test_notification);
  ADD ("notification-event", modern, test_notification);
  ADD ("notification-off", plain, test_notification_off);
  ADD ("notification-off-event", modern, test_notification_off);
  ADD ("move", plain, test_move);
  return g_test_run ();
}
