#define G_LOG_DOMAIN "app-gallery"

#include "gallery/gallery-verify.h"

#include "gallery/gallery-download.h"
#include "gallery/gallery-meter.h"

#include <string.h>

G_DEFINE_QUARK (gallery - verify - error - quark, gallery_verify_error)

/* Fedora's lists are 2 KiB, Ubuntu's 20 KiB, a package's 100 KiB. */
#define SUMS_MAX (4 * 1024 * 1024)
#define PIECE    (1024 * 1024)

GChecksumType
gallery_hash_get_checksum_type (GalleryHash hash)
{
  switch (hash)
    {
    case GALLERY_HASH_MD5:
      return G_CHECKSUM_MD5;
    case GALLERY_HASH_SHA512:
      return G_CHECKSUM_SHA512;
    case GALLERY_HASH_NONE:
    case GALLERY_HASH_SHA256:
    default:
      return G_CHECKSUM_SHA256;
    }
}

const char *
gallery_hash_to_string (GalleryHash hash)
{
  switch (hash)
    {
    case GALLERY_HASH_MD5:
      return "md5";
    case GALLERY_HASH_SHA256:
      return "sha256";
    case GALLERY_HASH_SHA512:
      return "sha512";
    case GALLERY_HASH_NONE:
    default:
      return "none";
    }
}

gsize
gallery_hash_get_digits (GalleryHash hash)
{
  return 2 * g_checksum_type_get_length (gallery_hash_get_checksum_type (hash));
}

/* --- lists of checksums -------------------------------------------------------------------- */

static gboolean
is_digest (const char *text, gsize length, GalleryHash hash)
{
  if (length != gallery_hash_get_digits (hash))
    return FALSE;
  for (gsize i = 0; i < length; i++)
    if (!g_ascii_isxdigit (text[i]))
      return FALSE;
  return TRUE;
}

/* "DIGEST  NAME", "DIGEST *NAME" or "DIGEST". `name` is NULL for the last. */
static gboolean
parse_gnu_line (char *line, GalleryHash hash, const char **digest, const char **name)
{
  gsize length = strcspn (line, " \t");

  if (!is_digest (line, length, hash))
    return FALSE;
  *digest = line;
  *name = NULL;
  if (line[length] == '\0')
    return TRUE;
  line[length] = '\0';
  *name = g_strstrip (line + length + 1);
  if (**name == '*')
    (*name)++;
  return TRUE;
}

/* "SHA256 (NAME) = DIGEST" */
static gboolean
parse_bsd_line (char *line, GalleryHash hash, const char **digest, const char **name)
{
  gsize word = strlen (gallery_hash_to_string (hash));
  char *end = strstr (line, ") = ");

  if (end == NULL || g_ascii_strncasecmp (line, gallery_hash_to_string (hash), word) != 0 ||
      !g_str_has_prefix (line + word, " (") || end < line + word + 2)
    return FALSE;
  *end = '\0';
  *name = line + word + 2;
  *digest = end + strlen (") = ");
  return is_digest (*digest, strlen (*digest), hash);
}

static gboolean
names_match (const char *listed, const char *wanted)
{
  if (listed == NULL)
    return FALSE;
  if (g_str_has_prefix (listed, "./"))
    listed += 2;
  return g_str_equal (listed, wanted);
}

