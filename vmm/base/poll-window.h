#pragma once

#include <stdbool.h>
#include <stdint.h>

/* Whether a thread that has dealt with its events looks for the next one for a moment before it sleeps.
 *
 * To sleep and to be woken costs several times what a small event costs, on both sides; to look costs a CPU for as long. So it is worth while
 * where a CPU is to spare (the owner knows) and the next event comes soon. That it might is believed when the last one did: what it waited
 * for that one includes being woken, if it slept; hence two figures. Whether it does is found out by looking: after a time in vain it rests for one,
 * after the next for two, and so on up to POLL_WINDOW_REST_MAX, and tries again.
 *
 *   poll_window_wake ()      woken: may it look on when it is done?
 *   poll_window_idle ()      all that was noticed is dealt with; again for what looking found
 *   poll_window_is_open ()   look on, or sleep?
 *   poll_window_close ()     it sleeps, having looked
 *
 * Times are microseconds of one monotonic clock. Thread: the owner's.
 */
#define POLL_WINDOW_US       200 /* how long it looks */
#define POLL_WINDOW_SOON_US  600 /* how soon the last event came */
#define POLL_WINDOW_REST_MAX 64

/* Zero is closed. */
typedef struct PollWindow
{
  int64_t idle_since;
  unsigned rests; /* how many times more it does not look */
  unsigned rest;  /* how many that were, after the last in vain; 0: it was not */
} PollWindow;

static inline bool
poll_window_wake (PollWindow *window, int64_t now)
{
  if (now - window->idle_since > POLL_WINDOW_SOON_US)
    return false;
  if (window->rests == 0)
    return true;
  window->rests--;
  return false;
}

static inline void
poll_window_idle (PollWindow *window, int64_t now)
{
  window->idle_since = now;
}

static inline bool
poll_window_is_open (const PollWindow *window, int64_t now)
{
  return now - window->idle_since < POLL_WINDOW_US;
}

/* paid: there was an event that would have woken it. */
static inline void
poll_window_close (PollWindow *window, bool paid)
{
  const unsigned longer = window->rest == 0 ? 1 : 2 * window->rest;

  window->rest = paid ? 0 : longer > POLL_WINDOW_REST_MAX ? POLL_WINDOW_REST_MAX : longer;
  window->rests = window->rest;
}
