#pragma once

#include <stdint.h>
#include <glib.h>

/* Writes AML, the byte code of ACPI tables (ACPI 6.4, chapter 20). Terms are appended one after the other; those that contain
 * others are opened by a _begin () and closed by aml_end (), which fills in their length. A misuse is a programmer's error.
 *
 * Names are one segment of four characters ("PCI0", "_HID") or the root's "\_SB_".
 */
typedef struct Aml Aml;

Aml *aml_new (void);
/* The finished code; every term is closed. */
GByteArray *aml_free_to_bytes (Aml *aml);
void aml_end (Aml *aml);

void aml_scope_begin (Aml *aml, const char *name);
void aml_device_begin (Aml *aml, const char *name);
/* serialized: needed where the method creates names. */
void aml_method_begin (Aml *aml, const char *name, unsigned n_args, gboolean serialized);
void aml_package_begin (Aml *aml, unsigned n_elements);
void aml_if_begin (Aml *aml);
void aml_else_begin (Aml *aml);

/* Name (name, ...): the value is the next term. */
void aml_name (Aml *aml, const char *name);
void aml_name_integer (Aml *aml, const char *name, uint64_t value);
void aml_name_eisa_id (Aml *aml, const char *name, const char *id); /* "PNP0A08" */
void aml_name_string (Aml *aml, const char *name, const char *text);

void aml_integer (Aml *aml, uint64_t value);
void aml_string (Aml *aml, const char *text);
void aml_buffer (Aml *aml, const void *bytes, unsigned size);
void aml_uuid (Aml *aml, const char *uuid); /* as ToUUID () */
void aml_reference (Aml *aml, const char *name);
void aml_argument (Aml *aml, unsigned index);
void aml_return (Aml *aml); /* of the next term */
void aml_equal (Aml *aml);  /* of the next two terms */
void aml_create_dword_field (Aml *aml, unsigned argument, unsigned offset, const char *name);
/* name = name & value; name = name | value. */
void aml_and_assign (Aml *aml, const char *name, uint64_t value);
void aml_or_assign (Aml *aml, const char *name, uint64_t value);
/* A region of I/O ports; and a field of one byte at its start, by whose name it is read and written. */
void aml_io_region (Aml *aml, const char *name, uint16_t base, uint8_t size);
void aml_byte_field (Aml *aml, const char *region, const char *name);
void aml_notify (Aml *aml, const char *device, uint8_t value);

/* A resource template (6.4): between these only aml_resource_*. */
void aml_resources_begin (Aml *aml);
void aml_resources_end (Aml *aml);
void aml_resource_io (Aml *aml, uint16_t base, uint8_t size);
void aml_resource_irq (Aml *aml, unsigned irq);       /* edge, active high, exclusive */
void aml_resource_interrupt (Aml *aml, uint32_t gsi); /* level, active high, exclusive */
void aml_resource_memory32 (Aml *aml, uint32_t base, uint32_t size);
/* What a bridge hands down. */
void aml_resource_bus_window (Aml *aml, unsigned first, unsigned last);
void aml_resource_io_window (Aml *aml, uint16_t base, uint32_t size);
void aml_resource_memory_window (Aml *aml, uint64_t base, uint64_t size); /* 64 bits if it must */
