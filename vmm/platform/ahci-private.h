#pragma once

#include "base/guest-log.h"
#include "platform/ahci.h"

/* Shared by the files of the controller. Locks, in the order in which they are taken:
 *
 *   Ahci.work   everything that a drive does, the slots' commands, what is fetched; held by the context's thread while it works and
 *               by whoever else touches a drive; never by a vCPU
 *   Ahci.lock   the registers: held for moments only
 */
#define AHCI_SLOTS   32
#define AHCI_IOV_MAX 1024 /* pieces of memory of one command: what the kernel takes at once */
#define AHCI_FIS_MAX 64   /* bytes of the command FIS's place */

/* Offsets of port registers (3.3). */
enum
{
  PORT_CLB = 0x00,
  PORT_CLBU = 0x04,
  PORT_FB = 0x08,
  PORT_FBU = 0x0c,
  PORT_IS = 0x10,
  PORT_IE = 0x14,
  PORT_CMD = 0x18,
  PORT_TFD = 0x20,
  PORT_SIG = 0x24,
  PORT_SSTS = 0x28,
  PORT_SCTL = 0x2c,
  PORT_SERR = 0x30,
  PORT_SACT = 0x34,
  PORT_CI = 0x38,
};

/* PxIS. */
enum
{
  PORT_IRQ_REGISTER = 1u << 0,   /* DHRS: register FIS with the interrupt bit */
  PORT_IRQ_PIO_SETUP = 1u << 1,  /* PSS */
  PORT_IRQ_SET_BITS = 1u << 3,   /* SDBS */
  PORT_IRQ_CONNECT = 1u << 6,    /* PCS: shows PxSERR.DIAG.X */
  PORT_IRQ_PHY = 1u << 22,       /* PRCS: shows PxSERR.DIAG.N */
  PORT_IRQ_OVERFLOW = 1u << 24,  /* OFS: more data than room */
  PORT_IRQ_BUS_DATA = 1u << 28,  /* HBDS: data where there is no memory */
  PORT_IRQ_BUS_FATAL = 1u << 29, /* HBFS: the same of lists, tables and received FISes */
  PORT_IRQ_TASK_FILE = 1u << 30, /* TFES: the drive told an error */
};

typedef struct AhciPort AhciPort;

typedef struct AhciSlot
{
  AtaCommand command; /* first: done () casts */
  AhciPort *port;
  struct iovec *iov; /* AHCI_IOV_MAX; made when first needed */
  uint64_t header;   /* guest-physical */
} AhciSlot;

struct AhciPort
{
  Ahci *ahci;
  unsigned index;
  AtaDrive drive; /* ops NULL: nothing plugged in */
  AhciSlot slots[AHCI_SLOTS];
  bool in_soft_reset; /* guarded by Ahci.work */

  /* Guarded by Ahci.lock. */
  uint64_t clb;
  uint64_t fb;
  uint32_t is;
  uint32_t ie;
  uint32_t cmd;
  uint32_t tfd;
  uint32_t sig;
  uint32_t ssts;
  uint32_t sctl;
  uint32_t serr;
  uint32_t sact;
  uint32_t ci;
  uint32_t busy;       /* slots whose command is in work, stale or not */
  uint32_t stale;      /* those of them that are stale */
  unsigned last;       /* the slot that was fetched last */
  bool halted;         /* an error: nothing is fetched until the engine is started anew */
  bool link_pending;   /* a reset of the drive waits for commands in work */
  bool signature_held; /* its signature waits for the FIS engine */
};

struct Ahci
{
  PciDevice *pci;
  const GuestMemory *memory;
  struct LoopThread *thread; /* NULL: on somebody else's context */
  AtaHome home;
  GSource *wakeup;
  gint64 rest_until; /* the context's own; monotonic time */
  GuestLog log;
  bool bus_master; /* atomic */

  GMutex work;
  AhciPort ports[AHCI_PORTS];

  GMutex lock;
  uint32_t ghc;
  uint32_t is;
  bool reset_pending; /* GHC.HR */
  bool level;         /* of the interrupt line */
};

/* ahci.c */

/* Any thread: the context has something to do. */
void ahci_wake (Ahci *ahci);
/* lock held: port interrupts, masks or the global switch changed. */
void ahci_update_irq (Ahci *ahci);

/* ahci-port.c; lock held. */

uint32_t ahci_port_read (const AhciPort *port, unsigned offset);
/* True: the context has something to do. */
bool ahci_port_write (AhciPort *port, unsigned offset, uint32_t value);
/* Registers to their first state (10.4.3); the pointers too if all. Commands in work become stale, the link comes up after them. */
void ahci_port_reset (AhciPort *port, bool all);

/* ahci-engine.c; work held. */

/* Takes the link up if that is due, then fetches and starts what may be started. True: there is more than one turn should do. */
bool ahci_port_work (AhciPort *port);
/* AtaCommand.done. */
void ahci_port_command_done (AtaCommand *command);

/* ahci-fis.c; lock held. */

/* Frames that the port receives: into guest memory where the engine is on, and into the registers. False: there is no memory. */
bool ahci_fis_register (AhciPort *port, const AtaCommand *command, bool interrupt);
bool ahci_fis_signature (AhciPort *port);
bool ahci_fis_pio_setup (AhciPort *port, const AtaCommand *command, bool interrupt);
/* finished: slots. */
bool ahci_fis_set_bits (AhciPort *port, const AtaCommand *command, uint32_t finished);
/* The H2D register FIS of a command, decoded. False: it is none, or not whole. */
bool ahci_fis_decode (const uint8_t *fis, unsigned size, AtaCommand *command, bool *is_control,
                      uint8_t *control);
