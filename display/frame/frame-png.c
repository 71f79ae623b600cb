#include "frame/frame-png.h"

#include <cairo.h>

typedef struct
{
  GBytes *pixels;
  guint width, height, max_size;
  char *path;
} Job;

static void
job_free (Job *job)
{
  g_bytes_unref (job->pixels);
  g_free (job->path);
  g_free (job);
}

static cairo_surface_t *
scale_down (cairo_surface_t *whole, guint width, guint height, guint max_size)
{
  double scale = (double) max_size / MAX (width, height);
  cairo_surface_t *surface = cairo_image_surface_create (
      CAIRO_FORMAT_RGB24, MAX ((int) (width * scale), 1), MAX ((int) (height * scale), 1));
  cairo_t *cr = cairo_create (surface);

  cairo_scale (cr, scale, scale);
  cairo_set_source_surface (cr, whole, 0, 0);
  cairo_pattern_set_filter (cairo_get_source (cr), CAIRO_FILTER_GOOD);
  cairo_paint (cr);
  cairo_destroy (cr);
  return surface;
}

static cairo_status_t
append (void *closure, const unsigned char *bytes, unsigned int length)
{
  g_byte_array_append (closure, bytes, length);
  return CAIRO_STATUS_SUCCESS;
}

static void
encode (GTask *task, gpointer source, gpointer data, GCancellable *cancellable)
{
  Job *job = data;
  g_autoptr (GByteArray) png = g_byte_array_new ();
  g_autoptr (GError) error = NULL;
  /* RGB24 is B G R x in memory here, as frames are. */
  cairo_surface_t *surface = cairo_image_surface_create_for_data (
      (guchar *) g_bytes_get_data (job->pixels, NULL), CAIRO_FORMAT_RGB24, (int) job->width,
      (int) job->height, (int) job->width * 4);

  if (job->max_size != 0 && MAX (job->width, job->height) > job->max_size)
    {
      cairo_surface_t *whole = surface;
      surface = scale_down (whole, job->width, job->height, job->max_size);
      cairo_surface_destroy (whole);
    }
  cairo_status_t status = cairo_surface_write_to_png_stream (surface, append, png);
  cairo_surface_destroy (surface);
  if (g_task_return_error_if_cancelled (task))
    return;
  if (status != CAIRO_STATUS_SUCCESS)
    g_task_return_new_error (task, G_IO_ERROR, G_IO_ERROR_FAILED,
                             "The picture cannot be written to %s: %s", job->path,
                             cairo_status_to_string (status));
  else if (!g_file_set_contents (job->path, (const char *) png->data, png->len, &error))
    g_task_return_error (task, g_steal_pointer (&error));
  else
    g_task_return_boolean (task, TRUE);
}

void
frame_png_save_async (Frame *frame, const char *path, guint max_size, GObject *source,
                      GCancellable *cancellable, GAsyncReadyCallback callback, gpointer data)
{
  g_autoptr (GTask) task = g_task_new (source, cancellable, callback, data);
  Job *job = g_new0 (Job, 1);

  job->pixels = frame_read (frame);
  job->width = frame_get_width (frame);
  job->height = frame_get_height (frame);
  job->max_size = max_size;
  job->path = g_strdup (path);
  g_task_set_source_tag (task, frame_png_save_async);
  g_task_set_task_data (task, job, (GDestroyNotify) job_free);
  g_task_run_in_thread (task, encode);
}

gboolean
frame_png_save_finish (GAsyncResult *result, GError **error)
{
  return g_task_propagate_boolean (G_TASK (result), error);
}
