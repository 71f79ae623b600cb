#define G_LOG_DOMAIN "app-gallery"

#include "gallery/gallery-entry-private.h"

#include "base/json-guard.h"
#include "base/strict-json.h"
#include "gallery/gallery-catalog.h"
#include "gallery/gallery-verify.h"

#include <stdio.h>
#include <string.h>

/* From a catalogue file's bytes to an entry. data/gallery/SCHEMA.md says the same for people:
 * change both. */

#define SCHEMA_VERSION 1
#define URL_MAX        2048
#define TEXT_MAX       1000
#define URLS_MAX       16
#define SIZE_MAX_BYTES (G_GUINT64_CONSTANT (1) << 40)

static const struct
{
  gboolean required;
  gsize bytes_max;
  const char *words; /* the only values allowed, between spaces */
} text_rules[] = {
  [GALLERY_TEXT_ID] = { TRUE, 64 },
  [GALLERY_TEXT_NAME] = { TRUE, 40 },
  [GALLERY_TEXT_VENDOR] = { TRUE, 80 },
  [GALLERY_TEXT_VERSION] = { FALSE, 20 },
  [GALLERY_TEXT_CODENAME] = { FALSE, 40 },
  [GALLERY_TEXT_VARIANT] = { FALSE, 60 },
  [GALLERY_TEXT_ARCH] = { TRUE, 20, " x86_64 " },
  [GALLERY_TEXT_KIND] = { TRUE, 20, " disk-image iso live installer " },
  [GALLERY_TEXT_STATUS] = { TRUE, 20, " supported prerelease rolling end-of-life " },
  [GALLERY_TEXT_SUMMARY] = { TRUE, 300 },
  [GALLERY_TEXT_LOGIN] = { FALSE, TEXT_MAX },
  [GALLERY_TEXT_LOGO] = { FALSE, 80 },
  [GALLERY_TEXT_LICENCE] = { FALSE, 300 },
  [GALLERY_TEXT_HOMEPAGE] = { FALSE, URL_MAX },
  [GALLERY_TEXT_RELEASED] = { FALSE, 10 },
  [GALLERY_TEXT_END_OF_LIFE] = { FALSE, 10 },
  [GALLERY_TEXT_TESTED] = { TRUE, TEXT_MAX },
};
G_STATIC_ASSERT (G_N_ELEMENTS (text_rules) == GALLERY_N_TEXTS);

/* --- values -------------------------------------------------------------------------------- */

/* Plain http is enough for what is checked against a checksum, but not for the checksum; on this
 * computer it is fine. */
static gboolean
is_loopback (const char *host)
{
  return g_strcmp0 (host, "127.0.0.1") == 0 || g_strcmp0 (host, "localhost") == 0 ||
         g_strcmp0 (host, "::1") == 0;
}

static void
check_url (StrictJson *reader, const char *field, const char *url, gboolean must_be_safe)
{
  g_autoptr (GUri) uri = NULL;
  g_autoptr (GError) error = NULL;
  const char *scheme;

  if (url == NULL)
    return;
  uri = g_uri_parse (url, G_URI_FLAGS_NONE, &error);
  if (uri == NULL)
    {
      strict_json_fail (reader, field, "is not a URL: %s", error->message);
      return;
    }
  scheme = g_uri_get_scheme (uri);
  if (!g_str_has_prefix (url, scheme))
    strict_json_fail (reader, field, "has a scheme that is not in lower case: “%s”", url);
  else if (g_str_equal (scheme, "file"))
    {
      g_autofree char *path = g_filename_from_uri (url, NULL, NULL);

      if (path == NULL || !g_path_is_absolute (path))
        strict_json_fail (reader, field, "is not the URL of a file: “%s”", url);
    }
  else if (!g_str_equal (scheme, "https") && !g_str_equal (scheme, "http"))
    strict_json_fail (reader, field, "is of the scheme “%s”, allowed are: https, http, file",
                      scheme);
  else if (g_uri_get_host (uri) == NULL || g_uri_get_host (uri)[0] == '\0')
    strict_json_fail (reader, field, "names no host: “%s”", url);
  else if (must_be_safe && g_str_equal (scheme, "http") && !is_loopback (g_uri_get_host (uri)))
    strict_json_fail (reader, field, "is http: checksums need https");
}

static void
check_hex (StrictJson *reader, const char *field, char *text, gsize digits)
{
  if (text == NULL)
    return;
  if (strlen (text) != digits)
    strict_json_fail (reader, field,
                      "has %" G_GSIZE_FORMAT " digits, %" G_GSIZE_FORMAT " are needed",
                      strlen (text), digits);
  for (char *p = text; *p != '\0'; p++)
    {
      if (!g_ascii_isxdigit (*p))
        strict_json_fail (reader, field, "is not hexadecimal");
      *p = g_ascii_tolower (*p);
    }
}

