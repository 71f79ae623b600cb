#include "gallery/gallery-download.h"

#include "app-test.h"
#include "http-server.h"

#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>
#include <glib/gstdio.h>

#define SIZE (3 * 1024 * 1024 + 123)

/* Bytes of which no two places are alike. */
static GBytes *
make_content (guint32 seed)
{
  g_autoptr (GRand) rand = g_rand_new_with_seed (seed);
  guint8 *data = g_malloc (SIZE);

  for (gsize i = 0; i < SIZE; i++)
    data[i] = (guint8) g_rand_int (rand);
  return g_bytes_new_take (data, SIZE);
}

typedef struct Seen
{
  guint calls;
  gboolean rate;
  gboolean left;
  gboolean backwards;
  GalleryProgress last;
  guint64 cancel_at; /* 0: never */
  GCancellable *cancellable;
} Seen;

static void
on_progress (const GalleryProgress *progress, gpointer data)
{
  Seen *seen = data;

  seen->calls++;
  seen->rate = seen->rate || progress->rate > 0;
  seen->left = seen->left || progress->seconds_left >= 0;
  seen->backwards = seen->backwards || progress->done < seen->last.done;
  seen->last = *progress;
  if (seen->cancel_at > 0 && progress->done >= seen->cancel_at)
    g_cancellable_cancel (seen->cancellable);
}

static gboolean
download (const GalleryDownloadOptions *options, Seen *seen, char **digest, GError **error)
{
  AppTestWait wait = { NULL };
  g_autoptr (GAsyncResult) result = NULL;

  gallery_download_async (options, seen != NULL ? on_progress : NULL, seen,
                          seen != NULL ? seen->cancellable : NULL, app_test_callback, &wait);
  result = app_test_wait (&wait);
  return gallery_download_finish (result, digest, error);
}

/* A server, a file to come, and what both are about. */
typedef struct Fixture
{
  GBytes *content;
  HttpServer *server;
  char *url;
  const char *urls[3];
  char *path;
  char *part;
  char *meta;
  GalleryDownloadOptions options;
} Fixture;

static void
fixture_init (Fixture *fixture, gconstpointer data)
{
  fixture->content = make_content (1);
  fixture->server = http_server_new (fixture->content);
  fixture->url = http_server_dup_url (fixture->server, "disk.img");
  fixture->urls[0] = fixture->url;
  fixture->path = app_test_path ("disk.img");
  fixture->part = g_strconcat (fixture->path, ".part", NULL);
  fixture->meta = g_strconcat (fixture->path, ".part.meta", NULL);
  fixture->options = (GalleryDownloadOptions){ .urls = fixture->urls,
                                               .path = fixture->path,
                                               .hash = GALLERY_HASH_SHA256,
                                               .retries = 2,
                                               .retry_ms = 1 };
}

static void
fixture_clear (Fixture *fixture, gconstpointer data)
{
  http_server_free (fixture->server);
  g_bytes_unref (fixture->content);
  g_free (fixture->url);
  g_free (fixture->path);
  g_free (fixture->part);
  g_free (fixture->meta);
}

/* The file is there, whole, its digest is right, and nothing else was left. */
static void
assert_complete (Fixture *fixture, const char *digest)
{
  g_autofree char *right = g_compute_checksum_for_bytes (G_CHECKSUM_SHA256, fixture->content);
  g_autofree char *data = NULL;
  gsize length;

  g_assert_true (g_file_get_contents (fixture->path, &data, &length, NULL));
  g_assert_cmpmem (data, length, g_bytes_get_data (fixture->content, NULL), SIZE);
  g_assert_cmpstr (digest, ==, right);
  g_assert_false (app_test_exists (fixture->part));
  g_assert_false (app_test_exists (fixture->meta));
}

static void
finish_it (Fixture *fixture)
{
  g_autoptr (GError) error = NULL;
  g_autofree char *digest = NULL;

  g_assert_true (download (&fixture->options, NULL, &digest, &error));
  g_assert_no_error (error);
  assert_complete (fixture, digest);
}

