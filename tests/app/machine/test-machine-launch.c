#include "machine/machine-launch.h"

#include "app-test.h"

#include <string.h>
#include <unistd.h>
#include <glib/gstdio.h>

/* A folder with the files that make_settings () names. */
static const char *
make_folder (void)
{
  static const char *const files[] = { "kernel", "initrd", "disk,1.raw", "seed.iso", "cd.iso" };
  const char *folder = app_test_folder ();

  for (guint i = 0; i < G_N_ELEMENTS (files); i++)
    {
      g_autofree char *path = g_build_filename (folder, files[i], NULL);

      app_test_write (path, "x");
    }
  return folder;
}

static MachineSettings *
make_settings (void)
{
  MachineSettings *settings = machine_settings_new ("Name, with; odd \"signs\"");

  machine_settings_set_cpus (settings, 3);
  machine_settings_set_memory (settings, 768 << 20);
  machine_settings_set_firmware (settings, MACHINE_FIRMWARE_LINUX);
  machine_settings_set_kernel (settings, "kernel");
  machine_settings_set_initrd (settings, "initrd");
  machine_settings_set_cmdline (settings, "console=ttyS0 a=\"b c\"");
  machine_settings_add_disk (settings, "disk,1.raw", MACHINE_DISK_RAW, FALSE);
  machine_settings_add_disk (settings, "seed.iso", MACHINE_DISK_RAW, TRUE);
  machine_settings_set_cdrom (settings, "cd.iso");
  return settings;
}

static char *
join (MachineSettings *settings, const char *folder, GError **error)
{
  g_auto (GStrv) argv =
      machine_launch_build_argv (settings, folder, "/vmm", "/run/control.sock", error);

  return argv != NULL ? g_strjoinv ("\n", argv) : NULL;
}

static void
test_argv_linux (void)
{
  const char *folder = make_folder ();
  g_autoptr (MachineSettings) settings = make_settings ();
  g_autoptr (GError) error = NULL;
  g_autofree char *argv = join (settings, folder, &error);
  g_autofree char *expected = g_strdup_printf (
      "/vmm\n--name\nName, with; odd \"signs\"\n--cpus\n3\n--memory\n768M\n"
      "--kernel\n%1$s/kernel\n--initrd\n%1$s/initrd\n--cmdline\nconsole=ttyS0 a=\"b c\"\n"
      "--disk\nfile=%1$s/disk,,1.raw,format=raw\n"
      "--disk\nfile=%1$s/seed.iso,format=raw,readonly=on\n--cdrom\n%1$s/cd.iso\n"
      "--net\nuser\n--serial\nnone\n--display\nnone\n--control\nunix:/run/control.sock\n"
      "--accel\nauto",
      folder);

  g_assert_no_error (error);
  g_assert_cmpstr (argv, ==, expected);
}

static void
test_argv_uefi (void)
{
  const char *folder = make_folder ();
  g_autoptr (MachineSettings) settings = machine_settings_new ("x");
  g_autoptr (GError) error = NULL;
  g_autofree char *nvram = g_strdup_printf ("--firmware\nuefi\n--nvram\n%s/nvram.fd\n", folder);
  g_autofree char *serial = g_strdup_printf ("--serial\nfile=%s/a,,b.log\n", folder);
  g_autofree char *argv = NULL;

  machine_settings_set_nvram (settings, "nvram.fd");
  machine_settings_set_serial (settings, "a,b.log");
  machine_settings_set_network (settings, MACHINE_NETWORK_NONE);
  argv = join (settings, folder, &error);
  g_assert_no_error (error);
  g_assert_nonnull (strstr (argv, nvram));
  g_assert_nonnull (strstr (argv, serial));
  g_assert_nonnull (strstr (argv, "--net\nnone\n"));
  g_assert_null (strstr (argv, "--kernel"));
  g_assert_null (strstr (argv, "--disk\n"));
  g_assert_nonnull (strstr (argv, "--cdrom\nnone\n")); /* a drive for what comes later */
}

/* What is not there is said by its name, before anything is started. */
static void
test_missing_files (void)
{
  static const char *const files[] = { "kernel", "initrd", "disk,1.raw", "cd.iso" };

  for (guint i = 0; i < G_N_ELEMENTS (files); i++)
    {
      const char *folder = make_folder ();
      g_autoptr (MachineSettings) settings = make_settings ();
      g_autofree char *path = g_build_filename (folder, files[i], NULL);
      g_autoptr (GError) error = NULL;

      g_assert_no_errno (g_unlink (path));
      g_assert_null (join (settings, folder, &error));
      app_test_assert_error (error, G_IO_ERROR, G_IO_ERROR_NOT_FOUND, path);
      g_assert_no_errno (g_mkdir (path, 0700));
      g_assert_null (join (settings, folder, &error));
      app_test_assert_error (error, G_IO_ERROR, G_IO_ERROR_IS_DIRECTORY, path);
    }
}

static void
test_bad_values (void)
{
  g_autoptr (MachineSettings) settings = make_settings ();
  const char *folder = make_folder ();
  g_autofree char *longer = g_strnfill (108, 'x');
  g_autoptr (GError) error = NULL;

  g_assert_null (machine_launch_build_argv (settings, folder, "/vmm", longer, &error));
  app_test_assert_error (error, G_IO_ERROR, G_IO_ERROR_FILENAME_TOO_LONG, "ALCOVE_RUNTIME_DIR");
  machine_settings_set_cpus (settings, 1000);
  g_assert_null (join (settings, folder, &error));
  app_test_assert_error (error, MACHINE_SETTINGS_ERROR, MACHINE_SETTINGS_ERROR_INVALID,
                         "1000 processors");
}

