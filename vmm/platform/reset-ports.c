#define G_LOG_DOMAIN "vmm-platform"

#include "platform/reset-ports.h"

enum
{
  PORT_FAST,
  PORT_KEYBOARD,
  N_PORTS
};

enum
{
  FAST_RESET = 1 << 0,
  FAST_A20 = 1 << 1,
  KEYBOARD_PULSE_RESET = 0xfe,
};

static const struct
{
  uint16_t address;
  const char *name;
} port_table[N_PORTS] = {
  [PORT_FAST] = { 0x92, "port 92" },
  [PORT_KEYBOARD] = { 0x64, "keyboard controller" },
};

typedef struct ResetPort
{
  ResetPorts *owner;
  unsigned index;
  AddressRange *range;
} ResetPort;

struct ResetPorts
{
  AddressSpace *ports;
  PlatformRequestSink sink;
  ResetPort port[N_PORTS];
  uint8_t fast; /* atomic */
};

/* Without i8042.c, which is in front of it where there is one: a status that reads as if there were no keyboard controller, which a kernel
 * understands; one that is silent it would try for long. */
static uint64_t
port_read (void *opaque, uint64_t offset, unsigned size)
{
  ResetPort *port = opaque;

  return port->index == PORT_FAST ? __atomic_load_n (&port->owner->fast, __ATOMIC_RELAXED) : 0xff;
}

static void
port_write (void *opaque, uint64_t offset, unsigned size, uint64_t value)
{
  ResetPort *port = opaque;
  ResetPorts *reset = port->owner;
  bool now = false;

  if (port->index == PORT_FAST)
    {
      now = value & FAST_RESET;
      __atomic_store_n (&reset->fast, value & FAST_A20, __ATOMIC_RELAXED);
    }
  else
    now = value == KEYBOARD_PULSE_RESET;
  if (now)
    reset->sink.request (reset->sink.opaque, PLATFORM_REQUEST_RESET);
}

static const AddressOps port_ops = { .read = port_read, .write = port_write };

void
reset_ports_reset (ResetPorts *reset)
{
  __atomic_store_n (&reset->fast, FAST_A20, __ATOMIC_RELAXED);
}

ResetPorts *
reset_ports_new (AddressSpace *ports, PlatformRequestSink sink)
{
  ResetPorts *reset = g_new0 (ResetPorts, 1);

  reset->ports = ports;
  reset->sink = sink;
  reset_ports_reset (reset);
  for (unsigned i = 0; i < N_PORTS; i++)
    {
      reset->port[i] = (ResetPort){ .owner = reset, .index = i };
      reset->port[i].range = address_space_add (ports, port_table[i].name, port_table[i].address, 1,
                                                &port_ops, &reset->port[i]);
    }
  return reset;
}

void
reset_ports_free (ResetPorts *reset)
{
  if (!reset)
    return;
  for (unsigned i = 0; i < N_PORTS; i++)
    address_space_remove (reset->ports, reset->port[i].range);
  g_free (reset);
}
