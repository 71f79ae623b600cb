#define G_LOG_DOMAIN "vmm-platform"

#include "platform/drive-image.h"

#include <glib.h>

#include "base/fd-source.h"
#include "base/iov.h"

struct DriveImage
{
  BlockBackend backend;
  GSource *completions; /* NULL: no ring to poll */
};

/* The source's own: an image that goes on another thread while the source waits for the lock leaves this behind, until
 * GLib gives the last hold of it back. */
typedef struct Reaper
{
  BlockBackend backend; /* gone when the source is destroyed */
  GMutex *lock;
} Reaper;

static gboolean
on_completions (gint fd, GIOCondition condition, gpointer opaque)
{
  const Reaper *reaper = opaque;

  g_mutex_lock (reaper->lock);
  if (!g_source_is_destroyed (g_main_current_source ()))
    reaper->backend.ops->reap (reaper->backend.opaque);
  g_mutex_unlock (reaper->lock);
  return G_SOURCE_CONTINUE;
}

DriveImage *
drive_image_new (const BlockBackend *backend, const AtaHome *home)
{
  DriveImage *self = g_new0 (DriveImage, 1);

  self->backend = *backend;
  if (backend->fd >= 0)
    {
      Reaper *reaper = g_new (Reaper, 1);

      *reaper = (Reaper){ .backend = *backend, .lock = home->lock };
      self->completions = fd_source_new (backend->fd, G_IO_IN, "drive completions");
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
  image->backend.ops->free (image->backend.opaque);
  g_free (image);
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
  image->backend.ops->submit (image->backend.opaque, &command->io);
}

void
drive_image_control (DriveImage *image, AtaCommand *command, BlockOperation operation,
                     uint64_t offset, uint64_t size, void (*done) (BlockRequest *io, int error))
{
  command->io =
      (BlockRequest){ .operation = operation, .offset = offset, .size = size, .done = done };
  image->backend.ops->submit (image->backend.opaque, &command->io);
}

void
drive_image_again (DriveImage *image, AtaCommand *command)
{
  image->backend.ops->submit (image->backend.opaque, &command->io);
}

void
drive_image_kick (DriveImage *image)
{
  image->backend.ops->kick (image->backend.opaque);
}

void
drive_image_drain (DriveImage *image)
{
  image->backend.ops->drain (image->backend.opaque);
}
