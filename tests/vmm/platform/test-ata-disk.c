#include "platform/ata-disk.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>
#include <sys/stat.h>

#include "ahci-disk.h"
#include "block-calls.h"
#include "changing-memory.h"

#define PORT    AHCI_DISK_PORT
#define DATA    AHCI_DRIVER_DATA
#define SECTORS (AHCI_DISK_SIZE / 512)

static uint16_t
word (AhciDisk *f, unsigned i)
{
  const uint8_t *page = ahci_disk_map (f, DATA);
  return page[2 * i] | page[2 * i + 1] << 8;
}

static void
test_identify (AhciDisk *f, gconstpointer data)
{
  const AhciDriverCommand identify = { .command = 0xec, .data = DATA, .size = 512 };
  uint8_t sum = 0;

  ahci_driver_start (f->driver, PORT);
  g_assert_cmphex (ahci_driver_run (f->driver, PORT, &identify), ==, GOOD);
  g_assert_cmpuint (ahci_driver_get_bytes_done (f->driver, PORT, 0), ==, 512);
  g_assert_cmphex (ahci_disk_get (f, PX_IS), ==, 1u << 1);
  const uint8_t *fis = ahci_disk_map (f, AHCI_DRIVER_FIS + (PORT << 12));
  g_assert_cmphex (fis[0x20], ==, 0x5f);
  g_assert_cmphex (fis[0x20 + 15], ==, GOOD);
  g_assert_cmpuint (fis[0x20 + 16] | fis[0x20 + 17] << 8, ==, 512);
  g_assert_cmphex (word (f, 0), ==, 0x0040);
  g_assert_cmpuint (word (f, 100) | word (f, 101) << 16, ==, SECTORS);
  g_assert_cmpuint (word (f, 60) | word (f, 61) << 16, ==, SECTORS);
  g_assert_cmphex (word (f, 76) & 0x100, ==, 0x100);
  g_assert_cmpuint (word (f, 75), ==, 31);
  g_assert_cmpuint (word (f, 169), ==, 1);
  g_assert_cmpint (memcmp (ahci_disk_map (f, DATA) + 20, "laocev0-00 1", 10), ==, 0);
  for (unsigned i = 0; i < 512; i++)
    sum += ahci_disk_map (f, DATA)[i];
  g_assert_cmpuint (sum, ==, 0);
}

/* Each command that reads, in its way of telling address and length; the data in odd pieces. */
static void
test_read (AhciDisk *f, gconstpointer data)
{
  static const uint8_t codes[] = { 0x20, 0x24, 0x25, 0x29, 0xc4, 0xc8 };

  ahci_driver_start (f->driver, PORT);
  for (unsigned i = 0; i < G_N_ELEMENTS (codes); i++)
    {
      const AhciDriverCommand read = { .command = codes[i],
                                       .device = 0x40,
                                       .lba = 9,
                                       .count = 5,
                                       .data = DATA + 2,
                                       .size = 5 * 512,
                                       .piece = 700 };

      memset (ahci_disk_map (f, DATA), 0, 4096);
      g_assert_cmphex (ahci_driver_run (f->driver, PORT, &read), ==, GOOD);
      ahci_disk_assert_pattern (ahci_disk_map (f, DATA) + 2, 9 * 512, 5 * 512);
      g_assert_cmphex (ahci_disk_map (f, DATA)[2 + 5 * 512], ==, 0);
      g_assert_cmpuint (ahci_driver_get_bytes_done (f->driver, PORT, 0), ==, 5 * 512);
    }
}

static void
test_write (AhciDisk *f, gconstpointer data)
{
  static const uint8_t codes[] = { 0x30, 0x34, 0x35, 0x39, 0x3d, 0xc5, 0xca, 0xce };
  uint8_t bytes[3 * 512];

  ahci_driver_start (f->driver, PORT);
  for (unsigned i = 0; i < G_N_ELEMENTS (codes); i++)
    {
      const AhciDriverCommand write = { .command = codes[i],
                                        .device = 0x40,
                                        .lba = 3,
                                        .count = 3,
                                        .write = true,
                                        .data = DATA,
                                        .size = 3 * 512,
                                        .piece = 512 };
      const AhciDriverCommand flush = { .command = 0xea };

      memset (ahci_disk_map (f, DATA), codes[i], 3 * 512);
      g_assert_cmphex (ahci_driver_run (f->driver, PORT, &write), ==, GOOD);
      g_assert_cmphex (ahci_driver_run (f->driver, PORT, &flush), ==, GOOD);
      ahci_disk_read_file (f, 3 * 512, bytes, sizeof bytes);
      for (unsigned k = 0; k < sizeof bytes; k++)
        g_assert_cmphex (bytes[k], ==, codes[i]);
    }
  ahci_disk_read_file (f, 6 * 512, bytes, 512);
  ahci_disk_assert_pattern (bytes, 6 * 512, 512);
}

