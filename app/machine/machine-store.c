#define G_LOG_DOMAIN "app-machine"

#include "machine/machine-store.h"

#include "base/app-dirs.h"
#include "base/file-tree.h"
#include "machine/machine-lock.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>
#include <glib/gstdio.h>

/* Theory of operation: `machines` is the list, sorted. scan () makes it equal to the folder; it
 * runs at the start, after each change of ours, and when the monitor says that someone else
 * changed something. Names that start with a dot are ours: drafts (DRAFT_PREFIX) and the trash. */

#define DRAFT_PREFIX ".new-"
#define TRASH        ".trash"
#define ID_MAX       40 /* bytes of a folder's name that we choose */
#define MACHINES_MAX 10000

struct _MachineStore
{
  GObject parent;
  char *folder;
  GPtrArray *machines; /* of AlcoveMachine */
  GFileMonitor *monitor;
  guint unsettled;
  GPtrArray *settle_tasks;
};

struct MachineDraft
{
  char *folder;
  int lock_fd;
};

static void machine_store_list_model_init (GListModelInterface *iface);

G_DEFINE_FINAL_TYPE_WITH_CODE (MachineStore, machine_store, G_TYPE_OBJECT,
                               G_IMPLEMENT_INTERFACE (G_TYPE_LIST_MODEL,
                                                      machine_store_list_model_init))

static gboolean
fail_errno (GError **error, const char *what, const char *path)
{
  int saved_errno = errno;

  g_set_error (error, G_IO_ERROR, g_io_error_from_errno (saved_errno), "Cannot %s “%s”: %s", what,
               path, g_strerror (saved_errno));
  return FALSE;
}

/* --- the list ------------------------------------------------------------------------------ */

static int
compare_machines (gconstpointer a, gconstpointer b)
{
  AlcoveMachine *one = *(AlcoveMachine *const *) a;
  AlcoveMachine *other = *(AlcoveMachine *const *) b;
  g_autofree char *one_key = g_utf8_casefold (alcove_machine_get_name (one), -1);
  g_autofree char *other_key = g_utf8_casefold (alcove_machine_get_name (other), -1);
  int order = g_utf8_collate (one_key, other_key);

  return order != 0 ? order : strcmp (alcove_machine_get_id (one), alcove_machine_get_id (other));
}

static void
insert_sorted (MachineStore *self, AlcoveMachine *machine)
{
  guint position = 0;

  while (position < self->machines->len &&
         compare_machines (&self->machines->pdata[position], &machine) < 0)
    position++;
  g_ptr_array_insert (self->machines, position, g_object_ref (machine));
  g_list_model_items_changed (G_LIST_MODEL (self), position, 0, 1);
}

/* A renamed machine moves to its place. */
static void
on_name_changed (AlcoveMachine *machine, GParamSpec *pspec, gpointer data)
{
  MachineStore *self = data;
  g_autoptr (AlcoveMachine) keep G_GNUC_UNUSED = g_object_ref (machine);
  guint position;

  if (!g_ptr_array_find (self->machines, machine, &position))
    return;
  if ((position == 0 || compare_machines (&self->machines->pdata[position - 1], &machine) < 0) &&
      (position + 1 == self->machines->len ||
       compare_machines (&machine, &self->machines->pdata[position + 1]) < 0))
    return;
  g_ptr_array_remove_index (self->machines, position);
  g_list_model_items_changed (G_LIST_MODEL (self), position, 1, 0);
  insert_sorted (self, machine);
}

static AlcoveMachine *
find_id (MachineStore *self, const char *id)
{
  for (guint i = 0; i < self->machines->len; i++)
    if (g_str_equal (alcove_machine_get_id (self->machines->pdata[i]), id))
      return self->machines->pdata[i];
  return NULL;
}

static void
on_settled (GObject *source, GAsyncResult *result, gpointer data)
{
  g_autoptr (MachineStore) self = data;
  g_autoptr (GPtrArray) tasks = NULL;

  alcove_machine_reconnect_finish (ALCOVE_MACHINE (source), result, NULL);
  self->unsettled--;
  if (self->unsettled > 0)
    return;
  tasks = g_steal_pointer (&self->settle_tasks);
  self->settle_tasks = g_ptr_array_new_with_free_func (g_object_unref);
  for (guint i = 0; i < tasks->len; i++)
    g_task_return_boolean (tasks->pdata[i], TRUE);
}

