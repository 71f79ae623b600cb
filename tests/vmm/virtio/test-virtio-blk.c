#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>
#include <glib/gstdio.h>
#include <linux/virtio_blk.h>
#include <linux/virtio_config.h>
#include <sys/stat.h>

#include "block-calls.h"
#include "changing-memory.h"
#include "virtio-driver.h"
#include "block/block-raw.h"
#include "virtio/virtio-blk.h"
#include "virtio/virtio-device-private.h"

#define RAM     (16u << 20)
#define IMAGE   (1u << 20)
#define SECTORS (IMAGE / 512)
#define QUEUES  2

typedef struct Options
{
  bool readonly;
  uint64_t features;
  bool no_ring;
} Options;

static const Options writable = { false, UINT64_MAX };
static const Options readonly = { true, UINT64_MAX };
static const Options readonly_not_negotiated = { true, ~(UINT64_C (1) << VIRTIO_BLK_F_RO) };
static const Options no_ring = { false, UINT64_MAX, true };
static const Options no_flush = { false, ~(UINT64_C (1) << VIRTIO_BLK_F_FLUSH) };

typedef struct Fixture
{
  char *folder;
  char *path;
  GuestMemory *memory;
  VirtioBlk *blk;
  VirtioDriver *driver;
  unsigned n_no_room;
} Fixture;

static uint8_t
pattern (uint64_t offset)
{
  return (offset >> 9) * 7 + offset;
}

static void
make_image (Fixture *f)
{
  g_autofree uint8_t *bytes = g_malloc (IMAGE);

  f->folder = g_dir_make_tmp ("alcove-blk-XXXXXX", NULL);
  f->path = g_build_filename (f->folder, "disk.raw", NULL);
  for (unsigned i = 0; i < IMAGE; i++)
    bytes[i] = pattern (i);
  g_assert_true (g_file_set_contents (f->path, (const char *) bytes, IMAGE, NULL));
}

static void
on_no_room (void *opaque, int code)
{
  Fixture *f = opaque;

  g_assert_cmpint (code, ==, ENOSPC);
  f->n_no_room++;
}

static void
setup (Fixture *f, gconstpointer data)
{
  const Options *options = data;
  g_autoptr (GError) error = NULL;

  make_image (f);
  block_calls = (BlockCalls){ .no_ring = options->no_ring };
  VirtioBlkConfig config = {
    .readonly = options->readonly,
    .serial = "alcove-0001",
    .n_queues = QUEUES,
    .no_room = on_no_room,
    .opaque = f,
  };
  f->memory = guest_memory_new (RAM, RAM, 2 * RAM, NULL);
  block_raw_open_backend (f->path, options->readonly, &config.backend, &error);
  g_assert_no_error (error);
  f->blk = virtio_blk_new (&config, f->memory, g_main_context_default ());
  f->driver = virtio_driver_new (virtio_blk_get_device (f->blk), f->memory, 0, options->features);
}

static void
teardown (Fixture *f, gconstpointer data)
{
  virtio_driver_free (f->driver);
  virtio_blk_free (f->blk);
  guest_memory_free (f->memory);
  g_unlink (f->path);
  g_rmdir (f->folder);
  g_free (f->path);
  g_free (f->folder);
}

/* One request with its data in several pieces; returns the status. *written: as in the used ring. */
static uint8_t
request (Fixture *f, unsigned queue, uint32_t type, uint64_t sector, void *data, uint32_t size,
         bool to_guest, uint32_t *written)
{
  VirtqueueDriver *ring = virtio_driver_get_queue (f->driver, queue);
  struct virtio_blk_outhdr *header;
  uint8_t *buffer, *status;
  DriverSegment segments[4];
  unsigned n = 0;
  uint16_t used = virtqueue_driver_get_used_index (ring);

  segments[n++] =
      (DriverSegment){ virtio_driver_alloc (f->driver, sizeof *header, (void **) &header),
                       sizeof *header, false };
  *header =
      (struct virtio_blk_outhdr){ .type = GUINT32_TO_LE (type), .sector = GUINT64_TO_LE (sector) };
  uint64_t gpa = virtio_driver_alloc (f->driver, MAX (size, 1), (void **) &buffer);
  if (size > 0 && !to_guest)
    memcpy (buffer, data, size);
  /* Two pieces where there is enough. */
  const uint32_t first = size > 512 ? 512 : size;
  if (first > 0)
    segments[n++] = (DriverSegment){ gpa, first, to_guest };
  if (size > first)
    segments[n++] = (DriverSegment){ gpa + first, size - first, to_guest };
  segments[n++] = (DriverSegment){ virtio_driver_alloc (f->driver, 1, (void **) &status), 1, true };
  *status = 0xee;
  virtqueue_driver_add (ring, segments, n);
  virtio_driver_kick (f->driver, queue);
  virtio_driver_wait (f->driver, queue, used + 1);
  uint32_t got;
  g_assert_true (virtqueue_driver_take_used (ring, NULL, &got));
  if (written)
    *written = got;
  if (size > 0 && to_guest)
    memcpy (data, buffer, size);
  return *status;
}

