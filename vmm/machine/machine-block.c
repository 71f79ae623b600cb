#include "machine/machine-block.h"

#include <fcntl.h>
#include <unistd.h>

#include "config/cd-image.h"

static void
clear_block (gpointer data)
{
  MachineBlock *block = data;

  g_free (block->id);
  g_free (block->file);
}

/* Of a block device stat () does not say it. */
static uint64_t
measure (const char *file)
{
  const int fd = open (file, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  const off_t size = fd < 0 ? -1 : lseek (fd, 0, SEEK_END);

  if (fd >= 0)
    close (fd);
  return size < 0 ? 0 : (uint64_t) size;
}

static void
add_cdrom (GArray *blocks, CdDrive *cdrom)
{
  CdDriveState state;

  cd_drive_get_state (cdrom, &state);
  MachineBlock block = {
    .id = g_strdup ("cdrom0"),
    .file = g_steal_pointer (&state.file),
    .format = VM_DISK_FORMAT_RAW,
    .readonly = true,
    .size = state.size,
    .is_cdrom = true,
    .tray_open = state.tray_open,
    .locked = state.locked,
  };
  g_array_append_val (blocks, block);
}

GArray *
machine_block_list (const VmConfig *config, CdDrive *cdrom)
{
  GArray *blocks = g_array_new (FALSE, FALSE, sizeof (MachineBlock));

  g_array_set_clear_func (blocks, clear_block);
  for (unsigned i = 0; i < config->n_disks; i++)
    {
      const VmDiskConfig *disk = &config->disks[i];
      MachineBlock block = {
        .id = g_strdup_printf ("disk%u", i),
        .file = g_strdup (disk->file),
        .format = disk->format,
        .readonly = disk->readonly,
        .size = measure (disk->file),
      };
      g_array_append_val (blocks, block);
    }
  if (cdrom)
    add_cdrom (blocks, cdrom);
  return blocks;
}

bool
machine_block_operate (CdDrive *cdrom, MachineCdrom operation, const char *file, bool force,
                       GError **error)
{
  switch (operation)
    {
    case MACHINE_CDROM_OPEN:
      return cd_drive_open_tray (cdrom, force, error);
    case MACHINE_CDROM_EJECT:
      return cd_drive_eject (cdrom, force, error);
    case MACHINE_CDROM_CHANGE:
      return cd_image_check (file, error) && cd_drive_change (cdrom, file, force, error);
    default:
      cd_drive_close_tray (cdrom);
      return true;
    }
}
