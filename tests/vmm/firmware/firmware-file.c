#include "firmware-file.h"

#include <string.h>

#define VOLUME_HEADER 0x48u

void
firmware_file_put (uint8_t *bytes, uint64_t value, unsigned size)
{
  for (unsigned i = 0; i < size; i++)
    bytes[i] = (uint8_t) (value >> (8 * i));
}

static void
write_volume (uint8_t *bytes, const uint8_t *guid, uint64_t size)
{
  uint16_t sum = 0;

  memcpy (bytes + 16, guid, 16);
  firmware_file_put (bytes + 32, size, 8);
  memcpy (bytes + 40, "_FVH", 4);
  firmware_file_put (bytes + 48, VOLUME_HEADER, 2);
  for (unsigned i = 0; i < VOLUME_HEADER; i += 2)
    sum += bytes[i] | bytes[i + 1] << 8;
  firmware_file_put (bytes + 50, (uint16_t) -sum, 2);
}

uint8_t *
firmware_file_variables (void)
{
  static const uint8_t guids[][16] = {
    { 0x8d, 0x2b, 0xf1, 0xff, 0x96, 0x76, 0x8b, 0x4c, 0xa9, 0x85, 0x27, 0x47, 0x07, 0x5b, 0x4f,
      0x50 },
    { 0x78, 0x2c, 0xf3, 0xaa, 0x7b, 0x94, 0x9a, 0x43, 0xa1, 0x80, 0x2e, 0x14, 0x4e, 0xc3, 0x77,
      0x92 },
    { 0x2b, 0x29, 0x58, 0x9e, 0x68, 0x7c, 0x7d, 0x49, 0xa0, 0xce, 0x65, 0x00, 0xfd, 0x9f, 0x1b,
      0x95 },
  };
  uint8_t *bytes = g_malloc (FIRMWARE_FILE_SIZE);

  memset (bytes, 0xff, FIRMWARE_FILE_SIZE);
  memset (bytes, 0, FIRMWARE_FILE_FIRST);
  write_volume (bytes, guids[0], FIRMWARE_FILE_SIZE);
  memcpy (bytes + VOLUME_HEADER, guids[1], 16);
  firmware_file_put (bytes + VOLUME_HEADER + 16, FIRMWARE_FILE_STORE_END - VOLUME_HEADER, 4);
  bytes[VOLUME_HEADER + 20] = 0x5a;
  bytes[VOLUME_HEADER + 21] = 0xfe;
  memcpy (bytes + FIRMWARE_FILE_FTW, guids[2], 16);
  return bytes;
}

uint8_t *
firmware_file_code (void)
{
  static const uint8_t any[16];
  uint8_t *bytes = g_malloc0 (FIRMWARE_FILE_CODE_SIZE);

  write_volume (bytes, any, FIRMWARE_FILE_CODE_SIZE);
  bytes[FIRMWARE_FILE_CODE_SIZE - 16] = 0xf4;
  return bytes;
}
