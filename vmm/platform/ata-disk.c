#define G_LOG_DOMAIN "vmm-platform"

#include "platform/ata-disk.h"

#include <errno.h>
#include <string.h>

#include "base/iov.h"
#include "platform/ata-identify.h"
#include "platform/drive-image.h"

/* Theory of operation
 *
 * A command is looked up in one table: what runs it, and for transfers how its address and length are written. Data goes between the
 * image and the guest's memory directly. With the write cache off, each write is made durable before it is answered.
 *
 * A write for which the host has no room is kept as it is and its owner told, who pauses the machine; resume () goes on with it.
 *
 * After an error of a queued command the guest reads which it was from log 10h (ATA8-ACS, 4.16.5).
 */
#define TRIM_RANGE_SIZE 8
#define DEFAULT_MODE    0x46 /* UDMA 6 */
#define LOG_DIRECTORY   0x00
#define LOG_QUEUE_ERROR 0x10
#define SMART_MID_HIGH  0xc24f /* LBA 23:8 of each SMART command, and of a healthy disk's answer */

typedef struct AtaDisk
{
  DriveImage *image;
  uint64_t sectors;
  char serial[ATA_SERIAL_MAX + 1];
  void (*no_room) (void *opaque, int code);
  void *opaque;

  bool draining;
  AtaCommand *kept; /* a list in the order of failure; kept_tail: where to append */
  AtaCommand **kept_tail;

  AtaDiskIdentity identity;
  uint8_t queue_error[ATA_PAGE_SIZE]; /* log 10h */
} AtaDisk;

typedef struct DiskCommand DiskCommand;
struct DiskCommand
{
  void (*run) (AtaDisk *disk, AtaCommand *command, const DiskCommand *entry);
  bool is_48_bit;
  bool write;
  bool durable;
  bool pio;
};

static void
finish (AtaCommand *command)
{
  ata_command_finish (command, ATA_STATUS_GOOD, 0);
}

static void
fail (AtaCommand *command, uint8_t error)
{
  command->transferred = 0;
  ata_command_finish (command, ATA_STATUS_GOOD | ATA_STATUS_ERR, error);
}

/* Which of the queued commands failed, and how; read by READ LOG EXT. */
static void
fail_queued (AtaDisk *disk, AtaCommand *command, uint8_t error)
{
  uint8_t *log = disk->queue_error;

  memset (log, 0, ATA_PAGE_SIZE);
  log[0] = command->tag;
  log[2] = ATA_STATUS_GOOD | ATA_STATUS_ERR;
  log[3] = error;
  for (unsigned i = 0; i < 3; i++)
    {
      log[4 + i] = command->lba >> (8 * i);
      log[8 + i] = command->lba >> (24 + 8 * i);
    }
  log[7] = command->device;
  ata_identify_seal (log);
  fail (command, error);
}

static void
fail_transfer (AtaDisk *disk, AtaCommand *command, uint8_t error)
{
  if (command->protocol == ATA_QUEUED)
    fail_queued (disk, command, error);
  else
    fail (command, error);
}

/* --- transfers --- */

static void
keep (AtaDisk *disk, AtaCommand *command)
{
  command->next = NULL;
  *disk->kept_tail = command;
  disk->kept_tail = &command->next;
}

/* The list is taken off first: what is carried out again may fail again. */
static AtaCommand *
take_kept (AtaDisk *disk)
{
  AtaCommand *kept = disk->kept;

  disk->kept = NULL;
  disk->kept_tail = &disk->kept;
  return kept;
}

static void
on_transferred (BlockRequest *io, int error)
{
  AtaCommand *command = drive_image_get_command (io);
  AtaDisk *disk = command->drive;

  if (error == 0)
    finish (command);
  else if ((error == ENOSPC || error == EDQUOT) && disk->no_room && !disk->draining)
    {
      keep (disk, command);
      disk->no_room (disk->opaque, error);
    }
  else
    fail_transfer (disk, command,
                   io->operation == BLOCK_READ ? ATA_ERROR_UNCORRECTABLE : ATA_ERROR_ABORT);
}

static void
start_transfer (AtaDisk *disk, AtaCommand *command, uint64_t lba, uint32_t n_sectors, bool write,
                bool durable)
{
  const uint64_t size = (uint64_t) n_sectors * BLOCK_SECTOR_SIZE;

  if (lba > disk->sectors || n_sectors > disk->sectors - lba)
    fail_transfer (disk, command, ATA_ERROR_NOT_FOUND);
  else if (command->size < size)
    fail_transfer (disk, command, ATA_ERROR_ABORT);
  else
    {
      command->transferred = size;
      drive_image_transfer (disk->image, command, write ? BLOCK_WRITE : BLOCK_READ,
                            lba * BLOCK_SECTOR_SIZE, size,
                            write && (durable || !disk->identity.write_cache), on_transferred);
    }
}

