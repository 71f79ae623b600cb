#pragma once

#include "gallery/gallery-entry.h"

/* The body of an entry, for its two files: gallery-entry-parse.c fills it, gallery-entry.c
 * answers from it. */

#define GALLERY_FILES_MAX 8

typedef enum
{
  GALLERY_TEXT_ID,
  GALLERY_TEXT_NAME,
  GALLERY_TEXT_VENDOR,
  GALLERY_TEXT_VERSION,
  GALLERY_TEXT_CODENAME,
  GALLERY_TEXT_VARIANT,
  GALLERY_TEXT_ARCH,
  GALLERY_TEXT_KIND,
  GALLERY_TEXT_STATUS,
  GALLERY_TEXT_SUMMARY,
  GALLERY_TEXT_LOGIN,
  GALLERY_TEXT_LOGO,
  GALLERY_TEXT_LICENCE,
  GALLERY_TEXT_HOMEPAGE,
  GALLERY_TEXT_RELEASED,
  GALLERY_TEXT_END_OF_LIFE,
  GALLERY_TEXT_TESTED,
  GALLERY_N_TEXTS
} GalleryText;

/* What owns the strings that a GalleryFile borrows. */
typedef struct GalleryFileOwner
{
  GalleryFile file;
  char **urls;
  char *member;
  char *checksum_value;
  char *checksum_url;
  char *checksum_file;
  char *checksum_package;
  char *signature_url;
  char *signature_key;
} GalleryFileOwner;

typedef struct GalleryNeeds
{
  guint cpus;
  guint64 memory;
  guint64 disk;
} GalleryNeeds;

struct _GalleryEntry
{
  GObject parent;
  char *texts[GALLERY_N_TEXTS];
  char *cmdline;
  char *cloud_user; /* cloud-init's default user; NULL: no cloud-init */
  MachineFirmware firmware;
  MachineNetwork network;
  GalleryNeeds minimum;
  GalleryNeeds recommended;
  GPtrArray *files; /* of GalleryFileOwner */
};

/* The field's name in the catalogue, which is also the property's. */
extern const char *const gallery_text_fields[GALLERY_N_TEXTS];
