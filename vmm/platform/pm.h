#pragma once

#include "bus/address-space.h"
#include "bus/irq.h"
#include "platform/platform-request.h"

/* ACPI's fixed hardware (ACPI 6.4, section 4.8.3): PM1a event and control blocks, the PM timer, the power button. SLP_TYP
 * PM_SLP_TYP_S5 with SLP_EN switches off; there is no other sleep state.
 *
 * Thread: registers from any thread; the rest main.
 */
typedef struct Pm Pm;

#define PM_BASE       0x600 /* where it is at first, and where q35 firmware puts it */
#define PM_EVT_OFFSET 0     /* status, enable: 2 bytes each */
#define PM_CNT_OFFSET 4     /* 2 bytes */
#define PM_TMR_OFFSET 8     /* 4 bytes, read-only, 3.579545 MHz */
#define PM_SIZE       12
#define PM_SCI        9 /* GSI, level, active high */
#define PM_SLP_TYP_S5 0

/* now_us: a monotonic clock in microseconds; NULL: the host's. For tests. */
Pm *pm_new (AddressSpace *ports, IrqLine sci, PlatformRequestSink sink, int64_t (*now_us) (void));
void pm_free (Pm *pm);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (Pm, pm_free)
void pm_reset (Pm *pm);
/* Any thread. 0: nowhere. */
void pm_set_base (Pm *pm, uint16_t base);

/* Presses and releases the power button. */
void pm_press_power_button (Pm *pm);
