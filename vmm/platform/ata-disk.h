#pragma once

#include "platform/ata-drive.h"

/* An ATA disk, for guests without virtio drivers: reads and writes by DMA, queued and by PIO, flush, TRIM,
 * SMART. It can be written: ATA has no way to say of a disk that it cannot. */
typedef struct AtaDiskConfig
{
  BlockBackend backend; /* taken over */
  const char *serial;   /* at most ATA_SERIAL_MAX characters count */
  /* The host has no room (ENOSPC, EDQUOT) for what the guest wrote: the command is kept, until the machine has been paused and goes on
   * (AtaDriveOps.resume). NULL: an error for the guest. The drive's context, home's lock held. */
  void (*no_room) (void *opaque, int code);
  void *opaque;
} AtaDiskConfig;

/* home outlives the disk. */
void ata_disk_new (const AtaDiskConfig *config, const AtaHome *home, AtaDrive *drive);