static void
read_file (Fixture *f, uint64_t offset, void *buffer, size_t size)
{
  int fd = open (f->path, O_RDONLY | O_CLOEXEC);

  g_assert_cmpint (pread (fd, buffer, size, offset), ==, size);
  close (fd);
}

static void
assert_pattern (const uint8_t *bytes, uint64_t offset, size_t size)
{
  for (size_t i = 0; i < size; i++)
    if (bytes[i] != pattern (offset + i))
      g_error ("byte %" G_GSIZE_FORMAT " is wrong", i);
}

static void
test_read (Fixture *f, gconstpointer data)
{
  uint8_t bytes[8192];
  uint32_t written;

  for (unsigned queue = 0; queue < QUEUES; queue++)
    {
      g_assert_cmpuint (request (f, queue, VIRTIO_BLK_T_IN, 3, bytes, sizeof bytes, true, &written),
                        ==, VIRTIO_BLK_S_OK);
      g_assert_cmpuint (written, ==, sizeof bytes + 1);
      assert_pattern (bytes, 3 * 512, sizeof bytes);
    }
}

static void
test_write_and_flush (Fixture *f, gconstpointer data)
{
  uint8_t bytes[4096], back[4096], before[512];
  uint32_t written;

  memset (bytes, 0x5a, sizeof bytes);
  g_assert_cmpuint (request (f, 0, VIRTIO_BLK_T_OUT, 8, bytes, sizeof bytes, false, &written), ==,
                    VIRTIO_BLK_S_OK);
  g_assert_cmpuint (written, ==, 1);
  g_assert_cmpuint (request (f, 1, VIRTIO_BLK_T_FLUSH, 0, NULL, 0, false, NULL), ==,
                    VIRTIO_BLK_S_OK);
  read_file (f, 8 * 512, back, sizeof back);
  g_assert_cmpmem (back, sizeof back, bytes, sizeof bytes);
  read_file (f, 7 * 512, before, sizeof before);
  assert_pattern (before, 7 * 512, sizeof before);
  g_assert_cmpuint (request (f, 1, VIRTIO_BLK_T_IN, 8, back, sizeof back, true, NULL), ==,
                    VIRTIO_BLK_S_OK);
  g_assert_cmpmem (back, sizeof back, bytes, sizeof bytes);
}

/* Pieces at odd addresses of guest memory: no direct I/O, the same bytes. */
static void
test_unaligned_memory (Fixture *f, gconstpointer data)
{
  VirtqueueDriver *ring = virtio_driver_get_queue (f->driver, 0);
  uint8_t *area;
  uint64_t gpa = virtio_driver_alloc (f->driver, 4096, (void **) &area);
  const struct virtio_blk_outhdr header = { .type = GUINT32_TO_LE (VIRTIO_BLK_T_IN),
                                            .sector = GUINT64_TO_LE (5) };
  const DriverSegment segments[] = {
    { gpa, 16, false },
    { gpa + 101, 300, true },
    { gpa + 1003, 212, true },
    { gpa + 3001, 513, true }, /* its last byte is the status */
  };

  memcpy (area, &header, sizeof header);
  virtqueue_driver_add (ring, segments, 4);
  virtio_driver_kick (f->driver, 0);
  virtio_driver_wait (f->driver, 0, 1);
  g_assert_cmpuint (area[3001 + 512], ==, VIRTIO_BLK_S_OK);
  assert_pattern (area + 101, 5 * 512, 300);
  assert_pattern (area + 1003, 5 * 512 + 300, 212);
  assert_pattern (area + 3001, 6 * 512, 512);
}

