#include "base/iov.h"

#include <stdint.h>
#include <string.h>
#include <glib.h>

typedef enum
{
  IOV_READ,
  IOV_WRITE,
  IOV_FILL,
} IovOperation;

static size_t
walk (const struct iovec *iov, unsigned n_iov, size_t offset, IovOperation operation,
      uint8_t *buffer, int byte, size_t size)
{
  size_t done = 0;

  for (unsigned i = 0; i < n_iov && done < size; i++)
    {
      if (offset >= iov[i].iov_len)
        {
          offset -= iov[i].iov_len;
          continue;
        }
      uint8_t *piece = (uint8_t *) iov[i].iov_base + offset;
      size_t length = MIN (iov[i].iov_len - offset, size - done);
      offset = 0;
      if (operation == IOV_READ)
        memcpy (buffer + done, piece, length);
      else if (operation == IOV_WRITE)
        memcpy (piece, buffer + done, length);
      else
        memset (piece, byte, length);
      done += length;
    }
  return done;
}

size_t
iov_read (const struct iovec *iov, unsigned n_iov, size_t offset, void *buffer, size_t size)
{
  return walk (iov, n_iov, offset, IOV_READ, buffer, 0, size);
}

size_t
iov_write (const struct iovec *iov, unsigned n_iov, size_t offset, const void *buffer, size_t size)
{
  return walk (iov, n_iov, offset, IOV_WRITE, (uint8_t *) buffer, 0, size);
}

size_t
iov_fill (const struct iovec *iov, unsigned n_iov, size_t offset, int byte, size_t size)
{
  return walk (iov, n_iov, offset, IOV_FILL, NULL, byte, size);
}

size_t
iov_size (const struct iovec *iov, unsigned n_iov)
{
  size_t total = 0;

  for (unsigned i = 0; i < n_iov; i++)
    total += iov[i].iov_len;
  return total;
}

void
iov_trim_front (struct iovec **iov, unsigned *n_iov, size_t bytes)
{
  while (*n_iov > 0 && bytes >= (*iov)->iov_len)
    {
      bytes -= (*iov)->iov_len;
      (*iov)++;
      (*n_iov)--;
    }
  if (*n_iov > 0)
    {
      (*iov)->iov_base = (char *) (*iov)->iov_base + bytes;
      (*iov)->iov_len -= bytes;
    }
}

void
iov_trim_back (struct iovec *iov, unsigned *n_iov, size_t bytes)
{
  while (*n_iov > 0 && bytes >= iov[*n_iov - 1].iov_len)
    {
      bytes -= iov[*n_iov - 1].iov_len;
      (*n_iov)--;
    }
  if (*n_iov > 0)
    iov[*n_iov - 1].iov_len -= bytes;
}
