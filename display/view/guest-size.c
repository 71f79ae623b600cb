#define G_LOG_DOMAIN "display"

#include "view/guest-size.h"

/* A window that is being resized asks when it rests. */
#define RESIZE_MS 150

struct _GuestSize
{
  GtkWidget *widget;
  DisplayTransport *transport;
  gboolean wished;
  guint source;
  int asked_width, asked_height;
};

GuestSize *
guest_size_new (GtkWidget *widget)
{
  GuestSize *self = g_new0 (GuestSize, 1);

  self->widget = widget;
  return self;
}

void
guest_size_free (GuestSize *self)
{
  g_clear_handle_id (&self->source, g_source_remove);
  g_clear_object (&self->transport);
  g_free (self);
}

static void
ask (GuestSize *self)
{
  int scale = gtk_widget_get_scale_factor (self->widget);
  int width = gtk_widget_get_width (self->widget) * scale,
      height = gtk_widget_get_height (self->widget) * scale;

  if (!self->wished || self->transport == NULL || !gtk_widget_get_mapped (self->widget) ||
      width <= 0 || height <= 0 || (width == self->asked_width && height == self->asked_height) ||
      !display_transport_takes_size (self->transport))
    return;
  display_transport_request_size (self->transport, (guint) width, (guint) height);
  self->asked_width = width;
  self->asked_height = height;
}

static gboolean
on_rests (gpointer data)
{
  GuestSize *self = data;

  self->source = 0;
  ask (self);
  return G_SOURCE_REMOVE;
}

void
guest_size_changed (GuestSize *self)
{
  g_clear_handle_id (&self->source, g_source_remove);
  self->source = g_timeout_add (RESIZE_MS, on_rests, self);
}

void
guest_size_guest_changed (GuestSize *self)
{
  /* A guest that starts anew has forgotten the size. */
  if (self->transport != NULL && !display_transport_takes_size (self->transport))
    self->asked_width = self->asked_height = 0;
  guest_size_changed (self);
}

void
guest_size_set_wished (GuestSize *self, gboolean wished)
{
  self->wished = wished;
  guest_size_changed (self);
}

void
guest_size_set_transport (GuestSize *self, DisplayTransport *transport)
{
  g_set_object (&self->transport, transport);
  self->asked_width = self->asked_height = 0;
  guest_size_changed (self);
}
