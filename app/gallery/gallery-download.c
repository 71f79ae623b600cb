#define G_LOG_DOMAIN "app-gallery"

#include "gallery/gallery-download.h"

#include "gallery/gallery-http.h"
#include "gallery/gallery-meter.h"
#include "gallery/gallery-part.h"
#include "gallery/gallery-verify.h"

#include <string.h>

/* Theory of operation: a download is one worker thread with blocking calls, so neither the
 * network nor the disk can hold up the window. It goes through the URLs; each is tried until it
 * has failed `retries` times without bringing a new byte. What has come is in the GalleryPart,
 * which knows how to go on from there.
 *
 * Outcomes of one try: done; again (the network broke or the server is busy); next (this URL
 * will not do); stop (no URL can help). */

#define RETRIES_DEFAULT  4
#define RETRY_MS_DEFAULT 500
#define RETRY_MS_MAX     30000
#define SIZE_MAX_DEFAULT (G_GUINT64_CONSTANT (64) << 30)
#define PIECE            (256 * 1024)

typedef enum
{
  OUTCOME_DONE,
  OUTCOME_AGAIN,
  OUTCOME_NEXT,
  OUTCOME_STOP,
} Outcome;

typedef struct Download
{
  char **urls;
  char *path;
  guint64 size;
  guint64 size_max;
  GalleryHash hash;
  guint retries;
  guint retry_ms;
  GalleryMeter *meter;
  GalleryPart *part;
  SoupSession *session; /* belongs to the worker's thread */
  guint64 best;         /* the most bytes that were there after any try */
} Download;

static void
download_free (gpointer data)
{
  Download *job = data;

  g_strfreev (job->urls);
  g_free (job->path);
  gallery_meter_unref (job->meter);
  gallery_part_free (job->part);
  g_free (job);
}

/* --- one try ------------------------------------------------------------------------------- */

static Outcome
too_large (Download *job, GError **error)
{
  g_autofree char *limit = g_format_size (job->size_max);

  gallery_part_discard (job->part);
  g_set_error (error, G_IO_ERROR, G_IO_ERROR_MESSAGE_TOO_LARGE,
               "The server sends more than the %s that this file may have", limit);
  return OUTCOME_NEXT;
}

/* What to do about an error while bytes come. */
static Outcome
outcome_of (const GError *error)
{
  if (g_error_matches (error, G_IO_ERROR, G_IO_ERROR_CANCELLED))
    return OUTCOME_STOP;
  return OUTCOME_AGAIN;
}

/* Moves the whole stream into the part. `total`: what the file has in all, 0 if the sender does
 * not say. */
static Outcome
receive (Download *job, GInputStream *stream, guint64 total, GCancellable *cancellable,
         GError **error)
{
  g_autofree guint8 *piece = g_malloc (PIECE);
  gssize got;

  gallery_meter_begin (job->meter, gallery_part_get_length (job->part), total);
  if (!gallery_part_check_room (job->part, total, error))
    return OUTCOME_STOP;
  while ((got = g_input_stream_read (stream, piece, PIECE, cancellable, error)) > 0)
    {
      if (gallery_part_get_length (job->part) + got > job->size_max)
        return too_large (job, error);
      if (!gallery_part_append (job->part, piece, got, error))
        return OUTCOME_STOP;
      gallery_meter_set (job->meter, gallery_part_get_length (job->part));
    }
  if (got < 0)
    return outcome_of (*error);
  if (total > 0 && gallery_part_get_length (job->part) < total)
    {
      g_set_error (error, G_IO_ERROR, G_IO_ERROR_PARTIAL_INPUT, "The connection broke");
      return OUTCOME_AGAIN;
    }
  return OUTCOME_DONE;
}

static Outcome
try_file (Download *job, const char *url, GCancellable *cancellable, GError **error)
{
  g_autoptr (GFile) file = g_file_new_for_uri (url);
  g_autoptr (GFileInputStream) stream = g_file_read (file, cancellable, error);
  g_autoptr (GFileInfo) info = NULL;

  if (stream != NULL)
    info =
        g_file_input_stream_query_info (stream, G_FILE_ATTRIBUTE_STANDARD_SIZE, cancellable, error);
  if (info == NULL)
    return OUTCOME_NEXT;
  if (!gallery_part_restart (job->part, NULL, error))
    return OUTCOME_STOP;
  return receive (job, G_INPUT_STREAM (stream), g_file_info_get_size (info), cancellable, error);
}

