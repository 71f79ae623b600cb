#define G_LOG_DOMAIN "app-gallery"

#include "gallery/gallery-install-private.h"

#include "gallery/gallery-download.h"
#include "gallery/gallery-provision.h"
#include "gallery/gallery-unpack.h"
#include "gallery/gallery-verify.h"

#include <string.h>
#include <unistd.h>
#include <glib/gstdio.h>

/* Theory of operation: a chain of callbacks, each doing the next step of the file `index`, or
 * going on to the next stage when all files are through:
 *
 *   expect -> (cached? ->) download -> compare          for each file: the stages download and
 *   verify
 *   unpack                                              for each file that needs it, into the
 *   draft
 *   create: convert, copy or make disks in the draft -> machine.ini -> commit
 *
 * Everything is made in a draft folder of the store, so a failure at any point leaves the
 * library as it was; the downloads stay in the cache. */

G_DEFINE_ENUM_TYPE (GalleryStage, gallery_stage,
                    G_DEFINE_ENUM_VALUE (GALLERY_STAGE_WAITING, "waiting"),
                    G_DEFINE_ENUM_VALUE (GALLERY_STAGE_DOWNLOAD, "download"),
                    G_DEFINE_ENUM_VALUE (GALLERY_STAGE_VERIFY, "verify"),
                    G_DEFINE_ENUM_VALUE (GALLERY_STAGE_UNPACK, "unpack"),
                    G_DEFINE_ENUM_VALUE (GALLERY_STAGE_CREATE, "create"),
                    G_DEFINE_ENUM_VALUE (GALLERY_STAGE_DONE, "done"),
                    G_DEFINE_ENUM_VALUE (GALLERY_STAGE_FAILED, "failed"))

G_DEFINE_FINAL_TYPE (GalleryInstall, gallery_install, G_TYPE_OBJECT)

enum
{
  PROP_ENTRY = 1,
  PROP_MACHINE_NAME,
  PROP_CPUS,
  PROP_MEMORY,
  PROP_DISK_SIZE,
  PROP_STAGE,
  PROP_PROGRESS,
  PROP_BYTES_DONE,
  PROP_BYTES_TOTAL,
  PROP_RATE,
  PROP_SECONDS_LEFT,
  N_PROPS
};

static GParamSpec *properties[N_PROPS];

static void expect_next (GalleryInstall *self);
static void unpack_next (GalleryInstall *self);
static void create_next (GalleryInstall *self);

static void
item_clear (gpointer data)
{
  Item *item = data;

  g_free (item->cached);
  g_free (item->expected);
  g_free (item->unpacked);
}

static Item *
current (GalleryInstall *self)
{
  return &g_array_index (self->items, Item, self->index);
}

/* --- stage and progress -------------------------------------------------------------------- */

static void
notify_progress (GalleryInstall *self)
{
  g_object_freeze_notify (G_OBJECT (self));
  for (guint i = PROP_PROGRESS; i < N_PROPS; i++)
    g_object_notify_by_pspec (G_OBJECT (self), properties[i]);
  g_object_thaw_notify (G_OBJECT (self));
}

static void
set_stage (GalleryInstall *self, GalleryStage stage)
{
  gint64 now = g_get_monotonic_time ();

  if (self->stage == stage)
    return;
  self->stage_seconds[self->stage] += (double) (now - self->stage_since_us) / G_USEC_PER_SEC;
  self->stage = stage;
  self->stage_since_us = now;
  self->progress = (GalleryProgress){ .seconds_left = -1 };
  g_debug ("install: %s", gallery_stage_to_string (stage));
  g_object_notify_by_pspec (G_OBJECT (self), properties[PROP_STAGE]);
  notify_progress (self);
}

static void
on_step_progress (const GalleryProgress *progress, gpointer data)
{
  GalleryInstall *self = data;

  self->progress = *progress;
  notify_progress (self);
}

/* What the entry says about sizes makes the progress of a download that of all its files. */
static void
on_download_progress (const GalleryProgress *progress, gpointer data)
{
  GalleryInstall *self = data;
  guint64 before = 0;
  guint64 after = 0;
  gboolean known = progress->total > 0;

  for (guint i = 0; i < self->items->len; i++)
    {
      const GalleryFile *file = g_array_index (self->items, Item, i).file;
      guint64 size = file->size > 0 ? file->size : file->size_about;

      if (i < self->index)
        before += size;
      else if (i > self->index)
        after += size;
      known = known && (size > 0 || i == self->index);
    }
  self->progress = *progress;
  self->progress.done += before;
  self->progress.total = known ? before + progress->total + after : 0;
  if (known && progress->rate > 0)
    self->progress.seconds_left = (self->progress.total - self->progress.done) / progress->rate;
  notify_progress (self);
}

