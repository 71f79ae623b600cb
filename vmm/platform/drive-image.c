#define G_LOG_DOMAIN "vmm-platform"

#include "platform/drive-image.h"

#include <glib.h>

#include "base/fd-source.h"
#include "base/iov.h"

struct DriveImage
{
  BlockRaw *raw;
  GSource *completions; /* NULL: no ring to poll */
};

/* The source's own: an image that goes on another thread while the source waits for the lock leaves this behind, until
 * GLib gives the last hold of it back. */
typedef struct Reaper
{
  BlockRaw *raw; /* gone when the source is destroyed */
  GMutex *lock;
} Reaper;

static gboolean
on_completions (gint fd, GIOCondition condition, gpointer opaque)
{
  const Reaper *reaper = opaque;

  g_mutex_lock (reaper->lock);
  if (!g_source_is_destroyed (g_main_current_source ()))
    block_raw_reap (reaper->raw);
  g_mutex_unlock (reaper->lock);
  return G_SOURCE_CONTINUE;
}

DriveImage *
drive_image_new (const BlockImage *image, const AtaHome *home)
{
  DriveImage *self = g_new0 (DriveImage, 1);

  self->raw = block_raw_new (image);
  const int fd = block_raw_get_fd (self->raw);
  if (fd >= 0)
    {
      Reaper *reaper = g_new (Reaper, 1);

      *reaper = (Reaper){ .raw = self->raw, .lock = home->lock };
      self->completions = fd_source_new (fd, G_IO_IN, "drive completions");
      g_source_set_callback (self->completions, G_SOURCE_FUNC (on_completions), reaper, g_free);
      g_source_attach (self->completions, home->context);
    }
  return self;
}

void
drive_image_free (DriveImage *image)
{
  if (!image)
    return;
  if (image->completions)
    {
      g_source_destroy (image->completions);
      g_source_unref (image->completions);
    }
  block_raw_free (image->raw);
  g_free (image);
}

uint64_t
drive_image_get_size (const DriveImage *image)
{
  return block_raw_get_image (image->raw)->size;
}

void
drive_image_transfer (DriveImage *image, AtaCommand *command, BlockOperation operation,
                      uint64_t offset, uint64_t size, bool durable,
                      void (*done) (BlockRequest *io, int error))
{
  g_return_if_fail (size > 0 && size <= command->size);
  iov_trim_back (command->iov, &command->n_iov, command->size - size);
  command->size = size;
  command->io = (BlockRequest){
    .operation = operation,
    .offset = offset,
    .size = size,
    .iov = command->iov,
    .n_iov = command->n_iov,
    .durable = durable,
    .done = done,
  };
  block_raw_submit (image->raw, &command->io);
}

void
drive_image_control (DriveImage *image, AtaCommand *command, BlockOperation operation,
                     uint64_t offset, uint64_t size, void (*done) (BlockRequest *io, int error))
{
  command->io =
      (BlockRequest){ .operation = operation, .offset = offset, .size = size, .done = done };
  block_raw_submit (image->raw, &command->io);
}

void
drive_image_again (DriveImage *image, AtaCommand *command)
{
  block_raw_submit (image->raw, &command->io);
}

void
drive_image_kick (DriveImage *image)
{
  block_raw_kick (image->raw);
}

void
drive_image_drain (DriveImage *image)
{
  block_raw_drain (image->raw);
}
