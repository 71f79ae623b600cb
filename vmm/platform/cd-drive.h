#pragma once

#include "platform/ata-drive.h"

/* A CD/DVD-ROM drive on the AHCI controller, with an ISO image or nothing in it (MMC-6, SPC-3, SFF-8020).
 *
 * Thread: any for what is declared here; the drive's own lock is taken, for as long as a read of the image takes where one is in work.
 */
typedef struct CdDrive CdDrive;

#define CD_BLOCK_SIZE 2048u

typedef struct CdDriveConfig
{
  const char *file;   /* NULL: nothing in it */
  const char *serial; /* at most ATA_SERIAL_MAX characters count */
  /* The tray was opened or closed, by the guest or from outside. On any thread, with the drive's lock held: must not call back. */
  void (*tray_moved) (void *opaque, bool is_open);
  void *opaque;
} CdDriveConfig;

/* What is told of it to the outside. */
typedef struct CdDriveState
{
  char *file; /* owned; NULL: nothing in it */
  uint64_t size;
  bool tray_open;
  bool locked; /* the guest prevents the removal */
} CdDriveState;

/* home outlives the drive. The CdDrive is freed by drive->ops->free (). Errors: one line with path, what is wrong and what to do. */
CdDrive *cd_drive_new (const CdDriveConfig *config, const AtaHome *home, AtaDrive *drive,
                       GError **error);

void cd_drive_get_state (CdDrive *drive, CdDriveState *state);
void cd_drive_state_clear (CdDriveState *state);

/* Opens the tray; an open one stays as it is. Locked and not forced: the guest is asked to let go of the medium, and false: G_IO_ERROR_BUSY. */
bool cd_drive_open_tray (CdDrive *drive, bool force, GError **error);
void cd_drive_close_tray (CdDrive *drive);
/* Opens the tray and takes out what is in it. */
bool cd_drive_eject (CdDrive *drive, bool force, GError **error);
/* Opens the file first, so that a bad one changes nothing; then tray open, media changed, tray closed. */
bool cd_drive_change (CdDrive *drive, const char *file, bool force, GError **error);
