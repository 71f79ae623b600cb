/* A file that is said to be firmware, or its variables: [flags][pages][bytes]. With FLAG_LONG it is `pages` and 16 pages of zeroes, of
 * which the bytes are the first ones and the last 16. */
#include "fuzz-target.h"

#include <string.h>
#include <glib.h>

#include "firmware/ovmf-files.h"
#include "fuzz-input.h"

#define PAGE   4096
#define VECTOR 16

enum
{
  FLAG_CODE = 1 << 0,
  FLAG_LONG = 1 << 1,
};

static uint8_t *
lengthen (const FuzzInput *input, size_t size)
{
  uint8_t *bytes = g_malloc0 (size);
  const size_t n = MIN (input->size, PAGE);

  if (n > 0)
    memcpy (bytes, input->data, n);
  if (n >= VECTOR)
    memcpy (bytes + size - VECTOR, input->data + input->size - VECTOR, VECTOR);
  return bytes;
}

int
LLVMFuzzerTestOneInput (const uint8_t *data, size_t size)
{
  FuzzInput input = { data, size };
  const unsigned flags = fuzz_take (&input, 1), pages = fuzz_take (&input, 1);
  const size_t length = flags & FLAG_LONG ? (16 + pages % 16) * PAGE : input.size;
  g_autofree uint8_t *bytes =
      flags & FLAG_LONG ? lengthen (&input, length) : g_memdup2 (input.data, length);
  g_autoptr (GError) error = NULL;

  const bool good = flags & FLAG_CODE ? ovmf_files_check_code (bytes, length, &error)
                                      : ovmf_files_check_variables (bytes, length, &error);
  g_assert_true (good == (error == NULL));
  return 0;
}