static void
test_discard (Fixture *f, gconstpointer data)
{
  struct virtio_blk_discard_write_zeroes range = { .sector = GUINT64_TO_LE (16),
                                                   .num_sectors = GUINT32_TO_LE (256) };
  struct stat before, after;

  g_assert_cmpint (stat (f->path, &before), ==, 0);
  g_assert_cmpuint (request (f, 0, VIRTIO_BLK_T_DISCARD, 0, &range, sizeof range, false, NULL), ==,
                    VIRTIO_BLK_S_OK);
  g_assert_cmpint (stat (f->path, &after), ==, 0);
  g_assert_cmpint (after.st_size, ==, before.st_size);
  g_assert_cmpint (after.st_blocks, <=, before.st_blocks);
}

static void
test_write_zeroes (Fixture *f, gconstpointer data)
{
  for (unsigned unmap = 0; unmap < 2; unmap++)
    {
      struct virtio_blk_discard_write_zeroes range = {
        .sector = GUINT64_TO_LE (10 + 100 * unmap),
        .num_sectors = GUINT32_TO_LE (33),
        .flags = GUINT32_TO_LE (unmap ? VIRTIO_BLK_WRITE_ZEROES_FLAG_UNMAP : 0),
      };
      uint8_t bytes[35 * 512];

      g_assert_cmpuint (
          request (f, 0, VIRTIO_BLK_T_WRITE_ZEROES, 0, &range, sizeof range, false, NULL), ==,
          VIRTIO_BLK_S_OK);
      read_file (f, (9 + 100 * unmap) * 512, bytes, sizeof bytes);
      assert_pattern (bytes, (9 + 100 * unmap) * 512, 512);
      for (unsigned i = 512; i < 34 * 512; i++)
        g_assert_cmpuint (bytes[i], ==, 0);
      assert_pattern (bytes + 34 * 512, (43 + 100 * unmap) * 512, 512);
    }
}

static void
test_discard_counts (Fixture *f, gconstpointer data)
{
  const struct
  {
    uint64_t sector;
    uint32_t n_sectors;
    uint32_t flags;
    uint32_t type;
    uint8_t status;
  } cases[] = {
    { 0, 0, 0, VIRTIO_BLK_T_DISCARD, VIRTIO_BLK_S_OK },
    { SECTORS, 1, 0, VIRTIO_BLK_T_DISCARD, VIRTIO_BLK_S_IOERR },
    { SECTORS - 1, 2, 0, VIRTIO_BLK_T_WRITE_ZEROES, VIRTIO_BLK_S_IOERR },
    { UINT64_MAX, 2, 0, VIRTIO_BLK_T_WRITE_ZEROES, VIRTIO_BLK_S_IOERR },
    { 1, UINT32_MAX, 0, VIRTIO_BLK_T_DISCARD, VIRTIO_BLK_S_IOERR },
    { 1, 1, 1, VIRTIO_BLK_T_DISCARD, VIRTIO_BLK_S_UNSUPP },
    { 1, 1, 2, VIRTIO_BLK_T_WRITE_ZEROES, VIRTIO_BLK_S_UNSUPP },
  };

  for (unsigned i = 0; i < G_N_ELEMENTS (cases); i++)
    {
      struct virtio_blk_discard_write_zeroes range[2] = {
        { .sector = GUINT64_TO_LE (cases[i].sector),
          .num_sectors = GUINT32_TO_LE (cases[i].n_sectors),
          .flags = GUINT32_TO_LE (cases[i].flags) },
      };

      g_assert_cmpuint (request (f, 0, cases[i].type, 0, range, 16, false, NULL), ==,
                        cases[i].status);
      /* One range a request; neither two nor part of one. */
      g_assert_cmpuint (request (f, 0, cases[i].type, 0, range, 32, false, NULL), ==,
                        VIRTIO_BLK_S_IOERR);
      g_assert_cmpuint (request (f, 0, cases[i].type, 0, range, 15, false, NULL), ==,
                        VIRTIO_BLK_S_IOERR);
    }
}

