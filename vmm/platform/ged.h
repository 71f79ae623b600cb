#pragma once

#include "bus/address-space.h"
#include "bus/irq.h"
#include "platform/platform-request.h"

/* What a machine without ACPI's fixed hardware has in its place (ACPI 6.4): the sleep control and status registers (4.8.3.7) and a
 * generic event device (5.6.9) that tells of the power button. A Linux that is started without firmware finds no PM timer, no
 * 8259 and no legacy interrupts to set up, which is a few hundred exits less.
 *
 * Thread: registers from any thread; the rest main.
 */
typedef struct Ged Ged;

#define GED_BASE         0x620
#define GED_SLEEP_OFFSET 0 /* sleep control: SLP_TYP in bits 2-4, SLP_EN bit 5 */
#define GED_WAKE_OFFSET  1 /* sleep status: always 0 */
#define GED_EVENT_OFFSET 2 /* not 0: the power button was pressed; a read clears it */
#define GED_SIZE         3
#define GED_GSI          9 /* level, active high: while there is an event */
#define GED_SLP_TYP_S5   5

Ged *ged_new (AddressSpace *ports, IrqLine line, PlatformRequestSink sink);
void ged_free (Ged *ged);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (Ged, ged_free)
void ged_reset (Ged *ged);

/* Presses and releases the power button. */
void ged_press_power_button (Ged *ged);
