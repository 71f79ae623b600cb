#define G_LOG_DOMAIN "vmm-firmware"

#include "firmware/smbios.h"

#include <string.h>

/* DSP0134 3.0: the structures' numbers are sections of chapter 7. Handles are only told apart. */
enum
{
  TYPE_SYSTEM = 1,
  TYPE_CHASSIS = 3,
  TYPE_PROCESSOR = 4,
  TYPE_MEMORY_ARRAY = 16,
  TYPE_MEMORY_DEVICE = 17,
  TYPE_MEMORY_ARRAY_ADDRESS = 19,
  TYPE_BOOT = 32,
  TYPE_END = 127,

  HANDLE_SYSTEM = 0x100,
  HANDLE_CHASSIS = 0x300,
  HANDLE_PROCESSOR = 0x400,
  HANDLE_ARRAY = 0x1000,
  HANDLE_DEVICE = 0x1100,
  HANDLE_ADDRESS = 0x1300,
  HANDLE_BOOT = 0x2000,
  HANDLE_END = 0x7f00,

  ANCHOR_SIZE = 24,
  UNKNOWN = 2,
  OTHER = 1,
};

#define MAKER "Alcove"

typedef struct Writer
{
  GByteArray *bytes;
  guint start;      /* of the structure that is written */
  GString *strings; /* of it */
  uint8_t n_strings;
} Writer;

static void
put (Writer *writer, uint64_t value, unsigned size)
{
  for (unsigned i = 0; i < size; i++)
    {
      uint8_t byte = (uint8_t) (value >> (8 * i));
      g_byte_array_append (writer->bytes, &byte, 1);
    }
}

static void
put_string (Writer *writer, const char *text)
{
  g_string_append_len (writer->strings, text, (gssize) strlen (text) + 1);
  put (writer, ++writer->n_strings, 1);
}

static void
begin (Writer *writer, uint8_t type, uint16_t handle)
{
  writer->start = writer->bytes->len;
  writer->n_strings = 0;
  g_string_truncate (writer->strings, 0);
  put (writer, type, 1);
  put (writer, 0, 1);
  put (writer, handle, 2);
}

/* The strings end with an empty one; without any there are two zeros. */
static void
end (Writer *writer)
{
  writer->bytes->data[writer->start + 1] = (uint8_t) (writer->bytes->len - writer->start);
  if (writer->n_strings == 0)
    put (writer, 0, 1);
  g_byte_array_append (writer->bytes, (const uint8_t *) writer->strings->str,
                       (guint) writer->strings->len);
  put (writer, 0, 1);
}

static void
put_system (Writer *writer, const SmbiosLayout *layout)
{
  begin (writer, TYPE_SYSTEM, HANDLE_SYSTEM);
  put_string (writer, MAKER);
  put_string (writer, "Virtual Machine");
  put_string (writer, layout->version);
  put (writer, 0, 1); /* serial number */
  put (writer, 0, 8); /* UUID: not there */
  put (writer, 0, 8);
  put (writer, 6, 1); /* wake-up: power switch */
  put (writer, 0, 1); /* SKU */
  put_string (writer, layout->name);
  end (writer);
}

static void
put_chassis (Writer *writer)
{
  begin (writer, TYPE_CHASSIS, HANDLE_CHASSIS);
  put_string (writer, MAKER);
  put (writer, OTHER, 1);
  put (writer, 0, 3); /* version, serial number, asset tag */
  put (writer, 3, 1); /* boot-up, power supply, thermal: safe */
  put (writer, 3, 1);
  put (writer, 3, 1);
  put (writer, UNKNOWN, 1); /* security */
  put (writer, 0, 4);
  put (writer, 0, 5); /* height, cords, elements, their length, SKU */
  end (writer);
}

