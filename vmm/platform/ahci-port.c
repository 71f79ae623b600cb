#define G_LOG_DOMAIN "vmm-platform"

#include "platform/ahci-private.h"

/* A port's registers (AHCI 1.3.1, 3.3): what a write changes at once; what follows from it is ahci-engine.c's. */
enum
{
  CMD_ST = 1u << 0,
  CMD_SUD = 1u << 1, /* always: no staggered spin-up */
  CMD_POD = 1u << 2, /* always: no cold presence detection */
  CMD_CLO = 1u << 3,
  CMD_FRE = 1u << 4,
  CMD_FR = 1u << 14,
  CMD_CR = 1u << 15,
  CMD_ATAPI = 1u << 24,
  CMD_DLAE = 1u << 25,
  CMD_WRITABLE = CMD_ST | CMD_FRE | CMD_ATAPI | CMD_DLAE,
  CMD_CCS_SHIFT = 8,
  SCTL_WRITABLE = 0xfff,
  SCTL_DET = 0xf,
  SCTL_DET_RESET = 1,
  SERR_N = 1u << 16, /* PhyRdy changed */
  SERR_X = 1u << 26, /* a drive was found */
  TFD_NO_DRIVE = 0x7f,
  SIG_NO_DRIVE = UINT32_MAX,
  POINTER_LIST = 0x3ff, /* bits of PxCLB that are zero */
  POINTER_FIS = 0xff,
};

static uint32_t
read_is (const AhciPort *port)
{
  return port->is | (port->serr & SERR_X ? PORT_IRQ_CONNECT : 0) |
         (port->serr & SERR_N ? PORT_IRQ_PHY : 0);
}

static uint32_t
read_cmd (const AhciPort *port)
{
  const bool runs = (port->cmd & CMD_ST) || port->busy != 0;

  return port->cmd | CMD_SUD | CMD_POD | (port->cmd & CMD_FRE ? CMD_FR : 0) | (runs ? CMD_CR : 0) |
         (port->cmd & CMD_ST ? port->last << CMD_CCS_SHIFT : 0);
}

uint32_t
ahci_port_read (const AhciPort *port, unsigned offset)
{
  switch (offset)
    {
    case PORT_CLB:
      return port->clb;
    case PORT_CLBU:
      return port->clb >> 32;
    case PORT_FB:
      return port->fb;
    case PORT_FBU:
      return port->fb >> 32;
    case PORT_IS:
      return read_is (port);
    case PORT_IE:
      return port->ie;
    case PORT_CMD:
      return read_cmd (port);
    case PORT_TFD:
      return port->tfd;
    case PORT_SIG:
      return port->sig;
    case PORT_SSTS:
      return port->ssts;
    case PORT_SCTL:
      return port->sctl;
    case PORT_SERR:
      return port->serr;
    case PORT_SACT:
      return port->sact;
    case PORT_CI:
      return port->ci;
    default:
      return 0;
    }
}

/* ST fell, or worse: nothing that is in work will be answered. */
static void
stop (AhciPort *port)
{
  port->ci = 0;
  port->sact = 0;
  port->stale |= port->busy;
  port->halted = false;
}

static void
drop_link (AhciPort *port)
{
  stop (port);
  port->ssts = 0;
  port->tfd = TFD_NO_DRIVE;
  port->sig = SIG_NO_DRIVE;
  port->signature_held = false;
}

void
ahci_port_reset (AhciPort *port, bool all)
{
  if (all)
    port->clb = port->fb = 0;
  drop_link (port);
  port->is = port->ie = port->cmd = port->sctl = port->serr = 0;
  port->last = 0;
  port->link_pending = port->drive.ops != NULL;
}

static void
write_cmd (AhciPort *port, uint32_t value)
{
  const uint32_t old = port->cmd;

  if (value & CMD_CLO)
    port->tfd &= ~(uint32_t) (ATA_STATUS_BUSY | ATA_STATUS_DRQ);
  port->cmd = value & CMD_WRITABLE;
  if ((old & CMD_ST) && !(value & CMD_ST))
    stop (port);
  if (!(old & CMD_ST))
    port->halted = false;
  if (!(old & CMD_FRE) && (value & CMD_FRE) && port->signature_held)
    {
      port->signature_held = false;
      if (!ahci_fis_signature (port))
        port->is |= PORT_IRQ_BUS_FATAL;
    }
}

/* 3.3.11: DET 1 holds the link in COMRESET; when it falls the drive starts anew. */
static void
write_sctl (AhciPort *port, uint32_t value)
{
  const bool was = (port->sctl & SCTL_DET) == SCTL_DET_RESET;
  const bool is = (value & SCTL_DET) == SCTL_DET_RESET;

  port->sctl = value & SCTL_WRITABLE;
  if (is)
    {
      drop_link (port);
      port->link_pending = false;
    }
  else if (was)
    port->link_pending = port->drive.ops != NULL;
}

static void
set_half (uint64_t *pointer, bool high, uint32_t value)
{
  const unsigned shift = high ? 32 : 0;

  *pointer = (*pointer & ~((uint64_t) UINT32_MAX << shift)) | (uint64_t) value << shift;
}

bool
ahci_port_write (AhciPort *port, unsigned offset, uint32_t value)
{
  switch (offset)
    {
    case PORT_CLB:
    case PORT_CLBU:
      set_half (&port->clb, offset == PORT_CLBU,
                offset == PORT_CLB ? value & ~POINTER_LIST : value);
      return false;
    case PORT_FB:
    case PORT_FBU:
      set_half (&port->fb, offset == PORT_FBU, offset == PORT_FB ? value & ~POINTER_FIS : value);
      return false;
    case PORT_IS:
      port->is &= ~value;
      return false;
    case PORT_IE:
      port->ie = value;
      return false;
    case PORT_CMD:
      write_cmd (port, value);
      return true;
    case PORT_SCTL:
      write_sctl (port, value);
      return true;
    case PORT_SERR:
      port->serr &= ~value;
      return false;
    case PORT_SACT:
      if (port->cmd & CMD_ST)
        port->sact |= value;
      return false;
    case PORT_CI:
      if (port->cmd & CMD_ST)
        port->ci |= value;
      return true;
    default:
      return false;
    }
}