static void
discard_thread (GTask *task, gpointer source, gpointer data, GCancellable *cancellable)
{
  machine_draft_discard (data);
  g_task_return_boolean (task, TRUE);
}

static void
on_discarded (GObject *source, GAsyncResult *result, gpointer data)
{
  g_autoptr (GTask) task = data;

  set_stage (GALLERY_INSTALL (source), GALLERY_STAGE_FAILED);
  g_task_return_error (task, g_error_copy (g_task_get_task_data (task)));
}

/* The answer comes when nothing is left behind: a draft may be large, and is removed in a thread. */
static void
fail_run (GalleryInstall *self, GError *error)
{
  g_autoptr (GTask) discard = g_task_new (self, NULL, on_discarded, self->task);

  g_task_set_task_data (self->task, error, (GDestroyNotify) g_error_free);
  self->task = NULL;
  g_task_set_task_data (discard, g_steal_pointer (&self->draft), NULL);
  g_task_run_in_thread (discard, discard_thread);
}

/* Before each step: TRUE when the run has ended. */
static gboolean
is_over (GalleryInstall *self)
{
  GError *error = NULL;

  if (!g_cancellable_set_error_if_cancelled (g_task_get_cancellable (self->task), &error))
    return FALSE;
  fail_run (self, error);
  return TRUE;
}

/* --- download and verify ------------------------------------------------------------------- */

static void
accept_download (GalleryInstall *self, const char *digest)
{
  Item *item = current (self);
  g_autofree char *name = g_path_get_basename (item->file->urls[0]);
  GError *error = NULL;

  set_stage (self, GALLERY_STAGE_VERIFY);
  if (!gallery_verify_compare (name, item->file->checksum.hash, item->expected, digest, &error))
    {
      /* This download alone; everything else in the cache stays. */
      gallery_cache_remove (self->cache, item->cached, NULL);
      fail_run (self, error);
      return;
    }
  if (!gallery_cache_mark_verified (self->cache, item->cached, digest, &error))
    {
      fail_run (self, error);
      return;
    }
  self->index++;
  expect_next (self);
}

static void
on_downloaded (GObject *source, GAsyncResult *result, gpointer data)
{
  g_autoptr (GalleryInstall) self = data;
  g_autofree char *digest = NULL;
  GError *error = NULL;

  if (gallery_download_finish (result, &digest, &error))
    accept_download (self, digest);
  else
    fail_run (self, error);
}

static void
download_current (GalleryInstall *self)
{
  Item *item = current (self);
  const GalleryDownloadOptions options = {
    .urls = item->file->urls,
    .path = item->cached,
    .size = item->file->size,
    .hash = item->file->checksum.hash,
  };

  set_stage (self, GALLERY_STAGE_DOWNLOAD);
  gallery_download_async (&options, on_download_progress, self, g_task_get_cancellable (self->task),
                          on_downloaded, g_object_ref (self));
}

static void
on_cached_hashed (GObject *source, GAsyncResult *result, gpointer data)
{
  g_autoptr (GalleryInstall) self = data;
  g_autofree char *digest = gallery_verify_hash_file_finish (result, NULL);
  Item *item = current (self);

  if (is_over (self))
    return;
  /* An older version, or damaged: a new download replaces it. */
  if (digest != NULL && g_ascii_strcasecmp (digest, item->expected) == 0)
    accept_download (self, digest);
  else
    download_current (self);
}

/* The vendor's list cannot be had now, but the file is here and was compared with it before. A list that is there and does not have
 * the file is another matter. */
static gboolean
fall_back_on_cache (GalleryInstall *self, Item *item, const GError *error)
{
  if (error->domain == GALLERY_VERIFY_ERROR ||
      g_error_matches (error, G_IO_ERROR, G_IO_ERROR_CANCELLED))
    return FALSE;
  item->expected = gallery_cache_dup_verified_digest (self->cache, item->cached);
  if (item->expected == NULL)
    return FALSE;
  g_message ("%s; what was verified by it earlier is used", error->message);
  return TRUE;
}