static void
check_relative_path (StrictJson *reader, const char *field, const char *path)
{
  g_auto (GStrv) parts = path != NULL ? g_strsplit (path, "/", -1) : NULL;

  for (guint i = 0; parts != NULL && parts[i] != NULL; i++)
    if (parts[i][0] == '\0' || g_str_equal (parts[i], ".") || g_str_equal (parts[i], ".."))
      strict_json_fail (reader, field, "is “%s”, a plain path without a leading / or .. is needed",
                        path);
}

/* YYYY-MM or YYYY-MM-DD. */
static void
check_date (StrictJson *reader, const char *field, const char *text)
{
  guint year, month, day = 1;
  char rest;

  if (text == NULL)
    return;
  if ((strlen (text) != 7 && strlen (text) != 10) ||
      (sscanf (text, "%4u-%2u-%2u%c", &year, &month, &day, &rest) !=
       (strlen (text) == 7 ? 2 : 3)) ||
      !g_date_valid_dmy (day, month, year))
    strict_json_fail (reader, field, "is “%s”, a date as 2023-06 or 2023-06-10 is needed", text);
}

static void
check_id (StrictJson *reader, const char *id)
{
  if (id == NULL)
    return;
  for (const char *p = id; *p != '\0'; p++)
    if (!g_ascii_islower (*p) && !g_ascii_isdigit (*p) && !(p > id && strchr ("-.", *p) != NULL))
      {
        strict_json_fail (reader, "id", "is “%s”, allowed are a-z, 0-9, - and .", id);
        return;
      }
}

/* --- parts --------------------------------------------------------------------------------- */

static void
parse_needs (StrictJson *reader, const char *field, GalleryNeeds *needs)
{
  StrictJson *inner = strict_json_get_object (reader, field, TRUE);

  if (inner == NULL)
    return;
  needs->cpus = strict_json_get_uint (inner, "cpus", 1, 1, MACHINE_CPUS_MAX);
  needs->memory = strict_json_get_size (inner, "memory", G_GUINT64_CONSTANT (1) << 30,
                                        MACHINE_MEMORY_MIN, MACHINE_MEMORY_MAX);
  needs->disk = strict_json_get_size (inner, "disk", 0, 0, SIZE_MAX_BYTES);
  strict_json_end (inner);
}

static void
parse_checksum (StrictJson *reader, GalleryFileOwner *owner)
{
  StrictJson *inner = strict_json_get_object (reader, "checksum", TRUE);
  GalleryChecksum *checksum = &owner->file.checksum;
  int hash;

  if (inner == NULL)
    return;
  hash = strict_json_get_word (inner, "hash", TRUE, GALLERY_TYPE_HASH);
  checksum->hash = hash >= 0 ? hash : GALLERY_HASH_NONE;
  checksum->value = owner->checksum_value = strict_json_dup_string (inner, "value", FALSE, 128);
  checksum->url = owner->checksum_url = strict_json_dup_string (inner, "url", FALSE, URL_MAX);
  checksum->package = owner->checksum_package =
      strict_json_dup_string (inner, "package", FALSE, 100);
  checksum->file = owner->checksum_file = strict_json_dup_string (inner, "file", FALSE, 400);
  if ((checksum->value != NULL) + (checksum->url != NULL) + (checksum->package != NULL) != 1)
    strict_json_fail (inner, "value", "exactly one of value, url and package is needed");
  checksum->kind = checksum->url != NULL       ? GALLERY_CHECKSUM_URL
                   : checksum->package != NULL ? GALLERY_CHECKSUM_PACKAGE
                                               : GALLERY_CHECKSUM_INLINE;
  if (hash == GALLERY_HASH_NONE)
    strict_json_fail (inner, "hash", "is “none”: what is not checked is not installed");
  if (hash == GALLERY_HASH_MD5 && checksum->kind != GALLERY_CHECKSUM_PACKAGE)
    strict_json_fail (inner, "hash",
                      "is “md5”, which is good enough only for an installed package");
  if (!strict_json_has_failed (inner) &&
      (checksum->kind == GALLERY_CHECKSUM_INLINE) != (checksum->file == NULL))
    strict_json_fail (inner, "file", checksum->file == NULL ? "is missing" : "is not for a value");
  check_hex (inner, "value", owner->checksum_value, gallery_hash_get_digits (checksum->hash));
  check_url (inner, "url", checksum->url, TRUE);
  for (const char *p = checksum->package; p != NULL && *p != '\0'; p++)
    if (!g_ascii_isalnum (*p) && !(p > checksum->package && strchr ("+-.", *p) != NULL))
      strict_json_fail (inner, "package", "is not a package's name");
  if (checksum->kind == GALLERY_CHECKSUM_PACKAGE)
    check_relative_path (inner, "file", checksum->file);
  strict_json_end (inner);
}

