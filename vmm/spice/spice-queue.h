#pragma once

#include <spice.h>

#include "ports/scanout-port.h"

/* QXL commands on their way to a SPICE server's worker thread: draws and cursor commands, each with its own copy of the pixels.
 *
 * The worker takes commands only as fast as its client reads, so the length of the queue is the measure of a client that is behind; what
 * the server has taken it gives back when later draws cover it, which says nothing (see spice_queue_get_draws ()).
 * Thread: any; a private mutex.
 */
typedef struct SpiceQueue SpiceQueue;

/* on_drained is called on the worker's thread when it took the last draw. */
SpiceQueue *spice_queue_new (void (*on_drained) (void *opaque), void *opaque);
/* The worker is gone. */
void spice_queue_free (SpiceQueue *queue);

/* Copies rect of surface; rect lies inside. */
void spice_queue_push_draw (SpiceQueue *queue, ScanoutSurface *surface, const ScanoutRect *rect);
/* cursor NULL: hidden. */
void spice_queue_push_cursor (SpiceQueue *queue, const ScanoutCursor *cursor, int32_t x, int32_t y);
void spice_queue_push_cursor_move (SpiceQueue *queue, int32_t x, int32_t y);
/* Draws that the worker has not taken yet. */
unsigned spice_queue_get_draws (SpiceQueue *queue);
/* Forgets the draws not taken: their surface is going away. */
void spice_queue_drop_draws (SpiceQueue *queue);

/* For QXLInterface, on the worker's thread. */
int spice_queue_take_draw (SpiceQueue *queue, QXLCommandExt *command);
int spice_queue_take_cursor (SpiceQueue *queue, QXLCommandExt *command);
/* Whether there is nothing to take. */
int spice_queue_is_empty (SpiceQueue *queue);
int spice_queue_has_no_cursor (SpiceQueue *queue);
/* release_info.info->id of what was taken. */
void spice_queue_release (uint64_t id);
