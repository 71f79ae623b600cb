#include "ahci-disk.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>
#include <glib/gstdio.h>

#include "block-calls.h"
#include "block/block-raw.h"
#include "platform/ata-disk.h"

const char ahci_disk_no_ring[] = "no ring";

static uint8_t
pattern (uint64_t offset)
{
  return (offset >> 9) * 7 + offset;
}

static void
on_no_room (void *opaque, int code)
{
  AhciDisk *disk = opaque;

  g_assert_cmpint (code, ==, ENOSPC);
  disk->n_no_room++;
}

void
ahci_disk_set_up (AhciDisk *disk, gconstpointer data)
{
  g_autofree uint8_t *bytes = g_malloc (AHCI_DISK_SIZE);
  g_autoptr (GError) error = NULL;
  AtaDrive drive;

  block_calls = (BlockCalls){ .no_ring = data == ahci_disk_no_ring };
  disk->folder = g_dir_make_tmp ("alcove-ahci-XXXXXX", NULL);
  disk->path = g_build_filename (disk->folder, "disk.raw", NULL);
  for (unsigned i = 0; i < AHCI_DISK_SIZE; i++)
    bytes[i] = pattern (i);
  g_assert_true (g_file_set_contents (disk->path, (const char *) bytes, AHCI_DISK_SIZE, NULL));
  disk->driver = ahci_driver_new ();
  AtaDiskConfig config = { .serial = "alcove-0001", .no_room = on_no_room, .opaque = disk };
  block_raw_open_backend (disk->path, false, &config.backend, &error);
  g_assert_no_error (error);
  ata_disk_new (&config, ahci_get_home (disk->driver->ahci), &drive);
  ahci_plug (disk->driver->ahci, AHCI_DISK_PORT, &drive);
  ahci_driver_connect (disk->driver);
}

void
ahci_disk_tear_down (AhciDisk *disk, gconstpointer data)
{
  ahci_driver_free (disk->driver);
  g_unlink (disk->path);
  g_rmdir (disk->folder);
  g_free (disk->path);
  g_free (disk->folder);
}

uint32_t
ahci_disk_get (AhciDisk *disk, unsigned offset)
{
  return ahci_driver_read_port (disk->driver, AHCI_DISK_PORT, offset);
}

void
ahci_disk_set (AhciDisk *disk, unsigned offset, uint32_t value)
{
  ahci_driver_write_port (disk->driver, AHCI_DISK_PORT, offset, value);
}

uint8_t *
ahci_disk_map (AhciDisk *disk, uint64_t gpa)
{
  return guest_memory_map (disk->driver->memory, gpa, 0x1000);
}

void
ahci_disk_read_file (AhciDisk *disk, uint64_t offset, void *buffer, size_t size)
{
  int fd = open (disk->path, O_RDONLY | O_CLOEXEC);

  g_assert_cmpint (pread (fd, buffer, size, offset), ==, size);
  close (fd);
}

void
ahci_disk_assert_pattern (const uint8_t *bytes, uint64_t offset, unsigned size)
{
  for (unsigned i = 0; i < size; i++)
    g_assert_cmphex (bytes[i], ==, pattern (offset + i));
}
