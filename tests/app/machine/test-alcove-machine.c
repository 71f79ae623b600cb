#include "machine/machine-store.h"

#include "app-test.h"
#include "machine/alcove-machine-private.h"
#include "machine/machine-launch.h"
#include "machine/machine-lock.h"
#include "machine/machine-thumbnail.h"

#include <signal.h>
#include <unistd.h>
#include <glib/gstdio.h>
#include <libglib-testing/signal-logger.h>

typedef void (*Start) (AlcoveMachine *, GCancellable *, GAsyncReadyCallback, gpointer);
typedef gboolean (*Finish) (AlcoveMachine *, GAsyncResult *, GError **);

static AlcoveMachine *
make_machine (void)
{
  const char *folder = app_test_folder ();
  g_autofree char *path = g_build_filename (folder, MACHINE_SETTINGS_FILE, NULL);
  g_autoptr (MachineSettings) settings = machine_settings_new ("Test");
  g_autoptr (GError) error = NULL;

  g_assert_true (machine_settings_save (settings, path, &error));
  return alcove_machine_new (folder);
}

static gboolean
run (AlcoveMachine *machine, Start start, Finish finish, GError **error)
{
  AppTestWait wait = { NULL };
  g_autoptr (GAsyncResult) result = NULL;

  start (machine, NULL, app_test_callback, &wait);
  result = app_test_wait (&wait);
  return finish (machine, result, error);
}

