#include <string.h>
#include <unistd.h>
#include <gio/gio.h>
#include <glib/gstdio.h>

#include "ahci-driver.h"
#include "platform/cd-drive.h"

#define BLOCKS 64
#define IMAGE  (BLOCKS * CD_BLOCK_SIZE)
#define PORT   0
#define DATA   AHCI_DRIVER_DATA
#define GOOD   0x50
#define FAILED 0x51

typedef struct Fixture
{
  char *folder;
  char *first;
  char *second;
  AhciDriver *driver;
  CdDrive *cd;
  GString *moves; /* "open close " */
} Fixture;

static uint8_t
pattern (unsigned medium, uint64_t offset)
{
  return (offset >> 11) * 5 + offset + medium;
}

static char *
make_image (Fixture *f, unsigned medium, size_t size)
{
  g_autofree char *name = g_strdup_printf ("%u-%zu.iso", medium, size);
  g_autofree uint8_t *bytes = g_malloc (size + 1);
  char *path = g_build_filename (f->folder, name, NULL);

  for (size_t i = 0; i < size; i++)
    bytes[i] = pattern (medium, i);
  g_assert_true (g_file_set_contents (path, (const char *) bytes, size, NULL));
  return path;
}

static void
on_tray_moved (void *opaque, bool is_open)
{
  Fixture *f = opaque;

  g_string_append (f->moves, is_open ? "open " : "close ");
}

static void
assert_moves (Fixture *f, const char *expected)
{
  g_assert_cmpstr (f->moves->str, ==, expected);
  g_string_truncate (f->moves, 0);
}

static void
setup (Fixture *f, gconstpointer data)
{
  const bool is_empty = data != NULL;
  g_autoptr (GError) error = NULL;
  AtaDrive drive;

  f->folder = g_dir_make_tmp ("alcove-cd-XXXXXX", NULL);
  f->first = make_image (f, 1, IMAGE);
  f->second = make_image (f, 2, IMAGE / 2);
  f->moves = g_string_new (NULL);
  f->driver = ahci_driver_new ();
  const CdDriveConfig config = {
    .file = is_empty ? NULL : f->first, .serial = "cdrom0", .tray_moved = on_tray_moved, .opaque = f
  };
  f->cd = cd_drive_new (&config, ahci_get_home (f->driver->ahci), &drive, &error);
  g_assert_no_error (error);
  ahci_plug (f->driver->ahci, PORT, &drive);
  ahci_driver_connect (f->driver);
  ahci_driver_start (f->driver, PORT);
}

static void
teardown (Fixture *f, gconstpointer data)
{
  ahci_driver_free (f->driver);
  g_autoptr (GDir) folder = g_dir_open (f->folder, 0, NULL);
  for (const char *name; (name = g_dir_read_name (folder));)
    {
      g_autofree char *path = g_build_filename (f->folder, name, NULL);
      g_unlink (path);
    }
  g_rmdir (f->folder);
  g_string_free (f->moves, TRUE);
  g_free (f->first);
  g_free (f->second);
  g_free (f->folder);
}

static uint8_t *
memory (Fixture *f)
{
  return guest_memory_map (f->driver->memory, DATA, IMAGE);
}

/* Bytes of a packet, the rest of which is zeros. */
#define PACKET(...) ((const uint8_t[12]){ __VA_ARGS__ })

/* Runs a packet with that much room; returns status and error, and has the port work again after an error. */
static uint32_t
run (Fixture *f, const uint8_t *packet, uint32_t size)
{
  const AhciDriverCommand command = {
    .command = 0xa0, .features = 1, .cdb = packet, .data = DATA, .size = size, .piece = 1500
  };

  memset (memory (f), 0xee, MAX (size, 64));
  const uint32_t tfd = ahci_driver_run (f->driver, PORT, &command);
  if (tfd & 1)
    {
      ahci_driver_stop (f->driver, PORT);
      ahci_driver_start (f->driver, PORT);
    }
  return tfd & 0xff;
}

