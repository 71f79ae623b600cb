#include "ui/assistant/install-job.h"

#include <glib/gi18n.h>
#include <unistd.h>

struct _InstallJob
{
  GObject parent_instance;

  char *id;
  GalleryEntry *entry;
  InstallPlan *plan;
  MachineStore *store;
  GalleryCache *cache;

  InstallJobState state;
  GalleryInstall *install;   /* the attempt that runs, or ran last */
  GCancellable *cancellable; /* of the attempt that runs */
  AlcoveMachine *machine;
  char *status;
  char *error;
};

enum
{
  PROP_STATE = 1,
  PROP_STAGE,
  PROP_STATUS,
  PROP_FRACTION,
  PROP_ERROR,
  PROP_MACHINE,
  PROP_NAME,
  N_PROPS,
};
static GParamSpec *properties[N_PROPS];

G_DEFINE_FINAL_TYPE (InstallJob, install_job, G_TYPE_OBJECT)

guint64
install_plan_get_host_memory (void)
{
  long pages = sysconf (_SC_PHYS_PAGES);
  long page_size = sysconf (_SC_PAGESIZE);

  return pages > 0 && page_size > 0 ? (guint64) pages * page_size : MACHINE_MEMORY_MAX;
}

InstallPlan *
install_plan_new (GalleryEntry *entry, MachineStore *store)
{
  InstallPlan *plan = g_new0 (InstallPlan, 1);
  g_autofree char *title = gallery_entry_dup_title (entry);
  guint cpus_max = MIN (g_get_num_processors (), MACHINE_CPUS_MAX);
  guint64 half = install_plan_get_host_memory () / 2;
  guint64 memory = gallery_entry_get_memory (entry);

  plan->name = machine_store_dup_free_name (store, title);
  plan->cpus = CLAMP (gallery_entry_get_cpus (entry), 1, cpus_max);
  plan->memory = MAX (MIN (memory, half), gallery_entry_get_minimum_memory (entry));
  plan->memory = CLAMP (plan->memory, MACHINE_MEMORY_MIN, MACHINE_MEMORY_MAX);
  plan->disk_size = gallery_entry_get_disk_size (entry);
  plan->network = gallery_entry_get_network (entry);
  plan->user = g_strdup (gallery_entry_get_cloud_user (entry));
  return plan;
}

InstallPlan *
install_plan_copy (const InstallPlan *plan)
{
  InstallPlan *copy = g_memdup2 (plan, sizeof *plan);

  copy->name = g_strdup (plan->name);
  copy->user = g_strdup (plan->user);
  copy->password_hash = g_strdup (plan->password_hash);
  return copy;
}

void
install_plan_free (InstallPlan *plan)
{
  if (plan == NULL)
    return;
  g_free (plan->name);
  g_free (plan->user);
  g_free (plan->password_hash);
  g_free (plan);
}

static void
set_state (InstallJob *self, InstallJobState state)
{
  self->state = state;
  g_object_notify_by_pspec (G_OBJECT (self), properties[PROP_STATE]);
}

static void
update_status (InstallJob *self)
{
  g_free (self->status);
  switch (self->state)
    {
    case INSTALL_JOB_RUNNING:
      self->status = gallery_install_dup_status (self->install);
      break;
    case INSTALL_JOB_PAUSED:
      self->status = g_strdup (_ ("Paused"));
      break;
    case INSTALL_JOB_FAILED:
      self->status = g_strdup (_ ("Failed"));
      break;
    case INSTALL_JOB_DONE:
      self->status = g_strdup (_ ("Ready"));
      break;
    }
  g_object_notify_by_pspec (G_OBJECT (self), properties[PROP_STATUS]);
}

static void
on_progress (InstallJob *self)
{
  update_status (self);
  g_object_notify_by_pspec (G_OBJECT (self), properties[PROP_FRACTION]);
}

static void
on_stage (InstallJob *self)
{
  update_status (self);
  g_object_notify_by_pspec (G_OBJECT (self), properties[PROP_STAGE]);
}

static void
on_finished (GObject *source, GAsyncResult *result, gpointer data)
{
  g_autoptr (InstallJob) self = data;
  g_autoptr (GError) error = NULL;

  g_clear_object (&self->machine);
  self->machine = gallery_install_run_finish (GALLERY_INSTALL (source), result, &error);
  g_clear_object (&self->cancellable);
  if (self->machine != NULL)
    {
      g_object_notify_by_pspec (G_OBJECT (self), properties[PROP_MACHINE]);
      set_state (self, INSTALL_JOB_DONE);
    }
  else if (g_error_matches (error, G_IO_ERROR, G_IO_ERROR_CANCELLED))
    set_state (self, INSTALL_JOB_PAUSED);
  else
    {
      g_debug ("%s: %s", self->plan->name, error->message);
      g_free (self->error);
      self->error = g_strdup (error->message);
      g_object_notify_by_pspec (G_OBJECT (self), properties[PROP_ERROR]);
      set_state (self, INSTALL_JOB_FAILED);
    }
  update_status (self);
}

