#pragma once

#include <gio/gio.h>
#include "gallery/gallery-cache.h"
#include "gallery/gallery-install.h"

G_BEGIN_DECLS

/* An install that the user asked for, over all its attempts: a GalleryInstall runs once, a job can
 * be cancelled and gone on with, and can be written down for the next run of the program. */

typedef enum
{
  INSTALL_JOB_RUNNING,
  INSTALL_JOB_PAUSED, /* by the user, or the program ended; what was downloaded is kept */
  INSTALL_JOB_FAILED, /* "error" says why */
  INSTALL_JOB_DONE,   /* "machine" is there */
} InstallJobState;

/* Properties, read only, notifying: "state" (int, InstallJobState), "stage" (int, GalleryStage),
 * "status" (string: a line for people), "fraction" (double: within the stage; negative: not
 * known), "error" (string or NULL), "machine" (AlcoveMachine or NULL), "name" (string). */
#define INSTALL_TYPE_JOB (install_job_get_type ())
G_DECLARE_FINAL_TYPE (InstallJob, install_job, INSTALL, JOB, GObject)

typedef struct InstallPlan
{
  char *name;
  guint cpus;
  guint64 memory;
  guint64 disk_size; /* 0: the image's own */
  MachineNetwork network;
  char *user;          /* that a cloud image makes at its first start; NULL: it is no cloud image */
  char *password_hash; /* the password itself is nowhere */
} InstallPlan;

/* What the entry recommends, bounded by this computer's memory and processors. */
InstallPlan *install_plan_new (GalleryEntry *entry, MachineStore *store);
InstallPlan *install_plan_copy (const InstallPlan *plan);
void install_plan_free (InstallPlan *plan);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (InstallPlan, install_plan_free)

/* Memory and processors of this computer. */
guint64 install_plan_get_host_memory (void);

/* `id` names it over restarts. Not running yet. */
InstallJob *install_job_new (const char *id, GalleryEntry *entry, const InstallPlan *plan,
                             MachineStore *store, GalleryCache *cache);

const char *install_job_get_id (InstallJob *self);
GalleryEntry *install_job_get_entry (InstallJob *self);
const InstallPlan *install_job_get_plan (InstallJob *self);
InstallJobState install_job_get_state (InstallJob *self);
GalleryStage install_job_get_stage (InstallJob *self);
const char *install_job_get_status (InstallJob *self);
double install_job_get_fraction (InstallJob *self);
const char *install_job_get_error (InstallJob *self);
AlcoveMachine *install_job_get_machine (InstallJob *self);

/* Starts it, or goes on with it, from PAUSED or FAILED. */
void install_job_run (InstallJob *self);
/* Stops it: PAUSED follows. */
void install_job_pause (InstallJob *self);

G_END_DECLS
