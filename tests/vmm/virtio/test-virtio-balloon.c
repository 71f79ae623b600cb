#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <linux/virtio_balloon.h>
#include <linux/virtio_config.h>

#include "changing-memory.h"
#include "virtio-driver.h"
#include "virtio/virtio-balloon.h"
#include "virtio/virtio-device-private.h"

#define RAM   (16u << 20)
#define LOW   (8u << 20) /* the rest is behind a hole */
#define HIGH  (32u << 20)
#define PAGE  4096u
#define CLEAN (4u << 20) /* the driver's rings are below */

enum
{
  QUEUE_INFLATE,
  QUEUE_DEFLATE,
  QUEUE_STATS,
  QUEUE_REPORT, /* where Linux looks for it */
};

typedef struct Fixture
{
  GuestMemory *memory;
  VirtioBalloon *balloon;
  VirtioDriver *driver;
  unsigned changes;
} Fixture;

static void
count_change (void *opaque)
{
  Fixture *f = opaque;

  f->changes++;
}

static void
setup_features (Fixture *f, uint64_t features)
{
  f->memory = guest_memory_new (RAM, LOW, HIGH, NULL);
  f->balloon = virtio_balloon_new (f->memory, count_change, f);
  f->driver = virtio_driver_new (virtio_balloon_get_device (f->balloon), f->memory, 0, features);
}

static void
setup (Fixture *f, gconstpointer data)
{
  setup_features (f, UINT64_MAX);
}

static void
setup_without_stats (Fixture *f, gconstpointer data)
{
  setup_features (f, ~(UINT64_C (1) << VIRTIO_BALLOON_F_STATS_VQ));
}

static void
teardown (Fixture *f, gconstpointer data)
{
  virtio_driver_free (f->driver);
  virtio_balloon_free (f->balloon);
  guest_memory_free (f->memory);
}

static bool
is_resident (Fixture *f, uint64_t gpa)
{
  unsigned char resident;

  g_assert_cmpint (mincore (guest_memory_map (f->memory, gpa, PAGE), PAGE, &resident), ==, 0);
  return resident & 1;
}

static void
fill (Fixture *f, uint64_t gpa, unsigned n)
{
  memset (guest_memory_map (f->memory, gpa, n * PAGE), 0x5a, n * PAGE);
}

static uint8_t
byte_at (Fixture *f, uint64_t gpa)
{
  uint8_t byte = 0;

  g_assert_true (guest_memory_read (f->memory, gpa, &byte, 1));
  return byte;
}

static void
inflate (Fixture *f, const uint32_t *pfns, unsigned n)
{
  virtio_driver_request (f->driver, QUEUE_INFLATE, pfns, n * sizeof *pfns, NULL, 0);
}

/* In the orders of allocators, behind the hole too; only what was named. */
static void
test_inflate (Fixture *f, gconstpointer data)
{
  const uint32_t base = CLEAN / PAGE, high = HIGH / PAGE;
  const uint32_t pfns[] = { base + 1, base + 2,  base + 3, base + 9,       base + 8,
                            base + 7, base + 20, high + 1, LOW / PAGE - 1, high + 1 };

  fill (f, CLEAN, 32);
  fill (f, LOW - PAGE, 1);
  fill (f, HIGH, 3);
  inflate (f, pfns, G_N_ELEMENTS (pfns));
  for (unsigned i = 0; i < 32; i++)
    {
      const bool given = (i >= 1 && i <= 3) || (i >= 7 && i <= 9) || i == 20;

      g_assert_cmpint (is_resident (f, CLEAN + i * PAGE), ==, !given);
      g_assert_cmphex (byte_at (f, CLEAN + i * PAGE), ==, given ? 0 : 0x5a);
    }
  g_assert_cmphex (byte_at (f, LOW - PAGE), ==, 0);
  g_assert_cmphex (byte_at (f, HIGH), ==, 0x5a);
  g_assert_cmphex (byte_at (f, HIGH + PAGE), ==, 0);
  g_assert_cmphex (byte_at (f, HIGH + 2 * PAGE), ==, 0x5a);
}