static void
test_queued (AhciDisk *f, gconstpointer data)
{
  uint8_t bytes[4096];

  ahci_driver_start (f->driver, PORT);
  for (unsigned tag = 0; tag < 32; tag++)
    {
      const bool write = tag & 1;
      const AhciDriverCommand command = { .command = write ? 0x61 : 0x60,
                                          .device = write ? 0xc0 : 0x40,
                                          .lba = tag * 8,
                                          .features = 8,
                                          .count = tag << 3,
                                          .write = write,
                                          .data = DATA + tag * 4096,
                                          .size = 4096 };
      memset (ahci_disk_map (f, DATA + tag * 4096), write ? tag : 0, 4096);
      ahci_driver_prepare (f->driver, PORT, tag, &command);
    }
  ahci_disk_set (f, PX_SACT, UINT32_MAX);
  ahci_disk_set (f, PX_CI, UINT32_MAX);
  ahci_driver_wait (f->driver, PORT, UINT32_MAX);
  g_assert_cmphex (ahci_disk_get (f, PX_SACT), ==, 0);
  g_assert_cmphex (ahci_disk_get (f, PX_CI), ==, 0);
  g_assert_cmphex (ahci_disk_get (f, PX_IS), ==, 1u << 3);
  g_assert_cmphex (ahci_disk_get (f, PX_TFD), ==, GOOD);
  for (unsigned tag = 0; tag < 32; tag++)
    {
      ahci_disk_read_file (f, tag * 4096, bytes, sizeof bytes);
      if (tag & 1)
        for (unsigned i = 0; i < sizeof bytes; i++)
          g_assert_cmphex (bytes[i], ==, tag);
      else
        ahci_disk_assert_pattern (ahci_disk_map (f, DATA + tag * 4096), tag * 4096, 4096);
    }
}

static void
test_queued_error (AhciDisk *f, gconstpointer data)
{
  const AhciDriverCommand beyond = { .command = 0x60,
                                     .device = 0x40,
                                     .lba = SECTORS,
                                     .features = 8,
                                     .count = 5 << 3,
                                     .data = DATA,
                                     .size = 4096 };
  const AhciDriverCommand log = {
    .command = 0x2f, .lba = 0x10, .count = 1, .data = DATA, .size = 512
  };

  ahci_driver_start (f->driver, PORT);
  ahci_driver_prepare (f->driver, PORT, 5, &beyond);
  ahci_disk_set (f, PX_SACT, 1u << 5);
  ahci_disk_set (f, PX_CI, 1u << 5);
  ahci_driver_wait (f->driver, PORT, 1u << 5);
  g_assert_cmphex (ahci_disk_get (f, PX_SACT), ==, 1u << 5);
  g_assert_cmphex (ahci_disk_get (f, PX_IS) & 1u << 30, ==, 1u << 30);
  g_assert_cmphex (ahci_disk_get (f, PX_TFD) & 0xff01, ==, 0x1001);
  ahci_driver_stop (f->driver, PORT);
  g_assert_cmphex (ahci_disk_get (f, PX_SACT), ==, 0);
  ahci_driver_start (f->driver, PORT);
  g_assert_cmphex (ahci_driver_run (f->driver, PORT, &log), ==, GOOD);
  g_assert_cmphex (ahci_disk_map (f, DATA)[0], ==, 5);
  g_assert_cmphex (ahci_disk_map (f, DATA)[3], ==, 0x10);
  g_assert_cmphex (ahci_disk_map (f, DATA)[4] | ahci_disk_map (f, DATA)[5] << 8, ==, SECTORS);
}

