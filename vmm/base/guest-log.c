#define G_LOG_DOMAIN "vmm-guest"

#include "base/guest-log.h"

void
guest_log_init (GuestLog *log, const char *source)
{
  *log = (GuestLog){ .source = source };
}

/* Two threads may open a window at once and then log a line too many: harmless, and cheaper than a lock. */
static bool
may_log (GuestLog *log)
{
  int64_t now = g_get_monotonic_time ();
  int64_t start = __atomic_load_n (&log->window_start_us, __ATOMIC_RELAXED);

  if (start == 0 || now - start > GUEST_LOG_WINDOW_US)
    {
      __atomic_store_n (&log->window_start_us, now, __ATOMIC_RELAXED);
      __atomic_store_n (&log->lines_in_window, 0, __ATOMIC_RELAXED);
    }
  return __atomic_fetch_add (&log->lines_in_window, 1, __ATOMIC_RELAXED) < GUEST_LOG_BURST;
}

void
guest_log (GuestLog *log, const char *format, ...)
{
  __atomic_fetch_add (&log->count, 1, __ATOMIC_RELAXED);
  if (!may_log (log))
    return;

  va_list args;
  va_start (args, format);
  g_autofree char *text = g_strdup_vprintf (format, args);
  va_end (args);
  g_warning ("%s: guest: %s", log->source, text);
}

uint64_t
guest_log_get_count (const GuestLog *log)
{
  return __atomic_load_n (&log->count, __ATOMIC_RELAXED);
}
