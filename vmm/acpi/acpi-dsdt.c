#define G_LOG_DOMAIN "vmm-acpi"

#include "acpi/acpi-header.h"
#include "acpi/acpi-tables.h"
#include "acpi/aml.h"

/* PCI Firmware Specification 3.2, 4.5: what an operating system may take over. PCI Express's capability structures only: there is
 * no hot-plug, no power management event and no error reporting to hand over. */
#define OSC_UUID              "33DB4D5B-1FF7-401C-9657-7441C03DD766"
#define OSC_CONTROL           0x10
#define OSC_UNRECOGNIZED_UUID 0x4
#define PORTS_OF_PCI_CONFIG   0xcf8

static void
put_osc (Aml *aml)
{
  aml_method_begin (aml, "_OSC", 4, TRUE);
  aml_create_dword_field (aml, 3, 0, "CDW1");
  aml_if_begin (aml);
  aml_equal (aml);
  aml_argument (aml, 0);
  aml_uuid (aml, OSC_UUID);
  aml_create_dword_field (aml, 3, 8, "CDW3");
  aml_and_assign (aml, "CDW3", OSC_CONTROL);
  aml_end (aml);
  aml_else_begin (aml);
  aml_or_assign (aml, "CDW1", OSC_UNRECOGNIZED_UUID);
  aml_end (aml);
  aml_return (aml);
  aml_argument (aml, 3);
  aml_end (aml);
}

/* 6.2.13: address (all functions of a slot), pin, no link device, GSI. */
static void
put_prt (Aml *aml, const AcpiLayout *layout)
{
  aml_name (aml, "_PRT");
  aml_package_begin (aml, (ACPI_PCI_SLOTS - 1) * ACPI_PCI_PINS);
  for (unsigned slot = 1; slot < ACPI_PCI_SLOTS; slot++)
    for (unsigned pin = 0; pin < ACPI_PCI_PINS; pin++)
      {
        aml_package_begin (aml, 4);
        aml_integer (aml, (uint64_t) slot << 16 | 0xffff);
        aml_integer (aml, pin);
        aml_integer (aml, 0);
        aml_integer (aml, layout->gsi[slot][pin]);
        aml_end (aml);
      }
  aml_end (aml);
}

static void
put_host_bridge (Aml *aml, const AcpiLayout *layout)
{
  aml_device_begin (aml, "PCI0");
  aml_name_eisa_id (aml, "_HID", "PNP0A08");
  aml_name_eisa_id (aml, "_CID", "PNP0A03");
  aml_name_integer (aml, "_UID", 0);
  aml_name_integer (aml, "_SEG", 0);
  aml_name_integer (aml, "_BBN", 0);
  aml_name (aml, "_CRS");
  aml_resources_begin (aml);
  aml_resource_bus_window (aml, 0, layout->last_bus);
  aml_resource_io (aml, PORTS_OF_PCI_CONFIG, 8);
  if (layout->isa.size > 0)
    aml_resource_io_window (aml, (uint16_t) layout->isa.base, (uint32_t) layout->isa.size);
  if (layout->io.size > 0)
    aml_resource_io_window (aml, (uint16_t) layout->io.base, (uint32_t) layout->io.size);
  aml_resource_memory_window (aml, layout->mmio32.base, layout->mmio32.size);
  if (layout->mmio64.size > 0)
    aml_resource_memory_window (aml, layout->mmio64.base, layout->mmio64.size);
  aml_resources_end (aml);
  put_prt (aml, layout);
  put_osc (aml);
  aml_end (aml);
}

/* What no other device claims: ECAM (an operating system uses it only if it is claimed), the host's pages, the PM block. */
static void
put_motherboard (Aml *aml, const AcpiLayout *layout)
{
  aml_device_begin (aml, "MBRD");
  aml_name_eisa_id (aml, "_HID", "PNP0C02");
  aml_name_integer (aml, "_UID", 0);
  aml_name (aml, "_CRS");
  aml_resources_begin (aml);
  aml_resource_memory32 (aml, (uint32_t) layout->ecam_base, (layout->last_bus + 1u) << 20);
  if (layout->reserved.size > 0)
    aml_resource_memory32 (aml, (uint32_t) layout->reserved.base, (uint32_t) layout->reserved.size);
  if (layout->pm_base != 0)
    aml_resource_io (aml, layout->pm_base, layout->pm_size);
  else
    aml_resource_io (aml, layout->ged_base, layout->ged_size);
  aml_resources_end (aml);
  aml_end (aml);
}

/* The power button without fixed hardware (5.6.9): the event device's interrupt runs _EVT, which reads what happened, and by
 * that clears it. */