static uint64_t
get_lba (const AtaCommand *command, const DiskCommand *entry)
{
  return entry->is_48_bit ? command->lba : command->lba | (uint64_t) (command->device & 0xf) << 24;
}

/* 0 stands for one more than what fits. */
static uint32_t
get_count (const AtaCommand *command, const DiskCommand *entry)
{
  const uint32_t most = entry->is_48_bit ? 0x10000 : 0x100;

  return command->count == 0 ? most : command->count;
}

static void
run_transfer (AtaDisk *disk, AtaCommand *command, const DiskCommand *entry)
{
  if (entry->pio && !entry->write)
    command->protocol = ATA_PIO_IN;
  start_transfer (disk, command, get_lba (command, entry), get_count (command, entry), entry->write,
                  entry->durable);
}

/* Count and features have changed places; bit 7 of device is FUA. */
static void
run_queued (AtaDisk *disk, AtaCommand *command, const DiskCommand *entry)
{
  const uint32_t n_sectors = command->features == 0 ? 0x10000 : command->features;

  start_transfer (disk, command, command->lba, n_sectors, entry->write, command->device & 0x80);
}

static void
run_verify (AtaDisk *disk, AtaCommand *command, const DiskCommand *entry)
{
  const uint64_t lba = get_lba (command, entry);

  if (lba <= disk->sectors && get_count (command, entry) <= disk->sectors - lba)
    finish (command);
  else
    fail (command, ATA_ERROR_NOT_FOUND);
}

static void
on_flushed (BlockRequest *io, int error)
{
  AtaCommand *command = drive_image_get_command (io);

  if (error == 0)
    finish (command);
  else
    fail (command, ATA_ERROR_ABORT);
}

static void
run_flush (AtaDisk *disk, AtaCommand *command, const DiskCommand *entry)
{
  drive_image_control (disk->image, command, BLOCK_FLUSH, 0, 0, on_flushed);
}

/* --- DATA SET MANAGEMENT --- */

static void trim_next (AtaDisk *disk, AtaCommand *command);

static void
on_trimmed (BlockRequest *io, int error)
{
  AtaCommand *command = drive_image_get_command (io);

  if (error == 0)
    trim_next (command->drive, command);
  else
    fail (command, ATA_ERROR_ABORT);
}

/* One range after another; command->step is the next of them. 7.9.2.2: 48 bits of address, 16 of length; length 0 is none. */
static void
trim_next (AtaDisk *disk, AtaCommand *command)
{
  while (command->step < ATA_PAGE_SIZE / TRIM_RANGE_SIZE)
    {
      uint64_t range;

      memcpy (&range, command->buffer + TRIM_RANGE_SIZE * command->step++, sizeof range);
      range = GUINT64_FROM_LE (range);
      const uint64_t lba = range & ((UINT64_C (1) << 48) - 1), n = range >> 48;
      if (n == 0)
        continue;
      if (lba > disk->sectors || n > disk->sectors - lba)
        {
          fail (command, ATA_ERROR_NOT_FOUND);
          return;
        }
      drive_image_control (disk->image, command, BLOCK_DISCARD, lba * BLOCK_SECTOR_SIZE,
                           n * BLOCK_SECTOR_SIZE, on_trimmed);
      return;
    }
  finish (command);
}

static void
run_data_set (AtaDisk *disk, AtaCommand *command, const DiskCommand *entry)
{
  if (command->features != 1 || command->count != 1 || command->size < ATA_PAGE_SIZE)
    {
      fail (command, ATA_ERROR_ABORT);
      return;
    }
  command->buffer = g_malloc (ATA_PAGE_SIZE);
  iov_read (command->iov, command->n_iov, 0, command->buffer, ATA_PAGE_SIZE);
  command->transferred = ATA_PAGE_SIZE;
  trim_next (disk, command);
}

/* --- pages --- */

static void
answer_page (AtaCommand *command, const uint8_t *page)
{
  command->protocol = ATA_PIO_IN;
  command->transferred = iov_write (command->iov, command->n_iov, 0, page, ATA_PAGE_SIZE);
  finish (command);
}

static void
run_identify (AtaDisk *disk, AtaCommand *command, const DiskCommand *entry)
{
  uint8_t page[ATA_PAGE_SIZE];

  ata_identify_disk (&disk->identity, page);
  answer_page (command, page);
}

