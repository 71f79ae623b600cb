#pragma once

#include "machine/board-private.h"

/* The disks on virtio: raw ones are this process's own, the others a storage daemon's. */

/* Makes disk number index of the config, attaches it and gives it a PCI function. */
bool board_disk_add (Board *board, unsigned index, GError **error);
/* The vCPUs stand still: requests that failed for want of room are made again, daemons that ended are started again. */
bool board_disk_resume_all (Board *board, GError **error);
/* Bytes that the guest sees of a storage daemon's disk; 0: it is none. */
uint64_t board_disk_get_size (const Board *board, unsigned index);
