#define G_LOG_DOMAIN "vmm-machine"

#include "machine/board-sata.h"

#include <assert.h>
#include <errno.h>

#include "block/block-nbd.h"
#include "block/block-qcow2.h"
#include "block/block-raw.h"
#include "helpers/room-watch.h"
#include "helpers/storage-daemon.h"
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

static void
free_daemons (void *opaque)
{
  Board *board = opaque;

  for (unsigned i = 0; i < G_N_ELEMENTS (board->sata_disks); i++)
    {
      room_watch_free (board->sata_disks[i].room);
      storage_daemon_free (board->sata_disks[i].daemon);
    }
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
  /* Before the controller: what its drives use ends after them. */
  board_attach (board, "storage daemons", board, NULL, free_daemons);
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

/* --- disks --- */

static const VmDiskConfig *
get_config (const BoardSataDisk *disk)
{
  return &disk->board->config.vm->disks[disk->index];
}

static void
report (const BoardSataDisk *disk, bool nospace, const char *reason)
{
  const BoardDiskError error = {
    .index = disk->index,
    .is_write = true,
    .nospace = nospace,
    .reason = reason,
  };

  disk->board->config.disk_failed (disk->board->config.opaque, &error);
}

static void
on_no_room (void *opaque, int code)
{
  report (opaque, true, g_strerror (code));
}

/* Not every format's driver passes on that there is no room, and what a flush has none for cannot be asked for again: it is not to come
 * to that. What was submitted already finds room in the reserve. */
static void
on_low (void *opaque)
{
  report (opaque, true, "the host's file system is nearly full");
}

static void
on_lost (void *opaque, const char *reason)
{
  const BoardSataDisk *disk = opaque;
  g_autofree char *line = g_strdup_printf ("%s: %s", get_config (disk)->file, reason);

  g_printerr ("alcove-vmm: %s\n", line);
  report (disk, false, line);
}

static bool
make_served (BoardSataDisk *disk, BlockBackend *backend, GError **error)
{
  BlockNbdConfig config = { .failed = on_lost, .opaque = disk };
  const RoomWatchConfig room = {
    .file = get_config (disk)->file,
    .low = on_low,
    .opaque = disk,
  };

  disk->daemon = storage_daemon_new (get_config (disk), STORAGE_DAEMON_NBD);
  config.server = storage_daemon_get_server (disk->daemon);
  disk->nbd = block_nbd_new (&config, error);
  if (!disk->nbd)
    return false;
  block_nbd_get_backend (disk->nbd, backend);
  disk->size = backend->size;
  disk->room = room_watch_new (&room);
  if (get_config (disk)->format == VM_DISK_FORMAT_QCOW2)
    block_qcow2_init (&disk->qcow2, backend, get_config (disk)->file, false);
  return true;
}

bool
board_sata_add_disk (Board *board, unsigned index, GError **error)
{
  const VmDiskConfig *disk_config = &board->config.vm->disks[index];
  BoardSataDisk *disk = &board->sata_disks[board->n_sata];
  g_autofree char *serial = g_strdup_printf ("disk%u", index);
  AtaDiskConfig config = { .serial = serial, .no_room = on_no_room, .opaque = disk };
  AtaDrive drive;

  *disk = (BoardSataDisk){ .board = board, .index = index };
  if (disk_config->format == VM_DISK_FORMAT_RAW
          ? !block_raw_open_backend (disk_config->file, false, &config.backend, error)
          : !make_served (disk, &config.backend, error))
    return false;
  ata_disk_new (&config, ahci_get_home (board->ahci), &drive);
  plug (board, VM_BOOT_DISK, &drive);
  return true;
}

/* The controller's lock held. */
static bool
restart_daemon (BoardSataDisk *disk, GError **error)
{
  if (!block_nbd_is_lost (disk->nbd))
    return true;
  block_qcow2_repeat (&disk->qcow2);
  return block_nbd_resume (disk->nbd, error);
}

bool
board_sata_resume (Board *board, GError **error)
{
  if (!board->ahci)
    return true;
  for (unsigned i = 0; i < G_N_ELEMENTS (board->sata_disks); i++)
    {
      BoardSataDisk *disk = &board->sata_disks[i];

      if (!disk->nbd)
        continue;
      g_mutex_lock (ahci_get_home (board->ahci)->lock);
      const bool good = restart_daemon (disk, error);
      g_mutex_unlock (ahci_get_home (board->ahci)->lock);
      if (!good)
        return false;
      room_watch_resume (disk->room);
    }
  ahci_resume (board->ahci);
  return true;
}

uint64_t
board_sata_get_disk_size (const Board *board, unsigned index)
{
  for (unsigned i = 0; i < G_N_ELEMENTS (board->sata_disks); i++)
    if (board->sata_disks[i].nbd && board->sata_disks[i].index == index)
      return board->sata_disks[i].size;
  return 0;
}

/* --- the CD --- */

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
