#include <string.h>

#include "acpi/aml.h"

#define ASSERT_BYTES(aml, ...)                                                                     \
  do                                                                                               \
    {                                                                                              \
      static const uint8_t expected[] = { __VA_ARGS__ };                                           \
      g_autoptr (GByteArray) bytes = aml_free_to_bytes (aml);                                      \
      g_assert_cmpmem (bytes->data, bytes->len, expected, sizeof expected);                        \
    }                                                                                              \
  while (0)

/* The widths of an integer are the smallest that hold it. */
static void
test_integers (void)
{
  Aml *aml = aml_new ();

  aml_integer (aml, 0);
  aml_integer (aml, 1);
  aml_integer (aml, 2);
  aml_integer (aml, 0x100);
  aml_integer (aml, 0x10000);
  aml_integer (aml, UINT64_C (0x100000000));
  ASSERT_BYTES (aml, 0x00, 0x01, 0x0a, 0x02, 0x0b, 0x00, 0x01, 0x0c, 0, 0, 1, 0, 0x0e, 0, 0, 0, 0,
                1, 0, 0, 0);
}

static void
test_names (void)
{
  Aml *aml = aml_new ();

  aml_scope_begin (aml, "\\_SB_");
  aml_name_eisa_id (aml, "_HID", "PNP0A03");
  aml_end (aml);
  ASSERT_BYTES (aml, 0x10, 16, '\\', '_', 'S', 'B', '_', 0x08, '_', 'H', 'I', 'D', 0x0c, 0x41, 0xd0,
                0x0a, 0x03);
}

/* A body of `size` bytes gets a length of so many bytes, which counts them too (ACPI 6.4, 20.2.4). */
static void
check_length (unsigned size, unsigned length_bytes)
{
  Aml *aml = aml_new ();
  unsigned length;

  aml_if_begin (aml);
  for (unsigned i = 0; i < size; i++)
    aml_integer (aml, 1);
  aml_end (aml);
  g_autoptr (GByteArray) bytes = aml_free_to_bytes (aml);
  g_assert_cmpuint (bytes->len, ==, 1 + length_bytes + size);
  if (length_bytes == 1)
    length = bytes->data[1];
  else
    {
      g_assert_cmpuint (bytes->data[1] >> 6, ==, length_bytes - 1);
      length = bytes->data[1] & 0xf;
      for (unsigned i = 1; i < length_bytes; i++)
        length |= (unsigned) bytes->data[1 + i] << (8 * i - 4);
    }
  g_assert_cmpuint (length, ==, length_bytes + size);
}

static void
test_package_length (void)
{
  check_length (0, 1);
  check_length (62, 1);
  check_length (63, 2);
  check_length (4093, 2);
  check_length (4094, 3);
  check_length (1048572, 3);
  check_length (1048573, 4);
}

static void
test_uuid (void)
{
  Aml *aml = aml_new ();

  aml_uuid (aml, "00112233-4455-6677-8899-aabbccddeeff");
  ASSERT_BYTES (aml, 0x11, 19, 0x0a, 16, 0x33, 0x22, 0x11, 0x00, 0x55, 0x44, 0x77, 0x66, 0x88, 0x99,
                0xaa, 0xbb, 0xcc, 0xdd, 0xee, 0xff);
}

static void
test_resources (void)
{
  Aml *aml = aml_new ();

  aml_resources_begin (aml);
  aml_resource_irq (aml, 4);
  aml_resource_memory_window (aml, 0xc0000000, 0x1000);
  aml_resources_end (aml);
  ASSERT_BYTES (aml, 0x11, 34, 0x0a, 31, 0x22, 0x10, 0x00, 0x87, 23, 0, 0, 0x0c, 1, 0, 0, 0, 0, 0,
                0, 0, 0xc0, 0xff, 0x0f, 0, 0xc0, 0, 0, 0, 0, 0, 0x10, 0, 0, 0x79, 0);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/aml/integers", test_integers);
  g_test_add_func ("/aml/names", test_names);
  g_test_add_func ("/aml/package-length", test_package_length);
  g_test_add_func ("/aml/uuid", test_uuid);
  g_test_add_func ("/aml/resources", test_resources);
  return g_test_run ();
}
