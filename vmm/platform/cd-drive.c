#define G_LOG_DOMAIN "vmm-platform"

#include "platform/cd-drive-private.h"

#include <string.h>
#include <unistd.h>
#include <gio/gio.h>

#include "base/iov.h"
#include "block/block-raw.h"
#include "platform/ata-identify.h"

/* Theory of operation
 *
 * The drive knows a few ATA commands; everything else is a packet (cd-command.c). A medium is an image and its number of blocks; with the tray
 * open it is still in the tray, but cannot be read. A medium that came or went is told as an event to who polls for those; one that came
 * from outside also by a unit attention, with which the next command but a few fails. A tray that was opened and closed with the same
 * medium in it causes none: Linux, which closes trays as it opens the device, refuses to read after one.
 *
 * An error of a packet is its sense key in the error register, and the sense data for REQUEST SENSE.
 */
#define DEFAULT_MODE  0x46 /* UDMA 6 */
#define BLOCKS_MAX    UINT32_MAX
#define VOLUME_BLOCK  16 /* of the primary volume descriptor (ECMA-119, 8.4) */
#define VOLUME_BLOCKS 80 /* offset in it: the number of blocks, little-endian */

/* --- answers --- */

void
cd_drive_good (AtaCommand *command)
{
  command->count = 3; /* interrupt reason: a command has ended */
  ata_command_finish (command, ATA_STATUS_GOOD, 0);
}

void
cd_drive_fail (CdDrive *drive, AtaCommand *command, CdSense sense)
{
  g_debug ("CD: command 0x%02x: sense 0x%06x", command->cdb[0], (unsigned) sense);
  drive->sense = sense;
  command->transferred = 0;
  command->count = 3;
  ata_command_finish (command, ATA_STATUS_GOOD | ATA_STATUS_ERR,
                      sense >> 16 << 4 | ATA_ERROR_ABORT);
}

void
cd_drive_answer (AtaCommand *command, const void *bytes, uint32_t size, uint32_t allowed)
{
  command->transferred = iov_write (command->iov, command->n_iov, 0, bytes, MIN (size, allowed));
  if (command->transferred > 0 && !(command->features & 1))
    command->protocol = ATA_PIO_PACKET_IN;
  cd_drive_good (command);
}

static void
on_read (BlockRequest *io, int error)
{
  AtaCommand *command = drive_image_get_command (io);

  if (error == 0)
    cd_drive_good (command);
  else
    cd_drive_fail (command->drive, command, CD_SENSE_READ_ERROR);
}

void
cd_drive_read (CdDrive *drive, AtaCommand *command, uint32_t block, uint32_t n)
{
  const uint64_t size = MIN ((uint64_t) n * CD_BLOCK_SIZE, command->size);

  command->drive = drive;
  command->transferred = size;
  if (size == 0)
    {
      cd_drive_good (command);
      return;
    }
  if (block >= drive->n_readable || n > drive->n_readable - block)
    {
      cd_drive_fail (drive, command, CD_SENSE_READ_ERROR);
      return;
    }
  if (!(command->features & 1))
    command->protocol = ATA_PIO_PACKET_IN;
  drive_image_transfer (drive->image, command, BLOCK_READ, (uint64_t) block * CD_BLOCK_SIZE, size,
                        false, on_read);
}

/* --- media and tray --- */

bool
cd_drive_has_medium (const CdDrive *drive)
{
  return drive->image != NULL && !drive->tray_open;
}

/* How long the volume says that it is (ECMA-119, 8.4.8); 0: there is no such volume. */
static uint32_t
read_volume_blocks (const BlockImage *image)
{
  uint8_t block[CD_BLOCK_SIZE];

  if (pread (image->fd, block, sizeof block, VOLUME_BLOCK * CD_BLOCK_SIZE) != sizeof block ||
      memcmp (block, "\1CD001", 6) != 0)
    return 0;
  const uint8_t *n = block + VOLUME_BLOCKS;
  return n[0] | n[1] << 8 | n[2] << 16 | (uint32_t) n[3] << 24;
}

static bool
open_image (const char *file, BlockImage *image, GError **error)
{
  if (!block_image_open (image, file, true, error))
    return false;
  if (image->size % CD_BLOCK_SIZE == 0 && image->size / CD_BLOCK_SIZE <= BLOCKS_MAX)
    return true;
  g_set_error (error, G_IO_ERROR, G_IO_ERROR_INVALID_DATA,
               "%s: its size of %" G_GUINT64_FORMAT " bytes is %s: it is cut off, or no CD image; "
               "fetch it again",
               file, image->size,
               image->size % CD_BLOCK_SIZE == 0 ? "more than a disc has"
                                                : "not a multiple of 2048");
  block_image_close (image);
  return false;
}