/* Beyond the end, too little room, a command that does not exist: an error, and the slot's bit stays. */
static void
test_errors (AhciDisk *f, gconstpointer data)
{
  static const struct
  {
    AhciDriverCommand command;
    uint8_t error;
  } wrong[] = {
    { { .command = 0x25, .lba = SECTORS - 1, .count = 2, .data = DATA, .size = 1024 }, 0x10 },
    { { .command = 0x25, .lba = UINT64_C (0xffffffffffff), .count = 1, .data = DATA, .size = 512 },
      0x10 },
    { { .command = 0x25, .count = 2, .data = DATA, .size = 1023 }, 0x04 },
    { { .command = 0x35, .lba = SECTORS, .count = 1, .write = true, .data = DATA, .size = 512 },
      0x10 },
    { { .command = 0x00 }, 0x04 },
    { { .command = 0xa1, .data = DATA, .size = 512 }, 0x04 },
    { { .command = 0xb0, .features = 0xda }, 0x04 },
    { { .command = 0x06, .features = 1, .count = 1, .write = true }, 0x04 },
  };

  for (unsigned i = 0; i < G_N_ELEMENTS (wrong); i++)
    {
      ahci_driver_start (f->driver, PORT);
      g_assert_cmphex (ahci_driver_run (f->driver, PORT, &wrong[i].command), ==,
                       wrong[i].error << 8 | GOOD | 1);
      g_assert_cmphex (ahci_disk_get (f, PX_CI), ==, 1);
      g_assert_cmphex (ahci_disk_get (f, PX_IS) & 1u << 30, !=, 0);
      ahci_driver_stop (f->driver, PORT);
      g_assert_cmphex (ahci_disk_get (f, PX_CI), ==, 0);
    }
}

static void
test_trim (AhciDisk *f, gconstpointer data)
{
  const AhciDriverCommand trim = {
    .command = 0x06, .features = 1, .count = 1, .write = true, .data = DATA, .size = 512
  };
  uint8_t bytes[512];
  struct stat before, after;

  ahci_driver_start (f->driver, PORT);
  memset (ahci_disk_map (f, DATA), 0, 512);
  const uint64_t ranges[] = { GUINT64_TO_LE (UINT64_C (64) << 48 | 64),
                              GUINT64_TO_LE (UINT64_C (256) << 48 | 512) };
  memcpy (ahci_disk_map (f, DATA), ranges, sizeof ranges);
  g_assert_cmpint (stat (f->path, &before), ==, 0);
  g_assert_cmphex (ahci_driver_run (f->driver, PORT, &trim), ==, GOOD);
  g_assert_cmpint (stat (f->path, &after), ==, 0);
  g_assert_cmpint (after.st_size, ==, AHCI_DISK_SIZE);
  /* Only a hint; where the file system has holes these are some. */
  g_assert_cmpint (after.st_blocks, <=, before.st_blocks);
  ahci_disk_read_file (f, 63 * 512, bytes, sizeof bytes);
  ahci_disk_assert_pattern (bytes, 63 * 512, 512);
  ahci_disk_read_file (f, 768 * 512, bytes, sizeof bytes);
  ahci_disk_assert_pattern (bytes, 768 * 512, 512);
}

/* What the host has no room for waits, queued or not, as often as it takes; a flush does not. */
static void
test_no_room (AhciDisk *f, gconstpointer data)
{
  const AhciDriverCommand write = {
    .command = 0x35, .lba = 7, .count = 1, .write = true, .data = DATA, .size = 512
  };
  const AhciDriverCommand flush = { .command = 0xea };
  uint8_t bytes[4096];

  ahci_driver_start (f->driver, PORT);
  memset (ahci_disk_map (f, DATA), 0xa7, 512);
  block_calls.write_error = ENOSPC;
  ahci_driver_prepare (f->driver, PORT, 0, &write);
  ahci_disk_set (f, PX_CI, 1);
  ahci_driver_settle ();
  g_assert_cmpuint (f->n_no_room, ==, 1);
  ahci_resume (f->driver->ahci);
  ahci_driver_settle ();
  g_assert_cmpuint (f->n_no_room, ==, 2);
  g_assert_cmphex (ahci_disk_get (f, PX_CI), ==, 1);
  block_calls.write_error = 0;
  ahci_resume (f->driver->ahci);
  ahci_driver_wait (f->driver, PORT, 1);
  g_assert_cmphex (ahci_disk_get (f, PX_TFD), ==, GOOD);
  ahci_disk_read_file (f, 7 * 512, bytes, 512);
  g_assert_cmphex (bytes[511], ==, 0xa7);
  block_calls.sync_error = ENOSPC;
  g_assert_cmphex (ahci_driver_run (f->driver, PORT, &flush), ==, 0x0400 | GOOD | 1);
  g_assert_cmpuint (f->n_no_room, ==, 2);
}

