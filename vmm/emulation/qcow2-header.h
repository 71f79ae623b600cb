#pragma once

#include <stdbool.h>
#include <glib.h>

/* A qcow2 image names other files that its reader then opens: a backing file, a file with the data. Who made the image chose them, so an
 * image from elsewhere could show its guest any file of the user. Refused (false, error says which and what to do), as is
 * a file that is no qcow2 at all. Source: QEMU, docs/interop/qcow2.txt. */
bool qcow2_header_check (const char *file, GError **error);
