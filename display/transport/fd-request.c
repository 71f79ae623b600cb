#include "transport/fd-request.h"

#include <glib/gstdio.h>

struct _AlcoveDisplayFdRequest
{
  GWeakRef owner;
  GObject *channel;
  const char *name;
  GCancellable *cancellable;
  FdRequestAnswered answered;
};

FdRequest *
fd_request_new (GObject *owner, GObject *channel, const char *name, GCancellable *cancellable,
                FdRequestAnswered answered)
{
  FdRequest *self = g_new0 (FdRequest, 1);

  g_weak_ref_init (&self->owner, owner);
  self->channel = g_object_ref (channel);
  self->name = name;
  self->cancellable = g_object_ref (cancellable);
  self->answered = answered;
  return self;
}

void
fd_request_answer (FdRequest *self, int fd, GError *error)
{
  g_autoptr (GObject) owner = g_weak_ref_get (&self->owner);

  if (fd < 0 && error == NULL)
    error =
        g_error_new (G_IO_ERROR, G_IO_ERROR_FAILED, "No connection for the %s channel", self->name);
  if (owner != NULL && !g_cancellable_is_cancelled (self->cancellable))
    {
      self->answered (owner, self->channel, fd, error);
    }
  else
    {
      if (fd >= 0)
        g_close (fd, NULL);
      g_clear_error (&error);
    }
  g_weak_ref_clear (&self->owner);
  g_object_unref (self->channel);
  g_object_unref (self->cancellable);
  g_free (self);
}

GCancellable *
fd_request_get_cancellable (FdRequest *self)
{
  return self->cancellable;
}

const char *
fd_request_get_name (FdRequest *self)
{
  return self->name;
}
