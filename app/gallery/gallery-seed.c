#define G_LOG_DOMAIN "app-gallery"

#include "gallery/gallery-seed.h"

#include <archive.h>
#include <archive_entry.h>
#include <crypt.h>
#include <errno.h>
#include <string.h>
#include <gio/gio.h>
#include <glib/gi18n.h>
#include <glib/gstdio.h>
#include <json-glib/json-glib.h>

#define USER_MAX     32
#define PASSWORD_MAX 512
#define HASH_MAX     256
#define KEY_MAX      16384

static gboolean
refuse (GError **error, const char *text)
{
  g_set_error_literal (error, G_IO_ERROR, G_IO_ERROR_INVALID_ARGUMENT, text);
  return FALSE;
}

static gboolean
has_control_character (const char *text)
{
  for (const char *p = text; *p != '\0'; p++)
    if (g_ascii_iscntrl (*p))
      return TRUE;
  return FALSE;
}

gboolean
gallery_seed_check_user (const char *user, GError **error)
{
  if (user == NULL || !g_ascii_islower (user[0]) || strlen (user) > USER_MAX)
    return refuse (error, _ ("The user’s name has to start with a letter a-z and have at most 32 "
                             "characters"));
  for (const char *p = user; *p != '\0'; p++)
    if (!g_ascii_islower (*p) && !g_ascii_isdigit (*p) && *p != '_' && *p != '-')
      return refuse (error, _ ("The user’s name can have a-z, 0-9, _ and - only"));
  return TRUE;
}

gboolean
gallery_seed_check_password (const char *password, GError **error)
{
  if (password == NULL || password[0] == '\0')
    return refuse (error, _ ("A password is needed: nobody could log in"));
  if (strlen (password) > PASSWORD_MAX || has_control_character (password) ||
      !g_utf8_validate (password, -1, NULL))
    return refuse (error, _ ("The password is too long or has characters that cannot be typed"));
  return TRUE;
}

/* As crypt (5) makes them; it may come from a file that was edited. */
static gboolean
is_hash (const char *text)
{
  gsize length = strlen (text);

  return text[0] == '$' && length <= HASH_MAX &&
         strspn (text, "$./=,ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789") ==
             length;
}

gboolean
gallery_seed_check (const GallerySeed *seed, GError **error)
{
  gboolean has_key = seed->ssh_key != NULL && seed->ssh_key[0] != '\0';

  if (!gallery_seed_check_user (seed->user, error))
    return FALSE;
  if (seed->password_hash == NULL && !has_key)
    return refuse (error, _ ("A password or an SSH key is needed: nobody could log in"));
  if (seed->password_hash != NULL && !is_hash (seed->password_hash))
    return refuse (error, _ ("What is written down of the password is damaged: give it again"));
  if (has_key &&
      (strlen (seed->ssh_key) > KEY_MAX || has_control_character (seed->ssh_key) ||
       !g_utf8_validate (seed->ssh_key, -1, NULL) ||
       (!g_str_has_prefix (seed->ssh_key, "ssh-") && !g_str_has_prefix (seed->ssh_key, "ecdsa-") &&
        !g_str_has_prefix (seed->ssh_key, "sk-"))))
    return refuse (error,
                   _ ("The SSH key has to be one line of a public key, as “ssh-ed25519 AAAA...”"));
  return TRUE;
}

char *
gallery_seed_hash_password (const char *password, GError **error)
{
  g_autofree struct crypt_data *data = g_new0 (struct crypt_data, 1);
  char salt[CRYPT_GENSALT_OUTPUT_SIZE];
  const char *hash = NULL;

  if (!gallery_seed_check_password (password, error))
    return NULL;
  if (crypt_gensalt_rn ("$6$", 0, NULL, 0, salt, sizeof salt) != NULL)
    hash = crypt_r (password, salt, data);
  if (hash != NULL && hash[0] == '$')
    return g_strdup (hash);
  g_set_error (error, G_IO_ERROR, G_IO_ERROR_FAILED, "The password cannot be hashed: %s",
               g_strerror (errno));
  return NULL;
}

