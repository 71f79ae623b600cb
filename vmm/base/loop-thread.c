#include "base/loop-thread.h"

#include <stdbool.h>

struct LoopThread
{
  GMainContext *context;
  GThread *thread;
  bool stop; /* atomic */
};

static gpointer
run (gpointer data)
{
  LoopThread *thread = data;

  g_main_context_push_thread_default (thread->context);
  /* acquire: what the thread that said stop did before is visible here. */
  while (!__atomic_load_n (&thread->stop, __ATOMIC_ACQUIRE))
    g_main_context_iteration (thread->context, TRUE);
  g_main_context_pop_thread_default (thread->context);
  return NULL;
}

LoopThread *
loop_thread_new (const char *name)
{
  LoopThread *thread = g_new0 (LoopThread, 1);

  thread->context = g_main_context_new ();
  thread->thread = g_thread_new (name, run, thread);
  return thread;
}

void
loop_thread_free (LoopThread *thread)
{
  if (!thread)
    return;
  __atomic_store_n (&thread->stop, true, __ATOMIC_RELEASE);
  g_main_context_wakeup (thread->context);
  g_thread_join (thread->thread);
  g_main_context_unref (thread->context);
  g_free (thread);
}

GMainContext *
loop_thread_get_context (LoopThread *thread)
{
  return thread->context;
}
