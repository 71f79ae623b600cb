#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "block/block-image.h"

/* Where a qcow2 image keeps the clusters of its disk, as far as the tables in the file say it and nobody will contradict: clusters with data of their own,
 * neither compressed nor shared, each at a place of the file that only a discard or a write of zeros takes from it. What is written to such a cluster
 * changes no table.
 *
 * The tables belong to another process, which caches them. The file tells the truth while all that may have changed them has been flushed and nothing
 * is under way that may; to say so is the caller's part, with each question (is_settled). What was found stays true until forgotten.
 * Snapshots, a new size of the disk, and other programs at the file while it is in use are ruled out.
 *
 * What the file says is not trusted: a place is a whole cluster inside the file and not its header. An image that lies damages only itself.
 *
 * Thread: one at a time. Memory: 4 KiB for each 512 clusters (less where those are small) that one was looked for of, at most some 32 MiB. Source: QEMU, docs/interop/qcow2.txt.
 */
typedef struct Qcow2Map Qcow2Map;

/* image: borrowed, and outlives it. NULL: nothing can be said of such an image: it is no qcow2, or has what would be passed by (encryption, data
 * in another file, parts of clusters, bitmaps of what was written), or is damaged. */
Qcow2Map *qcow2_map_new (const BlockImage *image);
void qcow2_map_free (Qcow2Map *map);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (Qcow2Map, qcow2_map_free)

unsigned qcow2_map_get_cluster_size (const Qcow2Map *map);

/* How many of the size bytes (at least 1) from offset of the disk lie one behind the other in the file, and where those do. 0: not known. May
 * read the file, and waits for it. */
uint64_t qcow2_map_find (Qcow2Map *map, uint64_t offset, uint64_t size, bool is_settled,
                         uint64_t *place);
/* Something is to be done to these that may give them places, or take theirs: they are not known until the file is read again. */
void qcow2_map_forget (Qcow2Map *map, uint64_t offset, uint64_t size);
/* Whether the header still is as it was. If not, nothing that the map says may be used any more. Reads the file, and waits for it. */
bool qcow2_map_is_valid (Qcow2Map *map);