static void
on_expected (GObject *source, GAsyncResult *result, gpointer data)
{
  g_autoptr (GalleryInstall) self = data;
  Item *item = current (self);
  GError *error = NULL;

  item->expected = gallery_verify_fetch_expected_finish (result, &error);
  if (item->expected == NULL && !fall_back_on_cache (self, item, error))
    {
      fail_run (self, error);
      return;
    }
  g_clear_error (&error);
  if (is_over (self))
    return;
  if (gallery_cache_is_verified (self->cache, item->cached, item->expected))
    {
      g_debug ("install: %s is in the cache", item->cached);
      self->index++;
      expect_next (self);
    }
  else if (access (item->cached, R_OK) == 0)
    {
      set_stage (self, GALLERY_STAGE_VERIFY);
      gallery_verify_hash_file_async (item->cached, item->file->checksum.hash, on_step_progress,
                                      self, g_task_get_cancellable (self->task), on_cached_hashed,
                                      g_object_ref (self));
    }
  else
    download_current (self);
}

static void
expect_next (GalleryInstall *self)
{
  if (is_over (self))
    return;
  if (self->index == self->items->len)
    {
      self->index = 0;
      unpack_next (self);
      return;
    }
  set_stage (self, GALLERY_STAGE_DOWNLOAD);
  gallery_verify_fetch_expected_async (current (self)->file, g_task_get_cancellable (self->task),
                                       on_expected, g_object_ref (self));
}

/* --- unpack -------------------------------------------------------------------------------- */

static void
on_unpacked (GObject *source, GAsyncResult *result, gpointer data)
{
  g_autoptr (GalleryInstall) self = data;
  GError *error = NULL;

  if (!gallery_unpack_finish (result, &error))
    {
      fail_run (self, error);
      return;
    }
  self->index++;
  unpack_next (self);
}

static void
unpack_next (GalleryInstall *self)
{
  if (is_over (self))
    return;
  for (; self->index < self->items->len; self->index++)
    {
      Item *item = current (self);
      g_autofree char *name = g_strdup_printf ("unpacked-%u", self->index);
      GalleryUnpackOptions options = {
        .archive = item->cached,
        .kind = item->file->unpack,
        .member = item->file->member,
        .size_max = item->file->unpacked_size,
      };

      if (item->file->unpack == GALLERY_UNPACK_NONE)
        continue;
      set_stage (self, GALLERY_STAGE_UNPACK);
      item->unpacked = g_build_filename (machine_draft_get_folder (self->draft), name, NULL);
      options.path = item->unpacked;
      gallery_unpack_async (&options, on_step_progress, self, g_task_get_cancellable (self->task),
                            on_unpacked, g_object_ref (self));
      return;
    }
  self->index = 0;
  set_stage (self, GALLERY_STAGE_CREATE);
  create_next (self);
}

/* --- create -------------------------------------------------------------------------------- */

static void
commit (GalleryInstall *self)
{
  g_autoptr (MachineSettings) settings = gallery_install_make_settings (self);
  g_autoptr (GTask) task = NULL;
  AlcoveMachine *machine = NULL;
  GError *error = NULL;

  if (gallery_install_make_empty_disk (self, &error) && gallery_install_write_seed (self, &error))
    machine = machine_store_commit (self->store, g_steal_pointer (&self->draft), settings, &error);
  if (machine == NULL)
    {
      fail_run (self, error);
      return;
    }
  task = g_steal_pointer (&self->task);
  set_stage (self, GALLERY_STAGE_DONE);
  g_task_return_pointer (task, machine, g_object_unref);
}

/* The unpacked file has served. */
static void
created_one (GalleryInstall *self)
{
  if (current (self)->unpacked != NULL)
    g_unlink (current (self)->unpacked);
  self->index++;
  create_next (self);
}

static void
on_disk_made (GObject *source, GAsyncResult *result, gpointer data)
{
  g_autoptr (GalleryInstall) self = data;
  GError *error = NULL;

  if (gallery_provision_disk_finish (result, &error))
    created_one (self);
  else
    fail_run (self, error);
}

