#define G_LOG_DOMAIN "vmm-block"

#include "block/block-raw.h"

#include <errno.h>
#include <fcntl.h>
#include <liburing.h>
#include <unistd.h>

#include "base/iov.h"

/* Theory of operation
 *
 * A request is carried out by one or more calls: a short transfer is continued, a call that the file system does not know is
 * replaced by the next best. describe () says which call is next, digest () takes its result; between them the call is made by
 * io_uring or, where there is none, in place.
 *
 * submit () appends to the list of ready requests, start () turns them into submission entries as far as there is room and enters the
 * kernel once; collect () takes completions, and appends what must go on to the list again.
 *
 * Direct I/O is used where the guest's request is aligned for it: it saves a copy and does not fill the host's page cache with
 * what the guest caches already. The kernel keeps both views of the file coherent.
 */
#define RING_ENTRIES    256
#define COMPLETIONS     2048
#define BATCH           64
#define ZERO_BLOCK      (64 * 1024)
#define ZERO_BLOCKS     64 /* of one call: 4 MiB */
#define FILE_BUFFERED   0  /* indices of registered files */
#define FILE_DIRECT     1
#define PUNCH_MODE      (FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE)
#define ZERO_RANGE_MODE (FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE)
#define POLITE_ATTEMPTS 100 /* at a submission for which the kernel has no memory */

/* BlockRequest.step of BLOCK_WRITE_ZEROES */
enum
{
  ZERO_BY_PUNCH, /* gives the room back */
  ZERO_BY_RANGE,
  ZERO_BY_WRITE,
  ZERO_FLUSH,
};

typedef enum
{
  CALL_READ,
  CALL_WRITE,
  CALL_SYNC,
  CALL_ALLOCATE
} CallKind;

typedef struct Call
{
  CallKind kind;
  bool direct;
  int mode;     /* CALL_ALLOCATE */
  int rw_flags; /* CALL_WRITE */
  const struct iovec *iov;
  unsigned n_iov;
  uint64_t offset;
  uint64_t size; /* CALL_ALLOCATE */
} Call;

struct BlockRaw
{
  BlockImage image;
  bool has_ring;
  bool has_files; /* registered */
  struct io_uring ring;
  BlockRequest *ready; /* a list; ready_tail: where to append */
  BlockRequest **ready_tail;
  unsigned in_flight; /* from submit () to done () */
  bool no_zero_range;
  bool no_punch_hole;
  uint8_t *zeros; /* ZERO_BLOCK bytes; made when first needed */
  struct iovec zero_iov[ZERO_BLOCKS];
};

static void
init_ring (BlockRaw *raw)
{
  struct io_uring_params params = { .flags = IORING_SETUP_CQSIZE | IORING_SETUP_CLAMP,
                                    .cq_entries = COMPLETIONS };
  const int files[] = { raw->image.fd, raw->image.direct_fd };
  const int result = io_uring_queue_init_params (RING_ENTRIES, &raw->ring, &params);

  raw->has_ring = result == 0;
  if (result < 0)
    {
      g_message ("no io_uring (%s): disk requests are made one at a time", g_strerror (-result));
      return;
    }
  raw->has_files = io_uring_register_files (&raw->ring, files, G_N_ELEMENTS (files)) == 0;
}

BlockRaw *
block_raw_new (const BlockImage *image)
{
  BlockRaw *raw = g_new0 (BlockRaw, 1);

  raw->image = *image;
  raw->ready_tail = &raw->ready;
  init_ring (raw);
  return raw;
}

void
block_raw_free (BlockRaw *raw)
{
  if (!raw)
    return;
  block_raw_drain (raw);
  if (raw->has_ring)
    io_uring_queue_exit (&raw->ring);
  block_image_close (&raw->image);
  g_free (raw->zeros);
  g_free (raw);
}

const BlockImage *
block_raw_get_image (const BlockRaw *raw)
{
  return &raw->image;
}

int
block_raw_get_fd (const BlockRaw *raw)
{
  return raw->has_ring ? raw->ring.ring_fd : -1;
}

