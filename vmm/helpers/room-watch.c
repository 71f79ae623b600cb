#define G_LOG_DOMAIN "vmm-helpers"

#include "helpers/room-watch.h"

#include <assert.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

/* The reserve is what may still be written once the room is looked at and found to be enough: what the guest writes until the next look,
 * and the requests that were handed on when its processors are stopped, which are not called back. RESERVE_MAX is two and a half times
 * what RATE writes in PERIOD_MIN; on a small file system, where so much would be most of it, a share has to do.
 *
 * The period is the time in which RATE, more than one disk takes, uses up what is above the reserve: where there is much room
 * one look in PERIOD_MAX is enough, and an idle machine is left alone.
 *
 * An image that does not grow is served however little room there is.
 */
#define RESERVE_MAX   (UINT64_C (256) << 20)
#define RESERVE_SHARE 8
#define RATE          (UINT64_C (2) << 30) /* bytes a second */
#define PERIOD_MIN    50
#define PERIOD_MAX    10000

static_assert (RATE / 1000 * PERIOD_MIN <= RESERVE_MAX / 2,
               "half of the reserve is left when it is noticed");

struct RoomWatch
{
  RoomWatchConfig config;
  uint64_t image;  /* at the last look */
  GSource *source; /* NULL: it is quiet */
};

/* --- what it goes by --- */

static uint64_t
get_reserve (const RoomWatchSight *sight)
{
  return MIN (RESERVE_MAX, sight->size / RESERVE_SHARE);
}

bool
room_watch_see (const char *file, RoomWatchSight *sight)
{
  struct statvfs system;
  struct stat image;

  if (statvfs (file, &system) < 0 || stat (file, &image) < 0)
    return false;
  *sight = (RoomWatchSight){
    .size = (uint64_t) system.f_blocks * system.f_frsize,
    .room = (uint64_t) system.f_bavail * system.f_frsize,
    .image = (uint64_t) image.st_blocks * 512,
  };
  return true;
}

bool
room_watch_is_low (const RoomWatchSight *now, uint64_t image_before)
{
  return now->image > image_before && now->room < get_reserve (now);
}

unsigned
room_watch_get_period (const RoomWatchSight *now)
{
  const uint64_t reserve = get_reserve (now);
  const uint64_t above = now->room > reserve ? now->room - reserve : 0;

  return (unsigned) CLAMP (above / (RATE / 1000), PERIOD_MIN, PERIOD_MAX);
}

/* --- looks --- */

static bool
see (const RoomWatch *watch, RoomWatchSight *sight)
{
  return watch->config.see ? watch->config.see (watch->config.opaque, sight)
                           : room_watch_see (watch->config.file, sight);
}

static void
be_quiet (RoomWatch *watch)
{
  if (watch->source)
    g_source_destroy (watch->source);
  g_clear_pointer (&watch->source, g_source_unref);
}

static gboolean
on_time (gpointer opaque)
{
  room_watch_look (opaque);
  return G_SOURCE_REMOVE;
}

static void
look_again_in (RoomWatch *watch, unsigned period)
{
  be_quiet (watch);
  watch->source = g_timeout_source_new (period);
  g_source_set_callback (watch->source, on_time, watch, NULL);
  g_source_set_name (watch->source, "room watch");
  g_source_attach (watch->source, NULL);
}

void
room_watch_look (RoomWatch *watch)
{
  RoomWatchSight now;

  if (!see (watch, &now))
    {
      look_again_in (watch, PERIOD_MAX);
      return;
    }
  const bool is_low = room_watch_is_low (&now, watch->image);
  watch->image = now.image;
  if (!is_low)
    {
      look_again_in (watch, room_watch_get_period (&now));
      return;
    }
  g_debug ("%s: %" G_GUINT64_FORMAT " bytes are free", watch->config.file, now.room);
  be_quiet (watch);
  watch->config.low (watch->config.opaque);
}

void
room_watch_resume (RoomWatch *watch)
{
  RoomWatchSight now;

  /* What was written to the end since `low` was reported then. */
  if (see (watch, &now))
    watch->image = now.image;
  look_again_in (watch, PERIOD_MIN);
}

RoomWatch *
room_watch_new (const RoomWatchConfig *config)
{
  RoomWatch *watch = g_new0 (RoomWatch, 1);

  watch->config = *config;
  room_watch_resume (watch);
  return watch;
}

void
room_watch_free (RoomWatch *watch)
{
  if (!watch)
    return;
  be_quiet (watch);
  g_free (watch);
}
