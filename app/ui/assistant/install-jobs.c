#include "ui/assistant/install-jobs.h"

#include "base/app-dirs.h"

struct _InstallJobs
{
  GObject parent_instance;

  GalleryCatalog *catalog;
  MachineStore *store;
  GalleryCache *cache;
  GListStore *jobs;
};

enum
{
  SIGNAL_DONE,
  N_SIGNALS,
};
static guint signals[N_SIGNALS];

static GType
get_item_type (GListModel *model)
{
  return INSTALL_TYPE_JOB;
}

static guint
get_n_items (GListModel *model)
{
  return g_list_model_get_n_items (G_LIST_MODEL (INSTALL_JOBS (model)->jobs));
}

static gpointer
get_item (GListModel *model, guint position)
{
  return g_list_model_get_item (G_LIST_MODEL (INSTALL_JOBS (model)->jobs), position);
}

static void
list_model_init (GListModelInterface *iface)
{
  iface->get_item_type = get_item_type;
  iface->get_n_items = get_n_items;
  iface->get_item = get_item;
}

G_DEFINE_FINAL_TYPE_WITH_CODE (InstallJobs, install_jobs, G_TYPE_OBJECT,
                               G_IMPLEMENT_INTERFACE (G_TYPE_LIST_MODEL, list_model_init))

static char *
dup_path (void)
{
  g_autofree char *folder = app_dirs_dup_data ();

  return g_build_filename (folder, "installs.ini", NULL);
}

static void
save (InstallJobs *self)
{
  g_autoptr (GKeyFile) file = g_key_file_new ();
  g_autofree char *path = dup_path ();
  g_autofree char *text = NULL;
  g_autoptr (GError) error = NULL;
  gsize length;

  for (guint i = 0; i < get_n_items (G_LIST_MODEL (self)); i++)
    {
      g_autoptr (InstallJob) job = get_item (G_LIST_MODEL (self), i);
      const InstallPlan *plan = install_job_get_plan (job);
      const char *group = install_job_get_id (job);

      g_key_file_set_string (file, group, "entry",
                             gallery_entry_get_id (install_job_get_entry (job)));
      g_key_file_set_string (file, group, "name", plan->name);
      g_key_file_set_integer (file, group, "cpus", plan->cpus);
      g_key_file_set_uint64 (file, group, "memory", plan->memory);
      g_key_file_set_uint64 (file, group, "disk-size", plan->disk_size);
      g_key_file_set_boolean (file, group, "network", plan->network == MACHINE_NETWORK_USER);
      if (plan->user != NULL)
        g_key_file_set_string (file, group, "user", plan->user);
      if (plan->password_hash != NULL)
        g_key_file_set_string (file, group, "password-hash", plan->password_hash);
    }
  /* The user's alone, for the hash. */
  text = g_key_file_to_data (file, &length, NULL);
  if (!g_file_set_contents_full (path, text, (gssize) length, G_FILE_SET_CONTENTS_CONSISTENT, 0600,
                                 &error))
    g_warning ("The installs under way cannot be written down, so they would not go on after a "
               "restart: %s",
               error->message);
}

static void
take_out (InstallJobs *self, InstallJob *job)
{
  guint position;

  g_signal_handlers_disconnect_by_data (job, self);
  if (g_list_store_find (self->jobs, job, &position))
    g_list_store_remove (self->jobs, position);
  save (self);
}

static void
on_state (InstallJob *job, GParamSpec *pspec, InstallJobs *self)
{
  g_autoptr (InstallJob) held G_GNUC_UNUSED = g_object_ref (job);

  if (install_job_get_state (job) != INSTALL_JOB_DONE)
    return;
  take_out (self, job);
  g_signal_emit (self, signals[SIGNAL_DONE], 0, job);
}

static void
on_items_changed (GListModel *model, guint position, guint removed, guint added, InstallJobs *self)
{
  g_list_model_items_changed (G_LIST_MODEL (self), position, removed, added);
}

