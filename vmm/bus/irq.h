#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <glib.h>

/* How a device interrupts the guest, without knowing the interrupt controller.
 *
 * IrqLine is a wired, level-triggered line (a GSI of the I/O APIC). MsiSink turns eventfds into MSI
 * messages: whoever writes to the eventfd (any thread, no lock) interrupts the guest; with KVM the
 * eventfd is an irqfd and no further code runs in our process. Tests bring their own set_level and ops.
 */
typedef struct IrqLine
{
  void (*set_level) (void *opaque, unsigned gsi, bool level); /* any thread */
  void *opaque;
  unsigned gsi;
} IrqLine;

static inline void
irq_line_set (const IrqLine *line, bool level)
{
  if (line->set_level)
    line->set_level (line->opaque, line->gsi, level);
}

/* PCI Local Bus 3.0, 6.8.1: what is written where to raise the interrupt. */
typedef struct MsiMessage
{
  uint64_t address;
  uint32_t data;
} MsiMessage;

typedef struct MsiSinkOps
{
  /* A route for eventfd (borrowed until route_free), muted at first. Returns its id (>= 0) or -1 with error. */
  int (*route_new) (void *opaque, int eventfd, GError **error);
  /* message NULL mutes: signals then stay counted in the eventfd (so a pending bit is "the eventfd is
   * readable") and are delivered when a message is set again. */
  void (*route_set) (void *opaque, int route, const MsiMessage *message);
  void (*route_free) (void *opaque, int route);
} MsiSinkOps;

typedef struct MsiSink
{
  const MsiSinkOps *ops;
  void *opaque;
} MsiSink;