/* A page that comes back is the guest's as soon as it writes it. */
static void
test_deflate (Fixture *f, gconstpointer data)
{
  const uint32_t pfn = CLEAN / PAGE;

  fill (f, CLEAN, 1);
  inflate (f, &pfn, 1);
  virtio_driver_request (f->driver, QUEUE_DEFLATE, &pfn, sizeof pfn, NULL, 0);
  fill (f, CLEAN, 1);
  g_assert_cmphex (byte_at (f, CLEAN), ==, 0x5a);
  g_assert_true (is_resident (f, CLEAN));
}

/* Checklist 13: page numbers that overflow or lie in the hole or behind RAM, and odd sizes. */
static void
test_hostile_pfns (Fixture *f, gconstpointer data)
{
  const uint32_t hostile[] = {
    UINT32_MAX, 0x80000000, LOW / PAGE, HIGH / PAGE - 1, (HIGH + RAM - LOW) / PAGE, 0x100000
  };
  const uint32_t good = CLEAN / PAGE;

  fill (f, CLEAN, 1);
  for (unsigned i = 0; i < G_N_ELEMENTS (hostile); i++)
    {
      /* The first complaints of a source are logged. */
      if (i < 5)
        g_test_expect_message ("vmm-guest", G_LOG_LEVEL_WARNING, "*not RAM*");
      inflate (f, &hostile[i], 1);
    }
  g_test_assert_expected_messages ();
  g_assert_cmphex (byte_at (f, CLEAN), ==, 0x5a);
  virtio_driver_request (f->driver, QUEUE_INFLATE, &good, 3, NULL, 0);
  g_assert_cmphex (byte_at (f, CLEAN), ==, 0x5a);
  virtio_driver_request (f->driver, QUEUE_INFLATE, NULL, 0, &(uint32_t){ 0 }, 4);
  inflate (f, &good, 1);
  g_assert_cmphex (byte_at (f, CLEAN), ==, 0);
  g_assert_cmphex (virtio_driver_get_status (f->driver) & VIRTIO_CONFIG_S_NEEDS_RESET, ==, 0);
}

/* 2^20 page numbers in one request: the work is bounded, and the request answered. */
static void
test_too_many_pfns (Fixture *f, gconstpointer data)
{
  const uint32_t size = 4u << 20;
  uint32_t *pfns = guest_memory_map (f->memory, HIGH, size);
  const DriverSegment segment = { HIGH, size, false };

  fill (f, CLEAN, 1);
  for (unsigned i = 0; i < size / sizeof *pfns; i++)
    pfns[i] = HIGH / PAGE + 1024; /* never written: nothing to do */
  pfns[size / sizeof *pfns - 1] = CLEAN / PAGE;
  g_test_expect_message ("vmm-guest", G_LOG_LEVEL_WARNING, "*in one request*");
  virtqueue_driver_add (virtio_driver_get_queue (f->driver, QUEUE_INFLATE), &segment, 1);
  virtio_driver_kick (f->driver, QUEUE_INFLATE);
  virtio_driver_wait (f->driver, QUEUE_INFLATE, 1);
  g_test_assert_expected_messages ();
  g_assert_cmphex (byte_at (f, CLEAN), ==, 0x5a);
}

/* Many large requests at once: other work of the loop has its turn between them, and all are answered. */
static void
test_pages_of_a_turn (Fixture *f, gconstpointer data)
{
  static const uint64_t one = 1;
  const uint32_t n = 4096, requests = 12;
  uint32_t *pfns = guest_memory_map (f->memory, HIGH, n * sizeof *pfns);
  const DriverSegment segment = { HIGH, n * sizeof *pfns, false };
  VirtqueueDriver *ring = virtio_driver_get_queue (f->driver, QUEUE_INFLATE);

  for (unsigned i = 0; i < n; i++)
    pfns[i] = HIGH / PAGE + 1024 + i % 2 * 2; /* never two that follow each other */
  for (unsigned i = 0; i < requests; i++)
    virtqueue_driver_add (ring, &segment, 1);
  g_assert_cmpint (write (virtio_device_get_queue_eventfd (virtio_balloon_get_device (f->balloon),
                                                           QUEUE_INFLATE),
                          &one, sizeof one),
                   ==, sizeof one);
  for (unsigned turns = 1; virtqueue_driver_get_used_index (ring) < requests; turns++)
    {
      g_assert_true (g_main_context_iteration (NULL, FALSE));
      g_assert_cmpuint (virtqueue_driver_get_used_index (ring), <=, turns);
    }
}

