#define G_LOG_DOMAIN "vmm-platform"

#include "platform/rtc.h"

/* Theory of operation
 *
 * The time registers are computed at each read from the host's clock plus an offset. While the guest sets the clock
 * (register B, SET) they are plain memory; when SET falls, the offset is made of them. A guest that writes a time register
 * without SET changes the offset at once. Update-in-progress shows for the last 244 us of each second, as the chip does, so
 * that a guest's two reads belong to one second if it looks.
 */
#define UPDATE_US 244

enum
{
  REG_SECONDS = 0,
  REG_MINUTES = 2,
  REG_HOURS = 4,
  REG_WEEKDAY = 6,
  REG_DAY = 7,
  REG_MONTH = 8,
  REG_YEAR = 9,
  REG_A = 10,
  REG_B = 11,
  REG_C = 12,
  REG_D = 13,
  N_REGS = 128,
  A_UIP = 1 << 7,
  A_DEFAULT = 0x26, /* 32768 Hz, as BIOS leaves it */
  B_24H = 1 << 1,
  B_BINARY = 1 << 2,
  B_SET = 1 << 7,
  D_VALID = 1 << 7,
  HOUR_PM = 1 << 7,
};

struct Rtc
{
  AddressSpace *ports;
  AddressRange *range;
  int64_t (*now_us) (void);

  GMutex lock; /* guards all below */
  uint8_t index;
  uint8_t regs[N_REGS];
  int64_t offset_us;
};

static uint8_t
encode (const Rtc *rtc, unsigned value)
{
  return (uint8_t) (rtc->regs[REG_B] & B_BINARY ? value : value / 10 << 4 | value % 10);
}

static unsigned
decode (const Rtc *rtc, uint8_t value)
{
  return rtc->regs[REG_B] & B_BINARY ? value : (value >> 4) * 10u + (value & 0xf);
}

static uint8_t
encode_hour (const Rtc *rtc, unsigned hour)
{
  if (rtc->regs[REG_B] & B_24H)
    return encode (rtc, hour);
  return encode (rtc, hour % 12 == 0 ? 12 : hour % 12) | (hour >= 12 ? HOUR_PM : 0);
}

static unsigned
decode_hour (const Rtc *rtc, uint8_t value)
{
  if (rtc->regs[REG_B] & B_24H)
    return decode (rtc, value);
  return decode (rtc, value & 0x7f) % 12 + (value & HOUR_PM ? 12 : 0);
}

static bool
is_time (unsigned reg)
{
  return reg == REG_SECONDS || reg == REG_MINUTES || reg == REG_HOURS ||
         (reg >= REG_WEEKDAY && reg <= REG_YEAR) || reg == RTC_CENTURY;
}

/* The clock into the registers. Lock held. */
static void
latch (Rtc *rtc)
{
  int64_t seconds = (rtc->now_us () + rtc->offset_us) / 1000000;
  g_autoptr (GDateTime) time = g_date_time_new_from_unix_utc (seconds);

  if (!time)
    return;
  rtc->regs[REG_SECONDS] = encode (rtc, (unsigned) g_date_time_get_second (time));
  rtc->regs[REG_MINUTES] = encode (rtc, (unsigned) g_date_time_get_minute (time));
  rtc->regs[REG_HOURS] = encode_hour (rtc, (unsigned) g_date_time_get_hour (time));
  rtc->regs[REG_WEEKDAY] =
      encode (rtc, (unsigned) g_date_time_get_day_of_week (time) % 7 + 1); /* 1 is Sunday */
  rtc->regs[REG_DAY] = encode (rtc, (unsigned) g_date_time_get_day_of_month (time));
  rtc->regs[REG_MONTH] = encode (rtc, (unsigned) g_date_time_get_month (time));
  rtc->regs[REG_YEAR] = encode (rtc, (unsigned) g_date_time_get_year (time) % 100);
  rtc->regs[RTC_CENTURY] = encode (rtc, (unsigned) g_date_time_get_year (time) / 100);
}

