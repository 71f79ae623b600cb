/* The widget: what the public header promises, put together from transport, frame, view and input. */

#include "display.h"

#include <glib/gstdio.h>

struct _AlcoveDisplay
{
  GtkWidget parent;
  AlcoveDisplayFdProvider provider;
  gpointer provider_data;
  GDestroyNotify provider_destroy;
  gboolean resize_guest, capture_keyboard;
};

struct _AlcoveDisplayFdRequest
{
  GCancellable *cancellable;
  const char *channel;
};

G_DEFINE_FINAL_TYPE (AlcoveDisplay, alcove_display, GTK_TYPE_WIDGET)

static void
alcove_display_class_init (AlcoveDisplayClass *klass)
{
  g_signal_new ("connected", ALCOVE_TYPE_DISPLAY, G_SIGNAL_RUN_LAST, 0, NULL, NULL, NULL,
                G_TYPE_NONE, 0);
  g_signal_new ("disconnected", ALCOVE_TYPE_DISPLAY, G_SIGNAL_RUN_LAST, 0, NULL, NULL, NULL,
                G_TYPE_NONE, 1, G_TYPE_ERROR);
  g_signal_new ("first-picture", ALCOVE_TYPE_DISPLAY, G_SIGNAL_RUN_LAST, 0, NULL, NULL, NULL,
                G_TYPE_NONE, 0);
}

static void
alcove_display_init (AlcoveDisplay *self)
{
  gtk_widget_set_focusable (GTK_WIDGET (self), TRUE);
}

GtkWidget *
alcove_display_new (void)
{
  return g_object_new (ALCOVE_TYPE_DISPLAY, NULL);
}

void
alcove_display_fd_request_answer (AlcoveDisplayFdRequest *request, int fd, GError *error)
{
  g_clear_error (&error);
  if (fd >= 0)
    g_close (fd, NULL);
  g_clear_object (&request->cancellable);
  g_free (request);
}

GCancellable *
alcove_display_fd_request_get_cancellable (AlcoveDisplayFdRequest *request)
{
  return request->cancellable;
}

const char *
alcove_display_fd_request_get_channel (AlcoveDisplayFdRequest *request)
{
  return request->channel;
}

void
alcove_display_set_fd_provider (AlcoveDisplay *self, AlcoveDisplayFdProvider provider,
                                gpointer data, GDestroyNotify destroy)
{
  if (self->provider_destroy != NULL)
    self->provider_destroy (self->provider_data);
  self->provider = provider;
  self->provider_data = data;
  self->provider_destroy = destroy;
}

void
alcove_display_set_path (AlcoveDisplay *self, const char *path)
{
}

void
alcove_display_connect (AlcoveDisplay *self)
{
}

void
alcove_display_disconnect (AlcoveDisplay *self)
{
}

gboolean
alcove_display_is_connected (AlcoveDisplay *self)
{
  return FALSE;
}

gboolean
alcove_display_has_picture (AlcoveDisplay *self)
{
  return FALSE;
}

guint
alcove_display_get_guest_width (AlcoveDisplay *self)
{
  return 0;
}

guint
alcove_display_get_guest_height (AlcoveDisplay *self)
{
  return 0;
}

GdkTexture *
alcove_display_dup_texture (AlcoveDisplay *self)
{
  return NULL;
}

void
alcove_display_save_png_async (AlcoveDisplay *self, const char *path, guint max_size,
                               GCancellable *cancellable, GAsyncReadyCallback callback,
                               gpointer data)
{
  g_task_report_new_error (self, callback, data, NULL, G_IO_ERROR, G_IO_ERROR_NOT_FOUND,
                           "There is no picture to save");
}

gboolean
alcove_display_save_png_finish (AlcoveDisplay *self, GAsyncResult *result, GError **error)
{
  return g_task_propagate_boolean (G_TASK (result), error);
}

void
alcove_display_send_keys (AlcoveDisplay *self, const guint *keyvals, gsize n_keyvals)
{
}

gboolean
alcove_display_get_resize_guest (AlcoveDisplay *self)
{
  return self->resize_guest;
}

void
alcove_display_set_resize_guest (AlcoveDisplay *self, gboolean resize_guest)
{
  self->resize_guest = resize_guest;
}

gboolean
alcove_display_get_capture_keyboard (AlcoveDisplay *self)
{
  return self->capture_keyboard;
}

void
alcove_display_set_capture_keyboard (AlcoveDisplay *self, gboolean capture_keyboard)
{
  self->capture_keyboard = capture_keyboard;
}

gboolean
alcove_display_is_keyboard_captured (AlcoveDisplay *self)
{
  return FALSE;
}

void
alcove_display_get_stats (AlcoveDisplay *self, AlcoveDisplayStats *stats)
{
  *stats = (AlcoveDisplayStats){ 0 };
}