static void
test_queued_no_room (AhciDisk *f, gconstpointer data)
{
  uint8_t bytes[4096];

  ahci_driver_start (f->driver, PORT);
  block_calls.write_error = ENOSPC;
  for (unsigned tag = 0; tag < 32; tag++)
    {
      const AhciDriverCommand write = { .command = 0x61,
                                        .device = 0x40,
                                        .lba = tag * 8,
                                        .features = 8,
                                        .count = tag << 3,
                                        .write = true,
                                        .data = DATA + tag * 4096,
                                        .size = 4096 };
      memset (ahci_disk_map (f, DATA + tag * 4096), 0x80 + tag, 4096);
      ahci_driver_prepare (f->driver, PORT, tag, &write);
    }
  ahci_disk_set (f, PX_SACT, UINT32_MAX);
  ahci_disk_set (f, PX_CI, UINT32_MAX);
  ahci_driver_settle ();
  g_assert_cmpuint (f->n_no_room, ==, 32);
  g_assert_cmphex (ahci_disk_get (f, PX_SACT), ==, UINT32_MAX);
  block_calls.write_error = 0;
  ahci_resume (f->driver->ahci);
  ahci_driver_wait (f->driver, PORT, UINT32_MAX);
  g_assert_cmphex (ahci_disk_get (f, PX_TFD), ==, GOOD);
  for (unsigned tag = 0; tag < 32; tag++)
    {
      ahci_disk_read_file (f, tag * 4096, bytes, sizeof bytes);
      g_assert_cmphex (bytes[4095], ==, 0x80 + tag);
    }
}

/* A command that is kept keeps the machine from its end no more than from a reset. */
static void
test_end_without_room (AhciDisk *f, gconstpointer data)
{
  const AhciDriverCommand write = {
    .command = 0x35, .lba = 7, .count = 1, .write = true, .data = DATA, .size = 512
  };

  block_calls.write_error = ENOSPC;
  ahci_driver_start (f->driver, PORT);
  ahci_driver_prepare (f->driver, PORT, 0, &write);
  ahci_disk_set (f, PX_CI, 1);
  ahci_driver_settle ();
  g_assert_cmpuint (f->n_no_room, ==, 1);
}

static void
test_reset_without_room (AhciDisk *f, gconstpointer data)
{
  test_end_without_room (f, data);
  pci_bus_reset (f->driver->bus);
  block_calls = (BlockCalls){ .no_ring = true };
  ahci_resume (f->driver->ahci);
  g_assert_cmpuint (block_calls.n_writes, ==, 0);
}

static void
test_settings (AhciDisk *f, gconstpointer data)
{
  const AhciDriverCommand commands[] = {
    { .command = 0xef, .features = 0x82 },
    { .command = 0xef, .features = 0x03, .count = 0x45 },
    { .command = 0xc6, .count = 8 },
    { .command = 0xb0, .features = 0xd9, .lba = 0xc24f00 },
    { .command = 0xec, .data = DATA, .size = 512 },
  };

  ahci_driver_start (f->driver, PORT);
  for (unsigned i = 0; i < G_N_ELEMENTS (commands); i++)
    g_assert_cmphex (ahci_driver_run (f->driver, PORT, &commands[i]), ==, GOOD);
  g_assert_cmphex (word (f, 85) & 0x61, ==, 0x40);
  g_assert_cmphex (word (f, 88), ==, 0x207f);
  g_assert_cmphex (word (f, 59), ==, 0x0108);
  ahci_driver_stop (f->driver, PORT);
  ahci_driver_comreset (f->driver, PORT);
  ahci_driver_start (f->driver, PORT);
  g_assert_cmphex (ahci_driver_run (f->driver, PORT, &commands[4]), ==, GOOD);
  g_assert_cmphex (word (f, 85) & 0x61, ==, 0x61);
}

