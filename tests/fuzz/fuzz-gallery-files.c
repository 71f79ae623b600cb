/* What a vendor's server sends besides a system: a list of checksums, and the header of a qcow2 image: [which][bytes]. */
#include "fuzz-target.h"

#include <string.h>

#include "gallery/gallery-provision.h"
#include "gallery/gallery-verify.h"

enum
{
  WHICH_QCOW2 = 1 << 0,
  WHICH_ANY = 1 << 1, /* the one digest that there is */
};

static void
parse_sums (uint8_t which, const char *text, size_t size)
{
  static const GalleryHash hashes[] = { GALLERY_HASH_SHA256, GALLERY_HASH_MD5,
                                        GALLERY_HASH_SHA512 };
  const GalleryHash hash = hashes[(which >> 2) % G_N_ELEMENTS (hashes)];
  g_autoptr (GError) error = NULL;
  g_autofree char *digest =
      gallery_verify_parse_sums (text, size, hash, which & WHICH_ANY ? "*" : "debian.iso", &error);

  g_assert_true ((digest != NULL) == (error == NULL));
  if (!digest)
    return;
  g_assert_cmpuint (strlen (digest), ==, gallery_hash_get_digits (hash));
  g_assert_cmpuint (strspn (digest, "0123456789abcdef"), ==, strlen (digest));
}

static void
check_qcow2 (const uint8_t *header, size_t size)
{
  static const uint8_t none[8];
  g_autoptr (GError) error = NULL;
  guint64 disk = 0;

  const gboolean good = gallery_provision_check_qcow2 (header, size, &disk, &error);
  g_assert_true (good == (error == NULL));
  if (!good)
    return;
  g_assert_cmpuint (disk, >, 0);
  g_assert_cmpuint (disk, <=, GALLERY_PROVISION_DISK_MAX);
  /* No backing file, no encryption. */
  g_assert_cmpmem (header + 8, 8, none, 8);
  g_assert_cmpmem (header + 32, 4, none, 4);
}

int
LLVMFuzzerTestOneInput (const uint8_t *data, size_t size)
{
  if (size < 1)
    return 0;
  if (data[0] & WHICH_QCOW2)
    check_qcow2 (data + 1, size - 1);
  else
    parse_sums (data[0], (const char *) data + 1, size - 1);
  return 0;
}
