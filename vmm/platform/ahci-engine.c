#define G_LOG_DOMAIN "vmm-platform"

#include <string.h>

#include "platform/ahci-private.h"

/* Theory of operation
 *
 * A port's command list (AHCI 1.3.1, 4.2 and 5.3). One command that is not queued is in work at a time, and its BSY bit keeps the
 * next from being fetched; queued ones are up to 32 at once. A slot is `busy` from the fetch to the drive's answer. What a slot's
 * command needs (header, FIS, CDB, the list of memory pieces) is copied at the fetch: the guest may change it afterwards to no effect.
 *
 * An error stops the engine (`halted`) until the guest clears PxCMD.ST, which makes all that is still in work stale.
 */
enum
{
  CMD_ST = 1u << 0,
  CMD_FRE = 1u << 4,
  HEADER_SIZE = 32,
  HEADER_BYTES_DONE = 4, /* offset of PRDBC */
  HEADER_CFL = 0x1f,     /* length of the FIS in dwords */
  HEADER_PRDTL_SHIFT = 16,
  TABLE_CDB = 0x40,
  TABLE_PRDT = 0x80,
  PRD_SIZE = 16,
  PRD_COUNT = 0x3fffff, /* less 1 */
  CONTROL_SRST = 1 << 2,
  SSTS_UP = 0x133, /* a drive at 6 Gbit/s, active */
  SERR_CONNECTED = 1u << 26 | 1u << 16,
};

typedef enum
{
  FETCHED,
  FETCHED_CONTROL, /* a FIS that writes the control register */
  NO_FIS,
  NO_MEMORY,      /* of header or table */
  NO_DATA_MEMORY, /* behind an entry of the PRDT */
} Fetch;

static uint32_t
get_u32 (const uint8_t *bytes)
{
  return bytes[0] | bytes[1] << 8 | bytes[2] << 16 | (uint32_t) bytes[3] << 24;
}

static uint64_t
get_u64 (const uint8_t *bytes)
{
  return get_u32 (bytes) | (uint64_t) get_u32 (bytes + 4) << 32;
}

/* The PRDT into the command's vector. What is beyond AHCI_IOV_MAX pieces is left out: the command then has too little
 * room, and says so. */
static Fetch
map_data (AhciSlot *slot, uint64_t prdt, unsigned n_entries)
{
  const GuestMemory *memory = slot->port->ahci->memory;
  AtaCommand *command = &slot->command;

  if (!slot->iov && n_entries > 0)
    slot->iov = g_new (struct iovec, AHCI_IOV_MAX);
  command->iov = slot->iov;
  for (unsigned i = 0; i < n_entries && command->n_iov < AHCI_IOV_MAX; i++)
    {
      uint8_t entry[PRD_SIZE];

      if (!guest_memory_read (memory, prdt + (uint64_t) i * PRD_SIZE, entry, sizeof entry))
        return NO_MEMORY;
      const uint64_t gpa = get_u64 (entry);
      const uint32_t size = (get_u32 (entry + 12) & PRD_COUNT) + 1;
      const int n = guest_memory_map_iov (memory, gpa, size, slot->iov + command->n_iov,
                                          AHCI_IOV_MAX - command->n_iov);
      if (n < 0)
        return NO_DATA_MEMORY;
      command->n_iov += n;
      command->size += size;
    }
  return FETCHED;
}

static Fetch
fetch (AhciSlot *slot, uint8_t *control)
{
  const GuestMemory *memory = slot->port->ahci->memory;
  uint8_t header[HEADER_SIZE], fis[AHCI_FIS_MAX];
  AtaCommand *command = &slot->command;
  bool is_control;

  *command = (AtaCommand){
    .tag = slot - slot->port->slots,
    .done = ahci_port_command_done,
  };
  if (!guest_memory_read (memory, slot->header, header, sizeof header))
    return NO_MEMORY;
  const uint32_t flags = get_u32 (header);
  const uint64_t table = get_u64 (header + 8) & ~UINT64_C (0x7f);
  const unsigned fis_size = (flags & HEADER_CFL) * 4;
  if (fis_size > sizeof fis)
    return NO_FIS;
  if (!guest_memory_read (memory, table, fis, fis_size) ||
      !guest_memory_read (memory, table + TABLE_CDB, command->cdb, sizeof command->cdb))
    return NO_MEMORY;
  if (!ahci_fis_decode (fis, fis_size, command, &is_control, control))
    return NO_FIS;
  return is_control ? FETCHED_CONTROL
                    : map_data (slot, table + TABLE_PRDT, flags >> HEADER_PRDTL_SHIFT);
}

