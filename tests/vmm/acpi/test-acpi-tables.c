#include <glib/gstdio.h>
#include <string.h>

#include "acpi/acpi-tables.h"

#define GPA UINT64_C (0xe0000)

static AcpiLayout
make_layout (unsigned n_cpus, bool everything)
{
  AcpiLayout layout = {
    .gpa = GPA,
    .n_cpus = n_cpus,
    .topology = { 1, n_cpus, 1 },
    .ecam_base = 0xb0000000,
    .mmio32 = { 0xc0000000, 0x3c000000 },
    .pm_base = 0x600,
    .pm_size = 12,
    .sci = 9,
    .reset_port = 0xcf9,
    .reset_value = 6,
    .rtc_port = 0x70,
    .rtc_century = 0x32,
  };

  if (everything)
    {
      layout.last_bus = 255;
      layout.isa = (AcpiWindow){ 0, 0xcf8 };
      layout.io = (AcpiWindow){ 0xc000, 0x4000 };
      layout.mmio64 = (AcpiWindow){ UINT64_C (0xe000000000), UINT64_C (0x2000000000) };
      layout.reserved = (AcpiWindow){ 0xfeffc000, 0x4000 };
      layout.pvpanic_port = 0x505;
      layout.serial_port = 0x3f8;
      layout.serial_irq = 4;
      layout.has_i8042 = true;
    }
  for (unsigned slot = 0; slot < ACPI_PCI_SLOTS; slot++)
    for (unsigned pin = 0; pin < ACPI_PCI_PINS; pin++)
      layout.gsi[slot][pin] = 16 + (slot + pin) % 4;
  return layout;
}

static AcpiLayout
make_reduced (unsigned n_cpus)
{
  AcpiLayout layout = make_layout (n_cpus, true);

  layout.pm_base = 0;
  layout.ged_base = 0x620;
  layout.ged_size = 3;
  layout.ged_gsi = 9;
  layout.slp_typ_s5 = 5;
  return layout;
}

static uint64_t
get (const uint8_t *bytes, unsigned size)
{
  uint64_t value = 0;

  for (unsigned i = size; i-- > 0;)
    value = value << 8 | bytes[i];
  return value;
}

static unsigned
sum (const uint8_t *bytes, unsigned size)
{
  uint8_t total = 0;

  for (unsigned i = 0; i < size; i++)
    total = (uint8_t) (total + bytes[i]);
  return total;
}

/* A table inside the block: bounds, checksum, signature. */
static const uint8_t *
at (const GByteArray *block, uint64_t gpa, const char *signature)
{
  g_assert_cmphex (gpa, >=, GPA);
  g_assert_cmphex (gpa + 36, <=, GPA + block->len);
  const uint8_t *table = block->data + (gpa - GPA);
  uint64_t length = get (table + 4, 4);
  g_assert_cmpmem (table, 4, signature, 4);
  g_assert_cmphex (gpa + length, <=, GPA + block->len);
  if (strcmp (signature, "FACS") != 0)
    g_assert_cmpuint (sum (table, (unsigned) length), ==, 0);
  return table;
}

/* Every table can be reached from the RSDP as an operating system does it. */
static void
test_walk (void)
{
  AcpiLayout layout = make_layout (8, true);
  g_autoptr (GByteArray) block = acpi_tables_build (&layout);

  g_assert_cmpmem (block->data, 8, "RSD PTR ", 8);
  g_assert_cmpuint (sum (block->data, 20), ==, 0);
  g_assert_cmpuint (sum (block->data, 36), ==, 0);
  const uint8_t *xsdt = at (block, get (block->data + 24, 8), "XSDT");
  g_assert_cmpuint (get (xsdt + 4, 4), ==, 36 + 3 * 8);
  const uint8_t *fadt = at (block, get (xsdt + 36, 8), "FACP");
  const uint8_t *madt = at (block, get (xsdt + 44, 8), "APIC");
  const uint8_t *mcfg = at (block, get (xsdt + 52, 8), "MCFG");
  g_assert_cmpuint (get (fadt + 4, 4), ==, 276);
  at (block, get (fadt + 36, 4), "FACS");
  g_assert_cmphex (get (fadt + 36, 4) % 64, ==, 0);
  at (block, get (fadt + 40, 4), "DSDT");
  g_assert_cmphex (get (fadt + 140, 8), ==, get (fadt + 40, 4));
  g_assert_cmphex (get (fadt + 56, 4), ==, 0x600);
  g_assert_cmphex (get (fadt + 64, 4), ==, 0x604);
  g_assert_cmphex (get (fadt + 76, 4), ==, 0x608);
  g_assert_cmphex (get (fadt + 120, 8), ==, 0xcf9);
  g_assert_cmphex (get (fadt + 128, 1), ==, 6);
  /* The keyboard controller is declared where there is one, or it would be searched for. */
  g_assert_cmphex (get (fadt + 109, 2) & 2, ==, layout.has_i8042 ? 2 : 0);
  g_assert_cmphex (get (mcfg + 44, 8), ==, 0xb0000000);
  unsigned n_cpus = 0;
  for (unsigned i = 44; i < get (madt + 4, 4); i += madt[i + 1])
    n_cpus += madt[i] == 0;
  g_assert_cmpuint (n_cpus, ==, 8);
}

