#define G_LOG_DOMAIN "app-gallery"

#include "gallery/gallery-entry-private.h"

#include <string.h>
#include <unistd.h>

G_DEFINE_ENUM_TYPE (GalleryRole, gallery_role, G_DEFINE_ENUM_VALUE (GALLERY_ROLE_DISK, "disk"),
                    G_DEFINE_ENUM_VALUE (GALLERY_ROLE_KERNEL, "kernel"),
                    G_DEFINE_ENUM_VALUE (GALLERY_ROLE_INITRD, "initrd"),
                    G_DEFINE_ENUM_VALUE (GALLERY_ROLE_CDROM, "cdrom"))
G_DEFINE_ENUM_TYPE (GalleryUnpackKind, gallery_unpack_kind,
                    G_DEFINE_ENUM_VALUE (GALLERY_UNPACK_NONE, "none"),
                    G_DEFINE_ENUM_VALUE (GALLERY_UNPACK_GZ, "gz"),
                    G_DEFINE_ENUM_VALUE (GALLERY_UNPACK_XZ, "xz"),
                    G_DEFINE_ENUM_VALUE (GALLERY_UNPACK_ZST, "zst"),
                    G_DEFINE_ENUM_VALUE (GALLERY_UNPACK_ZIP, "zip"),
                    G_DEFINE_ENUM_VALUE (GALLERY_UNPACK_TAR, "tar"))
G_DEFINE_ENUM_TYPE (GalleryHash, gallery_hash, G_DEFINE_ENUM_VALUE (GALLERY_HASH_NONE, "none"),
                    G_DEFINE_ENUM_VALUE (GALLERY_HASH_MD5, "md5"),
                    G_DEFINE_ENUM_VALUE (GALLERY_HASH_SHA256, "sha256"),
                    G_DEFINE_ENUM_VALUE (GALLERY_HASH_SHA512, "sha512"))
G_DEFINE_FINAL_TYPE (GalleryEntry, gallery_entry, G_TYPE_OBJECT)

/* The properties are the texts (their number plus 1) and then: */
enum
{
  PROP_DOWNLOAD_SIZE = GALLERY_N_TEXTS + 1,
  N_PROPS
};

const char *const gallery_text_fields[GALLERY_N_TEXTS] = {
  [GALLERY_TEXT_ID] = "id",
  [GALLERY_TEXT_NAME] = "name",
  [GALLERY_TEXT_VENDOR] = "vendor",
  [GALLERY_TEXT_VERSION] = "version",
  [GALLERY_TEXT_CODENAME] = "codename",
  [GALLERY_TEXT_VARIANT] = "variant",
  [GALLERY_TEXT_ARCH] = "arch",
  [GALLERY_TEXT_KIND] = "kind",
  [GALLERY_TEXT_STATUS] = "status",
  [GALLERY_TEXT_SUMMARY] = "summary",
  [GALLERY_TEXT_LOGIN] = "login",
  [GALLERY_TEXT_LOGO] = "logo",
  [GALLERY_TEXT_LICENCE] = "licence",
  [GALLERY_TEXT_HOMEPAGE] = "homepage",
  [GALLERY_TEXT_RELEASED] = "released",
  [GALLERY_TEXT_END_OF_LIFE] = "end-of-life",
  [GALLERY_TEXT_TESTED] = "tested",
};

#define TEXT_GETTER(function, which)                                                               \
  const char *gallery_entry_get_##function (GalleryEntry *self) { return self->texts[which]; }

/* clang-format off */
TEXT_GETTER (id, GALLERY_TEXT_ID)
TEXT_GETTER (name, GALLERY_TEXT_NAME)
TEXT_GETTER (vendor, GALLERY_TEXT_VENDOR)
TEXT_GETTER (version, GALLERY_TEXT_VERSION)
TEXT_GETTER (codename, GALLERY_TEXT_CODENAME)
TEXT_GETTER (variant, GALLERY_TEXT_VARIANT)
TEXT_GETTER (arch, GALLERY_TEXT_ARCH)
TEXT_GETTER (kind, GALLERY_TEXT_KIND)
TEXT_GETTER (status, GALLERY_TEXT_STATUS)
TEXT_GETTER (summary, GALLERY_TEXT_SUMMARY)
TEXT_GETTER (login, GALLERY_TEXT_LOGIN)
TEXT_GETTER (logo, GALLERY_TEXT_LOGO)
TEXT_GETTER (licence, GALLERY_TEXT_LICENCE)
TEXT_GETTER (homepage, GALLERY_TEXT_HOMEPAGE)
TEXT_GETTER (released, GALLERY_TEXT_RELEASED)
TEXT_GETTER (end_of_life, GALLERY_TEXT_END_OF_LIFE)
TEXT_GETTER (tested, GALLERY_TEXT_TESTED)
/* clang-format on */

char *
gallery_entry_dup_title (GalleryEntry *self)
{
  GString *title = g_string_new (gallery_entry_get_name (self));

  if (gallery_entry_get_version (self) != NULL)
    g_string_append_printf (title, " %s", gallery_entry_get_version (self));
  if (gallery_entry_get_codename (self) != NULL)
    g_string_append_printf (title, " (%s)", gallery_entry_get_codename (self));
  return g_string_free (title, FALSE);
}

guint
gallery_entry_get_n_files (GalleryEntry *self)
{
  return self->files->len;
}

