#include "platform/ata-identify.h"

#include <string.h>

/* SET FEATURES, transfer mode (7.45.7): what a drive powers up with. */
#define MODE_UDMA  0x40
#define MODE_MWDMA 0x20

static void
set_word (uint8_t *page, unsigned word, uint16_t value)
{
  page[2 * word] = value;
  page[2 * word + 1] = value >> 8;
}

/* Two characters a word, the first in the high byte; padded with spaces. */
static void
set_text (uint8_t *page, unsigned word, unsigned n_words, const char *text)
{
  const size_t length = strlen (text);

  for (unsigned i = 0; i < 2 * n_words; i++)
    page[2 * word + (i ^ 1)] = i < length ? (uint8_t) text[i] : ' ';
}

static void
set_number (uint8_t *page, unsigned word, unsigned n_words, uint64_t value)
{
  for (unsigned i = 0; i < n_words; i++)
    set_word (page, word + i, value >> (16 * i));
}

/* Words that a disk and a packet drive have alike. */
static void
set_common (uint8_t *page, const char *serial, const char *model, uint8_t mode)
{
  const unsigned selected = 1u << (mode & 7);

  set_text (page, 10, 10, serial);
  set_text (page, 23, 4, ATA_FIRMWARE);
  set_text (page, 27, 20, model);
  set_word (page, 53, 0x0007); /* words 54-58, 64-70 and 88 are valid */
  set_word (page, 63, 0x0007 | ((mode & 0xf8) == MODE_MWDMA ? selected << 8 : 0));
  set_word (page, 64, 0x0003); /* PIO 3 and 4 */
  for (unsigned word = 65; word <= 68; word++)
    set_word (page, word, 120); /* nanoseconds of a cycle */
  set_word (page, 80, 0x03f0);  /* ATA-4 to ACS-2 */
  set_word (page, 88, 0x007f | ((mode & 0xf8) == MODE_UDMA ? selected << 8 : 0));
}

void
ata_identify_seal (uint8_t page[ATA_PAGE_SIZE])
{
  uint8_t sum = 0;

  for (unsigned i = 0; i < ATA_PAGE_SIZE - 1; i++)
    sum += page[i];
  page[ATA_PAGE_SIZE - 1] = -sum;
}

/* 16 heads of 63 sectors, as far as cylinders go: for who still asks. */
static void
set_geometry (uint8_t *page, uint64_t sectors)
{
  const uint16_t cylinders = MIN (sectors / (16 * 63), 16383);

  set_word (page, 1, cylinders);
  set_word (page, 3, 16);
  set_word (page, 6, 63);
  set_word (page, 54, cylinders);
  set_word (page, 55, 16);
  set_word (page, 56, 63);
  set_number (page, 57, 2, (uint32_t) cylinders * 16 * 63);
}

static void
set_features (uint8_t *page, const AtaDiskIdentity *identity)
{
  const uint16_t volatile_words = (identity->smart ? 1u << 0 : 0) |
                                  (identity->write_cache ? 1u << 5 : 0) |
                                  (identity->look_ahead ? 1u << 6 : 0);

  set_word (page, 82, 0x0069); /* SMART, power management, write cache, look-ahead */
  set_word (page, 83, 0x7400); /* 48-bit addresses, FLUSH CACHE (EXT) */
  set_word (page, 84, 0x4060); /* logs, WRITE DMA FUA EXT */
  set_word (page, 85, 1u << 3 | volatile_words);
  set_word (page, 86, 0x3400);
  set_word (page, 87, 0x4060);
}

void
ata_identify_disk (const AtaDiskIdentity *identity, uint8_t page[ATA_PAGE_SIZE])
{
  const unsigned exponent = g_bit_storage (identity->physical_size / BLOCK_SECTOR_SIZE) - 1;

  memset (page, 0, ATA_PAGE_SIZE);
  set_word (page, 0, 0x0040); /* a fixed drive */
  set_common (page, identity->serial, ATA_MODEL_DISK, identity->transfer_mode);
  set_geometry (page, identity->sectors);
  set_word (page, 47, 0x8000 | ATA_MULTIPLE_MAX);
  set_word (page, 49, 0x0b00); /* IORDY, LBA, DMA */
  set_word (page, 50, 0x4000);
  set_word (page, 59, identity->multiple != 0 ? 0x0100 | identity->multiple : 0);
  set_number (page, 60, 2, MIN (identity->sectors, ATA_LBA28_SECTORS));
  set_word (page, 75, 31);     /* queue depth less 1 */
  set_word (page, 76, 0x010e); /* NCQ; 1.5, 3 and 6 Gbit/s */
  set_features (page, identity);
  set_number (page, 100, 4, identity->sectors);
  set_word (page, 105, 1); /* pages of ranges in one DATA SET MANAGEMENT */
  set_word (page, 106, exponent != 0 ? 0x6000 | exponent : 0x4000);
  set_word (page, 169, 1);
  set_word (page, 209, 0x4000); /* the first sector begins a physical one */
  set_word (page, 217, 1);      /* does not rotate */
  page[510] = 0xa5;
  ata_identify_seal (page);
}

void
ata_identify_packet (const char *serial, uint8_t transfer_mode, uint8_t page[ATA_PAGE_SIZE])
{
  memset (page, 0, ATA_PAGE_SIZE);
  set_word (page, 0, 0x85c0); /* packets of 12 bytes, CD/DVD, removable, quick to take them */
  set_common (page, serial, ATA_MODEL_CD, transfer_mode);
  set_word (page, 49, 0x0b00);
  set_word (page, 50, 0x4000);
  set_word (page, 76, 0x000e);
  set_word (page, 82, 0x4218); /* NOP, DEVICE RESET, PACKET, power management */
  set_word (page, 83, 0x4000);
  set_word (page, 84, 0x4000);
  set_word (page, 85, 0x4218);
  set_word (page, 87, 0x4000);
  page[510] = 0xa5;
  ata_identify_seal (page);
}