static void
add_machine (MachineStore *self, const char *id)
{
  g_autofree char *folder = g_build_filename (self->folder, id, NULL);
  g_autoptr (AlcoveMachine) machine = alcove_machine_new (folder);

  g_signal_connect_object (machine, "notify::name", G_CALLBACK (on_name_changed), self, 0);
  insert_sorted (self, machine);
  self->unsettled++;
  alcove_machine_reconnect_async (machine, NULL, on_settled, g_object_ref (self));
}

static void
remove_machine_at (MachineStore *self, guint position)
{
  g_autoptr (AlcoveMachine) machine = g_object_ref (self->machines->pdata[position]);

  g_signal_handlers_disconnect_by_data (machine, self);
  g_ptr_array_remove_index (self->machines, position);
  g_list_model_items_changed (G_LIST_MODEL (self), position, 1, 0);
}

/* A machine is a folder, not a link to one, with a machine.ini. */
static gboolean
is_machine (MachineStore *self, const char *name)
{
  g_autofree char *folder = g_build_filename (self->folder, name, NULL);
  g_autofree char *ini = g_build_filename (folder, MACHINE_SETTINGS_FILE, NULL);
  struct stat st;

  return name[0] != '.' && g_utf8_validate (name, -1, NULL) && lstat (folder, &st) == 0 &&
         S_ISDIR (st.st_mode) && access (ini, F_OK) == 0;
}

static gboolean
scan (MachineStore *self, GError **error)
{
  g_autoptr (GDir) dir = g_dir_open (self->folder, 0, error);
  const char *name;

  if (dir == NULL)
    return FALSE;
  for (guint i = self->machines->len; i > 0; i--)
    if (!is_machine (self, alcove_machine_get_id (self->machines->pdata[i - 1])))
      remove_machine_at (self, i - 1);
  while ((name = g_dir_read_name (dir)) != NULL && self->machines->len < MACHINES_MAX)
    if (find_id (self, name) == NULL && is_machine (self, name))
      add_machine (self, name);
  return TRUE;
}

static void
on_folder_changed (GFileMonitor *monitor, GFile *file, GFile *other, GFileMonitorEvent event,
                   gpointer data)
{
  g_autoptr (GError) error = NULL;

  if (event == G_FILE_MONITOR_EVENT_ATTRIBUTE_CHANGED || event == G_FILE_MONITOR_EVENT_CHANGED)
    return;
  if (!scan (data, &error))
    g_warning ("%s", error->message);
}

static GType
machine_store_get_item_type (GListModel *model)
{
  return ALCOVE_TYPE_MACHINE;
}

static guint
machine_store_get_n_items (GListModel *model)
{
  return MACHINE_STORE (model)->machines->len;
}

static gpointer
machine_store_get_item (GListModel *model, guint position)
{
  GPtrArray *machines = MACHINE_STORE (model)->machines;

  return position < machines->len ? g_object_ref (machines->pdata[position]) : NULL;
}

static void
machine_store_list_model_init (GListModelInterface *iface)
{
  iface->get_item_type = machine_store_get_item_type;
  iface->get_n_items = machine_store_get_n_items;
  iface->get_item = machine_store_get_item;
}

AlcoveMachine *
machine_store_find (MachineStore *self, const char *id_or_name)
{
  AlcoveMachine *found = find_id (self, id_or_name);
  guint matches = 0;

  if (found != NULL)
    return found;
  for (guint i = 0; i < self->machines->len; i++)
    if (g_strcmp0 (alcove_machine_get_name (self->machines->pdata[i]), id_or_name) == 0)
      {
        found = self->machines->pdata[i];
        matches++;
      }
  return matches == 1 ? found : NULL;
}

char *
machine_store_dup_free_name (MachineStore *self, const char *wanted)
{
  for (guint number = 1;; number++)
    {
      g_autofree char *name =
          number == 1 ? g_strdup (wanted) : g_strdup_printf ("%s %u", wanted, number);
      gboolean taken = FALSE;

      for (guint i = 0; i < self->machines->len && !taken; i++)
        taken = g_strcmp0 (alcove_machine_get_name (self->machines->pdata[i]), name) == 0;
      if (!taken)
        return g_steal_pointer (&name);
    }
}

/* --- drafts -------------------------------------------------------------------------------- */

/* "Debian 12 (bookworm)" -> "debian-12-bookworm". Plain ASCII, so that it is a good file name
 * everywhere. */
