#pragma once

#include <gio/gio.h>
#include "gallery/gallery-cache.h"
#include "gallery/gallery-entry.h"
#include "machine/machine-store.h"

G_BEGIN_DECLS

/* The whole way from a gallery entry to a machine of the library, as one job: download, verify,
 * unpack, create.
 *
 * Make it, change what the user wants changed ("machine-name", "cpus", "memory", "disk-size"),
 * run it once, watch the properties. Cancelling leaves the parts that were downloaded in the
 * cache, so that the next run resumes; nothing else is left behind.
 *
 * Thread: the main context of the store. */

typedef enum
{
  GALLERY_STAGE_WAITING,
  GALLERY_STAGE_DOWNLOAD, /* hashes as it goes */
  GALLERY_STAGE_VERIFY,   /* compares, after hashing what an earlier run had downloaded */
  GALLERY_STAGE_UNPACK,
  GALLERY_STAGE_CREATE, /* converts, resizes, writes machine.ini */
  GALLERY_STAGE_DONE,
  GALLERY_STAGE_FAILED, /* or cancelled */
} GalleryStage;

#define GALLERY_TYPE_STAGE (gallery_stage_get_type ())
GType gallery_stage_get_type (void);

/* "download", "verify", ...: stable words. */
const char *gallery_stage_to_string (GalleryStage stage);

/* Properties. Writable until it runs: "machine-name" (string), "cpus" (uint), "memory" (uint64,
 * bytes), "disk-size" (uint64, bytes; 0: the image's own). Constant: "entry". Notifying while it
 * runs: "stage" (GalleryStage), "progress" (double, 0 to 1 within the stage; negative: not
 * known), "bytes-done", "bytes-total" (uint64), "rate" (double, bytes a second), "seconds-left"
 * (double, negative: not known). */
#define GALLERY_TYPE_INSTALL (gallery_install_get_type ())
G_DECLARE_FINAL_TYPE (GalleryInstall, gallery_install, GALLERY, INSTALL, GObject)

GalleryInstall *gallery_install_new (GalleryEntry *entry, MachineStore *store, GalleryCache *cache);

GalleryEntry *gallery_install_get_entry (GalleryInstall *self);
const char *gallery_install_get_machine_name (GalleryInstall *self);
void gallery_install_set_machine_name (GalleryInstall *self, const char *name);
guint gallery_install_get_cpus (GalleryInstall *self);
void gallery_install_set_cpus (GalleryInstall *self, guint cpus);
guint64 gallery_install_get_memory (GalleryInstall *self);
void gallery_install_set_memory (GalleryInstall *self, guint64 bytes);
guint64 gallery_install_get_disk_size (GalleryInstall *self);
void gallery_install_set_disk_size (GalleryInstall *self, guint64 bytes);
/* The entry's own until it is set. */
void gallery_install_set_network (GalleryInstall *self, MachineNetwork network);

/* The user that a cloud image makes at its first start (by a NoCloud seed): such an entry needs one, no other takes one.
 * `password_hash` is of gallery_seed_hash_password (), `ssh_key` a line of a public key; one of the two may be NULL. */
void gallery_install_set_user (GalleryInstall *self, const char *user, const char *password_hash,
                               const char *ssh_key);

void gallery_install_run_async (GalleryInstall *self, GCancellable *cancellable,
                                GAsyncReadyCallback callback, gpointer data);
/* The new machine, not started; a reference. */
AlcoveMachine *gallery_install_run_finish (GalleryInstall *self, GAsyncResult *result,
                                           GError **error);

GalleryStage gallery_install_get_stage (GalleryInstall *self);
double gallery_install_get_progress (GalleryInstall *self);
guint64 gallery_install_get_bytes_done (GalleryInstall *self);
guint64 gallery_install_get_bytes_total (GalleryInstall *self);
double gallery_install_get_rate (GalleryInstall *self);
double gallery_install_get_seconds_left (GalleryInstall *self);

/* How long a stage took so far; 0 if it was not reached. */
double gallery_install_get_stage_seconds (GalleryInstall *self, GalleryStage stage);

/* One line for people about what happens now: "Downloading: 12.3 of 300.1 MB, 4.2 MB/s, 1 min 8
 * s left". Free it. */
char *gallery_install_dup_status (GalleryInstall *self);

G_END_DECLS
