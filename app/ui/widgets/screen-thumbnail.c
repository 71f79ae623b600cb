#include "ui/widgets/screen-thumbnail.h"

#include <adwaita.h>

#define NATURAL_WIDTH 260
#define MINIMUM_WIDTH 150
#define RADIUS        10
#define SIDE_MAX      16384

struct _ScreenThumbnail
{
  GtkWidget parent_instance;

  GtkWidget *icon;
  GdkTexture *texture;
  GCancellable *loading;
  gboolean dimmed;
};

G_DEFINE_FINAL_TYPE (ScreenThumbnail, screen_thumbnail, GTK_TYPE_WIDGET)

static int
height_for (int width)
{
  return width * 10 / 16;
}

static GtkSizeRequestMode
screen_thumbnail_get_request_mode (GtkWidget *widget)
{
  return GTK_SIZE_REQUEST_HEIGHT_FOR_WIDTH;
}

static void
screen_thumbnail_measure (GtkWidget *widget, GtkOrientation orientation, int for_size, int *minimum,
                          int *natural, int *minimum_baseline, int *natural_baseline)
{
  if (orientation == GTK_ORIENTATION_HORIZONTAL)
    {
      *minimum = MINIMUM_WIDTH;
      *natural = NATURAL_WIDTH;
    }
  else
    *minimum = *natural = height_for (for_size > 0 ? for_size : MINIMUM_WIDTH);
}

static void
screen_thumbnail_size_allocate (GtkWidget *widget, int width, int height, int baseline)
{
  ScreenThumbnail *self = SCREEN_THUMBNAIL (widget);
  int side;

  gtk_widget_measure (self->icon, GTK_ORIENTATION_HORIZONTAL, -1, &side, NULL, NULL, NULL);
  gtk_widget_allocate (self->icon, side, side, -1,
                       gsk_transform_translate (
                           NULL, &GRAPHENE_POINT_INIT ((width - side) / 2, (height - side) / 2)));
}

/* Covers the whole area; what sticks out is clipped. */
static void
snapshot_texture (ScreenThumbnail *self, GtkSnapshot *snapshot, float width, float height)
{
  double scale = MAX (width / gdk_texture_get_width (self->texture),
                      height / gdk_texture_get_height (self->texture));
  float w = gdk_texture_get_width (self->texture) * scale;
  float h = gdk_texture_get_height (self->texture) * scale;

  gtk_snapshot_push_opacity (snapshot, self->dimmed ? 0.45 : 1.0);
  gtk_snapshot_append_texture (snapshot, self->texture,
                               &GRAPHENE_RECT_INIT ((width - w) / 2, (height - h) / 2, w, h));
  gtk_snapshot_pop (snapshot);
}

static void
screen_thumbnail_snapshot (GtkWidget *widget, GtkSnapshot *snapshot)
{
  ScreenThumbnail *self = SCREEN_THUMBNAIL (widget);
  int width = gtk_widget_get_width (widget);
  int height = gtk_widget_get_height (widget);
  GskRoundedRect outline;

  gsk_rounded_rect_init_from_rect (&outline, &GRAPHENE_RECT_INIT (0, 0, width, height), RADIUS);
  gtk_snapshot_push_rounded_clip (snapshot, &outline);
  if (self->texture != NULL)
    {
      static const GdkRGBA black = { 0, 0, 0, 1 };

      gtk_snapshot_append_color (snapshot, &black, &outline.bounds);
      snapshot_texture (self, snapshot, width, height);
    }
  else
    gtk_widget_snapshot_child (widget, self->icon, snapshot);
  gtk_snapshot_pop (snapshot);
}

static void
load_in_thread (GTask *task, gpointer source, gpointer data, GCancellable *cancellable)
{
  g_autoptr (GError) error = NULL;
  GdkTexture *texture = gdk_texture_new_from_filename (data, &error);

  if (texture == NULL)
    g_task_return_error (task, g_steal_pointer (&error));
  else if (gdk_texture_get_width (texture) > SIDE_MAX ||
           gdk_texture_get_height (texture) > SIDE_MAX)
    {
      g_object_unref (texture);
      g_task_return_new_error (task, G_IO_ERROR, G_IO_ERROR_INVALID_DATA,
                               "the picture is too large");
    }
  else
    g_task_return_pointer (task, texture, g_object_unref);
}

static void
on_loaded (GObject *source, GAsyncResult *result, gpointer data)
{
  ScreenThumbnail *self = SCREEN_THUMBNAIL (source);
  g_autoptr (GError) error = NULL;
  g_autoptr (GdkTexture) texture = g_task_propagate_pointer (G_TASK (result), &error);

  if (texture == NULL)
    {
      g_debug ("thumbnail: %s", error->message);
      return;
    }
  g_set_object (&self->texture, texture);
  gtk_widget_queue_draw (GTK_WIDGET (self));
}

void
screen_thumbnail_set_path (ScreenThumbnail *self, const char *path)
{
  g_autoptr (GTask) task = NULL;

  g_return_if_fail (SCREEN_IS_THUMBNAIL (self));
  g_cancellable_cancel (self->loading);
  g_clear_object (&self->loading);
  if (path == NULL)
    {
      g_clear_object (&self->texture);
      gtk_widget_queue_draw (GTK_WIDGET (self));
      return;
    }
  self->loading = g_cancellable_new ();
  task = g_task_new (self, self->loading, on_loaded, NULL);
  g_task_set_task_data (task, g_strdup (path), g_free);
  g_task_run_in_thread (task, load_in_thread);
}

void
screen_thumbnail_set_dimmed (ScreenThumbnail *self, gboolean dimmed)
{
  if (self->dimmed == dimmed)
    return;
  self->dimmed = dimmed;
  gtk_widget_queue_draw (GTK_WIDGET (self));
}

static void
screen_thumbnail_dispose (GObject *object)
{
  ScreenThumbnail *self = SCREEN_THUMBNAIL (object);

  g_cancellable_cancel (self->loading);
  g_clear_object (&self->loading);
  g_clear_object (&self->texture);
  g_clear_pointer (&self->icon, gtk_widget_unparent);
  G_OBJECT_CLASS (screen_thumbnail_parent_class)->dispose (object);
}

static void
screen_thumbnail_class_init (ScreenThumbnailClass *klass)
{
  GtkWidgetClass *widget_class = GTK_WIDGET_CLASS (klass);

  G_OBJECT_CLASS (klass)->dispose = screen_thumbnail_dispose;
  widget_class->get_request_mode = screen_thumbnail_get_request_mode;
  widget_class->measure = screen_thumbnail_measure;
  widget_class->size_allocate = screen_thumbnail_size_allocate;
  widget_class->snapshot = screen_thumbnail_snapshot;
  gtk_widget_class_set_css_name (widget_class, "thumbnail");
  gtk_widget_class_set_accessible_role (widget_class, GTK_ACCESSIBLE_ROLE_PRESENTATION);
}

static void
screen_thumbnail_init (ScreenThumbnail *self)
{
  self->icon = gtk_image_new_from_icon_name ("computer-symbolic");
  gtk_image_set_pixel_size (GTK_IMAGE (self->icon), 64);
  gtk_widget_add_css_class (self->icon, "dim-label");
  gtk_widget_set_parent (self->icon, GTK_WIDGET (self));
}
