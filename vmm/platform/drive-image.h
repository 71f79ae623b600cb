#pragma once

#include "platform/ata-drive.h"

/* What is behind an ATA drive: a backend with its completions taken on the drive's context, under the drive's lock.
 *
 * Thread: as AtaDrive; drive_image_new () and _free () on any, the latter with the lock held.
 */
typedef struct DriveImage DriveImage;

/* backend is taken over. home: what it names outlives the drive image. */
DriveImage *drive_image_new (const BlockBackend *backend, const AtaHome *home);
/* Waits for what is in flight; each had its done (). Accepts NULL. */
void drive_image_free (DriveImage *image);

/* One transfer between [offset, offset + size), which is inside the image, and the front of command's memory, which is
 * not shorter. done gets command->io: see drive_image_get_command (). */
void drive_image_transfer (DriveImage *image, AtaCommand *command, BlockOperation operation,
                           uint64_t offset, uint64_t size, bool durable,
                           void (*done) (BlockRequest *io, int error));
/* Flush; discard of [offset, offset + size). */
void drive_image_control (DriveImage *image, AtaCommand *command, BlockOperation operation,
                          uint64_t offset, uint64_t size,
                          void (*done) (BlockRequest *io, int error));
/* One that failed, once more: see BlockRequest.done. */
void drive_image_again (DriveImage *image, AtaCommand *command);
void drive_image_kick (DriveImage *image);
void drive_image_drain (DriveImage *image);

static inline AtaCommand *
drive_image_get_command (BlockRequest *io)
{
  return (AtaCommand *) ((char *) io - offsetof (AtaCommand, io));
}