static bool
is_aligned (const BlockRaw *raw, const BlockRequest *request)
{
  uintptr_t all = request->offset;

  for (unsigned i = 0; i < request->n_iov; i++)
    all |= (uintptr_t) request->iov[i].iov_base | request->iov[i].iov_len;
  return all % raw->image.alignment == 0;
}

static void
describe_zeros (BlockRaw *raw, const BlockRequest *request, Call *call)
{
  uint64_t left = request->size;
  unsigned n = 0;

  if (!raw->zeros)
    raw->zeros = g_malloc0 (ZERO_BLOCK);
  for (; n < ZERO_BLOCKS && left > 0; n++)
    {
      const size_t length = MIN (left, ZERO_BLOCK);

      raw->zero_iov[n] = (struct iovec){ raw->zeros, length };
      left -= length;
    }
  call->kind = CALL_WRITE;
  call->iov = raw->zero_iov;
  call->n_iov = n;
}

static void
describe (BlockRaw *raw, BlockRequest *request, Call *call)
{
  *call = (Call){
    .iov = request->iov, .n_iov = request->n_iov, .offset = request->offset, .size = request->size
  };
  switch (request->operation)
    {
    case BLOCK_READ:
    case BLOCK_WRITE:
      call->kind = request->operation == BLOCK_READ ? CALL_READ : CALL_WRITE;
      call->rw_flags = request->operation == BLOCK_WRITE && request->durable ? RWF_DSYNC : 0;
      call->direct = raw->image.direct_fd >= 0 && !request->buffered && is_aligned (raw, request);
      break;
    case BLOCK_FLUSH:
      call->kind = CALL_SYNC;
      break;
    case BLOCK_DISCARD:
      call->kind = CALL_ALLOCATE;
      call->mode = PUNCH_MODE;
      break;
    case BLOCK_WRITE_ZEROES:
      call->kind = request->step == ZERO_FLUSH ? CALL_SYNC : CALL_ALLOCATE;
      call->mode = request->step == ZERO_BY_RANGE ? ZERO_RANGE_MODE : PUNCH_MODE;
      if (request->step == ZERO_BY_WRITE)
        describe_zeros (raw, request, call);
      break;
    }
}

static int
call_now (BlockRaw *raw, const Call *call)
{
  const int fd = call->direct ? raw->image.direct_fd : raw->image.fd;
  ssize_t result = -1;

  switch (call->kind)
    {
    case CALL_READ:
      result = preadv (fd, call->iov, call->n_iov, call->offset);
      break;
    case CALL_WRITE:
      result = pwritev2 (fd, call->iov, call->n_iov, call->offset, call->rw_flags);
      break;
    case CALL_SYNC:
      result = fdatasync (fd);
      break;
    case CALL_ALLOCATE:
      result = fallocate (fd, call->mode, call->offset, call->size);
      break;
    }
  return result < 0 ? -errno : (int) result;
}

static void
call_by_ring (BlockRaw *raw, const Call *call, struct io_uring_sqe *sqe)
{
  const int file = call->direct ? FILE_DIRECT : FILE_BUFFERED;
  const int plain = call->direct ? raw->image.direct_fd : raw->image.fd;
  const int fd = raw->has_files ? file : plain;

  switch (call->kind)
    {
    case CALL_READ:
      io_uring_prep_readv (sqe, fd, call->iov, call->n_iov, call->offset);
      break;
    case CALL_WRITE:
      io_uring_prep_writev2 (sqe, fd, call->iov, call->n_iov, call->offset, call->rw_flags);
      break;
    case CALL_SYNC:
      io_uring_prep_fsync (sqe, fd, IORING_FSYNC_DATASYNC);
      break;
    case CALL_ALLOCATE:
      io_uring_prep_fallocate (sqe, fd, call->mode, call->offset, call->size);
      break;
    }
  if (raw->has_files)
    sqe->flags |= IOSQE_FIXED_FILE;
}

static void
append (BlockRaw *raw, BlockRequest *request)
{
  request->next = NULL;
  *raw->ready_tail = request;
  raw->ready_tail = &request->next;
}

