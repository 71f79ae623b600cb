#pragma once

#include <stdint.h>
#include <glib.h>

/* The 36 bytes that begin every table but RSDP and FACS (ACPI 6.4, 5.2.6). For the files of acpi/. */
#define ACPI_HEADER_SIZE 36

GByteArray *acpi_header_begin (const char signature[4], uint8_t revision);
void acpi_put (GByteArray *table, uint64_t value, unsigned size);
void acpi_put_zeros (GByteArray *table, unsigned size);
/* Fills in length and checksum. */
void acpi_header_end (GByteArray *table);
/* What makes the bytes' sum 0. */
uint8_t acpi_checksum (const uint8_t *bytes, unsigned size);
