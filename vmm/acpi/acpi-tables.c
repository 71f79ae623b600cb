#define G_LOG_DOMAIN "vmm-acpi"

#include "acpi/acpi-tables.h"

#include <string.h>

#include "acpi/acpi-header.h"

#define IOAPIC_BASE 0xfec00000
#define LAPIC_BASE  0xfee00000
#define RSDP_SIZE   36
#define FACS_SIZE   64
#define GAS_SIZE    12 /* of a Generic Address Structure */
#define TABLE_ALIGN 64 /* what FACS asks for */

/* 5.2.9, table 5.9. */
enum
{
  FADT_WBINVD = 1 << 0,
  FADT_PROC_C1 = 1 << 2,
  FADT_POWER_BUTTON_IS_DEVICE = 1 << 4,
  FADT_NO_SLEEP_BUTTON = 1 << 5,
  FADT_NO_RTC_WAKE = 1 << 6,
  FADT_TIMER_32_BITS = 1 << 8,
  FADT_RESET_REGISTER = 1 << 10,
  FADT_HARDWARE_REDUCED = 1 << 20,
  FADT_SIZE = 276,
};

/* 5.2.9.3. A keyboard controller that is not declared is not searched for, which saves half a second. */
enum
{
  BOOT_LEGACY_DEVICES = 1 << 0,
  BOOT_I8042 = 1 << 1,
  BOOT_NO_VGA = 1 << 2,
  BOOT_NO_ASPM = 1 << 4,
};

/* A Generic Address Structure of an I/O port (5.2.3.2). */
static void
put_io_gas (GByteArray *table, uint16_t port, unsigned bytes)
{
  static const uint8_t access_size[5] = { [1] = 1, [2] = 2, [4] = 3 };

  acpi_put (table, 1, 1);
  acpi_put (table, bytes * 8, 1);
  acpi_put (table, 0, 1);
  acpi_put (table, access_size[bytes > 4 ? 4 : bytes], 1);
  acpi_put (table, port, 8);
}

/* The registers of fixed hardware and their lengths. All zeros where it is reduced. */
static void
put_pm_blocks (GByteArray *fadt, const AcpiLayout *layout)
{
  if (layout->pm_base == 0)
    {
      acpi_put_zeros (fadt, 36);
      return;
    }
  acpi_put (fadt, layout->pm_base, 4);
  acpi_put (fadt, 0, 4);
  acpi_put (fadt, layout->pm_base + 4u, 4);
  acpi_put_zeros (fadt, 8);
  acpi_put (fadt, layout->pm_base + 8u, 4);
  acpi_put_zeros (fadt, 8); /* no general-purpose events */
  acpi_put (fadt, 4, 1);    /* lengths: PM1 event, control, PM2, timer */
  acpi_put (fadt, 2, 1);
  acpi_put (fadt, 0, 1);
  acpi_put (fadt, 4, 1);
}

/* Up to the flags. */
static void
put_fadt_fixed (GByteArray *fadt, const AcpiLayout *layout, uint64_t facs, uint64_t dsdt)
{
  bool reduced = layout->pm_base == 0;

  acpi_put (fadt, facs, 4);
  acpi_put (fadt, dsdt, 4);
  acpi_put (fadt, 0, 1);
  acpi_put (fadt, 1, 1); /* profile: desktop */
  acpi_put (fadt, reduced ? 0 : layout->sci, 2);
  acpi_put_zeros (fadt, 8); /* no SMI command: always in ACPI mode */
  put_pm_blocks (fadt, layout);
  acpi_put_zeros (fadt, 4);
  acpi_put (fadt, 0xfff, 2); /* C2 and C3: latencies that mean "not there" */
  acpi_put (fadt, 0xfff, 2);
  acpi_put_zeros (fadt, 8);
  acpi_put (fadt, layout->rtc_century, 1);
  acpi_put (fadt,
            BOOT_NO_VGA | BOOT_NO_ASPM | (layout->has_i8042 ? BOOT_I8042 : 0) |
                (layout->serial_port || layout->has_i8042 ? BOOT_LEGACY_DEVICES : 0),
            2);
  acpi_put (fadt, 0, 1);
  acpi_put (
      fadt,
      FADT_WBINVD | FADT_PROC_C1 | FADT_NO_SLEEP_BUTTON | FADT_NO_RTC_WAKE | FADT_RESET_REGISTER |
          (reduced ? FADT_POWER_BUTTON_IS_DEVICE | FADT_HARDWARE_REDUCED : FADT_TIMER_32_BITS),
      4);
}

/* The same registers as generic addresses, 64 bits wide, or what stands in for them. */
static void
put_fadt_generic (GByteArray *fadt, const AcpiLayout *layout)
{
  if (layout->pm_base == 0)
    {
      acpi_put_zeros (fadt, 8 * GAS_SIZE);
      put_io_gas (fadt, layout->ged_base, 1);
      put_io_gas (fadt, layout->ged_base + 1, 1);
      return;
    }
  put_io_gas (fadt, layout->pm_base, 4);
  acpi_put_zeros (fadt, GAS_SIZE);
  put_io_gas (fadt, layout->pm_base + 4, 2);
  acpi_put_zeros (fadt, 2 * GAS_SIZE);
  put_io_gas (fadt, layout->pm_base + 8, 4);
}