static void
parse_signature (StrictJson *reader, GalleryFileOwner *owner)
{
  StrictJson *inner = strict_json_get_object (reader, "signature", FALSE);

  if (inner == NULL)
    return;
  owner->file.signature_url = owner->signature_url =
      strict_json_dup_string (inner, "url", TRUE, URL_MAX);
  owner->file.signature_key = owner->signature_key =
      strict_json_dup_string (inner, "key", TRUE, 64);
  check_url (inner, "url", owner->signature_url, TRUE);
  check_hex (inner, "key", owner->signature_key, 40);
  strict_json_end (inner);
}

static void
file_owner_free (gpointer data)
{
  GalleryFileOwner *owner = data;

  g_strfreev (owner->urls);
  g_free (owner->member);
  g_free (owner->checksum_value);
  g_free (owner->checksum_url);
  g_free (owner->checksum_file);
  g_free (owner->checksum_package);
  g_free (owner->signature_url);
  g_free (owner->signature_key);
  g_free (owner);
}

static void
parse_urls (StrictJson *reader, GalleryFileOwner *owner)
{
  owner->urls = strict_json_dup_strings (reader, "urls", 1, URLS_MAX, URL_MAX);
  owner->file.urls = (const char *const *) owner->urls;
  for (guint i = 0; owner->urls[i] != NULL; i++)
    {
      g_autofree char *field = g_strdup_printf ("urls[%u]", i);

      check_url (reader, field, owner->urls[i], FALSE);
    }
}

static GalleryFileOwner *
parse_file (StrictJson *reader)
{
  GalleryFileOwner *owner = g_new0 (GalleryFileOwner, 1);
  GalleryFile *file = &owner->file;
  int role = strict_json_get_word (reader, "role", TRUE, GALLERY_TYPE_ROLE);
  int unpack = strict_json_get_word (reader, "unpack", FALSE, GALLERY_TYPE_UNPACK_KIND);
  int format = strict_json_get_word (reader, "format", FALSE, MACHINE_TYPE_DISK_FORMAT);

  file->role = MAX (role, 0);
  file->unpack = unpack >= 0 ? unpack : GALLERY_UNPACK_NONE;
  file->format = format >= 0 ? format : MACHINE_DISK_RAW;
  parse_urls (reader, owner);
  file->size = strict_json_get_uint (reader, "size", 0, 1, SIZE_MAX_BYTES);
  file->size_about = strict_json_get_uint (reader, "size-about", 0, 1, SIZE_MAX_BYTES);
  file->unpacked_size = strict_json_get_uint (reader, "unpacked-size", 0, 1, SIZE_MAX_BYTES);
  file->member = owner->member = strict_json_dup_string (reader, "member", FALSE, 400);
  check_relative_path (reader, "member", file->member);
  if (file->member != NULL && file->unpack != GALLERY_UNPACK_ZIP &&
      file->unpack != GALLERY_UNPACK_TAR)
    strict_json_fail (reader, "member", "is for zip and tar only");
  if (file->role == GALLERY_ROLE_DISK && format < 0)
    strict_json_fail (reader, "format", "is missing: a disk's format is never guessed");
  if (file->role != GALLERY_ROLE_DISK && format >= 0)
    strict_json_fail (reader, "format", "is for disks only");
  parse_checksum (reader, owner);
  parse_signature (reader, owner);
  return owner;
}

static void
parse_files (StrictJson *reader, GalleryEntry *self)
{
  guint n_files = strict_json_get_length (reader, "files", 1, GALLERY_FILES_MAX);
  guint roles[4] = { 0 };

  for (guint i = 0; i < n_files; i++)
    {
      StrictJson *inner = strict_json_get_element (reader, "files", i);
      GalleryFileOwner *owner;

      if (inner == NULL)
        return;
      owner = parse_file (inner);
      strict_json_end (inner);
      g_ptr_array_add (self->files, owner);
      roles[owner->file.role]++;
    }
  if (roles[GALLERY_ROLE_KERNEL] > 1 || roles[GALLERY_ROLE_INITRD] > 1 ||
      roles[GALLERY_ROLE_CDROM] > 1 || roles[GALLERY_ROLE_DISK] > 1)
    strict_json_fail (reader, "files", "a role is given twice");
  if (self->firmware == MACHINE_FIRMWARE_LINUX && roles[GALLERY_ROLE_KERNEL] == 0)
    strict_json_fail (reader, "files", "firmware “linux” needs a file with the role “kernel”");
  if (self->firmware == MACHINE_FIRMWARE_UEFI &&
      roles[GALLERY_ROLE_KERNEL] + roles[GALLERY_ROLE_INITRD] > 0)
    strict_json_fail (reader, "files", "firmware “uefi” takes no kernel and no initrd");
  if (self->firmware == MACHINE_FIRMWARE_UEFI &&
      roles[GALLERY_ROLE_DISK] + roles[GALLERY_ROLE_CDROM] == 0)
    strict_json_fail (reader, "files", "firmware “uefi” needs a disk or a cdrom to start from");
}

