#define G_LOG_DOMAIN "vmm-platform"

#include "platform/ged.h"

#include "base/guest-log.h"

#define EVENT_POWER_BUTTON 1

enum
{
  SLEEP_TYPE_SHIFT = 2,
  SLEEP_TYPE_MASK = 7,
  SLEEP_ENABLE = 1 << 5,
};

struct Ged
{
  AddressSpace *ports;
  AddressRange *range;
  IrqLine line;
  PlatformRequestSink sink;
  GuestLog log;

  GMutex lock; /* guards what follows, and that the line is as it says */
  uint8_t event;
};

/* Lock held. */
static void
set_event (Ged *ged, uint8_t event)
{
  ged->event = event;
  irq_line_set (&ged->line, event != 0);
}

static uint64_t
ged_read (void *opaque, uint64_t offset, unsigned size)
{
  Ged *ged = opaque;
  uint64_t event = 0;

  /* Wider reads see the registers side by side. */
  if (offset + size <= GED_EVENT_OFFSET)
    return 0;
  g_mutex_lock (&ged->lock);
  event = ged->event;
  set_event (ged, 0);
  g_mutex_unlock (&ged->lock);
  return event << (8 * (GED_EVENT_OFFSET - offset));
}

static void
ged_write (void *opaque, uint64_t offset, unsigned size, uint64_t value)
{
  Ged *ged = opaque;

  if (offset != GED_SLEEP_OFFSET || !(value & SLEEP_ENABLE))
    return;
  unsigned type = value >> SLEEP_TYPE_SHIFT & SLEEP_TYPE_MASK;
  if (type == GED_SLP_TYP_S5)
    ged->sink.request (ged->sink.opaque, PLATFORM_REQUEST_POWER_OFF);
  else
    guest_log (&ged->log, "sleep type %u does not exist", type);
}

static const AddressOps ged_ops = { .read = ged_read, .write = ged_write };

void
ged_press_power_button (Ged *ged)
{
  g_mutex_lock (&ged->lock);
  set_event (ged, EVENT_POWER_BUTTON);
  g_mutex_unlock (&ged->lock);
}

void
ged_reset (Ged *ged)
{
  g_mutex_lock (&ged->lock);
  set_event (ged, 0);
  g_mutex_unlock (&ged->lock);
}

Ged *
ged_new (AddressSpace *ports, IrqLine line, PlatformRequestSink sink)
{
  Ged *ged = g_new0 (Ged, 1);

  ged->ports = ports;
  ged->line = line;
  ged->sink = sink;
  guest_log_init (&ged->log, "ged");
  g_mutex_init (&ged->lock);
  ged->range = address_space_add (ports, "ged", GED_BASE, GED_SIZE, &ged_ops, ged);
  return ged;
}

void
ged_free (Ged *ged)
{
  if (!ged)
    return;
  address_space_remove (ged->ports, ged->range);
  g_mutex_clear (&ged->lock);
  g_free (ged);
}
