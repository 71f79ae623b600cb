#define G_LOG_DOMAIN "app-gallery"

#include "gallery/gallery-install-private.h"

#include "gallery/gallery-provision.h"
#include "gallery/gallery-seed.h"

#include <string.h>
#include <glib/gi18n.h>

#define KERNEL_FILE "kernel"
#define INITRD_FILE "initrd"
#define CDROM_FILE  "cdrom.iso"
#define DISK_FILE   "disk.raw"
#define SEED_FILE   "seed.iso"
#define NVRAM_FILE  "nvram.fd"

const char *
gallery_install_get_file_name (GalleryRole role)
{
  static const char *const names[] = {
    [GALLERY_ROLE_DISK] = DISK_FILE,
    [GALLERY_ROLE_KERNEL] = KERNEL_FILE,
    [GALLERY_ROLE_INITRD] = INITRD_FILE,
    [GALLERY_ROLE_CDROM] = CDROM_FILE,
  };

  return names[role];
}

static gboolean
has_role (GalleryInstall *self, GalleryRole role)
{
  for (guint i = 0; i < self->items->len; i++)
    if (g_array_index (self->items, Item, i).file->role == role)
      return TRUE;
  return FALSE;
}

MachineSettings *
gallery_install_make_settings (GalleryInstall *self)
{
  MachineSettings *settings = machine_settings_new (self->name);
  MachineFirmware firmware = gallery_entry_get_firmware (self->entry);
  g_autofree char *note = NULL;

  if (self->user != NULL)
    note = g_strdup_printf (_ ("Log in as %s, whom you chose when you created the machine."),
                            self->user);
  machine_settings_set_cpus (settings, self->cpus);
  machine_settings_set_memory (settings, self->memory);
  machine_settings_set_firmware (settings, firmware);
  machine_settings_set_network (settings, self->network);
  machine_settings_set_entry_id (settings, gallery_entry_get_id (self->entry));
  machine_settings_set_note (settings, note != NULL ? note : gallery_entry_get_login (self->entry));
  if (firmware == MACHINE_FIRMWARE_LINUX)
    {
      machine_settings_set_kernel (settings, KERNEL_FILE);
      machine_settings_set_initrd (settings,
                                   has_role (self, GALLERY_ROLE_INITRD) ? INITRD_FILE : NULL);
      machine_settings_set_cmdline (settings, gallery_entry_get_cmdline (self->entry));
    }
  else
    machine_settings_set_nvram (settings, NVRAM_FILE);
  if (has_role (self, GALLERY_ROLE_DISK) || self->disk_size > 0)
    machine_settings_add_disk (settings, DISK_FILE, MACHINE_DISK_RAW, FALSE);
  if (has_role (self, GALLERY_ROLE_CDROM))
    machine_settings_set_cdrom (settings, CDROM_FILE);
  if (self->user != NULL)
    machine_settings_add_disk (settings, SEED_FILE, MACHINE_DISK_RAW, TRUE);
  return settings;
}

/* cloud-init takes a host name of letters, digits and dashes. */
static char *
make_host_name (const char *name)
{
  g_autofree char *ascii = g_str_to_ascii (name, "C");
  char *host = g_strcanon (g_strndup (ascii, 40),
                           "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789", '-');

  while (host[0] == '-')
    memmove (host, host + 1, strlen (host));
  while (host[0] != '\0' && host[strlen (host) - 1] == '-')
    host[strlen (host) - 1] = '\0';
  if (host[0] == '\0')
    {
      g_free (host);
      return g_strdup ("alcove");
    }
  return host;
}

/* A cloud image has no user that could log in until its seed makes one; other images do not read a seed. */
gboolean
gallery_install_check_user (GalleryInstall *self, GError **error)
{
  const GallerySeed seed = { .user = self->user,
                             .password_hash = self->password_hash,
                             .ssh_key = self->ssh_key };
  g_autofree char *title = gallery_entry_dup_title (self->entry);

  if (gallery_entry_get_cloud_user (self->entry) == NULL)
    {
      if (self->user == NULL)
        return TRUE;
      g_set_error (error, G_IO_ERROR, G_IO_ERROR_INVALID_ARGUMENT,
                   _ ("%s makes no user at its first start: its installation or its vendor says "
                      "how to log in"),
                   title);
      return FALSE;
    }
  if (self->user == NULL)
    {
      g_set_error (error, G_IO_ERROR, G_IO_ERROR_INVALID_ARGUMENT,
                   _ ("%s lets nobody in without a user that it makes at its first start: give "
                      "a password or an SSH key"),
                   title);
      return FALSE;
    }
  return gallery_seed_check (&seed, error);
}

gboolean
gallery_install_write_seed (GalleryInstall *self, GError **error)
{
  g_autofree char *path = NULL;
  g_autofree char *host = NULL;
  GallerySeed seed = { .user = self->user,
                       .password_hash = self->password_hash,
                       .ssh_key = self->ssh_key };

  if (self->user == NULL)
    return TRUE;
  path = g_build_filename (machine_draft_get_folder (self->draft), SEED_FILE, NULL);
  host = make_host_name (self->name);
  seed.host_name = host;
  return gallery_seed_write (&seed, path, error);
}

gboolean
gallery_install_make_empty_disk (GalleryInstall *self, GError **error)
{
  g_autofree char *path = NULL;

  if (self->disk_size == 0 || has_role (self, GALLERY_ROLE_DISK))
    return TRUE;
  path = g_build_filename (machine_draft_get_folder (self->draft), DISK_FILE, NULL);
  return gallery_provision_empty_disk (path, self->disk_size, error);
}
