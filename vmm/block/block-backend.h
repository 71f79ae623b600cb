#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/uio.h>
#include <glib.h>

/* Requests on a disk's contents, whatever keeps those: an image in this process (block-raw.h), another process (block-nbd.h).
 *
 * Thread: one at a time; the owner's lock is the guard.
 */
#define BLOCK_SECTOR_SIZE 512u

typedef struct BlockRequest BlockRequest;

typedef enum
{
  BLOCK_READ,
  BLOCK_WRITE,
  BLOCK_FLUSH,       /* what was written before is on the medium */
  BLOCK_DISCARD,     /* the bytes are of no more use; a hint */
  BLOCK_WRITE_ZEROES /* the bytes read as zeros */
} BlockOperation;

/* Owned by the caller, untouched by it from submit () to done (). */
struct BlockRequest
{
  BlockOperation operation;
  uint64_t offset;   /* bytes; offset + size is inside the disk */
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

typedef struct BlockBackendOps
{
  /* Prepares a request; kick () starts all that were prepared, and may complete some. */
  void (*submit) (void *opaque, BlockRequest *request);
  void (*kick) (void *opaque);
  /* Calls done () for each completed request. */
  void (*reap) (void *opaque);
  /* As reap, but without asking to be woken for what comes next. NULL: reap is used. */
  void (*look) (void *opaque);
  /* Waits until no request is in flight; each had its done (). */
  void (*drain) (void *opaque);
  /* Waits for what is in flight. */
  void (*free) (void *opaque);
} BlockBackendOps;

typedef struct BlockBackend
{
  const BlockBackendOps *ops;
  void *opaque;
  int fd;             /* readable while reap () has something to do; -1: never. Borrowed */
  uint64_t size;      /* bytes, a multiple of BLOCK_SECTOR_SIZE */
  unsigned alignment; /* bytes: what is done fastest; 0: not known */
} BlockBackend;