const GalleryFile *
gallery_entry_get_file (GalleryEntry *self, guint index)
{
  g_return_val_if_fail (index < self->files->len, NULL);
  return &((GalleryFileOwner *) self->files->pdata[index])->file;
}

guint64
gallery_entry_get_download_size (GalleryEntry *self)
{
  guint64 sum = 0;

  for (guint i = 0; i < gallery_entry_get_n_files (self); i++)
    {
      const GalleryFile *file = gallery_entry_get_file (self, i);
      guint64 size = file->size != 0 ? file->size : file->size_about;

      if (size == 0)
        return 0;
      sum += size;
    }
  return sum;
}

MachineFirmware
gallery_entry_get_firmware (GalleryEntry *self)
{
  return self->firmware;
}

const char *
gallery_entry_get_cmdline (GalleryEntry *self)
{
  return self->cmdline;
}

const char *
gallery_entry_get_cloud_user (GalleryEntry *self)
{
  return self->cloud_user;
}

MachineNetwork
gallery_entry_get_network (GalleryEntry *self)
{
  return self->network;
}

guint
gallery_entry_get_cpus (GalleryEntry *self)
{
  return self->recommended.cpus;
}

guint64
gallery_entry_get_memory (GalleryEntry *self)
{
  return self->recommended.memory;
}

guint64
gallery_entry_get_disk_size (GalleryEntry *self)
{
  return self->recommended.disk;
}

guint
gallery_entry_get_minimum_cpus (GalleryEntry *self)
{
  return self->minimum.cpus;
}

guint64
gallery_entry_get_minimum_memory (GalleryEntry *self)
{
  return self->minimum.memory;
}

guint64
gallery_entry_get_minimum_disk_size (GalleryEntry *self)
{
  return self->minimum.disk;
}

gboolean
gallery_entry_is_local (GalleryEntry *self)
{
  for (guint i = 0; i < gallery_entry_get_n_files (self); i++)
    if (!g_str_has_prefix (gallery_entry_get_file (self, i)->urls[0], "file:"))
      return FALSE;
  return TRUE;
}

gboolean
gallery_entry_is_available (GalleryEntry *self, char **missing)
{
  for (guint i = 0; i < gallery_entry_get_n_files (self); i++)
    {
      const GalleryFile *file = gallery_entry_get_file (self, i);
      g_autofree char *path = NULL;

      if (!g_str_has_prefix (file->urls[0], "file:"))
        continue;
      path = g_filename_from_uri (file->urls[0], NULL, NULL);
      if (path != NULL && access (path, R_OK) == 0)
        continue;
      if (missing != NULL && file->checksum.package != NULL)
        *missing =
            g_strdup_printf ("It comes with the package %s, which is not installed: sudo apt "
                             "install %s",
                             file->checksum.package, file->checksum.package);
      else if (missing != NULL)
        *missing =
            g_strdup_printf ("The file “%s” is not there", path != NULL ? path : file->urls[0]);
      return FALSE;
    }
  return TRUE;
}

gboolean
gallery_entry_matches (GalleryEntry *self, const char *text)
{
  g_autofree char *title = gallery_entry_dup_title (self);
  g_autofree char *all =
      g_strjoin (" ", title, gallery_entry_get_vendor (self), gallery_entry_get_summary (self),
                 gallery_entry_get_id (self), gallery_entry_get_variant (self), NULL);
  g_autofree char *folded = g_utf8_casefold (all, -1);
  g_autofree char *wanted = g_utf8_casefold (text, -1);
  g_auto (GStrv) words = g_strsplit_set (wanted, " \t", -1);

  for (guint i = 0; words[i] != NULL; i++)
    if (strstr (folded, words[i]) == NULL)
      return FALSE;
  return TRUE;
}

static void
gallery_entry_get_property (GObject *object, guint id, GValue *value, GParamSpec *pspec)
{
  GalleryEntry *self = GALLERY_ENTRY (object);

  if (id >= 1 && id <= GALLERY_N_TEXTS)
    g_value_set_string (value, self->texts[id - 1]);
  else if (id == PROP_DOWNLOAD_SIZE)
    g_value_set_uint64 (value, gallery_entry_get_download_size (self));
  else
    G_OBJECT_WARN_INVALID_PROPERTY_ID (object, id, pspec);
}

static void
gallery_entry_finalize (GObject *object)
{
  GalleryEntry *self = GALLERY_ENTRY (object);

  for (guint i = 0; i < GALLERY_N_TEXTS; i++)
    g_free (self->texts[i]);
  g_free (self->cmdline);
  g_free (self->cloud_user);
  g_clear_pointer (&self->files, g_ptr_array_unref);
  G_OBJECT_CLASS (gallery_entry_parent_class)->finalize (object);
}

static void
gallery_entry_class_init (GalleryEntryClass *klass)
{
  GObjectClass *object_class = G_OBJECT_CLASS (klass);
  const GParamFlags flags = G_PARAM_READABLE | G_PARAM_STATIC_STRINGS;

  object_class->get_property = gallery_entry_get_property;
  object_class->finalize = gallery_entry_finalize;
  for (guint i = 0; i < GALLERY_N_TEXTS; i++)
    g_object_class_install_property (
        object_class, i + 1, g_param_spec_string (gallery_text_fields[i], NULL, NULL, NULL, flags));
  g_object_class_install_property (
      object_class, PROP_DOWNLOAD_SIZE,
      g_param_spec_uint64 ("download-size", NULL, NULL, 0, G_MAXUINT64, 0, flags));
}

static void
gallery_entry_init (GalleryEntry *self)
{
}
