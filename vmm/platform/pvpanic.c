#define G_LOG_DOMAIN "vmm-platform"

#include "platform/pvpanic.h"

#include "base/guest-log.h"

enum
{
  EVENT_PANICKED = 1 << 0,
  EVENT_CRASH_LOADED = 1 << 1, /* panicked, and its own crash kernel takes over */
};

struct Pvpanic
{
  AddressSpace *ports;
  AddressRange *range;
  PlatformRequestSink sink;
  GuestLog log;
};

/* The events that can be told. */
static uint64_t
pvpanic_read (void *opaque, uint64_t offset, unsigned size)
{
  return EVENT_PANICKED | EVENT_CRASH_LOADED;
}

static void
pvpanic_write (void *opaque, uint64_t offset, unsigned size, uint64_t value)
{
  Pvpanic *pvpanic = opaque;

  if (value & EVENT_PANICKED)
    pvpanic->sink.request (pvpanic->sink.opaque, PLATFORM_REQUEST_PANICKED);
  else
    guest_log (&pvpanic->log, "crashed, its crash kernel goes on (event 0x%x)", (unsigned) value);
}

static const AddressOps pvpanic_ops = { .read = pvpanic_read, .write = pvpanic_write };

Pvpanic *
pvpanic_new (AddressSpace *ports, PlatformRequestSink sink)
{
  Pvpanic *pvpanic = g_new0 (Pvpanic, 1);

  pvpanic->ports = ports;
  pvpanic->sink = sink;
  guest_log_init (&pvpanic->log, "pvpanic");
  pvpanic->range = address_space_add (ports, "pvpanic", PVPANIC_PORT, 1, &pvpanic_ops, pvpanic);
  return pvpanic;
}

void
pvpanic_free (Pvpanic *pvpanic)
{
  if (!pvpanic)
    return;
  address_space_remove (pvpanic->ports, pvpanic->range);
  g_free (pvpanic);
}
