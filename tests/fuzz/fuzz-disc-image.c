#include "fuzz-target.h"

#include <glib.h>

#include "machine/disc-image.h"

/* The first blocks of a file that somebody handed over, and what it says its boot catalog is. */
int
LLVMFuzzerTestOneInput (const uint8_t *data, size_t size)
{
  DiscImage image;

  if (disc_image_parse (data, size, size, &image))
    g_assert_true (g_utf8_validate (image.label, -1, NULL));
  const uint64_t offset = (uint64_t) disc_image_find_catalog (data, size) * 2048;
  if (offset < size)
    disc_image_catalog_has_uefi (data + offset, MIN (size - offset, 2048));
  disc_image_catalog_has_uefi (data, size);
  return 0;
}