/* The log's address is LBA 7:0, its page LBA 15:8 (and 47:32), count how many pages (7.24). */
static void
run_read_log (AtaDisk *disk, AtaCommand *command, const DiskCommand *entry)
{
  uint8_t directory[ATA_PAGE_SIZE] = { 1 }; /* the version */
  const unsigned log = command->lba & 0xff;
  const unsigned page = (command->lba >> 8 & 0xff) | (command->lba >> 32 & 0xff) << 8;

  directory[2 * LOG_QUEUE_ERROR] = 1;
  if (page != 0 || command->count != 1 || (log != LOG_DIRECTORY && log != LOG_QUEUE_ERROR))
    fail (command, ATA_ERROR_ABORT);
  else
    answer_page (command, log == LOG_DIRECTORY ? directory : disk->queue_error);
}

static void
run_smart (AtaDisk *disk, AtaCommand *command, const DiskCommand *entry)
{
  enum
  {
    READ_DATA = 0xd0,
    READ_THRESHOLDS = 0xd1,
    AUTOSAVE = 0xd2,
    ENABLE = 0xd8,
    DISABLE = 0xd9,
    RETURN_STATUS = 0xda,
  };
  uint8_t page[ATA_PAGE_SIZE] = { 0x10 }; /* the structure's revision; no attributes */
  const bool wanted = command->features == ENABLE || disk->identity.smart;

  if ((command->lba >> 8 & 0xffff) != SMART_MID_HIGH || !wanted)
    {
      fail (command, ATA_ERROR_ABORT);
      return;
    }
  switch (command->features)
    {
    case READ_DATA:
    case READ_THRESHOLDS:
      ata_identify_seal (page);
      answer_page (command, page);
      return;
    case ENABLE:
    case DISABLE:
      disk->identity.smart = command->features == ENABLE;
      finish (command);
      return;
    case AUTOSAVE:
    case RETURN_STATUS: /* healthy: LBA 23:8 stays as it is */
      finish (command);
      return;
    default:
      fail (command, ATA_ERROR_ABORT);
    }
}

/* --- settings --- */

static void
run_set_features (AtaDisk *disk, AtaCommand *command, const DiskCommand *entry)
{
  enum
  {
    WRITE_CACHE_ON = 0x02,
    TRANSFER_MODE = 0x03,
    LOOK_AHEAD_OFF = 0x55,
    KEEP_SETTINGS = 0x66,
    WRITE_CACHE_OFF = 0x82,
    LOOK_AHEAD_ON = 0xaa,
    DEFAULT_SETTINGS = 0xcc,
  };

  switch (command->features)
    {
    case WRITE_CACHE_ON:
      disk->identity.write_cache = true;
      break;
    case WRITE_CACHE_OFF:
      /* What was written before is made durable too. */
      disk->identity.write_cache = false;
      run_flush (disk, command, entry);
      return;
    case LOOK_AHEAD_ON:
    case LOOK_AHEAD_OFF:
      disk->identity.look_ahead = command->features == LOOK_AHEAD_ON;
      break;
    case TRANSFER_MODE:
      disk->identity.transfer_mode = command->count;
      break;
    case KEEP_SETTINGS:
    case DEFAULT_SETTINGS:
      break;
    default:
      fail (command, ATA_ERROR_ABORT);
      return;
    }
  finish (command);
}

static void
run_set_multiple (AtaDisk *disk, AtaCommand *command, const DiskCommand *entry)
{
  const unsigned n = command->count;

  if (n > ATA_MULTIPLE_MAX || (n & (n - 1)) != 0)
    {
      fail (command, ATA_ERROR_ABORT);
      return;
    }
  disk->identity.multiple = n;
  finish (command);
}

static void
run_nothing (AtaDisk *disk, AtaCommand *command, const DiskCommand *entry)
{
  finish (command);
}

/* CHECK POWER MODE: active. */
static void
run_power_mode (AtaDisk *disk, AtaCommand *command, const DiskCommand *entry)
{
  command->count = 0xff;
  finish (command);
}

/* EXECUTE DEVICE DIAGNOSTIC: passed, with the signature. */
static void
run_diagnostic (AtaDisk *disk, AtaCommand *command, const DiskCommand *entry)
{
  command->lba = ATA_SIGNATURE_DISK >> 8;
  command->count = ATA_SIGNATURE_DISK & 0xff;
  command->device = 0;
  ata_command_finish (command, ATA_STATUS_GOOD, 1);
}