static void
test_sector_overflow (Fixture *f, gconstpointer data)
{
  static const uint64_t bad[] = { SECTORS,          SECTORS - 1,          UINT64_MAX,
                                  UINT64_MAX / 512, UINT64_MAX / 512 + 1, UINT64_C (1) << 55 };
  uint8_t bytes[1024] = { 0 };
  uint32_t written;

  for (unsigned i = 0; i < G_N_ELEMENTS (bad); i++)
    {
      g_assert_cmpuint (request (f, 0, VIRTIO_BLK_T_OUT, bad[i], bytes, 1024, false, NULL), ==,
                        VIRTIO_BLK_S_IOERR);
      g_assert_cmpuint (request (f, 0, VIRTIO_BLK_T_IN, bad[i], bytes, 1024, true, &written), ==,
                        VIRTIO_BLK_S_IOERR);
      g_assert_cmpuint (written, ==, 1);
    }
  g_assert_cmpuint (request (f, 0, VIRTIO_BLK_T_IN, SECTORS - 2, bytes, 1024, true, NULL), ==,
                    VIRTIO_BLK_S_OK);
  assert_pattern (bytes, IMAGE - 1024, 1024);
  struct stat st;
  g_assert_cmpint (stat (f->path, &st), ==, 0);
  g_assert_cmpint (st.st_size, ==, IMAGE);
}

static void
test_size_not_of_sectors (Fixture *f, gconstpointer data)
{
  uint8_t bytes[700];

  g_assert_cmpuint (request (f, 0, VIRTIO_BLK_T_IN, 0, bytes, 511, true, NULL), ==,
                    VIRTIO_BLK_S_IOERR);
  g_assert_cmpuint (request (f, 0, VIRTIO_BLK_T_IN, 0, bytes, 700, true, NULL), ==,
                    VIRTIO_BLK_S_IOERR);
  g_assert_cmpuint (request (f, 0, VIRTIO_BLK_T_IN, 0, NULL, 0, true, NULL), ==, VIRTIO_BLK_S_OK);
}

static void
test_unknown_type (Fixture *f, gconstpointer data)
{
  uint8_t bytes[512];

  g_assert_cmpuint (request (f, 0, 0xdead, 0, bytes, 512, true, NULL), ==, VIRTIO_BLK_S_UNSUPP);
}

static void
test_serial (Fixture *f, gconstpointer data)
{
  char serial[VIRTIO_BLK_ID_BYTES + 1] = "";
  uint32_t written;

  g_assert_cmpuint (
      request (f, 0, VIRTIO_BLK_T_GET_ID, 0, serial, VIRTIO_BLK_ID_BYTES, true, &written), ==,
      VIRTIO_BLK_S_OK);
  g_assert_cmpstr (serial, ==, "alcove-0001");
  g_assert_cmpuint (written, ==, VIRTIO_BLK_ID_BYTES + 1);
}

/* Also when the driver did not take F_RO. */
static void
test_readonly (Fixture *f, gconstpointer data)
{
  uint8_t bytes[512], back[512];
  struct virtio_blk_discard_write_zeroes range = { .num_sectors = GUINT32_TO_LE (8) };

  memset (bytes, 0x77, sizeof bytes);
  g_assert_cmpuint (request (f, 0, VIRTIO_BLK_T_OUT, 0, bytes, 512, false, NULL), ==,
                    VIRTIO_BLK_S_IOERR);
  g_assert_cmpuint (request (f, 0, VIRTIO_BLK_T_WRITE_ZEROES, 0, &range, sizeof range, false, NULL),
                    ==, VIRTIO_BLK_S_IOERR);
  g_assert_cmpuint (request (f, 0, VIRTIO_BLK_T_DISCARD, 0, &range, sizeof range, false, NULL), ==,
                    VIRTIO_BLK_S_IOERR);
  g_assert_cmpuint (request (f, 0, VIRTIO_BLK_T_FLUSH, 0, NULL, 0, false, NULL), ==,
                    VIRTIO_BLK_S_OK);
  g_assert_cmpuint (request (f, 0, VIRTIO_BLK_T_IN, 0, back, 512, true, NULL), ==, VIRTIO_BLK_S_OK);
  assert_pattern (back, 0, 512);
  read_file (f, 0, back, 512);
  assert_pattern (back, 0, 512);
}

