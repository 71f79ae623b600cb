#define G_LOG_DOMAIN "app-machine"

#include "machine/machine-launch.h"

#include "base/app-dirs.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>
#include <glib/gstdio.h>

/* The lock's number in the child. It has no meaning there but to be open. */
#define LOCK_FD_IN_CHILD 3

/* The VMM has to answer within this; a computer that starts many machines at once is slow. */
#define ANSWER_SECONDS   60
#define POLL_FIRST_MS    5
#define POLL_MAX_MS      100
#define LOG_TAIL         (8 * 1024)
#define CONTROL_NAME_MAX 24 /* of the folder's name, in the socket's path */

/* --- where things are ---------------------------------------------------------------------- */

char *
machine_launch_find_vmm (GError **error)
{
  static const char *const places[] = {
    "../vmm/alcove-vmm",    /* build/app/alcove */
    "../../vmm/alcove-vmm", /* build/tests/app/test-x */
    "alcove-vmm",           /* an installation moved as a whole */
  };
  const char *given = g_getenv ("ALCOVE_VMM");
  g_autofree char *self = g_file_read_link ("/proc/self/exe", NULL);
  g_autofree char *own_folder = self != NULL ? g_path_get_dirname (self) : NULL;
  char *found;

  if (given != NULL && given[0] != '\0')
    {
      if (g_file_test (given, G_FILE_TEST_IS_EXECUTABLE))
        return g_canonicalize_filename (given, NULL);
      g_set_error (error, G_IO_ERROR, G_IO_ERROR_NOT_FOUND,
                   "ALCOVE_VMM is “%s”, which is not a program", given);
      return NULL;
    }
  for (guint i = 0; own_folder != NULL && i < G_N_ELEMENTS (places); i++)
    {
      g_autofree char *path = g_canonicalize_filename (places[i], own_folder);

      if (g_file_test (path, G_FILE_TEST_IS_EXECUTABLE))
        return g_steal_pointer (&path);
    }
  if (g_file_test (ALCOVE_LIBEXECDIR "/alcove-vmm", G_FILE_TEST_IS_EXECUTABLE))
    return g_strdup (ALCOVE_LIBEXECDIR "/alcove-vmm");
  if (g_file_test (ALCOVE_BINDIR "/alcove-vmm", G_FILE_TEST_IS_EXECUTABLE))
    return g_strdup (ALCOVE_BINDIR "/alcove-vmm");
  found = g_find_program_in_path ("alcove-vmm");
  if (found == NULL)
    g_set_error (error, G_IO_ERROR, G_IO_ERROR_NOT_FOUND,
                 "The program alcove-vmm, which runs the machines, is not installed");
  return found;
}

/* RUNTIME/NAME-HASH/control.sock: the hash tells machines of the same name in two libraries
 * apart. */
char *
machine_launch_dup_control_path (const char *folder)
{
  g_autofree char *runtime = app_dirs_dup_runtime ();
  g_autofree char *absolute = g_canonicalize_filename (folder, NULL);
  g_autofree char *name = g_path_get_basename (absolute);
  g_autofree char *digest = g_compute_checksum_for_string (G_CHECKSUM_SHA256, absolute, -1);
  g_autofree char *unique = g_strdup_printf ("%.*s-%.8s", CONTROL_NAME_MAX, name, digest);

  return g_build_filename (runtime, unique, "control.sock", NULL);
}

/* --- the command line ---------------------------------------------------------------------- */

/* As QEMU has it: a comma within a value is doubled. */
static char *
escape_commas (const char *text)
{
  g_auto (GStrv) parts = g_strsplit (text, ",", -1);

  return g_strjoinv (",,", parts);
}

