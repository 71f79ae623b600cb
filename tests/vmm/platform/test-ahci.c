#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>
#include <glib/gstdio.h>
#include <linux/pci_regs.h>
#include <sys/stat.h>

#include "ahci-driver.h"
#include "block-calls.h"
#include "changing-memory.h"
#include "block/block-raw.h"
#include "platform/ata-disk.h"

#define IMAGE   (1u << 20)
#define SECTORS (IMAGE / 512)
#define PORT    2
#define DATA    AHCI_DRIVER_DATA

enum
{
  IS = 0x10,
  IE = 0x14,
  CMD = 0x18,
  TFD = 0x20,
  SIG = 0x24,
  SSTS = 0x28,
  SERR = 0x30,
  SACT = 0x34,
  CI = 0x38,
  GOOD = 0x50,
};

typedef struct Fixture
{
  char *folder;
  char *path;
  AhciDriver *driver;
  unsigned n_no_room;
} Fixture;

static const char no_ring[] = "no ring"; /* as a test's data */

static uint8_t
pattern (uint64_t offset)
{
  return (offset >> 9) * 7 + offset;
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
  g_autofree uint8_t *bytes = g_malloc (IMAGE);
  g_autoptr (GError) error = NULL;
  AtaDrive drive;

  block_calls = (BlockCalls){ .no_ring = data == no_ring };
  f->folder = g_dir_make_tmp ("alcove-ahci-XXXXXX", NULL);
  f->path = g_build_filename (f->folder, "disk.raw", NULL);
  for (unsigned i = 0; i < IMAGE; i++)
    bytes[i] = pattern (i);
  g_assert_true (g_file_set_contents (f->path, (const char *) bytes, IMAGE, NULL));
  f->driver = ahci_driver_new ();
  AtaDiskConfig config = { .serial = "alcove-0001", .no_room = on_no_room, .opaque = f };
  block_raw_open_backend (f->path, false, &config.backend, &error);
  g_assert_no_error (error);
  ata_disk_new (&config, ahci_get_home (f->driver->ahci), &drive);
  ahci_plug (f->driver->ahci, PORT, &drive);
  ahci_driver_connect (f->driver);
}

static void
teardown (Fixture *f, gconstpointer data)
{
  ahci_driver_free (f->driver);
  g_unlink (f->path);
  g_rmdir (f->folder);
  g_free (f->path);
  g_free (f->folder);
}

static uint32_t
get (Fixture *f, unsigned offset)
{
  return ahci_driver_read_port (f->driver, PORT, offset);
}

static void
set (Fixture *f, unsigned offset, uint32_t value)
{
  ahci_driver_write_port (f->driver, PORT, offset, value);
}

static uint8_t *
memory (Fixture *f, uint64_t gpa)
{
  return guest_memory_map (f->driver->memory, gpa, 0x1000);
}

static void
read_file (Fixture *f, uint64_t offset, void *buffer, size_t size)
{
  int fd = open (f->path, O_RDONLY | O_CLOEXEC);

  g_assert_cmpint (pread (fd, buffer, size, offset), ==, size);
  close (fd);
}

static void
assert_pattern (const uint8_t *bytes, uint64_t offset, unsigned size)
{
  for (unsigned i = 0; i < size; i++)
    g_assert_cmphex (bytes[i], ==, pattern (offset + i));
}

/* --- controller --- */

static void
test_function (Fixture *f, gconstpointer data)
{
  const unsigned devfn = AHCI_SLOT << 3 | AHCI_FUNCTION;

  g_assert_cmphex (pci_bus_config_read (f->driver->bus, devfn, 0, 4) & UINT32_MAX, ==, 0x29228086);
  g_assert_cmphex (pci_bus_config_read (f->driver->bus, devfn, 9, 4) & 0xffffff, ==, 0x010601);
  g_assert_cmphex (pci_bus_config_read (f->driver->bus, devfn, PCI_INTERRUPT_PIN, 1) & 0xff, ==, 1);
  g_assert_cmphex (ahci_driver_read (f->driver, 0x00) & 0x1f, ==, AHCI_PORTS - 1);
  g_assert_cmphex (ahci_driver_read (f->driver, 0x0c), ==, 0x3f);
  g_assert_cmphex (ahci_driver_read (f->driver, 0x10), ==, 0x10300);
}

