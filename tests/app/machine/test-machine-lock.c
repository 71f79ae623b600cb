#include "machine/machine-lock.h"

#include "app-test.h"

#include <fcntl.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static void
test_take (void)
{
  const char *folder = app_test_folder ();
  g_autoptr (GError) error = NULL;
  g_autofree char *holder = NULL;
  GPid pid;
  int fd;

  g_assert_false (machine_lock_is_held (folder, NULL, NULL));
  fd = machine_lock_take (folder, "Alcove", &error);
  g_assert_no_error (error);
  g_assert_true (fcntl (fd, F_GETFD) & FD_CLOEXEC);
  g_assert_true (machine_lock_is_held (folder, &holder, &pid));
  g_assert_cmpstr (holder, ==, "Alcove");
  g_assert_cmpint (pid, ==, getpid ());

  g_assert_cmpint (machine_lock_take (folder, "another", &error), ==, -1);
  app_test_assert_error (error, G_IO_ERROR, G_IO_ERROR_BUSY, "in use by Alcove (process");
  close (fd);
  g_assert_false (machine_lock_is_held (folder, NULL, NULL));
}

/* What makes the VMM outlive the app: the child's copy of the descriptor is enough. */
static void
test_child_holds_it (void)
{
  const char *folder = app_test_folder ();
  g_autoptr (GError) error = NULL;
  int wake[2];
  int fd = machine_lock_take (folder, "Alcove", &error);
  pid_t child;
  char byte;

  g_assert_no_error (error);
  g_assert_no_errno (pipe (wake));
  child = fork ();
  if (child == 0)
    {
      close (wake[1]);
      _exit (read (wake[0], &byte, 1) == 0 ? 0 : 1);
    }
  g_assert_true (machine_lock_set_holder (fd, "alcove-vmm", child, &error));
  close (fd);
  close (wake[0]);
  g_assert_cmpint (machine_lock_take (folder, "Alcove", &error), ==, -1);
  app_test_assert_error (error, G_IO_ERROR, G_IO_ERROR_BUSY, "in use by alcove-vmm (process");
  close (wake[1]);
  g_assert_cmpint (waitpid (child, NULL, 0), ==, child);
  fd = machine_lock_take (folder, "Alcove", &error);
  g_assert_no_error (error);
  close (fd);
}

static void
test_garbage (void)
{
  const char *folder = app_test_folder ();
  g_autofree char *path = g_build_filename (folder, MACHINE_LOCK_FILE, NULL);
  g_autofree char *garbage = g_strnfill (100000, 'x');
  g_autoptr (GError) error = NULL;
  g_autofree char *holder = NULL;
  GPid pid = 1;
  int fd = machine_lock_take (folder, "Alcove", &error);
  int file = open (path, O_WRONLY);

  g_assert_no_error (error);
  g_assert_cmpint (write (file, garbage, strlen (garbage)), ==, strlen (garbage));
  close (file);
  g_assert_true (machine_lock_is_held (folder, &holder, &pid));
  g_assert_null (holder);
  g_assert_cmpint (pid, ==, 0);
  g_assert_cmpint (machine_lock_take (folder, "x", &error), ==, -1);
  app_test_assert_error (error, G_IO_ERROR, G_IO_ERROR_BUSY, "another process");
  close (fd);
}

static int looked_enough; /* atomic */

static gpointer
look_all_the_time (gpointer folder)
{
  while (!g_atomic_int_get (&looked_enough))
    machine_lock_is_held (folder, NULL, NULL);
  return NULL;
}

/* Who only looks does not make it fail. */
static void
test_others_look (void)
{
  const char *folder = app_test_folder ();
  g_autoptr (GError) error = NULL;
  GThread *thread;

  close (machine_lock_take (folder, "Alcove", &error));
  thread = g_thread_new ("looks", look_all_the_time, (gpointer) folder);
  for (guint i = 0; i < 300; i++)
    {
      int fd = machine_lock_take (folder, "Alcove", &error);

      g_assert_no_error (error);
      close (fd);
    }
  g_atomic_int_set (&looked_enough, TRUE);
  g_thread_join (thread);
}

static void
test_no_folder (void)
{
  g_autoptr (GError) error = NULL;

  g_assert_cmpint (machine_lock_take ("/nonexistent/folder", "x", &error), ==, -1);
  app_test_assert_error (error, G_IO_ERROR, G_IO_ERROR_NOT_FOUND, "/nonexistent/folder");
}

int
main (int argc, char **argv)
{
  app_test_init (&argc, &argv);
  g_test_add_func ("/machine-lock/take", test_take);
  g_test_add_func ("/machine-lock/child-holds-it", test_child_holds_it);
  g_test_add_func ("/machine-lock/garbage", test_garbage);
  g_test_add_func ("/machine-lock/others-look", test_others_look);
  g_test_add_func ("/machine-lock/no-folder", test_no_folder);
  return g_test_run ();
}
