#pragma once

#include "bus/address-space.h"
#include "bus/irq.h"
#include "platform/platform-request.h"
#include "ports/input-port.h"

/* A PC's keyboard controller with a keyboard and a mouse (IBM PS/2 Hardware Interface Technical Reference; ports 0x60 and 0x64). It
 * takes of the input port what nobody before it has taken.
 *
 * Thread: ports on vCPU threads, everything else on the main one.
 */
typedef struct I8042 I8042;

#define I8042_DATA         0x60
#define I8042_COMMAND      0x64
#define I8042_KEYBOARD_IRQ 1
#define I8042_MOUSE_IRQ    12

typedef struct I8042Config
{
  AddressSpace *ports; /* borrowed, as input */
  IrqLine keyboard_irq;
  IrqLine mouse_irq;
  PlatformRequestSink sink; /* the line that resets the processor */
  InputPort *input;
} I8042Config;

I8042 *i8042_new (const I8042Config *config);
void i8042_free (I8042 *i8042);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (I8042, i8042_free)
void i8042_reset (I8042 *i8042);
