#include "base/loop-thread.h"

#include <sched.h>
#include <stdbool.h>
#include <unistd.h>

/* Theory of operation
 *
 * The thread owns its context from before loop_thread_new () returns until it ends. So nobody else ever owns it: who would do
 * something there queues it (g_main_context_invoke ()), and the thread, which must not fail to own it, does not meet another that
 * owned it for a moment.
 */
struct LoopThread
{
  GMainContext *context;
  GThread *thread;
  bool stop; /* atomic */

  GMutex lock;
  GCond owned;
  bool owns; /* under the lock */
  pid_t id;  /* of the thread; before it owns */
};

static gpointer
run (gpointer data)
{
  LoopThread *thread = data;

  g_main_context_push_thread_default (thread->context);
  g_mutex_lock (&thread->lock);
  thread->id = gettid ();
  thread->owns = true;
  g_cond_signal (&thread->owned);
  g_mutex_unlock (&thread->lock);
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
  g_mutex_init (&thread->lock);
  g_cond_init (&thread->owned);
  thread->thread = g_thread_new (name, run, thread);
  g_mutex_lock (&thread->lock);
  while (!thread->owns)
    g_cond_wait (&thread->owned, &thread->lock);
  g_mutex_unlock (&thread->lock);
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
  g_mutex_clear (&thread->lock);
  g_cond_clear (&thread->owned);
  g_free (thread);
}

GMainContext *
loop_thread_get_context (LoopThread *thread)
{
  return thread->context;
}

void
loop_thread_prefer_batches (LoopThread *thread)
{
  /* A wish: it does without where that is not allowed. */
  sched_setscheduler (thread->id, SCHED_BATCH, &(struct sched_param){ 0 });
}