static void
put_event_device (Aml *aml, const AcpiLayout *layout)
{
  aml_device_begin (aml, "PWRB");
  aml_name_eisa_id (aml, "_HID", "PNP0C0C");
  aml_end (aml);

  aml_device_begin (aml, "GED_");
  aml_name_string (aml, "_HID", "ACPI0013");
  aml_name (aml, "_CRS");
  aml_resources_begin (aml);
  aml_resource_interrupt (aml, layout->ged_gsi);
  aml_resources_end (aml);
  aml_io_region (aml, "GEDR", layout->ged_base + 2u, 1);
  aml_byte_field (aml, "GEDR", "EVNT");
  aml_method_begin (aml, "_EVT", 1, TRUE);
  aml_if_begin (aml);
  aml_equal (aml);
  aml_argument (aml, 0);
  aml_integer (aml, layout->ged_gsi);
  aml_if_begin (aml);
  aml_reference (aml, "EVNT");
  aml_notify (aml, "PWRB", 0x80);
  aml_end (aml);
  aml_end (aml);
  aml_end (aml);
  aml_end (aml);
}

static void
put_rtc (Aml *aml, const AcpiLayout *layout)
{
  aml_device_begin (aml, "RTC_");
  aml_name_eisa_id (aml, "_HID", "PNP0B00");
  aml_name (aml, "_CRS");
  aml_resources_begin (aml);
  aml_resource_io (aml, layout->rtc_port, 2);
  aml_resources_end (aml);
  aml_end (aml);
}

static void
put_serial (Aml *aml, const AcpiLayout *layout)
{
  if (layout->serial_port == 0)
    return;
  aml_device_begin (aml, "COM1");
  aml_name_eisa_id (aml, "_HID", "PNP0501");
  aml_name_integer (aml, "_UID", 1);
  aml_name (aml, "_CRS");
  aml_resources_begin (aml);
  aml_resource_io (aml, layout->serial_port, 8);
  aml_resource_irq (aml, layout->serial_irq);
  aml_resources_end (aml);
  aml_end (aml);
}

static void
put_i8042 (Aml *aml, const AcpiLayout *layout)
{
  if (!layout->has_i8042)
    return;
  aml_device_begin (aml, "KBD_");
  aml_name_eisa_id (aml, "_HID", "PNP0303");
  aml_name (aml, "_CRS");
  aml_resources_begin (aml);
  aml_resource_io (aml, 0x60, 1);
  aml_resource_io (aml, 0x64, 1);
  aml_resource_irq (aml, 1);
  aml_resources_end (aml);
  aml_end (aml);

  aml_device_begin (aml, "MOU_");
  aml_name_eisa_id (aml, "_HID", "PNP0F13");
  aml_name (aml, "_CRS");
  aml_resources_begin (aml);
  aml_resource_irq (aml, 12);
  aml_resources_end (aml);
  aml_end (aml);
}

/* _STA 0xb: present, enabled, working, not shown to the user. */
static void
put_pvpanic (Aml *aml, const AcpiLayout *layout)
{
  if (layout->pvpanic_port == 0)
    return;
  aml_device_begin (aml, "PVPN");
  aml_name_string (aml, "_HID", "QEMU0001");
  aml_name_integer (aml, "_STA", 0xb);
  aml_name (aml, "_CRS");
  aml_resources_begin (aml);
  aml_resource_io (aml, layout->pvpanic_port, 1);
  aml_resources_end (aml);
  aml_end (aml);
}

static void
put_processors (Aml *aml, unsigned n)
{
  for (unsigned i = 0; i < n; i++)
    {
      char name[5];

      g_snprintf (name, sizeof name, "C%03X", i);
      aml_device_begin (aml, name);
      aml_name_string (aml, "_HID", "ACPI0007");
      aml_name_integer (aml, "_UID", i);
      aml_end (aml);
    }
}

GByteArray *
acpi_dsdt_build (const AcpiLayout *layout)
{
  GByteArray *table = acpi_header_begin ("DSDT", 2);
  Aml *aml = aml_new ();

  aml_scope_begin (aml, "\\_SB_");
  put_processors (aml, layout->n_cpus);
  put_motherboard (aml, layout);
  put_host_bridge (aml, layout);
  put_rtc (aml, layout);
  put_serial (aml, layout);
  put_i8042 (aml, layout);
  put_pvpanic (aml, layout);
  if (layout->pm_base == 0)
    put_event_device (aml, layout);
  aml_end (aml);

  aml_name (aml, "\\_S5_");
  aml_package_begin (aml, 4);
  for (unsigned i = 0; i < 4; i++)
    aml_integer (aml, i < 2 ? layout->slp_typ_s5 : 0);
  aml_end (aml);

  g_autoptr (GByteArray) code = aml_free_to_bytes (aml);
  g_byte_array_append (table, code->data, code->len);
  acpi_header_end (table);
  return table;
}
