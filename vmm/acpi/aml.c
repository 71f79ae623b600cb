#define G_LOG_DOMAIN "vmm-acpi"

#include "acpi/aml.h"

#include <string.h>

/* Theory of operation
 *
 * A stack of byte arrays, one for each open term. Closing prepends its length, which counts itself in one to four bytes (20.2.4), and
 * appends the whole to the term outside.
 */
enum
{
  OP_NAME = 0x08,
  OP_BYTE = 0x0a,
  OP_WORD = 0x0b,
  OP_DWORD = 0x0c,
  OP_STRING = 0x0d,
  OP_QWORD = 0x0e,
  OP_SCOPE = 0x10,
  OP_BUFFER = 0x11,
  OP_PACKAGE = 0x12,
  OP_METHOD = 0x14,
  OP_EXTENDED = 0x5b,
  OP_ARG0 = 0x68,
  OP_AND = 0x7b,
  OP_OR = 0x7d,
  OP_NOTIFY = 0x86,
  OP_CREATE_DWORD_FIELD = 0x8a,
  OP_EQUAL = 0x93,
  OP_IF = 0xa0,
  OP_ELSE = 0xa1,
  OP_RETURN = 0xa4,
  EXT_REGION = 0x80,
  EXT_FIELD = 0x81,
  EXT_DEVICE = 0x82,
};

enum
{
  SPACE_MEMORY = 0,
  SPACE_IO = 1,
  SPACE_BUS = 2,
};

#define MAX_DEPTH 8

struct Aml
{
  GByteArray *stack[MAX_DEPTH];
  unsigned depth;
};

static GByteArray *
top (const Aml *aml)
{
  return aml->stack[aml->depth - 1];
}

static void
put (Aml *aml, uint64_t value, unsigned size)
{
  uint8_t bytes[8];

  for (unsigned i = 0; i < size; i++)
    bytes[i] = (uint8_t) (value >> (8 * i));
  g_byte_array_append (top (aml), bytes, size);
}

static void
put_op (Aml *aml, unsigned op)
{
  put (aml, op, 1);
}

static void
put_name (Aml *aml, const char *name)
{
  if (name[0] == '\\')
    {
      put_op (aml, '\\');
      name++;
    }
  g_assert (strlen (name) == 4);
  g_byte_array_append (top (aml), (const uint8_t *) name, 4);
}

Aml *
aml_new (void)
{
  Aml *aml = g_new0 (Aml, 1);

  aml->stack[0] = g_byte_array_new ();
  aml->depth = 1;
  return aml;
}

GByteArray *
aml_free_to_bytes (Aml *aml)
{
  g_assert (aml->depth == 1);
  GByteArray *bytes = aml->stack[0];
  g_free (aml);
  return bytes;
}

static void
begin (Aml *aml)
{
  g_assert (aml->depth < MAX_DEPTH);
  aml->stack[aml->depth++] = g_byte_array_new ();
}

/* One byte holds 6 bits of length; else the first has 4 bits and the number of bytes that follow with 8 each. */
static void
put_package_length (Aml *aml, unsigned body)
{
  unsigned extra = 0;

  if (body + 1 < 1u << 6)
    {
      put (aml, body + 1, 1);
      return;
    }
  for (extra = 1; body + 1 + extra >= 1u << (4 + 8 * extra);)
    extra++;
  g_assert (extra <= 3);
  unsigned length = body + 1 + extra;
  put (aml, extra << 6 | (length & 0xf), 1);
  put (aml, length >> 4, extra);
}

void
aml_end (Aml *aml)
{
  g_assert (aml->depth > 1);
  g_autoptr (GByteArray) body = aml->stack[--aml->depth];

  put_package_length (aml, body->len);
  g_byte_array_append (top (aml), body->data, body->len);
}

void
aml_scope_begin (Aml *aml, const char *name)
{
  put_op (aml, OP_SCOPE);
  begin (aml);
  put_name (aml, name);
}

void
aml_device_begin (Aml *aml, const char *name)
{
  put_op (aml, OP_EXTENDED);
  put_op (aml, EXT_DEVICE);
  begin (aml);
  put_name (aml, name);
}