static void
test_link (Fixture *f, gconstpointer data)
{
  g_assert_cmphex (get (f, SSTS), ==, 0x133);
  g_assert_cmphex (ahci_driver_read_port (f->driver, 0, SSTS), ==, 0);
  g_assert_cmphex (ahci_driver_read_port (f->driver, 0, TFD) & 0xff, ==, 0x7f);
  /* The signature waits for the FIS engine. */
  g_assert_cmphex (get (f, SIG), ==, UINT32_MAX);
  ahci_driver_start (f->driver, PORT);
  g_assert_cmphex (get (f, SIG), ==, 0x101);
  g_assert_cmphex (get (f, TFD), ==, 0x150);
  g_assert_cmphex (memory (f, AHCI_DRIVER_FIS + (PORT << 12))[0x40], ==, 0x34);
}

static void
test_comreset (Fixture *f, gconstpointer data)
{
  ahci_driver_start (f->driver, PORT);
  ahci_driver_stop (f->driver, PORT);
  set (f, 0x2c, 0x301);
  ahci_driver_settle ();
  g_assert_cmphex (get (f, SSTS), ==, 0);
  g_assert_cmphex (get (f, TFD) & 0xff, ==, 0x7f);
  set (f, 0x2c, 0x300);
  ahci_driver_settle ();
  g_assert_cmphex (get (f, SSTS), ==, 0x133);
  g_assert_cmphex (get (f, SIG), ==, 0x101);
  g_assert_cmphex (get (f, SERR), ==, 0x04010000);
  g_assert_cmphex (get (f, IS), ==, 1u << 6 | 1u << 22);
  set (f, SERR, 0x04010000);
  g_assert_cmphex (get (f, IS), ==, 0);
}

static void
test_hba_reset (Fixture *f, gconstpointer data)
{
  ahci_driver_start (f->driver, PORT);
  set (f, IE, UINT32_MAX);
  ahci_driver_write (f->driver, 0x04, 0x80000002);
  ahci_driver_write (f->driver, 0x04, 0x80000001);
  g_assert_cmphex (ahci_driver_read (f->driver, 0x04), ==, 0x80000001);
  ahci_driver_settle ();
  g_assert_cmphex (ahci_driver_read (f->driver, 0x04), ==, 0x80000000);
  g_assert_cmphex (get (f, IE), ==, 0);
  g_assert_cmphex (get (f, CMD) & 0xc011, ==, 0);
  g_assert_cmphex (get (f, SSTS), ==, 0x133);
  g_assert_cmphex (get (f, 0x00), ==, AHCI_DRIVER_LIST + (PORT << 12));
}

static void
test_narrow_and_wide (Fixture *f, gconstpointer data)
{
  AddressSpace *mmio = f->driver->fake->mmio;
  const uint64_t port = f->driver->abar + 0x100 + PORT * 0x80;

  address_space_write (mmio, port, 8, UINT64_C (0x1122334455667788));
  g_assert_cmphex (get (f, 0), ==, 0x55667400);
  g_assert_cmphex (get (f, 4), ==, 0x11223344);
  g_assert_cmphex (address_space_read (mmio, port, 8), ==, UINT64_C (0x1122334455667400));
  g_assert_cmphex (address_space_read (mmio, port + 6, 2) & 0xffff, ==, 0x1122);
  address_space_write (mmio, port + IE + 3, 1, 0x40);
  g_assert_cmphex (get (f, IE), ==, 0x40000000);
  address_space_write (mmio, port + IE, 1, 1);
  g_assert_cmphex (get (f, IE), ==, 0x40000001);
  /* A byte of a write-one register clears nothing else. */
  address_space_write (mmio, port + SERR + 2, 1, 1);
  g_assert_cmphex (get (f, SERR), ==, 0x04000000);
}