static char *
find_file (const char *folder, const char *file, const char *what, gboolean writable,
           GError **error)
{
  g_autofree char *path = machine_settings_resolve (folder, file);
  struct stat st;
  int saved_errno = 0;

  if (stat (path, &st) != 0 || access (path, writable ? R_OK | W_OK : R_OK) != 0)
    saved_errno = errno;
  if (saved_errno == ENOENT || saved_errno == ENOTDIR)
    g_set_error (error, G_IO_ERROR, G_IO_ERROR_NOT_FOUND,
                 "The machine's %s “%s” is missing: put it back, or choose another one in the "
                 "machine's settings",
                 what, path);
  else if (saved_errno != 0)
    g_set_error (error, G_IO_ERROR, g_io_error_from_errno (saved_errno),
                 "The machine's %s “%s” cannot be %s: %s", what, path,
                 writable ? "written" : "read", g_strerror (saved_errno));
  else if (S_ISDIR (st.st_mode))
    g_set_error (error, G_IO_ERROR, G_IO_ERROR_IS_DIRECTORY, "The machine's %s “%s” is a folder",
                 what, path);
  else
    return g_steal_pointer (&path);
  return NULL;
}

static void
take (GPtrArray *argv, const char *option, char *value)
{
  g_ptr_array_add (argv, g_strdup (option));
  g_ptr_array_add (argv, value);
}

static gboolean
add_file (GPtrArray *argv, const char *option, const char *folder, const char *file,
          const char *what, GError **error)
{
  char *path;

  if (file == NULL)
    return TRUE;
  path = find_file (folder, file, what, FALSE, error);
  if (path == NULL)
    return FALSE;
  take (argv, option, path);
  return TRUE;
}

static gboolean
add_boot (GPtrArray *argv, MachineSettings *settings, const char *folder, GError **error)
{
  const char *nvram = machine_settings_get_nvram (settings);
  const char *cmdline = machine_settings_get_cmdline (settings);

  if (machine_settings_get_firmware (settings) == MACHINE_FIRMWARE_UEFI)
    {
      take (argv, "--firmware", g_strdup ("uefi"));
      if (nvram != NULL)
        take (argv, "--nvram", machine_settings_resolve (folder, nvram));
      return TRUE;
    }
  if (!add_file (argv, "--kernel", folder, machine_settings_get_kernel (settings), "kernel",
                 error) ||
      !add_file (argv, "--initrd", folder, machine_settings_get_initrd (settings), "initrd", error))
    return FALSE;
  if (cmdline != NULL)
    take (argv, "--cmdline", g_strdup (cmdline));
  return TRUE;
}

static gboolean
add_disks (GPtrArray *argv, MachineSettings *settings, const char *folder, GError **error)
{
  for (guint i = 0; i < machine_settings_get_n_disks (settings); i++)
    {
      MachineDisk disk = machine_settings_get_disk (settings, i);
      g_autofree char *path = find_file (folder, disk.file, "disk", !disk.readonly, error);
      g_autofree char *escaped = NULL;

      if (path == NULL)
        return FALSE;
      escaped = escape_commas (path);
      take (argv, "--disk",
            g_strdup_printf ("file=%s,format=%s%s", escaped,
                             machine_disk_format_to_string (disk.format),
                             disk.readonly ? ",readonly=on" : ""));
    }
  if (machine_settings_get_cdrom (settings) != NULL)
    return add_file (argv, "--cdrom", folder, machine_settings_get_cdrom (settings), "CD-ROM image",
                     error);
  /* A drive for the discs that the user puts in while it runs. */
  if (machine_settings_get_firmware (settings) == MACHINE_FIRMWARE_UEFI)
    take (argv, "--cdrom", g_strdup ("none"));
  return TRUE;
}