static BlockRequest *
take (BlockRaw *raw)
{
  BlockRequest *request = raw->ready;

  raw->ready = request->next;
  if (!raw->ready)
    raw->ready_tail = &raw->ready;
  return request;
}

static bool
is_unknown (int result)
{
  return result == -EOPNOTSUPP || result == -ENOSYS || result == -EINVAL;
}

typedef enum
{
  GO_ON,
  FINISHED
} Verdict;

/* Of what may not be tried again: that there was no room for what it caches the kernel tells once, and forgets; a second flush would
 * succeed, and lie. */
static int
get_final_error (int result)
{
  return result == -ENOSPC || result == -EDQUOT ? EIO : -result;
}

static Verdict
digest_transfer (BlockRaw *raw, BlockRequest *request, int result, int *error)
{
  if (result == -EINVAL && raw->image.direct_fd >= 0 && !request->buffered)
    {
      request->buffered = true;
      return GO_ON;
    }
  if (result <= 0)
    {
      /* 0: the file was cut off under us. */
      *error = result < 0 ? -result : EIO;
      return FINISHED;
    }
  if ((uint64_t) result >= request->size)
    return FINISHED;
  if (request->operation != BLOCK_WRITE_ZEROES)
    iov_trim_front (&request->iov, &request->n_iov, result);
  request->offset += result;
  request->size -= result;
  return GO_ON;
}

/* The best of what this image has not refused yet. */
static unsigned
choose_zero_step (const BlockRaw *raw, const BlockRequest *request)
{
  if (request->may_unmap && !raw->no_punch_hole)
    return ZERO_BY_PUNCH;
  return raw->no_zero_range ? ZERO_BY_WRITE : ZERO_BY_RANGE;
}

static Verdict
digest_zeroes (BlockRaw *raw, BlockRequest *request, int result, int *error)
{
  switch (request->step)
    {
    case ZERO_BY_PUNCH:
    case ZERO_BY_RANGE:
      if (is_unknown (result))
        {
          *(request->step == ZERO_BY_PUNCH ? &raw->no_punch_hole : &raw->no_zero_range) = true;
          request->step = choose_zero_step (raw, request);
          return GO_ON;
        }
      break;
    case ZERO_BY_WRITE:
      if (digest_transfer (raw, request, result, error) == GO_ON)
        return GO_ON;
      result = -*error;
      break;
    default:
      *error = get_final_error (result);
      return FINISHED;
    }
  *error = result < 0 ? -result : 0;
  if (*error == 0 && request->durable)
    {
      request->step = ZERO_FLUSH;
      return GO_ON;
    }
  return FINISHED;
}

static Verdict
digest (BlockRaw *raw, BlockRequest *request, int result, int *error)
{
  *error = 0;
  if (result == -EINTR || result == -EAGAIN)
    return GO_ON;
  switch (request->operation)
    {
    case BLOCK_READ:
    case BLOCK_WRITE:
      return digest_transfer (raw, request, result, error);
    case BLOCK_WRITE_ZEROES:
      return digest_zeroes (raw, request, result, error);
    case BLOCK_DISCARD:
      if (is_unknown (result))
        {
          raw->no_punch_hole = true; /* only a hint: nothing is wrong */
          return FINISHED;
        }
      break;
    case BLOCK_FLUSH:
      break;
    }
  *error = get_final_error (result);
  return FINISHED;
}

static void
handle_result (BlockRaw *raw, BlockRequest *request, int result)
{
  int error;

  if (digest (raw, request, result, &error) == GO_ON)
    {
      append (raw, request);
      return;
    }
  if (error != 0)
    g_debug ("operation %d at %" G_GUINT64_FORMAT ": %s", request->operation, request->offset,
             g_strerror (error));
  raw->in_flight--;
  request->done (request, error);
}

static void
start_without_ring (BlockRaw *raw)
{
  while (raw->ready)
    {
      BlockRequest *request = take (raw);
      Call call;

      describe (raw, request, &call);
      handle_result (raw, request, call_now (raw, &call));
    }
}