static void
on_copied (GObject *source, GAsyncResult *result, gpointer data)
{
  g_autoptr (GalleryInstall) self = data;
  GError *error = NULL;

  if (g_file_copy_finish (G_FILE (source), result, &error))
    created_one (self);
  else
    fail_run (self, error);
}

static void
on_copy_progress (goffset done, goffset total, gpointer data)
{
  const GalleryProgress progress = { .done = done, .total = total, .seconds_left = -1 };

  on_step_progress (&progress, data);
}

static void
create_next (GalleryInstall *self)
{
  g_autofree char *target = NULL;
  g_autoptr (GFile) from = NULL;
  g_autoptr (GFile) to = NULL;
  const char *source;
  Item *item;

  if (is_over (self))
    return;
  if (self->index == self->items->len)
    {
      commit (self);
      return;
    }
  item = current (self);
  source = item->unpacked != NULL ? item->unpacked : item->cached;
  target = g_build_filename (machine_draft_get_folder (self->draft),
                             gallery_install_get_file_name (item->file->role), NULL);
  if (item->file->role == GALLERY_ROLE_DISK)
    {
      const GalleryProvisionOptions options = {
        .source = source,
        .source_format = item->file->format,
        .target = target,
        .size = self->disk_size,
      };

      gallery_provision_disk_async (&options, on_step_progress, self,
                                    g_task_get_cancellable (self->task), on_disk_made,
                                    g_object_ref (self));
      return;
    }
  from = g_file_new_for_path (source);
  to = g_file_new_for_path (target);
  g_file_copy_async (from, to, G_FILE_COPY_NONE, G_PRIORITY_DEFAULT,
                     g_task_get_cancellable (self->task), on_copy_progress, self, on_copied,
                     g_object_ref (self));
}

/* --- the run ------------------------------------------------------------------------------- */

static gboolean
prepare (GalleryInstall *self, GError **error)
{
  g_autoptr (MachineSettings) settings = gallery_install_make_settings (self);
  g_autofree char *missing = NULL;

  if (!gallery_entry_is_available (self->entry, &missing))
    {
      g_set_error_literal (error, G_IO_ERROR, G_IO_ERROR_NOT_FOUND, missing);
      return FALSE;
    }
  /* What would be refused at the end is refused before anything is downloaded. */
  if (!machine_settings_validate (settings, error) || !gallery_install_check_user (self, error))
    return FALSE;
  if (self->disk_size > GALLERY_PROVISION_DISK_MAX)
    {
      g_set_error (error, G_IO_ERROR, G_IO_ERROR_INVALID_ARGUMENT, "A disk can have at most %u GiB",
                   (guint) (GALLERY_PROVISION_DISK_MAX >> 30));
      return FALSE;
    }
  self->draft = machine_store_begin (self->store, error);
  return self->draft != NULL;
}

static void
fill_items (GalleryInstall *self)
{
  g_array_set_size (self->items, 0);
  for (guint i = 0; i < gallery_entry_get_n_files (self->entry); i++)
    {
      Item item = { .file = gallery_entry_get_file (self->entry, i) };

      item.cached = gallery_cache_dup_path (self->cache, item.file->urls[0]);
      g_array_append_val (self->items, item);
    }
  self->index = 0;
}

void
gallery_install_run_async (GalleryInstall *self, GCancellable *cancellable,
                           GAsyncReadyCallback callback, gpointer data)
{
  g_autoptr (GTask) task = g_task_new (self, cancellable, callback, data);
  GError *error = NULL;

  g_task_set_source_tag (task, gallery_install_run_async);
  if (self->task != NULL)
    {
      g_task_return_new_error (task, G_IO_ERROR, G_IO_ERROR_PENDING,
                               "It is being installed already");
      return;
    }
  /* A machine that was made is returned even if the user cancels at the last moment. */
  g_task_set_check_cancellable (task, FALSE);
  self->task = g_steal_pointer (&task);
  memset (self->stage_seconds, 0, sizeof self->stage_seconds);
  fill_items (self);
  if (prepare (self, &error))
    expect_next (self);
  else
    fail_run (self, error);
}

AlcoveMachine *
gallery_install_run_finish (GalleryInstall *self, GAsyncResult *result, GError **error)
{
  g_return_val_if_fail (g_task_is_valid (result, self), NULL);
  return g_task_propagate_pointer (G_TASK (result), error);
}

/* --- the object ---------------------------------------------------------------------------- */