char **
machine_launch_build_argv (MachineSettings *settings, const char *folder, const char *vmm,
                           const char *control_path, GError **error)
{
  g_autoptr (GPtrArray) argv = g_ptr_array_new_with_free_func (g_free);
  const char *serial = machine_settings_get_serial (settings);

  if (strlen (control_path) >= sizeof (((struct sockaddr_un *) NULL)->sun_path))
    {
      g_set_error (error, G_IO_ERROR, G_IO_ERROR_FILENAME_TOO_LONG,
                   "The path of the control socket, “%s”, is longer than the %d bytes that Linux "
                   "allows: set ALCOVE_RUNTIME_DIR to a shorter folder",
                   control_path, (int) sizeof (((struct sockaddr_un *) NULL)->sun_path) - 1);
      return NULL;
    }
  if (!machine_settings_validate (settings, error))
    return NULL;
  g_ptr_array_add (argv, g_strdup (vmm));
  take (argv, "--name", g_strdup (machine_settings_get_name (settings)));
  take (argv, "--cpus", g_strdup_printf ("%u", machine_settings_get_cpus (settings)));
  take (argv, "--memory",
        g_strdup_printf ("%" G_GUINT64_FORMAT "M", machine_settings_get_memory (settings) >> 20));
  if (!add_boot (argv, settings, folder, error) || !add_disks (argv, settings, folder, error))
    return NULL;
  take (
      argv, "--net",
      g_strdup (machine_settings_get_network (settings) == MACHINE_NETWORK_USER ? "user" : "none"));
  if (serial != NULL)
    {
      g_autofree char *path = machine_settings_resolve (folder, serial);
      g_autofree char *escaped = escape_commas (path);

      take (argv, "--serial", g_strdup_printf ("file=%s", escaped));
    }
  else
    take (argv, "--serial", g_strdup ("none"));
  take (argv, "--display", g_strdup ("none")); /* no socket: the screen comes by add_client */
  take (argv, "--control", g_strdup_printf ("unix:%s", control_path));
  take (argv, "--accel", g_strdup ("auto"));
  g_ptr_array_add (argv, NULL);
  return (char **) g_ptr_array_free (g_steal_pointer (&argv), FALSE);
}

char *
machine_launch_dup_last_line (const char *folder)
{
  g_autofree char *path = g_build_filename (folder, MACHINE_LAUNCH_LOG, NULL);
  g_autofree char *tail = g_malloc0 (LOG_TAIL + 1);
  g_autofree char *valid = NULL;
  g_auto (GStrv) lines = NULL;
  int fd = open (path, O_RDONLY | O_CLOEXEC);
  off_t size;

  if (fd < 0)
    return NULL;
  size = lseek (fd, 0, SEEK_END);
  if (size < 0 || pread (fd, tail, LOG_TAIL, MAX (0, size - LOG_TAIL)) < 0)
    tail[0] = '\0';
  close (fd);
  valid = g_utf8_make_valid (tail, -1);
  lines = g_strsplit (valid, "\n", -1);
  for (guint i = g_strv_length (lines); i > 0; i--)
    if (g_strstrip (lines[i - 1])[0] != '\0')
      return g_strdup (lines[i - 1]);
  return NULL;
}

/* --- starting ------------------------------------------------------------------------------ */

/* The task data of a launch. Three things can end it, whichever is first: the control socket
 * answers, the child ends, time or patience is up. */
typedef struct Launch
{
  char *folder;
  char *control_path;
  GSubprocess *child;
  GSource *poll;
  guint poll_ms;
  gint64 deadline; /* monotonic */
  gboolean done;
} Launch;

static gboolean poll_control (gpointer data);

static void
launch_free (Launch *launch)
{
  g_assert (launch->poll == NULL);
  g_clear_object (&launch->child);
  g_free (launch->folder);
  g_free (launch->control_path);
  g_free (launch);
}

static void
stop_polling (Launch *launch)
{
  if (launch->poll == NULL)
    return;
  g_source_destroy (launch->poll);
  g_clear_pointer (&launch->poll, g_source_unref);
}

static void
launch_fail (GTask *task, GError *error)
{
  Launch *launch = g_task_get_task_data (task);

  launch->done = TRUE;
  stop_polling (launch);
  g_subprocess_force_exit (launch->child);
  g_unlink (launch->control_path);
  g_task_return_error (task, error);
}

static void
schedule_poll (GTask *task)
{
  Launch *launch = g_task_get_task_data (task);

  stop_polling (launch);
  launch->poll = g_timeout_source_new (launch->poll_ms);
  launch->poll_ms = MIN (launch->poll_ms * 2, POLL_MAX_MS);
  g_source_set_callback (launch->poll, poll_control, g_object_ref (task), g_object_unref);
  g_source_attach (launch->poll, g_task_get_context (task));
}

