#define G_LOG_DOMAIN "vmm-platform"

#include "platform/serial.h"

#include <string.h>

/* Theory of operation
 *
 * A byte written to THR goes to the host at once, so THRE is set again when the write returns, and the
 * interrupt line does not move for the 16 bytes that a driver sends in a row: one interrupt for 16
 * bytes. Where the host does not take it, the byte waits in the transmit FIFO and THRE stays clear.
 *
 * The line: lock is held around register state and irq_line_set () so that levels reach the interrupt controller in
 * order. The char port is called with the lock held (char_port_write () never calls back).
 */
#define FIFO_SIZE 16

enum
{
  REG_DATA, /* RBR, THR; DLL with DLAB */
  REG_IER,  /* DLM with DLAB */
  REG_IIR,  /* FCR for writes */
  REG_LCR,
  REG_MCR,
  REG_LSR,
  REG_MSR,
  REG_SCR,
};

enum
{
  IER_RDA = 1 << 0,
  IER_THRE = 1 << 1,
  IER_RLS = 1 << 2,
  IER_MSR = 1 << 3,
  IIR_NONE = 0x01,
  IIR_MSR = 0x00,
  IIR_THRE = 0x02,
  IIR_RDA = 0x04,
  IIR_RLS = 0x06,
  IIR_TIMEOUT = 0x0c,
  IIR_FIFOS = 0xc0,
  FCR_ENABLE = 1 << 0,
  FCR_CLEAR_RX = 1 << 1,
  FCR_CLEAR_TX = 1 << 2,
  LCR_DLAB = 1 << 7,
  MCR_DTR = 1 << 0,
  MCR_RTS = 1 << 1,
  MCR_OUT1 = 1 << 2,
  MCR_OUT2 = 1 << 3,
  MCR_LOOP = 1 << 4,
  LSR_DR = 1 << 0,
  LSR_OE = 1 << 1,
  LSR_ERRORS = 0x1e,
  LSR_THRE = 1 << 5,
  LSR_TEMT = 1 << 6,
  MSR_TERI = 1 << 2,
  MSR_CTS = 1 << 4,
  MSR_DSR = 1 << 5,
  MSR_RI = 1 << 6,
  MSR_DCD = 1 << 7,
};

struct Serial
{
  AddressSpace *ports;
  AddressRange *range;
  IrqLine irq;
  CharPort *port;

  GMutex lock; /* guards all below */
  uint8_t ier, fcr, lcr, mcr, msr, scr;
  uint8_t lsr_errors;
  uint16_t divisor;
  bool thre_pending; /* the THRE interrupt, until IIR is read or THR written */
  bool level;
  uint8_t rx[FIFO_SIZE];
  unsigned n_rx;
  uint8_t tx[FIFO_SIZE];
  unsigned n_tx;
  bool input_waits; /* the char port holds bytes that did not fit */
};

static unsigned
fifo_depth (const Serial *serial)
{
  return serial->fcr & FCR_ENABLE ? FIFO_SIZE : 1;
}

static unsigned
rx_trigger (const Serial *serial)
{
  static const uint8_t levels[4] = { 1, 4, 8, 14 };

  return serial->fcr & FCR_ENABLE ? levels[serial->fcr >> 6] : 1;
}

/* The highest-priority interrupt that is enabled and pending (data sheet, table of IIR). Bytes below the trigger level are told at
 * once as a character timeout: nothing on this line takes four characters' time. */
static uint8_t
pending_interrupt (const Serial *serial)
{
  if ((serial->ier & IER_RLS) && serial->lsr_errors)
    return IIR_RLS;
  if ((serial->ier & IER_RDA) && serial->n_rx > 0)
    return serial->n_rx >= rx_trigger (serial) ? IIR_RDA : IIR_TIMEOUT;
  if ((serial->ier & IER_THRE) && serial->thre_pending)
    return IIR_THRE;
  if ((serial->ier & IER_MSR) && (serial->msr & 0x0f))
    return IIR_MSR;
  return IIR_NONE;
}

/* On a PC, OUT2 connects the interrupt to its line. */
static void
update_irq (Serial *serial)
{
  bool level = pending_interrupt (serial) != IIR_NONE && (serial->mcr & MCR_OUT2) &&
               !(serial->mcr & MCR_LOOP);

  if (level == serial->level)
    return;
  serial->level = level;
  irq_line_set (&serial->irq, level);
}

