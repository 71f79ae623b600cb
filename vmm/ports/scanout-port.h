#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <glib.h>

#include "ports/scanout-surface.h"

/* The screen of the machine, between the device that draws (virtio-gpu, the boot framebuffer) and the front that shows
 * (SPICE). One producer at a time, at most one front; neither knows the other, and with no front the producer goes on as if
 * there were one.
 *
 * Thread: main.
 */
typedef struct ScanoutPort ScanoutPort;

typedef struct ScanoutRect
{
  uint32_t x, y, width, height;
} ScanoutRect;

/* A pointer shape, at most SCANOUT_CURSOR_MAX a side: 32 bits a pixel, BGRA in memory, premultiplied alpha. */
#define SCANOUT_CURSOR_MAX 256
typedef struct ScanoutCursor
{
  uint32_t width, height;
  uint32_t hot_x, hot_y;
  uint32_t *pixels; /* width * height, owned by the port's copy */
} ScanoutCursor;

/* The flushed pixels have been taken (or nobody wants them): the producer may draw over them. Called exactly once, perhaps before
 * scanout_port_flush () returns. */
typedef void (*ScanoutDoneFunc) (void *opaque);

typedef struct ScanoutFrontOps
{
  /* surface NULL: nothing to show. The whole of a new surface is to be shown. */
  void (*set_surface) (void *opaque, ScanoutSurface *surface);
  /* rect lies inside the surface and is not empty. Must call done exactly once, within a bounded time whatever its clients do. */
  void (*flush) (void *opaque, const ScanoutRect *rect, ScanoutDoneFunc done, void *done_opaque);
  /* cursor NULL: hidden. */
  void (*set_cursor) (void *opaque, const ScanoutCursor *cursor);
  void (*move_cursor) (void *opaque, int32_t x, int32_t y);
} ScanoutFrontOps;

typedef void (*ScanoutResizeFunc) (void *opaque, uint32_t width, uint32_t height);
/* surface, perhaps NULL, is shown from now on. */
typedef void (*ScanoutShownFunc) (void *opaque, ScanoutSurface *surface);

ScanoutPort *scanout_port_new (void);
void scanout_port_free (ScanoutPort *port);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (ScanoutPort, scanout_port_free)

/* For producers. */
void scanout_port_set_surface (ScanoutPort *port, ScanoutSurface *surface);
/* rect is cut to the surface; what is left empty is done at once. */
void scanout_port_flush (ScanoutPort *port, const ScanoutRect *rect, ScanoutDoneFunc done,
                         void *opaque);
/* Copied. */
void scanout_port_set_cursor (ScanoutPort *port, const ScanoutCursor *cursor);
void scanout_port_move_cursor (ScanoutPort *port, int32_t x, int32_t y);
/* Who hears that the user wants another size; func NULL removes it. */
void scanout_port_set_resize_func (ScanoutPort *port, ScanoutResizeFunc func, void *opaque);
/* Who hears what is shown, for a producer whose surface another one shows; func NULL removes it. */
void scanout_port_set_shown_func (ScanoutPort *port, ScanoutShownFunc func, void *opaque);

/* For fronts. Borrowed; NULL when there is nothing. */
ScanoutSurface *scanout_port_get_surface (const ScanoutPort *port);
const ScanoutCursor *scanout_port_get_cursor (const ScanoutPort *port, int32_t *x, int32_t *y);
/* ops NULL detaches. A front that attaches is told the present state at once. */
void scanout_port_attach (ScanoutPort *port, const ScanoutFrontOps *ops, void *opaque);
/* Whether a front is attached: a producer that has to poll need not when nobody looks. */
bool scanout_port_is_watched (const ScanoutPort *port);
void scanout_port_request_size (ScanoutPort *port, uint32_t width, uint32_t height);
