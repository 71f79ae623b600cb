#define G_LOG_DOMAIN "vmm-platform"

#include "platform/pm.h"

#include "base/guest-log.h"

/* Theory of operation
 *
 * The SCI is level-triggered: high while an enabled event's status is set. There is no SMI and no legacy mode, so SCI_EN
 * reads 1 from power-on and cannot be cleared. The timer's carry event (TMR_STS) is not made: an
 * operating system that uses a 32-bit timer needs it only if it sleeps over 20 minutes without a look.
 */
#define PM_TIMER_HZ INT64_C (3579545)

enum
{
  EVENT_PWRBTN = 1 << 8,
  EVENT_WRITABLE = EVENT_PWRBTN | 1 << 0 | 1 << 5 | 1 << 9 | 1 << 10,
  CNT_SCI_EN = 1 << 0,
  CNT_SLP_TYP_SHIFT = 10,
  CNT_SLP_EN = 1 << 13,
  CNT_KEPT = 7 << CNT_SLP_TYP_SHIFT | 1 << 1, /* SLP_TYP, BM_RLD */
};

struct Pm
{
  AddressSpace *ports;
  IrqLine sci;
  PlatformRequestSink sink;
  int64_t (*now_us) (void);
  int64_t start_us;
  GuestLog log;

  GMutex lock;         /* guards all below */
  AddressRange *range; /* NULL: nowhere */
  uint16_t status;
  uint16_t enable;
  uint16_t control;
};

/* Lock held. */
static void
update_sci (Pm *pm)
{
  irq_line_set (&pm->sci, (pm->status & pm->enable) != 0);
}

static uint32_t
read_timer (const Pm *pm)
{
  int64_t us = pm->now_us () - pm->start_us;

  /* Seconds and rest apart, so that the product stays in 64 bits. */
  return (uint32_t) (us / 1000000 * PM_TIMER_HZ + us % 1000000 * PM_TIMER_HZ / 1000000);
}

/* The block as 12 bytes, so that an access of any width and offset has an answer. */
static uint8_t
read_byte (const Pm *pm, unsigned offset, uint32_t timer)
{
  uint32_t value = 0;

  if (offset >= PM_TMR_OFFSET)
    value = timer >> (8 * (offset - PM_TMR_OFFSET));
  else if (offset >= PM_CNT_OFFSET)
    value = offset < PM_CNT_OFFSET + 2
                ? (uint32_t) (pm->control | CNT_SCI_EN) >> (8 * (offset - PM_CNT_OFFSET))
                : 0;
  else
    value = (pm->status | (uint32_t) pm->enable << 16) >> (8 * offset);
  return (uint8_t) value;
}

static uint64_t
pm_read (void *opaque, uint64_t offset, unsigned size)
{
  Pm *pm = opaque;
  uint64_t value = 0;

  g_mutex_lock (&pm->lock);
  uint32_t timer = read_timer (pm);
  for (unsigned i = 0; i < size; i++)
    value |= (uint64_t) read_byte (pm, (unsigned) offset + i, timer) << (8 * i);
  g_mutex_unlock (&pm->lock);
  return value;
}

/* True: the machine is to be switched off. Lock held. */
static bool
write_control (Pm *pm, uint16_t value)
{
  unsigned type = value >> CNT_SLP_TYP_SHIFT & 7;

  pm->control = value & CNT_KEPT;
  if (!(value & CNT_SLP_EN))
    return false;
  if (type == PM_SLP_TYP_S5)
    return true;
  guest_log (&pm->log, "sleep type %u does not exist", type);
  return false;
}

static bool
write_byte (Pm *pm, unsigned offset, uint8_t value)
{
  switch (offset)
    {
    case 0: /* a one clears */
    case 1:
      pm->status &= (uint16_t) ~(value << (8 * offset));
      break;
    case 2:
      pm->enable = (uint16_t) (((pm->enable & 0xff00) | value) & EVENT_WRITABLE);
      break;
    case 3:
      pm->enable = (uint16_t) (((pm->enable & 0xff) | value << 8) & EVENT_WRITABLE);
      break;
    case 4:
      pm->control = (uint16_t) (((pm->control & 0xff00) | value) & CNT_KEPT);
      break;
    case 5:
      return write_control (pm, (uint16_t) ((pm->control & 0xff) | value << 8));
    default:
      break;
    }
  return false;
}

static void
pm_write (void *opaque, uint64_t offset, unsigned size, uint64_t value)
{
  Pm *pm = opaque;
  bool off = false;

  g_mutex_lock (&pm->lock);
  for (unsigned i = 0; i < size; i++)
    off |= write_byte (pm, (unsigned) offset + i, (uint8_t) (value >> (8 * i)));
  update_sci (pm);
  g_mutex_unlock (&pm->lock);
  if (off)
    pm->sink.request (pm->sink.opaque, PLATFORM_REQUEST_POWER_OFF);
}

static const AddressOps pm_ops = { .read = pm_read, .write = pm_write };

void
pm_press_power_button (Pm *pm)
{
  g_mutex_lock (&pm->lock);
  pm->status |= EVENT_PWRBTN;
  update_sci (pm);
  g_mutex_unlock (&pm->lock);
}

void
pm_reset (Pm *pm)
{
  g_mutex_lock (&pm->lock);
  pm->status = pm->enable = pm->control = 0;
  update_sci (pm);
  g_mutex_unlock (&pm->lock);
}

void
pm_set_base (Pm *pm, uint16_t base)
{
  g_mutex_lock (&pm->lock);
  if (pm->range && base != 0)
    address_space_move (pm->ports, pm->range, base);
  else if (base != 0)
    pm->range = address_space_add (pm->ports, "pm", base, PM_SIZE, &pm_ops, pm);
  else if (pm->range)
    address_space_remove (pm->ports, g_steal_pointer (&pm->range));
  g_mutex_unlock (&pm->lock);
}

Pm *
pm_new (AddressSpace *ports, IrqLine sci, PlatformRequestSink sink, int64_t (*now_us) (void))
{
  Pm *pm = g_new0 (Pm, 1);

  pm->ports = ports;
  pm->sci = sci;
  pm->sink = sink;
  pm->now_us = now_us ? now_us : g_get_monotonic_time;
  pm->start_us = pm->now_us ();
  guest_log_init (&pm->log, "pm");
  g_mutex_init (&pm->lock);
  pm_set_base (pm, PM_BASE);
  return pm;
}

void
pm_free (Pm *pm)
{
  if (!pm)
    return;
  pm_set_base (pm, 0);
  g_mutex_clear (&pm->lock);
  g_free (pm);
}
