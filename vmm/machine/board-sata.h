#pragma once

#include "machine/board-private.h"

/* The SATA controller of a board and what is plugged into it; errors name no option. Drives take ports in the order of the calls. */

/* Does nothing where the machine has no drive for it. */
bool board_sata_create (Board *board, GError **error);
/* Disk number index of the config. */
bool board_sata_add_disk (Board *board, unsigned index, GError **error);
/* The vCPUs stand still: as board_disk_resume_all (), for the disks here. */
bool board_sata_resume (Board *board, GError **error);
/* As board_disk_get_size (). */
uint64_t board_sata_get_disk_size (const Board *board, unsigned index);
/* file: "" for an empty drive. It is board->cdrom then. */
bool board_sata_add_cdrom (Board *board, const char *file, GError **error);