static void
test_progress (Fixture *fixture, gconstpointer data)
{
  Seen seen = { 0 };
  g_autofree char *digest = NULL;
  g_autoptr (GError) error = NULL;

  fixture->server->pause_ms = 12; /* 49 pieces: longer than it takes to know a rate */
  g_assert_true (download (&fixture->options, &seen, &digest, &error));
  g_assert_no_error (error);
  assert_complete (fixture, digest);
  g_assert_cmpuint (seen.calls, >, 2);
  g_assert_true (seen.rate);
  g_assert_true (seen.left);
  g_assert_false (seen.backwards);
  g_assert_cmpuint (seen.last.done, ==, SIZE);
  g_assert_cmpuint (seen.last.total, ==, SIZE);
  g_assert_null (fixture->server->last_range);
}

/* Cancelled in the middle; a later download brings the rest only. */
static void
test_cancel_and_resume (Fixture *fixture, gconstpointer data)
{
  g_autoptr (GCancellable) cancellable = g_cancellable_new ();
  Seen seen = { .cancel_at = 1024 * 1024, .cancellable = cancellable };
  g_autoptr (GError) error = NULL;
  gint64 began = g_get_monotonic_time ();

  fixture->server->hang_after = 2 * 1024 * 1024;
  fixture->server->pause_ms = 12; /* so that its progress is seen before it hangs */
  g_assert_false (download (&fixture->options, &seen, NULL, &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_CANCELLED);
  g_assert_cmpint (g_get_monotonic_time () - began, <, 15 * G_USEC_PER_SEC); /* and does not wait */
  g_assert_true (app_test_exists (fixture->part));
  g_assert_false (app_test_exists (fixture->path));
  fixture->server->hang_after = fixture->server->pause_ms = 0;
  finish_it (fixture);
  g_assert_cmpuint (g_ascii_strtoull (fixture->server->last_range, NULL, 10), >=, 1024 * 1024);
}

/* Breaks again and again: as long as bytes come, it goes on. */
static void
test_breaks (Fixture *fixture, gconstpointer data)
{
  fixture->server->break_after = 500 * 1000;
  fixture->server->breaks = 6;
  finish_it (fixture);
  g_assert_cmpuint (fixture->server->n_requests, ==, 7);
  g_assert_cmpuint (fixture->server->bytes_sent, ==, SIZE);
  g_assert_cmpstr (fixture->server->last_range, ==, "3000000-");
}

/* What a program that was killed has left: the part and its validator. */
static void
test_after_restart (Fixture *fixture, gconstpointer data)
{
  gsize half = SIZE / 2;
  g_autoptr (GError) error = NULL;

  g_assert_true (
      g_file_set_contents (fixture->part, g_bytes_get_data (fixture->content, NULL), half, &error));
  app_test_write (fixture->meta, "[part]\nvalidator=Sat, 10 Jun 2023 10:00:00 GMT\n");
  finish_it (fixture);
  g_assert_cmpuint (fixture->server->n_requests, ==, 1);
  g_assert_cmpuint (fixture->server->bytes_sent, ==, SIZE - half);
}

/* All was there, only the renaming was not. The server says 416. */
static void
test_part_is_whole (Fixture *fixture, gconstpointer data)
{
  g_autoptr (GError) error = NULL;

  g_assert_true (
      g_file_set_contents (fixture->part, g_bytes_get_data (fixture->content, NULL), SIZE, &error));
  app_test_write (fixture->meta, "[part]\nvalidator=Sat, 10 Jun 2023 10:00:00 GMT\n");
  fixture->server->status = 416;
  fixture->server->validator = "Content-Range: bytes */3145851";
  g_assert_cmpint (SIZE, ==, 3145851);
  finish_it (fixture);
}

/* A part without a validator, or with a damaged one, cannot be gone on from. */
static void
test_damaged_meta (Fixture *fixture, gconstpointer data)
{
  static const char *const metas[] = { "", "garbage", "[part]\nvalidator=a\\r\\nEvil: header\n" };

  for (guint i = 0; i < G_N_ELEMENTS (metas); i++)
    {
      g_remove (fixture->path);
      app_test_write (fixture->part, "not of this file");
      app_test_write (fixture->meta, metas[i]);
      finish_it (fixture);
      g_assert_null (fixture->server->last_range);
    }
}

/* A server that does not know ranges sends it all again. */
static void
test_no_ranges (Fixture *fixture, gconstpointer data)
{
  fixture->server->ranges = FALSE;
  fixture->server->break_after = 1000 * 1000;
  fixture->server->breaks = 1;
  finish_it (fixture);
  g_assert_nonnull (fixture->server->last_range); /* we asked */
  g_assert_cmpuint (fixture->server->bytes_sent, ==, 1000 * 1000 + SIZE);
}

/* It changed on the server between two tries: If-Range makes it send the new one whole. */
static void
test_changed (Fixture *fixture, gconstpointer data)
{
  g_autoptr (GBytes) other = make_content (2);
  g_autoptr (GError) error = NULL;

  g_assert_true (
      g_file_set_contents (fixture->part, g_bytes_get_data (other, NULL), SIZE / 2, &error));
  app_test_write (fixture->meta, "[part]\nvalidator=Fri, 09 Jun 2023 10:00:00 GMT\n");
  fixture->server->ranges = FALSE; /* which is what If-Range asks for */
  finish_it (fixture);
}

/* Always breaks, and never brings a byte: after the retries it is given up, and said so. */
static void
test_gives_up (Fixture *fixture, gconstpointer data)
{
  g_autoptr (GError) error = NULL;

  fixture->server->break_after = 0;
  fixture->server->breaks = -1;
  g_assert_false (download (&fixture->options, NULL, NULL, &error));
  g_assert_nonnull (strstr (error->message, "“disk.img” could not be downloaded"));
  g_assert_cmpuint (fixture->server->n_requests, ==, 3);
}

/* The body is shorter than its length says, and then the rest comes never. What came is kept. */
static void
test_short_body (Fixture *fixture, gconstpointer data)
{
  g_autoptr (GError) error = NULL;
  GStatBuf st;

  fixture->server->ranges = FALSE;
  fixture->server->break_after = 1000 * 1000;
  fixture->server->breaks = -1;
  g_assert_false (download (&fixture->options, NULL, NULL, &error));
  g_assert_nonnull (error);
  g_assert_false (app_test_exists (fixture->path));
  g_assert_no_errno (g_stat (fixture->part, &st));
  g_assert_cmpint (st.st_size, ==, 1000 * 1000);
}

static void
test_status (Fixture *fixture, gconstpointer data)
{
  g_autoptr (GError) error = NULL;

  fixture->server->status = 404;
  g_assert_false (download (&fixture->options, NULL, NULL, &error));
  app_test_assert_error (error, G_IO_ERROR, G_IO_ERROR_NOT_FOUND, "404");
  g_assert_cmpuint (fixture->server->n_requests, ==, 1); /* not asked again */
  fixture->server->status = 503;
  g_assert_false (download (&fixture->options, NULL, NULL, &error));
  app_test_assert_error (error, G_IO_ERROR, G_IO_ERROR_FAILED, "503");
  g_assert_cmpuint (fixture->server->n_requests, ==, 4); /* asked again twice */
}

/* The first does not answer: the mirror does. */
static void
test_mirror (Fixture *fixture, gconstpointer data)
{
  fixture->urls[0] = "http://127.0.0.1:1/disk.img";
  fixture->urls[1] = fixture->url;
  fixture->options.retries = 1;
  finish_it (fixture);
}

static void
test_wrong_size (Fixture *fixture, gconstpointer data)
{
  gint64 began = g_get_monotonic_time ();
  g_autoptr (GError) error = NULL;

  fixture->server->hang_after = 1024 * 1024; /* what is refused is not read to its end */
  fixture->options.size = SIZE + 1;
  g_assert_false (download (&fixture->options, NULL, NULL, &error));
  g_assert_nonnull (strstr (error->message, "the catalogue says 3145852"));
  g_clear_error (&error);
  fixture->options.size = 0;
  fixture->options.size_max = 1024;
  g_assert_false (download (&fixture->options, NULL, NULL, &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_MESSAGE_TOO_LARGE);
  g_assert_false (app_test_exists (fixture->path));
  g_assert_cmpint (g_get_monotonic_time () - began, <, 15 * G_USEC_PER_SEC);
}

/* --- a full disk --------------------------------------------------------------------------- */

static void
limit_files (rlim_t bytes)
{
  const struct rlimit limit = { bytes, RLIM_INFINITY };

  signal (SIGXFSZ, SIG_IGN);
  g_assert_no_errno (setrlimit (RLIMIT_FSIZE, &limit));
}

/* In the middle of it: what came is kept, and when there is room again the rest comes. */
static void
test_disk_full (Fixture *fixture, gconstpointer data)
{
  g_autoptr (GError) error = NULL;
  GStatBuf st;

  limit_files (1024 * 1024);
  g_assert_false (download (&fixture->options, NULL, NULL, &error));
  limit_files (RLIM_INFINITY);
  app_test_assert_error (error, G_IO_ERROR, G_IO_ERROR_NO_SPACE, "make room and try again");
  g_assert_no_errno (g_stat (fixture->part, &st));
  g_assert_cmpint (st.st_size, ==, 1024 * 1024);
  finish_it (fixture);
  g_assert_cmpstr (fixture->server->last_range, ==, "1048576-");
}

/* Known before the first byte: nothing is fetched. */
static void
test_no_room (Fixture *fixture, gconstpointer data)
{
  g_autoptr (GError) error = NULL;

  fixture->server->claim = G_GUINT64_CONSTANT (1) << 55;
  fixture->options.size_max = G_GUINT64_CONSTANT (1) << 60;
  g_assert_false (download (&fixture->options, NULL, NULL, &error));
  app_test_assert_error (error, G_IO_ERROR, G_IO_ERROR_NO_SPACE, "are free: make room");
}

/* Two at once: the second is told, and the first is not disturbed. */
static void
test_twice (Fixture *fixture, gconstpointer data)
{
  AppTestWait one = { NULL };
  g_autoptr (GAsyncResult) result = NULL;
  g_autoptr (GError) error = NULL;
  g_autofree char *digest = NULL;

  fixture->server->pause_ms = 10;
  gallery_download_async (&fixture->options, NULL, NULL, NULL, app_test_callback, &one);
  while (g_atomic_int_get (&fixture->server->n_requests) == 0)
    g_main_context_iteration (NULL, TRUE);
  g_assert_false (download (&fixture->options, NULL, NULL, &error));
  app_test_assert_error (error, G_IO_ERROR, G_IO_ERROR_BUSY, "being downloaded already");
  result = app_test_wait (&one);
  g_assert_true (gallery_download_finish (result, &digest, &error));
  assert_complete (fixture, digest);
}

/* A link where the part would be does not lead us elsewhere. */
static void
test_part_is_link (Fixture *fixture, gconstpointer data)
{
  g_autofree char *precious = app_test_path ("precious");
  g_autofree char *text = NULL;
  g_autoptr (GError) error = NULL;

  app_test_write (precious, "keep me");
  g_assert_no_errno (symlink (precious, fixture->part));
  g_assert_false (download (&fixture->options, NULL, NULL, &error));
  g_assert_nonnull (error);
  text = app_test_read (precious);
  g_assert_cmpstr (text, ==, "keep me");
}

static void
test_text (Fixture *fixture, gconstpointer data)
{
  AppTestWait wait = { NULL };
  g_autoptr (GAsyncResult) result = NULL;
  g_autoptr (GError) error = NULL;

  gallery_download_text_async (fixture->url, 1024, NULL, app_test_callback, &wait);
  result = app_test_wait (&wait);
  g_assert_null (gallery_download_text_finish (result, &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_MESSAGE_TOO_LARGE);
}

int
main (int argc, char **argv)
{
  static const struct
  {
    const char *path;
    void (*test) (Fixture *, gconstpointer);
  } tests[] = {
    { "/gallery-download/progress", test_progress },
    { "/gallery-download/cancel-and-resume", test_cancel_and_resume },
    { "/gallery-download/breaks", test_breaks },
    { "/gallery-download/after-restart", test_after_restart },
    { "/gallery-download/part-is-whole", test_part_is_whole },
    { "/gallery-download/damaged-meta", test_damaged_meta },
    { "/gallery-download/no-ranges", test_no_ranges },
    { "/gallery-download/changed", test_changed },
    { "/gallery-download/gives-up", test_gives_up },
    { "/gallery-download/short-body", test_short_body },
    { "/gallery-download/status", test_status },
    { "/gallery-download/mirror", test_mirror },
    { "/gallery-download/wrong-size", test_wrong_size },
    { "/gallery-download/disk-full", test_disk_full },
    { "/gallery-download/no-room", test_no_room },
    { "/gallery-download/twice", test_twice },
    { "/gallery-download/part-is-link", test_part_is_link },
    { "/gallery-download/text", test_text },
  };

  app_test_init (&argc, &argv);
  for (guint i = 0; i < G_N_ELEMENTS (tests); i++)
    g_test_add (tests[i].path, Fixture, NULL, fixture_init, tests[i].test, fixture_clear);
  return g_test_run ();
}
