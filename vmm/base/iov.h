#pragma once

#include <stddef.h>
#include <sys/uio.h>

/* Copies between a buffer and a vector of memory pieces. offset: bytes to skip in the vector.
 * Each returns how many bytes were copied: less than size where the vector ends first. */
size_t iov_read (const struct iovec *iov, unsigned n_iov, size_t offset, void *buffer, size_t size);
size_t iov_write (const struct iovec *iov, unsigned n_iov, size_t offset, const void *buffer,
                  size_t size);
size_t iov_fill (const struct iovec *iov, unsigned n_iov, size_t offset, int byte, size_t size);

/* The sum of the lengths. */
size_t iov_size (const struct iovec *iov, unsigned n_iov);

/* Cuts bytes off the start or the end (at most what is there). Pieces are changed and skipped in place. */
void iov_trim_front (struct iovec **iov, unsigned *n_iov, size_t bytes);
void iov_trim_back (struct iovec *iov, unsigned *n_iov, size_t bytes);