/* Without fixed hardware no table speaks of any. */
static void
test_reduced (void)
{
  AcpiLayout layout = make_reduced (1);
  g_autoptr (GByteArray) block = acpi_tables_build (&layout);
  const uint8_t *xsdt = at (block, get (block->data + 24, 8), "XSDT");
  const uint8_t *fadt = at (block, get (xsdt + 36, 8), "FACP");
  const uint8_t *madt = at (block, get (xsdt + 44, 8), "APIC");

  g_assert_cmphex (get (fadt + 112, 4) & 1 << 20, !=, 0);
  for (unsigned i = 56; i < 92; i++)
    g_assert_cmphex (fadt[i], ==, 0);
  for (unsigned i = 148; i < 244; i++)
    g_assert_cmphex (fadt[i], ==, 0);
  g_assert_cmphex (get (fadt + 248, 8), ==, 0x620);
  g_assert_cmphex (get (fadt + 260, 8), ==, 0x621);
  g_assert_cmphex (get (madt + 40, 4), ==, 0);
  for (unsigned i = 44; i < get (madt + 4, 4); i += madt[i + 1])
    g_assert_cmpuint (madt[i], !=, 2);
}

/* Runs iasl in folder; its whole output may have no complaint. */
static void
run_iasl (const char *folder, const char *const *argv)
{
  g_autoptr (GError) error = NULL;
  g_autofree char *out = NULL;
  g_autofree char *err = NULL;
  int status;

  g_assert_true (g_spawn_sync (folder, (char **) argv, NULL, G_SPAWN_SEARCH_PATH, NULL, NULL, &out,
                               &err, &status, &error));
  g_assert_no_error (error);
  g_autofree char *all = g_strconcat (out, err, NULL);
  /* The compiler counts, the disassembler only complains. */
  bool clean = strstr (all, "Compilation successful")
                   ? strstr (all, " 0 Errors, 0 Warnings, 0 Remarks") != NULL
                   : !strstr (all, "Error") && !strstr (all, "Warning");
  if (!g_spawn_check_wait_status (status, NULL) || !clean)
    {
      g_test_message ("%s", all);
      g_test_fail ();
    }
}

/* Disassembled and compiled again, a table is the same bytes. */
static void
check_with_iasl (const char *folder, const char *name, const uint8_t *table)
{
  unsigned length = (unsigned) get (table + 4, 4);
  g_autofree char *aml = g_strdup_printf ("%s.aml", name);
  g_autofree char *dsl = g_strdup_printf ("%s.dsl", name);
  g_autofree char *again = g_strdup_printf ("%s-again", name);
  g_autofree char *path = g_build_filename (folder, aml, NULL);
  g_autofree char *again_path = g_strdup_printf ("%s/%s.aml", folder, again);
  g_autofree char *compiled = NULL;
  gsize size = 0;

  g_assert_true (g_file_set_contents (path, (const char *) table, length, NULL));
  run_iasl (folder, (const char *[]){ "iasl", "-d", aml, NULL });
  run_iasl (folder, (const char *[]){ "iasl", "-we", "-oa", "-p", again, dsl, NULL });
  g_assert_true (g_file_get_contents (again_path, &compiled, &size, NULL));
  /* iasl puts its own id and version into the header, and so another checksum. */
  g_assert_cmpuint (size, ==, length);
  if (strcmp (name, "facs") != 0)
    g_assert_cmpmem (compiled + 36, size - 36, table + 36, length - 36);
}

static void
check_layout (const AcpiLayout *layout)
{
  g_autoptr (GByteArray) block = acpi_tables_build (layout);
  g_autofree char *folder = g_dir_make_tmp ("acpi-XXXXXX", NULL);
  const uint8_t *xsdt = at (block, get (block->data + 24, 8), "XSDT");
  const uint8_t *fadt = at (block, get (xsdt + 36, 8), "FACP");

  check_with_iasl (folder, "dsdt", at (block, get (fadt + 40, 4), "DSDT"));
  check_with_iasl (folder, "fadt", fadt);
  check_with_iasl (folder, "facs", at (block, get (fadt + 36, 4), "FACS"));
  check_with_iasl (folder, "madt", at (block, get (xsdt + 44, 8), "APIC"));
  check_with_iasl (folder, "mcfg", at (block, get (xsdt + 52, 8), "MCFG"));
  check_with_iasl (folder, "xsdt", xsdt);

  g_autoptr (GDir) dir = g_dir_open (folder, 0, NULL);
  for (const char *name; (name = g_dir_read_name (dir));)
    {
      g_autofree char *path = g_build_filename (folder, name, NULL);
      g_unlink (path);
    }
  g_rmdir (folder);
}

static void
test_iasl (void)
{
  g_autofree char *iasl = g_find_program_in_path ("iasl");

  if (!iasl)
    {
      g_test_skip ("iasl is not installed");
      return;
    }
  AcpiLayout full = make_layout (8, true);
  AcpiLayout bare = make_layout (1, false);
  AcpiLayout reduced = make_reduced (2);
  check_layout (&full);
  check_layout (&bare);
  check_layout (&reduced);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/acpi-tables/walk", test_walk);
  g_test_add_func ("/acpi-tables/reduced", test_reduced);
  g_test_add_func ("/acpi-tables/iasl", test_iasl);
  return g_test_run ();
}
