#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <glib.h>

/* Whether there is room left for an image that another process lets grow, which has nobody to ask when there is none: looked at often
 * enough to be told before that. Main thread; the looks are made on the main context.
 */
typedef struct RoomWatch RoomWatch;

/* What one look sees; bytes. */
typedef struct RoomWatchSight
{
  uint64_t size;  /* of the file system; 0: it does not say */
  uint64_t room;  /* what is free there for this user */
  uint64_t image; /* what the image takes up */
} RoomWatchSight;

typedef struct RoomWatchConfig
{
  const char *file; /* borrowed; by name, as the one who serves it is started again by name */
  /* The image has grown into the reserve. Not called again until room_watch_resume (). May free nothing here. */
  void (*low) (void *opaque);
  void *opaque;

  /* Instead of room_watch_see () of the file; NULL: that one. */
  bool (*see) (void *opaque, RoomWatchSight *sight);
} RoomWatchConfig;

RoomWatch *room_watch_new (const RoomWatchConfig *config);
void room_watch_free (RoomWatch *watch);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (RoomWatch, room_watch_free)

/* Goes on after `low`, which comes again when the image has grown further than now and there still is no more room. */
void room_watch_resume (RoomWatch *watch);
/* One look, as the timer makes them. */
void room_watch_look (RoomWatch *watch);

/* --- what it goes by --- */

/* false: it cannot be seen, as where the file has another name by now. */
bool room_watch_see (const char *file, RoomWatchSight *sight);
/* image_before: what the image took up at the last look. */
bool room_watch_is_low (const RoomWatchSight *now, uint64_t image_before);
/* Milliseconds until the next look. */
unsigned room_watch_get_period (const RoomWatchSight *now);
