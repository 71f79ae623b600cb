#pragma once

#include <stddef.h>
#include <stdint.h>
#include <glib.h>

/* What is left of an input, taken from the front; at its end everything reads as zero. */
typedef struct FuzzInput
{
  const uint8_t *data;
  size_t size;
} FuzzInput;

/* Little-endian, n bytes, 8 at most. */
static inline uint64_t
fuzz_take (FuzzInput *input, unsigned n)
{
  uint64_t value = 0;

  for (unsigned i = 0; i < n && input->size > 0; i++, input->size--)
    value |= (uint64_t) *input->data++ << (8 * i);
  return value;
}

/* Up to n bytes, borrowed from the input; *n becomes how many there are. */
static inline const uint8_t *
fuzz_take_bytes (FuzzInput *input, size_t *n)
{
  const uint8_t *bytes = input->data;

  *n = MIN (*n, input->size);
  input->data += *n;
  input->size -= *n;
  return bytes;
}
