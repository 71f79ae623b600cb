#pragma once

#include <glib.h>

G_BEGIN_DECLS

/* What a long step tells while it works. Called in the main context in which the step was
 * started, at most ten times a second and once at its end. */
typedef struct GalleryProgress
{
  guint64 done;        /* bytes */
  guint64 total;       /* bytes; 0: not known */
  double rate;         /* bytes a second, over the last few seconds; 0: not known yet */
  double seconds_left; /* negative: not known */
} GalleryProgress;

typedef void (*GalleryProgressFunc) (const GalleryProgress *progress, gpointer data);

G_END_DECLS