static InstallJob *
add (InstallJobs *self, const char *id, GalleryEntry *entry, const InstallPlan *plan)
{
  g_autoptr (InstallJob) job = install_job_new (id, entry, plan, self->store, self->cache);

  g_signal_connect (job, "notify::state", G_CALLBACK (on_state), self);
  g_list_store_append (self->jobs, job);
  return job;
}

InstallJob *
install_jobs_add (InstallJobs *self, GalleryEntry *entry, const InstallPlan *plan)
{
  g_autofree char *id = g_uuid_string_random ();
  InstallJob *job = add (self, id, entry, plan);

  save (self);
  install_job_run (job);
  return job;
}

static void
remove_parts (InstallJobs *self, GalleryEntry *entry)
{
  for (guint i = 0; i < gallery_entry_get_n_files (entry); i++)
    {
      const GalleryFile *file = gallery_entry_get_file (entry, i);
      g_autofree char *path = gallery_cache_dup_path (self->cache, file->urls[0]);
      g_autoptr (GError) error = NULL;

      if (!g_file_test (path, G_FILE_TEST_EXISTS) &&
          !gallery_cache_remove (self->cache, path, &error))
        g_debug ("%s stays: %s", path, error->message);
    }
}

/* What is removed may only be removed when the attempt has let go of it. */
static void
on_given_up (InstallJob *job, GParamSpec *pspec, InstallJobs *self)
{
  if (install_job_get_state (job) == INSTALL_JOB_RUNNING)
    return;
  g_signal_handlers_disconnect_by_func (job, on_given_up, self);
  if (install_jobs_find (self, install_job_get_entry (job)) == NULL)
    remove_parts (self, install_job_get_entry (job));
}

void
install_jobs_give_up (InstallJobs *self, InstallJob *job)
{
  g_autoptr (InstallJob) held G_GNUC_UNUSED = g_object_ref (job);

  take_out (self, job);
  g_signal_connect_object (job, "notify::state", G_CALLBACK (on_given_up), self, 0);
  if (install_job_get_state (job) == INSTALL_JOB_RUNNING)
    install_job_pause (job);
  else
    on_given_up (job, NULL, self);
}

static InstallPlan *
read_plan (GKeyFile *file, const char *group)
{
  InstallPlan *plan = g_new0 (InstallPlan, 1);

  plan->name = g_key_file_get_string (file, group, "name", NULL);
  plan->cpus = g_key_file_get_integer (file, group, "cpus", NULL);
  plan->memory = g_key_file_get_uint64 (file, group, "memory", NULL);
  plan->disk_size = g_key_file_get_uint64 (file, group, "disk-size", NULL);
  plan->network = g_key_file_get_boolean (file, group, "network", NULL) ? MACHINE_NETWORK_USER
                                                                        : MACHINE_NETWORK_NONE;
  plan->user = g_key_file_get_string (file, group, "user", NULL);
  plan->password_hash = g_key_file_get_string (file, group, "password-hash", NULL);
  return plan;
}

static gboolean
plan_is_valid (const InstallPlan *plan)
{
  return plan->name != NULL && plan->name[0] != '\0' && plan->cpus >= 1 &&
         plan->cpus <= MACHINE_CPUS_MAX && plan->memory >= MACHINE_MEMORY_MIN &&
         plan->memory <= MACHINE_MEMORY_MAX;
}