void
install_job_run (InstallJob *self)
{
  g_return_if_fail (INSTALL_IS_JOB (self));
  if (self->state == INSTALL_JOB_DONE || self->cancellable != NULL)
    return;
  g_clear_pointer (&self->error, g_free);
  g_object_notify_by_pspec (G_OBJECT (self), properties[PROP_ERROR]);
  if (self->install != NULL)
    g_signal_handlers_disconnect_by_data (self->install, self);
  g_clear_object (&self->install);
  self->install = gallery_install_new (self->entry, self->store, self->cache);
  gallery_install_set_machine_name (self->install, self->plan->name);
  gallery_install_set_cpus (self->install, self->plan->cpus);
  gallery_install_set_memory (self->install, self->plan->memory);
  gallery_install_set_disk_size (self->install, self->plan->disk_size);
  gallery_install_set_network (self->install, self->plan->network);
  gallery_install_set_user (self->install, self->plan->user, self->plan->password_hash, NULL);
  g_signal_connect_swapped (self->install, "notify::stage", G_CALLBACK (on_stage), self);
  g_signal_connect_swapped (self->install, "notify::bytes-done", G_CALLBACK (on_progress), self);
  g_signal_connect_swapped (self->install, "notify::progress", G_CALLBACK (on_progress), self);
  self->cancellable = g_cancellable_new ();
  set_state (self, INSTALL_JOB_RUNNING);
  gallery_install_run_async (self->install, self->cancellable, on_finished, g_object_ref (self));
  on_stage (self);
}

void
install_job_pause (InstallJob *self)
{
  g_return_if_fail (INSTALL_IS_JOB (self));
  if (self->cancellable != NULL)
    g_cancellable_cancel (self->cancellable);
}

InstallJob *
install_job_new (const char *id, GalleryEntry *entry, const InstallPlan *plan, MachineStore *store,
                 GalleryCache *cache)
{
  InstallJob *self = g_object_new (INSTALL_TYPE_JOB, NULL);

  self->id = g_strdup (id);
  self->entry = g_object_ref (entry);
  self->plan = install_plan_copy (plan);
  self->store = g_object_ref (store);
  self->cache = g_object_ref (cache);
  return self;
}

const char *
install_job_get_id (InstallJob *self)
{
  return self->id;
}

GalleryEntry *
install_job_get_entry (InstallJob *self)
{
  return self->entry;
}

const InstallPlan *
install_job_get_plan (InstallJob *self)
{
  return self->plan;
}

InstallJobState
install_job_get_state (InstallJob *self)
{
  return self->state;
}

GalleryStage
install_job_get_stage (InstallJob *self)
{
  return self->install != NULL ? gallery_install_get_stage (self->install) : GALLERY_STAGE_WAITING;
}

const char *
install_job_get_status (InstallJob *self)
{
  return self->status;
}

double
install_job_get_fraction (InstallJob *self)
{
  return self->install != NULL ? gallery_install_get_progress (self->install) : -1;
}

const char *
install_job_get_error (InstallJob *self)
{
  return self->error;
}

AlcoveMachine *
install_job_get_machine (InstallJob *self)
{
  return self->machine;
}

static void
install_job_get_property (GObject *object, guint id, GValue *value, GParamSpec *pspec)
{
  InstallJob *self = INSTALL_JOB (object);

  switch (id)
    {
    case PROP_STATE:
      g_value_set_int (value, self->state);
      break;
    case PROP_STAGE:
      g_value_set_int (value, install_job_get_stage (self));
      break;
    case PROP_STATUS:
      g_value_set_string (value, self->status);
      break;
    case PROP_FRACTION:
      g_value_set_double (value, install_job_get_fraction (self));
      break;
    case PROP_ERROR:
      g_value_set_string (value, self->error);
      break;
    case PROP_MACHINE:
      g_value_set_object (value, self->machine);
      break;
    case PROP_NAME:
      g_value_set_string (value, self->plan->name);
      break;
    default:
      G_OBJECT_WARN_INVALID_PROPERTY_ID (object, id, pspec);
    }
}

static void
install_job_finalize (GObject *object)
{
  InstallJob *self = INSTALL_JOB (object);

  if (self->install != NULL)
    g_signal_handlers_disconnect_by_data (self->install, self);
  g_clear_object (&self->install);
  g_clear_object (&self->cancellable);
  g_clear_object (&self->machine);
  g_clear_object (&self->entry);
  g_clear_object (&self->store);
  g_clear_object (&self->cache);
  g_clear_pointer (&self->plan, install_plan_free);
  g_free (self->id);
  g_free (self->status);
  g_free (self->error);
  G_OBJECT_CLASS (install_job_parent_class)->finalize (object);
}

static void
install_job_class_init (InstallJobClass *klass)
{
  GObjectClass *object_class = G_OBJECT_CLASS (klass);
  const GParamFlags flags = G_PARAM_READABLE | G_PARAM_STATIC_STRINGS | G_PARAM_EXPLICIT_NOTIFY;

  object_class->get_property = install_job_get_property;
  object_class->finalize = install_job_finalize;
  properties[PROP_STATE] = g_param_spec_int ("state", NULL, NULL, 0, INSTALL_JOB_DONE, 0, flags);
  properties[PROP_STAGE] =
      g_param_spec_int ("stage", NULL, NULL, 0, GALLERY_STAGE_FAILED, 0, flags);
  properties[PROP_STATUS] = g_param_spec_string ("status", NULL, NULL, NULL, flags);
  properties[PROP_FRACTION] = g_param_spec_double ("fraction", NULL, NULL, -1, 1, -1, flags);
  properties[PROP_ERROR] = g_param_spec_string ("error", NULL, NULL, NULL, flags);
  properties[PROP_MACHINE] =
      g_param_spec_object ("machine", NULL, NULL, ALCOVE_TYPE_MACHINE, flags);
  properties[PROP_NAME] = g_param_spec_string ("name", NULL, NULL, NULL, flags);
  g_object_class_install_properties (object_class, N_PROPS, properties);
}

static void
install_job_init (InstallJob *self)
{
  self->state = INSTALL_JOB_PAUSED;
  self->status = g_strdup (_ ("Paused"));
}
