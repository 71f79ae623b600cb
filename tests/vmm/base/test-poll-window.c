#include <glib.h>

#include "base/poll-window.h"

static void
test_closed_at_first (void)
{
  PollWindow window = {};

  g_assert_false (poll_window_wake (&window, 10 * G_TIME_SPAN_SECOND));
}

/* Events that follow one another keep it open, each for as long again; it closes by itself. */
static void
test_opens_and_closes (void)
{
  PollWindow window = {};
  gint64 now = G_TIME_SPAN_SECOND;

  poll_window_idle (&window, now);
  for (unsigned i = 0; i < 5; i++)
    {
      now += POLL_WINDOW_SOON_US;
      g_assert_true (poll_window_wake (&window, now));
      poll_window_idle (&window, now);
      g_assert_true (poll_window_is_open (&window, now));
      g_assert_true (poll_window_is_open (&window, now + POLL_WINDOW_US - 1));
      g_assert_false (poll_window_is_open (&window, now + POLL_WINDOW_US));
      poll_window_close (&window, true);
    }
  g_assert_false (poll_window_wake (&window, now + POLL_WINDOW_SOON_US + 1));
}

/* What an event takes to deal with is no waiting. */
static void
test_work_is_not_waiting (void)
{
  PollWindow window = { .idle_since = 1000 };

  g_assert_true (poll_window_wake (&window, 1010));
  poll_window_idle (&window, G_TIME_SPAN_SECOND);
  g_assert_true (poll_window_wake (&window, G_TIME_SPAN_SECOND + 10));
}

/* How many times it is woken until it looks again. */
static unsigned
count_rests (PollWindow *window)
{
  unsigned n = 0;

  while (!poll_window_wake (window, window->idle_since))
    n++;
  return n;
}

/* Where looking finds nothing it is done ever less, and never given up; one find is enough to begin anew. */
static void
test_rests_after_vain (void)
{
  PollWindow window = { .idle_since = 1000 };

  for (unsigned expected = 1; expected <= POLL_WINDOW_REST_MAX; expected *= 2)
    {
      poll_window_close (&window, false);
      g_assert_cmpuint (count_rests (&window), ==, expected);
    }
  for (unsigned i = 0; i < 40; i++)
    {
      poll_window_close (&window, false);
      g_assert_cmpuint (count_rests (&window), ==, POLL_WINDOW_REST_MAX);
    }
  poll_window_close (&window, true);
  g_assert_cmpuint (count_rests (&window), ==, 0);
  poll_window_close (&window, false);
  g_assert_cmpuint (count_rests (&window), ==, 1);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/poll-window/closed-at-first", test_closed_at_first);
  g_test_add_func ("/poll-window/opens-and-closes", test_opens_and_closes);
  g_test_add_func ("/poll-window/work-is-not-waiting", test_work_is_not_waiting);
  g_test_add_func ("/poll-window/rests-after-vain", test_rests_after_vain);
  return g_test_run ();
}