void
aml_method_begin (Aml *aml, const char *name, unsigned n_args, gboolean serialized)
{
  put_op (aml, OP_METHOD);
  begin (aml);
  put_name (aml, name);
  put (aml, n_args | (serialized ? 1 << 3 : 0), 1);
}

void
aml_package_begin (Aml *aml, unsigned n_elements)
{
  g_assert (n_elements < 256);
  put_op (aml, OP_PACKAGE);
  begin (aml);
  put (aml, n_elements, 1);
}

void
aml_if_begin (Aml *aml)
{
  put_op (aml, OP_IF);
  begin (aml);
}

void
aml_else_begin (Aml *aml)
{
  put_op (aml, OP_ELSE);
  begin (aml);
}

void
aml_name (Aml *aml, const char *name)
{
  put_op (aml, OP_NAME);
  put_name (aml, name);
}

void
aml_integer (Aml *aml, uint64_t value)
{
  if (value <= 1)
    put_op (aml, (unsigned) value);
  else if (value <= UINT8_MAX)
    {
      put_op (aml, OP_BYTE);
      put (aml, value, 1);
    }
  else if (value <= UINT16_MAX)
    {
      put_op (aml, OP_WORD);
      put (aml, value, 2);
    }
  else if (value <= UINT32_MAX)
    {
      put_op (aml, OP_DWORD);
      put (aml, value, 4);
    }
  else
    {
      put_op (aml, OP_QWORD);
      put (aml, value, 8);
    }
}

void
aml_name_integer (Aml *aml, const char *name, uint64_t value)
{
  aml_name (aml, name);
  aml_integer (aml, value);
}

/* 6.1.5: three letters of 5 bits and four hexadecimal digits, in big-endian order. Always a double word. */
void
aml_name_eisa_id (Aml *aml, const char *name, const char *id)
{
  uint32_t value = 0;

  g_assert (strlen (id) == 7);
  for (unsigned i = 0; i < 3; i++)
    value = value << 5 | (id[i] & 0x1f);
  for (unsigned i = 3; i < 7; i++)
    value = value << 4 | (uint32_t) g_ascii_xdigit_value (id[i]);
  aml_name (aml, name);
  put_op (aml, OP_DWORD);
  put (aml, GUINT32_SWAP_LE_BE (value), 4);
}

void
aml_string (Aml *aml, const char *text)
{
  put_op (aml, OP_STRING);
  g_byte_array_append (top (aml), (const uint8_t *) text, (guint) strlen (text) + 1);
}

void
aml_name_string (Aml *aml, const char *name, const char *text)
{
  aml_name (aml, name);
  aml_string (aml, text);
}

void
aml_buffer (Aml *aml, const void *bytes, unsigned size)
{
  put_op (aml, OP_BUFFER);
  begin (aml);
  aml_integer (aml, size);
  g_byte_array_append (top (aml), bytes, size);
  aml_end (aml);
}

/* 19.6.142: the first three groups have their bytes turned round. */
void
aml_uuid (Aml *aml, const char *uuid)
{
  static const uint8_t order[16] = { 3, 2, 1, 0, 5, 4, 7, 6, 8, 9, 10, 11, 12, 13, 14, 15 };
  uint8_t plain[16] = { 0 };
  uint8_t turned[16];
  unsigned digits = 0;

  for (const char *c = uuid; *c; c++)
    if (*c != '-' && digits < 32)
      {
        plain[digits / 2] = (uint8_t) (plain[digits / 2] << 4 | g_ascii_xdigit_value (*c));
        digits++;
      }
  g_assert (digits == 32);
  for (unsigned i = 0; i < 16; i++)
    turned[i] = plain[order[i]];
  aml_buffer (aml, turned, sizeof turned);
}

void
aml_reference (Aml *aml, const char *name)
{
  put_name (aml, name);
}

void
aml_argument (Aml *aml, unsigned index)
{
  put_op (aml, OP_ARG0 + index);
}

void
aml_return (Aml *aml)
{
  put_op (aml, OP_RETURN);
}

void
aml_equal (Aml *aml)
{
  put_op (aml, OP_EQUAL);
}

void
aml_create_dword_field (Aml *aml, unsigned argument, unsigned offset, const char *name)
{
  put_op (aml, OP_CREATE_DWORD_FIELD);
  aml_argument (aml, argument);
  aml_integer (aml, offset);
  put_name (aml, name);
}

