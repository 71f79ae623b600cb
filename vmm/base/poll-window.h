#pragma once

#include <stdbool.h>
#include <stdint.h>

/* Whether a thread that waits for events should look for the next one for a moment before it sleeps.
 *
 * To sleep and to be woken costs several times what an event costs, on both sides; to look costs a CPU for as long. So it is worth while
 * where the next event comes soon, and that it will is believed when the last one did. What it waited for that one includes being woken, if it
 * slept; hence two figures.
 *
 * Times are microseconds of one monotonic clock. Thread: the owner's.
 */
#define POLL_WINDOW_US      100 /* how long it looks */
#define POLL_WINDOW_SOON_US 300 /* how soon the last event came */

typedef struct PollWindow
{
  int64_t idle_since;
  bool is_open;
} PollWindow;

/* An event was noticed, by looking or by being woken. */
static inline void
poll_window_event (PollWindow *window, int64_t now)
{
  window->is_open = now - window->idle_since <= POLL_WINDOW_SOON_US;
}

/* All that was noticed is dealt with. */
static inline void
poll_window_idle (PollWindow *window, int64_t now)
{
  window->idle_since = now;
}

/* Look on, or sleep? */
static inline bool
poll_window_is_open (const PollWindow *window, int64_t now)
{
  return window->is_open && now - window->idle_since < POLL_WINDOW_US;
}