/* --- addresses and sizes that cannot be --- */

static void
test_sector_overflow (AhciDisk *f, gconstpointer data)
{
  static const AhciDriverCommand wrong[] = {
    { .command = 0x25, .lba = SECTORS, .count = 1, .size = 512 },
    { .command = 0x25, .lba = SECTORS - 1, .count = 2, .size = 1024 },
    { .command = 0x25, .lba = UINT64_C (0xffffffffffff), .count = 1, .size = 512 },
    { .command = 0x25, .lba = 1, .count = 0, .size = 1u << 21 }, /* 65536 of them */
    { .command = 0x60, .lba = SECTORS, .features = 1, .device = 0x40, .size = 512 },
    { .command = 0x60, .lba = 1, .features = 0, .device = 0x40, .size = 1u << 21 },
    { .command = 0xc8, .device = 0x4f, .lba = 0xffffff, .count = 1, .size = 512 },
    { .command = 0x42, .lba = SECTORS - 1, .count = 2 },
    { .command = 0x35, .lba = SECTORS, .count = 1, .write = true, .size = 512 },
    { .command = 0x61, .lba = SECTORS - 7, .features = 8, .write = true, .size = 4096 },
  };
  struct stat info;

  for (unsigned i = 0; i < G_N_ELEMENTS (wrong); i++)
    {
      AhciDriverCommand command = wrong[i];

      command.data = DATA;
      ahci_driver_start (f->driver, PORT);
      ahci_driver_prepare (f->driver, PORT, 0, &command);
      if ((command.command & ~1u) == 0x60)
        ahci_disk_set (f, PX_SACT, 1);
      ahci_disk_set (f, PX_CI, 1);
      ahci_driver_wait (f->driver, PORT, 1);
      g_assert_cmphex (ahci_disk_get (f, PX_TFD) & 0xff01, ==, 0x1001);
      ahci_driver_stop (f->driver, PORT);
    }
  g_assert_cmpuint (block_calls.n_reads + block_calls.n_writes, ==, 0);
  g_assert_cmpint (stat (f->path, &info), ==, 0);
  g_assert_cmpint (info.st_size, ==, AHCI_DISK_SIZE);
}

/* Less memory than sectors: nothing is moved at all. More of it: what is too much stays as it was. */
static void
test_odd_sizes (AhciDisk *f, gconstpointer data)
{
  static const uint32_t sizes[] = { 0, 2, 510, 512, 1022 };
  const AhciDriverCommand roomy = { .command = 0x25, .count = 1, .data = DATA, .size = 1536 };

  for (unsigned i = 0; i < G_N_ELEMENTS (sizes); i++)
    for (unsigned write = 0; write < 2; write++)
      {
        const AhciDriverCommand command = {
          .command = write ? 0x35 : 0x25, .count = 2, .write = write, .data = DATA, .size = sizes[i]
        };

        ahci_driver_start (f->driver, PORT);
        g_assert_cmphex (ahci_driver_run (f->driver, PORT, &command), ==, 0x0400 | GOOD | 1);
        ahci_driver_stop (f->driver, PORT);
      }
  g_assert_cmpuint (block_calls.n_reads + block_calls.n_writes, ==, 0);
  memset (ahci_disk_map (f, DATA), 0xee, 1536);
  ahci_driver_start (f->driver, PORT);
  g_assert_cmphex (ahci_driver_run (f->driver, PORT, &roomy), ==, GOOD);
  ahci_disk_assert_pattern (ahci_disk_map (f, DATA), 0, 512);
  g_assert_cmphex (ahci_disk_map (f, DATA)[512], ==, 0xee);
}

