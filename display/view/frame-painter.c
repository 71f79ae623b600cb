#define G_LOG_DOMAIN "display"

/* Theory of operation: with GL, the two slots of the ring are two GL textures. What is out of date in the next one is uploaded from
 * the frame's own memory and the texture is handed to GSK, which binds it as it is. GSK (or whoever took a copy of a render node) tells
 * by the GdkTexture's destroy notify that the texture may change again. A texture whose slot was given
 * up belongs to its last holder.
 *
 * Without GL every update is a copy of the whole frame, since a GdkMemoryTexture never changes, and magnified by us: GSK's Cairo
 * renderer would smooth it. */

#include "view/frame-painter.h"

#include <epoxy/gl.h>

#include "frame/texture-ring.h"

/* One GL texture, shared by its slot and its holder. */
typedef struct
{
  FramePainter *painter; /* NULL: given up, the holder deletes it */
  GdkGLContext *context;
  guint id;
  guint slot;
  guint64 generation;
  gboolean held;
} GlTexture;

struct _FramePainter
{
  GdkSurface *surface;
  GdkGLContext *context; /* NULL: not tried yet, or there is none */
  gboolean no_gl;        /* tried in vain on this surface */
  int max_side;          /* of a texture */
  Frame *frame;
  TextureRing *ring;
  GlTexture *textures[TEXTURE_RING_SLOTS];
  GdkTexture *current;
  guint multiple;
  FramePainterStats stats;
};

FramePainter *
frame_painter_new (void)
{
  FramePainter *self = g_new0 (FramePainter, 1);

  self->ring = texture_ring_new ();
  return self;
}

/* ---- GL textures ---- */

static void
gl_texture_delete (GlTexture *texture)
{
  gdk_gl_context_make_current (texture->context);
  glDeleteTextures (1, &texture->id);
  g_object_unref (texture->context);
  g_free (texture);
}

static void
on_texture_let_go (gpointer data)
{
  GlTexture *texture = data;

  texture->held = FALSE;
  if (texture->painter == NULL)
    gl_texture_delete (texture);
  else
    texture_ring_release (texture->painter->ring, texture->slot, texture->generation);
}

static void
give_up_texture (FramePainter *self, guint slot)
{
  GlTexture *texture = g_steal_pointer (&self->textures[slot]);

  if (texture == NULL)
    return;
  texture->painter = NULL;
  if (!texture->held)
    gl_texture_delete (texture);
}

static void
give_up_all (FramePainter *self)
{
  g_clear_object (&self->current);
  for (guint i = 0; i < TEXTURE_RING_SLOTS; i++)
    give_up_texture (self, i);
  texture_ring_reset (self->ring, self->frame != NULL ? frame_get_width (self->frame) : 0,
                      self->frame != NULL ? frame_get_height (self->frame) : 0);
}

static void
allocate_storage (FramePainter *self)
{
  int width = (int) frame_get_width (self->frame), height = (int) frame_get_height (self->frame);

  glTexParameteri (GL_TEXTURE_2D, GL_TEXTURE_WRAP_S, GL_CLAMP_TO_EDGE);
  glTexParameteri (GL_TEXTURE_2D, GL_TEXTURE_WRAP_T, GL_CLAMP_TO_EDGE);
  if (!gdk_gl_context_get_use_es (self->context))
    {
      glTexImage2D (GL_TEXTURE_2D, 0, GL_RGB8, width, height, 0, GL_BGRA,
                    GL_UNSIGNED_INT_8_8_8_8_REV, NULL);
      return;
    }
  /* ES has no BGRA without an extension: the sampler swaps. */
  glTexImage2D (GL_TEXTURE_2D, 0, GL_RGBA8, width, height, 0, GL_RGBA, GL_UNSIGNED_BYTE, NULL);
  glTexParameteri (GL_TEXTURE_2D, GL_TEXTURE_SWIZZLE_R, GL_BLUE);
  glTexParameteri (GL_TEXTURE_2D, GL_TEXTURE_SWIZZLE_B, GL_RED);
  glTexParameteri (GL_TEXTURE_2D, GL_TEXTURE_SWIZZLE_A, GL_ONE);
}

