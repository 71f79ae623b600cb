#pragma once

#include <glib.h>

/* Tables for firmware that places them itself (QEMU's "table-loader": hw/acpi/bios-linker-loader, docs/specs/acpi). Two files and a
 * script: which file goes where, at which offsets addresses are to be added, and which checksums are to be made anew.
 */
#define ACPI_LOADER_SCRIPT "etc/table-loader"
#define ACPI_LOADER_RSDP   "etc/acpi/rsdp"
#define ACPI_LOADER_TABLES "etc/acpi/tables"

/* What a guest may be told that the tables are long: they may be built again, a little longer, once their sizes have been told. */
#define ACPI_LOADER_TABLES_SIZE 0x10000u

/* tables: of acpi_tables_build () with gpa 0, at most ACPI_LOADER_TABLES_SIZE. The results have the same sizes whatever is in it, if
 * the number of tables is the same. */
void acpi_loader_build (const GByteArray *tables, GBytes **rsdp_file, GBytes **tables_file,
                        GBytes **script);