static void
assign (Aml *aml, unsigned op, const char *name, uint64_t value)
{
  put_op (aml, op);
  put_name (aml, name);
  aml_integer (aml, value);
  put_name (aml, name);
}

void
aml_and_assign (Aml *aml, const char *name, uint64_t value)
{
  assign (aml, OP_AND, name, value);
}

void
aml_or_assign (Aml *aml, const char *name, uint64_t value)
{
  assign (aml, OP_OR, name, value);
}

void
aml_io_region (Aml *aml, const char *name, uint16_t base, uint8_t size)
{
  put_op (aml, OP_EXTENDED);
  put_op (aml, EXT_REGION);
  put_name (aml, name);
  put (aml, SPACE_IO, 1);
  aml_integer (aml, base);
  aml_integer (aml, size);
}

void
aml_byte_field (Aml *aml, const char *region, const char *name)
{
  put_op (aml, OP_EXTENDED);
  put_op (aml, EXT_FIELD);
  begin (aml);
  put_name (aml, region);
  put (aml, 1, 1); /* byte accesses, no lock, other bits preserved */
  put_name (aml, name);
  put (aml, 8, 1); /* bits */
  aml_end (aml);
}

void
aml_notify (Aml *aml, const char *device, uint8_t value)
{
  put_op (aml, OP_NOTIFY);
  put_name (aml, device);
  aml_integer (aml, value);
}

/* --- resource templates: a buffer whose content is gathered on the stack --- */

void
aml_resources_begin (Aml *aml)
{
  begin (aml);
}

void
aml_resources_end (Aml *aml)
{
  put (aml, 0x79, 1); /* end tag, without a checksum */
  put (aml, 0, 1);
  g_autoptr (GByteArray) body = aml->stack[--aml->depth];
  aml_buffer (aml, body->data, body->len);
}

void
aml_resource_io (Aml *aml, uint16_t base, uint8_t size)
{
  put (aml, 0x47, 1);
  put (aml, 1, 1); /* decodes 16 bits */
  put (aml, base, 2);
  put (aml, base, 2);
  put (aml, 1, 1); /* alignment */
  put (aml, size, 1);
}

void
aml_resource_irq (Aml *aml, unsigned irq)
{
  put (aml, 0x22, 1);
  put (aml, 1u << irq, 2);
}

/* 6.4.3.6, of the device's own. */
void
aml_resource_interrupt (Aml *aml, uint32_t gsi)
{
  put (aml, 0x89, 1);
  put (aml, 6, 2);
  put (aml, 1, 1); /* consumer, level, active high, exclusive */
  put (aml, 1, 1);
  put (aml, gsi, 4);
}

void
aml_resource_memory32 (Aml *aml, uint32_t base, uint32_t size)
{
  put (aml, 0x86, 1);
  put (aml, 9, 2);
  put (aml, 1, 1); /* writable */
  put (aml, base, 4);
  put (aml, size, 4);
}

/* 6.4.3.5: handed down by a bridge (producer), positive decode, both ends fixed. */
static void
put_window (Aml *aml, unsigned kind, unsigned kind_flags, uint64_t base, uint64_t size,
            unsigned width)
{
  static const uint8_t tags[9] = { [2] = 0x88, [4] = 0x87, [8] = 0x8a };

  put (aml, tags[width], 1);
  put (aml, 3 + 5 * width, 2);
  put (aml, kind, 1);
  put (aml, 0x0c, 1);
  put (aml, kind_flags, 1);
  put (aml, 0, width); /* granularity */
  put (aml, base, width);
  put (aml, base + size - 1, width);
  put (aml, 0, width); /* translation */
  put (aml, size, width);
}

void
aml_resource_bus_window (Aml *aml, unsigned first, unsigned last)
{
  put_window (aml, SPACE_BUS, 0, first, last - first + 1, 2);
}

void
aml_resource_io_window (Aml *aml, uint16_t base, uint32_t size)
{
  put_window (aml, SPACE_IO, 3, base, size, 2);
}

void
aml_resource_memory_window (Aml *aml, uint64_t base, uint64_t size)
{
  put_window (aml, SPACE_MEMORY, 1, base, size, base + size > UINT32_MAX ? 8 : 4);
}