GalleryInstall *
gallery_install_new (GalleryEntry *entry, MachineStore *store, GalleryCache *cache)
{
  GalleryInstall *self = g_object_new (GALLERY_TYPE_INSTALL, NULL);
  g_autofree char *title = gallery_entry_dup_title (entry);

  self->entry = g_object_ref (entry);
  self->store = g_object_ref (store);
  self->cache = g_object_ref (cache);
  self->name = machine_store_dup_free_name (store, title);
  self->cpus = MIN (gallery_entry_get_cpus (entry), MAX (1, g_get_num_processors ()));
  self->memory = gallery_entry_get_memory (entry);
  self->disk_size = gallery_entry_get_disk_size (entry);
  self->network = gallery_entry_get_network (entry);
  return self;
}

const char *
gallery_stage_to_string (GalleryStage stage)
{
  g_autoptr (GEnumClass) klass = g_type_class_ref (GALLERY_TYPE_STAGE);
  GEnumValue *value = g_enum_get_value (klass, stage);

  return value != NULL ? value->value_nick : "";
}

GalleryEntry *
gallery_install_get_entry (GalleryInstall *self)
{
  return self->entry;
}

const char *
gallery_install_get_machine_name (GalleryInstall *self)
{
  return self->name;
}

void
gallery_install_set_machine_name (GalleryInstall *self, const char *name)
{
  if (g_strcmp0 (self->name, name) == 0)
    return;
  g_free (self->name);
  self->name = g_strdup (name);
  g_object_notify_by_pspec (G_OBJECT (self), properties[PROP_MACHINE_NAME]);
}

guint
gallery_install_get_cpus (GalleryInstall *self)
{
  return self->cpus;
}

void
gallery_install_set_cpus (GalleryInstall *self, guint cpus)
{
  if (self->cpus == cpus)
    return;
  self->cpus = cpus;
  g_object_notify_by_pspec (G_OBJECT (self), properties[PROP_CPUS]);
}

guint64
gallery_install_get_memory (GalleryInstall *self)
{
  return self->memory;
}

void
gallery_install_set_memory (GalleryInstall *self, guint64 bytes)
{
  if (self->memory == bytes)
    return;
  self->memory = bytes;
  g_object_notify_by_pspec (G_OBJECT (self), properties[PROP_MEMORY]);
}

guint64
gallery_install_get_disk_size (GalleryInstall *self)
{
  return self->disk_size;
}

void
gallery_install_set_disk_size (GalleryInstall *self, guint64 bytes)
{
  if (self->disk_size == bytes)
    return;
  self->disk_size = bytes;
  g_object_notify_by_pspec (G_OBJECT (self), properties[PROP_DISK_SIZE]);
}

void
gallery_install_set_network (GalleryInstall *self, MachineNetwork network)
{
  self->network = network;
}

static void
forget_user (GalleryInstall *self)
{
  g_clear_pointer (&self->user, g_free);
  g_clear_pointer (&self->password_hash, g_free);
  g_clear_pointer (&self->ssh_key, g_free);
}

void
gallery_install_set_user (GalleryInstall *self, const char *user, const char *password_hash,
                          const char *ssh_key)
{
  g_autofree char *line = ssh_key != NULL ? g_strstrip (g_strdup (ssh_key)) : NULL;

  forget_user (self);
  self->user = g_strdup (user);
  self->password_hash = g_strdup (password_hash);
  self->ssh_key = g_steal_pointer (&line);
}

static void
gallery_install_get_property (GObject *object, guint id, GValue *value, GParamSpec *pspec)
{
  GalleryInstall *self = GALLERY_INSTALL (object);

  switch (id)
    {
    case PROP_ENTRY:
      g_value_set_object (value, self->entry);
      break;
    case PROP_MACHINE_NAME:
      g_value_set_string (value, self->name);
      break;
    case PROP_CPUS:
      g_value_set_uint (value, self->cpus);
      break;
    case PROP_MEMORY:
      g_value_set_uint64 (value, self->memory);
      break;
    case PROP_DISK_SIZE:
      g_value_set_uint64 (value, self->disk_size);
      break;
    case PROP_STAGE:
      g_value_set_enum (value, self->stage);
      break;
    case PROP_PROGRESS:
      g_value_set_double (value, gallery_install_get_progress (self));
      break;
    case PROP_BYTES_DONE:
      g_value_set_uint64 (value, self->progress.done);
      break;
    case PROP_BYTES_TOTAL:
      g_value_set_uint64 (value, self->progress.total);
      break;
    case PROP_RATE:
      g_value_set_double (value, self->progress.rate);
      break;
    case PROP_SECONDS_LEFT:
      g_value_set_double (value, self->progress.seconds_left);
      break;
    default:
      G_OBJECT_WARN_INVALID_PROPERTY_ID (object, id, pspec);
    }
}