static void
test_interrupt (Fixture *f, gconstpointer data)
{
  const AhciDriverCommand identify = { .command = 0xec, .data = DATA, .size = 512 };
  const unsigned gsi = pci_bus_get_gsi (f->driver->bus, AHCI_SLOT, 0);

  ahci_driver_start (f->driver, PORT);
  set (f, IE, UINT32_MAX);
  ahci_driver_run (f->driver, PORT, &identify);
  g_assert_false (f->driver->fake->levels[gsi]);
  g_assert_cmphex (ahci_driver_read (f->driver, 0x08), ==, 1u << PORT);
  ahci_driver_write (f->driver, 0x04, 0x80000002);
  g_assert_true (f->driver->fake->levels[gsi]);
  /* While the port's cause is there the controller's bit comes back. */
  ahci_driver_write (f->driver, 0x08, 1u << PORT);
  g_assert_true (f->driver->fake->levels[gsi]);
  g_assert_cmphex (get (f, IS), ==, 1u << 1);
  set (f, IS, UINT32_MAX);
  ahci_driver_write (f->driver, 0x08, 1u << PORT);
  g_assert_false (f->driver->fake->levels[gsi]);
}

/* --- the disk --- */

static uint16_t
word (Fixture *f, unsigned i)
{
  const uint8_t *page = memory (f, DATA);
  return page[2 * i] | page[2 * i + 1] << 8;
}

static void
test_identify (Fixture *f, gconstpointer data)
{
  const AhciDriverCommand identify = { .command = 0xec, .data = DATA, .size = 512 };
  uint8_t sum = 0;

  ahci_driver_start (f->driver, PORT);
  g_assert_cmphex (ahci_driver_run (f->driver, PORT, &identify), ==, GOOD);
  g_assert_cmpuint (ahci_driver_get_bytes_done (f->driver, PORT, 0), ==, 512);
  g_assert_cmphex (get (f, IS), ==, 1u << 1);
  const uint8_t *fis = memory (f, AHCI_DRIVER_FIS + (PORT << 12));
  g_assert_cmphex (fis[0x20], ==, 0x5f);
  g_assert_cmphex (fis[0x20 + 15], ==, GOOD);
  g_assert_cmpuint (fis[0x20 + 16] | fis[0x20 + 17] << 8, ==, 512);
  g_assert_cmphex (word (f, 0), ==, 0x0040);
  g_assert_cmpuint (word (f, 100) | word (f, 101) << 16, ==, SECTORS);
  g_assert_cmpuint (word (f, 60) | word (f, 61) << 16, ==, SECTORS);
  g_assert_cmphex (word (f, 76) & 0x100, ==, 0x100);
  g_assert_cmpuint (word (f, 75), ==, 31);
  g_assert_cmpuint (word (f, 169), ==, 1);
  g_assert_cmpint (memcmp (memory (f, DATA) + 20, "laocev0-00 1", 10), ==, 0);
  for (unsigned i = 0; i < 512; i++)
    sum += memory (f, DATA)[i];
  g_assert_cmpuint (sum, ==, 0);
}

/* Each command that reads, in its way of telling address and length; the data in odd pieces. */
static void
test_read (Fixture *f, gconstpointer data)
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

      memset (memory (f, DATA), 0, 4096);
      g_assert_cmphex (ahci_driver_run (f->driver, PORT, &read), ==, GOOD);
      assert_pattern (memory (f, DATA) + 2, 9 * 512, 5 * 512);
      g_assert_cmphex (memory (f, DATA)[2 + 5 * 512], ==, 0);
      g_assert_cmpuint (ahci_driver_get_bytes_done (f->driver, PORT, 0), ==, 5 * 512);
    }
}

static void
test_write (Fixture *f, gconstpointer data)
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

      memset (memory (f, DATA), codes[i], 3 * 512);
      g_assert_cmphex (ahci_driver_run (f->driver, PORT, &write), ==, GOOD);
      g_assert_cmphex (ahci_driver_run (f->driver, PORT, &flush), ==, GOOD);
      read_file (f, 3 * 512, bytes, sizeof bytes);
      for (unsigned k = 0; k < sizeof bytes; k++)
        g_assert_cmphex (bytes[k], ==, codes[i]);
    }
  read_file (f, 6 * 512, bytes, 512);
  assert_pattern (bytes, 6 * 512, 512);
}

