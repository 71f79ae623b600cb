#pragma once

#include "platform/cd-drive.h"
#include "platform/drive-image.h"

/* Shared by cd-drive.c (the drive, its tray, transfers) and cd-command.c (what the packets say). Everything with the lock held. */

/* Sense key, additional code and qualifier in one number: 0xKKAAQQ (SPC-3, 4.5.6). */
typedef enum
{
  CD_SENSE_NONE = 0,
  CD_SENSE_NO_MEDIUM = 0x023a01,      /* tray closed */
  CD_SENSE_NO_MEDIUM_OPEN = 0x023a02, /* tray open */
  CD_SENSE_READ_ERROR = 0x031100,
  CD_SENSE_INVALID_COMMAND = 0x052000,
  CD_SENSE_OUT_OF_RANGE = 0x052100,
  CD_SENSE_INVALID_FIELD = 0x052400,
  CD_SENSE_WRONG_MODE = 0x056400, /* the track is of another kind */
  CD_SENSE_LOCKED = 0x055302,
  CD_SENSE_MEDIUM_CHANGED = 0x062800,
} CdSense;

/* GET EVENT STATUS NOTIFICATION, media class (MMC-6, 6.6.2.6). */
typedef enum
{
  CD_EVENT_NONE = 0,
  CD_EVENT_EJECT_REQUEST = 1,
  CD_EVENT_NEW_MEDIUM = 2,
  CD_EVENT_REMOVAL = 3,
} CdEvent;

struct CdDrive
{
  AtaHome home;
  char serial[32];
  void (*tray_moved) (void *opaque, bool is_open);
  void *opaque;

  DriveImage *image; /* NULL: nothing in it */
  char *file;
  uint32_t n_blocks;   /* of the medium */
  uint32_t n_readable; /* of them; fewer where the file is cut off */
  bool tray_open;
  bool locked;
  CdEvent event;  /* not told yet */
  bool attention; /* a unit attention that was not told yet: the medium may have changed */
  CdSense sense;  /* of the last command */
  uint8_t transfer_mode;
};

/* cd-drive.c */

void cd_drive_good (AtaCommand *command);
void cd_drive_fail (CdDrive *drive, AtaCommand *command, CdSense sense);
/* Gives the guest the first of size bytes, as much as the packet allows and there is memory. */
void cd_drive_answer (AtaCommand *command, const void *bytes, uint32_t size, uint32_t allowed);
/* n > 0 blocks that are all on the medium. */
void cd_drive_read (CdDrive *drive, AtaCommand *command, uint32_t block, uint32_t n);
bool cd_drive_has_medium (const CdDrive *drive);
void cd_drive_move_tray (CdDrive *drive, bool open);

/* cd-command.c */

/* The packet in command->cdb. */
void cd_command_run (CdDrive *drive, AtaCommand *command);