static char *
slug_of (const char *name)
{
  g_autofree char *ascii = g_str_to_ascii (name, "C");
  GString *slug = g_string_new (NULL);

  for (const char *p = ascii; *p != '\0' && slug->len < ID_MAX; p++)
    if (g_ascii_isalnum (*p))
      g_string_append_c (slug, g_ascii_tolower (*p));
    else if (slug->len > 0 && slug->str[slug->len - 1] != '-')
      g_string_append_c (slug, '-');
  while (slug->len > 0 && slug->str[slug->len - 1] == '-')
    g_string_truncate (slug, slug->len - 1);
  if (slug->len == 0)
    g_string_append (slug, "machine");
  return g_string_free (slug, FALSE);
}

/* Renames `from` to `slug`, `slug-2`, ... whichever is free. Two processes never take the same: a folder is renamed over
 * another only if that one is empty, and a machine's never is. (RENAME_NOREPLACE is not known to every file system.) */
static char *
rename_to_free_id (MachineStore *self, const char *from, const char *slug, GError **error)
{
  for (guint number = 1; number <= MACHINES_MAX; number++)
    {
      g_autofree char *id = number == 1 ? g_strdup (slug) : g_strdup_printf ("%s-%u", slug, number);
      g_autofree char *to = g_build_filename (self->folder, id, NULL);

      if (rename (from, to) == 0)
        return g_steal_pointer (&id);
      if (errno != EEXIST && errno != ENOTEMPTY && errno != ENOTDIR)
        {
          fail_errno (error, "make the folder", to);
          return NULL;
        }
    }
  g_set_error (error, G_IO_ERROR, G_IO_ERROR_NO_SPACE, "The library is full");
  return NULL;
}

MachineDraft *
machine_store_begin (MachineStore *self, GError **error)
{
  g_autofree char *folder = g_build_filename (self->folder, DRAFT_PREFIX "XXXXXX", NULL);
  MachineDraft *draft;
  int fd;

  if (g_mkdtemp_full (folder, 0700) == NULL)
    {
      fail_errno (error, "make the folder", folder);
      return NULL;
    }
  fd = machine_lock_take (folder, "Alcove", error);
  if (fd < 0)
    {
      g_rmdir (folder);
      return NULL;
    }
  draft = g_new0 (MachineDraft, 1);
  draft->folder = g_steal_pointer (&folder);
  draft->lock_fd = fd;
  return draft;
}

const char *
machine_draft_get_folder (MachineDraft *draft)
{
  return draft->folder;
}

static void
draft_free (MachineDraft *draft)
{
  if (draft->lock_fd >= 0)
    close (draft->lock_fd);
  g_free (draft->folder);
  g_free (draft);
}

void
machine_draft_discard (MachineDraft *draft)
{
  g_autoptr (GError) error = NULL;

  if (draft == NULL)
    return;
  if (!file_tree_remove (draft->folder, NULL, &error))
    g_warning ("%s", error->message);
  draft_free (draft);
}

AlcoveMachine *
machine_store_commit (MachineStore *self, MachineDraft *draft, MachineSettings *settings,
                      GError **error)
{
  g_autoptr (MachineDraft) own = draft;
  g_autofree char *ini = g_build_filename (draft->folder, MACHINE_SETTINGS_FILE, NULL);
  g_autofree char *slug = NULL;
  g_autofree char *id = NULL;
  AlcoveMachine *machine;

  if (!machine_settings_save (settings, ini, error))
    return NULL;
  slug = slug_of (machine_settings_get_name (settings));
  id = rename_to_free_id (self, draft->folder, slug, error);
  if (id == NULL)
    return NULL;
  draft_free (g_steal_pointer (&own));
  if (!scan (self, error))
    return NULL;
  machine = find_id (self, id);
  if (machine == NULL)
    {
      g_set_error (error, G_IO_ERROR, G_IO_ERROR_NOT_FOUND, "The new machine “%s” is gone again",
                   id);
      return NULL;
    }
  return g_object_ref (machine);
}

AlcoveMachine *
machine_store_create (MachineStore *self, MachineSettings *settings, GError **error)
{
  MachineDraft *draft = machine_store_begin (self, error);

  return draft != NULL ? machine_store_commit (self, draft, settings, error) : NULL;
}

static void
remove_drafts_thread (GTask *task, gpointer source, gpointer data, GCancellable *cancellable)
{
  char **folders = data;

  for (guint i = 0; folders[i] != NULL; i++)
    {
      g_autoptr (GError) error = NULL;
      int fd = machine_lock_take (folders[i], "Alcove", NULL);

      if (fd < 0)
        continue;
      if (!file_tree_remove (folders[i], NULL, &error))
        g_warning ("%s", error->message);
      close (fd);
    }
  g_task_return_boolean (task, TRUE);
}

