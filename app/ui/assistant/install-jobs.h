#pragma once

#include "gallery/gallery-catalog.h"
#include "ui/assistant/install-job.h"

G_BEGIN_DECLS

/* The installs that are not done yet: a GListModel of InstallJob. They are written down
 * (`installs.ini` in the data folder) until they are done or given up, so that a program that was
 * killed goes on with them.
 *
 * Signal "done" (InstallJob): its machine is in the library, the job has left the list. */
#define INSTALL_TYPE_JOBS (install_jobs_get_type ())
G_DECLARE_FINAL_TYPE (InstallJobs, install_jobs, INSTALL, JOBS, GObject)

InstallJobs *install_jobs_new (GalleryCatalog *catalog, MachineStore *store, GalleryCache *cache);

/* Adds it and runs it. Borrowed. */
InstallJob *install_jobs_add (InstallJobs *self, GalleryEntry *entry, const InstallPlan *plan);

/* Stops it, forgets it and removes what it downloaded so far. */
void install_jobs_give_up (InstallJobs *self, InstallJob *job);

/* Goes on with what an earlier run of the program left; how many. */
guint install_jobs_resume (InstallJobs *self);

/* Where in the cache their downloads go, complete or not (g_strfreev ()). */
char **install_jobs_dup_downloads (InstallJobs *self);

/* Whether one runs. */
gboolean install_jobs_is_busy (InstallJobs *self);

/* The job of an entry, NULL if there is none. Borrowed. */
InstallJob *install_jobs_find (InstallJobs *self, GalleryEntry *entry);

G_END_DECLS
