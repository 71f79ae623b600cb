#include "block/block-qcow2.h"

#include "block/image-header.h"

void
block_qcow2_init (BlockQcow2 *qcow2, BlockBackend *backend, const char *path, bool readonly)
{
  *qcow2 = (BlockQcow2){};
  if (!readonly)
    {
      qcow2->settled = block_settled_new (backend, image_header_get_granularity (path));
      block_settled_get_backend (qcow2->settled, backend);
    }
  qcow2->placed = block_placed_new (backend, path, readonly);
  if (qcow2->placed)
    block_placed_get_backend (qcow2->placed, backend);
}

void
block_qcow2_repeat (BlockQcow2 *qcow2)
{
  if (qcow2->placed)
    block_placed_forget (qcow2->placed);
  if (qcow2->settled)
    block_settled_repeat (qcow2->settled);
}
