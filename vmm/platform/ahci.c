#define G_LOG_DOMAIN "vmm-platform"

#include <linux/pci_regs.h>

#include "base/loop-thread.h"
#include "platform/ahci-private.h"

/* Theory of operation
 *
 * A vCPU's write to a register changes registers only, under `lock`, and wakes the context where there is work: a command was issued, a
 * reset has to be carried out. There, under `work`, ahci-engine.c fetches commands, copies what describes them out of guest memory
 * once, and hands them to the drive; the drive's answer goes into registers and guest memory under `lock` again.
 *
 * A vCPU that issues anew what ends at once could keep the context at work for ever, and others from the drives. So a port takes as many
 * commands as it has slots and then, if there are more, rests (rest_until): the lock is free for long enough to be had. No driver has
 * reason to come there: what needs I/O ends later.
 *
 * What takes time shows as it does in hardware: PxCMD.CR stays set after ST fell, the link stays down after COMRESET and GHC.HR stays
 * set until the last command that was in work has ended. Such commands are stale: their answers are dropped.
 *
 * The interrupt is a level: any port with an enabled cause, and GHC.IE.
 */
#define REST_US   1000
#define ABAR      5
#define ABAR_SIZE 0x1000

/* HBA registers (3.1). */
enum
{
  HBA_CAP = 0x00,
  HBA_GHC = 0x04,
  HBA_IS = 0x08,
  HBA_PI = 0x0c,
  HBA_VS = 0x10,
  HBA_PORTS = 0x100,
  HBA_PORT_SIZE = 0x80,
  VERSION_1_3 = 0x00010300,
  GHC_RESET = 1u << 0,
  GHC_IRQ_ENABLE = 1u << 1,
  GHC_AHCI_ENABLE = 1u << 31,
};

/* AHCI only, 64-bit addresses, queued commands, command list override, 6 Gbit/s. */
#define CAPABILITIES                                                                               \
  (1u << 31 | 1u << 30 | 1u << 24 | 3u << 20 | 1u << 18 | (AHCI_SLOTS - 1) << 8 | (AHCI_PORTS - 1))

/* ICH9's own (datasheet 15.1.29-30): the mode is AHCI, all ports are enabled. */
#define CONFIG_MAP      0x90
#define CONFIG_PCS      0x92
#define CONFIG_MAP_AHCI 0x40

static const PciIdentity identity = {
  .vendor = 0x8086,
  .device = 0x2922,
  .subsystem_vendor = 0x1af4,
  .subsystem_device = 0x1100,
  .revision = 2,
  .class_code = 0x010601,
};

void
ahci_wake (Ahci *ahci)
{
  g_source_set_ready_time (ahci->wakeup, 0);
}

void
ahci_update_irq (Ahci *ahci)
{
  for (unsigned i = 0; i < AHCI_PORTS; i++)
    if (ahci_port_read (&ahci->ports[i], PORT_IS) & ahci->ports[i].ie)
      ahci->is |= 1u << i;
  const bool level = ahci->is != 0 && (ahci->ghc & GHC_IRQ_ENABLE);
  if (level != ahci->level)
    {
      ahci->level = level;
      pci_device_set_intx (ahci->pci, level);
    }
}

/* --- registers --- */

static AhciPort *
find_port (Ahci *ahci, uint64_t offset)
{
  const uint64_t index = (offset - HBA_PORTS) / HBA_PORT_SIZE;

  return offset >= HBA_PORTS && index < AHCI_PORTS ? &ahci->ports[index] : NULL;
}

static uint32_t
read_register (Ahci *ahci, uint64_t offset)
{
  const AhciPort *port = find_port (ahci, offset);

  if (port)
    return ahci_port_read (port, offset % HBA_PORT_SIZE);
  switch (offset)
    {
    case HBA_CAP:
      return CAPABILITIES;
    case HBA_GHC:
      return ahci->ghc;
    case HBA_IS:
      return ahci->is;
    case HBA_PI:
      return (1u << AHCI_PORTS) - 1;
    case HBA_VS:
      return VERSION_1_3;
    default:
      return 0;
    }
}

/* 10.4.3: everything but the pointers. Ends when no command is in work: ahci_work (). */
static void
start_reset (Ahci *ahci)
{
  for (unsigned i = 0; i < AHCI_PORTS; i++)
    ahci_port_reset (&ahci->ports[i], false);
  ahci->is = 0;
  ahci->ghc = GHC_AHCI_ENABLE | GHC_RESET;
  ahci->reset_pending = true;
}

static bool
write_register (Ahci *ahci, uint64_t offset, uint32_t value)
{
  AhciPort *port = find_port (ahci, offset);

  if (port)
    return ahci_port_write (port, offset % HBA_PORT_SIZE, value);
  if (offset == HBA_IS)
    ahci->is &= ~value;
  else if (offset == HBA_GHC && (value & GHC_RESET))
    start_reset (ahci);
  else if (offset == HBA_GHC && !ahci->reset_pending)
    ahci->ghc = GHC_AHCI_ENABLE | (value & GHC_IRQ_ENABLE);
  return ahci->reset_pending;
}

