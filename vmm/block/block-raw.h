#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/uio.h>
#include <glib.h>

#include "block/block-image.h"

/* Requests on a raw image, by io_uring; where the host forbids that, by blocking calls in block_raw_kick ().
 *
 * Thread: one at a time; the owner's lock is the guard. Nothing here blocks, but block_raw_drain (), block_raw_free () and the fallback.
 */
typedef struct BlockRaw BlockRaw;
typedef struct BlockRequest BlockRequest;

typedef enum
{
  BLOCK_READ,
  BLOCK_WRITE,
  BLOCK_FLUSH,       /* what was written before is on the medium */
  BLOCK_DISCARD,     /* the bytes are of no more use; a hint */
  BLOCK_WRITE_ZEROES /* the bytes read as zeros */
} BlockOperation;

/* Owned by the caller, untouched by it from block_raw_submit () to done (). */
struct BlockRequest
{
  BlockOperation operation;
  uint64_t offset;   /* bytes; offset + size is inside the image */
  uint64_t size;     /* read and write: what iov holds */
  struct iovec *iov; /* read and write; is changed when an operation is continued */
  unsigned n_iov;
  bool may_unmap; /* write zeroes: space may be given back */
  bool durable;   /* write, write zeroes: flushed as well */
  /* error: 0 or an errno. ENOSPC and EDQUOT, of writes and write zeroes only: it may be submitted again as it is, and then misses nothing. The
   * request may be reused or freed from here on. May submit other requests; may not drain. */
  void (*done) (BlockRequest *request, int error);

  /* private: */
  unsigned step;
  bool buffered;
  BlockRequest *next;
};

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
