#define G_LOG_DOMAIN "display"

/* Theory of operation: the layout is checked once, in frame_check_layout (), against limits under
 * which width * 4, stride * height and every rectangle's arithmetic fit their types; all later
 * code relies on it. A shared frame is a read-only mapping, whose size was checked after the seal:
 * the seal makes the check last. */

#include "frame/frame.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

struct _Frame
{
  GObject parent;
  guint width, height;
  gsize stride;
  gboolean bottom_up;
  guint8 *copy; /* owned, or NULL */
  void *map;    /* mapped read-only, or NULL */
  gsize map_size;
};

G_DEFINE_FINAL_TYPE (Frame, frame, G_TYPE_OBJECT)

static void
frame_finalize (GObject *object)
{
  Frame *self = ALCOVE_FRAME (object);

  g_free (self->copy);
  if (self->map != NULL)
    munmap (self->map, self->map_size);
  G_OBJECT_CLASS (frame_parent_class)->finalize (object);
}

static void
frame_class_init (FrameClass *klass)
{
  G_OBJECT_CLASS (klass)->finalize = frame_finalize;
}

static void
frame_init (Frame *self)
{
}

static gboolean
frame_check_layout (guint64 width, guint64 height, guint64 stride, GError **error)
{
  if (width == 0 || height == 0 || width > FRAME_MAX_SIDE || height > FRAME_MAX_SIDE ||
      width * height > FRAME_MAX_PIXELS)
    {
      g_set_error (error, G_IO_ERROR, G_IO_ERROR_INVALID_DATA,
                   "The machine announced a screen of %" G_GUINT64_FORMAT "x%" G_GUINT64_FORMAT
                   " pixels; up to %u pixels, %d a side, can be shown",
                   width, height, FRAME_MAX_PIXELS, FRAME_MAX_SIDE);
      return FALSE;
    }
  /* GL counts rows in pixels, hence a multiple of four; the upper limit keeps the product small. */
  if (stride < width * 4 || stride > FRAME_MAX_SIDE * 8 || stride % 4 != 0)
    {
      g_set_error (error, G_IO_ERROR, G_IO_ERROR_INVALID_DATA,
                   "The machine announced a screen %" G_GUINT64_FORMAT
                   " pixels wide with rows of %" G_GUINT64_FORMAT " bytes",
                   width, stride);
      return FALSE;
    }
  return TRUE;
}

static Frame *
frame_new (guint64 width, guint64 height, guint64 stride)
{
  Frame *self = g_object_new (TYPE_FRAME, NULL);

  self->width = width;
  self->height = height;
  self->stride = stride;
  return self;
}

Frame *
frame_new_copy (guint64 width, guint64 height, GError **error)
{
  g_autoptr (Frame) self = NULL;

  if (!frame_check_layout (width, height, MIN (width, FRAME_MAX_SIDE) * 4, error))
    return NULL;
  self = frame_new (width, height, width * 4);
  self->copy = g_try_malloc0 (self->stride * self->height);
  if (self->copy == NULL)
    {
      g_set_error (error, G_IO_ERROR, G_IO_ERROR_NO_SPACE,
                   "There is not enough memory for a screen of %ux%u pixels", self->width,
                   self->height);
      return NULL;
    }
  return g_steal_pointer (&self);
}

/* Whether the peer can no longer take pages away from under the mapping. */
static gboolean
check_memfd (int fd, gsize needed, GError **error)
{
  struct stat info;
  int seals = fcntl (fd, F_GET_SEALS);

  if (seals < 0)
    {
      g_set_error (error, G_IO_ERROR, G_IO_ERROR_NOT_SUPPORTED,
                   "The machine sends its screen as something other than shared memory "
                   "(a GPU buffer?), which cannot be shown; turn off its 3D acceleration");
      return FALSE;
    }
  if (!(seals & F_SEAL_SHRINK))
    {
      g_set_error (error, G_IO_ERROR, G_IO_ERROR_INVALID_DATA,
                   "The machine sends its screen in memory that it could take away again "
                   "(a memfd without F_SEAL_SHRINK)");
      return FALSE;
    }
  if (fstat (fd, &info) != 0 || !S_ISREG (info.st_mode) || info.st_size < 0 ||
      (guint64) info.st_size < needed)
    {
      g_set_error (error, G_IO_ERROR, G_IO_ERROR_INVALID_DATA,
                   "The machine sends its screen in memory that is too short for it");
      return FALSE;
    }
  return TRUE;
}