/* Registers of which a written one changes something: a narrow write to them is all zeros besides. */
static bool
is_write_one (Ahci *ahci, uint64_t offset)
{
  const uint64_t in_port = offset % HBA_PORT_SIZE;

  if (!find_port (ahci, offset))
    return offset == HBA_IS;
  return in_port == PORT_IS || in_port == PORT_SERR || in_port == PORT_SACT || in_port == PORT_CI;
}

static uint64_t
ahci_read (void *opaque, uint64_t offset, unsigned size)
{
  Ahci *ahci = opaque;
  const uint64_t aligned = offset & ~UINT64_C (3);

  g_mutex_lock (&ahci->lock);
  uint64_t value = read_register (ahci, aligned);
  if (offset + size > aligned + 4)
    value |= (uint64_t) read_register (ahci, aligned + 4) << 32;
  g_mutex_unlock (&ahci->lock);
  return value >> (8 * (offset - aligned));
}

/* Up to four bytes inside one register. lock held. */
static bool
write_part (Ahci *ahci, uint64_t offset, unsigned size, uint32_t value)
{
  const uint64_t aligned = offset & ~UINT64_C (3);
  const unsigned shift = 8 * (offset - aligned);
  const uint32_t mask = size == 4 ? UINT32_MAX : ((1u << (8 * size)) - 1) << shift;
  const uint32_t rest = is_write_one (ahci, aligned) ? 0 : read_register (ahci, aligned) & ~mask;

  return write_register (ahci, aligned, rest | (value << shift & mask));
}

static void
ahci_write (void *opaque, uint64_t offset, unsigned size, uint64_t value)
{
  Ahci *ahci = opaque;
  bool work = false;

  g_mutex_lock (&ahci->lock);
  for (unsigned done = 0, piece; done < size; done += piece)
    {
      piece = MIN (size - done, 4 - (unsigned) ((offset + done) & 3));
      work |= write_part (ahci, offset + done, piece, (uint32_t) (value >> (8 * done)));
    }
  ahci_update_irq (ahci);
  g_mutex_unlock (&ahci->lock);
  if (work)
    ahci_wake (ahci);
}

static const AddressOps ahci_ops = { .read = ahci_read, .write = ahci_write };

/* --- the context's side --- */

/* work held. */
static void
finish_reset (Ahci *ahci)
{
  bool idle = true;

  g_mutex_lock (&ahci->lock);
  for (unsigned i = 0; i < AHCI_PORTS; i++)
    idle &= ahci->ports[i].busy == 0;
  if (ahci->reset_pending && idle)
    {
      ahci->reset_pending = false;
      ahci->ghc &= ~GHC_RESET;
    }
  g_mutex_unlock (&ahci->lock);
}

static gboolean
on_wakeup (gpointer opaque)
{
  Ahci *ahci = opaque;
  bool more = false;

  /* The order matters: who wakes us after this has us look again. */
  g_source_set_ready_time (ahci->wakeup, -1);
  if (g_get_monotonic_time () < ahci->rest_until)
    {
      g_source_set_ready_time (ahci->wakeup, ahci->rest_until);
      return G_SOURCE_CONTINUE;
    }
  g_mutex_lock (&ahci->work);
  for (unsigned i = 0; i < AHCI_PORTS; i++)
    more |= ahci_port_work (&ahci->ports[i]);
  finish_reset (ahci);
  g_mutex_unlock (&ahci->work);
  if (more)
    {
      ahci->rest_until = g_get_monotonic_time () + REST_US;
      ahci_wake (ahci);
    }
  return G_SOURCE_CONTINUE;
}

/* A source that is ready when it is told so, by its ready time. */
static gboolean
dispatch (GSource *source, GSourceFunc callback, gpointer opaque)
{
  return callback (opaque);
}

static GSourceFuncs wakeup_funcs = { .dispatch = dispatch };

/* --- PCI --- */

static void
on_config_written (void *opaque, unsigned offset, unsigned size)
{
  Ahci *ahci = opaque;
  uint8_t command;

  if (offset > PCI_COMMAND || offset + size <= PCI_COMMAND)
    return;
  pci_device_get_config (ahci->pci, PCI_COMMAND, &command, 1);
  __atomic_store_n (&ahci->bus_master, (command & PCI_COMMAND_MASTER) != 0, __ATOMIC_RELAXED);
  ahci_wake (ahci);
}

/* work held. */
static void
drain (Ahci *ahci)
{
  for (unsigned i = 0; i < AHCI_PORTS; i++)
    if (ahci->ports[i].drive.ops)
      ahci->ports[i].drive.ops->drain (ahci->ports[i].drive.opaque);
}