/* Fits into a socket's address however long the machine's name is, and differs by folder. */
static void
test_control_path (void)
{
  g_autofree char *name = g_strnfill (200, 'n');
  g_autofree char *one = g_strconcat ("/library/", name, NULL);
  g_autofree char *other = g_strconcat ("/other/", name, NULL);
  g_autofree char *one_path = NULL;
  g_autofree char *again = NULL;
  g_autofree char *other_path = NULL;

  one_path = machine_launch_dup_control_path (one);
  again = machine_launch_dup_control_path (one);
  other_path = machine_launch_dup_control_path (other);
  g_assert_cmpstr (one_path, ==, again);
  g_assert_cmpstr (one_path, !=, other_path);
  g_assert_cmpuint (strlen (one_path) - strlen (g_getenv ("ALCOVE_RUNTIME_DIR")), <, 60);
}

static void
test_last_line (void)
{
  const char *folder = app_test_folder ();
  g_autofree char *path = g_build_filename (folder, MACHINE_LAUNCH_LOG, NULL);
  g_autofree char *noise = g_strnfill (100000, '\xff');
  g_autofree char *text = g_strconcat (noise, "\nfirst\n the last \n\n\n", NULL);
  char *line = machine_launch_dup_last_line (folder);

  g_assert_null (line);
  app_test_write (path, text);
  line = machine_launch_dup_last_line (folder);
  g_assert_cmpstr (line, ==, "the last");
  g_free (line);
  app_test_write (path, noise);
  line = machine_launch_dup_last_line (folder);
  g_assert_true (g_utf8_validate (line, -1, NULL));
  g_free (line);
  app_test_write (path, "");
  g_assert_null (machine_launch_dup_last_line (folder));
}

static void
test_no_program (void)
{
  g_autoptr (GError) error = NULL;

  g_setenv ("ALCOVE_VMM", "/nonexistent/vmm", TRUE);
  g_assert_null (machine_launch_find_vmm (&error));
  app_test_assert_error (error, G_IO_ERROR, G_IO_ERROR_NOT_FOUND, "/nonexistent/vmm");
}

/* --- with a program that stands for the VMM ------------------------------------------------ */

static MachineControl *
launch (const char *folder, const char *mode, GCancellable *cancellable, GSubprocess **child,
        GError **error)
{
  g_autoptr (MachineSettings) settings = machine_settings_new ("x");
  g_autoptr (GAsyncResult) result = NULL;
  AppTestWait wait = { NULL };

  g_setenv ("ALCOVE_VMM", FAKE_VMM, TRUE);
  g_setenv ("FAKE_VMM", mode, TRUE);
  machine_launch_async (settings, folder, -1, cancellable, app_test_callback, &wait);
  if (cancellable != NULL)
    g_cancellable_cancel (cancellable);
  result = app_test_wait (&wait);
  return machine_launch_finish (result, child, error);
}

static void
test_start (void)
{
  const char *folder = app_test_folder ();
  g_autoptr (GSubprocess) child = NULL;
  g_autoptr (GError) error = NULL;
  g_autoptr (MachineControl) control = launch (folder, "", NULL, &child, &error);

  g_assert_no_error (error);
  g_assert_nonnull (g_subprocess_get_identifier (child));
  machine_control_execute_async (control, "quit", NULL, NULL, NULL, NULL);
  while (machine_control_is_open (control))
    g_main_context_iteration (NULL, TRUE);
  g_assert_true (g_subprocess_wait (child, NULL, NULL));
}

static void
test_dies (void)
{
  g_autoptr (GError) error = NULL;

  g_assert_null (launch (app_test_folder (), "die", NULL, NULL, &error));
  app_test_assert_error (error, G_IO_ERROR, G_IO_ERROR_FAILED,
                         "did not start: fake-vmm: the disk is upside down");
}

static void
test_cancelled (void)
{
  g_autoptr (GCancellable) cancellable = g_cancellable_new ();
  g_autoptr (GError) error = NULL;

  g_assert_null (launch (app_test_folder (), "deaf", cancellable, NULL, &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_CANCELLED);
}

/* A folder for the socket that others can write to is not used. */
static void
test_unsafe_folder (void)
{
  const char *folder = app_test_folder ();
  g_autofree char *path = machine_launch_dup_control_path (folder);
  g_autofree char *parent = g_path_get_dirname (path);
  g_autoptr (GError) error = NULL;

  g_assert_no_errno (g_mkdir_with_parents (parent, 0700));
  g_assert_no_errno (g_chmod (parent, 0777));
  g_assert_null (launch (folder, "", NULL, NULL, &error));
  app_test_assert_error (error, G_IO_ERROR, G_IO_ERROR_PERMISSION_DENIED, parent);
}

int
main (int argc, char **argv)
{
  app_test_init (&argc, &argv);
  g_test_add_func ("/machine-launch/argv-linux", test_argv_linux);
  g_test_add_func ("/machine-launch/argv-uefi", test_argv_uefi);
  g_test_add_func ("/machine-launch/missing-files", test_missing_files);
  g_test_add_func ("/machine-launch/bad-values", test_bad_values);
  g_test_add_func ("/machine-launch/control-path", test_control_path);
  g_test_add_func ("/machine-launch/last-line", test_last_line);
  g_test_add_func ("/machine-launch/no-program", test_no_program);
  g_test_add_func ("/machine-launch/start", test_start);
  g_test_add_func ("/machine-launch/dies", test_dies);
  g_test_add_func ("/machine-launch/cancelled", test_cancelled);
  g_test_add_func ("/machine-launch/unsafe-folder", test_unsafe_folder);
  return g_test_run ();
}
