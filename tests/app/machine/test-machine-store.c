#include "machine/machine-store.h"

#include "app-test.h"
#include "machine/machine-lock.h"

#include <unistd.h>
#include <glib/gstdio.h>
#include <libglib-testing/signal-logger.h>

static MachineStore *
open_store (const char *folder)
{
  g_autoptr (GError) error = NULL;
  MachineStore *store = machine_store_open (folder, &error);

  g_assert_no_error (error);
  return store;
}

static AlcoveMachine *
create (MachineStore *store, const char *name)
{
  g_autoptr (MachineSettings) settings = machine_settings_new (name);
  g_autoptr (GError) error = NULL;
  AlcoveMachine *machine = machine_store_create (store, settings, &error);

  g_assert_no_error (error);
  return machine;
}

static char *
file_of (AlcoveMachine *machine, const char *name)
{
  return g_build_filename (alcove_machine_get_folder (machine), name, NULL);
}

/* The names in the list's order, between commas. */
static char *
names_in (MachineStore *store)
{
  GString *names = g_string_new (NULL);

  for (guint i = 0; i < g_list_model_get_n_items (G_LIST_MODEL (store)); i++)
    {
      g_autoptr (AlcoveMachine) machine = g_list_model_get_item (G_LIST_MODEL (store), i);

      g_string_append_printf (names, "%s%s", i > 0 ? "," : "", alcove_machine_get_name (machine));
    }
  return g_string_free (names, FALSE);
}

static void
assert_names (MachineStore *store, const char *expected)
{
  g_autofree char *names = names_in (store);

  g_assert_cmpstr (names, ==, expected);
}

static void
settle (MachineStore *store)
{
  AppTestWait wait = { NULL };
  g_autoptr (GAsyncResult) result = NULL;
  g_autoptr (GError) error = NULL;

  machine_store_settle_async (store, NULL, app_test_callback, &wait);
  result = app_test_wait (&wait);
  g_assert_true (machine_store_settle_finish (store, result, &error));
  g_assert_no_error (error);
}

static void
test_create (void)
{
  g_autoptr (MachineStore) store = open_store (app_test_folder ());
  g_autoptr (AlcoveMachine) b = create (store, "Beta");
  g_autoptr (AlcoveMachine) a = create (store, "alpha");
  g_autoptr (AlcoveMachine) again = create (store, "Beta");
  g_autofree char *free_name = machine_store_dup_free_name (store, "Beta");
  g_autofree char *ini = file_of (b, MACHINE_SETTINGS_FILE);

  settle (store);
  assert_names (store, "alpha,Beta,Beta");
  g_assert_cmpstr (alcove_machine_get_id (b), ==, "beta");
  g_assert_cmpstr (alcove_machine_get_id (again), ==, "beta-2");
  g_assert_cmpstr (free_name, ==, "Beta 2");
  g_assert_true (app_test_exists (ini));
  g_assert_cmpint (alcove_machine_get_state (b), ==, MACHINE_STATE_STOPPED);
  g_assert_true (machine_store_find (store, "beta-2") == again);
  g_assert_true (machine_store_find (store, "alpha") == a);
  g_assert_null (machine_store_find (store, "Beta")); /* two have the name */
}

/* Whatever the name is, the folder's is a plain one within the library. */
static void
test_odd_names (void)
{
  static const char *const odd[] = { "../../etc", "/", ".hidden", "日本", "a/b", "-rf", "CON  " };
  const char *folder = app_test_folder ();
  g_autoptr (MachineStore) store = open_store (folder);

  for (guint i = 0; i < G_N_ELEMENTS (odd); i++)
    {
      g_autoptr (AlcoveMachine) machine = create (store, odd[i]);
      g_autofree char *parent = g_path_get_dirname (alcove_machine_get_folder (machine));

      g_assert_cmpstr (parent, ==, folder);
      g_assert_true (g_ascii_isalnum (alcove_machine_get_id (machine)[0]));
      g_assert_cmpstr (alcove_machine_get_name (machine), ==, odd[i]);
    }
}

static void
test_rename (void)
{
  g_autoptr (MachineStore) store = open_store (app_test_folder ());
  g_autoptr (AlcoveMachine) a = create (store, "a");
  g_autoptr (AlcoveMachine) b G_GNUC_UNUSED = create (store, "b");
  g_autoptr (GtSignalLogger) logger = gt_signal_logger_new ();
  g_autoptr (GError) error = NULL;
  g_autofree char *ini = file_of (a, MACHINE_SETTINGS_FILE);
  g_autofree char *text = NULL;
  guint position = 9, removed = 9, added = 9;

  gt_signal_logger_connect (logger, store, "items-changed");
  g_assert_true (alcove_machine_rename (a, " c ", &error));
  g_assert_no_error (error);
  assert_names (store, "b,c");
  gt_signal_logger_assert_emission_pop (logger, store, "items-changed", &position, &removed,
                                        &added);
  g_assert_true (position == 0 && removed == 1 && added == 0);
  gt_signal_logger_assert_emission_pop (logger, store, "items-changed", &position, &removed,
                                        &added);
  g_assert_true (position == 1 && removed == 0 && added == 1);
  gt_signal_logger_assert_no_emissions (logger);
  text = app_test_read (ini);
  g_assert_nonnull (strstr (text, "name=c\n"));
  g_assert_cmpstr (alcove_machine_get_id (a), ==, "a"); /* an id is for ever */

  g_assert_false (alcove_machine_rename (a, "   ", &error));
  app_test_assert_error (error, MACHINE_SETTINGS_ERROR, MACHINE_SETTINGS_ERROR_INVALID, "name");
  assert_names (store, "b,c");
}

