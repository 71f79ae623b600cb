#include "gallery/gallery-part.h"

#include "app-test.h"

#include <string.h>
#include <unistd.h>

#define DATE       "Wed, 01 Jan 2025 00:00:00 GMT"
#define HALF       "the first half, "
#define OTHER_HALF "and the second"

static char *
digest_of (const char *text)
{
  return g_compute_checksum_for_string (G_CHECKSUM_SHA256, text, -1);
}

static GalleryPart *
open_part (const char *path)
{
  g_autoptr (GError) error = NULL;
  GalleryPart *part = gallery_part_open (path, GALLERY_HASH_SHA256, &error);

  g_assert_no_error (error);
  return part;
}

static void
append (GalleryPart *part, const char *text)
{
  g_autoptr (GError) error = NULL;

  g_assert_true (gallery_part_append (part, (const guint8 *) text, strlen (text), &error));
  g_assert_no_error (error);
}

/* From the start, of a version that has this header, or none. */
static void
restart (GalleryPart *part, const char *header, const char *value)
{
  SoupMessageHeaders *response = soup_message_headers_new (SOUP_MESSAGE_HEADERS_RESPONSE);
  g_autoptr (GError) error = NULL;

  if (header != NULL)
    soup_message_headers_append (response, header, value);
  g_assert_true (gallery_part_restart (part, response, &error));
  g_assert_no_error (error);
  soup_message_headers_unref (response);
}

static void
assert_asks_for (GalleryPart *part, const char *range, const char *if_range)
{
  SoupMessageHeaders *request = soup_message_headers_new (SOUP_MESSAGE_HEADERS_REQUEST);

  gallery_part_ask_for_rest (part, request);
  g_assert_cmpstr (soup_message_headers_get_one (request, "Range"), ==, range);
  g_assert_cmpstr (soup_message_headers_get_one (request, "If-Range"), ==, if_range);
  soup_message_headers_unref (request);
}

static void
assert_digest (GalleryPart *part, const char *text)
{
  g_autofree char *digest = gallery_part_dup_digest (part);
  g_autofree char *expected = digest_of (text);

  g_assert_cmpstr (digest, ==, expected);
}

/* What a first process had begun, closed. */
static void
leave_half (const char *path, const char *header, const char *value)
{
  GalleryPart *part = open_part (path);

  restart (part, header, value);
  append (part, HALF);
  gallery_part_free (part);
}

static void
test_whole (void)
{
  g_autofree char *path = app_test_path ("folder/whole");
  g_autofree char *part_path = g_strconcat (path, ".part", NULL);
  g_autofree char *meta_path = g_strconcat (path, ".part.meta", NULL);
  g_autoptr (GError) error = NULL;
  GalleryPart *part = open_part (path);

  assert_asks_for (part, NULL, NULL);
  restart (part, "Last-Modified", DATE);
  append (part, HALF);
  append (part, OTHER_HALF);
  g_assert_cmpuint (gallery_part_get_length (part), ==, strlen (HALF OTHER_HALF));
  assert_digest (part, HALF OTHER_HALF);
  g_assert_true (gallery_part_complete (part, &error));
  gallery_part_free (part);
  g_autofree char *text = app_test_read (path);
  g_assert_cmpstr (text, ==, HALF OTHER_HALF);
  g_assert_false (app_test_exists (part_path) || app_test_exists (meta_path));
}

static void
test_resumes (void)
{
  g_autofree char *path = app_test_path ("resumed");
  GalleryMeter *meter = gallery_meter_new (NULL, NULL);
  g_autoptr (GError) error = NULL;

  leave_half (path, "Last-Modified", DATE);
  GalleryPart *part = open_part (path);
  g_assert_cmpuint (gallery_part_get_length (part), ==, strlen (HALF));
  assert_asks_for (part, "bytes=16-", DATE);
  g_assert_true (gallery_part_hash_again (part, meter, NULL, &error));
  append (part, OTHER_HALF);
  assert_digest (part, HALF OTHER_HALF);
  gallery_meter_unref (meter);
  gallery_part_free (part);
}