static void
on_connected (GObject *source, GAsyncResult *result, gpointer data)
{
  g_autoptr (GTask) task = data;
  g_autoptr (GError) error = NULL;
  Launch *launch = g_task_get_task_data (task);
  g_autoptr (MachineControl) control = machine_control_connect_finish (result, &error);

  if (launch->done)
    return;
  if (control == NULL)
    {
      /* Not there yet, or the VMM has just become another program: as long as the child lives
       * there is hope. */
      g_debug ("launch: not yet: %s", error->message);
      schedule_poll (task);
      return;
    }
  launch->done = TRUE;
  stop_polling (launch);
  g_debug ("launch: answered by %s", machine_control_get_peer (control));
  g_task_return_pointer (task, g_steal_pointer (&control), g_object_unref);
}

static gboolean
poll_control (gpointer data)
{
  GTask *task = data;
  Launch *launch = g_task_get_task_data (task);
  g_autoptr (GTask) keep G_GNUC_UNUSED = g_object_ref (task);
  GError *error = NULL;

  stop_polling (launch);
  if (g_cancellable_set_error_if_cancelled (g_task_get_cancellable (task), &error))
    launch_fail (task, error);
  else if (g_get_monotonic_time () > launch->deadline)
    {
      g_autofree char *line = machine_launch_dup_last_line (launch->folder);

      launch_fail (task,
                   g_error_new (G_IO_ERROR, G_IO_ERROR_TIMED_OUT,
                                "The machine did not answer within %d seconds%s%s", ANSWER_SECONDS,
                                line != NULL ? ": " : "", line != NULL ? line : ""));
    }
  else if (access (launch->control_path, F_OK) == 0)
    machine_control_connect_async (launch->control_path, g_task_get_cancellable (task),
                                   on_connected, g_object_ref (task));
  else
    schedule_poll (task);
  return G_SOURCE_REMOVE;
}

static void
on_child_ended (GObject *source, GAsyncResult *result, gpointer data)
{
  g_autoptr (GTask) task = data;
  GSubprocess *child = G_SUBPROCESS (source);
  Launch *launch = g_task_get_task_data (task);
  g_autofree char *line = NULL;
  g_autofree char *how = NULL;

  g_subprocess_wait_finish (child, result, NULL);
  if (launch->done)
    return;
  line = machine_launch_dup_last_line (launch->folder);
  if (g_subprocess_get_if_signaled (child))
    how = g_strdup_printf ("signal %d", g_subprocess_get_term_sig (child));
  else
    how = g_strdup_printf ("exit status %d", g_subprocess_get_exit_status (child));
  if (line != NULL)
    launch_fail (
        task, g_error_new (G_IO_ERROR, G_IO_ERROR_FAILED, "The machine did not start: %s", line));
  else
    launch_fail (task, g_error_new (G_IO_ERROR, G_IO_ERROR_FAILED,
                                    "The machine did not start: alcove-vmm ended with %s and said "
                                    "nothing",
                                    how));
}

/* Between fork and exec: async-signal-safe calls only. */
static void
detach_child (gpointer data)
{
  setsid ();
  signal (SIGPIPE, SIG_DFL);
}

static int
open_log (const char *folder, GError **error)
{
  g_autofree char *path = g_build_filename (folder, MACHINE_LAUNCH_LOG, NULL);
  g_autofree char *previous = g_strconcat (path, ".1", NULL);
  int fd;

  g_rename (path, previous);
  fd = open (path, O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_NOFOLLOW | O_CLOEXEC, 0600);
  if (fd < 0)
    {
      int saved_errno = errno;

      g_set_error (error, G_IO_ERROR, g_io_error_from_errno (saved_errno),
                   "Cannot write the machine's log “%s”: %s", path, g_strerror (saved_errno));
    }
  return fd;
}

/* The folder of the socket: ours alone, and without the socket of a VMM that is gone. The caller
 * holds the machine's lock, so nobody listens there. */