static void
test_config (Fixture *f, gconstpointer data)
{
  struct virtio_blk_config config;
  uint8_t byte = 0;

  virtio_driver_read_config (f->driver, 0, &config, sizeof config);
  g_assert_cmpuint (GUINT64_FROM_LE (config.capacity), ==, SECTORS);
  g_assert_cmpuint (GUINT32_FROM_LE (config.blk_size), ==, 512);
  g_assert_cmpuint (GUINT16_FROM_LE (config.num_queues), ==, QUEUES);
  g_assert_cmpuint (config.wce, ==, 1);
  g_assert_cmpuint (config.physical_block_exp, <=, 3);
  virtio_driver_write_config (f->driver, offsetof (struct virtio_blk_config, wce), &byte, 1);
  virtio_driver_read_config (f->driver, 0, &config, sizeof config);
  g_assert_cmpuint (config.wce, ==, 0);
  /* The rest is read-only. */
  uint64_t capacity = UINT64_MAX;
  virtio_driver_write_config (f->driver, 0, &capacity, sizeof capacity);
  virtio_driver_read_config (f->driver, 0, &config, sizeof config);
  g_assert_cmpuint (GUINT64_FROM_LE (config.capacity), ==, SECTORS);
}

/* Every request of a full queue at once, answered in any order, each right, few interrupts. */
static void
test_batch (Fixture *f, gconstpointer data)
{
  enum
  {
    REQUESTS = 64
  };
  VirtqueueDriver *ring = virtio_driver_get_queue (f->driver, 0);
  struct virtio_blk_outhdr *headers;
  uint8_t *area, *status;
  uint64_t header_gpa = virtio_driver_alloc (f->driver, 4096, (void **) &headers);
  uint64_t data_gpa = virtio_driver_alloc (f->driver, REQUESTS * 4096, (void **) &area);
  uint64_t status_gpa = virtio_driver_alloc (f->driver, REQUESTS, (void **) &status);

  memset (status, 0xee, REQUESTS);
  virtqueue_driver_set_used_event (ring, REQUESTS - 1);
  for (unsigned i = 0; i < REQUESTS; i++)
    {
      headers[i] = (struct virtio_blk_outhdr){ .type = GUINT32_TO_LE (VIRTIO_BLK_T_IN),
                                               .sector = GUINT64_TO_LE (8 * i) };
      const DriverSegment segments[] = {
        { header_gpa + 16 * i, 16, false },
        { data_gpa + 4096 * i, 4096, true },
        { status_gpa + i, 1, true },
      };
      virtqueue_driver_add (ring, segments, 3);
    }
  virtio_driver_kick (f->driver, 0);
  virtio_driver_wait (f->driver, 0, REQUESTS);
  virtio_driver_run (f->driver);
  for (unsigned i = 0; i < REQUESTS; i++)
    g_assert_cmpuint (status[i], ==, VIRTIO_BLK_S_OK);
  assert_pattern (area, 0, REQUESTS * 4096);
  g_assert_cmpuint (virtio_driver_get_interrupts (f->driver, 0), ==, 1);
}

/* CVE-2023-5088: after the reset nothing of the device writes to guest memory. */
static void
test_reset_with_requests_in_flight (Fixture *f, gconstpointer data)
{
  VirtqueueDriver *ring = virtio_driver_get_queue (f->driver, 0);
  struct virtio_blk_outhdr *header;
  uint8_t *area;
  uint64_t header_gpa = virtio_driver_alloc (f->driver, 16, (void **) &header);
  uint64_t gpa = virtio_driver_alloc (f->driver, IMAGE + 1, (void **) &area);
  const DriverSegment segments[] = { { header_gpa, 16, false }, { gpa, IMAGE + 1, true } };

  if (!block_calls_have_ring ())
    {
      g_test_skip ("without io_uring no request is ever in flight");
      return;
    }
  block_calls.hold = true;
  for (unsigned i = 0; i < 20; i++)
    virtqueue_driver_add (ring, segments, 2);
  virtio_driver_kick (f->driver, 0);
  g_assert_cmpuint (virtqueue_driver_get_used_index (ring), ==, 0);
  virtio_device_lock (virtio_blk_get_device (f->blk));
  virtio_device_set_status (virtio_blk_get_device (f->blk), 0);
  virtio_device_unlock (virtio_blk_get_device (f->blk));
  virtio_driver_run (f->driver);
  g_assert_cmphex (virtio_driver_get_status (f->driver), !=, 0);
  block_calls_release ();
  virtio_driver_reset (f->driver);
  g_assert_cmpuint (block_calls.n_reads, >=, 20);
  memset (area, 0x11, IMAGE + 1);
  virtio_driver_run (f->driver);
  for (unsigned i = 0; i <= IMAGE; i++)
    g_assert_cmpuint (area[i], ==, 0x11);
}