static void
test_delete_and_undo (void)
{
  const char *folder = app_test_folder ();
  g_autoptr (MachineStore) store = open_store (folder);
  g_autoptr (AlcoveMachine) machine = create (store, "Mine");
  g_autoptr (AlcoveMachine) restored = NULL;
  g_autoptr (AlcoveMachine) newer = NULL;
  g_autoptr (GError) error = NULL;
  g_autofree char *disk = file_of (machine, "disk.raw");
  g_autofree char *restored_disk = NULL;
  g_autofree char *content = NULL;
  g_autofree char *trashed = NULL;
  g_auto (GStrv) trash = NULL;

  app_test_write (disk, "precious");
  trashed = machine_store_trash (store, machine, &error);
  g_assert_no_error (error);
  assert_names (store, "");
  g_assert_false (app_test_exists (disk));
  trash = machine_store_list_trash (store);
  g_assert_cmpuint (g_strv_length (trash), ==, 1);
  g_assert_cmpstr (trash[0], ==, trashed);

  /* Its id was taken meanwhile: both stay. */
  newer = create (store, "Mine");
  restored = machine_store_restore (store, trashed, &error);
  g_assert_no_error (error);
  g_assert_cmpstr (alcove_machine_get_id (restored), ==, "mine-2");
  restored_disk = file_of (restored, "disk.raw");
  content = app_test_read (restored_disk);
  g_assert_cmpstr (content, ==, "precious");
  g_assert_null (machine_store_restore (store, trashed, &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_NOT_FOUND);
  settle (store);
}

static void
test_purge (void)
{
  g_autoptr (MachineStore) store = open_store (app_test_folder ());
  g_autoptr (AlcoveMachine) gone = create (store, "gone");
  g_autoptr (AlcoveMachine) stays G_GNUC_UNUSED = create (store, "stays");
  g_autoptr (GAsyncResult) result = NULL;
  g_autoptr (GError) error = NULL;
  g_autofree char *trashed = machine_store_trash (store, gone, &error);
  g_auto (GStrv) trash = NULL;
  AppTestWait wait = { NULL };

  g_assert_no_error (error);
  machine_store_purge_async (store, trashed, NULL, app_test_callback, &wait);
  result = app_test_wait (&wait);
  g_assert_true (machine_store_purge_finish (store, result, &error));
  trash = machine_store_list_trash (store);
  g_assert_cmpuint (g_strv_length (trash), ==, 0);
  assert_names (store, "stays");
}

/* Somebody else holds it: it is not moved away under his feet. */
static void
test_delete_locked (void)
{
  g_autoptr (MachineStore) store = open_store (app_test_folder ());
  g_autoptr (AlcoveMachine) machine = create (store, "busy");
  g_autoptr (GError) error = NULL;
  int fd = machine_lock_take (alcove_machine_get_folder (machine), "another program", &error);

  g_assert_no_error (error);
  g_assert_null (machine_store_trash (store, machine, &error));
  app_test_assert_error (error, G_IO_ERROR, G_IO_ERROR_BUSY, "in use by another program");
  assert_names (store, "busy");
  close (fd);
}

static void
add_raw (const char *store_folder, const char *id, const char *ini)
{
  g_autofree char *folder = g_build_filename (store_folder, id, NULL);
  g_autofree char *path = g_build_filename (folder, MACHINE_SETTINGS_FILE, NULL);

  g_assert_no_errno (g_mkdir (folder, 0700));
  app_test_write (path, ini);
}

/* A machine of a newer Alcove or a damaged one is shown as broken; its file is never written. */
static void
test_broken (void)
{
  static const char newer[] = "[machine]\nversion=99\nname=From the future\nshape=round\n";
  const char *folder = app_test_folder ();
  g_autoptr (MachineStore) store = NULL;
  g_autoptr (GError) error = NULL;
  g_autofree char *path = g_build_filename (folder, "newer", MACHINE_SETTINGS_FILE, NULL);
  g_autofree char *text = NULL;
  g_autofree char *trashed = NULL;
  AlcoveMachine *machine;

  add_raw (folder, "newer", newer);
  add_raw (folder, "damaged",
           "\x7f"
           "ELF\1\2\3");
  add_raw (folder, "fine", "[machine]\nversion=1\nname=fine\n");
  store = open_store (folder);
  assert_names (store, "damaged,fine,newer");
  machine = machine_store_find (store, "newer");
  g_assert_cmpint (alcove_machine_get_state (machine), ==, MACHINE_STATE_BROKEN);
  g_assert_nonnull (strstr (alcove_machine_get_last_error (machine), "newer Alcove"));
  g_assert_false (alcove_machine_rename (machine, "older", &error));
  app_test_assert_error (error, G_IO_ERROR, G_IO_ERROR_NOT_SUPPORTED, "newer Alcove");
  text = app_test_read (path);
  g_assert_cmpstr (text, ==, newer);
  machine = machine_store_find (store, "damaged");
  g_assert_cmpint (alcove_machine_get_state (machine), ==, MACHINE_STATE_BROKEN);
  machine = machine_store_find (store, "fine");
  g_assert_cmpint (alcove_machine_get_state (machine), ==, MACHINE_STATE_STOPPED);

  trashed = machine_store_trash (store, machine_store_find (store, "damaged"), &error);
  g_assert_no_error (error);
  assert_names (store, "fine,newer");
}

/* What is in the folder but is no machine. */
static void
test_foreign_things (void)
{
  const char *outside = app_test_folder ();
  const char *folder = app_test_folder ();
  g_autofree char *file = g_build_filename (folder, "file", NULL);
  g_autofree char *empty = g_build_filename (folder, "empty", NULL);
  g_autofree char *link = g_build_filename (folder, "link", NULL);
  g_autofree char *target = g_build_filename (outside, "elsewhere", NULL);
  g_autoptr (MachineStore) store = NULL;

  add_raw (outside, "elsewhere", "[machine]\nversion=1\nname=elsewhere\n");
  app_test_write (file, "x");
  g_assert_no_errno (g_mkdir (empty, 0700));
  g_assert_no_errno (symlink (target, link));
  store = open_store (folder);
  assert_names (store, "");
  g_assert_true (app_test_exists (link));
}

/* A draft is not in the list; a dead one goes with the next opening, a living one stays. */
static void
test_drafts (void)
{
  const char *folder = app_test_folder ();
  g_autoptr (MachineStore) store = open_store (folder);
  g_autoptr (MachineStore) other = NULL;
  g_autoptr (GError) error = NULL;
  g_autoptr (MachineDraft) draft = machine_store_begin (store, &error);
  g_autofree char *dead = g_build_filename (folder, ".new-ABCDEF", NULL);
  g_autofree char *dead_file = g_build_filename (dead, "disk.raw", NULL);
  g_autofree char *own = g_strdup (machine_draft_get_folder (draft));

  g_assert_no_errno (g_mkdir (dead, 0700));
  app_test_write (dead_file, "half");
  other = open_store (folder);
  assert_names (other, "");
  while (app_test_exists (dead))
    g_usleep (1000); /* a thread removes it */
  g_assert_true (app_test_exists (own));
  g_clear_pointer (&draft, machine_draft_discard);
  g_assert_false (app_test_exists (own));
}

static void
set_flag (GListModel *model, guint position, guint removed, guint added, gpointer flag)
{
  *(gboolean *) flag = TRUE;
}

/* Another process adds a machine: it comes without asking. */
static void
test_watched (void)
{
  const char *folder = app_test_folder ();
  g_autoptr (MachineStore) store = open_store (folder);
  g_autoptr (MachineStore) other = open_store (folder);
  g_autoptr (AlcoveMachine) machine = NULL;
  gboolean changed = FALSE;

  g_signal_connect (store, "items-changed", G_CALLBACK (set_flag), &changed);
  machine = create (other, "new");
  app_test_until (&changed);
  assert_names (store, "new");
  g_signal_handlers_disconnect_by_data (store, &changed);
}

static void
test_no_folder (void)
{
  g_autofree char *file = app_test_path ("file");
  g_autofree char *below = g_build_filename (file, "library", NULL);
  g_autoptr (GError) error = NULL;

  app_test_write (file, "x");
  g_assert_null (machine_store_open (below, &error));
  g_assert_nonnull (error);
  g_assert_nonnull (strstr (error->message, below));
}

int
main (int argc, char **argv)
{
  app_test_init (&argc, &argv);
  g_test_add_func ("/machine-store/create", test_create);
  g_test_add_func ("/machine-store/odd-names", test_odd_names);
  g_test_add_func ("/machine-store/rename", test_rename);
  g_test_add_func ("/machine-store/delete-and-undo", test_delete_and_undo);
  g_test_add_func ("/machine-store/purge", test_purge);
  g_test_add_func ("/machine-store/delete-locked", test_delete_locked);
  g_test_add_func ("/machine-store/broken", test_broken);
  g_test_add_func ("/machine-store/foreign-things", test_foreign_things);
  g_test_add_func ("/machine-store/drafts", test_drafts);
  g_test_add_func ("/machine-store/watched", test_watched);
  g_test_add_func ("/machine-store/no-folder", test_no_folder);
  return g_test_run ();
}
