#include "base/loop-thread.h"

#include <sched.h>
#include <stdbool.h>

/* Whoever made it finds it owned already: two threads that want to own a context at its start would not both get it. */
static void
test_owned_from_the_start (void)
{
  for (unsigned i = 0; i < 500; i++)
    {
      g_autoptr (LoopThread) thread = loop_thread_new ("test");
      GMainContext *context = loop_thread_get_context (thread);

      if (!g_main_context_acquire (context))
        continue;
      g_main_context_release (context);
      g_assert_not_reached ();
    }
}

static gboolean
add_one (gpointer opaque)
{
  unsigned *count = opaque;

  /* Its default context is its own, so that what is begun here comes back here. */
  if (g_main_context_is_owner (g_main_context_get_thread_default ()))
    __atomic_add_fetch (count, 1, __ATOMIC_RELEASE);
  return G_SOURCE_REMOVE;
}

static void
test_runs_what_it_is_given (void)
{
  unsigned count = 0;
  LoopThread *thread = loop_thread_new ("test");

  for (unsigned i = 0; i < 10; i++)
    g_main_context_invoke (loop_thread_get_context (thread), add_one, &count);
  while (__atomic_load_n (&count, __ATOMIC_ACQUIRE) < 10)
    g_thread_yield ();
  loop_thread_free (thread);
  g_assert_cmpuint (count, ==, 10);
}

static gboolean
look_at_policy (gpointer data)
{
  g_atomic_int_set ((int *) data, sched_getscheduler (0) + 1);
  return G_SOURCE_REMOVE;
}

static void
test_prefers_batches (void)
{
  g_autoptr (LoopThread) thread = loop_thread_new ("test");
  int policy = 0;

  loop_thread_prefer_batches (thread);
  g_main_context_invoke (loop_thread_get_context (thread), look_at_policy, &policy);
  while (g_atomic_int_get (&policy) == 0)
    g_thread_yield ();
  g_assert_cmpint (policy - 1, ==, SCHED_BATCH);
  g_assert_cmpint (sched_getscheduler (0), ==, SCHED_OTHER);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/loop-thread/owned-from-the-start", test_owned_from_the_start);
  g_test_add_func ("/loop-thread/runs-what-it-is-given", test_runs_what_it_is_given);
  g_test_add_func ("/loop-thread/prefers-batches", test_prefers_batches);
  return g_test_run ();
}
