#pragma once

#include "gallery/gallery-install.h"
#include "gallery/gallery-progress.h"

/* The body of an installation, for its three files: gallery-install.c runs it,
 * gallery-install-machine.c says what the machine is made of, gallery-install-status.c tells how
 * far it is. */

#define N_STAGES (GALLERY_STAGE_FAILED + 1)

/* One file of the entry on its way. */
typedef struct Item
{
  const GalleryFile *file;
  char *cached;   /* where its download is */
  char *expected; /* digest */
  char *unpacked; /* in the draft; NULL: used as downloaded */
} Item;

struct _GalleryInstall
{
  GObject parent;
  GalleryEntry *entry;
  MachineStore *store;
  GalleryCache *cache;
  /* The user's choices */
  char *name;
  guint cpus;
  guint64 memory;
  guint64 disk_size;
  MachineNetwork network;
  char *user;
  char *password_hash;
  char *ssh_key;
  /* Of the run */
  GTask *task;
  MachineDraft *draft;
  GArray *items; /* of Item */
  guint index;
  GalleryStage stage;
  gint64 stage_since_us;
  double stage_seconds[N_STAGES];
  GalleryProgress progress;
};

/* What the file of this role is called in the machine's folder. */
const char *gallery_install_get_file_name (GalleryRole role);

/* The machine's settings by the entry and the user's choices; a reference. */
MachineSettings *gallery_install_make_settings (GalleryInstall *self);

/* What the draft needs besides the entry's files, if anything. */
gboolean gallery_install_make_empty_disk (GalleryInstall *self, GError **error);
gboolean gallery_install_write_seed (GalleryInstall *self, GError **error);

/* Whether a seed can be made of the user, or none is needed; a sentence for the user if not. */
gboolean gallery_install_check_user (GalleryInstall *self, GError **error);