/* Waits for what is being read. */
static void
remove_medium (CdDrive *drive)
{
  DriveImage *image = g_steal_pointer (&drive->image);

  if (!image)
    return;
  drive_image_free (image);
  g_clear_pointer (&drive->file, g_free);
  drive->n_blocks = drive->n_readable = 0;
}

/* Where the file ends before the volume, its download broke off: the disc has the volume's length, and what is missing is a
 * place that cannot be read. */
static void
insert_medium (CdDrive *drive, const char *file, const BlockImage *image)
{
  const uint32_t in_volume = read_volume_blocks (image);

  drive->n_readable = image->size / CD_BLOCK_SIZE;
  drive->n_blocks = MAX (drive->n_readable, in_volume);
  drive->file = g_strdup (file);
  BlockBackend backend;
  block_raw_get_backend (block_raw_new (image), &backend);
  drive->image = drive_image_new (&backend, &drive->home);
}

void
cd_drive_move_tray (CdDrive *drive, bool open)
{
  if (drive->tray_open == open)
    return;
  drive->tray_open = open;
  if (open)
    {
      drive->locked = false;
      drive->event = CD_EVENT_REMOVAL;
    }
  else if (drive->image)
    drive->event = CD_EVENT_NEW_MEDIUM;
  g_debug ("CD: tray %s", open ? "open" : "closed");
  if (drive->tray_moved)
    drive->tray_moved (drive->opaque, open);
}

/* --- from outside --- */

static bool
open_tray (CdDrive *drive, bool force, GError **error)
{
  if (drive->locked && !force)
    {
      drive->event = CD_EVENT_EJECT_REQUEST;
      g_set_error (
          error, G_IO_ERROR, G_IO_ERROR_BUSY,
          "the guest holds the medium; it was asked to let go of it: try again, or force it");
      return false;
    }
  cd_drive_move_tray (drive, true);
  return true;
}

bool
cd_drive_open_tray (CdDrive *drive, bool force, GError **error)
{
  g_mutex_lock (drive->home.lock);
  const bool ok = open_tray (drive, force, error);
  g_mutex_unlock (drive->home.lock);
  return ok;
}

void
cd_drive_close_tray (CdDrive *drive)
{
  g_mutex_lock (drive->home.lock);
  cd_drive_move_tray (drive, false);
  g_mutex_unlock (drive->home.lock);
}

bool
cd_drive_eject (CdDrive *drive, bool force, GError **error)
{
  g_mutex_lock (drive->home.lock);
  const bool ok = open_tray (drive, force, error);
  if (ok)
    remove_medium (drive);
  g_mutex_unlock (drive->home.lock);
  return ok;
}

bool
cd_drive_change (CdDrive *drive, const char *file, bool force, GError **error)
{
  BlockImage image;

  if (!open_image (file, &image, error))
    return false;
  g_mutex_lock (drive->home.lock);
  const bool ok = open_tray (drive, force, error);
  if (ok)
    {
      remove_medium (drive);
      insert_medium (drive, file, &image);
      drive->attention = true;
      cd_drive_move_tray (drive, false);
    }
  g_mutex_unlock (drive->home.lock);
  if (!ok)
    block_image_close (&image);
  return ok;
}

void
cd_drive_get_state (CdDrive *drive, CdDriveState *state)
{
  g_mutex_lock (drive->home.lock);
  *state = (CdDriveState){
    .file = g_strdup (drive->file),
    .size = (uint64_t) drive->n_readable * CD_BLOCK_SIZE,
    .tray_open = drive->tray_open,
    .locked = drive->locked,
  };
  g_mutex_unlock (drive->home.lock);
}

void
cd_drive_state_clear (CdDriveState *state)
{
  g_clear_pointer (&state->file, g_free);
}

/* --- ATA --- */

static void
identify (CdDrive *drive, AtaCommand *command)
{
  uint8_t page[ATA_PAGE_SIZE];

  ata_identify_packet (drive->serial, drive->transfer_mode, page);
  command->protocol = ATA_PIO_IN;
  command->transferred = iov_write (command->iov, command->n_iov, 0, page, sizeof page);
  ata_command_finish (command, ATA_STATUS_GOOD, 0);
}