static void
push_rx (Serial *serial, uint8_t byte)
{
  if (serial->n_rx == fifo_depth (serial))
    {
      serial->lsr_errors |= LSR_OE;
      return;
    }
  serial->rx[serial->n_rx++] = byte;
}

static uint8_t
pop_rx (Serial *serial)
{
  uint8_t byte = serial->rx[0];

  if (serial->n_rx == 0)
    return 0;
  memmove (serial->rx, serial->rx + 1, --serial->n_rx);
  return byte;
}

/* There is room for input again. */
static void
ask_for_input (Serial *serial)
{
  if (!serial->input_waits || !serial->port)
    return;
  serial->input_waits = false;
  char_port_accept_input (serial->port);
}

static void
drain_tx (Serial *serial)
{
  size_t taken = serial->n_tx;

  if (serial->port && serial->n_tx > 0)
    taken = char_port_write (serial->port, serial->tx, serial->n_tx);
  memmove (serial->tx, serial->tx + taken, serial->n_tx - taken);
  serial->n_tx -= (unsigned) taken;
  if (serial->n_tx == 0)
    serial->thre_pending = true;
}

static void
write_thr (Serial *serial, uint8_t byte)
{
  serial->thre_pending = false;
  if (serial->mcr & MCR_LOOP)
    {
      push_rx (serial, byte);
      serial->thre_pending = true;
      return;
    }
  if (serial->n_tx < FIFO_SIZE)
    serial->tx[serial->n_tx++] = byte;
  drain_tx (serial);
}

/* In loopback the modem's inputs are our own outputs; else a modem that is always ready. */
static void
update_msr (Serial *serial)
{
  uint8_t lines = MSR_CTS | MSR_DSR | MSR_DCD;
  uint8_t changed;

  if (serial->mcr & MCR_LOOP)
    lines = (serial->mcr & MCR_RTS ? MSR_CTS : 0) | (serial->mcr & MCR_DTR ? MSR_DSR : 0) |
            (serial->mcr & MCR_OUT1 ? MSR_RI : 0) | (serial->mcr & MCR_OUT2 ? MSR_DCD : 0);
  changed = (serial->msr ^ lines) >> 4;
  /* The ring indicator tells of its trailing edge only. */
  if (lines & MSR_RI)
    changed &= (uint8_t) ~MSR_TERI;
  serial->msr = lines | (serial->msr & 0x0f) | changed;
}

static void
write_fcr (Serial *serial, uint8_t value)
{
  if ((value ^ serial->fcr) & FCR_ENABLE)
    value |= FCR_CLEAR_RX | FCR_CLEAR_TX;
  if (value & FCR_CLEAR_RX)
    serial->n_rx = 0;
  if (value & FCR_CLEAR_TX)
    {
      serial->n_tx = 0;
      serial->thre_pending = true;
    }
  serial->fcr = value & FCR_ENABLE ? value & 0xc9 : 0;
  ask_for_input (serial);
}

static uint8_t
read_iir (Serial *serial)
{
  uint8_t id = pending_interrupt (serial);

  if (id == IIR_THRE)
    serial->thre_pending = false;
  return id | (serial->fcr & FCR_ENABLE ? IIR_FIFOS : 0);
}

static uint8_t
read_lsr (Serial *serial)
{
  uint8_t value = serial->lsr_errors;

  if (serial->n_rx > 0)
    value |= LSR_DR;
  if (serial->n_tx == 0)
    value |= LSR_THRE | LSR_TEMT;
  serial->lsr_errors = 0;
  return value;
}

static uint8_t
read_register (Serial *serial, unsigned reg)
{
  bool dlab = serial->lcr & LCR_DLAB;
  uint8_t value;

  switch (reg)
    {
    case REG_DATA:
      if (dlab)
        return serial->divisor & 0xff;
      value = pop_rx (serial);
      ask_for_input (serial);
      return value;
    case REG_IER:
      return dlab ? serial->divisor >> 8 : serial->ier;
    case REG_IIR:
      return read_iir (serial);
    case REG_LCR:
      return serial->lcr;
    case REG_MCR:
      return serial->mcr;
    case REG_LSR:
      return read_lsr (serial);
    case REG_MSR:
      value = serial->msr;
      serial->msr &= 0xf0;
      return value;
    default:
      return serial->scr;
    }
}

