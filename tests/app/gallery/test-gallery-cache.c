#include "gallery/gallery-cache.h"

#include "app-test.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <utime.h>

#define DIGEST "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define OTHER  "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"

/* In the cache's folder, verified. */
static char *
make_verified (GalleryCache *cache, const char *url)
{
  char *path = gallery_cache_dup_path (cache, url);
  g_autoptr (GError) error = NULL;

  app_test_write (path, "an image");
  g_assert_true (gallery_cache_mark_verified (cache, path, DIGEST, &error));
  g_assert_no_error (error);
  return path;
}

static char *
with_suffix (const char *path, const char *suffix)
{
  return g_strconcat (path, suffix, NULL);
}

static void
test_names (void)
{
  g_autoptr (GalleryCache) cache = gallery_cache_new (app_test_folder ());
  g_autofree char *one = gallery_cache_dup_path (cache, "https://one.example/disk.img");
  g_autofree char *two = gallery_cache_dup_path (cache, "https://two.example/disk.img");
  g_autofree char *again = gallery_cache_dup_path (cache, "https://one.example/disk.img");

  g_assert_true (g_str_has_suffix (one, "-disk.img"));
  g_assert_cmpstr (one, !=, two);
  g_assert_cmpstr (one, ==, again);
}

/* Whatever a catalogue says: one name, directly in the folder. */
static void
test_names_stay_in_the_folder (void)
{
  g_autoptr (GalleryCache) cache = gallery_cache_new (app_test_folder ());
  g_autofree char *tail = g_strnfill (4096, 'x');
  g_autofree char *wide = g_strconcat ("https://a.example/", tail, NULL);
  const char *const urls[] = { "https://a.example/..",
                               "https://a.example/",
                               "https://a.example/..%2f..%2fetc",
                               "https://a.example/a b\n\x01",
                               "https://a.example/x?y=/../../z",
                               "",
                               wide };

  for (guint i = 0; i < G_N_ELEMENTS (urls); i++)
    {
      g_autofree char *path = gallery_cache_dup_path (cache, urls[i]);
      g_autofree char *folder = g_path_get_dirname (path);
      g_autofree char *name = g_path_get_basename (path);

      g_assert_cmpstr (folder, ==, gallery_cache_get_folder (cache));
      g_assert_cmpuint (strlen (name), <, 128);
      for (const char *c = name; *c != '\0'; c++)
        g_assert_true (g_ascii_isalnum (*c) || strchr (".-_", *c) != NULL);
    }
}

static void
test_verified (void)
{
  g_autoptr (GalleryCache) cache = gallery_cache_new (app_test_folder ());
  g_autofree char *path = make_verified (cache, "https://a.example/a.img");
  g_autofree char *digest = gallery_cache_dup_verified_digest (cache, path);

  g_assert_cmpstr (digest, ==, DIGEST);
  g_assert_true (gallery_cache_is_verified (cache, path, DIGEST));
  g_assert_false (gallery_cache_is_verified (cache, path, OTHER));
}

/* Each of them counts as not verified. */
static void
test_what_was_changed_is_not_verified (void)
{
  g_autoptr (GalleryCache) cache = gallery_cache_new (app_test_folder ());
  g_autofree char *longer = make_verified (cache, "https://a.example/longer.img");
  g_autofree char *touched = make_verified (cache, "https://a.example/touched.img");
  g_autofree char *linked = make_verified (cache, "https://a.example/linked.img");
  g_autofree char *gone = make_verified (cache, "https://a.example/gone.img");
  g_autofree char *unmarked = make_verified (cache, "https://a.example/unmarked.img");
  g_autofree char *garbled = make_verified (cache, "https://a.example/garbled.img");
  g_autofree char *aside = with_suffix (linked, ".aside");
  g_autofree char *mark = with_suffix (unmarked, ".ok");
  g_autofree char *garbled_mark = with_suffix (garbled, ".ok");
  const char *const paths[] = { longer, touched, linked, gone, unmarked, garbled };

  for (guint i = 0; i < G_N_ELEMENTS (paths); i++)
    g_assert_true (gallery_cache_is_verified (cache, paths[i], DIGEST));
  app_test_write (longer, "an image and more");
  g_assert_cmpint (utime (touched, &(struct utimbuf){ 1, 1 }), ==, 0);
  g_assert_cmpint (rename (linked, aside), ==, 0);
  g_assert_cmpint (symlink (aside, linked), ==, 0);
  g_assert_cmpint (unlink (gone), ==, 0);
  g_assert_cmpint (unlink (mark), ==, 0);
  app_test_write (garbled_mark, "[verified]\nsize=many\n");
  for (guint i = 0; i < G_N_ELEMENTS (paths); i++)
    g_assert_false (gallery_cache_is_verified (cache, paths[i], DIGEST));
}