guint
install_jobs_resume (InstallJobs *self)
{
  g_autoptr (GKeyFile) file = g_key_file_new ();
  g_autofree char *path = dup_path ();
  g_auto (GStrv) groups = NULL;
  guint n_resumed = 0;

  if (!g_key_file_load_from_file (file, path, G_KEY_FILE_NONE, NULL))
    return 0;
  groups = g_key_file_get_groups (file, NULL);
  for (guint i = 0; groups[i] != NULL; i++)
    {
      g_autofree char *entry_id = g_key_file_get_string (file, groups[i], "entry", NULL);
      GalleryEntry *entry =
          entry_id != NULL ? gallery_catalog_find (self->catalog, entry_id) : NULL;
      g_autoptr (InstallPlan) plan = read_plan (file, groups[i]);

      if (entry == NULL || !plan_is_valid (plan))
        {
          g_debug ("the install %s is forgotten: its entry or its settings are gone", groups[i]);
          continue;
        }
      install_job_run (add (self, groups[i], entry, plan));
      n_resumed++;
    }
  return n_resumed;
}

char **
install_jobs_dup_downloads (InstallJobs *self)
{
  g_autoptr (GStrvBuilder) paths = g_strv_builder_new ();

  for (guint i = 0; i < get_n_items (G_LIST_MODEL (self)); i++)
    {
      g_autoptr (InstallJob) job = get_item (G_LIST_MODEL (self), i);
      GalleryEntry *entry = install_job_get_entry (job);

      for (guint j = 0; j < gallery_entry_get_n_files (entry); j++)
        {
          const GalleryFile *file = gallery_entry_get_file (entry, j);
          g_autofree char *path = gallery_cache_dup_path (self->cache, file->urls[0]);

          g_strv_builder_add (paths, path);
        }
    }
  return g_strv_builder_end (paths);
}

gboolean
install_jobs_is_busy (InstallJobs *self)
{
  for (guint i = 0; i < get_n_items (G_LIST_MODEL (self)); i++)
    {
      g_autoptr (InstallJob) job = get_item (G_LIST_MODEL (self), i);

      if (install_job_get_state (job) == INSTALL_JOB_RUNNING)
        return TRUE;
    }
  return FALSE;
}

InstallJob *
install_jobs_find (InstallJobs *self, GalleryEntry *entry)
{
  for (guint i = 0; i < get_n_items (G_LIST_MODEL (self)); i++)
    {
      g_autoptr (InstallJob) job = get_item (G_LIST_MODEL (self), i);

      if (install_job_get_entry (job) == entry)
        return job;
    }
  return NULL;
}

InstallJobs *
install_jobs_new (GalleryCatalog *catalog, MachineStore *store, GalleryCache *cache)
{
  InstallJobs *self = g_object_new (INSTALL_TYPE_JOBS, NULL);

  self->catalog = g_object_ref (catalog);
  self->store = g_object_ref (store);
  self->cache = g_object_ref (cache);
  return self;
}

static void
install_jobs_dispose (GObject *object)
{
  InstallJobs *self = INSTALL_JOBS (object);

  for (guint i = 0; self->jobs != NULL && i < get_n_items (G_LIST_MODEL (self)); i++)
    {
      g_autoptr (InstallJob) job = get_item (G_LIST_MODEL (self), i);

      g_signal_handlers_disconnect_by_data (job, self);
      install_job_pause (job);
    }
  g_clear_object (&self->jobs);
  g_clear_object (&self->catalog);
  g_clear_object (&self->store);
  g_clear_object (&self->cache);
  G_OBJECT_CLASS (install_jobs_parent_class)->dispose (object);
}

static void
install_jobs_class_init (InstallJobsClass *klass)
{
  G_OBJECT_CLASS (klass)->dispose = install_jobs_dispose;
  signals[SIGNAL_DONE] = g_signal_new ("done", INSTALL_TYPE_JOBS, G_SIGNAL_RUN_LAST, 0, NULL, NULL,
                                       NULL, G_TYPE_NONE, 1, INSTALL_TYPE_JOB);
}

static void
install_jobs_init (InstallJobs *self)
{
  self->jobs = g_list_store_new (INSTALL_TYPE_JOB);
  g_signal_connect_object (self->jobs, "items-changed", G_CALLBACK (on_items_changed), self, 0);
}