/* What disks know and packet drives do not is refused with the signature, by which drivers tell them apart (ATA8-ACS, 7.16.3). */
static void
refuse (AtaCommand *command, bool with_signature)
{
  if (with_signature)
    {
      command->lba = ATA_SIGNATURE_PACKET >> 8;
      command->count = ATA_SIGNATURE_PACKET & 0xff;
    }
  ata_command_finish (command, ATA_STATUS_GOOD | ATA_STATUS_ERR, ATA_ERROR_ABORT);
}

static void
start (void *opaque, AtaCommand *command)
{
  enum
  {
    DEVICE_RESET = 0x08,
    READ_SECTORS = 0x20,
    EXECUTE_DIAGNOSTIC = 0x90,
    IDENTIFY_PACKET_DEVICE = 0xa1,
    STANDBY_IMMEDIATE = 0xe0,
    IDLE_IMMEDIATE = 0xe1,
    CHECK_POWER_MODE = 0xe5,
    SLEEP = 0xe6,
    IDENTIFY_DEVICE = 0xec,
    SET_FEATURES = 0xef,
    TRANSFER_MODE = 0x03,
  };
  CdDrive *drive = opaque;

  command->drive = drive;
  switch (command->command)
    {
    case ATA_COMMAND_PACKET:
      cd_command_run (drive, command);
      return;
    case IDENTIFY_PACKET_DEVICE:
      identify (drive, command);
      return;
    case IDENTIFY_DEVICE:
    case READ_SECTORS:
      refuse (command, true);
      return;
    case DEVICE_RESET:
    case EXECUTE_DIAGNOSTIC:
      command->lba = ATA_SIGNATURE_PACKET >> 8;
      command->count = ATA_SIGNATURE_PACKET & 0xff;
      ata_command_finish (command, command->command == DEVICE_RESET ? 0 : ATA_STATUS_GOOD, 1);
      return;
    case SET_FEATURES:
      if (command->features != TRANSFER_MODE)
        break;
      drive->transfer_mode = command->count;
      ata_command_finish (command, ATA_STATUS_GOOD, 0);
      return;
    case CHECK_POWER_MODE:
      command->count = 0xff; /* active */
      G_GNUC_FALLTHROUGH;
    case STANDBY_IMMEDIATE:
    case IDLE_IMMEDIATE:
    case SLEEP:
      ata_command_finish (command, ATA_STATUS_GOOD, 0);
      return;
    }
  refuse (command, false);
}

static void
kick (void *opaque)
{
  CdDrive *drive = opaque;

  if (drive->image)
    drive_image_kick (drive->image);
}

/* The tray stays where it is, whatever happens to the machine: an installer that opened it before the restart relies on that. A
 * new start of the machine lets go of the medium, the wire's resets do not. */
static void
reset (void *opaque, bool power)
{
  CdDrive *drive = opaque;

  drive->sense = CD_SENSE_NONE;
  drive->transfer_mode = DEFAULT_MODE;
  if (!power)
    return;
  drive->locked = false;
  drive->event = CD_EVENT_NONE;
  drive->attention = false;
}

static void
drain (void *opaque)
{
  CdDrive *drive = opaque;

  if (drive->image)
    drive_image_drain (drive->image);
}

static void
cd_drive_free (void *opaque)
{
  CdDrive *drive = opaque;

  remove_medium (drive);
  g_free (drive);
}

static const AtaDriveOps ops = {
  .signature = ATA_SIGNATURE_PACKET,
  .start = start,
  .kick = kick,
  .reset = reset,
  .drain = drain,
  .free = cd_drive_free,
};

CdDrive *
cd_drive_new (const CdDriveConfig *config, const AtaHome *home, AtaDrive *out, GError **error)
{
  BlockImage image;

  if (config->file && !open_image (config->file, &image, error))
    return NULL;
  CdDrive *drive = g_new0 (CdDrive, 1);
  drive->home = *home;
  drive->tray_moved = config->tray_moved;
  drive->opaque = config->opaque;
  drive->transfer_mode = DEFAULT_MODE;
  g_strlcpy (drive->serial, config->serial, sizeof drive->serial);
  if (config->file)
    insert_medium (drive, config->file, &image);
  *out = (AtaDrive){ .ops = &ops, .opaque = drive };
  return drive;
}