static bool
has_ring (const Fixture *f)
{
  g_autofree char *path = g_build_filename (f->folder, "another.raw", NULL);
  BlockImage image;

  g_assert_true (g_file_set_contents (path, "x", 1, NULL));
  g_assert_cmpint (truncate (path, 512), ==, 0);
  g_assert_true (block_image_open (&image, path, true, NULL));
  g_unlink (path);
  g_autoptr (BlockRaw) raw = block_raw_new (&image);
  return block_raw_get_fd (raw) >= 0;
}

/* Flushes, which never are done before the kernel returns, and a reset at once. Returns what the status reads then. */
static uint8_t
reset_with_flushes_in_flight (Fixture *f)
{
  static const uint64_t one = 1;
  VirtioDevice *device = virtio_blk_get_device (f->blk);
  VirtqueueDriver *ring = virtio_driver_get_queue (f->driver, 0);
  struct virtio_blk_outhdr *header;
  uint64_t gpa = virtio_driver_alloc (f->driver, 32, (void **) &header);
  const DriverSegment segments[] = { { gpa, 16, false }, { gpa + 16, 1, true } };

  header->type = GUINT32_TO_LE (VIRTIO_BLK_T_FLUSH);
  for (unsigned i = 0; i < 100; i++)
    virtqueue_driver_add (ring, segments, 2);
  g_assert_cmpint (write (virtio_device_get_queue_eventfd (device, 0), &one, sizeof one), ==,
                   sizeof one);
  g_assert_true (g_main_context_iteration (NULL, FALSE));
  virtio_device_lock (device);
  virtio_device_set_status (device, 0);
  const uint8_t status = virtio_device_get_status (device);
  virtio_device_unlock (device);
  return status;
}

/* Storage that answers late: who resets the disk, which is a vCPU, does not wait; the status reads as 0 once all is done, and then
 * the disk works again. Completions are taken by the disk's loop, which is this one. */
static void
test_reset_does_not_wait (Fixture *f, gconstpointer data)
{
  uint8_t bytes[512], status = 0;

  if (!has_ring (f))
    {
      g_test_skip ("no io_uring: requests are made in place");
      return;
    }
  for (unsigned tries = 0; status == 0; tries++)
    {
      g_assert_cmpuint (tries, <, 50);
      status = reset_with_flushes_in_flight (f);
      virtio_driver_reset (f->driver);
      virtio_driver_free (f->driver);
      f->driver =
          virtio_driver_new (virtio_blk_get_device (f->blk), f->memory, 0, writable.features);
    }
  g_assert_cmphex (status, ==, 0xf);
  g_assert_cmpuint (request (f, 0, VIRTIO_BLK_T_IN, 0, bytes, 512, true, NULL), ==,
                    VIRTIO_BLK_S_OK);
  assert_pattern (bytes, 0, 512);
}

/* Makes a write of one sector available; returns where its status comes. */
static uint8_t *
add_write (Fixture *f, uint64_t sector, uint8_t byte)
{
  struct virtio_blk_outhdr *header;
  uint8_t *bytes, *status;
  const DriverSegment segments[] = {
    { virtio_driver_alloc (f->driver, sizeof *header, (void **) &header), sizeof *header, false },
    { virtio_driver_alloc (f->driver, 512, (void **) &bytes), 512, false },
    { virtio_driver_alloc (f->driver, 1, (void **) &status), 1, true },
  };

  *header = (struct virtio_blk_outhdr){ .type = GUINT32_TO_LE (VIRTIO_BLK_T_OUT),
                                        .sector = GUINT64_TO_LE (sector) };
  memset (bytes, byte, 512);
  *status = 0xee;
  virtqueue_driver_add (virtio_driver_get_queue (f->driver, 0), segments, 3);
  virtio_driver_kick (f->driver, 0);
  return status;
}