/* True: entered the kernel, or it wants completions taken first (EBUSY). */
static void
enter (BlockRaw *raw)
{
  for (unsigned i = 0; i < POLITE_ATTEMPTS; i++)
    {
      const int result = io_uring_submit (&raw->ring);

      if (result != -EINTR && result != -EAGAIN)
        return;
      if (result == -EAGAIN)
        g_thread_yield ();
    }
  g_warning ("the host has no memory for disk requests: they wait");
}

static void
start (BlockRaw *raw)
{
  if (!raw->has_ring)
    {
      start_without_ring (raw);
      return;
    }
  while (raw->ready)
    {
      struct io_uring_sqe *sqe = io_uring_get_sqe (&raw->ring);
      Call call;

      if (!sqe)
        {
          enter (raw);
          sqe = io_uring_get_sqe (&raw->ring);
        }
      if (!sqe)
        break; /* the rest goes after the next completion */
      BlockRequest *request = take (raw);
      describe (raw, request, &call);
      call_by_ring (raw, &call, sqe);
      io_uring_sqe_set_data (sqe, request);
      /* The zeros' vector is shared: the kernel must have copied it before the next request changes it. */
      if (call.iov == raw->zero_iov)
        enter (raw);
    }
  if (io_uring_sq_ready (&raw->ring) > 0)
    enter (raw);
}

static void
collect (BlockRaw *raw)
{
  struct io_uring_cqe *cqes[BATCH];
  unsigned n;

  if (!raw->has_ring)
    return;
  while ((n = io_uring_peek_batch_cqe (&raw->ring, cqes, BATCH)) > 0)
    {
      BlockRequest *requests[BATCH];
      int results[BATCH];

      for (unsigned i = 0; i < n; i++)
        {
          requests[i] = io_uring_cqe_get_data (cqes[i]);
          results[i] = cqes[i]->res;
        }
      io_uring_cq_advance (&raw->ring, n);
      for (unsigned i = 0; i < n; i++)
        handle_result (raw, requests[i], results[i]);
    }
}

void
block_raw_submit (BlockRaw *raw, BlockRequest *request)
{
  request->step = choose_zero_step (raw, request);
  request->buffered = false;
  raw->in_flight++;
  append (raw, request);
}

void
block_raw_kick (BlockRaw *raw)
{
  start (raw);
  collect (raw);
  if (raw->ready)
    start (raw);
}

void
block_raw_reap (BlockRaw *raw)
{
  collect (raw);
  if (raw->ready || (raw->has_ring && io_uring_sq_ready (&raw->ring) > 0))
    start (raw);
}

bool
block_raw_is_busy (const BlockRaw *raw)
{
  return raw->in_flight > 0;
}

void
block_raw_drain (BlockRaw *raw)
{
  while (raw->in_flight > 0)
    {
      struct io_uring_cqe *cqe;

      start (raw);
      if (raw->has_ring && raw->in_flight > 0)
        io_uring_wait_cqe (&raw->ring, &cqe);
      collect (raw);
    }
}

/* --- as a backend --- */

static void
submit (void *opaque, BlockRequest *request)
{
  block_raw_submit (opaque, request);
}

static void
kick (void *opaque)
{
  block_raw_kick (opaque);
}

static void
reap (void *opaque)
{
  block_raw_reap (opaque);
}

static void
drain (void *opaque)
{
  block_raw_drain (opaque);
}

static void
free_raw (void *opaque)
{
  block_raw_free (opaque);
}

void
block_raw_get_backend (BlockRaw *raw, BlockBackend *backend)
{
  static const BlockBackendOps ops = {
    .submit = submit,
    .kick = kick,
    .reap = reap,
    .drain = drain,
    .free = free_raw,
  };

  *backend = (BlockBackend){
    .ops = &ops,
    .opaque = raw,
    .fd = block_raw_get_fd (raw),
    .size = raw->image.size,
    .alignment = raw->image.alignment,
  };
}

bool
block_raw_open_backend (const char *path, bool readonly, BlockBackend *backend, GError **error)
{
  BlockImage image;

  if (!block_image_open (&image, path, readonly, error))
    return false;
  block_raw_get_backend (block_raw_new (&image), backend);
  return true;
}
