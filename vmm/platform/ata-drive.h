#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/uio.h>
#include <glib.h>

#include "block/block-backend.h"

/* The seam between a port of the AHCI controller and the drive that is plugged into it: one command a time, or up to 32 queued ones.
 * (ATA8-ACS; SATA 3.0.)
 *
 * Thread: a drive works on one GMainContext and under one lock, both the controller's (AtaHome). Every AtaDriveOps call has that lock, and so has done ().
 */
typedef struct AtaHome
{
  GMainContext *context;
  GMutex *lock;
} AtaHome;

#define ATA_CDB_SIZE  16
#define ATA_PAGE_SIZE 512u /* IDENTIFY data, log and SMART pages */

enum
{
  ATA_STATUS_ERR = 0x01,
  ATA_STATUS_DRQ = 0x08,
  ATA_STATUS_SEEK_COMPLETE = 0x10,
  ATA_STATUS_FAULT = 0x20,
  ATA_STATUS_READY = 0x40,
  ATA_STATUS_BUSY = 0x80,
  ATA_STATUS_GOOD = ATA_STATUS_READY | ATA_STATUS_SEEK_COMPLETE,
  ATA_ERROR_ABORT = 0x04,
  ATA_ERROR_NOT_FOUND = 0x10, /* the address is not on the medium */
  ATA_ERROR_UNCORRECTABLE = 0x40,
};

/* The code for which the drive has more than one reason to know. */
enum
{
  ATA_COMMAND_PACKET = 0xa0,
  ATA_COMMAND_READ_FPDMA_QUEUED = 0x60,
  ATA_COMMAND_WRITE_FPDMA_QUEUED = 0x61,
};

/* How the data goes, which decides what the drive tells besides: SATA 3.0, 11. */
typedef enum
{
  ATA_NO_DATA, /* and DMA: one register FIS at the end */
  ATA_PIO_IN,  /* a PIO Setup FIS and no register FIS */
  ATA_PIO_PACKET_IN,
  ATA_QUEUED
} AtaProtocol;

typedef struct AtaCommand AtaCommand;
struct AtaCommand
{
  /* What is asked: the registers of the host's FIS, LBA and count in their 48-bit form. */
  uint8_t command;
  uint8_t device;
  uint16_t features;
  uint16_t count;
  uint64_t lba;
  uint8_t cdb[ATA_CDB_SIZE]; /* ATA_COMMAND_PACKET */
  unsigned tag;

  /* The guest's memory for the data; the drive may change and trim the vector. */
  struct iovec *iov;
  unsigned n_iov;
  uint64_t size; /* of all of it, bytes */

  /* The answer. */
  AtaProtocol protocol;
  uint8_t status;
  uint8_t error;
  uint64_t transferred; /* bytes; besides it lba, count and device are told back */

  /* The drive has set the answer. From here on the command is not its own any more. */
  void (*done) (AtaCommand *command);

  /* The drive's own. */
  void *drive;
  BlockRequest io;
  unsigned step;
  uint8_t *buffer;
  AtaCommand *next;
};

typedef struct AtaDriveOps
{
  uint32_t signature; /* of the register FIS after a reset: ATA_SIGNATURE_ */
  /* done () is called before start () returns, or later. */
  void (*start) (void *drive, AtaCommand *command);
  /* Several commands were started: their I/O goes to the kernel now. */
  void (*kick) (void *drive);
  /* By the wire (COMRESET, SRST) or with the whole machine. No command is in work. */
  void (*reset) (void *drive, bool power);
  /* The machine goes on after a pause: commands that were kept are carried out again. NULL: none is ever kept. */
  void (*resume) (void *drive);
  /* Waits until every command had its done (); those that were kept fail. */
  void (*drain) (void *drive);
  /* Nothing is in work and the context runs no more. */
  void (*free) (void *drive);
} AtaDriveOps;

#define ATA_SIGNATURE_DISK   0x00000101u
#define ATA_SIGNATURE_PACKET 0xeb140101u

typedef struct AtaDrive
{
  const AtaDriveOps *ops;
  void *opaque;
} AtaDrive;

static inline void
ata_command_finish (AtaCommand *command, uint8_t status, uint8_t error)
{
  command->status = status;
  command->error = error;
  command->done (command);
}
