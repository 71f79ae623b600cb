#include "firmware/smbios.h"

#include <stdbool.h>
#include <string.h>

/* Walks the structures as an operating system does; the n-th string of one, or NULL. */
typedef struct Structure
{
  uint8_t type;
  uint8_t length;
  const uint8_t *bytes;
  const char *strings;
} Structure;

static const char *
get_string (const Structure *structure, unsigned n)
{
  const char *text = structure->strings;

  g_assert_cmpuint (n, >, 0);
  while (--n > 0)
    text += strlen (text) + 1;
  return text;
}

static bool
next (const uint8_t *bytes, size_t size, size_t *at, Structure *structure)
{
  if (*at == size)
    return false;
  g_assert_cmpuint (*at + 4, <, size);
  *structure = (Structure){ bytes[*at], bytes[*at + 1], bytes + *at, NULL };
  g_assert_cmpuint (structure->length, >=, 4);
  size_t end = *at + structure->length;
  structure->strings = (const char *) bytes + end;
  while (bytes[end] != 0 || bytes[end + 1] != 0)
    g_assert_cmpuint (++end + 1, <, size);
  *at = end + 2;
  return true;
}

static unsigned
le (const uint8_t *bytes, unsigned size)
{
  unsigned value = 0;

  for (unsigned i = size; i-- > 0;)
    value = value << 8 | bytes[i];
  return value;
}

static void
test_structures (gconstpointer data)
{
  const uint64_t mib = GPOINTER_TO_SIZE (data);
  const SmbiosLayout layout = { "my machine", "9.9", 5, mib << 20 };
  g_autoptr (GBytes) anchor = NULL, tables = NULL;
  unsigned seen[128] = { 0 };
  size_t size, at = 0;
  Structure s;

  smbios_build (&layout, &anchor, &tables);
  const uint8_t *bytes = g_bytes_get_data (tables, &size);
  while (next (bytes, size, &at, &s))
    {
      seen[s.type & 127]++;
      if (s.type == 1)
        {
          g_assert_cmpuint (s.length, ==, 0x1b);
          g_assert_cmpstr (get_string (&s, s.bytes[4]), ==, "Alcove");
          g_assert_cmpstr (get_string (&s, s.bytes[6]), ==, "9.9");
          g_assert_cmpstr (get_string (&s, s.bytes[0x1a]), ==, "my machine");
        }
      else if (s.type == 4)
        {
          g_assert_cmpuint (s.length, ==, 0x30);
          g_assert_cmpuint (s.bytes[0x23], ==, 5);
          g_assert_cmpuint (le (s.bytes + 0x2a, 2), ==, 5);
        }
      else if (s.type == 17)
        {
          g_assert_cmpuint (s.length, ==, 0x28);
          unsigned told = le (s.bytes + 0x0c, 2);
          g_assert_cmpuint (told == 0x7fff ? le (s.bytes + 0x1c, 4) : told, ==, mib);
        }
      else if (s.type == 127)
        g_assert_cmpuint (at, ==, size);
    }
  for (unsigned i = 0; i < 128; i++)
    g_assert_cmpuint (seen[i], ==,
                      i == 1 || i == 3 || i == 4 || i == 16 || i == 17 || i == 19 || i == 32 ||
                          i == 127);
}

static void
test_anchor (void)
{
  const SmbiosLayout layout = { "m", "1", 1, UINT64_C (1) << 30 };
  g_autoptr (GBytes) anchor = NULL, tables = NULL;
  size_t size;
  uint8_t sum = 0;

  smbios_build (&layout, &anchor, &tables);
  const uint8_t *bytes = g_bytes_get_data (anchor, &size);
  g_assert_cmpuint (size, ==, 24);
  g_assert_cmpmem (bytes, 5, "_SM3_", 5);
  for (unsigned i = 0; i < size; i++)
    sum = (uint8_t) (sum + bytes[i]);
  g_assert_cmpuint (sum, ==, 0);
  g_assert_cmpuint (le (bytes + 12, 4), ==, g_bytes_get_size (tables));
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_data_func ("/smbios/structures/small", GSIZE_TO_POINTER (96), test_structures);
  g_test_add_data_func ("/smbios/structures/32-gib", GSIZE_TO_POINTER (32768), test_structures);
  g_test_add_data_func ("/smbios/structures/5-tib", GSIZE_TO_POINTER (5 << 20), test_structures);
  g_test_add_func ("/smbios/anchor", test_anchor);
  return g_test_run ();
}
