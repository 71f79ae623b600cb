#pragma once

#include "block/block-backend.h"

/* A request to the backend below in place of the caller's, which stays as it was: below may change what it is asked, and who is asked again begins at the
 * beginning. In place, all zeros at first; used for one request after the other.
 *
 * Thread: as the requests'.
 */
typedef struct RequestCopy
{
  BlockRequest io; /* first: done () may cast */
  struct iovec *iov;
  unsigned iov_room;
} RequestCopy;

/* The same bytes to or from the same memory; done: the copy's own. */
void request_copy_set (RequestCopy *copy, const BlockRequest *request,
                       void (*done) (BlockRequest *io, int error));
void request_copy_clear (RequestCopy *copy);
