#include "block/request-copy.h"

#include <string.h>

void
request_copy_set (RequestCopy *copy, const BlockRequest *request,
                  void (*done) (BlockRequest *io, int error))
{
  const bool has_data = request->operation == BLOCK_READ || request->operation == BLOCK_WRITE;
  const unsigned n_iov = has_data ? request->n_iov : 0;

  if (n_iov > copy->iov_room)
    {
      copy->iov = g_renew (struct iovec, copy->iov, n_iov);
      copy->iov_room = n_iov;
    }
  if (n_iov > 0)
    memcpy (copy->iov, request->iov, n_iov * sizeof *copy->iov);
  copy->io = (BlockRequest){
    .operation = request->operation,
    .offset = request->offset,
    .size = request->size,
    .iov = copy->iov,
    .n_iov = n_iov,
    .may_unmap = request->may_unmap,
    .durable = request->durable,
    .done = done,
  };
}

void
request_copy_clear (RequestCopy *copy)
{
  g_clear_pointer (&copy->iov, g_free);
  copy->iov_room = 0;
}