static void
test_queued (Fixture *f, gconstpointer data)
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
      memset (memory (f, DATA + tag * 4096), write ? tag : 0, 4096);
      ahci_driver_prepare (f->driver, PORT, tag, &command);
    }
  set (f, SACT, UINT32_MAX);
  set (f, CI, UINT32_MAX);
  ahci_driver_wait (f->driver, PORT, UINT32_MAX);
  g_assert_cmphex (get (f, SACT), ==, 0);
  g_assert_cmphex (get (f, CI), ==, 0);
  g_assert_cmphex (get (f, IS), ==, 1u << 3);
  g_assert_cmphex (get (f, TFD), ==, GOOD);
  for (unsigned tag = 0; tag < 32; tag++)
    {
      read_file (f, tag * 4096, bytes, sizeof bytes);
      if (tag & 1)
        for (unsigned i = 0; i < sizeof bytes; i++)
          g_assert_cmphex (bytes[i], ==, tag);
      else
        assert_pattern (memory (f, DATA + tag * 4096), tag * 4096, 4096);
    }
}

static void
test_queued_error (Fixture *f, gconstpointer data)
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
  set (f, SACT, 1u << 5);
  set (f, CI, 1u << 5);
  ahci_driver_wait (f->driver, PORT, 1u << 5);
  g_assert_cmphex (get (f, SACT), ==, 1u << 5);
  g_assert_cmphex (get (f, IS) & 1u << 30, ==, 1u << 30);
  g_assert_cmphex (get (f, TFD) & 0xff01, ==, 0x1001);
  ahci_driver_stop (f->driver, PORT);
  g_assert_cmphex (get (f, SACT), ==, 0);
  ahci_driver_start (f->driver, PORT);
  g_assert_cmphex (ahci_driver_run (f->driver, PORT, &log), ==, GOOD);
  g_assert_cmphex (memory (f, DATA)[0], ==, 5);
  g_assert_cmphex (memory (f, DATA)[3], ==, 0x10);
  g_assert_cmphex (memory (f, DATA)[4] | memory (f, DATA)[5] << 8, ==, SECTORS);
}

/* Beyond the end, too little room, a command that does not exist: an error, and the slot's bit stays. */
static void
test_errors (Fixture *f, gconstpointer data)
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
      g_assert_cmphex (get (f, CI), ==, 1);
      g_assert_cmphex (get (f, IS) & 1u << 30, !=, 0);
      ahci_driver_stop (f->driver, PORT);
      g_assert_cmphex (get (f, CI), ==, 0);
    }
}

static void
test_trim (Fixture *f, gconstpointer data)
{
  const AhciDriverCommand trim = {
    .command = 0x06, .features = 1, .count = 1, .write = true, .data = DATA, .size = 512
  };
  uint8_t bytes[512];
  struct stat before, after;

  ahci_driver_start (f->driver, PORT);
  memset (memory (f, DATA), 0, 512);
  const uint64_t ranges[] = { GUINT64_TO_LE (UINT64_C (64) << 48 | 64),
                              GUINT64_TO_LE (UINT64_C (256) << 48 | 512) };
  memcpy (memory (f, DATA), ranges, sizeof ranges);
  g_assert_cmpint (stat (f->path, &before), ==, 0);
  g_assert_cmphex (ahci_driver_run (f->driver, PORT, &trim), ==, GOOD);
  g_assert_cmpint (stat (f->path, &after), ==, 0);
  g_assert_cmpint (after.st_size, ==, IMAGE);
  /* Only a hint; where the file system has holes these are some. */
  g_assert_cmpint (after.st_blocks, <=, before.st_blocks);
  read_file (f, 63 * 512, bytes, sizeof bytes);
  assert_pattern (bytes, 63 * 512, 512);
  read_file (f, 768 * 512, bytes, sizeof bytes);
  assert_pattern (bytes, 768 * 512, 512);
}

