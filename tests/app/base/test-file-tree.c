#include "base/file-tree.h"

#include "app-test.h"

#include <unistd.h>
#include <glib/gstdio.h>

static void
test_remove (void)
{
  const char *outside = app_test_folder ();
  const char *folder = app_test_folder ();
  g_autofree char *precious = g_build_filename (outside, "precious", NULL);
  g_autofree char *tree = g_build_filename (folder, "tree", NULL);
  g_autofree char *deep = g_build_filename (tree, "a", "b", NULL);
  g_autofree char *file = g_build_filename (deep, "file", NULL);
  g_autofree char *link = g_build_filename (deep, "link", NULL);
  g_autoptr (GError) error = NULL;

  app_test_write (precious, "keep me");
  g_assert_no_errno (g_mkdir_with_parents (deep, 0700));
  app_test_write (file, "x");
  g_assert_no_errno (symlink (outside, link));
  g_assert_true (file_tree_remove (tree, NULL, &error));
  g_assert_no_error (error);
  g_assert_false (app_test_exists (tree));
  g_assert_true (app_test_exists (precious));
  g_assert_true (file_tree_remove (tree, NULL, &error));
}

static void
test_remove_cancelled (void)
{
  g_autofree char *path = app_test_path ("file");
  g_autoptr (GCancellable) cancellable = g_cancellable_new ();
  g_autoptr (GError) error = NULL;

  app_test_write (path, "x");
  g_cancellable_cancel (cancellable);
  g_assert_false (file_tree_remove (path, cancellable, &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_CANCELLED);
  g_assert_true (app_test_exists (path));
}

static void
test_too_deep (void)
{
  g_autoptr (GString) path = g_string_new (app_test_folder ());
  g_autofree char *root = g_strconcat (path->str, "/d", NULL);
  g_autoptr (GError) error = NULL;

  for (guint i = 0; i < 100; i++)
    g_string_append (path, "/d");
  g_assert_no_errno (g_mkdir_with_parents (path->str, 0700));
  g_assert_false (file_tree_remove (root, NULL, &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_TOO_MANY_LINKS);
  while (g_str_has_suffix (path->str, "/d"))
    {
      g_assert_no_errno (g_rmdir (path->str));
      g_string_truncate (path, path->len - 2);
    }
}

static void
test_size (void)
{
  const char *folder = app_test_folder ();
  g_autofree char *sparse = g_build_filename (folder, "sparse", NULL);
  guint64 empty = file_tree_get_size (folder);

  app_test_write (sparse, "x");
  g_assert_no_errno (truncate (sparse, 1 << 30));
  g_assert_cmpuint (file_tree_get_size (folder), >, empty);
  g_assert_cmpuint (file_tree_get_size (folder), <, 1 << 20);
  g_assert_cmpuint (file_tree_get_size ("/nonexistent/thing"), ==, 0);
}

int
main (int argc, char **argv)
{
  app_test_init (&argc, &argv);
  g_test_add_func ("/file-tree/remove", test_remove);
  g_test_add_func ("/file-tree/remove-cancelled", test_remove_cancelled);
  g_test_add_func ("/file-tree/too-deep", test_too_deep);
  g_test_add_func ("/file-tree/size", test_size);
  return g_test_run ();
}
