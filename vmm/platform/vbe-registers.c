#define G_LOG_DOMAIN "vmm-platform"

#include "platform/vbe-registers.h"

#include "base/guest-log.h"
#include "ports/scanout-surface.h"

#define DISPI_OFFSET 0x500u
#define DISPI_ID     0xb0c5u /* the fifth version */
#define BITS         32

enum
{
  REG_ID,
  REG_XRES,
  REG_YRES,
  REG_BPP,
  REG_ENABLE,
  REG_BANK,
  REG_VIRT_WIDTH,
  REG_VIRT_HEIGHT,
  REG_X_OFFSET,
  REG_Y_OFFSET,
  REG_MEMORY_64K,
  N_REGS,

  ENABLE_ON = 1 << 0,
  ENABLE_GET_CAPS = 1 << 1, /* while set, sizes read as the largest */
};

struct VbeRegisters
{
  size_t memory_size;
  VbeModeFunc func;
  void *opaque;
  GuestLog log;

  GMutex lock;
  uint16_t regs[N_REGS];
};

static uint16_t
read_register (const VbeRegisters *vbe, unsigned reg)
{
  const bool caps = vbe->regs[REG_ENABLE] & ENABLE_GET_CAPS;

  switch (reg)
    {
    case REG_ID:
      return DISPI_ID;
    case REG_MEMORY_64K:
      return (uint16_t) MIN (vbe->memory_size >> 16, UINT16_MAX);
    case REG_XRES:
    case REG_YRES:
      return caps ? SCANOUT_MAX_SIDE : vbe->regs[reg];
    case REG_BPP:
      return caps ? BITS : vbe->regs[reg];
    default:
      return reg < N_REGS ? vbe->regs[reg] : 0;
    }
}

static uint64_t
bar_read (void *opaque, uint64_t offset, unsigned size)
{
  VbeRegisters *vbe = opaque;

  if (offset < DISPI_OFFSET || offset >= DISPI_OFFSET + 2 * N_REGS || offset % 2 != 0)
    return UINT64_MAX;
  g_mutex_lock (&vbe->lock);
  uint16_t value = read_register (vbe, (unsigned) (offset - DISPI_OFFSET) / 2);
  g_mutex_unlock (&vbe->lock);
  return value;
}

/* Rows lie as far apart as the virtual width says. Lock held. */
static bool
check_mode (VbeRegisters *vbe, uint32_t *width, uint32_t *height)
{
  *width = MAX (vbe->regs[REG_XRES], vbe->regs[REG_VIRT_WIDTH]);
  *height = vbe->regs[REG_YRES];
  if (vbe->regs[REG_BPP] == BITS && *width >= 1 && *width <= SCANOUT_MAX_SIDE && *height >= 1 &&
      *height <= SCANOUT_MAX_SIDE && (uint64_t) *width * *height * 4 <= vbe->memory_size)
    return true;
  guest_log (&vbe->log, "there is no mode of %ux%u with %u bits", *width, *height,
             vbe->regs[REG_BPP]);
  return false;
}

static void
bar_write (void *opaque, uint64_t offset, unsigned size, uint64_t value)
{
  VbeRegisters *vbe = opaque;
  const unsigned reg = (unsigned) (offset - DISPI_OFFSET) / 2;
  uint32_t width, height;
  bool change = false;

  if (offset < DISPI_OFFSET || reg >= N_REGS || offset % 2 != 0)
    return;
  g_mutex_lock (&vbe->lock);
  vbe->regs[reg] = (uint16_t) value;
  if (reg == REG_ENABLE && (value & ENABLE_ON))
    change = check_mode (vbe, &width, &height);
  g_mutex_unlock (&vbe->lock);
  if (change)
    vbe->func (vbe->opaque, width, height);
}

static const AddressOps bar_ops = { .read = bar_read, .write = bar_write };

void
vbe_registers_reset (VbeRegisters *vbe)
{
  g_mutex_lock (&vbe->lock);
  for (unsigned i = 0; i < N_REGS; i++)
    vbe->regs[i] = 0;
  g_mutex_unlock (&vbe->lock);
}

VbeRegisters *
vbe_registers_new (PciDevice *pci, unsigned bar, size_t memory_size, VbeModeFunc func, void *opaque)
{
  VbeRegisters *vbe = g_new0 (VbeRegisters, 1);

  vbe->memory_size = memory_size;
  vbe->func = func;
  vbe->opaque = opaque;
  guest_log_init (&vbe->log, "vbe");
  g_mutex_init (&vbe->lock);
  pci_device_add_bar (pci, bar, PCI_BAR_32, VBE_REGISTERS_SIZE, &bar_ops, vbe);
  return vbe;
}

void
vbe_registers_free (VbeRegisters *vbe)
{
  if (!vbe)
    return;
  g_mutex_clear (&vbe->lock);
  g_free (vbe);
}
