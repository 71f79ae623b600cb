#pragma once

#include <gio/gio.h>
#include "gallery/gallery-entry.h"
#include "gallery/gallery-progress.h"

G_BEGIN_DECLS

/* Is it what the vendor published? Hashes as the bytes come, and knows where the expected value
 * is to be had. */

typedef enum
{
  GALLERY_VERIFY_ERROR_MISMATCH, /* the file was hashed and is not what was published */
  GALLERY_VERIFY_ERROR_NO_SUM,   /* the checksum source does not have a usable value for the file */
} GalleryVerifyError;
#define GALLERY_VERIFY_ERROR (gallery_verify_error_quark ())
GQuark gallery_verify_error_quark (void);

GChecksumType gallery_hash_get_checksum_type (GalleryHash hash);
const char *gallery_hash_to_string (GalleryHash hash); /* "sha256" */
gsize gallery_hash_get_digits (GalleryHash hash);

/* The digest of `file` in a vendor's list of checksums (free it): the forms "DIGEST  FILE",
 * "DIGEST *FILE", "SHA256 (FILE) = DIGEST", and a lone DIGEST. Also inside an OpenPGP
 * clear-signed text. NULL with GALLERY_VERIFY_ERROR_NO_SUM. The text is untrusted. */
char *gallery_verify_parse_sums (const char *text, gsize length, GalleryHash hash, const char *file,
                                 GError **error);

/* Learns the expected digest of `file`: from the entry, from the vendor's checksum file, or from
 * the package's list. */
void gallery_verify_fetch_expected_async (const GalleryFile *file, GCancellable *cancellable,
                                          GAsyncReadyCallback callback, gpointer data);
char *gallery_verify_fetch_expected_finish (GAsyncResult *result, GError **error);

/* Hashes a whole file in a worker thread. */
void gallery_verify_hash_file_async (const char *path, GalleryHash hash,
                                     GalleryProgressFunc progress, gpointer progress_data,
                                     GCancellable *cancellable, GAsyncReadyCallback callback,
                                     gpointer data);
char *gallery_verify_hash_file_finish (GAsyncResult *result, GError **error);

/* FALSE with GALLERY_VERIFY_ERROR_MISMATCH, naming `what`, the expected and the actual digest. */
gboolean gallery_verify_compare (const char *what, GalleryHash hash, const char *expected,
                                 const char *actual, GError **error);

G_END_DECLS
