#pragma once

#include <gio/gio.h>
#include <json-glib/json-glib.h>
#include "machine/machine-settings.h"

G_BEGIN_DECLS

/* One operating system of the gallery, as its catalogue file describes it; never changes.
 * data/gallery/SCHEMA.md documents the format.
 *
 * Parsing is strict: an unknown field, a wrong type or a value out of range is an error that
 * reads "FILE: FIELD: what is wrong". Thread: any, once it is made. Strings are borrowed from
 * the entry, NULL where the catalogue says nothing. */

typedef enum
{
  GALLERY_ROLE_DISK,   /* an image of a disk with a system on it */
  GALLERY_ROLE_KERNEL, /* Linux, started without firmware */
  GALLERY_ROLE_INITRD,
  GALLERY_ROLE_CDROM, /* an ISO image */
} GalleryRole;

typedef enum
{
  GALLERY_UNPACK_NONE, /* used as it is downloaded */
  GALLERY_UNPACK_GZ,
  GALLERY_UNPACK_XZ,
  GALLERY_UNPACK_ZST,
  GALLERY_UNPACK_ZIP, /* "member" says which file of the archive */
  GALLERY_UNPACK_TAR, /* likewise; compressed or not */
} GalleryUnpackKind;

typedef enum
{
  GALLERY_HASH_NONE,
  GALLERY_HASH_MD5, /* only for files of an installed package, see GALLERY_CHECKSUM_PACKAGE */
  GALLERY_HASH_SHA256,
  GALLERY_HASH_SHA512,
} GalleryHash;

typedef enum
{
  GALLERY_CHECKSUM_INLINE,  /* the value is in the catalogue */
  GALLERY_CHECKSUM_URL,     /* the vendor publishes a file of checksums */
  GALLERY_CHECKSUM_PACKAGE, /* an installed Debian package lists its files' checksums */
} GalleryChecksumKind;

typedef struct GalleryChecksum
{
  GalleryChecksumKind kind;
  GalleryHash hash;
  const char *value; /* inline: lower-case hexadecimal */
  const char *url;   /* url */
  const char *file;  /* url: the name in it, "*": its only one; package: the path in the package */
  const char *package; /* package */
} GalleryChecksum;

typedef struct GalleryFile
{
  GalleryRole role;
  const char *const *urls; /* the first, then its mirrors; http, https or file; never empty */
  guint64 size;            /* bytes to download; 0: not known */
  guint64 size_about;      /* what to tell the user when it is not; 0: not known either */
  GalleryUnpackKind unpack;
  const char *member;       /* the file inside an archive */
  guint64 unpacked_size;    /* the most that unpacking may give; 0: derived from the size */
  MachineDiskFormat format; /* of a disk, after unpacking */
  GalleryChecksum checksum;
  const char *signature_url; /* documented for the user; the vendor's signature of the checksums */
  const char *signature_key; /* the key's fingerprint */
} GalleryFile;

#define GALLERY_TYPE_ROLE        (gallery_role_get_type ())
#define GALLERY_TYPE_UNPACK_KIND (gallery_unpack_kind_get_type ())
#define GALLERY_TYPE_HASH        (gallery_hash_get_type ())
GType gallery_role_get_type (void);
GType gallery_unpack_kind_get_type (void);
GType gallery_hash_get_type (void);

/* Properties, read only: "id", "name", "vendor", "version", "codename", "variant", "arch",
 * "kind", "status", "summary", "login", "logo", "licence", "homepage", "released",
 * "end-of-life", "tested" (strings), "download-size" (uint64). */
#define GALLERY_TYPE_ENTRY (gallery_entry_get_type ())
G_DECLARE_FINAL_TYPE (GalleryEntry, gallery_entry, GALLERY, ENTRY, GObject)

/* `name` is what errors call the data, usually the file's name. */
GalleryEntry *gallery_entry_parse (const char *data, gsize length, const char *name,
                                   GError **error);

const char *gallery_entry_get_id (GalleryEntry *self);
const char *gallery_entry_get_name (GalleryEntry *self);     /* "Debian" */
const char *gallery_entry_get_vendor (GalleryEntry *self);   /* "Debian Project" */
const char *gallery_entry_get_version (GalleryEntry *self);  /* "12" */
const char *gallery_entry_get_codename (GalleryEntry *self); /* "bookworm" */
const char *gallery_entry_get_variant (GalleryEntry *self);  /* "cloud", "installer" */
const char *gallery_entry_get_arch (GalleryEntry *self);     /* "x86_64" */
const char *
gallery_entry_get_kind (GalleryEntry *self); /* "disk-image", "iso", "live", "installer" */
const char *gallery_entry_get_status (
    GalleryEntry *self); /* "supported", "prerelease", "rolling", "end-of-life" */
const char *gallery_entry_get_summary (GalleryEntry *self); /* one sentence */
const char *gallery_entry_get_login (GalleryEntry *self);   /* how to log in, for people */
const char *gallery_entry_get_logo (GalleryEntry *self);    /* an icon's name */
const char *gallery_entry_get_licence (GalleryEntry *self);
const char *gallery_entry_get_homepage (GalleryEntry *self);
const char *gallery_entry_get_released (GalleryEntry *self);    /* YYYY-MM-DD or YYYY-MM */
const char *gallery_entry_get_end_of_life (GalleryEntry *self); /* likewise */
const char *
gallery_entry_get_tested (GalleryEntry *self); /* what was last tested, when, with what result */

/* "Debian 12 (bookworm)": for a list or a window's title. Free it. */
char *gallery_entry_dup_title (GalleryEntry *self);

/* Bytes to download in all, not always exactly; 0 if one is not known. */
guint64 gallery_entry_get_download_size (GalleryEntry *self);

guint gallery_entry_get_n_files (GalleryEntry *self);
const GalleryFile *gallery_entry_get_file (GalleryEntry *self, guint index);

MachineFirmware gallery_entry_get_firmware (GalleryEntry *self);
const char *gallery_entry_get_cmdline (GalleryEntry *self);
/* The user that the image's cloud-init makes at its first start; NULL: it has no cloud-init.
 * Such an image lets nobody in without a seed, see gallery_install_set_user (). */
const char *gallery_entry_get_cloud_user (GalleryEntry *self);
MachineNetwork gallery_entry_get_network (GalleryEntry *self);

/* What the catalogue recommends and the least it can do with. disk: the size of the machine's
 * (first) disk in bytes, 0: none. */
guint gallery_entry_get_cpus (GalleryEntry *self);
guint64 gallery_entry_get_memory (GalleryEntry *self);
guint64 gallery_entry_get_disk_size (GalleryEntry *self);
guint gallery_entry_get_minimum_cpus (GalleryEntry *self);
guint64 gallery_entry_get_minimum_memory (GalleryEntry *self);
guint64 gallery_entry_get_minimum_disk_size (GalleryEntry *self);

/* Whether its files come from an installed package (file: URLs), and whether they are all there.
 * If not, `missing` (free it) is a sentence that says which package to install. */
gboolean gallery_entry_is_local (GalleryEntry *self);
gboolean gallery_entry_is_available (GalleryEntry *self, char **missing);

/* Whether every word of `text` occurs in the title, vendor, variant or summary, regardless of
 * case. */
gboolean gallery_entry_matches (GalleryEntry *self, const char *text);

G_END_DECLS