/* The server has none of the rest that we asked for. Either nothing is missing, or what we have
 * is of another version. */
static Outcome
handle_no_range (Download *job, SoupMessage *message, GError **error)
{
  const char *range =
      soup_message_headers_get_one (soup_message_get_response_headers (message), "Content-Range");
  guint64 total;

  if (range != NULL && g_str_has_prefix (range, "bytes */") &&
      g_ascii_string_to_unsigned (range + strlen ("bytes */"), 10, 1, G_MAXUINT64, &total, NULL) &&
      total == gallery_part_get_length (job->part))
    return OUTCOME_DONE;
  gallery_part_discard (job->part);
  g_set_error (error, G_IO_ERROR, G_IO_ERROR_FAILED, "The file has changed on the server");
  return OUTCOME_AGAIN;
}

/* Looks at the answer's head; sets `total`. DONE means: receive the body. */
static Outcome
handle_head (Download *job, SoupMessage *message, guint64 *total, GError **error)
{
  SoupMessageHeaders *headers = soup_message_get_response_headers (message);
  guint status = soup_message_get_status (message);
  guint64 length = soup_message_headers_get_encoding (headers) == SOUP_ENCODING_CONTENT_LENGTH
                       ? (guint64) MAX (soup_message_headers_get_content_length (headers), 0)
                       : 0;
  goffset start;
  goffset end;
  goffset whole;

  if (status == SOUP_STATUS_PARTIAL_CONTENT)
    {
      if (!soup_message_headers_get_content_range (headers, &start, &end, &whole) ||
          start != (goffset) gallery_part_get_length (job->part))
        {
          gallery_part_discard (job->part);
          g_set_error (error, G_IO_ERROR, G_IO_ERROR_INVALID_DATA,
                       "The server sent another part of the file than was asked for");
          return OUTCOME_AGAIN;
        }
      length = whole > 0 ? (guint64) whole : start + length;
    }
  else if (!gallery_part_restart (job->part, headers, error))
    return OUTCOME_STOP;
  *total = length;
  if (job->size > 0 && length > 0 && length != job->size)
    {
      g_set_error (error, G_IO_ERROR, G_IO_ERROR_INVALID_DATA,
                   "The file on the server has %" G_GUINT64_FORMAT
                   " bytes, the catalogue says %" G_GUINT64_FORMAT,
                   length, job->size);
      return OUTCOME_NEXT;
    }
  return length > job->size_max ? too_large (job, error) : OUTCOME_DONE;
}

static Outcome
try_http (Download *job, const char *url, GCancellable *cancellable, GError **error)
{
  g_autoptr (SoupMessage) message = soup_message_new (SOUP_METHOD_GET, url);
  g_autoptr (GInputStream) stream = NULL;
  guint64 total = 0;
  guint status;
  Outcome outcome;

  gallery_part_ask_for_rest (job->part, soup_message_get_request_headers (message));
  stream = soup_session_send (job->session, message, cancellable, error);
  if (stream == NULL)
    return outcome_of (*error);
  status = soup_message_get_status (message);
  g_debug ("download: %s: %u", url, status);
  if (status == SOUP_STATUS_REQUESTED_RANGE_NOT_SATISFIABLE)
    return handle_no_range (job, message, error);
  if (!SOUP_STATUS_IS_SUCCESSFUL (status))
    {
      gallery_http_set_status_error (message, error);
      return gallery_http_is_temporary (status) ? OUTCOME_AGAIN : OUTCOME_NEXT;
    }
  outcome = handle_head (job, message, &total, error);
  if (outcome == OUTCOME_DONE)
    outcome = receive (job, stream, total, cancellable, error);
  return outcome;
}

/* --- all tries ----------------------------------------------------------------------------- */

/* FALSE when cancelled meanwhile. */
static gboolean
pause_for (guint ms, GCancellable *cancellable)
{
  GPollFD poll_fd;

  if (!g_cancellable_make_pollfd (cancellable, &poll_fd))
    {
      g_usleep ((gulong) ms * 1000);
      return TRUE;
    }
  g_poll (&poll_fd, 1, (int) ms);
  g_cancellable_release_fd (cancellable);
  return !g_cancellable_is_cancelled (cancellable);
}

