#define G_LOG_DOMAIN "vmm-platform"

#include "platform/lpc.h"

/* Theory of operation
 *
 * It comes out of reset as firmware would leave it, with the ACPI registers at PM_BASE: the firmware that is served here sets them to
 * that anyway, and the machine's ACPI tables are true from the first instruction on.
 */
#define LPC_SLOT 0x1f

enum
{
  PMBASE = 0x40, /* 32 bits; bit 0 reads 1: ports */
  ACPI_CNTL = 0x44,
  PIRQA_ROUT = 0x60, /* A-D, and E-H at 0x68 */
  PIRQE_ROUT = 0x68,
  GEN_PMCON_1 = 0xa0,
  RCBA = 0xf0,

  PMBASE_MASK = 0xff80,
  PMBASE_IS_IO = 1,
  ACPI_ENABLE = 1 << 7,
  PIRQ_OFF = 1 << 7,
  HEADER_TYPE = 0x0e,
  HEADER_MULTIFUNCTION = 0x80,
};

struct Lpc
{
  PciDevice *device;
  Pm *pm; /* borrowed */
};

static uint32_t
get (const Lpc *lpc, unsigned offset, unsigned size)
{
  uint32_t value = 0;

  pci_device_get_config (lpc->device, offset, &value, size);
  return GUINT32_FROM_LE (value);
}

static void
place_pm (Lpc *lpc)
{
  bool enabled = get (lpc, ACPI_CNTL, 1) & ACPI_ENABLE;

  pm_set_base (lpc->pm, enabled ? get (lpc, PMBASE, 2) & PMBASE_MASK : 0);
}

static void
config_written (void *opaque, unsigned offset, unsigned size)
{
  if (offset < ACPI_CNTL + 1 && offset + size > PMBASE)
    place_pm (opaque);
}

static void
reset (void *opaque)
{
  place_pm (opaque);
}

static const PciDeviceOps ops = { .config_written = config_written, .reset = reset };

/* What a register holds at first and which of its bits can be written; little-endian, up to 4 bytes. */
typedef struct Register
{
  uint8_t offset;
  uint8_t size;
  uint32_t value;
  uint32_t writable;
} Register;

static const Register registers[] = {
  { HEADER_TYPE, 1, HEADER_MULTIFUNCTION, 0 },
  { PMBASE, 4, PM_BASE | PMBASE_IS_IO, PMBASE_MASK },
  { ACPI_CNTL, 1, ACPI_ENABLE, ACPI_ENABLE | 7 },
  { PIRQA_ROUT, 4, 0x01010101u * PIRQ_OFF, 0x8f8f8f8f },
  { PIRQE_ROUT, 4, 0x01010101u * PIRQ_OFF, 0x8f8f8f8f },
  { GEN_PMCON_1, 2, 0, 0xffff },
  { RCBA, 4, 0, 0xffffc001 },
};

Lpc *
lpc_new (PciBus *bus, Pm *pm, GError **error)
{
  static const PciIdentity identity = {
    .vendor = 0x8086,
    .device = 0x2918,
    .subsystem_vendor = 0x1af4,
    .subsystem_device = 0x1100,
    .revision = 2,
    .class_code = 0x060100,
  };
  g_autoptr (Lpc) lpc = g_new0 (Lpc, 1);

  lpc->pm = pm;
  lpc->device = pci_device_new ("lpc", &identity, &ops, lpc);
  for (unsigned i = 0; i < G_N_ELEMENTS (registers); i++)
    {
      const Register *r = &registers[i];
      const uint32_t value = GUINT32_TO_LE (r->value), writable = GUINT32_TO_LE (r->writable);

      pci_device_set_config (lpc->device, r->offset, &value, r->size);
      pci_device_set_writable (lpc->device, r->offset, &writable, r->size);
    }
  if (!pci_bus_add (bus, lpc->device, LPC_SLOT, 0, error))
    return NULL;
  return g_steal_pointer (&lpc);
}

void
lpc_free (Lpc *lpc)
{
  if (!lpc)
    return;
  pci_device_free (lpc->device);
  g_free (lpc);
}