char *
gallery_verify_parse_sums (const char *text, gsize length, GalleryHash hash, const char *file,
                           GError **error)
{
  g_autofree char *copy = g_strndup (text, length);
  g_auto (GStrv) lines = g_strsplit (copy, "\n", -1);
  gboolean any = g_str_equal (file, "*");
  g_autofree char *found = NULL;
  guint n_digests = 0;

  for (guint i = 0; lines[i] != NULL; i++)
    {
      const char *digest;
      const char *name;
      char *line = g_strstrip (lines[i]);

      if (!parse_gnu_line (line, hash, &digest, &name) &&
          !parse_bsd_line (line, hash, &digest, &name))
        continue;
      n_digests++;
      if (!any && !names_match (name, file))
        continue;
      /* Two different values for one file: nobody can say which is meant. */
      if (found != NULL && g_ascii_strcasecmp (found, digest) != 0)
        {
          g_set_error (error, GALLERY_VERIFY_ERROR, GALLERY_VERIFY_ERROR_NO_SUM,
                       "The list of checksums has more than one %s for “%s”",
                       gallery_hash_to_string (hash), file);
          return NULL;
        }
      g_free (found);
      found = g_ascii_strdown (digest, -1);
    }
  if (found == NULL)
    g_set_error (error, GALLERY_VERIFY_ERROR, GALLERY_VERIFY_ERROR_NO_SUM,
                 n_digests == 0 ? "The list of checksums has no %s at all (looked for “%s”)"
                                : "The list of checksums has no %s for “%s”",
                 gallery_hash_to_string (hash), file);
  return g_steal_pointer (&found);
}

/* --- the expected value -------------------------------------------------------------------- */

static void
return_from_text (GTask *task, const char *text, gsize length)
{
  const GalleryChecksum *checksum = g_task_get_task_data (task);
  GError *error = NULL;
  char *digest = gallery_verify_parse_sums (text, length, checksum->hash, checksum->file, &error);

  if (digest != NULL)
    g_task_return_pointer (task, digest, g_free);
  else
    g_task_return_error (task, error);
}

static void
on_sums_downloaded (GObject *source, GAsyncResult *result, gpointer data)
{
  g_autoptr (GTask) task = data;
  const GalleryChecksum *checksum = g_task_get_task_data (task);
  GError *error = NULL;
  g_autoptr (GBytes) bytes = gallery_download_text_finish (result, &error);

  if (bytes == NULL)
    {
      g_prefix_error (&error, "The vendor's checksums “%s” cannot be had: ", checksum->url);
      g_task_return_error (task, error);
      return;
    }
  return_from_text (task, g_bytes_get_data (bytes, NULL), g_bytes_get_size (bytes));
}

/* dpkg keeps the checksums of each package's files; a package that may be installed for several
 * architectures has its own in the name. */
static char *
read_package_sums (const char *package, gsize *length, GError **error)
{
  g_autofree char *plain = g_strdup_printf ("/var/lib/dpkg/info/%s.md5sums", package);
  g_autofree char *multi = g_strdup_printf ("/var/lib/dpkg/info/%s:amd64.md5sums", package);
  char *text;

  if (!g_file_get_contents (plain, &text, length, NULL) &&
      !g_file_get_contents (multi, &text, length, NULL))
    {
      g_set_error (error, GALLERY_VERIFY_ERROR, GALLERY_VERIFY_ERROR_NO_SUM,
                   "The package %s is not installed: sudo apt install %s", package, package);
      return NULL;
    }
  return text;
}

static void
checksum_free (gpointer data)
{
  GalleryChecksum *checksum = data;

  g_free ((char *) checksum->value);
  g_free ((char *) checksum->url);
  g_free ((char *) checksum->file);
  g_free ((char *) checksum->package);
  g_free (checksum);
}

static GalleryChecksum *
checksum_copy (const GalleryChecksum *from)
{
  GalleryChecksum *copy = g_new0 (GalleryChecksum, 1);

  copy->kind = from->kind;
  copy->hash = from->hash;
  copy->value = g_strdup (from->value);
  copy->url = g_strdup (from->url);
  copy->file = g_strdup (from->file);
  copy->package = g_strdup (from->package);
  return copy;
}

void
gallery_verify_fetch_expected_async (const GalleryFile *file, GCancellable *cancellable,
                                     GAsyncReadyCallback callback, gpointer data)
{
  g_autoptr (GTask) task = g_task_new (NULL, cancellable, callback, data);
  GalleryChecksum *checksum = checksum_copy (&file->checksum);
  g_autofree char *text = NULL;
  GError *error = NULL;
  gsize length;

  g_task_set_source_tag (task, gallery_verify_fetch_expected_async);
  g_task_set_task_data (task, checksum, checksum_free);
  switch (checksum->kind)
    {
    case GALLERY_CHECKSUM_URL:
      gallery_download_text_async (checksum->url, SUMS_MAX, cancellable, on_sums_downloaded,
                                   g_steal_pointer (&task));
      break;
    case GALLERY_CHECKSUM_PACKAGE:
      text = read_package_sums (checksum->package, &length, &error);
      if (text != NULL)
        return_from_text (task, text, length);
      else
        g_task_return_error (task, error);
      break;
    case GALLERY_CHECKSUM_INLINE:
    default:
      g_task_return_pointer (task, g_strdup (checksum->value), g_free);
      break;
    }
}