static Outcome
try_url (Download *job, const char *url, GCancellable *cancellable, GError **error)
{
  guint pause_ms = job->retry_ms;

  for (guint failures = 0;;)
    {
      Outcome outcome;

      g_clear_error (error);
      outcome = g_str_has_prefix (url, "file:") ? try_file (job, url, cancellable, error)
                                                : try_http (job, url, cancellable, error);
      if (outcome != OUTCOME_AGAIN)
        return outcome;
      g_debug ("download: %s: %s", url, (*error)->message);
      if (gallery_part_get_length (job->part) > job->best)
        {
          job->best = gallery_part_get_length (job->part);
          failures = 0;
          pause_ms = job->retry_ms;
        }
      else if (failures++ >= job->retries)
        return OUTCOME_NEXT;
      if (!pause_for (pause_ms, cancellable))
        {
          g_clear_error (error);
          g_cancellable_set_error_if_cancelled (cancellable, error);
          return OUTCOME_STOP;
        }
      pause_ms = MIN (pause_ms * 2, RETRY_MS_MAX);
    }
}

static gboolean
check_size (Download *job, GError **error)
{
  if (job->size == 0 || gallery_part_get_length (job->part) == job->size)
    return TRUE;
  g_set_error (error, G_IO_ERROR, G_IO_ERROR_INVALID_DATA,
               "%" G_GUINT64_FORMAT " bytes came, the catalogue says %" G_GUINT64_FORMAT,
               gallery_part_get_length (job->part), job->size);
  gallery_part_discard (job->part);
  return FALSE;
}

static gboolean
download (Download *job, GCancellable *cancellable, GError **error)
{
  Outcome outcome = OUTCOME_NEXT;

  job->part = gallery_part_open (job->path, job->hash, error);
  if (job->part == NULL || !gallery_part_hash_again (job->part, job->meter, cancellable, error))
    return FALSE;
  job->best = gallery_part_get_length (job->part);
  for (guint i = 0; job->urls[i] != NULL && outcome == OUTCOME_NEXT; i++)
    {
      outcome = try_url (job, job->urls[i], cancellable, error);
      if (outcome == OUTCOME_DONE && !check_size (job, error))
        outcome = OUTCOME_NEXT;
    }
  if (outcome != OUTCOME_DONE)
    return FALSE;
  g_clear_error (error);
  gallery_meter_end (job->meter);
  return gallery_part_complete (job->part, error);
}

static void
download_thread (GTask *task, gpointer source, gpointer data, GCancellable *cancellable)
{
  Download *job = data;
  g_autofree char *name = g_path_get_basename (job->urls[0]);
  char *digest = NULL;
  GError *error = NULL;

  job->session = gallery_http_session_new ();
  if (download (job, cancellable, &error))
    digest = gallery_part_dup_digest (job->part);
  /* Before the answer: who hears it may begin the next download of the same file, which takes the part's lock. */
  g_clear_object (&job->session);
  g_clear_pointer (&job->part, gallery_part_free);
  if (digest != NULL)
    {
      g_task_return_pointer (task, digest, g_free);
      return;
    }
  if (!g_error_matches (error, G_IO_ERROR, G_IO_ERROR_CANCELLED))
    g_prefix_error (&error, "“%s” could not be downloaded: ", name);
  g_task_return_error (task, error);
}

void
gallery_download_async (const GalleryDownloadOptions *options, GalleryProgressFunc progress,
                        gpointer progress_data, GCancellable *cancellable,
                        GAsyncReadyCallback callback, gpointer data)
{
  g_autoptr (GTask) task = g_task_new (NULL, cancellable, callback, data);
  Download *job = g_new0 (Download, 1);

  g_return_if_fail (options->urls != NULL && options->urls[0] != NULL && options->path != NULL);
  g_task_set_source_tag (task, gallery_download_async);
  job->urls = g_strdupv ((char **) options->urls);
  job->path = g_strdup (options->path);
  job->size = options->size;
  job->size_max = options->size_max > 0 ? options->size_max
                  : options->size > 0   ? options->size
                                        : SIZE_MAX_DEFAULT;
  job->hash = options->hash;
  job->retries = options->retries > 0 ? options->retries : RETRIES_DEFAULT;
  job->retry_ms = options->retry_ms > 0 ? options->retry_ms : RETRY_MS_DEFAULT;
  job->meter = gallery_meter_new (progress, progress_data);
  g_task_set_task_data (task, job, download_free);
  g_task_run_in_thread (task, download_thread);
}

