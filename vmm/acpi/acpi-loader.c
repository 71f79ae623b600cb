#define G_LOG_DOMAIN "vmm-acpi"

#include "acpi/acpi-loader.h"

#include <string.h>

#include "acpi/acpi-header.h"

/* Theory of operation
 *
 * The block begins with the RSDP, from which every table is found as an operating system would find it. Built for address 0, each
 * pointer in it is an offset; the script has the firmware add the file's address to it. Checksums are left 0, as the
 * firmware sums over them.
 */
#define COMMAND_SIZE 128u
#define NAME_SIZE    56u
#define RSDP_SIZE    36u
#define RSDP_V1_SIZE 20u
#define RSDP_XSDT    24u
#define TABLE_ALIGN  64u

enum
{
  COMMAND_ALLOCATE = 1,
  COMMAND_ADD_POINTER = 2,
  COMMAND_ADD_CHECKSUM = 3,
  ZONE_HIGH = 1,
  ZONE_FSEG = 2,
  CHECKSUM_OFFSET = 9,
  RSDP_CHECKSUM = 8,
  RSDP_EXTENDED_CHECKSUM = 32,
};

/* Pointers of the FADT (ACPI 6.4, table 5.9): those that are 0 point nowhere. */
static const struct
{
  uint8_t offset;
  uint8_t size;
} fadt_pointers[] = {
  { 36, 4 },  /* FIRMWARE_CTRL */
  { 40, 4 },  /* DSDT */
  { 132, 8 }, /* X_FIRMWARE_CTRL */
  { 140, 8 }, /* X_DSDT */
};

static uint64_t
get (const uint8_t *bytes, uint32_t offset, unsigned size)
{
  uint64_t value = 0;

  for (unsigned i = 0; i < size; i++)
    value |= (uint64_t) bytes[offset + i] << (8 * i);
  return value;
}

static void
put_name (GByteArray *script, const char *name)
{
  char field[NAME_SIZE] = { 0 };

  g_strlcpy (field, name, sizeof field);
  g_byte_array_append (script, (const uint8_t *) field, sizeof field);
}

static void
end_command (GByteArray *script)
{
  acpi_put_zeros (script, (COMMAND_SIZE - script->len % COMMAND_SIZE) % COMMAND_SIZE);
}

static void
put_allocate (GByteArray *script, const char *name, uint32_t align, uint8_t zone)
{
  acpi_put (script, COMMAND_ALLOCATE, 4);
  put_name (script, name);
  acpi_put (script, align, 4);
  acpi_put (script, zone, 1);
  end_command (script);
}

/* Adds the address of the tables. */
static void
put_pointer (GByteArray *script, const char *name, uint32_t offset, uint8_t size)
{
  acpi_put (script, COMMAND_ADD_POINTER, 4);
  put_name (script, name);
  put_name (script, ACPI_LOADER_TABLES);
  acpi_put (script, offset, 4);
  acpi_put (script, size, 1);
  end_command (script);
}

static void
put_checksum (GByteArray *script, const char *name, uint8_t *bytes, uint32_t at, uint32_t start,
              uint32_t length)
{
  bytes[at] = 0;
  acpi_put (script, COMMAND_ADD_CHECKSUM, 4);
  put_name (script, name);
  acpi_put (script, at, 4);
  acpi_put (script, start, 4);
  acpi_put (script, length, 4);
  end_command (script);
}

static void
put_table (GByteArray *script, uint8_t *bytes, uint32_t table)
{
  const uint32_t length = (uint32_t) get (bytes, table + 4, 4);

  if (memcmp (bytes + table, "FACP", 4) == 0)
    for (unsigned i = 0; i < G_N_ELEMENTS (fadt_pointers); i++)
      if (get (bytes, table + fadt_pointers[i].offset, fadt_pointers[i].size) != 0)
        put_pointer (script, ACPI_LOADER_TABLES, table + fadt_pointers[i].offset,
                     fadt_pointers[i].size);
  put_checksum (script, ACPI_LOADER_TABLES, bytes, table + CHECKSUM_OFFSET, table, length);
}

static void
put_tables (GByteArray *script, uint8_t *bytes, uint32_t xsdt)
{
  const uint32_t length = (uint32_t) get (bytes, xsdt + 4, 4);

  for (uint32_t entry = ACPI_HEADER_SIZE; entry < length; entry += 8)
    {
      put_table (script, bytes, (uint32_t) get (bytes, xsdt + entry, 8));
      put_pointer (script, ACPI_LOADER_TABLES, xsdt + entry, 8);
    }
  put_checksum (script, ACPI_LOADER_TABLES, bytes, xsdt + CHECKSUM_OFFSET, xsdt, length);
}

void
acpi_loader_build (const GByteArray *tables, GBytes **rsdp_file, GBytes **tables_file,
                   GBytes **script_file)
{
  uint8_t *bytes = g_malloc0 (ACPI_LOADER_TABLES_SIZE);
  uint8_t *rsdp = g_memdup2 (tables->data, RSDP_SIZE);
  GByteArray *script = g_byte_array_new ();

  g_assert (tables->len <= ACPI_LOADER_TABLES_SIZE);
  memcpy (bytes + RSDP_SIZE, tables->data + RSDP_SIZE, tables->len - RSDP_SIZE);
  put_allocate (script, ACPI_LOADER_RSDP, 16, ZONE_FSEG);
  put_allocate (script, ACPI_LOADER_TABLES, TABLE_ALIGN, ZONE_HIGH);
  put_tables (script, bytes, (uint32_t) get (rsdp, RSDP_XSDT, 8));
  put_pointer (script, ACPI_LOADER_RSDP, RSDP_XSDT, 8);
  put_checksum (script, ACPI_LOADER_RSDP, rsdp, RSDP_CHECKSUM, 0, RSDP_V1_SIZE);
  rsdp[RSDP_EXTENDED_CHECKSUM] = 0;
  put_checksum (script, ACPI_LOADER_RSDP, rsdp, RSDP_EXTENDED_CHECKSUM, 0, RSDP_SIZE);
  *rsdp_file = g_bytes_new_take (rsdp, RSDP_SIZE);
  *tables_file = g_bytes_new_take (bytes, ACPI_LOADER_TABLES_SIZE);
  *script_file = g_byte_array_free_to_bytes (script);
}
