#include <glib.h>

#include "base/poll-window.h"

static void
test_closed_at_first (void)
{
  PollWindow window = {};

  poll_window_event (&window, 10 * G_TIME_SPAN_SECOND);
  poll_window_idle (&window, 10 * G_TIME_SPAN_SECOND + 5);
  g_assert_false (poll_window_is_open (&window, 10 * G_TIME_SPAN_SECOND + 5));
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
      poll_window_event (&window, now);
      poll_window_idle (&window, now);
      g_assert_true (poll_window_is_open (&window, now));
      g_assert_true (poll_window_is_open (&window, now + POLL_WINDOW_US - 1));
      g_assert_false (poll_window_is_open (&window, now + POLL_WINDOW_US));
    }
  poll_window_event (&window, now + POLL_WINDOW_SOON_US + 1);
  poll_window_idle (&window, now + POLL_WINDOW_SOON_US + 1);
  g_assert_false (poll_window_is_open (&window, now + POLL_WINDOW_SOON_US + 1));
}

/* What an event takes to deal with is no waiting. */
static void
test_work_is_not_waiting (void)
{
  PollWindow window = { .idle_since = 1000 };

  poll_window_event (&window, 1010);
  poll_window_idle (&window, G_TIME_SPAN_SECOND);
  poll_window_event (&window, G_TIME_SPAN_SECOND + 10);
  poll_window_idle (&window, G_TIME_SPAN_SECOND + 20);
  g_assert_true (poll_window_is_open (&window, G_TIME_SPAN_SECOND + 30));
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/poll-window/closed-at-first", test_closed_at_first);
  g_test_add_func ("/poll-window/opens-and-closes", test_opens_and_closes);
  g_test_add_func ("/poll-window/work-is-not-waiting", test_work_is_not_waiting);
  return g_test_run ();
}
