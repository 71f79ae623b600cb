#define G_LOG_DOMAIN "vmm-platform"

#include <string.h>

#include "platform/ahci-private.h"

/* Frames between port and drive (SATA 3.0, 10.5) and where received ones are left in memory (AHCI 1.3.1, 4.2.1). */
enum
{
  FIS_TYPE_HOST_TO_DEVICE = 0x27,
  FIS_TYPE_REGISTER = 0x34,
  FIS_TYPE_PIO_SETUP = 0x5f,
  FIS_TYPE_SET_BITS = 0xa1,
  FIS_SIZE = 20,
  FIS_SET_BITS_SIZE = 8,
  FIS_COMMAND = 1 << 7,   /* byte 1, to the drive: the command register was written */
  FIS_INTERRUPT = 1 << 6, /* byte 1, from the drive */
  FIS_TO_HOST = 1 << 5,   /* byte 1 of PIO Setup */
  RECEIVED_PIO_SETUP = 0x20,
  RECEIVED_REGISTER = 0x40,
  RECEIVED_SET_BITS = 0x58,
  CMD_FRE = 1 << 4,
  SET_BITS_STATUS = 0x77, /* bits of the status that a Set Device Bits FIS has */
};

static bool
is_48_bit (uint8_t command)
{
  switch (command)
    {
    case 0x06: /* DATA SET MANAGEMENT */
    case 0x24: /* READ SECTORS EXT */
    case 0x25: /* READ DMA EXT */
    case 0x29: /* READ MULTIPLE EXT */
    case 0x2f: /* READ LOG EXT */
    case 0x34: /* WRITE SECTORS EXT */
    case 0x35: /* WRITE DMA EXT */
    case 0x39: /* WRITE MULTIPLE EXT */
    case 0x3d: /* WRITE DMA FUA EXT */
    case 0x42: /* READ VERIFY EXT */
    case 0xce: /* WRITE MULTIPLE FUA EXT */
    case 0xea: /* FLUSH CACHE EXT */
    case ATA_COMMAND_READ_FPDMA_QUEUED:
    case ATA_COMMAND_WRITE_FPDMA_QUEUED:
      return true;
    default:
      return false;
    }
}

bool
ahci_fis_decode (const uint8_t *fis, unsigned size, AtaCommand *command, bool *is_control,
                 uint8_t *control)
{
  if (size < FIS_SIZE || fis[0] != FIS_TYPE_HOST_TO_DEVICE)
    return false;
  *is_control = !(fis[1] & FIS_COMMAND);
  *control = fis[15];
  command->command = fis[2];
  command->device = fis[7];
  command->features = fis[3] | fis[11] << 8;
  command->count = fis[12] | fis[13] << 8;
  command->lba = fis[4] | fis[5] << 8 | (uint32_t) fis[6] << 16 | (uint64_t) fis[8] << 24 |
                 (uint64_t) fis[9] << 32 | (uint64_t) fis[10] << 40;
  if (!is_48_bit (command->command))
    {
      command->features &= 0xff;
      command->count &= 0xff;
      command->lba &= 0xffffff;
    }
  return true;
}

/* The register part that all frames from the drive have. */
static void
fill (uint8_t *fis, uint8_t type, uint8_t flags, const AtaCommand *command)
{
  memset (fis, 0, FIS_SIZE);
  fis[0] = type;
  fis[1] = flags;
  fis[2] = command->status;
  fis[3] = command->error;
  for (unsigned i = 0; i < 3; i++)
    {
      fis[4 + i] = command->lba >> (8 * i);
      fis[8 + i] = command->lba >> (24 + 8 * i);
    }
  fis[7] = command->device;
  fis[12] = command->count;
  fis[13] = command->count >> 8;
}

static bool
receive (AhciPort *port, unsigned offset, const uint8_t *fis, unsigned size)
{
  return !(port->cmd & CMD_FRE) ||
         guest_memory_write (port->ahci->memory, port->fb + offset, fis, size);
}

static void
tell (AhciPort *port, uint32_t irq, bool interrupt)
{
  if (interrupt)
    port->is |= irq;
  if (port->tfd & ATA_STATUS_ERR)
    port->is |= PORT_IRQ_TASK_FILE;
}

bool
ahci_fis_register (AhciPort *port, const AtaCommand *command, bool interrupt)
{
  uint8_t fis[FIS_SIZE];

  fill (fis, FIS_TYPE_REGISTER, interrupt ? FIS_INTERRUPT : 0, command);
  port->tfd = command->status | command->error << 8;
  tell (port, PORT_IRQ_REGISTER, interrupt);
  return receive (port, RECEIVED_REGISTER, fis, sizeof fis);
}

/* After a reset (ATA8-ACS, 9.1.1): LBA and count are the drive's signature, error 1 that its self-test went well. */
bool
ahci_fis_signature (AhciPort *port)
{
  const uint32_t signature = port->drive.ops->signature;
  AtaCommand answer = {
    .status = signature == ATA_SIGNATURE_PACKET ? 0 : ATA_STATUS_GOOD,
    .error = 1,
    .lba = signature >> 8,
    .count = signature & 0xff,
  };

  port->sig = signature;
  return ahci_fis_register (port, &answer, false);
}

bool
ahci_fis_pio_setup (AhciPort *port, const AtaCommand *command, bool interrupt)
{
  uint8_t fis[FIS_SIZE];
  const uint16_t count = MIN (command->transferred, UINT16_MAX - 1);

  fill (fis, FIS_TYPE_PIO_SETUP, FIS_TO_HOST | (interrupt ? FIS_INTERRUPT : 0), command);
  fis[2] = ATA_STATUS_GOOD | ATA_STATUS_DRQ;
  fis[15] = command->status; /* E_STATUS: when the data has gone */
  fis[16] = count;
  fis[17] = count >> 8;
  port->tfd = command->status | command->error << 8;
  tell (port, PORT_IRQ_PIO_SETUP, interrupt);
  return receive (port, RECEIVED_PIO_SETUP, fis, sizeof fis);
}

bool
ahci_fis_set_bits (AhciPort *port, const AtaCommand *command, uint32_t finished)
{
  uint8_t fis[FIS_SET_BITS_SIZE] = {
    FIS_TYPE_SET_BITS, FIS_INTERRUPT,  command->status & SET_BITS_STATUS,
    command->error,    finished,       finished >> 8,
    finished >> 16,    finished >> 24,
  };

  port->tfd = (port->tfd & ~(0xff00u | SET_BITS_STATUS)) | (command->status & SET_BITS_STATUS) |
              command->error << 8;
  tell (port, PORT_IRQ_SET_BITS, true);
  return receive (port, RECEIVED_SET_BITS, fis, sizeof fis);
}