static void
upload_rect (FramePainter *self, const FrameRect *rect)
{
  gboolean es = gdk_gl_context_get_use_es (self->context);
  GLenum format = es ? GL_RGBA : GL_BGRA;
  GLenum type = es ? GL_UNSIGNED_BYTE : GL_UNSIGNED_INT_8_8_8_8_REV;
  gsize stride = frame_get_stride (self->frame);
  const guint8 *pixels = frame_get_pixels (self->frame) + (gsize) rect->x * 4;

  self->stats.uploaded_bytes += (guint64) rect->width * rect->height * 4;
  if (!frame_is_bottom_up (self->frame))
    {
      glTexSubImage2D (GL_TEXTURE_2D, 0, rect->x, rect->y, rect->width, rect->height, format, type,
                       pixels + (gsize) rect->y * stride);
      return;
    }
  for (int y = rect->y; y < rect->y + rect->height; y++)
    glTexSubImage2D (GL_TEXTURE_2D, 0, rect->x, y, rect->width, 1, format, type,
                     pixels + (frame_get_height (self->frame) - 1 - (gsize) y) * stride);
}

static void
upload (FramePainter *self, const TextureRingTarget *target)
{
  glPixelStorei (GL_UNPACK_ALIGNMENT, 4);
  glPixelStorei (GL_UNPACK_ROW_LENGTH, (int) (frame_get_stride (self->frame) / 4));
  for (guint i = 0; i < frame_damage_get_n_rects (target->damage); i++)
    {
      FrameRect rect = frame_damage_get_rect (target->damage, i);

      upload_rect (self, &rect);
    }
  glPixelStorei (GL_UNPACK_ROW_LENGTH, 0);
  self->stats.frames++;
  if (target->is_new)
    self->stats.full_uploads++;
}

static GlTexture *
make_texture (FramePainter *self, const TextureRingTarget *target)
{
  GlTexture *texture = g_new0 (GlTexture, 1);

  texture->painter = self;
  texture->context = g_object_ref (self->context);
  texture->slot = target->slot;
  texture->generation = target->generation;
  glGenTextures (1, &texture->id);
  return texture;
}

static void
set_filter (gboolean sharp)
{
  glTexParameteri (GL_TEXTURE_2D, GL_TEXTURE_MIN_FILTER, GL_LINEAR);
  glTexParameteri (GL_TEXTURE_2D, GL_TEXTURE_MAG_FILTER, sharp ? GL_NEAREST : GL_LINEAR);
}

static void
update_gl (FramePainter *self)
{
  TextureRingTarget target;
  GlTexture *texture;

  gdk_gl_context_make_current (self->context);
  /* The renderer lets go of what it does not draw any more before it is asked for another slot. */
  target = texture_ring_next (self->ring);
  if (target.is_new)
    {
      give_up_texture (self, target.slot);
      self->textures[target.slot] = make_texture (self, &target);
    }
  texture = self->textures[target.slot];
  glBindTexture (GL_TEXTURE_2D, texture->id);
  if (target.is_new)
    allocate_storage (self);
  upload (self, &target);
  set_filter (self->multiple > 0);
  glBindTexture (GL_TEXTURE_2D, 0);
  /* Made visible to the renderer's own context. */
  glFlush ();
  texture->held = TRUE;
  texture_ring_submit (self->ring, &target);
  g_clear_object (&self->current);
  self->current =
      gdk_gl_texture_new (self->context, texture->id, (int) frame_get_width (self->frame),
                          (int) frame_get_height (self->frame), on_texture_let_go, texture);
}

/* ---- Without GL ---- */

/* Every pixel a square of `multiple`. */
static GBytes *
magnify (GBytes *pixels, guint width, guint height, guint multiple)
{
  const guint32 *from = g_bytes_get_data (pixels, NULL);
  gsize row = (gsize) width * multiple, size = row * height * multiple * sizeof (guint32);
  guint32 *large = g_malloc (size);

  for (guint y = 0; y < height; y++)
    {
      guint32 *to = large + y * multiple * row;

      for (gsize x = 0; x < row; x++)
        to[x] = from[(gsize) y * width + x / multiple];
      for (guint copy = 1; copy < multiple; copy++)
        memcpy (to + copy * row, to, row * sizeof (guint32));
    }
  return g_bytes_new_take (large, size);
}

