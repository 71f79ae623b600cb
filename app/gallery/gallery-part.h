#pragma once

#include <libsoup/soup.h>
#include "gallery/gallery-entry.h"
#include "gallery/gallery-meter.h"

G_BEGIN_DECLS

/* The part of a file that was downloaded so far: PATH.part, with what identifies its version in
 * PATH.part.meta.
 *
 * Its hash always covers exactly the bytes that are on disk. It survives the process: whoever
 * opens the same path later goes on. Only one process at a time has it open.
 *
 * What identifies a version is preferably its Last-Modified date, because that is the same on
 * all mirrors to which a vendor's server may redirect, which an ETag is not. That two versions
 * of the same second are mixed is caught by the checksum.
 *
 * Thread: one at a time; blocks. */
typedef struct GalleryPart GalleryPart;

/* Makes the folder if need be. NULL with G_IO_ERROR_BUSY when another process has it open. */
GalleryPart *gallery_part_open (const char *path, GalleryHash hash, GError **error);
void gallery_part_free (GalleryPart *self); /* keeps the files; accepts NULL */

/* Hashes what an earlier process has left. */
gboolean gallery_part_hash_again (GalleryPart *self, GalleryMeter *meter, GCancellable *cancellable,
                                  GError **error);

guint64 gallery_part_get_length (GalleryPart *self);

/* Adds Range and If-Range, if there is something to go on from. */
void gallery_part_ask_for_rest (GalleryPart *self, SoupMessageHeaders *request);

/* From the start, with the version that the response's headers tell (NULL: a local file, not to
 * be resumed). */
gboolean gallery_part_restart (GalleryPart *self, SoupMessageHeaders *response, GError **error);

/* Whether a file of `total` bytes (0: not known) will fit on the disk. */
gboolean gallery_part_check_room (GalleryPart *self, guint64 total, GError **error);
gboolean gallery_part_append (GalleryPart *self, const guint8 *data, gsize length, GError **error);

/* Empties it: what it holds cannot be right. */
void gallery_part_discard (GalleryPart *self);

/* Makes it the file. */
gboolean gallery_part_complete (GalleryPart *self, GError **error);

/* Of what there is (free it). */
char *gallery_part_dup_digest (GalleryPart *self);

G_END_DECLS