static void
test_nothing_to_mark (void)
{
  g_autoptr (GalleryCache) cache = gallery_cache_new (app_test_folder ());
  g_autofree char *path = gallery_cache_dup_path (cache, "https://a.example/none.img");
  g_autofree char *mark = with_suffix (path, ".ok");
  g_autoptr (GError) error = NULL;

  g_assert_false (gallery_cache_mark_verified (cache, path, DIGEST, &error));
  app_test_assert_error (error, G_IO_ERROR, G_IO_ERROR_NOT_FOUND, path);
  g_assert_false (app_test_exists (mark));
}

static gint64
purge (GalleryCache *cache, const char *const *keep)
{
  g_autoptr (GError) error = NULL;
  AppTestWait wait = { NULL };

  gallery_cache_purge_async (cache, keep, NULL, app_test_callback, &wait);
  g_autoptr (GAsyncResult) result = app_test_wait (&wait);
  const gint64 size = gallery_cache_purge_finish (cache, result, &error);
  g_assert_no_error (error);
  return size;
}

static void
test_list_remove_purge (void)
{
  g_autofree char *folder = app_test_path ("cache");
  g_autoptr (GalleryCache) cache = gallery_cache_new (folder);
  g_autoptr (GError) error = NULL;

  g_assert_cmpuint (gallery_cache_get_size (cache), ==, 0);
  g_assert_cmpint (g_mkdir_with_parents (folder, 0700), ==, 0);
  g_autofree char *whole = make_verified (cache, "https://a.example/whole.img");
  g_autofree char *other = make_verified (cache, "https://a.example/other.img");
  g_autofree char *under_way = gallery_cache_dup_path (cache, "https://a.example/part.img");
  g_autofree char *part = with_suffix (under_way, ".part");
  g_autofree char *meta = with_suffix (under_way, ".part.meta");
  g_autofree char *mark = with_suffix (whole, ".ok");
  app_test_write (part, "half");
  app_test_write (meta, "[part]\n");
  g_assert_cmpint (utime (whole, &(struct utimbuf){ 100, 100 }), ==, 0);
  g_assert_cmpint (utime (other, &(struct utimbuf){ 300, 300 }), ==, 0);
  g_assert_cmpint (utime (part, &(struct utimbuf){ 200, 200 }), ==, 0);

  g_autoptr (GPtrArray) items = gallery_cache_list (cache);
  const char *const last_used_first[] = { other, part, whole };
  g_assert_cmpuint (items->len, ==, 3);
  for (guint i = 0; i < items->len; i++)
    {
      const GalleryCacheItem *item = items->pdata[i];
      g_assert_cmpstr (item->path, ==, last_used_first[i]);
      g_assert_cmpint (item->partial, ==, i == 1);
    }

  g_assert_true (gallery_cache_remove (cache, other, &error));
  g_assert_false (app_test_exists (other));
  g_assert_true (app_test_exists (whole) && app_test_exists (mark) && app_test_exists (part));

  /* Of an install that goes on the part stays; then nothing does. */
  const char *const keep[] = { under_way, NULL };
  g_assert_cmpint (purge (cache, keep), >, 0);
  g_assert_false (app_test_exists (whole));
  g_assert_true (app_test_exists (part) && app_test_exists (meta));
  const guint64 size = gallery_cache_get_size (cache);
  g_assert_cmpint (purge (cache, NULL), ==, size);
  g_autoptr (GDir) dir = g_dir_open (folder, 0, NULL);
  g_assert_null (g_dir_read_name (dir));
}

int
main (int argc, char **argv)
{
  app_test_init (&argc, &argv);
  g_test_add_func ("/gallery-cache/names", test_names);
  g_test_add_func ("/gallery-cache/names-stay-in-the-folder", test_names_stay_in_the_folder);
  g_test_add_func ("/gallery-cache/verified", test_verified);
  g_test_add_func ("/gallery-cache/changed", test_what_was_changed_is_not_verified);
  g_test_add_func ("/gallery-cache/nothing-to-mark", test_nothing_to_mark);
  g_test_add_func ("/gallery-cache/list-remove-purge", test_list_remove_purge);
  return g_test_run ();
}