gboolean
gallery_download_finish (GAsyncResult *result, char **digest, GError **error)
{
  g_autofree char *own = NULL;

  g_return_val_if_fail (g_task_is_valid (result, NULL), FALSE);
  own = g_task_propagate_pointer (G_TASK (result), error);
  if (own == NULL)
    return FALSE;
  if (digest != NULL)
    *digest = g_steal_pointer (&own);
  return TRUE;
}

/* --- small texts --------------------------------------------------------------------------- */

typedef struct TextJob
{
  char *url;
  gsize size_max;
} TextJob;

static void
text_job_free (gpointer data)
{
  TextJob *job = data;

  g_free (job->url);
  g_free (job);
}

/* A list of checksums must not come over a plain connection when its URL promised a safe one. */
static gboolean
check_still_safe (const char *url, SoupMessage *message, GError **error)
{
  GUri *uri = soup_message_get_uri (message);

  if (!g_str_has_prefix (url, "https:") || g_str_equal (g_uri_get_scheme (uri), "https"))
    return TRUE;
  g_set_error (error, G_IO_ERROR, G_IO_ERROR_PERMISSION_DENIED,
               "The server redirects from https to an unprotected address");
  return FALSE;
}

static GInputStream *
open_text (SoupSession *session, const char *url, GCancellable *cancellable, GError **error)
{
  g_autoptr (SoupMessage) message = NULL;
  g_autoptr (GInputStream) stream = NULL;

  if (g_str_has_prefix (url, "file:"))
    {
      g_autoptr (GFile) file = g_file_new_for_uri (url);

      return G_INPUT_STREAM (g_file_read (file, cancellable, error));
    }
  message = soup_message_new (SOUP_METHOD_GET, url);
  stream = soup_session_send (session, message, cancellable, error);
  if (stream == NULL || !check_still_safe (url, message, error))
    return NULL;
  if (SOUP_STATUS_IS_SUCCESSFUL (soup_message_get_status (message)))
    return g_steal_pointer (&stream);
  gallery_http_set_status_error (message, error);
  return NULL;
}

static void
text_thread (GTask *task, gpointer source, gpointer data, GCancellable *cancellable)
{
  TextJob *job = data;
  g_autoptr (SoupSession) session = gallery_http_session_new ();
  g_autoptr (GByteArray) text = g_byte_array_new ();
  g_autofree guint8 *piece = g_malloc (PIECE);
  GError *error = NULL;
  g_autoptr (GInputStream) stream = open_text (session, job->url, cancellable, &error);
  gssize got = -1;

  while (stream != NULL && text->len <= job->size_max &&
         (got = g_input_stream_read (stream, piece, PIECE, cancellable, &error)) > 0)
    g_byte_array_append (text, piece, got);
  if (error != NULL)
    g_task_return_error (task, error);
  else if (text->len > job->size_max)
    g_task_return_new_error (task, G_IO_ERROR, G_IO_ERROR_MESSAGE_TOO_LARGE,
                             "It is larger than the %" G_GSIZE_FORMAT " bytes allowed",
                             job->size_max);
  else
    g_task_return_pointer (task, g_byte_array_free_to_bytes (g_steal_pointer (&text)),
                           (GDestroyNotify) g_bytes_unref);
}

void
gallery_download_text_async (const char *url, gsize size_max, GCancellable *cancellable,
                             GAsyncReadyCallback callback, gpointer data)
{
  g_autoptr (GTask) task = g_task_new (NULL, cancellable, callback, data);
  TextJob *job = g_new0 (TextJob, 1);

  g_task_set_source_tag (task, gallery_download_text_async);
  job->url = g_strdup (url);
  job->size_max = size_max;
  g_task_set_task_data (task, job, text_job_free);
  g_task_run_in_thread (task, text_thread);
}

GBytes *
gallery_download_text_finish (GAsyncResult *result, GError **error)
{
  g_return_val_if_fail (g_task_is_valid (result, NULL), NULL);
  return g_task_propagate_pointer (G_TASK (result), error);
}
