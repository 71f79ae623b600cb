#include "block-calls.h"

#include <errno.h>
#include <fcntl.h>
#include <liburing.h>
#include <sys/uio.h>

BlockCalls block_calls;

static struct io_uring *held;

int __real_io_uring_queue_init_params (unsigned, struct io_uring *, struct io_uring_params *);
int __real_io_uring_submit (struct io_uring *);
int __real___io_uring_get_cqe (struct io_uring *, struct io_uring_cqe **, unsigned, unsigned,
                               sigset_t *);
ssize_t __real_preadv64 (int, const struct iovec *, int, off_t);
ssize_t __real_pwritev64v2 (int, const struct iovec *, int, off_t, int);
int __real_fdatasync (int);
int __real_fallocate64 (int, int, off_t, off_t);

int __wrap_io_uring_queue_init_params (unsigned, struct io_uring *, struct io_uring_params *);
int __wrap_io_uring_submit (struct io_uring *);
int __wrap___io_uring_get_cqe (struct io_uring *, struct io_uring_cqe **, unsigned, unsigned,
                               sigset_t *);
ssize_t __wrap_preadv64 (int, const struct iovec *, int, off_t);
ssize_t __wrap_pwritev64v2 (int, const struct iovec *, int, off_t, int);
int __wrap_fdatasync (int);
int __wrap_fallocate64 (int, int, off_t, off_t);

bool
block_calls_have_ring (void)
{
  struct io_uring ring;

  if (io_uring_queue_init (1, &ring, 0) < 0)
    return false;
  io_uring_queue_exit (&ring);
  return true;
}

static void
count (const struct io_uring_sqe *sqe)
{
  switch (sqe->opcode)
    {
    case IORING_OP_READV:
      block_calls.n_reads++;
      break;
    case IORING_OP_WRITEV:
      block_calls.n_writes++;
      block_calls.n_durable += (sqe->rw_flags & RWF_DSYNC) != 0;
      break;
    case IORING_OP_FSYNC:
      block_calls.n_syncs += sqe->fsync_flags == IORING_FSYNC_DATASYNC;
      break;
    case IORING_OP_FALLOCATE:
      block_calls.allocate_modes |= (int) sqe->len;
      break;
    }
}

static int
submit (struct io_uring *ring)
{
  for (unsigned i = ring->sq.sqe_head; i != ring->sq.sqe_tail; i++)
    count (&ring->sq.sqes[i & *ring->sq.kring_mask]);
  return __real_io_uring_submit (ring);
}

void
block_calls_release (void)
{
  block_calls.hold = false;
  if (held)
    submit (held);
  held = NULL;
}

int
__wrap_io_uring_queue_init_params (unsigned entries, struct io_uring *ring,
                                   struct io_uring_params *params)
{
  return block_calls.no_ring ? -EPERM : __real_io_uring_queue_init_params (entries, ring, params);
}

int
__wrap_io_uring_submit (struct io_uring *ring)
{
  if (block_calls.hold)
    {
      held = ring;
      return 0;
    }
  return submit (ring);
}

int
__wrap___io_uring_get_cqe (struct io_uring *ring, struct io_uring_cqe **cqe, unsigned submit,
                           unsigned wait, sigset_t *mask)
{
  block_calls_release ();
  return __real___io_uring_get_cqe (ring, cqe, submit, wait, mask);
}

ssize_t
__wrap_preadv64 (int fd, const struct iovec *iov, int n, off_t offset)
{
  struct iovec first = *iov;

  block_calls.n_reads++;
  if (block_calls.at_most == 0)
    return __real_preadv64 (fd, iov, n, offset);
  if (first.iov_len > block_calls.at_most)
    first.iov_len = block_calls.at_most;
  return __real_preadv64 (fd, &first, 1, offset);
}

ssize_t
__wrap_pwritev64v2 (int fd, const struct iovec *iov, int n, off_t offset, int flags)
{
  struct iovec first = *iov;

  block_calls.n_writes++;
  block_calls.n_durable += (flags & RWF_DSYNC) != 0;
  if (block_calls.write_error != 0)
    {
      errno = block_calls.write_error;
      return -1;
    }
  if (block_calls.at_most == 0)
    return __real_pwritev64v2 (fd, iov, n, offset, flags);
  if (first.iov_len > block_calls.at_most)
    first.iov_len = block_calls.at_most;
  return __real_pwritev64v2 (fd, &first, 1, offset, flags);
}

int
__wrap_fdatasync (int fd)
{
  block_calls.n_syncs++;
  errno = block_calls.sync_error;
  return block_calls.sync_error != 0 ? -1 : __real_fdatasync (fd);
}

int
__wrap_fallocate64 (int fd, int mode, off_t offset, off_t size)
{
  block_calls.allocate_modes |= mode;
  if (mode & block_calls.allocate_refused)
    {
      errno = EOPNOTSUPP;
      return -1;
    }
  if (block_calls.write_error != 0)
    {
      errno = block_calls.write_error;
      return -1;
    }
  return __real_fallocate64 (fd, mode, offset, size);
}