/* What the host has no room for waits, queued or not, as often as it takes; a flush does not. */
static void
test_no_room (Fixture *f, gconstpointer data)
{
  const AhciDriverCommand write = {
    .command = 0x35, .lba = 7, .count = 1, .write = true, .data = DATA, .size = 512
  };
  const AhciDriverCommand flush = { .command = 0xea };
  uint8_t bytes[4096];

  ahci_driver_start (f->driver, PORT);
  memset (memory (f, DATA), 0xa7, 512);
  block_calls.write_error = ENOSPC;
  ahci_driver_prepare (f->driver, PORT, 0, &write);
  set (f, CI, 1);
  ahci_driver_settle ();
  g_assert_cmpuint (f->n_no_room, ==, 1);
  ahci_resume (f->driver->ahci);
  ahci_driver_settle ();
  g_assert_cmpuint (f->n_no_room, ==, 2);
  g_assert_cmphex (get (f, CI), ==, 1);
  block_calls.write_error = 0;
  ahci_resume (f->driver->ahci);
  ahci_driver_wait (f->driver, PORT, 1);
  g_assert_cmphex (get (f, TFD), ==, GOOD);
  read_file (f, 7 * 512, bytes, 512);
  g_assert_cmphex (bytes[511], ==, 0xa7);
  block_calls.sync_error = ENOSPC;
  g_assert_cmphex (ahci_driver_run (f->driver, PORT, &flush), ==, 0x0400 | GOOD | 1);
  g_assert_cmpuint (f->n_no_room, ==, 2);
}

static void
test_queued_no_room (Fixture *f, gconstpointer data)
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
      memset (memory (f, DATA + tag * 4096), 0x80 + tag, 4096);
      ahci_driver_prepare (f->driver, PORT, tag, &write);
    }
  set (f, SACT, UINT32_MAX);
  set (f, CI, UINT32_MAX);
  ahci_driver_settle ();
  g_assert_cmpuint (f->n_no_room, ==, 32);
  g_assert_cmphex (get (f, SACT), ==, UINT32_MAX);
  block_calls.write_error = 0;
  ahci_resume (f->driver->ahci);
  ahci_driver_wait (f->driver, PORT, UINT32_MAX);
  g_assert_cmphex (get (f, TFD), ==, GOOD);
  for (unsigned tag = 0; tag < 32; tag++)
    {
      read_file (f, tag * 4096, bytes, sizeof bytes);
      g_assert_cmphex (bytes[4095], ==, 0x80 + tag);
    }
}

/* A command that is kept keeps the machine from its end no more than from a reset. */
static void
test_end_without_room (Fixture *f, gconstpointer data)
{
  const AhciDriverCommand write = {
    .command = 0x35, .lba = 7, .count = 1, .write = true, .data = DATA, .size = 512
  };

  block_calls.write_error = ENOSPC;
  ahci_driver_start (f->driver, PORT);
  ahci_driver_prepare (f->driver, PORT, 0, &write);
  set (f, CI, 1);
  ahci_driver_settle ();
  g_assert_cmpuint (f->n_no_room, ==, 1);
}

static void
test_reset_without_room (Fixture *f, gconstpointer data)
{
  test_end_without_room (f, data);
  pci_bus_reset (f->driver->bus);
  block_calls = (BlockCalls){ .no_ring = true };
  ahci_resume (f->driver->ahci);
  g_assert_cmpuint (block_calls.n_writes, ==, 0);
}

static void
test_settings (Fixture *f, gconstpointer data)
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

/* --- hostile --- */

static void
test_soft_reset (Fixture *f, gconstpointer data)
{
  const AhciDriverCommand none = { 0 };
  uint8_t *fis;

  ahci_driver_start (f->driver, PORT);
  for (unsigned step = 0; step < 2; step++)
    {
      ahci_driver_prepare (f->driver, PORT, 0, &none);
      fis = memory (f, AHCI_DRIVER_TABLE);
      fis[1] = 0;
      fis[15] = step == 0 ? 4 : 0;
      memory (f, AHCI_DRIVER_FIS + (PORT << 12))[0x40] = 0;
      set (f, CI, 1);
      ahci_driver_wait (f->driver, PORT, 1);
    }
  g_assert_cmphex (memory (f, AHCI_DRIVER_FIS + (PORT << 12))[0x40], ==, 0x34);
  g_assert_cmphex (get (f, TFD), ==, 0x150);
}

