#define G_LOG_DOMAIN "vmm-machine"

#include "machine/board-disk.h"

#include <errno.h>

#include "block/block-qcow2.h"
#include "block/block-raw.h"
#include "block/block-vhost.h"
#include "helpers/room-watch.h"
#include "helpers/storage-daemon.h"
#include "machine/board-sata.h"
#include "machine/device-table.h"
#include "virtio/virtio-blk.h"

struct BoardDisk
{
  Board *board;
  unsigned index;
  VirtioBlk *blk;
  StorageDaemon *daemon; /* not raw; NULL else, and so is what follows */
  BlockVhost *served;    /* blk has it */
  BlockQcow2 qcow2;      /* on top of it, or nothing; blk has it */
  RoomWatch *room;       /* written to */
  uint64_t size;         /* bytes */
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

static bool
open_served (BoardDisk *disk, BlockBackend *backend, GError **error)
{
  const VmDiskConfig *config = get_config (disk);
  BlockVhostConfig vhost = { .readonly = config->readonly, .failed = on_lost, .opaque = disk };
  const RoomWatchConfig room = { .file = config->file, .low = on_low, .opaque = disk };

  disk->daemon = storage_daemon_new (config, STORAGE_DAEMON_VHOST_USER_BLK);
  vhost.server = storage_daemon_get_server (disk->daemon);
  disk->served = block_vhost_new (&vhost, error);
  if (!disk->served)
    return false;
  block_vhost_get_backend (disk->served, backend);
  disk->size = backend->size;
  if (config->format == VM_DISK_FORMAT_QCOW2)
    block_qcow2_init (&disk->qcow2, backend, config->file, config->readonly);
  if (!config->readonly)
    disk->room = room_watch_new (&room);
  return true;
}

static VirtioDevice *
make_device (BoardDisk *disk, GError **error)
{
  const VmDiskConfig *config = get_config (disk);
  g_autofree char *serial = g_strdup_printf ("disk%u", disk->index);
  VirtioBlkConfig blk = {
    .readonly = config->readonly,
    .may_linger = g_get_num_processors () > disk->board->config.vm->cpus,
    .serial = serial,
    .n_queues = MIN (disk->board->config.vm->cpus, VIRTIO_BLK_QUEUES_MAX),
    .no_room = on_no_room,
    .opaque = disk,
  };

  if (config->format == VM_DISK_FORMAT_RAW
          ? !block_raw_open_backend (config->file, config->readonly, &blk.backend, error)
          : !open_served (disk, &blk.backend, error))
    return NULL;
  disk->blk = virtio_blk_new (&blk, disk->board->memory, NULL);
  return virtio_blk_get_device (disk->blk);
}

static void
free_disk (void *opaque)
{
  BoardDisk *disk = opaque;

  disk->board->disks[disk->index] = NULL;
  virtio_blk_free (disk->blk);
  room_watch_free (disk->room);
  storage_daemon_free (disk->daemon);
  g_free (disk);
}

bool
board_disk_add (Board *board, unsigned index, GError **error)
{
  BoardDisk *disk = g_new0 (BoardDisk, 1);

  disk->board = board;
  disk->index = index;
  board->disks[index] = disk;
  board_attach (board, "disk", disk, NULL, free_disk);
  VirtioDevice *device = make_device (disk, error);
  return device && device_table_plug_virtio (board, "disk function", device, VM_BOOT_DISK, error);
}

/* Its requests go on by virtio_blk_resume (). */
static bool
restart_daemon (BoardDisk *disk, GError **error)
{
  bool good = true;

  virtio_device_lock (virtio_blk_get_device (disk->blk));
  if (block_vhost_is_lost (disk->served))
    {
      block_qcow2_repeat (&disk->qcow2);
      good = block_vhost_resume (disk->served, error);
    }
  virtio_device_unlock (virtio_blk_get_device (disk->blk));
  return good;
}

bool
board_disk_resume_all (Board *board, GError **error)
{
  for (unsigned i = 0; i < VM_DISKS_MAX; i++)
    {
      BoardDisk *disk = board->disks[i];

      if (!disk)
        continue;
      if (disk->served && !restart_daemon (disk, error))
        return false;
      virtio_blk_resume (disk->blk);
      if (disk->room)
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
  return disk->size;
}
