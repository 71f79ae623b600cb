#include "ports/scanout-port.h"

struct ScanoutPort
{
  ScanoutSurface *surface;
  ScanoutCursor cursor; /* pixels NULL: hidden */
  int32_t cursor_x, cursor_y;
  const ScanoutFrontOps *ops;
  void *ops_opaque;
  ScanoutResizeFunc resize;
  void *resize_opaque;
  ScanoutShownFunc shown;
  void *shown_opaque;
};

ScanoutPort *
scanout_port_new (void)
{
  return g_new0 (ScanoutPort, 1);
}

void
scanout_port_free (ScanoutPort *port)
{
  if (!port)
    return;
  g_clear_pointer (&port->surface, scanout_surface_unref);
  g_free (port->cursor.pixels);
  g_free (port);
}

void
scanout_port_set_surface (ScanoutPort *port, ScanoutSurface *surface)
{
  if (surface == port->surface)
    return;
  ScanoutSurface *old = port->surface;
  port->surface = surface ? scanout_surface_ref (surface) : NULL;
  if (port->ops)
    port->ops->set_surface (port->ops_opaque, surface);
  if (port->shown)
    port->shown (port->shown_opaque, surface);
  g_clear_pointer (&old, scanout_surface_unref);
}

static bool
clip (const ScanoutSurface *surface, const ScanoutRect *rect, ScanoutRect *clipped)
{
  uint32_t width = scanout_surface_get_width (surface);
  uint32_t height = scanout_surface_get_height (surface);

  if (rect->x >= width || rect->y >= height || rect->width == 0 || rect->height == 0)
    return false;
  clipped->x = rect->x;
  clipped->y = rect->y;
  clipped->width = MIN (rect->width, width - rect->x);
  clipped->height = MIN (rect->height, height - rect->y);
  return true;
}

void
scanout_port_flush (ScanoutPort *port, const ScanoutRect *rect, ScanoutDoneFunc done, void *opaque)
{
  ScanoutRect clipped;

  if (port->surface && port->ops && clip (port->surface, rect, &clipped))
    port->ops->flush (port->ops_opaque, &clipped, done, opaque);
  else
    done (opaque);
}

void
scanout_port_set_cursor (ScanoutPort *port, const ScanoutCursor *cursor)
{
  g_clear_pointer (&port->cursor.pixels, g_free);
  if (cursor)
    {
      g_return_if_fail (cursor->width <= SCANOUT_CURSOR_MAX);
      g_return_if_fail (cursor->height <= SCANOUT_CURSOR_MAX);
      port->cursor = *cursor;
      port->cursor.pixels = g_memdup2 (cursor->pixels, (size_t) cursor->width * cursor->height * 4);
    }
  if (port->ops)
    port->ops->set_cursor (port->ops_opaque, port->cursor.pixels ? &port->cursor : NULL);
}

void
scanout_port_move_cursor (ScanoutPort *port, int32_t x, int32_t y)
{
  port->cursor_x = x;
  port->cursor_y = y;
  if (port->ops)
    port->ops->move_cursor (port->ops_opaque, x, y);
}

void
scanout_port_set_resize_func (ScanoutPort *port, ScanoutResizeFunc func, void *opaque)
{
  port->resize = func;
  port->resize_opaque = opaque;
}

void
scanout_port_set_shown_func (ScanoutPort *port, ScanoutShownFunc func, void *opaque)
{
  port->shown = func;
  port->shown_opaque = opaque;
}

ScanoutSurface *
scanout_port_get_surface (const ScanoutPort *port)
{
  return port->surface;
}

const ScanoutCursor *
scanout_port_get_cursor (const ScanoutPort *port, int32_t *x, int32_t *y)
{
  *x = port->cursor_x;
  *y = port->cursor_y;
  return port->cursor.pixels ? &port->cursor : NULL;
}

void
scanout_port_attach (ScanoutPort *port, const ScanoutFrontOps *ops, void *opaque)
{
  port->ops = ops;
  port->ops_opaque = opaque;
  if (!ops)
    return;
  ops->set_surface (opaque, port->surface);
  ops->set_cursor (opaque, port->cursor.pixels ? &port->cursor : NULL);
  ops->move_cursor (opaque, port->cursor_x, port->cursor_y);
}

bool
scanout_port_is_watched (const ScanoutPort *port)
{
  return port->ops != NULL;
}

void
scanout_port_request_size (ScanoutPort *port, uint32_t width, uint32_t height)
{
  if (port->resize)
    port->resize (port->resize_opaque, width, height);
}