/* Drafts of a process that was killed: nobody holds their lock. Looked for now, before this process makes its own; removed in a
 * thread, as they may be large. */
static void
remove_dead_drafts (MachineStore *self)
{
  g_autoptr (GTask) task = g_task_new (NULL, NULL, NULL, NULL);
  g_autoptr (GStrvBuilder) folders = g_strv_builder_new ();
  g_autoptr (GDir) dir = g_dir_open (self->folder, 0, NULL);
  const char *name;

  while (dir != NULL && (name = g_dir_read_name (dir)) != NULL)
    if (g_str_has_prefix (name, DRAFT_PREFIX))
      {
        g_autofree char *folder = g_build_filename (self->folder, name, NULL);

        g_strv_builder_add (folders, folder);
      }
  g_task_set_task_data (task, g_strv_builder_end (folders), (GDestroyNotify) g_strfreev);
  g_task_run_in_thread (task, remove_drafts_thread);
}

/* --- trash --------------------------------------------------------------------------------- */

char *
machine_store_trash (MachineStore *self, AlcoveMachine *machine, GError **error)
{
  g_autofree char *name = g_strdup_printf ("%" G_GINT64_FORMAT "-%s", g_get_real_time (),
                                           alcove_machine_get_id (machine));
  g_autofree char *trash = g_build_filename (self->folder, TRASH, NULL);
  g_autofree char *to = g_build_filename (trash, name, NULL);
  gboolean moved;
  guint position;
  int fd;

  /* With the lock held, nobody starts it while it moves. */
  fd = machine_lock_take (alcove_machine_get_folder (machine), "Alcove", error);
  if (fd < 0)
    {
      g_prefix_error (error, "“%s” cannot be deleted: ", alcove_machine_get_name (machine));
      return NULL;
    }
  moved = (g_mkdir (trash, 0700) == 0 || errno == EEXIST) &&
          g_rename (alcove_machine_get_folder (machine), to) == 0;
  if (!moved)
    fail_errno (error, "move to the trash", alcove_machine_get_folder (machine));
  close (fd);
  if (!moved)
    return NULL;
  if (g_ptr_array_find (self->machines, machine, &position))
    remove_machine_at (self, position);
  return g_steal_pointer (&name);
}

static gboolean
is_trash_name (const char *name)
{
  return name[0] != '.' && strchr (name, '/') == NULL && strchr (name, '-') != NULL;
}

AlcoveMachine *
machine_store_restore (MachineStore *self, const char *trash_name, GError **error)
{
  g_autofree char *from = g_build_filename (self->folder, TRASH, trash_name, NULL);
  g_autofree char *id = NULL;
  AlcoveMachine *machine;

  g_return_val_if_fail (is_trash_name (trash_name), NULL);
  id = rename_to_free_id (self, from, strchr (trash_name, '-') + 1, error);
  if (id == NULL || !scan (self, error))
    return NULL;
  machine = find_id (self, id);
  if (machine == NULL)
    g_set_error (error, G_IO_ERROR, G_IO_ERROR_NOT_FOUND, "“%s” is not a machine", id);
  return machine != NULL ? g_object_ref (machine) : NULL;
}

static int
compare_strings (gconstpointer a, gconstpointer b)
{
  return strcmp (*(const char *const *) a, *(const char *const *) b);
}

char **
machine_store_list_trash (MachineStore *self)
{
  g_autofree char *trash = g_build_filename (self->folder, TRASH, NULL);
  g_autoptr (GPtrArray) names = g_ptr_array_new ();
  g_autoptr (GDir) dir = g_dir_open (trash, 0, NULL);
  const char *name;

  while (dir != NULL && (name = g_dir_read_name (dir)) != NULL)
    if (is_trash_name (name))
      g_ptr_array_add (names, g_strdup (name));
  g_ptr_array_sort (names, compare_strings);
  g_ptr_array_add (names, NULL);
  return (char **) g_ptr_array_free (g_steal_pointer (&names), FALSE);
}

static void
purge_thread (GTask *task, gpointer source, gpointer data, GCancellable *cancellable)
{
  char **paths = data;
  GError *error = NULL;

  for (guint i = 0; paths[i] != NULL; i++)
    if (!file_tree_remove (paths[i], cancellable, &error))
      {
        g_task_return_error (task, error);
        return;
      }
  g_task_return_boolean (task, TRUE);
}