static void
update_memory (FramePainter *self)
{
  g_autoptr (GBytes) pixels = frame_read (self->frame);
  guint width = frame_get_width (self->frame), height = frame_get_height (self->frame);
  guint multiple = MAX (self->multiple, 1);
  TextureRingTarget target = texture_ring_next (self->ring);

  /* Both slots stand for the one copy. */
  texture_ring_submit (self->ring, &target);
  texture_ring_release (self->ring, target.slot, target.generation);
  self->stats.frames++;
  self->stats.full_uploads++;
  self->stats.uploaded_bytes += g_bytes_get_size (pixels);
  if (multiple > 1)
    {
      GBytes *large = magnify (pixels, width, height, multiple);
      g_bytes_unref (pixels);
      pixels = large;
    }
  g_clear_object (&self->current);
  self->current =
      gdk_memory_texture_new ((int) (width * multiple), (int) (height * multiple),
                              GDK_MEMORY_B8G8R8A8, pixels, (gsize) width * multiple * 4);
}

/* ---- Both ---- */

static void
find_context (FramePainter *self)
{
  g_autoptr (GError) error = NULL;

  if (self->context != NULL || self->no_gl || self->surface == NULL)
    return;
  self->context = gdk_surface_create_gl_context (self->surface, &error);
  if (self->context != NULL && !gdk_gl_context_realize (self->context, &error))
    g_clear_object (&self->context);
  if (self->context != NULL)
    {
      gdk_gl_context_make_current (self->context);
      glGetIntegerv (GL_MAX_TEXTURE_SIZE, &self->max_side);
      return;
    }
  self->no_gl = TRUE;
  g_debug ("no GL, pictures are copied: %s", error->message);
}

/* A renderer without GL would read each texture back: it is then better off with copies. */
static gboolean
renderer_takes_gl (FramePainter *self)
{
  GtkNative *native = self->surface != NULL ? gtk_native_get_for_surface (self->surface) : NULL;
  GskRenderer *renderer = native != NULL ? gtk_native_get_renderer (native) : NULL;

  return renderer == NULL || !GSK_IS_CAIRO_RENDERER (renderer);
}

void
frame_painter_set_surface (FramePainter *self, GdkSurface *surface)
{
  give_up_all (self);
  g_clear_object (&self->context);
  self->surface = surface;
  self->no_gl = surface == NULL || !renderer_takes_gl (self);
}

void
frame_painter_set_frame (FramePainter *self, Frame *frame)
{
  gboolean same_size = frame != NULL && self->frame != NULL &&
                       frame_get_width (frame) == frame_get_width (self->frame) &&
                       frame_get_height (frame) == frame_get_height (self->frame);

  g_set_object (&self->frame, frame);
  if (same_size)
    {
      /* A guest that flips between two buffers sends a new frame each time: the textures stay. */
      FrameRect all = { 0, 0, (int) frame_get_width (frame), (int) frame_get_height (frame) };
      frame_painter_damage (self, &all);
      return;
    }
  give_up_all (self);
}

Frame *
frame_painter_get_frame (FramePainter *self)
{
  return self->frame;
}

void
frame_painter_damage (FramePainter *self, const FrameRect *rect)
{
  texture_ring_damage (self->ring, rect);
}

GdkTexture *
frame_painter_update (FramePainter *self, guint multiple)
{
  if (self->frame == NULL)
    return NULL;
  if (self->current != NULL && !texture_ring_is_stale (self->ring) && self->multiple == multiple)
    return self->current;
  self->multiple = multiple;
  find_context (self);
  if (frame_painter_uses_gl (self))
    update_gl (self);
  else
    update_memory (self);
  return self->current;
}

gboolean
frame_painter_uses_gl (FramePainter *self)
{
  /* What is too large for a texture GSK cuts into pieces. */
  return self->context != NULL &&
         (self->frame == NULL || (int) MAX (frame_get_width (self->frame),
                                            frame_get_height (self->frame)) <= self->max_side);
}

const FramePainterStats *
frame_painter_get_stats (FramePainter *self)
{
  return &self->stats;
}

void
frame_painter_free (FramePainter *self)
{
  if (self == NULL)
    return;
  g_clear_object (&self->frame);
  give_up_all (self);
  g_clear_object (&self->context);
  texture_ring_free (self->ring);
  g_free (self);
}