#define RUN(machine, verb, error)                                                                  \
  run (machine, alcove_machine_##verb##_async, alcove_machine_##verb##_finish, error)

static void
start (AlcoveMachine *machine, const char *mode)
{
  g_autoptr (GError) error = NULL;

  g_setenv ("FAKE_VMM", mode, TRUE);
  RUN (machine, start, &error);
  g_assert_no_error (error);
}

static void
wait_for_state (AlcoveMachine *machine, MachineState state)
{
  while (alcove_machine_get_state (machine) != state)
    g_main_context_iteration (NULL, TRUE);
}

static void
assert_state_notified (GtSignalLogger *logger, AlcoveMachine *machine)
{
  gt_signal_logger_assert_notify_emission_pop (logger, machine, "state");
}

/* Each change of state is told, once, and is that of the property. */
static void
test_life (void)
{
  g_autoptr (AlcoveMachine) machine = make_machine ();
  g_autoptr (GtSignalLogger) logger = gt_signal_logger_new ();
  g_autoptr (GError) error = NULL;
  int status = -2;
  gboolean crashed = TRUE;

  gt_signal_logger_connect (logger, machine, "notify::state");
  gt_signal_logger_connect (logger, machine, "ended");
  g_assert_cmpint (alcove_machine_get_state (machine), ==, MACHINE_STATE_STOPPED);
  start (machine, "");
  g_assert_cmpint (alcove_machine_get_state (machine), ==, MACHINE_STATE_RUNNING);
  g_assert_cmpint (alcove_machine_get_accelerator (machine), ==, MACHINE_ACCELERATOR_EMULATED);
  g_assert_true (alcove_machine_is_active (machine));
  g_assert_true (machine_lock_is_held (alcove_machine_get_folder (machine), NULL, NULL));
  assert_state_notified (logger, machine); /* starting */
  assert_state_notified (logger, machine); /* running */
  gt_signal_logger_assert_no_emissions (logger);

  g_assert_false (RUN (machine, start, &error));
  app_test_assert_error (error, G_IO_ERROR, G_IO_ERROR_BUSY, "“Test” is running already");

  g_assert_true (RUN (machine, pause, &error));
  wait_for_state (machine, MACHINE_STATE_PAUSED);
  g_assert_true (RUN (machine, resume, &error));
  wait_for_state (machine, MACHINE_STATE_RUNNING);
  g_assert_true (RUN (machine, reset, &error));
  assert_state_notified (logger, machine);
  assert_state_notified (logger, machine);
  gt_signal_logger_assert_no_emissions (logger);

  g_assert_true (RUN (machine, shut_down, &error));
  g_assert_no_error (error);
  wait_for_state (machine, MACHINE_STATE_STOPPED);
  assert_state_notified (logger, machine); /* stopping */
  assert_state_notified (logger, machine); /* stopped */
  gt_signal_logger_assert_emission_pop (logger, machine, "ended", &status, &crashed);
  g_assert_cmpint (status, ==, 0);
  g_assert_false (crashed);
  gt_signal_logger_assert_no_emissions (logger);
  g_assert_null (alcove_machine_get_last_error (machine));
  g_assert_false (alcove_machine_is_active (machine));
  g_assert_false (machine_lock_is_held (alcove_machine_get_folder (machine), NULL, NULL));

  g_assert_false (RUN (machine, pause, &error));
  app_test_assert_error (error, G_IO_ERROR, G_IO_ERROR_CLOSED, "“Test” is not running");
}

static void
test_does_not_start (void)
{
  g_autoptr (AlcoveMachine) machine = make_machine ();
  g_autoptr (GError) error = NULL;

  g_setenv ("FAKE_VMM", "die", TRUE);
  g_assert_false (RUN (machine, start, &error));
  app_test_assert_error (error, G_IO_ERROR, G_IO_ERROR_FAILED, "the disk is upside down");
  g_assert_cmpint (alcove_machine_get_state (machine), ==, MACHINE_STATE_CRASHED);
  g_assert_nonnull (strstr (alcove_machine_get_last_error (machine), "the disk is upside down"));
  g_assert_false (machine_lock_is_held (alcove_machine_get_folder (machine), NULL, NULL));
  /* It can be started again, and then the error is gone. */
  start (machine, "");
  g_assert_null (alcove_machine_get_last_error (machine));
  g_assert_true (RUN (machine, force_off, &error));
}

static void
test_crash (void)
{
  g_autoptr (AlcoveMachine) machine = make_machine ();
  g_autoptr (GtSignalLogger) logger = gt_signal_logger_new ();
  g_autoptr (GError) error = NULL;
  gboolean crashed = FALSE;
  int status = 0;

  start (machine, "crash");
  gt_signal_logger_connect (logger, machine, "ended");
  g_assert_false (RUN (machine, pause, &error));
  g_assert_nonnull (error);
  wait_for_state (machine, MACHINE_STATE_CRASHED);
  gt_signal_logger_assert_emission_pop (logger, machine, "ended", &status, &crashed);
  g_assert_cmpint (status, ==, 3);
  g_assert_true (crashed);
  g_assert_nonnull (strstr (alcove_machine_get_last_error (machine), "guest system crashed"));
}

static void
test_force_off (void)
{
  g_autoptr (AlcoveMachine) machine = make_machine ();
  g_autoptr (GError) error = NULL;

  start (machine, "");
  g_assert_true (RUN (machine, force_off, &error));
  g_assert_no_error (error);
  g_assert_cmpint (alcove_machine_get_state (machine), ==, MACHINE_STATE_STOPPED);
  g_assert_true (RUN (machine, force_off, &error)); /* off already */
}

/* A guest that does not mind its power button runs on, and can be asked again; a paused one is woken for it. */
static void
test_shut_down_ignored (void)
{
  g_autoptr (AlcoveMachine) machine = make_machine ();
  g_autoptr (GError) error = NULL;

  machine->shut_down_patience_ms = 50;
  start (machine, "stubborn");
  g_assert_true (RUN (machine, pause, &error));
  wait_for_state (machine, MACHINE_STATE_PAUSED);
  for (guint i = 0; i < 2; i++)
    {
      g_assert_true (RUN (machine, shut_down, &error));
      g_assert_no_error (error);
      g_assert_cmpint (alcove_machine_get_state (machine), ==, MACHINE_STATE_STOPPING);
      wait_for_state (machine, MACHINE_STATE_RUNNING);
    }
  machine->shut_down_patience_ms = 60000;
  g_assert_true (RUN (machine, shut_down, &error));
  g_assert_true (RUN (machine, shut_down, &error));
  g_assert_cmpint (alcove_machine_get_state (machine), ==, MACHINE_STATE_STOPPING);
  g_assert_true (RUN (machine, force_off, &error));
}

/* Somebody else starts the machine in the moment after its VMM ended: the socket is his. */
static void
test_next_ones_socket (void)
{
  g_autoptr (AlcoveMachine) machine = make_machine ();
  const char *folder = alcove_machine_get_folder (machine);
  g_autofree char *path = machine_launch_dup_control_path (folder);
  g_autoptr (GError) error = NULL;
  GPid pid = 0;
  int fd;

  start (machine, "");
  g_assert_true (machine_lock_is_held (folder, NULL, &pid));
  g_assert_no_errno (kill (pid, SIGKILL));
  do
    fd = machine_lock_take (folder, "another", NULL);
  while (fd < 0);
  g_unlink (path);
  app_test_write (path, "");
  while (alcove_machine_is_active (machine))
    g_main_context_iteration (NULL, TRUE);
  g_assert_true (app_test_exists (path));
  close (fd);
  g_assert_true (RUN (machine, reconnect, &error));
  g_assert_false (app_test_exists (path));
}

/* While it starts: a VMM that never answers is given up. */
static void
test_force_off_starting (void)
{
  g_autoptr (AlcoveMachine) machine = make_machine ();
  g_autoptr (GAsyncResult) result = NULL;
  g_autoptr (GError) error = NULL;
  AppTestWait wait = { NULL };

  g_setenv ("FAKE_VMM", "deaf", TRUE);
  alcove_machine_start_async (machine, NULL, app_test_callback, &wait);
  g_assert_cmpint (alcove_machine_get_state (machine), ==, MACHINE_STATE_STARTING);
  g_assert_true (RUN (machine, force_off, &error));
  result = app_test_wait (&wait);
  g_assert_false (alcove_machine_start_finish (machine, result, &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_CANCELLED);
  g_assert_cmpint (alcove_machine_get_state (machine), ==, MACHINE_STATE_STOPPED);
  g_assert_null (alcove_machine_get_last_error (machine));
}

/* The lock is held: the other's name is in the error, and nothing is touched. */
static void
test_somebody_elses (void)
{
  g_autoptr (AlcoveMachine) machine = make_machine ();
  g_autoptr (GError) error = NULL;
  int fd = machine_lock_take (alcove_machine_get_folder (machine), "backup", &error);

  g_assert_no_error (error);
  g_assert_false (RUN (machine, start, &error));
  app_test_assert_error (error, G_IO_ERROR, G_IO_ERROR_BUSY, "in use by backup");
  close (fd);
}

/* The app goes, the machine stays; a new app finds it running and can turn it off. */
static void
test_outlives (void)
{
  g_autoptr (AlcoveMachine) machine = make_machine ();
  g_autofree char *folder = g_strdup (alcove_machine_get_folder (machine));
  g_autoptr (AlcoveMachine) again = NULL;
  g_autoptr (GtSignalLogger) logger = gt_signal_logger_new ();
  g_autoptr (GError) error = NULL;
  gboolean crashed = TRUE;
  int status = 0;

  start (machine, "");
  machine_control_close (alcove_machine_get_control (machine));
  g_clear_object (&machine);
  g_assert_true (machine_lock_is_held (folder, NULL, NULL));
  again = alcove_machine_new (folder);
  g_assert_cmpint (alcove_machine_get_state (again), ==, MACHINE_STATE_STOPPED);
  g_assert_true (RUN (again, reconnect, &error));
  g_assert_cmpint (alcove_machine_get_state (again), ==, MACHINE_STATE_RUNNING);
  g_assert_cmpint (alcove_machine_get_accelerator (again), ==, MACHINE_ACCELERATOR_EMULATED);
  gt_signal_logger_connect (logger, again, "ended");
  g_assert_true (RUN (again, force_off, &error));
  g_assert_cmpint (alcove_machine_get_state (again), ==, MACHINE_STATE_STOPPED);
  gt_signal_logger_assert_emission_pop (logger, again, "ended", &status, &crashed);
  g_assert_false (crashed);
}

/* Only the connection breaks: the machine runs on, and we find back to it. */
static void
test_connection_lost (void)
{
  g_autoptr (AlcoveMachine) machine = make_machine ();
  g_autoptr (GError) error = NULL;

  start (machine, "");
  machine_control_close (alcove_machine_get_control (machine));
  while (alcove_machine_get_control (machine) == NULL)
    g_main_context_iteration (NULL, TRUE);
  g_assert_cmpint (alcove_machine_get_state (machine), ==, MACHINE_STATE_RUNNING);
  g_assert_true (RUN (machine, pause, &error));
  wait_for_state (machine, MACHINE_STATE_PAUSED);
  g_assert_true (RUN (machine, force_off, &error));
}

static void
check_display (const char *mode, const char *expected)
{
  g_autoptr (AlcoveMachine) machine = make_machine ();
  g_autoptr (GAsyncResult) result = NULL;
  g_autoptr (GError) error = NULL;
  AppTestWait wait = { NULL };
  char said[64] = "";
  int fd;

  start (machine, mode);
  alcove_machine_open_display_async (machine, NULL, app_test_callback, &wait);
  result = app_test_wait (&wait);
  fd = alcove_machine_open_display_finish (machine, result, &error);
  g_assert_no_error (error);
  g_assert_cmpint (read (fd, said, sizeof said - 1), >, 0);
  g_assert_cmpstr (said, ==, expected);
  close (fd);
  g_assert_true (RUN (machine, force_off, &error));
}

static void
test_display (void)
{
  check_display ("", "add_client");
  check_display ("own-display", "x-alcove-add-client");
}

static void
test_thumbnail (void)
{
  g_autoptr (AlcoveMachine) machine = make_machine ();
  g_autofree char *path =
      g_build_filename (alcove_machine_get_folder (machine), MACHINE_THUMBNAIL_FILE, NULL);
  g_autoptr (GError) error = NULL;

  g_assert_null (alcove_machine_get_thumbnail (machine));
  start (machine, "");
  alcove_machine_watch_thumbnail (machine);
  while (alcove_machine_get_thumbnail (machine) == NULL)
    g_main_context_iteration (NULL, TRUE);
  g_assert_cmpstr (alcove_machine_get_thumbnail (machine), ==, path);

  /* One of two who watch has seen enough: for the other it goes on. */
  alcove_machine_watch_thumbnail (machine);
  alcove_machine_unwatch_thumbnail (machine);
  g_assert_cmpuint (machine->thumbnail_source, !=, 0);
  alcove_machine_unwatch_thumbnail (machine);
  g_assert_cmpuint (machine->thumbnail_source, ==, 0);
  g_assert_true (RUN (machine, force_off, &error));
}

/* What the VMM writes is no picture: the old one stays. */
static void
test_bad_thumbnail (void)
{
  g_autoptr (AlcoveMachine) machine = make_machine ();
  const char *folder = alcove_machine_get_folder (machine);
  g_autofree char *path = g_build_filename (folder, MACHINE_THUMBNAIL_FILE, NULL);
  g_autofree char *temporary = g_strconcat (path, ".new", NULL);
  g_autoptr (GAsyncResult) result = NULL;
  g_autoptr (GError) error = NULL;
  g_autofree char *text = NULL;
  AppTestWait wait = { NULL };

  app_test_write (path, "the old picture");
  start (machine, "no-thumb");
  machine_thumbnail_save_async (alcove_machine_get_control (machine), folder, NULL,
                                app_test_callback, &wait);
  result = app_test_wait (&wait);
  g_assert_false (machine_thumbnail_save_finish (result, &error));
  app_test_assert_error (error, G_IO_ERROR, G_IO_ERROR_INVALID_DATA, "not a PNG");
  text = app_test_read (path);
  g_assert_cmpstr (text, ==, "the old picture");
  g_assert_false (app_test_exists (temporary));
  g_assert_true (RUN (machine, force_off, &error));
}

/* Another program writes machine.ini: its values come; damage while it is stopped shows as broken,
 * and mending it heals. */
static void
test_settings_change (void)
{
  g_autoptr (AlcoveMachine) machine = make_machine ();
  g_autofree char *path =
      g_build_filename (alcove_machine_get_folder (machine), MACHINE_SETTINGS_FILE, NULL);
  g_autoptr (MachineSettings) settings = machine_settings_new ("New name");
  g_autoptr (GError) error = NULL;

  g_assert_true (machine_settings_save (settings, path, &error));
  while (g_strcmp0 (alcove_machine_get_name (machine), "New name") != 0)
    g_main_context_iteration (NULL, TRUE);
  app_test_write (path, "garbage");
  wait_for_state (machine, MACHINE_STATE_BROKEN);
  g_assert_nonnull (alcove_machine_get_last_error (machine));
  g_assert_false (RUN (machine, start, &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_INVALID_DATA);
  g_clear_error (&error);
  g_assert_true (machine_settings_save (settings, path, &error));
  wait_for_state (machine, MACHINE_STATE_STOPPED);
}

/* The smallest file that is a disc. */
static char *
make_disc (void)
{
  char *path = app_test_path ("disc.iso");
  g_autofree char *bytes = g_malloc0 (17 * 2048);

  memcpy (bytes + 16 * 2048, "\1CD001\1", 7);
  bytes[16 * 2048 + 80] = 17;
  g_assert_true (g_file_set_contents (path, bytes, 17 * 2048, NULL));
  return path;
}

static gboolean
change_disc (AlcoveMachine *machine, const char *file, gboolean force, GError **error)
{
  AppTestWait wait = { NULL };
  g_autoptr (GAsyncResult) result = NULL;

  alcove_machine_change_disc_async (machine, file, force, NULL, app_test_callback, &wait);
  result = app_test_wait (&wait);
  return alcove_machine_change_disc_finish (machine, result, error);
}

/* What the drive was told, and what the machine's next start will have in it. */
static void
assert_disc (AlcoveMachine *machine, const char *told, const char *saved)
{
  g_autofree char *path = g_build_filename (alcove_machine_get_folder (machine), "disc", NULL);
  g_autofree char *ini =
      g_build_filename (alcove_machine_get_folder (machine), MACHINE_SETTINGS_FILE, NULL);
  g_autoptr (MachineSettings) settings = machine_settings_load (ini, NULL);
  g_autofree char *text = app_test_exists (path) ? app_test_read (path) : NULL;

  g_assert_cmpstr (text, ==, told);
  g_assert_cmpstr (machine_settings_get_cdrom (alcove_machine_get_settings (machine)), ==, saved);
  g_assert_cmpstr (machine_settings_get_cdrom (settings), ==, saved);
}

static void
test_disc (void)
{
  g_autoptr (AlcoveMachine) machine = make_machine ();
  g_autofree char *disc = make_disc ();
  g_autofree char *told = g_strconcat ("blockdev-change-medium ", disc, NULL);
  g_autoptr (GError) error = NULL;

  g_assert_true (change_disc (machine, disc, FALSE, &error));
  assert_disc (machine, NULL, disc);
  start (machine, "");
  g_assert_true (change_disc (machine, NULL, FALSE, &error));
  assert_disc (machine, "eject -", NULL);
  g_assert_true (change_disc (machine, disc, FALSE, &error));
  assert_disc (machine, told, disc);
  g_assert_false (change_disc (machine, alcove_machine_get_folder (machine), FALSE, &error));
  app_test_assert_error (error, G_IO_ERROR, G_IO_ERROR_IS_DIRECTORY, "is a folder");
  assert_disc (machine, told, disc);
  g_assert_true (RUN (machine, force_off, &error));
  g_assert_true (change_disc (machine, NULL, FALSE, &error));
  assert_disc (machine, told, NULL);
}

/* A disc that is held, or no drive: nothing changes, not for the next start either. */
static void
test_disc_refused (void)
{
  g_autoptr (AlcoveMachine) machine = make_machine ();
  g_autoptr (AlcoveMachine) other = make_machine ();
  g_autofree char *disc = make_disc ();
  g_autoptr (GError) error = NULL;

  g_assert_true (change_disc (machine, disc, FALSE, &error));
  start (machine, "held-disc");
  g_assert_false (change_disc (machine, NULL, FALSE, &error));
  app_test_assert_error (error, MACHINE_CONTROL_ERROR, MACHINE_CONTROL_ERROR_GENERIC, "held");
  assert_disc (machine, NULL, disc);
  g_assert_true (change_disc (machine, NULL, TRUE, &error));
  assert_disc (machine, "eject -", NULL);
  g_assert_true (RUN (machine, force_off, &error));

  start (other, "no-drive");
  g_assert_false (change_disc (other, disc, FALSE, &error));
  app_test_assert_error (error, G_IO_ERROR, G_IO_ERROR_NOT_SUPPORTED, "without a CD-ROM drive");
  assert_disc (other, NULL, NULL);
  g_assert_true (RUN (other, force_off, &error));
}

int
main (int argc, char **argv)
{
  app_test_init (&argc, &argv);
  g_setenv ("ALCOVE_VMM", FAKE_VMM, TRUE);
  g_test_add_func ("/alcove-machine/life", test_life);
  g_test_add_func ("/alcove-machine/does-not-start", test_does_not_start);
  g_test_add_func ("/alcove-machine/crash", test_crash);
  g_test_add_func ("/alcove-machine/force-off", test_force_off);
  g_test_add_func ("/alcove-machine/shut-down-ignored", test_shut_down_ignored);
  g_test_add_func ("/alcove-machine/next-ones-socket", test_next_ones_socket);
  g_test_add_func ("/alcove-machine/force-off-starting", test_force_off_starting);
  g_test_add_func ("/alcove-machine/somebody-elses", test_somebody_elses);
  g_test_add_func ("/alcove-machine/outlives", test_outlives);
  g_test_add_func ("/alcove-machine/connection-lost", test_connection_lost);
  g_test_add_func ("/alcove-machine/disc", test_disc);
  g_test_add_func ("/alcove-machine/disc-refused", test_disc_refused);
  g_test_add_func ("/alcove-machine/display", test_display);
  g_test_add_func ("/alcove-machine/thumbnail", test_thumbnail);
  g_test_add_func ("/alcove-machine/bad-thumbnail", test_bad_thumbnail);
  g_test_add_func ("/alcove-machine/settings-change", test_settings_change);
  return g_test_run ();
}
