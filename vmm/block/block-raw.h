#pragma once

#include "block/block-backend.h"
#include "block/block-image.h"

/* Requests on a raw image, by io_uring; where the host forbids that, by blocking calls in block_raw_kick ().
 *
 * Thread: one at a time; the owner's lock is the guard. Nothing here blocks, but block_raw_drain (), block_raw_free () and the fallback.
 */
typedef struct BlockRaw BlockRaw;

/* image is taken over, and closed by block_raw_free (). Never fails: see the fallback above. */
BlockRaw *block_raw_new (const BlockImage *image);
/* Waits for what is in flight. */
void block_raw_free (BlockRaw *raw);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (BlockRaw, block_raw_free)

const BlockImage *block_raw_get_image (const BlockRaw *raw);

/* Readable while block_raw_reap () has something to do. -1: never. */
int block_raw_get_fd (const BlockRaw *raw);

/* Prepares a request; block_raw_kick () starts all that were prepared, with one system call, and completes those that
 * are done by then. */
void block_raw_submit (BlockRaw *raw, BlockRequest *request);
void block_raw_kick (BlockRaw *raw);
/* Calls done () for each completed request. */
void block_raw_reap (BlockRaw *raw);
/* Is a request in flight, from its submission to its done ()? */
bool block_raw_is_busy (const BlockRaw *raw);
/* Waits until no request is in flight; each had its done (). */
void block_raw_drain (BlockRaw *raw);

/* Opens the image as well; errors as block_image_open (). */
bool block_raw_open_backend (const char *path, bool readonly, BlockBackend *backend,
                             GError **error);
/* Its ops.free () is block_raw_free (). */
void block_raw_get_backend (BlockRaw *raw, BlockBackend *backend);