static uint32_t
done (Fixture *f)
{
  return ahci_driver_get_bytes_done (f->driver, PORT, 0);
}

/* What REQUEST SENSE says: 0xKKAAQQ. */
static uint32_t
sense (Fixture *f)
{
  g_assert_cmphex (run (f, PACKET (0x03, 0, 0, 0, 18), 18), ==, GOOD);
  g_assert_cmpuint (done (f), ==, 18);
  g_assert_cmphex (memory (f)[0], ==, 0x70);
  return memory (f)[2] << 16 | memory (f)[12] << 8 | memory (f)[13];
}

static void
assert_fails (Fixture *f, const uint8_t *packet, uint32_t size, uint32_t expected)
{
  g_assert_cmphex (run (f, packet, size), ==, FAILED);
  g_assert_cmphex (sense (f), ==, expected);
  g_assert_cmphex (sense (f), ==, 0); /* told once */
}

static uint32_t
be32 (const uint8_t *bytes)
{
  return (uint32_t) bytes[0] << 24 | bytes[1] << 16 | bytes[2] << 8 | bytes[3];
}

static void
assert_blocks (Fixture *f, unsigned medium, unsigned block, unsigned n)
{
  for (unsigned i = 0; i < n * CD_BLOCK_SIZE; i++)
    g_assert_cmphex (memory (f)[i], ==, pattern (medium, block * CD_BLOCK_SIZE + i));
}

/* --- the drive --- */

static void
test_identify (Fixture *f, gconstpointer data)
{
  const AhciDriverCommand identify = { .command = 0xa1, .data = DATA, .size = 512 };
  const AhciDriverCommand as_disk = { .command = 0xec, .data = DATA, .size = 512 };

  g_assert_cmphex (ahci_driver_read_port (f->driver, PORT, 0x24), ==, 0xeb140101);
  g_assert_cmphex (ahci_driver_run (f->driver, PORT, &identify) & 0xff, ==, GOOD);
  g_assert_cmphex (memory (f)[0] | memory (f)[1] << 8, ==, 0x85c0);
  /* A disk's IDENTIFY is refused, with the signature of a packet drive. */
  g_assert_cmphex (ahci_driver_run (f->driver, PORT, &as_disk), ==, 0x0451);
  const uint8_t *fis =
      guest_memory_map (f->driver->memory, AHCI_DRIVER_FIS + (PORT << 12) + 0x40, 20);
  g_assert_cmphex (fis[5], ==, 0x14);
  g_assert_cmphex (fis[6], ==, 0xeb);
}

static void
test_inquiry (Fixture *f, gconstpointer data)
{
  g_assert_cmphex (run (f, PACKET (0x12, 0, 0, 0, 36), 36), ==, GOOD);
  g_assert_cmpuint (done (f), ==, 36);
  g_assert_cmphex (memory (f)[0], ==, 0x05);
  g_assert_cmphex (memory (f)[1], ==, 0x80);
  g_assert_cmpint (memcmp (memory (f) + 8, "ALCOVE  DVD-ROM         1.0 ", 28), ==, 0);
  /* As much as is asked for, and as there is room. */
  g_assert_cmphex (run (f, PACKET (0x12, 0, 0, 0, 5), 36), ==, GOOD);
  g_assert_cmpuint (done (f), ==, 5);
  g_assert_cmphex (memory (f)[5], ==, 0xee);
  g_assert_cmphex (run (f, PACKET (0x12, 0, 0, 0, 36), 7), ==, GOOD);
  g_assert_cmpuint (done (f), ==, 7);
  g_assert_cmphex (run (f, PACKET (0x12, 1, 0x80, 0, 36), 36), ==, GOOD);
  g_assert_cmpint (memcmp (memory (f) + 4, "cdrom0", 6), ==, 0);
  assert_fails (f, PACKET (0x12, 1, 0x99, 0, 36), 36, 0x052400);
  assert_fails (f, PACKET (0xff), 0, 0x052000);
}