/* Lists, tables, data and FISes where there is no memory: the bus error of each, and the port works after a reset. */
static void
test_no_memory (Fixture *f, gconstpointer data)
{
  const AhciDriverCommand far_data = {
    .command = 0x25, .count = 1, .data = AHCI_DRIVER_RAM - 256, .size = 512
  };
  const AhciDriverCommand good = { .command = 0x25, .count = 1, .data = DATA, .size = 512 };

  ahci_driver_start (f->driver, PORT);
  ahci_driver_run (f->driver, PORT, &far_data);
  g_assert_cmphex (get (f, IS) & 0x30000000, ==, 1u << 28);
  ahci_driver_stop (f->driver, PORT);
  ahci_driver_start (f->driver, PORT);
  memset (memory (f, AHCI_DRIVER_LIST + (PORT << 12)) + 8, 0xff, 8);
  set (f, CI, 1);
  ahci_driver_wait (f->driver, PORT, 1);
  g_assert_cmphex (get (f, IS) & 0x30000000, ==, 1u << 29);
  ahci_driver_stop (f->driver, PORT);
  ahci_driver_start (f->driver, PORT);
  set (f, 0x04, 0xffffffff);
  set (f, CI, 1);
  ahci_driver_wait (f->driver, PORT, 1);
  g_assert_cmphex (get (f, IS) & 0x30000000, ==, 1u << 29);
  ahci_driver_stop (f->driver, PORT);
  ahci_driver_start (f->driver, PORT);
  set (f, 0x0c, 0xffffffff);
  ahci_driver_run (f->driver, PORT, &good);
  g_assert_cmphex (get (f, IS) & 0x30000000, ==, 1u << 29);
  ahci_driver_stop (f->driver, PORT);
  ahci_driver_comreset (f->driver, PORT);
  ahci_driver_start (f->driver, PORT);
  g_assert_cmphex (ahci_driver_run (f->driver, PORT, &good), ==, GOOD);
}

static void
issue_reads (Fixture *f)
{
  const AhciDriverCommand read = {
    .command = 0x60, .device = 0x40, .features = 8, .data = DATA, .size = 4096
  };

  ahci_driver_start (f->driver, PORT);
  for (unsigned tag = 0; tag < 32; tag++)
    ahci_driver_prepare (f->driver, PORT, tag, &read);
  block_calls.hold = true;
  set (f, SACT, UINT32_MAX);
  set (f, CI, UINT32_MAX);
  ahci_driver_settle ();
  g_assert_cmphex (get (f, SACT), ==, UINT32_MAX);
}

/* The engine stopped, the link reset, the controller reset with commands in work: the guest sees that they are, and nothing
 * of them is told afterwards. */
static void
test_stop_in_work (Fixture *f, gconstpointer data)
{
  if (!block_calls_have_ring ())
    {
      g_test_skip ("without io_uring no command stays in work");
      return;
    }
  for (unsigned how = 0; how < 3; how++)
    {
      const AhciDriverCommand one = { .command = 0x25, .count = 1, .data = DATA, .size = 512 };

      issue_reads (f);
      if (how == 0)
        set (f, CMD, 0x10);
      else if (how == 1)
        ahci_driver_comreset (f->driver, PORT);
      else
        ahci_driver_write (f->driver, 0x04, 1);
      ahci_driver_settle ();
      g_assert_cmphex (get (f, CMD) & 1u << 15, !=, 0);
      g_assert_cmphex (get (f, SSTS), ==, how == 0 ? 0x133 : 0);
      g_assert_cmphex (ahci_driver_read (f->driver, 0x04), ==, how == 2 ? 0x80000001 : 0x80000000);
      block_calls_release ();
      while ((get (f, CMD) & 1u << 15 && how != 1) || get (f, SSTS) != 0x133)
        g_main_context_iteration (NULL, TRUE);
      ahci_driver_settle ();
      g_assert_cmphex (get (f, SACT) | get (f, CI), ==, 0);
      g_assert_cmphex (get (f, IS) & 1u << 3, ==, 0);
      if (how == 2)
        g_assert_cmphex (ahci_driver_read (f->driver, 0x04), ==, 0x80000000);
      ahci_driver_stop (f->driver, PORT);
      ahci_driver_comreset (f->driver, PORT);
      ahci_driver_start (f->driver, PORT);
      g_assert_cmphex (ahci_driver_run (f->driver, PORT, &one), ==, GOOD);
    }
}

