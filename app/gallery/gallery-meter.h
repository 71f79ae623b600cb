#pragma once

#include "gallery/gallery-progress.h"

G_BEGIN_DECLS

/* Turns a count of bytes into progress with a rate and the time left, told seldom enough for a
 * window.
 *
 * The count is set by one thread, any; the function is called in the main context in which the
 * meter was made. */
typedef struct GalleryMeter GalleryMeter;

/* `progress` may be NULL. */
GalleryMeter *gallery_meter_new (GalleryProgressFunc progress, gpointer data);

/* Nothing is called from now on: before a result is returned in the maker's own context. A
 * worker thread need not: what it posted comes before the result that it returns afterwards. */
void gallery_meter_silence (GalleryMeter *meter);

/* Silences and frees it; accepts NULL. */
void gallery_meter_unref (GalleryMeter *meter);

/* `done` bytes are there already and do not count for the rate. total 0: not known. */
void gallery_meter_begin (GalleryMeter *meter, guint64 done, guint64 total);
void gallery_meter_set (GalleryMeter *meter, guint64 done);
/* Tells the last count; in the maker's context at once, and is silent then. */
void gallery_meter_end (GalleryMeter *meter);

G_END_DECLS
