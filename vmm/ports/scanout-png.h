#pragma once

#include <stdbool.h>
#include <glib.h>

#include "ports/scanout-surface.h"

/* Writes what a surface shows as a PNG, 8 bits, RGB. It is written beside path and then renamed, so that whoever reads path finds a
 * whole picture or the one before. Errors name path.
 */
bool scanout_png_write (const ScanoutSurface *surface, const char *path, GError **error);