/* What the host has no room for waits, as often as it takes, and is not lost. */
static void
test_no_room (Fixture *f, gconstpointer data)
{
  VirtqueueDriver *ring = virtio_driver_get_queue (f->driver, 0);
  uint8_t *status[2], bytes[512];

  block_calls.write_error = ENOSPC;
  for (unsigned i = 0; i < 2; i++)
    status[i] = add_write (f, 40 + i, 0xa0 + i);
  g_assert_cmpuint (f->n_no_room, ==, 2);
  virtio_blk_resume (f->blk);
  g_assert_cmpuint (f->n_no_room, ==, 4);
  g_assert_cmpuint (virtqueue_driver_get_used_index (ring), ==, 0);
  block_calls.write_error = 0;
  virtio_blk_resume (f->blk);
  g_assert_cmpuint (f->n_no_room, ==, 4);
  g_assert_cmpuint (virtqueue_driver_get_used_index (ring), ==, 2);
  for (unsigned i = 0; i < 2; i++)
    {
      g_assert_cmpuint (*status[i], ==, VIRTIO_BLK_S_OK);
      read_file (f, (40 + i) * 512, bytes, sizeof bytes);
      g_assert_cmphex (bytes[511], ==, 0xa0 + i);
    }
  /* Others are errors at once: a flush that is tried again would succeed, whatever was lost. */
  block_calls.sync_error = ENOSPC;
  g_assert_cmpuint (request (f, 0, VIRTIO_BLK_T_FLUSH, 0, NULL, 0, false, NULL), ==,
                    VIRTIO_BLK_S_IOERR);
  block_calls.sync_error = 0;
  block_calls.write_error = EIO;
  g_assert_cmpuint (request (f, 0, VIRTIO_BLK_T_OUT, 0, bytes, 512, false, NULL), ==,
                    VIRTIO_BLK_S_IOERR);
  g_assert_cmpuint (f->n_no_room, ==, 4);
}

static void
test_reset_without_room (Fixture *f, gconstpointer data)
{
  block_calls.write_error = ENOSPC;
  const uint8_t *status = add_write (f, 40, 0xa0);
  virtio_driver_reset (f->driver);
  block_calls.write_error = 0;
  block_calls.n_writes = 0;
  virtio_blk_resume (f->blk);
  g_assert_cmpuint (block_calls.n_writes, ==, 0);
  g_assert_cmphex (*status, ==, 0xee);
}

static void
test_no_status (Fixture *f, gconstpointer data)
{
  VirtqueueDriver *ring = virtio_driver_get_queue (f->driver, 0);
  const DriverSegment segment = { virtio_driver_alloc (f->driver, 16, NULL), 16, false };

  virtqueue_driver_add (ring, &segment, 1);
  g_test_expect_message ("vmm-guest", G_LOG_LEVEL_WARNING, "virtio-blk: guest: *status*");
  virtio_driver_kick (f->driver, 0);
  g_test_assert_expected_messages ();
  g_assert_true (virtio_driver_get_status (f->driver) & VIRTIO_CONFIG_S_NEEDS_RESET);
}

/* The guest's image was cut off on the host: an error for the guest, no more. */
static void
test_truncated_under_us (Fixture *f, gconstpointer data)
{
  uint8_t bytes[1024];

  g_assert_cmpint (truncate (f->path, 512), ==, 0);
  g_assert_cmpuint (request (f, 0, VIRTIO_BLK_T_IN, 100, bytes, 1024, true, NULL), ==,
                    VIRTIO_BLK_S_IOERR);
  g_assert_cmpuint (request (f, 0, VIRTIO_BLK_T_IN, 0, bytes, 512, true, NULL), ==,
                    VIRTIO_BLK_S_OK);
}

/* In the disk's own thread, with the test as the vCPU: each request is answered, those that come at the end of a turn too, though the driver
 * notifies only when it is asked to. */