/* JSON is YAML too, and quotes what has to be quoted. */
static char *
to_yaml (JsonBuilder *builder, const char *heading)
{
  g_autoptr (JsonNode) root = json_builder_get_root (builder);
  g_autofree char *json = json_to_string (root, TRUE);

  return g_strconcat (heading, json, "\n", NULL);
}

static void
set_string (JsonBuilder *builder, const char *name, const char *value)
{
  json_builder_set_member_name (builder, name);
  json_builder_add_string_value (builder, value);
}

static char *
make_user_data (const GallerySeed *seed)
{
  g_autoptr (JsonBuilder) builder = json_builder_new ();

  json_builder_begin_object (builder);
  json_builder_set_member_name (builder, "users");
  json_builder_begin_array (builder);
  json_builder_begin_object (builder);
  set_string (builder, "name", seed->user);
  set_string (builder, "shell", "/bin/bash");
  set_string (builder, "sudo", "ALL=(ALL) NOPASSWD:ALL");
  json_builder_set_member_name (builder, "lock_passwd");
  json_builder_add_boolean_value (builder, seed->password_hash == NULL);
  if (seed->password_hash != NULL)
    set_string (builder, "passwd", seed->password_hash);
  if (seed->ssh_key != NULL && seed->ssh_key[0] != '\0')
    {
      json_builder_set_member_name (builder, "ssh_authorized_keys");
      json_builder_begin_array (builder);
      json_builder_add_string_value (builder, seed->ssh_key);
      json_builder_end_array (builder);
    }
  json_builder_end_object (builder);
  json_builder_end_array (builder);
  json_builder_end_object (builder);
  return to_yaml (builder, "#cloud-config\n");
}

static char *
make_meta_data (const GallerySeed *seed)
{
  g_autoptr (JsonBuilder) builder = json_builder_new ();
  g_autofree char *id = g_uuid_string_random ();

  json_builder_begin_object (builder);
  set_string (builder, "instance-id", id);
  set_string (builder, "local-hostname", seed->host_name);
  json_builder_end_object (builder);
  return to_yaml (builder, "");
}

static gboolean
add_file (struct archive *iso, const char *name, const char *text)
{
  struct archive_entry *entry = archive_entry_new ();
  gsize length = strlen (text);
  gboolean ok;

  archive_entry_set_pathname (entry, name);
  archive_entry_set_filetype (entry, AE_IFREG);
  archive_entry_set_perm (entry, 0644);
  archive_entry_set_size (entry, length);
  ok = archive_write_header (iso, entry) == ARCHIVE_OK &&
       archive_write_data (iso, text, length) == (la_ssize_t) length;
  archive_entry_free (entry);
  return ok;
}

gboolean
gallery_seed_write (const GallerySeed *seed, const char *path, GError **error)
{
  g_autofree char *user_data = NULL;
  g_autofree char *meta_data = NULL;
  struct archive *iso;
  gboolean ok;

  if (!gallery_seed_check (seed, error))
    return FALSE;
  user_data = make_user_data (seed);
  meta_data = make_meta_data (seed);
  iso = archive_write_new ();
  ok = archive_write_set_format_iso9660 (iso) == ARCHIVE_OK &&
       archive_write_set_options (iso, "volume-id=cidata,joliet,rockridge=useful") == ARCHIVE_OK &&
       archive_write_open_filename (iso, path) == ARCHIVE_OK &&
       add_file (iso, "user-data", user_data) && add_file (iso, "meta-data", meta_data) &&
       archive_write_close (iso) == ARCHIVE_OK;
  if (!ok)
    {
      g_set_error (error, G_IO_ERROR, G_IO_ERROR_FAILED,
                   "The first start's settings cannot be written to “%s”: %s", path,
                   archive_error_string (iso) != NULL ? archive_error_string (iso) : "unknown");
      g_unlink (path);
    }
  else
    g_chmod (path, 0600);
  archive_write_free (iso);
  return ok;
}
