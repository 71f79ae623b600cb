#pragma once

#include <glib.h>

/* A GMainContext that a thread of its own runs until loop_thread_free (): the home of a data-plane device. */
typedef struct LoopThread LoopThread;

/* name: of the thread, at most 15 bytes count. The thread owns its context when this returns. */
LoopThread *loop_thread_new (const char *name);
/* Ends the loop after the callback in work, and joins. Sources left in the context never run again. Not from the thread itself. */
void loop_thread_free (LoopThread *thread);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (LoopThread, loop_thread_free)

/* Borrowed. */
GMainContext *loop_thread_get_context (LoopThread *thread);

/* For a thread that is woken often and gains by finding several things to do: on a busy computer it does not push who woke it from the CPU at once
 * (SCHED_BATCH), so that a vCPU makes its next requests first. Where a CPU is idle nothing changes. Any thread. */
void loop_thread_prefer_batches (LoopThread *thread);
