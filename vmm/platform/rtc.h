#pragma once

#include "bus/address-space.h"

/* A real-time clock with CMOS RAM (Motorola MC146818A; century in register 0x32), in UTC, set by the guest relative to the
 * host's clock. It has no interrupt: ACPI says so, and no guest that we serve waits for it.
 * Thread: registers from any thread. */
typedef struct Rtc Rtc;

#define RTC_PORT    0x70
#define RTC_CENTURY 0x32

/* now_us: microseconds since 1970; NULL: the host's clock. For tests. */
Rtc *rtc_new (AddressSpace *ports, int64_t (*now_us) (void));
void rtc_free (Rtc *rtc);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (Rtc, rtc_free)
void rtc_reset (Rtc *rtc);
