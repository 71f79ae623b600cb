#include "acpi/acpi-loader.h"

#include <string.h>

#include "acpi/acpi-tables.h"

/* Firmware that does what the script says. */
#define COMMAND 128
#define BASE    UINT64_C (0x7f5e1000)
#define RSDP_AT UINT64_C (0xf6a40)

typedef struct File
{
  const char *name;
  uint8_t *bytes;
  size_t size;
  uint64_t gpa;
  unsigned allocations;
} File;

static uint64_t
get (const uint8_t *bytes, unsigned size)
{
  uint64_t value = 0;

  for (unsigned i = size; i-- > 0;)
    value = value << 8 | bytes[i];
  return value;
}

static File *
find (File *files, const uint8_t *name)
{
  for (unsigned i = 0; i < 2; i++)
    if (strcmp (files[i].name, (const char *) name) == 0)
      return &files[i];
  g_assert_not_reached ();
}

static void
add_pointer (File *files, const uint8_t *command)
{
  File *to = find (files, command + 4);
  const File *of = find (files, command + 60);
  uint32_t offset = (uint32_t) get (command + 116, 4);
  uint8_t size = command[120];

  g_assert_cmpuint (to->allocations * of->allocations, ==, 1);
  g_assert_cmpuint (offset + size, <=, to->size);
  uint64_t value = get (to->bytes + offset, size);
  g_assert_cmpuint (value, >, 0);
  g_assert_cmpuint (value, <, of->size);
  value += of->gpa;
  for (unsigned i = 0; i < size; i++)
    to->bytes[offset + i] = (uint8_t) (value >> (8 * i));
}

static void
add_checksum (File *files, const uint8_t *command)
{
  File *file = find (files, command + 4);
  uint32_t at = (uint32_t) get (command + 60, 4);
  uint32_t start = (uint32_t) get (command + 64, 4);
  uint32_t length = (uint32_t) get (command + 68, 4);
  uint8_t sum = 0;

  g_assert_cmpuint (start + length, <=, file->size);
  g_assert_cmpuint (at, >=, start);
  g_assert_cmpuint (at, <, start + length);
  for (uint32_t i = 0; i < length; i++)
    sum = (uint8_t) (sum + file->bytes[start + i]);
  file->bytes[at] = (uint8_t) -sum;
}

static void
run (File *files, GBytes *script)
{
  size_t size;
  const uint8_t *commands = g_bytes_get_data (script, &size);

  g_assert_cmpuint (size % COMMAND, ==, 0);
  for (size_t i = 0; i < size; i += COMMAND)
    switch (get (commands + i, 4))
      {
      case 1:
        g_assert_cmpuint (find (files, commands + i + 4)->gpa % get (commands + i + 60, 4), ==, 0);
        find (files, commands + i + 4)->allocations++;
        break;
      case 2:
        add_pointer (files, commands + i);
        break;
      case 3:
        add_checksum (files, commands + i);
        break;
      default:
        g_assert_not_reached ();
      }
}

static GByteArray *
build (uint64_t gpa, uint64_t ecam)
{
  AcpiLayout layout = {
    .gpa = gpa,
    .n_cpus = 3,
    .topology = { 1, 3, 1 },
    .ecam_base = ecam,
    .mmio32 = { ecam + 0x10000000, 0x1000000 },
    .pm_base = 0x600,
    .pm_size = 12,
    .sci = 9,
    .reset_port = 0xcf9,
    .reset_value = 6,
    .rtc_port = 0x70,
    .rtc_century = 0x32,
  };

  return acpi_tables_build (&layout);
}

/* What firmware makes of the files is what would have been built for the addresses that it chose. */
static void
test_the_script_places_the_tables (void)
{
  g_autoptr (GByteArray) block = build (0, 0xb0000000);
  g_autoptr (GByteArray) expected = build (BASE - BASE % 64, 0xb0000000);
  g_autoptr (GBytes) rsdp = NULL, tables = NULL, script = NULL;

  acpi_loader_build (block, &rsdp, &tables, &script);
  File files[] = {
    { .name = ACPI_LOADER_RSDP, .gpa = RSDP_AT },
    { .name = ACPI_LOADER_TABLES, .gpa = BASE - BASE % 64 },
  };
  files[0].bytes = g_memdup2 (g_bytes_get_data (rsdp, &files[0].size), g_bytes_get_size (rsdp));
  files[1].bytes = g_memdup2 (g_bytes_get_data (tables, &files[1].size), g_bytes_get_size (tables));
  run (files, script);
  g_assert_cmpmem (files[0].bytes, files[0].size, expected->data, 36);
  g_assert_cmpmem (files[1].bytes + 36, expected->len - 36, expected->data + 36,
                   expected->len - 36);
  g_free (files[0].bytes);
  g_free (files[1].bytes);
}

/* The sizes were told before the addresses were known. */
static void
test_sizes_stay (void)
{
  static const uint64_t ecams[] = { 0xb0000000, 0xe0000000, 0x100000 };
  g_autoptr (GBytes) first = NULL;

  for (unsigned i = 0; i < G_N_ELEMENTS (ecams); i++)
    {
      g_autoptr (GByteArray) block = build (0, ecams[i]);
      GBytes *rsdp, *tables, *script;

      acpi_loader_build (block, &rsdp, &tables, &script);
      g_assert_cmpuint (g_bytes_get_size (rsdp), ==, 36);
      g_assert_cmpuint (g_bytes_get_size (tables), ==, ACPI_LOADER_TABLES_SIZE);
      if (!first)
        first = g_bytes_ref (script);
      g_assert_cmpuint (g_bytes_get_size (script), ==, g_bytes_get_size (first));
      g_bytes_unref (rsdp);
      g_bytes_unref (tables);
      g_bytes_unref (script);
    }
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/acpi-loader/script", test_the_script_places_the_tables);
  g_test_add_func ("/acpi-loader/sizes", test_sizes_stay);
  return g_test_run ();
}
