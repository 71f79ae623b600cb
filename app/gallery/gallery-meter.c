#define G_LOG_DOMAIN "app-gallery"

#include "gallery/gallery-meter.h"

/* Theory of operation: the worker changes the counters under the lock; when a tenth of a second
 * went by since the last time it posts one idle source, which reads them in the maker's context.
 * The rate is that of a window that slides along in RATE_WINDOW steps. */

#define TELL_INTERVAL_US (G_USEC_PER_SEC / 10)
#define RATE_WINDOW_US   (3 * G_USEC_PER_SEC)
#define RATE_MIN_US      (G_USEC_PER_SEC / 4)

struct GalleryMeter
{
  grefcount refs;
  GMutex lock;
  GMainContext *context;
  GalleryProgressFunc progress;
  gpointer data;
  gboolean silent;
  gboolean posted;
  guint64 done;
  guint64 total;
  gint64 told_us;
  /* The window's start and the one before, so that the rate never rests on a moment alone. */
  gint64 mark_us[2];
  guint64 mark_done[2];
};

GalleryMeter *
gallery_meter_new (GalleryProgressFunc progress, gpointer data)
{
  GalleryMeter *meter = g_new0 (GalleryMeter, 1);

  g_ref_count_init (&meter->refs);
  g_mutex_init (&meter->lock);
  meter->context = g_main_context_ref_thread_default ();
  meter->progress = progress;
  meter->data = data;
  return meter;
}

static void
drop (gpointer data)
{
  GalleryMeter *meter = data;

  if (!g_ref_count_dec (&meter->refs))
    return;
  g_mutex_clear (&meter->lock);
  g_main_context_unref (meter->context);
  g_free (meter);
}

void
gallery_meter_silence (GalleryMeter *meter)
{
  g_mutex_lock (&meter->lock);
  meter->silent = TRUE;
  g_mutex_unlock (&meter->lock);
}

void
gallery_meter_unref (GalleryMeter *meter)
{
  if (meter == NULL)
    return;
  gallery_meter_silence (meter);
  drop (meter);
}

/* Under the lock. */
static GalleryProgress
compute (GalleryMeter *meter, gint64 now)
{
  GalleryProgress progress = { .done = meter->done, .total = meter->total, .seconds_left = -1 };
  gint64 span = now - meter->mark_us[0];

  if (span >= RATE_MIN_US && meter->done >= meter->mark_done[0])
    progress.rate = (double) (meter->done - meter->mark_done[0]) * G_USEC_PER_SEC / span;
  if (progress.rate > 0 && meter->total >= meter->done && meter->total > 0)
    progress.seconds_left = (meter->total - meter->done) / progress.rate;
  if (now - meter->mark_us[1] >= RATE_WINDOW_US)
    {
      meter->mark_us[0] = meter->mark_us[1];
      meter->mark_done[0] = meter->mark_done[1];
      meter->mark_us[1] = now;
      meter->mark_done[1] = meter->done;
    }
  return progress;
}

static gboolean
tell (gpointer data)
{
  GalleryMeter *meter = data;
  GalleryProgress progress;
  gboolean silent;

  g_mutex_lock (&meter->lock);
  meter->posted = FALSE;
  silent = meter->silent;
  progress = compute (meter, g_get_monotonic_time ());
  g_mutex_unlock (&meter->lock);
  if (!silent)
    meter->progress (&progress, meter->data);
  return G_SOURCE_REMOVE;
}

/* Under the lock. */
static void
post (GalleryMeter *meter, gint64 now)
{
  g_autoptr (GSource) source = NULL;

  if (meter->progress == NULL || meter->posted || meter->silent)
    return;
  meter->posted = TRUE;
  meter->told_us = now;
  g_ref_count_inc (&meter->refs);
  source = g_idle_source_new ();
  g_source_set_priority (source, G_PRIORITY_DEFAULT);
  g_source_set_callback (source, tell, meter, drop);
  g_source_attach (source, meter->context);
}

void
gallery_meter_begin (GalleryMeter *meter, guint64 done, guint64 total)
{
  gint64 now = g_get_monotonic_time ();

  g_mutex_lock (&meter->lock);
  meter->done = done;
  meter->total = total;
  meter->mark_us[0] = meter->mark_us[1] = now;
  meter->mark_done[0] = meter->mark_done[1] = done;
  post (meter, now);
  g_mutex_unlock (&meter->lock);
}

void
gallery_meter_set (GalleryMeter *meter, guint64 done)
{
  gint64 now = g_get_monotonic_time ();

  g_mutex_lock (&meter->lock);
  meter->done = done;
  if (now - meter->told_us >= TELL_INTERVAL_US)
    post (meter, now);
  g_mutex_unlock (&meter->lock);
}

void
gallery_meter_end (GalleryMeter *meter)
{
  if (g_main_context_is_owner (meter->context))
    {
      if (meter->progress != NULL && !meter->silent)
        {
          g_ref_count_inc (&meter->refs);
          tell (meter);
          drop (meter);
        }
      gallery_meter_silence (meter);
      return;
    }
  g_mutex_lock (&meter->lock);
  post (meter, g_get_monotonic_time ());
  g_mutex_unlock (&meter->lock);
}
