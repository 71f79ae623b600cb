#pragma once

#include <gtk/gtk.h>

#include "transport/display-transport.h"

G_BEGIN_DECLS

/* The pointer that the user sees over the picture: the guest's own shape, at the size that the picture is shown in.
 * shape NULL: the guest shows none; shape without pixels: the desktop's own. ratio: guest pixels for one pixel of the
 * cursor. Owned. */
GdkCursor *guest_cursor_new (const PointerShape *shape, double ratio);

G_END_DECLS