static gboolean
prepare_control_folder (const char *control_path, GError **error)
{
  g_autofree char *folder = g_path_get_dirname (control_path);
  struct stat st;

  if (g_mkdir_with_parents (folder, 0700) != 0 || lstat (folder, &st) != 0)
    {
      int saved_errno = errno;

      g_set_error (error, G_IO_ERROR, g_io_error_from_errno (saved_errno),
                   "Cannot make the folder “%s”: %s", folder, g_strerror (saved_errno));
      return FALSE;
    }
  if (!S_ISDIR (st.st_mode) || st.st_uid != geteuid () || (st.st_mode & 0022) != 0)
    {
      g_set_error (error, G_IO_ERROR, G_IO_ERROR_PERMISSION_DENIED,
                   "“%s” is not a folder that only you can write to", folder);
      return FALSE;
    }
  g_unlink (control_path);
  return TRUE;
}

static GSubprocess *
spawn (const char *const *argv, const char *folder, int lock_fd, GError **error)
{
  g_autoptr (GSubprocessLauncher) launcher = g_subprocess_launcher_new (G_SUBPROCESS_FLAGS_NONE);
  int log_fd = open_log (folder, error);

  if (log_fd < 0)
    return NULL;
  g_subprocess_launcher_take_stdout_fd (launcher, fcntl (log_fd, F_DUPFD_CLOEXEC, 0));
  g_subprocess_launcher_take_stderr_fd (launcher, log_fd);
  if (lock_fd >= 0)
    g_subprocess_launcher_take_fd (launcher, fcntl (lock_fd, F_DUPFD_CLOEXEC, 0), LOCK_FD_IN_CHILD);
  g_subprocess_launcher_set_cwd (launcher, folder);
  g_subprocess_launcher_set_child_setup (launcher, detach_child, NULL, NULL);
  return g_subprocess_launcher_spawnv (launcher, argv, error);
}

void
machine_launch_async (MachineSettings *settings, const char *folder, int lock_fd,
                      GCancellable *cancellable, GAsyncReadyCallback callback, gpointer data)
{
  g_autoptr (GTask) task = g_task_new (NULL, cancellable, callback, data);
  g_autofree char *vmm = NULL;
  g_auto (GStrv) argv = NULL;
  g_autofree char *line = NULL;
  Launch *launch = g_new0 (Launch, 1);
  GError *error = NULL;

  g_task_set_source_tag (task, machine_launch_async);
  g_task_set_task_data (task, launch, (GDestroyNotify) launch_free);
  /* A child that answered stays, whatever happens to the cancellable afterwards. */
  g_task_set_check_cancellable (task, FALSE);
  launch->folder = g_strdup (folder);
  launch->control_path = machine_launch_dup_control_path (folder);
  launch->poll_ms = POLL_FIRST_MS;
  launch->deadline = g_get_monotonic_time () + ANSWER_SECONDS * G_USEC_PER_SEC;
  vmm = machine_launch_find_vmm (&error);
  if (vmm != NULL)
    argv = machine_launch_build_argv (settings, folder, vmm, launch->control_path, &error);
  if (argv != NULL && prepare_control_folder (launch->control_path, &error))
    launch->child = spawn ((const char *const *) argv, folder, lock_fd, &error);
  if (launch->child == NULL)
    {
      g_task_return_error (task, error);
      return;
    }
  line = g_strjoinv (" ", argv);
  g_debug ("launch: %s", line);
  g_subprocess_wait_async (launch->child, NULL, on_child_ended, g_object_ref (task));
  schedule_poll (task);
}

MachineControl *
machine_launch_finish (GAsyncResult *result, GSubprocess **subprocess, GError **error)
{
  Launch *launch;
  MachineControl *control;

  g_return_val_if_fail (g_task_is_valid (result, NULL), NULL);
  launch = g_task_get_task_data (G_TASK (result));
  control = g_task_propagate_pointer (G_TASK (result), error);
  if (control != NULL && subprocess != NULL)
    *subprocess = g_object_ref (launch->child);
  return control;
}
