/* What an earlier process has left of a download: [length of the part 2 bytes][part][what identifies its version]. What is asked of the
 * server fits into one line of a header, and what is gone on from is what is there. */
#include "fuzz-target.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <glib/gstdio.h>

#include "fuzz-input.h"
#include "gallery/gallery-part.h"

static char *folder, *path, *part_path, *meta_path; /* for all inputs */

static void
remove_folder (void)
{
  g_unlink (part_path);
  g_unlink (meta_path);
  g_rmdir (folder);
  g_free (part_path);
  g_free (meta_path);
  g_free (path);
  g_free (folder);
}

static void
make_folder (void)
{
  if (folder)
    return;
  folder = g_dir_make_tmp ("alcove-fuzz-XXXXXX", NULL);
  g_assert_nonnull (folder);
  path = g_build_filename (folder, "file", NULL);
  part_path = g_strconcat (path, ".part", NULL);
  meta_path = g_strconcat (path, ".part.meta", NULL);
  atexit (remove_folder);
}

static void
write_file (const char *name, const uint8_t *bytes, size_t size)
{
  FILE *file = fopen (name, "we");

  g_assert_nonnull (file);
  g_assert_cmpuint (size > 0 ? fwrite (bytes, 1, size, file) : 0, ==, size);
  fclose (file);
}

static void
check_request (GalleryPart *part)
{
  SoupMessageHeaders *request = soup_message_headers_new (SOUP_MESSAGE_HEADERS_REQUEST);

  gallery_part_ask_for_rest (part, request);
  const char *validator = soup_message_headers_get_one (request, "If-Range");
  g_assert_true ((validator != NULL) == (gallery_part_get_length (part) > 0));
  g_assert_true (validator == NULL || strpbrk (validator, "\r\n") == NULL);
  soup_message_headers_unref (request);
}

static void
check_digest (GalleryPart *part, const uint8_t *bytes)
{
  const size_t size = gallery_part_get_length (part);
  g_autofree char *digest = gallery_part_dup_digest (part);
  g_autofree char *wanted = g_compute_checksum_for_data (G_CHECKSUM_SHA256, bytes, size);

  g_assert_cmpstr (digest, ==, wanted);
}

int
LLVMFuzzerTestOneInput (const uint8_t *data, size_t size)
{
  FuzzInput input = { data, size };
  size_t n = fuzz_take (&input, 2);
  const uint8_t *bytes = fuzz_take_bytes (&input, &n);
  g_autoptr (GError) error = NULL;
  GalleryMeter *meter = gallery_meter_new (NULL, NULL);

  make_folder ();
  write_file (part_path, bytes, n);
  write_file (meta_path, input.data, input.size);
  GalleryPart *part = gallery_part_open (path, GALLERY_HASH_SHA256, &error);
  g_assert_no_error (error);
  g_assert_true (gallery_part_get_length (part) == n || gallery_part_get_length (part) == 0);
  check_request (part);
  g_assert_true (gallery_part_hash_again (part, meter, NULL, &error));
  check_digest (part, bytes);
  gallery_part_free (part);
  gallery_meter_unref (meter);
  return 0;
}
