#pragma once

#include <glib.h>

G_BEGIN_DECLS

/* A NoCloud seed: the small ISO image, volume id `cidata`, from which cloud-init takes its
 * settings at a system's first start.
 * https://cloudinit.readthedocs.io/en/latest/reference/datasources/nocloud.html
 *
 * Quick; blocks for a write of some hundred KiB. */
typedef struct GallerySeed
{
  const char *host_name;
  const char *user;          /* a-z, then a-z, 0-9, _ and - ; at most 32 */
  const char *password_hash; /* of gallery_seed_hash_password (); NULL: none */
  const char *ssh_key;       /* a line as in id_ed25519.pub; NULL: none */
} GallerySeed;

/* Whether a seed can be made of this; a sentence for the user if not. Either a password or a key
 * is needed. */
gboolean gallery_seed_check (const GallerySeed *seed, GError **error);
/* The same of its parts, as they are typed. */
gboolean gallery_seed_check_user (const char *user, GError **error);
gboolean gallery_seed_check_password (const char *password, GError **error);

/* The password as /etc/shadow has it (SHA-512 crypt): what is kept and written, the password itself never is. Takes some
 * milliseconds. Free it. */
char *gallery_seed_hash_password (const char *password, GError **error);

/* Writes it to `path`, which must not exist. */
gboolean gallery_seed_write (const GallerySeed *seed, const char *path, GError **error);

G_END_DECLS