static void
gallery_install_set_property (GObject *object, guint id, const GValue *value, GParamSpec *pspec)
{
  GalleryInstall *self = GALLERY_INSTALL (object);

  switch (id)
    {
    case PROP_MACHINE_NAME:
      gallery_install_set_machine_name (self, g_value_get_string (value));
      break;
    case PROP_CPUS:
      gallery_install_set_cpus (self, g_value_get_uint (value));
      break;
    case PROP_MEMORY:
      gallery_install_set_memory (self, g_value_get_uint64 (value));
      break;
    case PROP_DISK_SIZE:
      gallery_install_set_disk_size (self, g_value_get_uint64 (value));
      break;
    default:
      G_OBJECT_WARN_INVALID_PROPERTY_ID (object, id, pspec);
    }
}

static void
gallery_install_finalize (GObject *object)
{
  GalleryInstall *self = GALLERY_INSTALL (object);

  g_clear_pointer (&self->draft, machine_draft_discard);
  g_clear_object (&self->entry);
  g_clear_object (&self->store);
  g_clear_object (&self->cache);
  g_array_unref (self->items);
  g_free (self->name);
  forget_user (self);
  G_OBJECT_CLASS (gallery_install_parent_class)->finalize (object);
}

static void
gallery_install_class_init (GalleryInstallClass *klass)
{
  GObjectClass *object_class = G_OBJECT_CLASS (klass);
  const GParamFlags readable = G_PARAM_READABLE | G_PARAM_STATIC_STRINGS | G_PARAM_EXPLICIT_NOTIFY;
  const GParamFlags both = readable | G_PARAM_WRITABLE;

  object_class->get_property = gallery_install_get_property;
  object_class->set_property = gallery_install_set_property;
  object_class->finalize = gallery_install_finalize;
  properties[PROP_ENTRY] = g_param_spec_object ("entry", NULL, NULL, GALLERY_TYPE_ENTRY, readable);
  properties[PROP_MACHINE_NAME] = g_param_spec_string ("machine-name", NULL, NULL, NULL, both);
  properties[PROP_CPUS] = g_param_spec_uint ("cpus", NULL, NULL, 0, G_MAXUINT, 1, both);
  properties[PROP_MEMORY] = g_param_spec_uint64 ("memory", NULL, NULL, 0, G_MAXUINT64, 0, both);
  properties[PROP_DISK_SIZE] =
      g_param_spec_uint64 ("disk-size", NULL, NULL, 0, G_MAXUINT64, 0, both);
  properties[PROP_STAGE] =
      g_param_spec_enum ("stage", NULL, NULL, GALLERY_TYPE_STAGE, GALLERY_STAGE_WAITING, readable);
  properties[PROP_PROGRESS] = g_param_spec_double ("progress", NULL, NULL, -1, 1, -1, readable);
  properties[PROP_BYTES_DONE] =
      g_param_spec_uint64 ("bytes-done", NULL, NULL, 0, G_MAXUINT64, 0, readable);
  properties[PROP_BYTES_TOTAL] =
      g_param_spec_uint64 ("bytes-total", NULL, NULL, 0, G_MAXUINT64, 0, readable);
  properties[PROP_RATE] = g_param_spec_double ("rate", NULL, NULL, 0, G_MAXDOUBLE, 0, readable);
  properties[PROP_SECONDS_LEFT] =
      g_param_spec_double ("seconds-left", NULL, NULL, -1, G_MAXDOUBLE, -1, readable);
  g_object_class_install_properties (object_class, N_PROPS, properties);
}

static void
gallery_install_init (GalleryInstall *self)
{
  self->items = g_array_new (FALSE, TRUE, sizeof (Item));
  g_array_set_clear_func (self->items, item_clear);
  self->progress.seconds_left = -1;
  self->stage_since_us = g_get_monotonic_time ();
}