static void
write_ier (Serial *serial, uint8_t value)
{
  /* Enabling the THRE interrupt while the transmitter is empty raises it at once. */
  if ((value & IER_THRE) && !(serial->ier & IER_THRE))
    serial->thre_pending = serial->n_tx == 0;
  serial->ier = value & 0x0f;
}

static void
write_register (Serial *serial, unsigned reg, uint8_t value)
{
  bool dlab = serial->lcr & LCR_DLAB;

  switch (reg)
    {
    case REG_DATA:
      if (dlab)
        serial->divisor = (serial->divisor & 0xff00) | value;
      else
        write_thr (serial, value);
      break;
    case REG_IER:
      if (dlab)
        serial->divisor = (uint16_t) ((serial->divisor & 0xff) | value << 8);
      else
        write_ier (serial, value);
      break;
    case REG_IIR:
      write_fcr (serial, value);
      break;
    case REG_LCR:
      serial->lcr = value;
      break;
    case REG_MCR:
      serial->mcr = value & 0x1f;
      update_msr (serial);
      break;
    case REG_SCR:
      serial->scr = value;
      break;
    default: /* LSR and MSR are the chip's */
      break;
    }
}

static uint64_t
serial_read (void *opaque, uint64_t offset, unsigned size)
{
  Serial *serial = opaque;

  /* A byte-wide bus: what is wider reads the other lanes as nobody. */
  g_mutex_lock (&serial->lock);
  uint64_t value = read_register (serial, (unsigned) offset);
  update_irq (serial);
  g_mutex_unlock (&serial->lock);
  return value | ~UINT64_C (0xff);
}

static void
serial_write (void *opaque, uint64_t offset, unsigned size, uint64_t value)
{
  Serial *serial = opaque;

  g_mutex_lock (&serial->lock);
  write_register (serial, (unsigned) offset, (uint8_t) value);
  update_irq (serial);
  g_mutex_unlock (&serial->lock);
}

static const AddressOps serial_ops = { .read = serial_read, .write = serial_write };

static size_t
receive (void *opaque, const uint8_t *bytes, size_t size)
{
  Serial *serial = opaque;
  size_t taken = 0;

  g_mutex_lock (&serial->lock);
  if (!(serial->mcr & MCR_LOOP))
    while (taken < size && serial->n_rx < fifo_depth (serial))
      push_rx (serial, bytes[taken++]);
  serial->input_waits = taken < size;
  update_irq (serial);
  g_mutex_unlock (&serial->lock);
  return taken;
}

static void
writable (void *opaque)
{
  Serial *serial = opaque;

  g_mutex_lock (&serial->lock);
  if (serial->n_tx > 0)
    drain_tx (serial);
  update_irq (serial);
  g_mutex_unlock (&serial->lock);
}

static const CharClientOps client_ops = { .receive = receive, .writable = writable };

/* Lock held. */
static void
power_on (Serial *serial)
{
  serial->ier = serial->fcr = serial->lcr = serial->mcr = serial->scr = 0;
  serial->lsr_errors = 0;
  serial->divisor = 12; /* 9600 baud */
  serial->msr = MSR_CTS | MSR_DSR | MSR_DCD;
  serial->thre_pending = false;
  serial->n_rx = 0;
  serial->n_tx = 0;
}

void
serial_reset (Serial *serial)
{
  g_mutex_lock (&serial->lock);
  power_on (serial);
  ask_for_input (serial);
  update_irq (serial);
  g_mutex_unlock (&serial->lock);
}

Serial *
serial_new (AddressSpace *ports, uint16_t base, IrqLine irq, CharPort *port)
{
  Serial *serial = g_new0 (Serial, 1);

  serial->ports = ports;
  serial->irq = irq;
  serial->port = port;
  g_mutex_init (&serial->lock);
  power_on (serial);
  serial->range = address_space_add (ports, "serial", base, SERIAL_PORT_SIZE, &serial_ops, serial);
  if (port)
    char_port_set_client (port, &client_ops, serial);
  return serial;
}

void
serial_free (Serial *serial)
{
  if (!serial)
    return;
  if (serial->port)
    char_port_set_client (serial->port, NULL, NULL);
  address_space_remove (serial->ports, serial->range);
  g_mutex_clear (&serial->lock);
  g_free (serial);
}