static void
test_own_thread (gconstpointer data)
{
  Fixture f = { 0 };

  make_image (&f);
  VirtioBlkConfig config = { .n_queues = 1, .may_linger = GPOINTER_TO_INT (data) };
  g_assert_true (block_raw_open_backend (f.path, false, &config.backend, NULL));
  f.memory = guest_memory_new (RAM, RAM, 2 * RAM, NULL);
  f.blk = virtio_blk_new (&config, f.memory, NULL);
  f.driver = virtio_driver_new (virtio_blk_get_device (f.blk), f.memory, 0, UINT64_MAX);

  VirtqueueDriver *ring = virtio_driver_get_queue (f.driver, 0);
  uint8_t *area;
  uint64_t gpa = virtio_driver_alloc (f.driver, 16 + 4097, (void **) &area);
  const DriverSegment segments[] = { { gpa, 16, false }, { gpa + 16, 4097, true } };
  unsigned unasked = 0;

  for (unsigned i = 1; i <= 2000; i++)
    {
      memset (area + 16, 0, 4096);
      area[16 + 4096] = 0xee;
      virtqueue_driver_add (ring, segments, 2);
      if (virtqueue_driver_must_kick (ring))
        virtio_device_notify_again (virtio_blk_get_device (f.blk), 0);
      else
        unasked++;
      while (!virtqueue_driver_take_used (ring, NULL, NULL))
        g_thread_yield ();
      g_assert_cmpuint (area[16 + 4096], ==, VIRTIO_BLK_S_OK);
      assert_pattern (area + 16, 0, 4096);
    }
  g_test_message ("%u of 2000 requests needed no notification", unasked);
  teardown (&f, NULL);
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
  g_test_add ("/virtio-blk/hostile-8-memory-changes/" name, Fixture, data, setup_changing, func,   \
              teardown_changing)

#define ADD(name, options, func)                                                                   \
  g_test_add ("/virtio-blk/" name, Fixture, &options, setup, func, teardown)

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  ADD ("read", writable, test_read);
  ADD ("write-and-flush", writable, test_write_and_flush);
  ADD ("write-through", no_flush, test_write_and_flush);
  ADD ("unaligned-memory", writable, test_unaligned_memory);
  ADD ("discard", writable, test_discard);
  ADD ("write-zeroes", writable, test_write_zeroes);
  ADD ("write-zeroes-through", no_flush, test_write_zeroes);
  ADD ("hostile-15-discard-counts", writable, test_discard_counts);
  ADD ("hostile-15-sector-overflow", writable, test_sector_overflow);
  ADD ("hostile-15-size-not-of-sectors", writable, test_size_not_of_sectors);
  ADD ("unknown-type", writable, test_unknown_type);
  ADD ("serial", writable, test_serial);
  ADD ("readonly", readonly, test_readonly);
  ADD ("hostile-15-readonly-not-negotiated", readonly_not_negotiated, test_readonly);
  ADD ("config", writable, test_config);
  ADD ("batch", writable, test_batch);
  ADD ("hostile-7-reset-with-requests-in-flight", writable, test_reset_with_requests_in_flight);
  ADD ("hostile-7-reset-does-not-wait", writable, test_reset_does_not_wait);
  ADD ("no-room", no_ring, test_no_room);
  ADD ("reset-without-room", no_ring, test_reset_without_room);
  ADD ("no-status", writable, test_no_status);
  ADD ("hostile-15-truncated-under-us", writable, test_truncated_under_us);
  g_test_add_data_func ("/virtio-blk/own-thread", GINT_TO_POINTER (false), test_own_thread);
  g_test_add_data_func ("/virtio-blk/own-thread-that-lingers", GINT_TO_POINTER (true),
                        test_own_thread);
  ADD_CHANGING ("read", &writable, test_read);
  ADD_CHANGING ("write-and-flush", &writable, test_write_and_flush);
  ADD_CHANGING ("unaligned", &writable, test_unaligned_memory);
  ADD_CHANGING ("discard", &writable, test_discard);
  ADD_CHANGING ("write-zeroes", &writable, test_write_zeroes);
  ADD_CHANGING ("discard-counts", &writable, test_discard_counts);
  ADD_CHANGING ("sector-overflow", &writable, test_sector_overflow);
  return g_test_run ();
}
