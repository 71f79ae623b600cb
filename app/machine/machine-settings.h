#pragma once

#include <gio/gio.h>

G_BEGIN_DECLS

/* What the user chose for one machine: the contents of its `machine.ini`.
 *
 * machine.ini is a GKeyFile with a version. Keys and groups that this version does not know are
 * kept as they are when it is saved. A file of a newer version is refused and never written to.
 * Saving is atomic.
 *
 * File names are kept as they are in the file: relative to the machine's folder, or absolute;
 * machine_settings_resolve () makes an absolute one. A relative name may not leave the folder.
 *
 * Thread: the one that made the object. */

#define MACHINE_SETTINGS_FILE    "machine.ini"
#define MACHINE_SETTINGS_VERSION 1

/* The limits of the launch contract. */
#define MACHINE_CPUS_MAX   16
#define MACHINE_MEMORY_MIN (64 * G_GUINT64_CONSTANT (1024) * 1024)
#define MACHINE_MEMORY_MAX (G_GUINT64_CONSTANT (256) << 30)
#define MACHINE_NAME_MAX   64 /* characters */
#define MACHINE_DISKS_MAX  16

typedef enum
{
  MACHINE_FIRMWARE_UEFI,  /* the firmware finds a boot loader on a disk or the CD-ROM */
  MACHINE_FIRMWARE_LINUX, /* no firmware: kernel, initrd and cmdline are given */
} MachineFirmware;

typedef enum
{
  MACHINE_DISK_RAW,
  MACHINE_DISK_QCOW2,
} MachineDiskFormat;

typedef enum
{
  MACHINE_NETWORK_NONE,
  MACHINE_NETWORK_USER,
} MachineNetwork;

typedef enum
{
  MACHINE_SETTINGS_ERROR_CORRUPT, /* not a key file, or without the group or version it must have */
  MACHINE_SETTINGS_ERROR_NEWER,   /* written by a newer Alcove */
  MACHINE_SETTINGS_ERROR_INVALID, /* a value is out of its range or of a wrong type */
} MachineSettingsError;

#define MACHINE_TYPE_FIRMWARE    (machine_firmware_get_type ())
#define MACHINE_TYPE_DISK_FORMAT (machine_disk_format_get_type ())
#define MACHINE_TYPE_NETWORK     (machine_network_get_type ())
#define MACHINE_SETTINGS_ERROR   (machine_settings_error_quark ())
GType machine_firmware_get_type (void);
GType machine_disk_format_get_type (void);
GType machine_network_get_type (void);
GQuark machine_settings_error_quark (void);

/* "raw" and "qcow2", as the launch contract spells them. */
const char *machine_disk_format_to_string (MachineDiskFormat format);
gboolean machine_disk_format_from_string (const char *text, MachineDiskFormat *format);

typedef struct MachineDisk
{
  const char *file; /* borrowed from the settings, until they change */
  MachineDiskFormat format;
  gboolean readonly;
} MachineDisk;

/* Properties, all readable, writable and notifying: "name" (string), "cpus" (uint), "memory"
 * (uint64, bytes), "firmware" (MachineFirmware), "kernel", "initrd", "cmdline", "cdrom", "nvram"
 * (string or NULL), "network" (MachineNetwork), "entry-id" (string or NULL: the gallery entry it
 * came from), "note" (string or NULL: what the entry says about logging in), "serial" (string or
 * NULL: a file for what the guest writes to its serial port). Read only: "created" (int64,
 * seconds since 1970). Signal "changed" after any of them or the disks changed. */
#define MACHINE_TYPE_SETTINGS (machine_settings_get_type ())
G_DECLARE_FINAL_TYPE (MachineSettings, machine_settings, MACHINE, SETTINGS, GObject)

/* 1 CPU, 1 GiB, UEFI, user network, no disk, created now. */
MachineSettings *machine_settings_new (const char *name);
MachineSettings *machine_settings_load (const char *path, GError **error);
MachineSettings *machine_settings_parse (const char *data, gsize length, GError **error);

/* An independent copy (for an "edit" dialog); carries the unknown keys too. */
MachineSettings *machine_settings_copy (MachineSettings *self);

/* Takes every value of `from`. */
void machine_settings_assign (MachineSettings *self, MachineSettings *from);

/* FALSE with MACHINE_SETTINGS_ERROR_INVALID: a sentence for the user that names the setting, its
 * value and what is allowed. */
gboolean machine_settings_validate (MachineSettings *self, GError **error);

/* Validates, then replaces the file at once or not at all. Blocks for a small write and a sync. */
gboolean machine_settings_save (MachineSettings *self, const char *path, GError **error);
char *machine_settings_to_data (MachineSettings *self, gsize *length);

const char *machine_settings_get_name (MachineSettings *self);
void machine_settings_set_name (MachineSettings *self, const char *name);
guint machine_settings_get_cpus (MachineSettings *self);
void machine_settings_set_cpus (MachineSettings *self, guint cpus);
guint64 machine_settings_get_memory (MachineSettings *self);
void machine_settings_set_memory (MachineSettings *self, guint64 bytes);
MachineFirmware machine_settings_get_firmware (MachineSettings *self);
void machine_settings_set_firmware (MachineSettings *self, MachineFirmware firmware);
const char *machine_settings_get_kernel (MachineSettings *self);
void machine_settings_set_kernel (MachineSettings *self, const char *file);
const char *machine_settings_get_initrd (MachineSettings *self);
void machine_settings_set_initrd (MachineSettings *self, const char *file);
const char *machine_settings_get_cmdline (MachineSettings *self);
void machine_settings_set_cmdline (MachineSettings *self, const char *cmdline);
const char *machine_settings_get_nvram (MachineSettings *self);
void machine_settings_set_nvram (MachineSettings *self, const char *file);
const char *machine_settings_get_cdrom (MachineSettings *self);
void machine_settings_set_cdrom (MachineSettings *self, const char *file);
MachineNetwork machine_settings_get_network (MachineSettings *self);
void machine_settings_set_network (MachineSettings *self, MachineNetwork network);
const char *machine_settings_get_entry_id (MachineSettings *self);
void machine_settings_set_entry_id (MachineSettings *self, const char *id);
const char *machine_settings_get_note (MachineSettings *self);
void machine_settings_set_note (MachineSettings *self, const char *note);
const char *machine_settings_get_serial (MachineSettings *self);
void machine_settings_set_serial (MachineSettings *self, const char *file);
gint64 machine_settings_get_created (MachineSettings *self);

guint machine_settings_get_n_disks (MachineSettings *self);
MachineDisk machine_settings_get_disk (MachineSettings *self, guint index);
void machine_settings_add_disk (MachineSettings *self, const char *file, MachineDiskFormat format,
                                gboolean readonly);
void machine_settings_remove_disk (MachineSettings *self, guint index);

/* `file` as an absolute path (free it); NULL for NULL. */
char *machine_settings_resolve (const char *folder, const char *file);

G_END_DECLS