static void
report (Fixture *f, unsigned queue, uint64_t gpa, uint32_t size)
{
  const DriverSegment segment = { gpa, size, true };
  VirtqueueDriver *ring = virtio_driver_get_queue (f->driver, queue);

  virtqueue_driver_add (ring, &segment, 1);
  virtio_driver_kick (f->driver, queue);
  g_assert_true (virtqueue_driver_take_used (ring, NULL, NULL));
}

/* Free pages are the buffers of the queue; parts of pages stay. */
static void
test_reporting (Fixture *f, gconstpointer data)
{
  fill (f, CLEAN, 8);
  report (f, QUEUE_REPORT, CLEAN + PAGE, 2 * PAGE);
  g_assert_cmphex (byte_at (f, CLEAN), ==, 0x5a);
  g_assert_false (is_resident (f, CLEAN + PAGE));
  g_assert_false (is_resident (f, CLEAN + 2 * PAGE));
  g_assert_cmphex (byte_at (f, CLEAN + 3 * PAGE), ==, 0x5a);
  report (f, QUEUE_REPORT, CLEAN + 4 * PAGE + 1, 2 * PAGE);
  g_assert_cmphex (byte_at (f, CLEAN + 4 * PAGE), ==, 0x5a);
  g_assert_false (is_resident (f, CLEAN + 5 * PAGE));
  g_assert_cmphex (byte_at (f, CLEAN + 6 * PAGE), ==, 0x5a);
  report (f, QUEUE_REPORT + 1, CLEAN, PAGE); /* where the specification has it */
  g_assert_false (is_resident (f, CLEAN));
}

/* Without statistics, reports are in the third queue for Linux. */
static void
test_reporting_without_stats (Fixture *f, gconstpointer data)
{
  fill (f, CLEAN, 1);
  report (f, QUEUE_STATS, CLEAN, PAGE);
  g_assert_false (is_resident (f, CLEAN));
}

/* A guest that checks for its pattern in free pages must find it. */
static void
test_poison (Fixture *f, gconstpointer data)
{
  const uint32_t poison = GUINT32_TO_LE (0xaaaaaaaa);

  fill (f, CLEAN, 1);
  virtio_driver_write_config (f->driver, offsetof (struct virtio_balloon_config, poison_val),
                              &poison, sizeof poison);
  report (f, QUEUE_REPORT, CLEAN, PAGE);
  g_assert_cmphex (byte_at (f, CLEAN), ==, 0x5a);
}

static uint32_t
read_target (Fixture *f)
{
  uint32_t pages;

  virtio_driver_read_config (f->driver, 0, &pages, sizeof pages);
  return GUINT32_FROM_LE (pages);
}

static void
test_target (Fixture *f, gconstpointer data)
{
  g_assert_cmpuint (read_target (f), ==, 0);
  virtio_balloon_set_target (f->balloon, 6u << 20);
  g_assert_cmpuint (read_target (f), ==, (10u << 20) / PAGE);
  g_assert_cmpuint (virtio_driver_get_config_interrupts (f->driver), ==, 1);
  virtio_balloon_set_target (f->balloon, UINT64_MAX);
  g_assert_cmpuint (read_target (f), ==, 0);
}

static void
write_actual (Fixture *f, uint32_t pages)
{
  const uint32_t value = GUINT32_TO_LE (pages);

  virtio_driver_write_config (f->driver, offsetof (struct virtio_balloon_config, actual), &value,
                              sizeof value);
}

/* What a guest says is told, the first time at once and later with gaps; more than all of it is all of it. */
static void
test_actual (Fixture *f, gconstpointer data)
{
  g_assert_cmpuint (virtio_balloon_get_actual (f->balloon), ==, RAM);
  write_actual (f, 1024);
  g_assert_cmpuint (virtio_balloon_get_actual (f->balloon), ==, 12u << 20);
  virtio_driver_run (f->driver);
  g_assert_cmpuint (f->changes, ==, 1);
  for (unsigned i = 0; i < 1000; i++)
    write_actual (f, UINT32_MAX - i);
  g_assert_cmpuint (virtio_balloon_get_actual (f->balloon), ==, 0);
  virtio_driver_run (f->driver);
  g_assert_cmpuint (f->changes, ==, 1); /* the rest is told in a second */
  virtio_driver_reset (f->driver);
  g_assert_cmpuint (virtio_balloon_get_actual (f->balloon), ==, RAM);
}

