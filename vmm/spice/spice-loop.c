/* The server's timers and watches on the default main context. Not locked: what is watched here belongs to the main thread, and a server
 * that reaches it from its worker (which some of its calls make it do) loses messages. That is said, as nothing else would show it. */
#define G_LOG_DOMAIN "vmm-spice"

#include "spice/spice-loop.h"

#include <glib.h>
#include <glib-unix.h>

struct SpiceTimer
{
  SpiceTimerFunc func;
  void *opaque;
  GSource *source;
};

struct SpiceWatch
{
  SpiceWatchFunc func;
  void *opaque;
  int fd;
  GThread *owner;
  GSource *source;
};

static SpiceTimer *
timer_add (SpiceTimerFunc func, void *opaque)
{
  SpiceTimer *timer = g_new0 (SpiceTimer, 1);
  timer->func = func;
  timer->opaque = opaque;
  return timer;
}

static void
timer_cancel (SpiceTimer *timer)
{
  if (timer->source)
    g_source_destroy (timer->source);
  g_clear_pointer (&timer->source, g_source_unref);
}

static gboolean
on_timer (void *data)
{
  SpiceTimer *timer = data;

  /* The function may start the timer anew, or remove it. */
  timer_cancel (timer);
  timer->func (timer->opaque);
  return G_SOURCE_REMOVE;
}

static void
timer_start (SpiceTimer *timer, uint32_t ms)
{
  timer_cancel (timer);
  timer->source = g_timeout_source_new (ms);
  g_source_set_callback (timer->source, on_timer, timer, NULL);
  g_source_attach (timer->source, NULL);
}

static void
timer_remove (SpiceTimer *timer)
{
  timer_cancel (timer);
  g_free (timer);
}

static gboolean
on_watch (int fd, GIOCondition condition, void *data)
{
  SpiceWatch *watch = data;
  int events = 0;

  /* An error or a hang-up shows as readable: the read then says what it is. */
  if (condition & (G_IO_IN | G_IO_HUP | G_IO_ERR))
    events |= SPICE_WATCH_EVENT_READ;
  if (condition & G_IO_OUT)
    events |= SPICE_WATCH_EVENT_WRITE;
  watch->func (fd, events, watch->opaque);
  return G_SOURCE_CONTINUE;
}

static void
watch_detach (SpiceWatch *watch)
{
  if (watch->source)
    g_source_destroy (watch->source);
  g_clear_pointer (&watch->source, g_source_unref);
}

static void
watch_update_mask (SpiceWatch *watch, int event_mask)
{
  GIOCondition condition = 0;

  if (watch->owner != g_thread_self ())
    g_critical ("the SPICE server touches fd %d from a thread that it is not of", watch->fd);
  watch_detach (watch);
  if (event_mask & SPICE_WATCH_EVENT_READ)
    condition |= G_IO_IN;
  if (event_mask & SPICE_WATCH_EVENT_WRITE)
    condition |= G_IO_OUT;
  if (condition == 0)
    return;
  watch->source = g_unix_fd_source_new (watch->fd, condition);
  g_source_set_callback (watch->source, G_SOURCE_FUNC (on_watch), watch, NULL);
  g_source_attach (watch->source, NULL);
}

static SpiceWatch *
watch_add (int fd, int event_mask, SpiceWatchFunc func, void *opaque)
{
  SpiceWatch *watch = g_new0 (SpiceWatch, 1);

  watch->fd = fd;
  watch->owner = g_thread_self ();
  watch->func = func;
  watch->opaque = opaque;
  watch_update_mask (watch, event_mask);
  return watch;
}

static void
watch_remove (SpiceWatch *watch)
{
  watch_detach (watch);
  g_free (watch);
}

void
spice_loop_fill (SpiceCoreInterface *core)
{
  core->base.type = SPICE_INTERFACE_CORE;
  core->base.description = "alcove";
  core->base.major_version = SPICE_INTERFACE_CORE_MAJOR;
  core->base.minor_version = SPICE_INTERFACE_CORE_MINOR;
  core->timer_add = timer_add;
  core->timer_start = timer_start;
  core->timer_cancel = timer_cancel;
  core->timer_remove = timer_remove;
  core->watch_add = watch_add;
  core->watch_update_mask = watch_update_mask;
  core->watch_remove = watch_remove;
}
