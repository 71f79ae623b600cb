#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <glib.h>

/* Complaints about what a guest did. A guest can misbehave millions of times a second, so each
 * source counts all and logs few: at most GUEST_LOG_BURST lines in any GUEST_LOG_WINDOW_US.
 *
 * Thread: any; the counters are atomic. A GuestLog is embedded in its device and needs no
 * clearing; zero it (or leave it in zeroed memory) and name it with guest_log_init ().
 */
#define GUEST_LOG_BURST     5
#define GUEST_LOG_WINDOW_US (10 * G_TIME_SPAN_SECOND)

typedef struct GuestLog
{
  const char *source;      /* static string: "virtio-blk", "pci" */
  uint64_t count;          /* complaints since the start, logged or not */
  int64_t window_start_us; /* monotonic */
  uint32_t lines_in_window;
} GuestLog;

void guest_log_init (GuestLog *log, const char *source);

/* Counts one complaint and logs it (g_warning) unless this source has been too loud lately. */
void guest_log (GuestLog *log, const char *format, ...) G_GNUC_PRINTF (2, 3);

uint64_t guest_log_get_count (const GuestLog *log);
