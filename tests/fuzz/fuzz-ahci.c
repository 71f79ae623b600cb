/* The SATA controller with a disk and a CD-ROM drive: the input is a row of steps, each a byte of kind and its arguments. Registers of any
 * size at any offset; headers, FISes, packets and PRDTs of any content; interleaved with the controller's own work. */
#include "fuzz-target.h"

#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "ahci-driver.h"
#include "block/block-raw.h"
#include "fuzz-input.h"
#include "platform/ata-disk.h"
#include "platform/cd-drive.h"

#define IMAGE_SIZE 0x10000
#define STEPS_MAX  256
#define DISK_PORT  0
#define CD_PORT    1

/* Any bytes to where lists, tables and data are. */
static void
poke (FuzzInput *input, AhciDriver *driver)
{
  static const uint32_t places[] = {
    AHCI_DRIVER_LIST,         AHCI_DRIVER_LIST + 0x1000, AHCI_DRIVER_TABLE,
    AHCI_DRIVER_TABLE + 0x80, AHCI_DRIVER_DATA,
  };
  const uint64_t start = places[fuzz_take (input, 1) % G_N_ELEMENTS (places)];
  const uint64_t place = start + fuzz_take (input, 1) * 4;
  size_t n = fuzz_take (input, 1) % 64;
  const uint8_t *bytes = fuzz_take_bytes (input, &n);

  guest_memory_write (driver->memory, place, bytes, n);
}

/* A command that is well-formed but in its values. */
static void
issue (FuzzInput *input, AhciDriver *driver)
{
  const unsigned port = fuzz_take (input, 1) & 1, slot = fuzz_take (input, 1) % 32;
  uint8_t cdb[12];

  for (unsigned i = 0; i < sizeof cdb && port == CD_PORT; i++)
    cdb[i] = fuzz_take (input, 1);
  const AhciDriverCommand command = {
    .command = port == CD_PORT ? 0xa0 : fuzz_take (input, 1),
    .device = fuzz_take (input, 1),
    .features = fuzz_take (input, 2),
    .count = fuzz_take (input, 2),
    .lba = fuzz_take (input, 2),
    .cdb = port == CD_PORT ? cdb : NULL,
    .data = AHCI_DRIVER_DATA + fuzz_take (input, 1),
    .size = fuzz_take (input, 2),
    .piece = 1 + fuzz_take (input, 2) % 4096 + 1024,
  };
  ahci_driver_prepare (driver, port, slot, &command);
  if (fuzz_take (input, 1) & 1)
    ahci_driver_write_port (driver, port, 0x34, 1u << slot);
  ahci_driver_write_port (driver, port, 0x38, 1u << slot);
}

static void
step (FuzzInput *input, AhciDriver *driver, CdDrive *cd, const char *path)
{
  const unsigned kind = fuzz_take (input, 1) % 8;

  switch (kind)
    {
    case 0:
      {
        const uint64_t offset = fuzz_take (input, 2) % 0x1000;
        const unsigned size = 1u << fuzz_take (input, 1) % 4;
        if (offset + size <= 0x1000)
          address_space_write (driver->fake->mmio, driver->abar + offset, size,
                               fuzz_take (input, size));
        break;
      }
    case 1:
      address_space_read (driver->fake->mmio, driver->abar + fuzz_take (input, 2) % 0xff8, 8);
      break;
    case 2:
      poke (input, driver);
      break;
    case 3:
      issue (input, driver);
      break;
    case 4:
      ahci_driver_start (driver, fuzz_take (input, 1) & 1);
      break;
    case 5:
      ahci_driver_settle ();
      break;
    case 6:
      ahci_driver_write_port (driver, fuzz_take (input, 1) & 1, 0x2c, fuzz_take (input, 1));
      break;
    default:
      if (fuzz_take (input, 1) & 1)
        cd_drive_eject (cd, true, NULL);
      else
        cd_drive_change (cd, path, true, NULL);
    }
}

int
LLVMFuzzerTestOneInput (const uint8_t *data, size_t size)
{
  FuzzInput input = { data, size };
  int disk_fd = memfd_create ("fuzz-ahci-disk", MFD_CLOEXEC);
  int cd_fd = memfd_create ("fuzz-ahci-cd", MFD_CLOEXEC);
  g_autofree char *disk_path = g_strdup_printf ("/proc/self/fd/%d", disk_fd);
  g_autofree char *cd_path = g_strdup_printf ("/proc/self/fd/%d", cd_fd);
  AhciDriver *driver = ahci_driver_new ();
  const AtaHome *home = ahci_get_home (driver->ahci);
  AtaDrive disk, drive;

  g_assert_cmpint (ftruncate (disk_fd, IMAGE_SIZE), ==, 0);
  g_assert_cmpint (ftruncate (cd_fd, IMAGE_SIZE), ==, 0);
  AtaDiskConfig disk_config = { .serial = "disk" };
  g_assert_true (block_raw_open_backend (disk_path, false, &disk_config.backend, NULL));
  ata_disk_new (&disk_config, home, &disk);
  const CdDriveConfig cd_config = { .file = cd_path, .serial = "cd" };
  CdDrive *cd = cd_drive_new (&cd_config, home, &drive, NULL);
  g_assert_nonnull (cd);
  ahci_plug (driver->ahci, DISK_PORT, &disk);
  ahci_plug (driver->ahci, CD_PORT, &drive);
  ahci_driver_connect (driver);
  ahci_driver_start (driver, DISK_PORT);
  ahci_driver_start (driver, CD_PORT);
  for (unsigned i = 0; i < STEPS_MAX && input.size > 0; i++)
    step (&input, driver, cd, cd_path);
  ahci_driver_settle ();
  ahci_driver_free (driver);
  /* Whatever was asked, the files are as long as they were. */
  g_assert_cmpint (lseek (disk_fd, 0, SEEK_END), ==, IMAGE_SIZE);
  g_assert_cmpint (lseek (cd_fd, 0, SEEK_END), ==, IMAGE_SIZE);
  close (disk_fd);
  close (cd_fd);
  return 0;
}