void
machine_store_purge_async (MachineStore *self, const char *trash_name, GCancellable *cancellable,
                           GAsyncReadyCallback callback, gpointer data)
{
  g_autoptr (GTask) task = g_task_new (self, cancellable, callback, data);
  g_autoptr (GStrvBuilder) paths = g_strv_builder_new ();
  g_auto (GStrv) names = NULL;

  g_return_if_fail (trash_name == NULL || is_trash_name (trash_name));
  g_task_set_source_tag (task, machine_store_purge_async);
  names = machine_store_list_trash (self);
  for (guint i = 0; names[i] != NULL; i++)
    if (trash_name == NULL || g_str_equal (names[i], trash_name))
      {
        g_autofree char *path = g_build_filename (self->folder, TRASH, names[i], NULL);

        g_strv_builder_add (paths, path);
      }
  g_task_set_task_data (task, g_strv_builder_end (paths), (GDestroyNotify) g_strfreev);
  g_task_run_in_thread (task, purge_thread);
}

gboolean
machine_store_purge_finish (MachineStore *self, GAsyncResult *result, GError **error)
{
  g_return_val_if_fail (g_task_is_valid (result, self), FALSE);
  return g_task_propagate_boolean (G_TASK (result), error);
}

/* --- the object ---------------------------------------------------------------------------- */

MachineStore *
machine_store_open (const char *folder, GError **error)
{
  g_autoptr (MachineStore) self = g_object_new (MACHINE_TYPE_STORE, NULL);
  g_autoptr (GFile) file = NULL;

  self->folder = folder != NULL ? g_canonicalize_filename (folder, NULL) : app_dirs_dup_machines ();
  if (g_mkdir_with_parents (self->folder, 0700) != 0)
    {
      fail_errno (error, "make the library's folder", self->folder);
      return NULL;
    }
  remove_dead_drafts (self);
  if (!scan (self, error))
    return NULL;
  file = g_file_new_for_path (self->folder);
  self->monitor = g_file_monitor_directory (file, G_FILE_MONITOR_WATCH_MOVES, NULL, NULL);
  if (self->monitor != NULL)
    g_signal_connect (self->monitor, "changed", G_CALLBACK (on_folder_changed), self);
  return g_steal_pointer (&self);
}

void
machine_store_settle_async (MachineStore *self, GCancellable *cancellable,
                            GAsyncReadyCallback callback, gpointer data)
{
  g_autoptr (GTask) task = g_task_new (self, cancellable, callback, data);

  g_task_set_source_tag (task, machine_store_settle_async);
  if (self->unsettled == 0)
    g_task_return_boolean (task, TRUE);
  else
    g_ptr_array_add (self->settle_tasks, g_object_ref (task));
}

gboolean
machine_store_settle_finish (MachineStore *self, GAsyncResult *result, GError **error)
{
  g_return_val_if_fail (g_task_is_valid (result, self), FALSE);
  return g_task_propagate_boolean (G_TASK (result), error);
}

const char *
machine_store_get_folder (MachineStore *self)
{
  return self->folder;
}

static void
machine_store_dispose (GObject *object)
{
  MachineStore *self = MACHINE_STORE (object);

  if (self->monitor != NULL)
    g_signal_handlers_disconnect_by_data (self->monitor, self);
  g_clear_object (&self->monitor);
  for (guint i = 0; i < self->machines->len; i++)
    g_signal_handlers_disconnect_by_data (self->machines->pdata[i], self);
  g_ptr_array_set_size (self->machines, 0);
  G_OBJECT_CLASS (machine_store_parent_class)->dispose (object);
}

static void
machine_store_finalize (GObject *object)
{
  MachineStore *self = MACHINE_STORE (object);

  g_ptr_array_unref (self->machines);
  g_ptr_array_unref (self->settle_tasks);
  g_free (self->folder);
  G_OBJECT_CLASS (machine_store_parent_class)->finalize (object);
}

static void
machine_store_class_init (MachineStoreClass *klass)
{
  GObjectClass *object_class = G_OBJECT_CLASS (klass);

  object_class->dispose = machine_store_dispose;
  object_class->finalize = machine_store_finalize;
}

static void
machine_store_init (MachineStore *self)
{
  self->machines = g_ptr_array_new_with_free_func (g_object_unref);
  self->settle_tasks = g_ptr_array_new_with_free_func (g_object_unref);
}