/* --- a vCPU that gives the controller no rest --- */

#define RESTLESS_PORT 4

typedef struct Restless
{
  Fixture *fixture;
  unsigned n_left;
  unsigned n_started;
} Restless;

/* Ends at once, and the guest, which another vCPU is, has issued the next before anybody looks. */
static void
restless_start (void *opaque, AtaCommand *command)
{
  Restless *restless = opaque;

  restless->n_started++;
  ata_command_finish (command, GOOD, 0);
  if (restless->n_left == 0)
    return;
  restless->n_left--;
  ahci_driver_write_port (restless->fixture->driver, RESTLESS_PORT, CI, 1);
}

static void
restless_nothing (void *opaque)
{
}

static void
restless_reset (void *opaque, bool power)
{
}

static void
test_issued_anew_for_ever (Fixture *f, gconstpointer data)
{
  static const AtaDriveOps ops = {
    .signature = ATA_SIGNATURE_DISK,
    .start = restless_start,
    .kick = restless_nothing,
    .reset = restless_reset,
    .drain = restless_nothing,
    .free = restless_nothing,
  };
  const AhciDriverCommand none = { .command = 0xe3 };
  const AhciDriverCommand one = { .command = 0x25, .count = 1, .data = DATA, .size = 512 };
  Restless restless = { .fixture = f, .n_left = 100000 };

  ahci_plug (f->driver->ahci, RESTLESS_PORT, &(AtaDrive){ &ops, &restless });
  ahci_driver_settle ();
  ahci_driver_start (f->driver, RESTLESS_PORT);
  ahci_driver_settle ();
  ahci_driver_prepare (f->driver, RESTLESS_PORT, 0, &none);
  ahci_driver_write_port (f->driver, RESTLESS_PORT, CI, 1);
  g_main_context_iteration (NULL, TRUE);
  g_assert_cmpuint (restless.n_started, ==, 32);
  /* The others have their turns while it rests, which is when settle () comes to an end. */
  ahci_driver_start (f->driver, PORT);
  g_assert_cmphex (ahci_driver_run (f->driver, PORT, &one), ==, GOOD);
  g_assert_cmpuint (restless.n_left, >, 0);
  restless.n_left = 0;
  ahci_driver_settle ();
}

/* --- addresses and sizes that cannot be --- */

static void
test_sector_overflow (Fixture *f, gconstpointer data)
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
        set (f, SACT, 1);
      set (f, CI, 1);
      ahci_driver_wait (f->driver, PORT, 1);
      g_assert_cmphex (get (f, TFD) & 0xff01, ==, 0x1001);
      ahci_driver_stop (f->driver, PORT);
    }
  g_assert_cmpuint (block_calls.n_reads + block_calls.n_writes, ==, 0);
  g_assert_cmpint (stat (f->path, &info), ==, 0);
  g_assert_cmpint (info.st_size, ==, IMAGE);
}

/* Less memory than sectors: nothing is moved at all. More of it: what is too much stays as it was. */
static void
test_odd_sizes (Fixture *f, gconstpointer data)
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
  memset (memory (f, DATA), 0xee, 1536);
  ahci_driver_start (f->driver, PORT);
  g_assert_cmphex (ahci_driver_run (f->driver, PORT, &roomy), ==, GOOD);
  assert_pattern (memory (f, DATA), 0, 512);
  g_assert_cmphex (memory (f, DATA)[512], ==, 0xee);
}

static void
test_trim_counts (Fixture *f, gconstpointer data)
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

      memset (memory (f, DATA), 0, 512);
      memcpy (memory (f, DATA), &range, sizeof range);
      ahci_driver_start (f->driver, PORT);
      g_assert_cmphex (ahci_driver_run (f->driver, PORT, &trim), ==, 0x1000 | GOOD | 1);
      ahci_driver_stop (f->driver, PORT);
    }
  g_assert_cmphex (block_calls.allocate_modes, ==, 0);
  read_file (f, IMAGE - 512, bytes, sizeof bytes);
  assert_pattern (bytes, IMAGE - 512, sizeof bytes);
}