static bool
is_queued (const AtaCommand *command)
{
  return command->command == ATA_COMMAND_READ_FPDMA_QUEUED ||
         command->command == ATA_COMMAND_WRITE_FPDMA_QUEUED;
}

/* --- registers; lock held --- */

static void
halt (AhciPort *port, uint32_t irq)
{
  port->is |= irq;
  port->halted = true;
}

/* False: nobody waits for the answer. */
static bool
finish_slot (AhciPort *port, unsigned slot)
{
  const uint32_t bit = 1u << slot;
  const bool stale = (port->stale & bit) != 0;

  port->busy &= ~bit;
  port->stale &= ~bit;
  return !stale;
}

/* -1: nothing may be fetched now. */
static int
choose_slot (AhciPort *port)
{
  const uint32_t waiting = port->ci & ~port->busy;

  if (!(port->cmd & CMD_ST) || port->halted || port->stale != 0 || waiting == 0 ||
      (port->tfd & (ATA_STATUS_BUSY | ATA_STATUS_DRQ)) ||
      !__atomic_load_n (&port->ahci->bus_master, __ATOMIC_RELAXED))
    return -1;
  for (unsigned i = 1; i <= AHCI_SLOTS; i++)
    {
      const unsigned slot = (port->last + i) % AHCI_SLOTS;

      /* One that is not queued waits until those that are have ended. */
      if ((waiting & 1u << slot) && (port->busy == 0 || (port->sact & 1u << slot)))
        return (int) slot;
    }
  return -1;
}

static bool
write_bytes_done (const AhciSlot *slot)
{
  const uint64_t done = slot->command.transferred;
  const uint8_t bytes[4] = { done, done >> 8, done >> 16, done >> 24 };

  return guest_memory_write (slot->port->ahci->memory, slot->header + HEADER_BYTES_DONE, bytes,
                             sizeof bytes);
}

/* 5.5.1: on an error the slot's bit stays where it is, for the guest to see which it was. */
static bool
answer_queued (AhciPort *port, AtaCommand *command)
{
  const uint32_t bit = 1u << command->tag;
  const bool failed = (command->status & ATA_STATUS_ERR) != 0;

  if (failed)
    {
      port->halted = true;
      port->stale |= port->busy;
    }
  else
    port->sact &= ~bit;
  return ahci_fis_set_bits (port, command, failed ? 0 : bit);
}

static bool
answer (AhciPort *port, AhciSlot *slot)
{
  AtaCommand *command = &slot->command;
  const bool failed = (command->status & ATA_STATUS_ERR) != 0;
  bool ok = write_bytes_done (slot);

  if (failed)
    port->halted = true;
  else
    port->ci &= ~(1u << command->tag);
  if (command->protocol == ATA_PIO_IN && !failed)
    return ahci_fis_pio_setup (port, command, true) && ok;
  if (command->protocol == ATA_PIO_PACKET_IN && !failed)
    ok &= ahci_fis_pio_setup (port, command, false);
  return ahci_fis_register (port, command, true) && ok;
}

/* --- commands --- */

void
ahci_port_command_done (AtaCommand *command)
{
  AhciSlot *slot = (AhciSlot *) command;
  AhciPort *port = slot->port;

  g_mutex_lock (&port->ahci->lock);
  if (finish_slot (port, command->tag))
    {
      const bool ok =
          command->protocol == ATA_QUEUED ? answer_queued (port, command) : answer (port, slot);
      if (!ok)
        halt (port, PORT_IRQ_BUS_FATAL);
      ahci_update_irq (port->ahci);
    }
  const bool more = (port->ci & ~port->busy) || port->link_pending || port->ahci->reset_pending;
  g_mutex_unlock (&port->ahci->lock);
  g_free (g_steal_pointer (&command->buffer));
  if (more)
    ahci_wake (port->ahci);
}

/* The drive has taken a queued command: the slot's bit in CI falls, that in SACT stays. lock held. */
static void
accept_queued (AhciPort *port, AtaCommand *command)
{
  AtaCommand accepted = { .status = ATA_STATUS_GOOD, .count = (uint16_t) (command->tag << 3) };

  if (port->stale & 1u << command->tag)
    return;
  port->ci &= ~(1u << command->tag);
  if (!ahci_fis_register (port, &accepted, false))
    halt (port, PORT_IRQ_BUS_FATAL);
}

