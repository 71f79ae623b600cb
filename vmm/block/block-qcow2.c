#define G_LOG_DOMAIN "vmm-block"

#include "block/block-qcow2.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "block/block-apart.h"
#include "block/image-header.h"

void
block_qcow2_init (BlockQcow2 *qcow2, BlockBackend *backend, const char *path, bool readonly)
{
  *qcow2 = (BlockQcow2){ .path = path };
  if (!readonly)
    {
      const ImageClusters clusters = image_header_get_clusters (path);

      block_apart_get_backend (block_apart_new (backend, clusters.size), backend);
      qcow2->settled = block_settled_new (backend, clusters.granularity);
      block_settled_get_backend (qcow2->settled, backend);
    }
  qcow2->placed = block_placed_new (backend, path, readonly);
  if (qcow2->placed)
    block_placed_get_backend (qcow2->placed, backend);
}

/* The next process flushes what it has written itself, and not what the last one left in the host's cache. Returns an errno. */
static int
sync_file (const char *path)
{
  const int fd = open (path, O_RDONLY | O_CLOEXEC);
  int error = fd < 0 || fdatasync (fd) < 0 ? errno : 0;

  if (fd >= 0)
    close (fd);
  if (error != 0)
    g_warning ("%s: what was written cannot be made durable: %s", path, g_strerror (error));
  return error;
}

void
block_qcow2_repeat (BlockQcow2 *qcow2)
{
  if (qcow2->placed)
    block_placed_forget (qcow2->placed);
  if (qcow2->settled)
    block_settled_repeat (qcow2->settled, sync_file (qcow2->path));
}