Frame *
frame_new_memfd (int fd, guint64 width, guint64 height, guint64 stride, gboolean bottom_up,
                 GError **error)
{
  g_autoptr (Frame) self = NULL;
  void *map;

  if (!frame_check_layout (width, height, stride, error))
    return NULL;
  if (!check_memfd (fd, stride * height, error))
    return NULL;
  map = mmap (NULL, stride * height, PROT_READ, MAP_SHARED, fd, 0);
  if (map == MAP_FAILED)
    {
      g_set_error (error, G_IO_ERROR, g_io_error_from_errno (errno),
                   "The memory with the machine's screen cannot be mapped: %s", g_strerror (errno));
      return NULL;
    }
  self = frame_new (width, height, stride);
  self->bottom_up = bottom_up;
  self->map = map;
  self->map_size = stride * height;
  return g_steal_pointer (&self);
}

guint
frame_get_width (Frame *self)
{
  return self->width;
}

guint
frame_get_height (Frame *self)
{
  return self->height;
}

gsize
frame_get_stride (Frame *self)
{
  return self->stride;
}

gboolean
frame_is_bottom_up (Frame *self)
{
  return self->bottom_up;
}

gboolean
frame_is_shared (Frame *self)
{
  return self->map != NULL;
}

const guint8 *
frame_get_pixels (Frame *self)
{
  return self->map != NULL ? self->map : self->copy;
}

gboolean
frame_clip (Frame *self, FrameRect *rect)
{
  gint64 left = MAX (rect->x, 0);
  gint64 top = MAX (rect->y, 0);
  gint64 right = MIN ((gint64) rect->x + rect->width, (gint64) self->width);
  gint64 bottom = MIN ((gint64) rect->y + rect->height, (gint64) self->height);

  if (left >= right || top >= bottom)
    return FALSE;
  *rect = (FrameRect){ left, top, right - left, bottom - top };
  return TRUE;
}

/* n bits spread over eight, so that the brightest value becomes 255. */
static inline guint32
widen (guint32 value, guint n)
{
  value &= (1u << n) - 1;
  return (value << (8 - n)) | (value >> (2 * n - 8));
}

static void
convert_row (guint32 *dest, const guint8 *source, gsize n, FrameFormat format)
{
  for (gsize i = 0; i < n; i++)
    {
      guint16 pixel;

      memcpy (&pixel, source + 2 * i, sizeof pixel);
      if (format == FRAME_RGB_555)
        dest[i] = widen (pixel, 5) | widen (pixel >> 5, 5) << 8 | widen (pixel >> 10, 5) << 16;
      else
        dest[i] = widen (pixel, 5) | widen (pixel >> 5, 6) << 8 | widen (pixel >> 11, 5) << 16;
    }
}

void
frame_write (Frame *self, const FrameRect *rect, FrameFormat format, const guint8 *source,
             gsize source_stride)
{
  FrameRect inside = *rect;
  gsize unit = format == FRAME_XRGB_8888 ? 4 : 2;

  g_return_if_fail (self->copy != NULL);
  if (!frame_clip (self, &inside))
    return;
  for (int row = inside.y; row < inside.y + inside.height; row++)
    {
      guint8 *to = self->copy + row * self->stride + (gsize) inside.x * 4;
      const guint8 *from = source + row * source_stride + inside.x * unit;

      if (format == FRAME_XRGB_8888)
        memcpy (to, from, (gsize) inside.width * 4);
      else
        convert_row ((guint32 *) to, from, inside.width, format);
    }
}

GBytes *
frame_read (Frame *self)
{
  gsize row_size = (gsize) self->width * 4;
  guint8 *pixels = g_malloc (row_size * self->height);
  const guint8 *source = frame_get_pixels (self);

  for (guint row = 0; row < self->height; row++)
    {
      guint from = self->bottom_up ? self->height - 1 - row : row;
      guint32 *to = (guint32 *) (pixels + row * row_size);

      memcpy (to, source + from * self->stride, row_size);
      for (guint x = 0; x < self->width; x++)
        to[x] |= GUINT32_TO_LE (0xff000000);
    }
  return g_bytes_new_take (pixels, row_size * self->height);
}
