/* A file of the gallery. What is accepted keeps what gallery-entry.h says of it. */
#include "fuzz-target.h"

#include <string.h>

#include "gallery/gallery-entry.h"

static void
check_file (const GalleryFile *file)
{
  g_assert_true (file->urls != NULL && file->urls[0] != NULL);
  /* Those who download look at the scheme as it is written. */
  for (unsigned i = 0; file->urls[i]; i++)
    g_assert_true (g_str_has_prefix (file->urls[i], "http:") ||
                   g_str_has_prefix (file->urls[i], "https:") ||
                   g_str_has_prefix (file->urls[i], "file:"));
  /* A name inside an archive never leads out of a folder. */
  if (file->member)
    {
      g_autofree char *parts = g_strconcat ("/", file->member, "/", NULL);

      g_assert_true (file->member[0] != '/' && strstr (parts, "/../") == NULL);
    }
  if (file->unpack == GALLERY_UNPACK_ZIP || file->unpack == GALLERY_UNPACK_TAR)
    g_assert_nonnull (file->member);
}

static void
check_entry (GalleryEntry *entry)
{
  g_autofree char *title = gallery_entry_dup_title (entry);
  const char *id = gallery_entry_get_id (entry);

  g_assert_true (title != NULL && g_utf8_validate (title, -1, NULL));
  /* It names a folder. */
  g_assert_true (id != NULL && *id != '\0' && *id != '.' && strchr (id, '/') == NULL);
  g_assert_cmpuint (gallery_entry_get_cpus (entry), >=, gallery_entry_get_minimum_cpus (entry));
  g_assert_cmpuint (gallery_entry_get_memory (entry), >=, gallery_entry_get_minimum_memory (entry));
  gallery_entry_matches (entry, "debian cloud");
  gallery_entry_get_download_size (entry);
  gallery_entry_is_local (entry);
  for (unsigned i = 0; i < gallery_entry_get_n_files (entry); i++)
    check_file (gallery_entry_get_file (entry, i));
}

int
LLVMFuzzerTestOneInput (const uint8_t *data, size_t size)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (GalleryEntry) entry =
      gallery_entry_parse ((const char *) data, size, "fuzz.json", &error);

  g_assert_true ((entry != NULL) == (error == NULL));
  if (entry)
    check_entry (entry);
  else
    g_assert_true (g_str_has_prefix (error->message, "fuzz.json: "));
  return 0;
}