static void
test_read (Fixture *f, gconstpointer data)
{
  g_assert_cmphex (run (f, PACKET (0x25), 8), ==, GOOD);
  g_assert_cmpuint (be32 (memory (f)), ==, BLOCKS - 1);
  g_assert_cmpuint (be32 (memory (f) + 4), ==, CD_BLOCK_SIZE);
  g_assert_cmphex (run (f, PACKET (0x28, 0, 0, 0, 0, 3, 0, 0, 4), 4 * CD_BLOCK_SIZE), ==, GOOD);
  g_assert_cmpuint (done (f), ==, 4 * CD_BLOCK_SIZE);
  assert_blocks (f, 1, 3, 4);
  g_assert_cmphex (run (f, PACKET (0xa8, 0, 0, 0, 0, 60, 0, 0, 0, 4), 4 * CD_BLOCK_SIZE), ==, GOOD);
  assert_blocks (f, 1, 60, 4);
  g_assert_cmphex (run (f, PACKET (0xbe, 0, 0, 0, 0, 7, 0, 0, 1, 0x10), CD_BLOCK_SIZE), ==, GOOD);
  assert_blocks (f, 1, 7, 1);
  /* Less room than was asked for. */
  g_assert_cmphex (run (f, PACKET (0x28, 0, 0, 0, 0, 9, 0, 0, 2), CD_BLOCK_SIZE), ==, GOOD);
  g_assert_cmpuint (done (f), ==, CD_BLOCK_SIZE);
  g_assert_cmphex (run (f, PACKET (0x28, 0, 0, 0, 0, 9), 0), ==, GOOD);
  assert_fails (f, PACKET (0x28, 0, 0, 0, 0, 61, 0, 0, 4), 4 * CD_BLOCK_SIZE, 0x052100);
  assert_fails (f, PACKET (0x28, 0, 0xff, 0xff, 0xff, 0xff, 0, 0, 1), CD_BLOCK_SIZE, 0x052100);
  assert_fails (f, PACKET (0xa8, 0, 0, 0, 0, 1, 0xff, 0xff, 0xff, 0xff), CD_BLOCK_SIZE, 0x052100);
  assert_fails (f, PACKET (0xbe, 0, 0, 0, 0, 7, 0, 0, 1, 0xf8), CD_BLOCK_SIZE, 0x052400);
}

static void
test_toc (Fixture *f, gconstpointer data)
{
  g_assert_cmphex (run (f, PACKET (0x43, 0, 0, 0, 0, 0, 0, 0, 64), 64), ==, GOOD);
  g_assert_cmpuint (done (f), ==, 20);
  g_assert_cmpint (memory (f)[1], ==, 18);
  g_assert_cmphex (memory (f)[14], ==, 0xaa);
  g_assert_cmpuint (be32 (memory (f) + 16), ==, BLOCKS);
  g_assert_cmphex (run (f, PACKET (0x43, 2, 0, 0, 0, 0, 0xaa, 0, 64), 64), ==, GOOD);
  g_assert_cmpuint (done (f), ==, 12);
  g_assert_cmpuint (be32 (memory (f) + 8), ==, 2 << 8 | (BLOCKS + 150 - 2 * 75)); /* 00:02:64 */
  g_assert_cmphex (run (f, PACKET (0x43, 0, 1, 0, 0, 0, 0, 0, 64), 64), ==, GOOD);
  g_assert_cmpuint (done (f), ==, 12);
  g_assert_cmphex (run (f, PACKET (0x43, 0, 2, 0, 0, 0, 0, 0, 64), 64), ==, GOOD);
  g_assert_cmpuint (done (f), ==, 48);
  assert_fails (f, PACKET (0x43, 0, 0, 0, 0, 0, 2, 0, 64), 64, 0x052400);
  assert_fails (f, PACKET (0x43, 0, 5, 0, 0, 0, 0, 0, 64), 64, 0x052400);
}