static void
parse_texts (StrictJson *reader, GalleryEntry *self)
{
  for (guint i = 0; i < GALLERY_N_TEXTS; i++)
    {
      const char *field = gallery_text_fields[i];
      g_autofree char *spaced = NULL;

      self->texts[i] =
          strict_json_dup_string (reader, field, text_rules[i].required, text_rules[i].bytes_max);
      spaced = g_strdup_printf (" %s ", self->texts[i] != NULL ? self->texts[i] : "");
      if (self->texts[i] != NULL && text_rules[i].words != NULL &&
          (strstr (text_rules[i].words, spaced) == NULL || strchr (self->texts[i], ' ') != NULL))
        strict_json_fail (reader, field, "is “%s”, allowed are:%s", self->texts[i],
                          text_rules[i].words);
    }
  check_id (reader, self->texts[GALLERY_TEXT_ID]);
  check_url (reader, "homepage", self->texts[GALLERY_TEXT_HOMEPAGE], FALSE);
  check_date (reader, "released", self->texts[GALLERY_TEXT_RELEASED]);
  check_date (reader, "end-of-life", self->texts[GALLERY_TEXT_END_OF_LIFE]);
}

static void
parse_entry (StrictJson *reader, GalleryEntry *self)
{
  guint64 schema = strict_json_get_uint (reader, "schema", 0, 0, G_MAXUINT32);
  StrictJson *cloud;
  int firmware;
  int network;

  if (schema > SCHEMA_VERSION)
    strict_json_fail (reader, "schema", "is %u: written for a newer Alcove, this one reads %d",
                      (guint) schema, SCHEMA_VERSION);
  else if (schema == 0)
    strict_json_fail (reader, "schema", "is missing: it has to be %d", SCHEMA_VERSION);
  parse_texts (reader, self);
  firmware = strict_json_get_word (reader, "firmware", TRUE, MACHINE_TYPE_FIRMWARE);
  network = strict_json_get_word (reader, "network", FALSE, MACHINE_TYPE_NETWORK);
  self->firmware = MAX (firmware, 0);
  self->network = network >= 0 ? network : MACHINE_NETWORK_USER;
  self->cmdline = strict_json_dup_string (reader, "cmdline", FALSE, 2047);
  if (self->cmdline != NULL && self->firmware != MACHINE_FIRMWARE_LINUX)
    strict_json_fail (reader, "cmdline", "is for firmware “linux” only");
  parse_needs (reader, "minimum", &self->minimum);
  parse_needs (reader, "recommended", &self->recommended);
  if (self->recommended.cpus < self->minimum.cpus ||
      self->recommended.memory < self->minimum.memory ||
      self->recommended.disk < self->minimum.disk)
    strict_json_fail (reader, "recommended", "is less than the minimum");
  cloud = strict_json_get_object (reader, "cloud-init", FALSE);
  if (cloud != NULL)
    {
      self->cloud_user = strict_json_dup_string (cloud, "user", TRUE, 32);
      strict_json_end (cloud);
    }
  parse_files (reader, self);
}

GalleryEntry *
gallery_entry_parse (const char *data, gsize length, const char *name, GError **error)
{
  g_autoptr (GalleryEntry) self = g_object_new (GALLERY_TYPE_ENTRY, NULL);
  g_autoptr (GError) local_error = NULL;
  g_autoptr (JsonNode) root =
      json_guard_parse (data, length, GALLERY_CATALOG_FILE_MAX, &local_error);
  StrictJson *reader;

  self->files = g_ptr_array_new_with_free_func (file_owner_free);
  if (root == NULL || !JSON_NODE_HOLDS_OBJECT (root))
    {
      g_set_error (error, G_IO_ERROR, G_IO_ERROR_INVALID_DATA, "%s: %s", name,
                   root == NULL ? local_error->message : "not a JSON object");
      return NULL;
    }
  reader = strict_json_new (json_node_get_object (root), name, &local_error);
  parse_entry (reader, self);
  if (strict_json_end (reader))
    return g_steal_pointer (&self);
  g_propagate_error (error, g_steal_pointer (&local_error));
  return NULL;
}