/* The registers into the clock; a date that does not exist changes nothing. Lock held. */
static void
set_clock (Rtc *rtc)
{
  unsigned year = decode (rtc, rtc->regs[RTC_CENTURY]) * 100 + decode (rtc, rtc->regs[REG_YEAR]);
  unsigned month = decode (rtc, rtc->regs[REG_MONTH]);
  unsigned day = decode (rtc, rtc->regs[REG_DAY]);
  unsigned hour = decode_hour (rtc, rtc->regs[REG_HOURS]);
  unsigned minute = decode (rtc, rtc->regs[REG_MINUTES]);
  unsigned second = decode (rtc, rtc->regs[REG_SECONDS]);

  if (year < 1 || year > 9999 || month < 1 || month > 12 || day < 1 || day > 31 || hour > 23 ||
      minute > 59 || second > 59)
    return;
  g_autoptr (GDateTime) time =
      g_date_time_new_utc ((int) year, (int) month, (int) day, (int) hour, (int) minute, second);
  if (time)
    rtc->offset_us = g_date_time_to_unix (time) * 1000000 - rtc->now_us ();
}

static uint8_t
read_register (Rtc *rtc, unsigned reg)
{
  bool setting = rtc->regs[REG_B] & B_SET;
  int64_t us = (rtc->now_us () + rtc->offset_us) % 1000000;

  if (is_time (reg) && !setting)
    latch (rtc);
  switch (reg)
    {
    case REG_A:
      return rtc->regs[REG_A] | (!setting && us >= 1000000 - UPDATE_US ? A_UIP : 0);
    case REG_C:
      return 0;
    case REG_D:
      return D_VALID;
    default:
      return rtc->regs[reg];
    }
}

static void
write_register (Rtc *rtc, unsigned reg, uint8_t value)
{
  bool setting = rtc->regs[REG_B] & B_SET;

  switch (reg)
    {
    case REG_A:
      rtc->regs[REG_A] = value & 0x7f;
      break;
    case REG_B:
      if (!setting && (value & B_SET))
        latch (rtc);
      rtc->regs[REG_B] = value;
      if (setting && !(value & B_SET))
        set_clock (rtc);
      break;
    case REG_C:
    case REG_D:
      break;
    default:
      if (is_time (reg) && !setting)
        latch (rtc);
      rtc->regs[reg] = value;
      if (is_time (reg) && !setting)
        set_clock (rtc);
    }
}

static uint64_t
rtc_read (void *opaque, uint64_t offset, unsigned size)
{
  Rtc *rtc = opaque;
  uint64_t value = ~UINT64_C (0);

  g_mutex_lock (&rtc->lock);
  if (offset == 1)
    value = read_register (rtc, rtc->index) | ~UINT64_C (0xff);
  g_mutex_unlock (&rtc->lock);
  return value;
}

/* Bit 7 of the index masks NMIs, of which there are none. */
static void
rtc_write (void *opaque, uint64_t offset, unsigned size, uint64_t value)
{
  Rtc *rtc = opaque;

  g_mutex_lock (&rtc->lock);
  if (offset == 0)
    rtc->index = value & 0x7f;
  else
    write_register (rtc, rtc->index, (uint8_t) value);
  g_mutex_unlock (&rtc->lock);
}

static const AddressOps rtc_ops = { .read = rtc_read, .write = rtc_write };

/* The clock and the CMOS RAM have a battery: only control falls back. */
void
rtc_reset (Rtc *rtc)
{
  g_mutex_lock (&rtc->lock);
  rtc->index = 0;
  rtc->regs[REG_A] = A_DEFAULT;
  rtc->regs[REG_B] = B_24H;
  g_mutex_unlock (&rtc->lock);
}

Rtc *
rtc_new (AddressSpace *ports, int64_t (*now_us) (void))
{
  Rtc *rtc = g_new0 (Rtc, 1);

  rtc->ports = ports;
  rtc->now_us = now_us ? now_us : g_get_real_time;
  g_mutex_init (&rtc->lock);
  rtc_reset (rtc);
  rtc->range = address_space_add (ports, "rtc", RTC_PORT, 2, &rtc_ops, rtc);
  return rtc;
}

void
rtc_free (Rtc *rtc)
{
  if (!rtc)
    return;
  address_space_remove (rtc->ports, rtc->range);
  g_mutex_clear (&rtc->lock);
  g_free (rtc);
}