/* 10.4.1: SRST rises, the drive is reset; it falls, the drive tells its signature. */
static void
run_control (AhciSlot *slot, uint8_t control)
{
  AhciPort *port = slot->port;
  const bool reset = (control & CONTROL_SRST) != 0;
  const bool tell = port->in_soft_reset && !reset;

  if (reset)
    port->drive.ops->reset (port->drive.opaque, false);
  port->in_soft_reset = reset;
  g_mutex_lock (&port->ahci->lock);
  if (finish_slot (port, slot->command.tag))
    {
      port->ci &= ~(1u << slot->command.tag);
      port->tfd &= ~(uint32_t) ATA_STATUS_BUSY;
      if (tell && !ahci_fis_signature (port))
        halt (port, PORT_IRQ_BUS_FATAL);
      ahci_update_irq (port->ahci);
    }
  g_mutex_unlock (&port->ahci->lock);
}

static void
refuse (AhciSlot *slot, Fetch why)
{
  static const char *const words[] = {
    [NO_FIS] = "no register FIS",
    [NO_MEMORY] = "a table where there is no memory",
    [NO_DATA_MEMORY] = "data where there is no memory",
  };
  AhciPort *port = slot->port;

  guest_log (&port->ahci->log, "port %u: %s", port->index, words[why]);
  g_mutex_lock (&port->ahci->lock);
  if (finish_slot (port, slot->command.tag))
    {
      port->tfd &= ~(uint32_t) ATA_STATUS_BUSY;
      halt (port, why == NO_DATA_MEMORY ? PORT_IRQ_BUS_DATA : PORT_IRQ_BUS_FATAL);
      ahci_update_irq (port->ahci);
    }
  g_mutex_unlock (&port->ahci->lock);
}

static void
run (AhciSlot *slot)
{
  AhciPort *port = slot->port;
  uint8_t control;
  const Fetch fetched = fetch (slot, &control);

  if (fetched == FETCHED_CONTROL)
    {
      run_control (slot, control);
      return;
    }
  if (fetched != FETCHED)
    {
      refuse (slot, fetched);
      return;
    }
  g_debug ("port %u slot %u: command 0x%02x, LBA %" G_GUINT64_FORMAT
           ", count %u, %" G_GUINT64_FORMAT " bytes of memory",
           port->index, slot->command.tag, slot->command.command, slot->command.lba,
           slot->command.count, slot->command.size);
  if (is_queued (&slot->command))
    {
      slot->command.protocol = ATA_QUEUED;
      g_mutex_lock (&port->ahci->lock);
      accept_queued (port, &slot->command);
      g_mutex_unlock (&port->ahci->lock);
    }
  port->drive.ops->start (port->drive.opaque, &slot->command);
}

/* A slot that is busy from now on, or NULL. */
static AhciSlot *
take_slot (AhciPort *port)
{
  AhciSlot *slot = NULL;

  g_mutex_lock (&port->ahci->lock);
  const int index = choose_slot (port);
  if (index >= 0)
    {
      slot = &port->slots[index];
      slot->port = port;
      slot->header = port->clb + (uint64_t) index * HEADER_SIZE;
      slot->command.tag = index;
      port->last = index;
      port->busy |= 1u << index;
      port->tfd |= ATA_STATUS_BUSY;
    }
  g_mutex_unlock (&port->ahci->lock);
  return slot;
}

/* After COMRESET, once nothing is in work any more: the drive is there again and tells what it is. */
static void
bring_up (AhciPort *port)
{
  g_mutex_lock (&port->ahci->lock);
  const bool due = port->link_pending && port->busy == 0;
  g_mutex_unlock (&port->ahci->lock);
  if (!due)
    return;
  port->drive.ops->reset (port->drive.opaque, false);
  port->in_soft_reset = false;
  g_mutex_lock (&port->ahci->lock);
  /* Meanwhile the guest may have begun another reset; its end will come here again. */
  if (port->link_pending)
    {
      port->link_pending = false;
      port->ssts = SSTS_UP;
      port->serr |= SERR_CONNECTED;
      port->signature_held = !(port->cmd & CMD_FRE);
      if (!port->signature_held && !ahci_fis_signature (port))
        halt (port, PORT_IRQ_BUS_FATAL);
      ahci_update_irq (port->ahci);
    }
  g_mutex_unlock (&port->ahci->lock);
}

bool
ahci_port_work (AhciPort *port)
{
  AhciSlot *slot;
  unsigned n = 0;

  if (!port->drive.ops)
    return false;
  bring_up (port);
  for (; n < AHCI_SLOTS && (slot = take_slot (port)); n++)
    run (slot);
  port->drive.ops->kick (port->drive.opaque);
  g_mutex_lock (&port->ahci->lock);
  const bool more = n == AHCI_SLOTS && choose_slot (port) >= 0;
  g_mutex_unlock (&port->ahci->lock);
  return more;
}