static void
test_what_it_can (Fixture *f, gconstpointer data)
{
  g_assert_cmphex (run (f, PACKET (0x46, 0, 0, 0, 0, 0, 0, 4, 0), 1024), ==, GOOD);
  g_assert_cmpuint (be32 (memory (f)), ==, done (f) - 4);
  g_assert_cmphex (memory (f)[7], ==, 0x08); /* a CD */
  g_assert_cmphex (run (f, PACKET (0x46, 2, 0, 3, 0, 0, 0, 4, 0), 1024), ==, GOOD);
  g_assert_cmpuint (done (f), ==, 16);
  g_assert_cmphex (memory (f)[12], ==, 0x29);
  assert_fails (f, PACKET (0x46, 3, 0, 3, 0, 0, 0, 4, 0), 1024, 0x052400);
  g_assert_cmphex (run (f, PACKET (0x5a, 0, 0x2a, 0, 0, 0, 0, 0, 64), 64), ==, GOOD);
  g_assert_cmpuint (done (f), ==, 28);
  g_assert_cmphex (memory (f)[8], ==, 0x2a);
  g_assert_cmphex (run (f, PACKET (0x5a, 0, 0x3f, 0, 0, 0, 0, 0, 64), 64), ==, GOOD);
  g_assert_cmpuint (done (f), ==, 36);
  assert_fails (f, PACKET (0x5a, 0, 0x11, 0, 0, 0, 0, 0, 64), 64, 0x052400);
  g_assert_cmphex (run (f, PACKET (0x51, 0, 0, 0, 0, 0, 0, 0, 34), 64), ==, GOOD);
  g_assert_cmphex (memory (f)[2], ==, 0x0e);
  g_assert_cmphex (run (f, PACKET (0x52, 1, 0, 0, 0, 1, 0, 0, 36), 64), ==, GOOD);
  g_assert_cmpuint (be32 (memory (f) + 24), ==, BLOCKS);
  g_assert_cmphex (run (f, PACKET (0xbd, 0, 0, 0, 0, 0, 0, 0, 0, 8), 8), ==, GOOD);
  g_assert_cmphex (memory (f)[1], ==, 0);
  g_assert_cmphex (run (f, PACKET (0xac, 0, 0, 0, 0, 0, 0, 0, 0, 1), 64), ==, GOOD);
  g_assert_cmpuint (done (f), ==, 24);
  assert_fails (f, PACKET (0xad, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff), 4096, 0x056400); /* no DVD */
}

/* More than a CD holds (of holes): a DVD, with what belongs to that. */
static void
test_dvd (Fixture *f, gconstpointer data)
{
  g_autofree char *path = g_build_filename (f->folder, "dvd.iso", NULL);
  g_autoptr (GError) error = NULL;

  g_assert_true (g_file_set_contents (path, "", 0, NULL));
  g_assert_cmpint (truncate (path, UINT64_C (2) << 30), ==, 0);
  g_assert_true (cd_drive_change (f->cd, path, false, &error));
  g_assert_cmphex (run (f, PACKET (0x46, 0, 0, 0, 0, 0, 0, 4, 0), 1024), ==, GOOD);
  g_assert_cmphex (memory (f)[7], ==, 0x10);
  assert_fails (f, PACKET (0x00), 0, 0x062800);
  g_assert_cmphex (run (f, PACKET (0xad, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff), 4096), ==, GOOD);
  g_assert_cmpuint (done (f), ==, 2052);
  g_assert_cmphex (be32 (memory (f) + 12), ==, 0x030000 + (1 << 20) - 1);
}

/* --- media --- */

