#include "ports/scanout-png.h"

#include <errno.h>
#include <fcntl.h>
#include <gio/gio.h>
#include <glib/gstdio.h>
#include <png.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* XRGB, blue first, to three bytes a pixel. NULL: the host has no memory for it. */
static uint8_t *
copy_rgb (const ScanoutSurface *surface)
{
  uint32_t width = scanout_surface_get_width (surface);
  uint32_t height = scanout_surface_get_height (surface);
  uint8_t *rgb = g_try_malloc_n ((size_t) width * height, 3);
  uint8_t *to = rgb;

  for (uint32_t y = 0; rgb && y < height; y++)
    {
      const uint8_t *from =
          scanout_surface_get_pixels (surface) + (size_t) y * scanout_surface_get_stride (surface);
      for (uint32_t x = 0; x < width; x++, from += 4, to += 3)
        {
          to[0] = from[2];
          to[1] = from[1];
          to[2] = from[0];
        }
    }
  return rgb;
}

static bool
write_file (FILE *file, const ScanoutSurface *surface, const uint8_t *rgb, const char *path,
            GError **error)
{
  png_image image = {
    .version = PNG_IMAGE_VERSION,
    .width = scanout_surface_get_width (surface),
    .height = scanout_surface_get_height (surface),
    .format = PNG_FORMAT_RGB,
    .flags = PNG_IMAGE_FLAG_FAST,
  };

  if (!png_image_write_to_stdio (&image, file, 0, rgb, 0, NULL))
    {
      g_set_error (error, G_IO_ERROR, G_IO_ERROR_FAILED, "%s: %s", path, image.message);
      return false;
    }
  if (fflush (file) != 0 || ferror (file))
    {
      g_set_error (error, G_IO_ERROR, g_io_error_from_errno (errno), "%s: %s", path,
                   g_strerror (errno));
      return false;
    }
  return true;
}

static bool
write_part (const ScanoutSurface *surface, const uint8_t *rgb, const char *part, const char *path,
            GError **error)
{
  int fd = g_open (part, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
  FILE *file = fd >= 0 ? fdopen (fd, "wb") : NULL;

  if (!file)
    {
      g_set_error (error, G_IO_ERROR, g_io_error_from_errno (errno), "%s: %s", path,
                   g_strerror (errno));
      if (fd >= 0)
        close (fd);
      return false;
    }
  bool written = write_file (file, surface, rgb, path, error);
  if (fclose (file) != 0 && written)
    {
      g_set_error (error, G_IO_ERROR, g_io_error_from_errno (errno), "%s: %s", path,
                   g_strerror (errno));
      written = false;
    }
  return written;
}

bool
scanout_png_write (const ScanoutSurface *surface, const char *path, GError **error)
{
  g_autofree uint8_t *rgb = copy_rgb (surface);
  g_autofree char *part = g_strconcat (path, ".part", NULL);

  if (!rgb)
    {
      g_set_error (error, G_IO_ERROR, G_IO_ERROR_NO_SPACE, "%s: no memory for the picture", path);
      return false;
    }
  bool done = write_part (surface, rgb, part, path, error);
  if (done && g_rename (part, path) != 0)
    {
      g_set_error (error, G_IO_ERROR, g_io_error_from_errno (errno), "%s: %s", path,
                   g_strerror (errno));
      done = false;
    }
  if (!done)
    unlink (part);
  return done;
}
