#include "app-test.h"

#include "base/file-tree.h"

#include <signal.h>
#include <unistd.h>
#include <glib/gstdio.h>

/* A program of tests that takes longer than this hangs; the alarm ends it so that nothing waits for meson's limit. */
#define PATIENCE_SECONDS 110

static char *root;
static guint counter;

static void
remove_root (void)
{
  file_tree_remove (root, NULL, NULL);
  g_clear_pointer (&root, g_free);
}

void
app_test_init (int *argc, char ***argv)
{
  static const char *const folders[] = { "ALCOVE_DATA_DIR", "ALCOVE_CACHE_DIR",
                                         "ALCOVE_RUNTIME_DIR" };

  root = g_build_filename (g_get_tmp_dir (), "alcove-test-XXXXXX", NULL);
  g_assert_nonnull (g_mkdtemp (root));
  atexit (remove_root);
  for (guint i = 0; i < G_N_ELEMENTS (folders); i++)
    {
      g_autofree char *path = g_build_filename (root, folders[i], NULL);

      g_setenv (folders[i], path, TRUE);
    }
  /* No test goes further than this computer; who asks libproxy for the way waits for it. */
  g_setenv ("GIO_USE_PROXY_RESOLVER", "dummy", TRUE);
  alarm (PATIENCE_SECONDS);
  g_test_init (argc, argv, NULL);
}

const char *
app_test_folder (void)
{
  g_autofree char *path = g_strdup_printf ("%s/%u", root, counter++);

  g_assert_no_errno (g_mkdir (path, 0700));
  return g_intern_string (path);
}

char *
app_test_path (const char *name)
{
  return g_build_filename (app_test_folder (), name, NULL);
}

void
app_test_callback (GObject *source, GAsyncResult *result, gpointer data)
{
  AppTestWait *wait = data;

  g_assert_null (wait->result);
  wait->result = g_object_ref (result);
}

GAsyncResult *
app_test_wait (AppTestWait *wait)
{
  while (wait->result == NULL)
    g_main_context_iteration (g_main_context_get_thread_default (), TRUE);
  return g_steal_pointer (&wait->result);
}

void
app_test_until (const gboolean *flag)
{
  while (!*flag)
    g_main_context_iteration (g_main_context_get_thread_default (), TRUE);
}

void
app_test_write (const char *path, const char *text)
{
  g_autoptr (GError) error = NULL;

  g_file_set_contents (path, text, -1, &error);
  g_assert_no_error (error);
}

char *
app_test_read (const char *path)
{
  g_autoptr (GError) error = NULL;
  char *text = NULL;

  g_file_get_contents (path, &text, NULL, &error);
  g_assert_no_error (error);
  return text;
}

gboolean
app_test_exists (const char *path)
{
  return g_file_test (path, G_FILE_TEST_EXISTS);
}