static void
test_change (Fixture *f, gconstpointer data)
{
  g_autoptr (GError) error = NULL;
  CdDriveState state;

  g_assert_true (cd_drive_eject (f->cd, false, &error));
  assert_moves (f, "open ");
  assert_fails (f, PACKET (0x00), 0, 0x023a02);
  g_assert_cmphex (run (f, PACKET (0x4a, 1, 0, 0, 0x10, 0, 0, 0, 8), 8), ==, GOOD);
  g_assert_cmphex (be32 (memory (f) + 4), ==, 0x03010000); /* gone; open, no medium */
  g_assert_true (cd_drive_change (f->cd, f->second, false, &error));
  assert_moves (f, "close ");
  g_assert_cmphex (run (f, PACKET (0x4a, 1, 0, 0, 0x10, 0, 0, 0, 8), 8), ==, GOOD);
  g_assert_cmphex (be32 (memory (f) + 4), ==, 0x02020000); /* a new one; closed */
  g_assert_cmphex (run (f, PACKET (0x4a, 1, 0, 0, 0x10, 0, 0, 0, 8), 8), ==, GOOD);
  g_assert_cmphex (be32 (memory (f) + 4), ==, 0x00020000); /* told once */
  /* INQUIRY does not take the unit attention away, READ does. */
  g_assert_cmphex (run (f, PACKET (0x12, 0, 0, 0, 36), 36), ==, GOOD);
  assert_fails (f, PACKET (0x28, 0, 0, 0, 0, 3, 0, 0, 1), CD_BLOCK_SIZE, 0x062800);
  g_assert_cmphex (run (f, PACKET (0x28, 0, 0, 0, 0, 3, 0, 0, 1), CD_BLOCK_SIZE), ==, GOOD);
  assert_blocks (f, 2, 3, 1);
  cd_drive_get_state (f->cd, &state);
  g_assert_cmpstr (state.file, ==, f->second);
  g_assert_cmpuint (state.size, ==, IMAGE / 2);
  cd_drive_state_clear (&state);
}

