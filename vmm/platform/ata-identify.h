#pragma once

#include "platform/ata-drive.h"

/* IDENTIFY (PACKET) DEVICE data: ATA8-ACS 7.16 and 7.17, with DATA SET MANAGEMENT of ACS-2. */
#define ATA_SERIAL_MAX    20 /* characters */
#define ATA_MODEL_DISK    "Alcove disk"
#define ATA_MODEL_CD      "Alcove DVD-ROM"
#define ATA_FIRMWARE      "1.0"
#define ATA_MULTIPLE_MAX  16 /* sectors of one block of READ MULTIPLE */
#define ATA_LBA28_SECTORS 0x0fffffffu

typedef struct AtaDiskIdentity
{
  const char *serial; /* at most ATA_SERIAL_MAX characters count */
  uint64_t sectors;
  unsigned physical_size; /* bytes of a physical sector: a power of two, at least 512 */
  unsigned multiple;      /* as SET MULTIPLE MODE set it; 0: not set */
  uint8_t transfer_mode;  /* as SET FEATURES set it */
  bool write_cache;
  bool look_ahead;
  bool smart;
} AtaDiskIdentity;

void ata_identify_disk (const AtaDiskIdentity *identity, uint8_t page[ATA_PAGE_SIZE]);
void ata_identify_packet (const char *serial, uint8_t transfer_mode, uint8_t page[ATA_PAGE_SIZE]);
/* The last byte such that all add up to 0. */
void ata_identify_seal (uint8_t page[ATA_PAGE_SIZE]);