static void
test_truncated_under_us (Fixture *f, gconstpointer data)
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

/* As long a list as the header can say, of pieces as small as they get: bounded, and refused. */
static void
test_long_list (Fixture *f, gconstpointer data)
{
  const AhciDriverCommand read = {
    .command = 0x25, .count = 4, .data = DATA, .size = 2048, .piece = 2
  };
  const AhciDriverCommand many = {
    .command = 0x25, .count = 5, .data = DATA, .size = 2560, .piece = 2
  };

  ahci_driver_start (f->driver, PORT);
  g_assert_cmphex (ahci_driver_run (f->driver, PORT, &read), ==, GOOD);
  assert_pattern (memory (f, DATA), 0, 2048);
  g_assert_cmphex (ahci_driver_run (f->driver, PORT, &many), ==, 0x0451);
}

static void
test_without_bus_master (Fixture *f, gconstpointer data)
{
  const AhciDriverCommand read = { .command = 0x25, .count = 1, .data = DATA, .size = 512 };
  const unsigned devfn = AHCI_SLOT << 3 | AHCI_FUNCTION;

  ahci_driver_start (f->driver, PORT);
  pci_bus_config_write (f->driver->bus, devfn, PCI_COMMAND, 2, PCI_COMMAND_MEMORY);
  ahci_driver_prepare (f->driver, PORT, 0, &read);
  set (f, CI, 1);
  ahci_driver_settle ();
  g_assert_cmphex (get (f, CI), ==, 1);
  pci_bus_config_write (f->driver->bus, devfn, PCI_COMMAND, 2,
                        PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
  ahci_driver_wait (f->driver, PORT, 1);
  g_assert_cmphex (get (f, TFD), ==, GOOD);
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
  g_test_add ("/ahci/hostile-8-memory-changes/" name, Fixture, data, setup_changing, func,         \
              teardown_changing)

#define TEST(name, function) g_test_add ("/ahci/" name, Fixture, NULL, setup, function, teardown)

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  /* What a hostile guest does is complained of. */
  g_log_set_always_fatal (G_LOG_LEVEL_ERROR | G_LOG_LEVEL_CRITICAL);
  TEST ("function", test_function);
  TEST ("link", test_link);
  TEST ("comreset", test_comreset);
  TEST ("hba-reset", test_hba_reset);
  TEST ("narrow-and-wide", test_narrow_and_wide);
  TEST ("interrupt", test_interrupt);
  TEST ("identify", test_identify);
  TEST ("read", test_read);
  TEST ("write", test_write);
  TEST ("queued", test_queued);
  TEST ("queued-error", test_queued_error);
  TEST ("errors", test_errors);
  TEST ("trim", test_trim);
  TEST ("settings", test_settings);
  TEST ("soft-reset", test_soft_reset);
  TEST ("no-memory", test_no_memory);
  g_test_add ("/ahci/no-room", Fixture, no_ring, setup, test_no_room, teardown);
  g_test_add ("/ahci/queued-no-room", Fixture, no_ring, setup, test_queued_no_room, teardown);
  g_test_add ("/ahci/end-without-room", Fixture, no_ring, setup, test_end_without_room, teardown);
  g_test_add ("/ahci/reset-without-room", Fixture, no_ring, setup, test_reset_without_room,
              teardown);
  TEST ("hostile-10-issued-anew-for-ever", test_issued_anew_for_ever);
  TEST ("hostile-15-sector-overflow", test_sector_overflow);
  TEST ("hostile-15-odd-sizes", test_odd_sizes);
  TEST ("hostile-15-trim-counts", test_trim_counts);
  TEST ("hostile-15-truncated-under-us", test_truncated_under_us);
  TEST ("hostile-7-stop-in-work", test_stop_in_work);
  TEST ("long-list", test_long_list);
  TEST ("without-bus-master", test_without_bus_master);
  ADD_CHANGING ("identify", NULL, test_identify);
  ADD_CHANGING ("read", NULL, test_read);
  ADD_CHANGING ("write", NULL, test_write);
  ADD_CHANGING ("queued", NULL, test_queued);
  ADD_CHANGING ("trim", NULL, test_trim);
  return g_test_run ();
}