static GByteArray *
build_fadt (const AcpiLayout *layout, uint64_t facs, uint64_t dsdt)
{
  GByteArray *fadt = acpi_header_begin ("FACP", 6);

  put_fadt_fixed (fadt, layout, facs, dsdt);
  put_io_gas (fadt, layout->reset_port, 1);
  acpi_put (fadt, layout->reset_value, 1);
  acpi_put (fadt, 0, 2);
  acpi_put (fadt, 4, 1); /* minor version */
  acpi_put (fadt, 0, 8); /* the FACS is named by its 32-bit field */
  acpi_put (fadt, dsdt, 8);
  put_fadt_generic (fadt, layout);
  acpi_put_zeros (fadt, FADT_SIZE - fadt->len);
  acpi_header_end (fadt);
  return fadt;
}

static GByteArray *
build_facs (void)
{
  GByteArray *facs = g_byte_array_new ();

  g_byte_array_append (facs, (const uint8_t *) "FACS", 4);
  acpi_put (facs, FACS_SIZE, 4);
  acpi_put_zeros (facs, 24);
  acpi_put (facs, 2, 1); /* version */
  acpi_put_zeros (facs, FACS_SIZE - facs->len);
  return facs;
}

/* An interrupt of the ISA bus that is not edge, active high, on the pin of its number (5.2.12.5). */
static void
put_override (GByteArray *madt, uint8_t irq, uint32_t gsi, uint16_t flags)
{
  acpi_put (madt, 2, 1);
  acpi_put (madt, 10, 1);
  acpi_put (madt, 0, 1);
  acpi_put (madt, irq, 1);
  acpi_put (madt, gsi, 4);
  acpi_put (madt, flags, 2);
}

static GByteArray *
build_madt (const AcpiLayout *layout)
{
  GByteArray *madt = acpi_header_begin ("APIC", 5);

  acpi_put (madt, LAPIC_BASE, 4);
  acpi_put (madt, layout->pm_base != 0, 4); /* whether there is a pair of 8259 as well */
  for (unsigned i = 0; i < layout->n_cpus; i++)
    {
      acpi_put (madt, 0, 1);
      acpi_put (madt, 8, 1);
      acpi_put (madt, i, 1);
      acpi_put (madt, cpu_topology_apic_id (&layout->topology, i), 1);
      acpi_put (madt, 1, 4); /* enabled */
    }
  acpi_put (madt, 1, 1); /* I/O APIC 0, GSIs from 0 */
  acpi_put (madt, 12, 1);
  acpi_put (madt, 0, 2);
  acpi_put (madt, IOAPIC_BASE, 4);
  acpi_put (madt, 0, 4);
  if (layout->pm_base != 0)
    {
      put_override (madt, 0, 2, 0);
      put_override (madt, layout->sci, layout->sci, 0x0d); /* level, active high */
    }
  acpi_put (madt, 4, 1); /* NMI: every processor's LINT1 */
  acpi_put (madt, 6, 1);
  acpi_put (madt, 0xff, 1);
  acpi_put (madt, 0, 2);
  acpi_put (madt, 1, 1);
  acpi_header_end (madt);
  return madt;
}

static GByteArray *
build_mcfg (const AcpiLayout *layout)
{
  GByteArray *mcfg = acpi_header_begin ("MCFG", 1);

  acpi_put_zeros (mcfg, 8);
  acpi_put (mcfg, layout->ecam_base, 8);
  acpi_put (mcfg, 0, 2); /* segment */
  acpi_put (mcfg, 0, 1); /* buses */
  acpi_put (mcfg, layout->last_bus, 1);
  acpi_put_zeros (mcfg, 4);
  acpi_header_end (mcfg);
  return mcfg;
}

static void
write_rsdp (uint8_t *to, uint64_t xsdt)
{
  g_autoptr (GByteArray) rsdp = g_byte_array_new ();

  g_byte_array_append (rsdp, (const uint8_t *) "RSD PTR ", 8);
  acpi_put (rsdp, 0, 1);
  g_byte_array_append (rsdp, (const uint8_t *) "ALCOVE", 6);
  acpi_put (rsdp, 2, 1); /* revision */
  acpi_put (rsdp, 0, 4); /* no RSDT */
  acpi_put (rsdp, RSDP_SIZE, 4);
  acpi_put (rsdp, xsdt, 8);
  acpi_put_zeros (rsdp, 4);
  rsdp->data[8] = acpi_checksum (rsdp->data, 20);
  rsdp->data[32] = acpi_checksum (rsdp->data, RSDP_SIZE);
  memcpy (to, rsdp->data, RSDP_SIZE);
}

/* Appends table, frees it, and returns its guest-physical address. */
static uint64_t
place (GByteArray *block, const AcpiLayout *layout, GByteArray *table)
{
  acpi_put_zeros (block, -block->len & (TABLE_ALIGN - 1));
  uint64_t gpa = layout->gpa + block->len;
  g_byte_array_append (block, table->data, table->len);
  g_byte_array_unref (table);
  return gpa;
}

GByteArray *
acpi_tables_build (const AcpiLayout *layout)
{
  GByteArray *block = g_byte_array_new ();
  GByteArray *xsdt = acpi_header_begin ("XSDT", 1);

  acpi_put_zeros (block, RSDP_SIZE);
  uint64_t facs = place (block, layout, build_facs ());
  uint64_t dsdt = place (block, layout, acpi_dsdt_build (layout));
  acpi_put (xsdt, place (block, layout, build_fadt (layout, facs, dsdt)), 8);
  acpi_put (xsdt, place (block, layout, build_madt (layout)), 8);
  acpi_put (xsdt, place (block, layout, build_mcfg (layout)), 8);
  acpi_header_end (xsdt);
  write_rsdp (block->data, place (block, layout, xsdt));
  return block;
}