/* Of what names no version, or one that If-Range may not have, nothing is kept. */
static void
test_without_a_version_it_begins_anew (void)
{
  static const struct
  {
    const char *header;
    const char *value;
    const char *if_range; /* NULL: nothing is kept */
  } cases[] = {
    { NULL, NULL, NULL },
    { "ETag", "W/\"weak\"", NULL },
    { "ETag", "bare", NULL },
    { "Last-Modified", "yesterday", NULL },
    { "ETag", "\"strong\"", "\"strong\"" },
    { "Last-Modified", DATE, DATE },
  };

  for (guint i = 0; i < G_N_ELEMENTS (cases); i++)
    {
      g_autofree char *path = app_test_path ("version");

      g_test_message ("%u", i);
      leave_half (path, cases[i].header, cases[i].value);
      GalleryPart *part = open_part (path);
      g_assert_cmpuint (gallery_part_get_length (part), ==,
                        cases[i].if_range != NULL ? strlen (HALF) : 0);
      assert_asks_for (part, cases[i].if_range != NULL ? "bytes=16-" : NULL, cases[i].if_range);
      gallery_part_free (part);
    }
}

/* A record that somebody wrote: no header of their own gets into a request. */
static void
test_a_record_that_lies (void)
{
  static const char *const records[] = { "", "no key file", "[part]\nvalidator=a\\r\\nEvil: yes\n",
                                         "[part]\nvalidator=a\\nEvil: yes\n" };

  for (guint i = 0; i < G_N_ELEMENTS (records); i++)
    {
      g_autofree char *path = app_test_path ("lying");
      g_autofree char *meta_path = g_strconcat (path, ".part.meta", NULL);

      leave_half (path, "Last-Modified", DATE);
      app_test_write (meta_path, records[i]);
      GalleryPart *part = open_part (path);
      g_assert_cmpuint (gallery_part_get_length (part), ==, 0);
      assert_asks_for (part, NULL, NULL);
      gallery_part_free (part);
    }
}

static void
test_one_at_a_time (void)
{
  g_autofree char *path = app_test_path ("locked");
  g_autofree char *part_path = g_strconcat (path, ".part", NULL);
  g_autoptr (GError) error = NULL;
  GalleryPart *part = open_part (path);

  g_assert_null (gallery_part_open (path, GALLERY_HASH_SHA256, &error));
  app_test_assert_error (error, G_IO_ERROR, G_IO_ERROR_BUSY, "already");
  /* Not removed by the one who was too late. */
  g_assert_true (app_test_exists (part_path));
  gallery_part_free (part);
  g_assert_false (app_test_exists (part_path));
}

static void
test_follows_no_link (void)
{
  g_autofree char *path = app_test_path ("link");
  g_autofree char *part_path = g_strconcat (path, ".part", NULL);
  g_autofree char *victim = app_test_path ("victim");
  g_autoptr (GError) error = NULL;

  app_test_write (victim, "precious");
  g_assert_cmpint (symlink (victim, part_path), ==, 0);
  g_assert_null (gallery_part_open (path, GALLERY_HASH_SHA256, &error));
  g_assert_nonnull (error);
  g_autofree char *text = app_test_read (victim);
  g_assert_cmpstr (text, ==, "precious");
}

static void
test_no_room (void)
{
  g_autofree char *path = app_test_path ("large");
  g_autoptr (GError) error = NULL;
  GalleryPart *part = open_part (path);

  g_assert_true (gallery_part_check_room (part, 0, &error));
  g_assert_false (gallery_part_check_room (part, G_MAXUINT64 / 2, &error));
  app_test_assert_error (error, G_IO_ERROR, G_IO_ERROR_NO_SPACE, "make room");
  gallery_part_free (part);
}

static void
test_discard (void)
{
  g_autofree char *path = app_test_path ("wrong");
  GalleryPart *part = open_part (path);

  restart (part, "Last-Modified", DATE);
  append (part, HALF);
  gallery_part_discard (part);
  g_assert_cmpuint (gallery_part_get_length (part), ==, 0);
  assert_asks_for (part, NULL, NULL);
  append (part, OTHER_HALF);
  assert_digest (part, OTHER_HALF);
  gallery_part_free (part);
}

int
main (int argc, char **argv)
{
  app_test_init (&argc, &argv);
  g_test_add_func ("/gallery-part/whole", test_whole);
  g_test_add_func ("/gallery-part/resumes", test_resumes);
  g_test_add_func ("/gallery-part/without-a-version", test_without_a_version_it_begins_anew);
  g_test_add_func ("/gallery-part/record-that-lies", test_a_record_that_lies);
  g_test_add_func ("/gallery-part/one-at-a-time", test_one_at_a_time);
  g_test_add_func ("/gallery-part/follows-no-link", test_follows_no_link);
  g_test_add_func ("/gallery-part/no-room", test_no_room);
  g_test_add_func ("/gallery-part/discard", test_discard);
  return g_test_run ();
}
