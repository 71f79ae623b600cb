#include "virtio/virtio-gpu-edid.h"

#include <string.h>
#include <glib.h>

/* Offsets of the base block, table 3.1. */
enum
{
  EDID_HEADER = 0,
  EDID_VENDOR = 8,
  EDID_PRODUCT = 10,
  EDID_WEEK = 16,
  EDID_YEAR = 17,
  EDID_VERSION = 18,
  EDID_INPUT = 20,
  EDID_SIZE_CM = 21,
  EDID_GAMMA = 23,
  EDID_FEATURES = 24,
  EDID_CHROMATICITY = 25,
  EDID_ESTABLISHED = 35,
  EDID_STANDARD = 38,
  EDID_DETAILED = 54,
  EDID_DESCRIPTOR_SIZE = 18,
  EDID_CHECKSUM = 127,
};

#define MAX_ACTIVE 4095
#define MM_PER_DOT 0.2646 /* 96 dots an inch */

static void
put_le16 (uint8_t *bytes, uint32_t value)
{
  bytes[0] = value & 0xff;
  bytes[1] = value >> 8 & 0xff;
}

/* Section 3.10.2. Blanking is small and constant: nothing scans these pixels out. */
static void
put_detailed_timing (uint8_t *d, uint32_t width, uint32_t height)
{
  const uint32_t h_blank = 160, v_blank = 35, h_front = 48, h_sync = 32, v_front = 3, v_sync = 6;
  uint32_t width_mm = width * MM_PER_DOT, height_mm = height * MM_PER_DOT;
  uint64_t clock = (uint64_t) (width + h_blank) * (height + v_blank) * 60 / 10000;

  put_le16 (d, MIN (clock, UINT16_MAX));
  d[2] = width & 0xff;
  d[3] = h_blank & 0xff;
  d[4] = (width >> 8) << 4 | h_blank >> 8;
  d[5] = height & 0xff;
  d[6] = v_blank & 0xff;
  d[7] = (height >> 8) << 4 | v_blank >> 8;
  d[8] = h_front;
  d[9] = h_sync;
  d[10] = v_front << 4 | v_sync;
  d[11] = 0;
  d[12] = width_mm & 0xff;
  d[13] = height_mm & 0xff;
  d[14] = (width_mm >> 8) << 4 | height_mm >> 8;
  d[17] = 0x1e; /* digital separate sync, both positive */
}

static void
put_text_descriptor (uint8_t *d, uint8_t tag, const char *text)
{
  d[3] = tag;
  memset (d + 5, ' ', 13);
  memcpy (d + 5, text, strlen (text));
  d[5 + strlen (text)] = '\n';
}

static void
put_range_limits (uint8_t *d)
{
  d[3] = 0xfd;
  d[5] = 50; /* Hz vertical */
  d[6] = 75;
  d[7] = 30; /* kHz horizontal */
  d[8] = 160;
  d[9] = 66; /* 10 MHz pixel clock */
  d[10] = 1; /* limits only: no secondary timing formula */
  d[11] = '\n';
  memset (d + 12, ' ', 6);
}

void
virtio_gpu_edid_make (uint32_t width, uint32_t height, uint8_t edid[VIRTIO_GPU_EDID_SIZE])
{
  static const uint8_t header[] = { 0x00, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x00 };
  /* sRGB primaries and white point, section 3.7. */
  static const uint8_t srgb[] = { 0xee, 0x91, 0xa3, 0x54, 0x4c, 0x99, 0x26, 0x0f, 0x50, 0x54 };
  uint8_t sum = 0;

  width = CLAMP (width, 1, MAX_ACTIVE);
  height = CLAMP (height, 1, MAX_ACTIVE);
  memset (edid, 0, VIRTIO_GPU_EDID_SIZE);
  memcpy (edid + EDID_HEADER, header, sizeof header);
  /* "ALC" in five bits a letter, big-endian. */
  edid[EDID_VENDOR] = 1 << 2 | 12 >> 3;
  edid[EDID_VENDOR + 1] = (12 & 7) << 5 | 3;
  put_le16 (edid + EDID_PRODUCT, 1);
  edid[EDID_WEEK] = 1;
  edid[EDID_YEAR] = 2026 - 1990;
  edid[EDID_VERSION] = 1;
  edid[EDID_VERSION + 1] = 4;
  edid[EDID_INPUT] = 0xa5; /* digital, 8 bits a colour, DisplayPort */
  edid[EDID_SIZE_CM] = MIN (width * MM_PER_DOT / 10, 255);
  edid[EDID_SIZE_CM + 1] = MIN (height * MM_PER_DOT / 10, 255);
  edid[EDID_GAMMA] = 120;     /* 2.2 */
  edid[EDID_FEATURES] = 0x06; /* sRGB; the first detailed timing is the native one */
  memcpy (edid + EDID_CHROMATICITY, srgb, sizeof srgb);
  edid[EDID_ESTABLISHED] = 0x21;                                   /* 640x480, 800x600 at 60 Hz */
  edid[EDID_ESTABLISHED + 1] = 0x08;                               /* 1024x768 at 60 Hz */
  memset (edid + EDID_STANDARD, 1, EDID_DETAILED - EDID_STANDARD); /* unused */
  uint8_t *descriptor = edid + EDID_DETAILED;
  put_detailed_timing (descriptor, width, height);
  put_range_limits (descriptor + EDID_DESCRIPTOR_SIZE);
  put_text_descriptor (descriptor + 2 * EDID_DESCRIPTOR_SIZE, 0xfc, "Alcove");
  put_text_descriptor (descriptor + 3 * EDID_DESCRIPTOR_SIZE, 0xff, "1");
  for (unsigned i = 0; i < EDID_CHECKSUM; i++)
    sum += edid[i];
  edid[EDID_CHECKSUM] = -sum;
}