static void
test_lock (Fixture *f, gconstpointer data)
{
  g_autoptr (GError) error = NULL;

  g_assert_cmphex (run (f, PACKET (0x1e, 0, 0, 0, 1), 0), ==, GOOD);
  g_assert_false (cd_drive_eject (f->cd, false, &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_BUSY);
  g_clear_error (&error);
  g_assert_false (cd_drive_change (f->cd, f->second, false, &error));
  g_clear_error (&error);
  /* The guest is asked. */
  g_assert_cmphex (run (f, PACKET (0x4a, 1, 0, 0, 0x10, 0, 0, 0, 8), 8), ==, GOOD);
  g_assert_cmphex (be32 (memory (f) + 4), ==, 0x01020000);
  assert_fails (f, PACKET (0x1b, 0, 0, 0, 2), 0, 0x055302);
  assert_moves (f, "");
  /* A reset of the wire keeps the lock, one of the machine does not. */
  ahci_driver_stop (f->driver, PORT);
  ahci_driver_comreset (f->driver, PORT);
  ahci_driver_start (f->driver, PORT);
  assert_fails (f, PACKET (0x1b, 0, 0, 0, 2), 0, 0x055302);
  g_assert_cmphex (run (f, PACKET (0x1e), 0), ==, GOOD);
  g_assert_cmphex (run (f, PACKET (0x1b, 0, 0, 0, 2), 0), ==, GOOD);
  assert_moves (f, "open ");
  g_assert_cmphex (run (f, PACKET (0x1b, 0, 0, 0, 3), 0), ==, GOOD);
  assert_moves (f, "close ");
  /* The same medium: an event, no unit attention. */
  g_assert_cmphex (run (f, PACKET (0x28, 0, 0, 0, 0, 3, 0, 0, 1), CD_BLOCK_SIZE), ==, GOOD);
  g_assert_cmphex (run (f, PACKET (0x4a, 1, 0, 0, 0x10, 0, 0, 0, 8), 8), ==, GOOD);
  g_assert_cmphex (be32 (memory (f) + 4), ==, 0x02020000);
  g_assert_cmphex (run (f, PACKET (0x1e, 0, 0, 0, 1), 0), ==, GOOD);
  g_assert_true (cd_drive_eject (f->cd, true, &error));
  assert_moves (f, "open ");
}

static void
test_empty (Fixture *f, gconstpointer data)
{
  g_autoptr (GError) error = NULL;

  assert_fails (f, PACKET (0x00), 0, 0x023a01);
  assert_fails (f, PACKET (0x28, 0, 0, 0, 0, 0, 0, 0, 1), CD_BLOCK_SIZE, 0x023a01);
  g_assert_cmphex (run (f, PACKET (0x46, 0, 0, 0, 0, 0, 0, 4, 0), 1024), ==, GOOD);
  g_assert_cmphex (memory (f)[7], ==, 0);
  g_assert_true (cd_drive_eject (f->cd, false, &error));
  cd_drive_close_tray (f->cd);
  assert_moves (f, "open close ");
  assert_fails (f, PACKET (0x00), 0, 0x023a01);
  g_assert_true (cd_drive_change (f->cd, f->first, false, &error));
  assert_moves (f, "open close ");
  assert_fails (f, PACKET (0x00), 0, 0x062800);
  g_assert_cmphex (run (f, PACKET (0x00), 0), ==, GOOD);
}

static void
test_unfit_files (Fixture *f, gconstpointer data)
{
  g_autofree char *odd = make_image (f, 3, 10 * 512);
  g_autofree char *odder = make_image (f, 3, 5000);
  const char *const unfit[] = { odd, odder, "/nonexistent.iso", f->folder };
  CdDriveState state;

  for (unsigned i = 0; i < G_N_ELEMENTS (unfit); i++)
    {
      g_autoptr (GError) error = NULL;

      g_assert_false (cd_drive_change (f->cd, unfit[i], false, &error));
      g_assert_nonnull (error);
      g_assert_nonnull (strstr (error->message, unfit[i]));
      g_assert_null (strchr (error->message, '\n'));
    }
  assert_moves (f, "");
  cd_drive_get_state (f->cd, &state);
  g_assert_cmpstr (state.file, ==, f->first);
  cd_drive_state_clear (&state);
}

/* The file becomes shorter under a running guest. */
static void
test_cut_off_while_it_runs (Fixture *f, gconstpointer data)
{
  g_assert_cmpint (truncate (f->first, IMAGE / 2), ==, 0);
  g_assert_cmphex (run (f, PACKET (0x28, 0, 0, 0, 0, 0, 0, 0, 1), CD_BLOCK_SIZE), ==, GOOD);
  assert_fails (f, PACKET (0x28, 0, 0, 0, 0, BLOCKS - 1, 0, 0, 1), CD_BLOCK_SIZE, 0x031100);
}

/* The download broke off: the disc is as long as its volume says, and what is missing cannot be read. */
static void
test_cut_off (Fixture *f, gconstpointer data)
{
  static const uint8_t descriptor[6] = "\1CD001";
  g_autoptr (GError) error = NULL;
  g_autofree char *path = make_image (f, 3, IMAGE / 2);
  FILE *file = g_fopen (path, "r+");
  CdDriveState state;

  g_assert_cmpint (fseek (file, 16 * CD_BLOCK_SIZE, SEEK_SET), ==, 0);
  g_assert_cmpuint (fwrite (descriptor, 1, sizeof descriptor, file), ==, sizeof descriptor);
  g_assert_cmpint (fseek (file, 16 * CD_BLOCK_SIZE + 80, SEEK_SET), ==, 0);
  g_assert_cmpint (fputc (BLOCKS, file), ==, BLOCKS);
  g_assert_cmpint (fputc (0, file) | fputc (0, file) | fputc (0, file), ==, 0);
  fclose (file);
  g_assert_true (cd_drive_change (f->cd, path, false, &error));
  cd_drive_get_state (f->cd, &state);
  g_assert_cmpuint (state.size, ==, IMAGE / 2);
  cd_drive_state_clear (&state);
  assert_fails (f, PACKET (0x00), 0, 0x062800);
  g_assert_cmphex (run (f, PACKET (0x25), 8), ==, GOOD);
  g_assert_cmpuint (be32 (memory (f)), ==, BLOCKS - 1);
  g_assert_cmphex (run (f, PACKET (0x28, 0, 0, 0, 0, BLOCKS / 2 - 1, 0, 0, 1), CD_BLOCK_SIZE), ==,
                   GOOD);
  assert_fails (f, PACKET (0x28, 0, 0, 0, 0, BLOCKS / 2 - 1, 0, 0, 2), 2 * CD_BLOCK_SIZE, 0x031100);
  assert_fails (f, PACKET (0x28, 0, 0, 0, 0, BLOCKS - 1, 0, 0, 1), CD_BLOCK_SIZE, 0x031100);
  assert_fails (f, PACKET (0x28, 0, 0, 0, 0, BLOCKS, 0, 0, 1), CD_BLOCK_SIZE, 0x052100);
  /* As long as it can be said. */
  file = g_fopen (path, "r+");
  g_assert_cmpint (fseek (file, 16 * CD_BLOCK_SIZE + 80, SEEK_SET), ==, 0);
  for (unsigned i = 0; i < 4; i++)
    g_assert_cmpint (fputc (0xff, file), ==, 0xff);
  fclose (file);
  g_assert_true (cd_drive_change (f->cd, path, false, &error));
  assert_fails (f, PACKET (0x00), 0, 0x062800);
  assert_fails (f, PACKET (0xa8, 0, 0xff, 0xff, 0xff, 0xfe, 0, 0, 0, 1), CD_BLOCK_SIZE, 0x031100);
  g_assert_cmphex (run (f, PACKET (0x43, 2, 0, 0, 0, 0, 1, 0, 32), 32), ==, GOOD);
}

/* Reads in work when the medium is taken out: each is answered, from the medium that was there. */
static void
test_eject_in_work (Fixture *f, gconstpointer data)
{
  const AhciDriverCommand read = { .command = 0xa0,
                                   .features = 1,
                                   .cdb = PACKET (0x28, 0, 0, 0, 0, 0, 0, 0, 32),
                                   .data = DATA,
                                   .size = 32 * CD_BLOCK_SIZE };
  g_autoptr (GError) error = NULL;

  ahci_driver_prepare (f->driver, PORT, 0, &read);
  ahci_driver_write_port (f->driver, PORT, 0x38, 1);
  g_main_context_iteration (NULL, FALSE);
  g_assert_true (cd_drive_eject (f->cd, true, &error));
  ahci_driver_wait (f->driver, PORT, 1);
  g_assert_cmphex (ahci_driver_read_port (f->driver, PORT, 0x20) & 0xff, ==, GOOD);
  assert_blocks (f, 1, 0, 32);
}

#define TEST(name, data, function)                                                                 \
  g_test_add ("/cd-drive/" name, Fixture, data, setup, function, teardown)

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  TEST ("identify", NULL, test_identify);
  TEST ("inquiry", NULL, test_inquiry);
  TEST ("read", NULL, test_read);
  TEST ("toc", NULL, test_toc);
  TEST ("what-it-can", NULL, test_what_it_can);
  TEST ("dvd", NULL, test_dvd);
  TEST ("change", NULL, test_change);
  TEST ("lock", NULL, test_lock);
  TEST ("empty", "", test_empty);
  TEST ("unfit-files", NULL, test_unfit_files);
  TEST ("cut-off-while-it-runs", NULL, test_cut_off_while_it_runs);
  TEST ("cut-off", NULL, test_cut_off);
  TEST ("eject-in-work", NULL, test_eject_in_work);
  return g_test_run ();
}
