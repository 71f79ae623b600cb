#pragma once

#include <stdbool.h>
#include <glib.h>

#include "config/vm-config.h"

/* An image names other files that its reader then opens: a backing file, a file with the data, extents. Who made the image chose them, so
 * an image from elsewhere could show its guest any file of the user. Refused (false, error says which and what to do) unless it is the one
 * backing file that the user named too. Also what no image can truthfully say, for better words than the reader of the rest has; the rest of
 * a header is the reader's to judge, in its own process.
 * Sources: QEMU, docs/interop/qcow2.txt; VMware, Virtual Disk Format 5.0. */
bool image_header_check (const VmDiskConfig *disk, GError **error);

/* Of a qcow2 image, in bytes: powers of two from 512 to 2 MiB. */
typedef struct ImageClusters
{
  unsigned size; /* what is allocated at once */
  unsigned
      granularity; /* what its tables speak of at once: clusters, or parts of them (extended L2) */
} ImageClusters;

/* 512 both when it cannot be read, as it is of other formats. */
ImageClusters image_header_get_clusters (const char *file);
