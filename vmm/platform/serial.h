#pragma once

#include "bus/address-space.h"
#include "bus/irq.h"
#include "ports/char-port.h"

/* A 16550A serial port: eight byte registers, 16-byte FIFOs (TL16C550C data sheet). The line is infinitely fast: what is
 * sent is gone unless the host's reader stalls, then the transmitter stays busy.
 *
 * Thread: registers from any thread; the rest main.
 */
typedef struct Serial Serial;

#define SERIAL_COM1      0x3f8
#define SERIAL_COM1_IRQ  4
#define SERIAL_PORT_SIZE 8

/* port is borrowed, NULL: an unplugged line. */
Serial *serial_new (AddressSpace *ports, uint16_t base, IrqLine irq, CharPort *port);
void serial_free (Serial *serial);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (Serial, serial_free)
void serial_reset (Serial *serial);