static void
test_trim_counts (AhciDisk *f, gconstpointer data)
{
  static const uint64_t wrong[] = { UINT64_C (1) << 48 | SECTORS,
                                    UINT64_C (2) << 48 | (SECTORS - 1), UINT64_MAX,
                                    UINT64_C (0xffff) << 48 | 1 };
  const AhciDriverCommand trim = {
    .command = 0x06, .features = 1, .count = 1, .write = true, .data = DATA, .size = 512
  };
  uint8_t bytes[512];

  for (unsigned i = 0; i < G_N_ELEMENTS (wrong); i++)
    {
      const uint64_t range = GUINT64_TO_LE (wrong[i]);

      memset (ahci_disk_map (f, DATA), 0, 512);
      memcpy (ahci_disk_map (f, DATA), &range, sizeof range);
      ahci_driver_start (f->driver, PORT);
      g_assert_cmphex (ahci_driver_run (f->driver, PORT, &trim), ==, 0x1000 | GOOD | 1);
      ahci_driver_stop (f->driver, PORT);
    }
  g_assert_cmphex (block_calls.allocate_modes, ==, 0);
  ahci_disk_read_file (f, AHCI_DISK_SIZE - 512, bytes, sizeof bytes);
  ahci_disk_assert_pattern (bytes, AHCI_DISK_SIZE - 512, sizeof bytes);
}

static void
test_truncated_under_us (AhciDisk *f, gconstpointer data)
{
  const AhciDriverCommand gone = {
    .command = 0x25, .lba = 100, .count = 2, .data = DATA, .size = 1024
  };
  const AhciDriverCommand there = { .command = 0x25, .count = 1, .data = DATA, .size = 512 };

  g_assert_cmpint (truncate (f->path, 512), ==, 0);
  ahci_driver_start (f->driver, PORT);
  g_assert_cmphex (ahci_driver_run (f->driver, PORT, &gone), ==, 0x4000 | GOOD | 1);
  ahci_driver_stop (f->driver, PORT);
  ahci_driver_start (f->driver, PORT);
  g_assert_cmphex (ahci_driver_run (f->driver, PORT, &there), ==, GOOD);
}

/* What the device was told is gone as soon as it has read it: it goes by its copy. */
static void
setup_changing (AhciDisk *f, gconstpointer data)
{
  ahci_disk_set_up (f, data);
  changing_memory_begin ();
}

static void
teardown_changing (AhciDisk *f, gconstpointer data)
{
  g_assert_cmpuint (changing_memory_end (), >, 0);
  ahci_disk_tear_down (f, data);
}

#define ADD_CHANGING(name, data, func)                                                             \
  g_test_add ("/ata-disk/hostile-8-memory-changes/" name, AhciDisk, data, setup_changing, func,    \
              teardown_changing)

#define TEST(name, function)                                                                       \
  g_test_add ("/ata-disk/" name, AhciDisk, NULL, ahci_disk_set_up, function, ahci_disk_tear_down)

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  /* What a hostile guest does is complained of. */
  g_log_set_always_fatal (G_LOG_LEVEL_ERROR | G_LOG_LEVEL_CRITICAL);
  TEST ("identify", test_identify);
  TEST ("read", test_read);
  TEST ("write", test_write);
  TEST ("queued", test_queued);
  TEST ("queued-error", test_queued_error);
  TEST ("errors", test_errors);
  TEST ("trim", test_trim);
  TEST ("settings", test_settings);
  g_test_add ("/ata-disk/no-room", AhciDisk, ahci_disk_no_ring, ahci_disk_set_up, test_no_room,
              ahci_disk_tear_down);
  g_test_add ("/ata-disk/queued-no-room", AhciDisk, ahci_disk_no_ring, ahci_disk_set_up,
              test_queued_no_room, ahci_disk_tear_down);
  g_test_add ("/ata-disk/end-without-room", AhciDisk, ahci_disk_no_ring, ahci_disk_set_up,
              test_end_without_room, ahci_disk_tear_down);
  g_test_add ("/ata-disk/reset-without-room", AhciDisk, ahci_disk_no_ring, ahci_disk_set_up,
              test_reset_without_room, ahci_disk_tear_down);
  TEST ("hostile-15-sector-overflow", test_sector_overflow);
  TEST ("hostile-15-odd-sizes", test_odd_sizes);
  TEST ("hostile-15-trim-counts", test_trim_counts);
  TEST ("hostile-15-truncated-under-us", test_truncated_under_us);
  ADD_CHANGING ("identify", NULL, test_identify);
  ADD_CHANGING ("read", NULL, test_read);
  ADD_CHANGING ("write", NULL, test_write);
  ADD_CHANGING ("queued", NULL, test_queued);
  ADD_CHANGING ("trim", NULL, test_trim);
  return g_test_run ();
}