static void
put_processor (Writer *writer, const SmbiosLayout *layout)
{
  const uint8_t n = (uint8_t) MIN (layout->n_cpus, 255u);

  begin (writer, TYPE_PROCESSOR, HANDLE_PROCESSOR);
  put_string (writer, "CPU 0");
  put (writer, 3, 1); /* central processor */
  put (writer, OTHER, 1);
  put_string (writer, MAKER);
  put (writer, 0, 8); /* CPUID says more */
  put (writer, 0, 1); /* version */
  put (writer, 0, 1); /* voltage */
  put (writer, 0, 2); /* clocks */
  put (writer, 0, 2);
  put (writer, 0, 2);
  put (writer, 0x41, 1); /* populated, enabled */
  put (writer, OTHER, 1);
  put (writer, 0xffff, 2); /* no handles of caches */
  put (writer, 0xffff, 2);
  put (writer, 0xffff, 2);
  put (writer, 0, 3); /* serial number, asset tag, part number */
  put (writer, n, 1); /* cores, of them enabled, threads */
  put (writer, n, 1);
  put (writer, n, 1);
  put (writer, 1 << 2, 2); /* 64-bit capable */
  put (writer, OTHER, 2);
  put (writer, layout->n_cpus, 2);
  put (writer, layout->n_cpus, 2);
  put (writer, layout->n_cpus, 2);
  end (writer);
}

static void
put_memory (Writer *writer, const SmbiosLayout *layout)
{
  const uint64_t kib = layout->memory_bytes >> 10, mib = layout->memory_bytes >> 20;

  begin (writer, TYPE_MEMORY_ARRAY, HANDLE_ARRAY);
  put (writer, OTHER, 1);
  put (writer, 3, 1); /* system memory */
  put (writer, 3, 1); /* no error correction */
  put (writer, 0x80000000, 4);
  put (writer, 0xfffe, 2);
  put (writer, 1, 2);
  put (writer, layout->memory_bytes, 8);
  end (writer);

  begin (writer, TYPE_MEMORY_DEVICE, HANDLE_DEVICE);
  put (writer, HANDLE_ARRAY, 2);
  put (writer, 0xfffe, 2);
  put (writer, 0xffff, 2); /* widths */
  put (writer, 0xffff, 2);
  put (writer, mib < 0x7fff ? mib : 0x7fff, 2);
  put (writer, 9, 1); /* DIMM */
  put (writer, 0, 1);
  put_string (writer, "DIMM 0");
  put (writer, 0, 1);
  put (writer, 7, 1);      /* RAM */
  put (writer, 1 << 1, 2); /* other */
  put (writer, 0, 2);
  put_string (writer, MAKER);
  put (writer, 0, 4); /* serial number, asset tag, part number, attributes */
  put (writer, mib < 0x7fff ? 0 : mib & 0x7fffffff, 4);
  put (writer, 0, 8); /* configured speed, voltages */
  end (writer);

  begin (writer, TYPE_MEMORY_ARRAY_ADDRESS, HANDLE_ADDRESS);
  put (writer, kib <= UINT32_MAX ? 0 : 0xffffffff, 4);
  put (writer, kib <= UINT32_MAX ? kib - 1 : 0xffffffff, 4);
  put (writer, HANDLE_ARRAY, 2);
  put (writer, 1, 1);
  put (writer, 0, 8);
  put (writer, kib <= UINT32_MAX ? 0 : layout->memory_bytes - 1, 8);
  end (writer);
}

static void
put_ends (Writer *writer)
{
  begin (writer, TYPE_BOOT, HANDLE_BOOT);
  put (writer, 0, 6);
  put (writer, 0, 1); /* no errors */
  end (writer);
  begin (writer, TYPE_END, HANDLE_END);
  end (writer);
}

static GBytes *
make_anchor (uint32_t tables_size)
{
  static const uint8_t start[] = { '_', 'S', 'M', '3', '_', 0, ANCHOR_SIZE, 3, 0, 0, 1, 0 };
  uint8_t anchor[ANCHOR_SIZE] = { 0 };
  uint8_t sum = 0;

  memcpy (anchor, start, sizeof start);
  for (unsigned i = 0; i < 4; i++)
    anchor[12 + i] = (uint8_t) (tables_size >> (8 * i));
  for (unsigned i = 0; i < ANCHOR_SIZE; i++)
    sum = (uint8_t) (sum + anchor[i]);
  anchor[5] = (uint8_t) -sum;
  return g_bytes_new (anchor, sizeof anchor);
}

void
smbios_build (const SmbiosLayout *layout, GBytes **anchor, GBytes **tables)
{
  Writer writer = { .bytes = g_byte_array_new (), .strings = g_string_new (NULL) };

  put_system (&writer, layout);
  put_chassis (&writer);
  put_processor (&writer, layout);
  put_memory (&writer, layout);
  put_ends (&writer);
  *anchor = make_anchor (writer.bytes->len);
  *tables = g_byte_array_free_to_bytes (writer.bytes);
  g_string_free (writer.strings, TRUE);
}
