#define G_LOG_DOMAIN "vmm-machine"

#include "machine/board-sata.h"

#include <assert.h>

#include "platform/ata-disk.h"

static_assert (VM_AHCI_PORTS == AHCI_PORTS, "what vm_config_validate () allows");

static bool
is_needed (const VmConfig *vm)
{
  for (unsigned i = 0; i < vm->n_disks; i++)
    if (vm->disks[i].bus == VM_DISK_BUS_AHCI)
      return true;
  return vm->cdrom != NULL;
}

/* Where the LPC bridge is function 0, it is function 2 as on a PC. Else it is function 0 itself: nobody looks behind a
 * function 0 that is not there. */
bool
board_sata_create (Board *board, GError **error)
{
  const uint16_t vendor = pci_bus_config_read (board->pci, AHCI_SLOT << 3, 0, 2);
  const unsigned function = vendor == UINT16_MAX ? 0 : AHCI_FUNCTION;

  if (!is_needed (board->config.vm))
    return true;
  board->ahci = ahci_new (board->memory, NULL);
  board_attach (board, "ahci", board->ahci, NULL, (void (*) (void *)) ahci_free);
  return pci_bus_add (board->pci, ahci_get_pci_device (board->ahci), AHCI_SLOT, function, error);
}

static void
plug (Board *board, VmBoot kind, const AtaDrive *drive)
{
  const unsigned port = board->n_sata++;
  g_autofree char *rest = g_strdup_printf ("drive@%u/disk@0", port);

  ahci_plug (board->ahci, port, drive);
  boot_order_add (board->boot_order, kind, "pci8086,2922",
                  pci_device_get_devfn (ahci_get_pci_device (board->ahci)), rest);
}

static void
on_no_room (void *opaque, int code)
{
  const BoardSataDisk *disk = opaque;
  const BoardDiskError error = {
    .index = disk->index,
    .is_write = true,
    .nospace = true,
    .reason = g_strerror (code),
  };

  disk->board->config.disk_failed (disk->board->config.opaque, &error);
}

bool
board_sata_add_disk (Board *board, unsigned index, GError **error)
{
  BoardSataDisk *disk = &board->sata_disks[board->n_sata];
  g_autofree char *serial = g_strdup_printf ("disk%u", index);
  const AtaDiskConfig config = {
    .file = board->config.vm->disks[index].file,
    .serial = serial,
    .no_room = on_no_room,
    .opaque = disk,
  };
  AtaDrive drive;

  *disk = (BoardSataDisk){ .board = board, .index = index };

  if (!ata_disk_new (&config, ahci_get_home (board->ahci), &drive, error))
    return false;
  plug (board, VM_BOOT_DISK, &drive);
  return true;
}

static void
on_tray_moved (void *opaque, bool is_open)
{
  Board *board = opaque;

  board->config.tray_moved (board->config.opaque, is_open);
}

bool
board_sata_add_cdrom (Board *board, const char *file, GError **error)
{
  const CdDriveConfig config = {
    .file = *file != '\0' ? file : NULL,
    .serial = "cdrom0",
    .tray_moved = on_tray_moved,
    .opaque = board,
  };
  AtaDrive drive;

  board->cdrom = cd_drive_new (&config, ahci_get_home (board->ahci), &drive, error);
  if (!board->cdrom)
    return false;
  plug (board, VM_BOOT_CDROM, &drive);
  return true;
}
