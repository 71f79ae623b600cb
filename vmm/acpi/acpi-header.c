#define G_LOG_DOMAIN "vmm-acpi"

#include "acpi/acpi-header.h"

#define LENGTH_OFFSET   4
#define CHECKSUM_OFFSET 9

void
acpi_put (GByteArray *table, uint64_t value, unsigned size)
{
  for (unsigned i = 0; i < size; i++)
    {
      uint8_t byte = (uint8_t) (value >> (8 * i));
      g_byte_array_append (table, &byte, 1);
    }
}

void
acpi_put_zeros (GByteArray *table, unsigned size)
{
  for (unsigned i = 0; i < size; i++)
    acpi_put (table, 0, 1);
}

GByteArray *
acpi_header_begin (const char signature[4], uint8_t revision)
{
  GByteArray *table = g_byte_array_new ();

  g_byte_array_append (table, (const uint8_t *) signature, 4);
  acpi_put (table, 0, 4); /* length */
  acpi_put (table, revision, 1);
  acpi_put (table, 0, 1); /* checksum */
  g_byte_array_append (table, (const uint8_t *) "ALCOVEALCOVEVM", 14);
  acpi_put (table, 1, 4); /* OEM revision */
  g_byte_array_append (table, (const uint8_t *) "ALCV", 4);
  acpi_put (table, 1, 4);
  g_assert (table->len == ACPI_HEADER_SIZE);
  return table;
}

uint8_t
acpi_checksum (const uint8_t *bytes, unsigned size)
{
  uint8_t sum = 0;

  for (unsigned i = 0; i < size; i++)
    sum = (uint8_t) (sum + bytes[i]);
  return (uint8_t) -sum;
}

void
acpi_header_end (GByteArray *table)
{
  for (unsigned i = 0; i < 4; i++)
    table->data[LENGTH_OFFSET + i] = (uint8_t) (table->len >> (8 * i));
  table->data[CHECKSUM_OFFSET] = acpi_checksum (table->data, table->len);
}