static const DiskCommand commands[256] = {
  [0x06] = { run_data_set },
  [0x20] = { run_transfer, .pio = true },
  [0x24] = { run_transfer, .is_48_bit = true, .pio = true },
  [0x25] = { run_transfer, .is_48_bit = true },
  [0x29] = { run_transfer, .is_48_bit = true, .pio = true },
  [0x2f] = { run_read_log },
  [0x30] = { run_transfer, .write = true },
  [0x34] = { run_transfer, .write = true, .is_48_bit = true },
  [0x35] = { run_transfer, .write = true, .is_48_bit = true },
  [0x39] = { run_transfer, .write = true, .is_48_bit = true },
  [0x3d] = { run_transfer, .write = true, .is_48_bit = true, .durable = true },
  [0x40] = { run_verify },
  [0x42] = { run_verify, .is_48_bit = true },
  [ATA_COMMAND_READ_FPDMA_QUEUED] = { run_queued },
  [ATA_COMMAND_WRITE_FPDMA_QUEUED] = { run_queued, .write = true },
  [0x90] = { run_diagnostic },
  [0xb0] = { run_smart },
  [0xc4] = { run_transfer, .pio = true },
  [0xc5] = { run_transfer, .write = true },
  [0xc6] = { run_set_multiple },
  [0xc8] = { run_transfer },
  [0xca] = { run_transfer, .write = true },
  [0xce] = { run_transfer, .write = true, .is_48_bit = true, .durable = true },
  [0xe0] = { run_flush },   /* STANDBY IMMEDIATE */
  [0xe1] = { run_nothing }, /* IDLE IMMEDIATE */
  [0xe2] = { run_flush },   /* STANDBY */
  [0xe3] = { run_nothing }, /* IDLE */
  [0xe5] = { run_power_mode },
  [0xe6] = { run_flush }, /* SLEEP */
  [0xe7] = { run_flush },
  [0xea] = { run_flush },
  [0xec] = { run_identify },
  [0xef] = { run_set_features },
};

/* --- the drive --- */

static void
start (void *opaque, AtaCommand *command)
{
  const DiskCommand *entry = &commands[command->command];
  AtaDisk *disk = opaque;

  command->drive = disk;
  if (entry->run)
    entry->run (disk, command, entry);
  else
    fail (command, ATA_ERROR_ABORT);
}

static void
kick (void *opaque)
{
  AtaDisk *disk = opaque;

  drive_image_kick (disk->image);
}

static void
reset (void *opaque, bool power)
{
  AtaDisk *disk = opaque;

  disk->identity.multiple = 0;
  disk->identity.write_cache = disk->identity.look_ahead = disk->identity.smart = true;
  disk->identity.transfer_mode = DEFAULT_MODE;
}

static void
resume (void *opaque)
{
  AtaDisk *disk = opaque;

  for (AtaCommand *command = take_kept (disk), *next; command; command = next)
    {
      next = command->next;
      drive_image_again (disk->image, command);
    }
  drive_image_kick (disk->image);
}

static void
drain (void *opaque)
{
  AtaDisk *disk = opaque;

  disk->draining = true;
  drive_image_drain (disk->image);
  disk->draining = false;
  for (AtaCommand *command = take_kept (disk), *next; command; command = next)
    {
      next = command->next;
      fail_transfer (disk, command, ATA_ERROR_ABORT);
    }
}

static void
disk_free (void *opaque)
{
  AtaDisk *disk = opaque;

  drive_image_free (disk->image);
  g_free (disk);
}

static const AtaDriveOps ops = {
  .signature = ATA_SIGNATURE_DISK,
  .start = start,
  .kick = kick,
  .reset = reset,
  .resume = resume,
  .drain = drain,
  .free = disk_free,
};

void
ata_disk_new (const AtaDiskConfig *config, const AtaHome *home, AtaDrive *drive)
{
  AtaDisk *disk = g_new0 (AtaDisk, 1);

  disk->sectors = config->backend.size / BLOCK_SECTOR_SIZE;
  disk->no_room = config->no_room;
  disk->opaque = config->opaque;
  disk->kept_tail = &disk->kept;
  g_strlcpy (disk->serial, config->serial, sizeof disk->serial);
  disk->identity = (AtaDiskIdentity){
    .serial = disk->serial,
    .sectors = disk->sectors,
    .physical_size = MAX (config->backend.alignment, BLOCK_SECTOR_SIZE),
  };
  disk->image = drive_image_new (&config->backend, home);
  reset (disk, true);
  *drive = (AtaDrive){ .ops = &ops, .opaque = disk };
}