/* The target is the host's to set; it outlives a reset. */
static void
test_target_is_readonly (Fixture *f, gconstpointer data)
{
  const uint32_t ones = UINT32_MAX;

  virtio_balloon_set_target (f->balloon, 6u << 20);
  virtio_driver_write_config (f->driver, 0, &ones, sizeof ones);
  g_assert_cmpuint (read_target (f), ==, (10u << 20) / PAGE);
  virtio_driver_reset (f->driver);
  g_assert_cmpuint (read_target (f), ==, (10u << 20) / PAGE);
}

/* The buffer stays with the device until statistics are wanted. */
static void
test_stats (Fixture *f, gconstpointer data)
{
  const struct virtio_balloon_stat records[] = {
    { GUINT16_TO_LE (VIRTIO_BALLOON_S_MEMFREE), GUINT64_TO_LE (123456) },
    { GUINT16_TO_LE (999), GUINT64_TO_LE (1) },
    { GUINT16_TO_LE (VIRTIO_BALLOON_S_MEMTOT), GUINT64_TO_LE (UINT64_MAX) },
  };
  VirtqueueDriver *ring = virtio_driver_get_queue (f->driver, QUEUE_STATS);
  void *host;
  const DriverSegment segment = { virtio_driver_alloc (f->driver, PAGE, &host), sizeof records,
                                  false };
  BalloonStats stats;

  virtio_balloon_get_stats (f->balloon, &stats);
  g_assert_cmpint (stats.updated, ==, 0);
  memcpy (host, records, sizeof records);
  virtqueue_driver_add (ring, &segment, 1);
  virtio_driver_kick (f->driver, QUEUE_STATS);
  g_assert_cmpuint (virtqueue_driver_get_used_index (ring), ==, 0);
  virtio_balloon_get_stats (f->balloon, &stats);
  g_assert_cmpint (stats.values[BALLOON_STAT_FREE_MEMORY], ==, 123456);
  g_assert_cmpint (stats.values[BALLOON_STAT_TOTAL_MEMORY], ==, INT64_MAX);
  g_assert_cmpint (stats.values[BALLOON_STAT_SWAP_IN], ==, -1);
  g_assert_cmpint (stats.updated, >, 0);
  /* A second buffer: the first goes back. */
  virtqueue_driver_add (ring, &segment, 1);
  virtio_driver_kick (f->driver, QUEUE_STATS);
  g_assert_cmpuint (virtqueue_driver_get_used_index (ring), ==, 1);
  virtio_driver_reset (f->driver);
  virtio_balloon_get_stats (f->balloon, &stats);
  g_assert_cmpint (stats.updated, ==, 0);
}

/* What the device was told is gone as soon as it has read it: it goes by its copy. */
static void
setup_changing (Fixture *f, gconstpointer data)
{
  setup (f, data);
  changing_memory_begin ();
}

static void
teardown_changing (Fixture *f, gconstpointer data)
{
  g_assert_cmpuint (changing_memory_end (), >, 0);
  teardown (f, data);
}

#define ADD_CHANGING(name, data, func)                                                             \
  g_test_add ("/virtio-balloon/hostile-8-memory-changes/" name, Fixture, data, setup_changing,     \
              func, teardown_changing)

#define ADD(name, func) ADD_AFTER (name, func, setup)
#define ADD_AFTER(name, func, setup)                                                               \
  g_test_add ("/virtio-balloon/" name, Fixture, NULL, setup, func, teardown)

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  ADD ("inflate", test_inflate);
  ADD ("deflate", test_deflate);
  ADD ("hostile-13-pfns", test_hostile_pfns);
  ADD ("hostile-13-too-many-pfns", test_too_many_pfns);
  ADD ("hostile-13-pages-of-a-turn", test_pages_of_a_turn);
  ADD ("reporting", test_reporting);
  ADD_AFTER ("reporting-without-stats", test_reporting_without_stats, setup_without_stats);
  ADD ("poison", test_poison);
  ADD ("target", test_target);
  ADD ("target-is-readonly", test_target_is_readonly);
  ADD ("actual", test_actual);
  ADD ("stats", test_stats);
  ADD_CHANGING ("inflate", NULL, test_inflate);
  ADD_CHANGING ("too-many-pfns", NULL, test_too_many_pfns);
  ADD_CHANGING ("stats", NULL, test_stats);
  return g_test_run ();
}
