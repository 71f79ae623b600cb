#pragma once

#include "config/vm-config.h"
#include "machine/machine.h"
#include "platform/cd-drive.h"

/* machine_get_blocks () and machine_operate_cdrom () on what a board has. */
GArray *machine_block_list (const VmConfig *config, CdDrive *cdrom);
bool machine_block_operate (CdDrive *cdrom, MachineCdrom operation, const char *file, bool force,
                            GError **error);