static void
on_reset (void *opaque)
{
  Ahci *ahci = opaque;

  __atomic_store_n (&ahci->bus_master, false, __ATOMIC_RELAXED);
  g_mutex_lock (&ahci->work);
  drain (ahci);
  for (unsigned i = 0; i < AHCI_PORTS; i++)
    if (ahci->ports[i].drive.ops)
      ahci->ports[i].drive.ops->reset (ahci->ports[i].drive.opaque, true);
  g_mutex_lock (&ahci->lock);
  for (unsigned i = 0; i < AHCI_PORTS; i++)
    ahci_port_reset (&ahci->ports[i], true);
  ahci->ghc = GHC_AHCI_ENABLE;
  ahci->is = 0;
  ahci->reset_pending = false;
  ahci_update_irq (ahci);
  g_mutex_unlock (&ahci->lock);
  g_mutex_unlock (&ahci->work);
  ahci_wake (ahci);
}

static const PciDeviceOps pci_ops = { .config_written = on_config_written, .reset = on_reset };

static void
create_function (Ahci *ahci)
{
  static const uint8_t pin_a = 1, ports = (1u << AHCI_PORTS) - 1;
  static const uint8_t map = CONFIG_MAP_AHCI;

  ahci->pci = pci_device_new ("ahci", &identity, &pci_ops, ahci);
  pci_device_set_config (ahci->pci, PCI_INTERRUPT_PIN, &pin_a, 1);
  pci_device_set_config (ahci->pci, CONFIG_MAP, &map, 1);
  pci_device_set_config (ahci->pci, CONFIG_PCS, &ports, 1);
  pci_device_set_writable (ahci->pci, CONFIG_PCS, &ports, 1);
  pci_device_add_bar (ahci->pci, ABAR, PCI_BAR_32, ABAR_SIZE, &ahci_ops, ahci);
}

Ahci *
ahci_new (const GuestMemory *memory, GMainContext *context)
{
  Ahci *ahci = g_new0 (Ahci, 1);

  ahci->memory = memory;
  g_mutex_init (&ahci->work);
  g_mutex_init (&ahci->lock);
  guest_log_init (&ahci->log, "ahci");
  ahci->ghc = GHC_AHCI_ENABLE;
  for (unsigned i = 0; i < AHCI_PORTS; i++)
    {
      ahci->ports[i].ahci = ahci;
      ahci->ports[i].index = i;
      ahci_port_reset (&ahci->ports[i], true);
    }
  if (!context)
    ahci->thread = loop_thread_new ("ahci");
  ahci->home = (AtaHome){
    .context = g_main_context_ref (context ? context : loop_thread_get_context (ahci->thread)),
    .lock = &ahci->work,
  };
  ahci->wakeup = g_source_new (&wakeup_funcs, sizeof (GSource));
  g_source_set_callback (ahci->wakeup, on_wakeup, ahci, NULL);
  g_source_set_name (ahci->wakeup, "ahci doorbell");
  g_source_attach (ahci->wakeup, ahci->home.context);
  create_function (ahci);
  return ahci;
}

void
ahci_free (Ahci *ahci)
{
  if (!ahci)
    return;
  loop_thread_free (ahci->thread);
  g_source_destroy (ahci->wakeup);
  g_mutex_lock (&ahci->work);
  drain (ahci);
  for (unsigned i = 0; i < AHCI_PORTS; i++)
    {
      AhciPort *port = &ahci->ports[i];

      if (port->drive.ops)
        port->drive.ops->free (port->drive.opaque);
      for (unsigned slot = 0; slot < AHCI_SLOTS; slot++)
        g_free (port->slots[slot].iov);
    }
  g_mutex_unlock (&ahci->work);
  /* Last: what ended in drain () had an interrupt to raise. */
  pci_device_free (ahci->pci);
  g_source_unref (ahci->wakeup);
  g_main_context_unref (ahci->home.context);
  g_mutex_clear (&ahci->work);
  g_mutex_clear (&ahci->lock);
  g_free (ahci);
}

PciDevice *
ahci_get_pci_device (Ahci *ahci)
{
  return ahci->pci;
}

void
ahci_resume (Ahci *ahci)
{
  g_mutex_lock (&ahci->work);
  for (unsigned i = 0; i < AHCI_PORTS; i++)
    {
      const AtaDrive *drive = &ahci->ports[i].drive;

      if (drive->ops && drive->ops->resume)
        drive->ops->resume (drive->opaque);
    }
  g_mutex_unlock (&ahci->work);
}

const AtaHome *
ahci_get_home (const Ahci *ahci)
{
  return &ahci->home;
}

void
ahci_plug (Ahci *ahci, unsigned port, const AtaDrive *drive)
{
  g_return_if_fail (port < AHCI_PORTS && !ahci->ports[port].drive.ops);
  g_mutex_lock (&ahci->work);
  g_mutex_lock (&ahci->lock);
  ahci->ports[port].drive = *drive;
  ahci_port_reset (&ahci->ports[port], true);
  g_mutex_unlock (&ahci->lock);
  g_mutex_unlock (&ahci->work);
  ahci_wake (ahci);
}