char *
gallery_verify_fetch_expected_finish (GAsyncResult *result, GError **error)
{
  g_return_val_if_fail (g_task_is_valid (result, NULL), NULL);
  return g_task_propagate_pointer (G_TASK (result), error);
}

/* --- a whole file -------------------------------------------------------------------------- */

typedef struct HashJob
{
  char *path;
  GalleryHash hash;
  GalleryMeter *meter;
} HashJob;

static void
hash_job_free (gpointer data)
{
  HashJob *job = data;

  gallery_meter_unref (job->meter);
  g_free (job->path);
  g_free (job);
}

static void
hash_thread (GTask *task, gpointer source, gpointer data, GCancellable *cancellable)
{
  HashJob *job = data;
  g_autoptr (GFile) file = g_file_new_for_path (job->path);
  g_autoptr (GChecksum) checksum = g_checksum_new (gallery_hash_get_checksum_type (job->hash));
  g_autofree guint8 *piece = g_malloc (PIECE);
  g_autoptr (GFileInputStream) stream = NULL;
  g_autoptr (GFileInfo) info = NULL;
  GError *error = NULL;
  guint64 done = 0;
  gssize got;

  stream = g_file_read (file, cancellable, &error);
  if (stream != NULL)
    info = g_file_input_stream_query_info (stream, G_FILE_ATTRIBUTE_STANDARD_SIZE, cancellable,
                                           &error);
  if (info == NULL)
    {
      g_task_return_error (task, error);
      return;
    }
  gallery_meter_begin (job->meter, 0, g_file_info_get_size (info));
  while ((got = g_input_stream_read (G_INPUT_STREAM (stream), piece, PIECE, cancellable, &error)) >
         0)
    {
      g_checksum_update (checksum, piece, got);
      done += got;
      gallery_meter_set (job->meter, done);
    }
  gallery_meter_end (job->meter);
  if (got < 0)
    g_task_return_error (task, error);
  else
    g_task_return_pointer (task, g_strdup (g_checksum_get_string (checksum)), g_free);
}

void
gallery_verify_hash_file_async (const char *path, GalleryHash hash, GalleryProgressFunc progress,
                                gpointer progress_data, GCancellable *cancellable,
                                GAsyncReadyCallback callback, gpointer data)
{
  g_autoptr (GTask) task = g_task_new (NULL, cancellable, callback, data);
  HashJob *job = g_new0 (HashJob, 1);

  g_task_set_source_tag (task, gallery_verify_hash_file_async);
  job->path = g_strdup (path);
  job->hash = hash;
  job->meter = gallery_meter_new (progress, progress_data);
  g_task_set_task_data (task, job, hash_job_free);
  g_task_run_in_thread (task, hash_thread);
}

char *
gallery_verify_hash_file_finish (GAsyncResult *result, GError **error)
{
  g_return_val_if_fail (g_task_is_valid (result, NULL), NULL);
  return g_task_propagate_pointer (G_TASK (result), error);
}

gboolean
gallery_verify_compare (const char *what, GalleryHash hash, const char *expected,
                        const char *actual, GError **error)
{
  if (g_ascii_strcasecmp (expected, actual) == 0)
    return TRUE;
  g_set_error (
      error, GALLERY_VERIFY_ERROR, GALLERY_VERIFY_ERROR_MISMATCH,
      "“%s” is not what its vendor published, so it is not used: its %s should be %s but is %s. "
      "Try again; if that does not help, the vendor's server or the catalogue is wrong",
      what, gallery_hash_to_string (hash), expected, actual);
  return FALSE;
}
