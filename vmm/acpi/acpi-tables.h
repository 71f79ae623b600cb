#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <glib.h>

#include "base/cpu-topology.h"

/* ACPI's description of a machine, made from a plain layout (ACPI 6.4): RSDP, XSDT, FADT, FACS, DSDT, MADT, MCFG. */
#define ACPI_PCI_SLOTS 32
#define ACPI_PCI_PINS  4

typedef struct AcpiWindow
{
  uint64_t base;
  uint64_t size; /* 0: there is none */
} AcpiWindow;

typedef struct AcpiLayout
{
  uint64_t gpa; /* where the tables will be: a multiple of 64, below 4 GiB; the RSDP is the first */
  unsigned n_cpus;
  CpuTopology topology; /* for the APIC ids */

  uint64_t ecam_base; /* a multiple of 1 MiB */
  uint8_t
      last_bus; /* Linux looks at every slot of every bus that is named here: name no more than there are */
  AcpiWindow isa; /* ports of what lies behind an ISA bridge */
  AcpiWindow io;
  AcpiWindow mmio32;
  AcpiWindow mmio64;
  uint32_t gsi[ACPI_PCI_SLOTS][ACPI_PCI_PINS]; /* of each slot's INTA..INTD on bus 0 */
  AcpiWindow reserved;                         /* below 4 GiB, of the host's */

  uint16_t
      pm_base; /* event block, control at +4, timer at +8; 0: hardware-reduced, there is none, nor 8259s */
  uint8_t pm_size;
  uint8_t sci;
  uint16_t ged_base; /* hardware-reduced: sleep control, sleep status at +1, event at +2 */
  uint8_t ged_size;
  uint8_t ged_gsi;
  uint8_t slp_typ_s5;
  uint16_t reset_port;
  uint8_t reset_value;
  uint16_t rtc_port;
  uint8_t rtc_century;
  uint16_t pvpanic_port; /* 0: there is none */
  uint16_t serial_port;  /* 0: there is none */
  uint8_t serial_irq;
  bool has_i8042; /* with a keyboard and a mouse, where a PC has them */
} AcpiLayout;

/* The tables as one block for layout->gpa. */
GByteArray *acpi_tables_build (const AcpiLayout *layout);

/* The DSDT alone. */
GByteArray *acpi_dsdt_build (const AcpiLayout *layout);
