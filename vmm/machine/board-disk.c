#define G_LOG_DOMAIN "vmm-machine"

#include "machine/board-disk.h"

#include <errno.h>

#include "block/block-raw.h"
#include "helpers/room-watch.h"
#include "helpers/storage-daemon.h"
#include "machine/board-sata.h"
#include "machine/device-table.h"
#include "virtio/vhost-user-blk.h"
#include "virtio/virtio-blk.h"

struct BoardDisk
{
  Board *board;
  unsigned index;
  VirtioBlk *blk; /* raw; else NULL, and the next two are there */
  StorageDaemon *daemon;
  VhostUserBlk *served;
  RoomWatch *room; /* served and written to; else NULL */
};

static const VmDiskConfig *
get_config (const BoardDisk *disk)
{
  return &disk->board->config.vm->disks[disk->index];
}

static void
report (BoardDisk *disk, bool is_write, int code, const char *reason)
{
  const BoardDiskError error = {
    .index = disk->index,
    .is_write = is_write,
    .nospace = code == ENOSPC || code == EDQUOT,
    .reason = reason,
  };

  disk->board->config.disk_failed (disk->board->config.opaque, &error);
}

static void
on_no_room (void *opaque, int code)
{
  report (opaque, true, code, g_strerror (code));
}

/* The daemon would answer the guest with an error: it is not to come to that. What it was given already finds room in the reserve. */
static void
on_low (void *opaque)
{
  report (opaque, true, ENOSPC, "the host's file system is nearly full");
}

static void
on_lost (void *opaque, const char *reason)
{
  BoardDisk *disk = opaque;
  g_autofree char *line = g_strdup_printf ("%s: %s", get_config (disk)->file, reason);

  g_printerr ("alcove-vmm: %s\n", line);
  report (disk, true, EIO, line);
}

static int
start_daemon (void *opaque, GError **error)
{
  BoardDisk *disk = opaque;

  return storage_daemon_start (disk->daemon, error);
}

static void
end_daemon (void *opaque)
{
  BoardDisk *disk = opaque;

  storage_daemon_kill (disk->daemon);
}

static char *
get_complaint (void *opaque)
{
  BoardDisk *disk = opaque;
  g_autofree char *words = storage_daemon_get_complaint (disk->daemon);

  return words ? g_strdup_printf ("%s: %s", get_config (disk)->file, words) : NULL;
}

static VirtioDevice *
make_served (BoardDisk *disk, unsigned n_queues, GError **error)
{
  const VmDiskConfig *config = get_config (disk);
  const VhostUserBlkConfig served = {
    .readonly = config->readonly,
    .n_queues = MIN (n_queues, VHOST_USER_BLK_QUEUES_MAX),
    .start = start_daemon,
    .end = end_daemon,
    .get_complaint = get_complaint,
    .failed = on_lost,
    .opaque = disk,
  };
  const RoomWatchConfig room = { .file = config->file, .low = on_low, .opaque = disk };

  disk->daemon = storage_daemon_new (config, STORAGE_DAEMON_VHOST_USER_BLK, served.n_queues);
  disk->served = vhost_user_blk_new (&served, disk->board->memory, NULL, error);
  if (!disk->served)
    return NULL;
  if (!config->readonly)
    disk->room = room_watch_new (&room);
  return vhost_user_blk_get_device (disk->served);
}

static VirtioDevice *
make_raw (BoardDisk *disk, unsigned n_queues, GError **error)
{
  const VmDiskConfig *config = get_config (disk);
  g_autofree char *serial = g_strdup_printf ("disk%u", disk->index);
  VirtioBlkConfig raw = {
    .readonly = config->readonly,
    .serial = serial,
    .n_queues = MIN (n_queues, VIRTIO_BLK_QUEUES_MAX),
    .no_room = on_no_room,
    .opaque = disk,
  };

  if (!block_raw_open_backend (config->file, config->readonly, &raw.backend, error))
    return NULL;
  disk->blk = virtio_blk_new (&raw, disk->board->memory, NULL);
  return virtio_blk_get_device (disk->blk);
}

static void
free_disk (void *opaque)
{
  BoardDisk *disk = opaque;

  disk->board->disks[disk->index] = NULL;
  virtio_blk_free (disk->blk);
  room_watch_free (disk->room);
  vhost_user_blk_free (disk->served);
  storage_daemon_free (disk->daemon);
  g_free (disk);
}

bool
board_disk_add (Board *board, unsigned index, GError **error)
{
  const bool is_raw = board->config.vm->disks[index].format == VM_DISK_FORMAT_RAW;
  const unsigned n_queues = board->config.vm->cpus;
  BoardDisk *disk = g_new0 (BoardDisk, 1);

  disk->board = board;
  disk->index = index;
  board->disks[index] = disk;
  board_attach (board, "disk", disk, NULL, free_disk);
  VirtioDevice *device =
      is_raw ? make_raw (disk, n_queues, error) : make_served (disk, n_queues, error);
  return device && device_table_plug_virtio (board, "disk function", device, VM_BOOT_DISK, error);
}

bool
board_disk_needs_shared_memory (const VmConfig *vm)
{
  for (unsigned i = 0; i < vm->n_disks; i++)
    if (vm->disks[i].format != VM_DISK_FORMAT_RAW && vm->disks[i].bus == VM_DISK_BUS_VIRTIO)
      return true;
  return false;
}

bool
board_disk_resume_all (Board *board, GError **error)
{
  for (unsigned i = 0; i < VM_DISKS_MAX; i++)
    {
      BoardDisk *disk = board->disks[i];

      if (disk && disk->blk)
        virtio_blk_resume (disk->blk);
      else if (disk && !vhost_user_blk_resume (disk->served, error))
        return false;
      if (disk && disk->room)
        room_watch_resume (disk->room);
    }
  return board_sata_resume (board, error);
}

uint64_t
board_disk_get_size (const Board *board, unsigned index)
{
  const BoardDisk *disk = board->disks[index];

  if (!disk)
    return board_sata_get_disk_size (board, index);
  return disk->served ? vhost_user_blk_get_size (disk->served) : 0;
}
