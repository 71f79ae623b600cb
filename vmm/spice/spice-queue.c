#include "spice/spice-queue.h"

#include <string.h>

#define BYTES_PER_PIXEL 4

/* Every command starts with its release record, whose id is the command's own address. */
typedef struct SpiceCommand
{
  void (*free) (void *command);
  QXLCommandExt ext;
} SpiceCommand;

typedef struct DrawCommand
{
  SpiceCommand command;
  QXLDrawable drawable;
  QXLImage image;
  uint8_t *pixels;
} DrawCommand;

typedef struct CursorCommand
{
  SpiceCommand command;
  QXLCursorCmd cursor;
  QXLCursor *shape;
} CursorCommand;

struct SpiceQueue
{
  GMutex lock;
  GQueue draws;
  GQueue cursors;
  uint32_t next_image;
  uint64_t next_cursor;
  void (*on_drained) (void *opaque);
  void *opaque;
};

static void
draw_free (void *command)
{
  DrawCommand *draw = command;

  g_free (draw->pixels);
  g_free (draw);
}

static void
cursor_free (void *command)
{
  CursorCommand *cursor = command;

  g_free (cursor->shape);
  g_free (cursor);
}

static void
command_free (void *data)
{
  SpiceCommand *command = data;

  command->free (command);
}

SpiceQueue *
spice_queue_new (void (*on_drained) (void *opaque), void *opaque)
{
  SpiceQueue *queue = g_new0 (SpiceQueue, 1);

  g_mutex_init (&queue->lock);
  g_queue_init (&queue->draws);
  g_queue_init (&queue->cursors);
  queue->on_drained = on_drained;
  queue->opaque = opaque;
  return queue;
}

void
spice_queue_free (SpiceQueue *queue)
{
  if (!queue)
    return;
  g_queue_clear_full (&queue->draws, command_free);
  g_queue_clear_full (&queue->cursors, command_free);
  g_mutex_clear (&queue->lock);
  g_free (queue);
}

static void
init_command (SpiceCommand *command, uint32_t type, void *data, QXLReleaseInfo *release,
              void (*free_func) (void *command))
{
  command->free = free_func;
  command->ext.cmd.type = type;
  command->ext.cmd.data = (uintptr_t) data;
  release->id = (uintptr_t) command;
}

static uint8_t *
copy_pixels (ScanoutSurface *surface, const ScanoutRect *rect)
{
  uint32_t stride = scanout_surface_get_stride (surface);
  size_t row = (size_t) rect->width * BYTES_PER_PIXEL;
  const uint8_t *from = scanout_surface_get_pixels (surface) + (size_t) rect->y * stride +
                        (size_t) rect->x * BYTES_PER_PIXEL;
  uint8_t *pixels = g_malloc (row * rect->height);

  for (uint32_t y = 0; y < rect->height; y++)
    memcpy (pixels + y * row, from + (size_t) y * stride, row);
  return pixels;
}

void
spice_queue_push_draw (SpiceQueue *queue, ScanoutSurface *surface, const ScanoutRect *rect)
{
  DrawCommand *draw = g_new0 (DrawCommand, 1);
  QXLDrawable *drawable = &draw->drawable;
  QXLImage *image = &draw->image;

  init_command (&draw->command, QXL_CMD_DRAW, drawable, &drawable->release_info, draw_free);
  draw->pixels = copy_pixels (surface, rect);

  drawable->effect = QXL_EFFECT_OPAQUE;
  drawable->type = QXL_DRAW_COPY;
  drawable->clip.type = SPICE_CLIP_TYPE_NONE;
  drawable->bbox = (QXLRect){ .top = rect->y,
                              .left = rect->x,
                              .bottom = rect->y + rect->height,
                              .right = rect->x + rect->width };
  for (unsigned i = 0; i < G_N_ELEMENTS (drawable->surfaces_dest); i++)
    drawable->surfaces_dest[i] = -1;
  drawable->u.copy.rop_descriptor = SPICE_ROPD_OP_PUT;
  drawable->u.copy.src_bitmap = (uintptr_t) image;
  drawable->u.copy.src_area = (QXLRect){ .bottom = rect->height, .right = rect->width };

  image->descriptor.type = SPICE_IMAGE_TYPE_BITMAP;
  image->descriptor.width = image->bitmap.x = rect->width;
  image->descriptor.height = image->bitmap.y = rect->height;
  image->bitmap.format = SPICE_BITMAP_FMT_32BIT;
  image->bitmap.flags = SPICE_BITMAP_FLAGS_TOP_DOWN | QXL_BITMAP_DIRECT;
  image->bitmap.stride = rect->width * BYTES_PER_PIXEL;
  image->bitmap.data = (uintptr_t) draw->pixels;

  g_mutex_lock (&queue->lock);
  QXL_SET_IMAGE_ID (image, QXL_IMAGE_GROUP_DEVICE, ++queue->next_image);
  g_queue_push_tail (&queue->draws, draw);
  g_mutex_unlock (&queue->lock);
}

/* Only the newest shape and the newest place matter: what is older and not taken yet goes, so that a worker that is held up by its
 * client cannot make the queue grow. */
static void
drop_outdated_cursors (SpiceQueue *queue, uint8_t type)
{
  if (type != QXL_CURSOR_MOVE)
    g_queue_clear_full (&queue->cursors, command_free);
  CursorCommand *last = g_queue_peek_tail (&queue->cursors);
  if (last && last->cursor.type == QXL_CURSOR_MOVE)
    command_free (g_queue_pop_tail (&queue->cursors));
}

static void
push_cursor (SpiceQueue *queue, CursorCommand *command)
{
  init_command (&command->command, QXL_CMD_CURSOR, &command->cursor, &command->cursor.release_info,
                cursor_free);
  g_mutex_lock (&queue->lock);
  drop_outdated_cursors (queue, command->cursor.type);
  if (command->shape)
    command->shape->header.unique = ++queue->next_cursor;
  g_queue_push_tail (&queue->cursors, command);
  g_mutex_unlock (&queue->lock);
}

static QXLPoint16
make_point (int32_t x, int32_t y)
{
  return (QXLPoint16){ .x = CLAMP (x, INT16_MIN, INT16_MAX), .y = CLAMP (y, INT16_MIN, INT16_MAX) };
}

void
spice_queue_push_cursor (SpiceQueue *queue, const ScanoutCursor *cursor, int32_t x, int32_t y)
{
  CursorCommand *command = g_new0 (CursorCommand, 1);

  command->cursor.type = QXL_CURSOR_HIDE;
  if (cursor)
    {
      size_t size = (size_t) cursor->width * cursor->height * BYTES_PER_PIXEL;
      QXLCursor *shape = g_malloc0 (sizeof *shape + size);
      shape->header.type = SPICE_CURSOR_TYPE_ALPHA;
      shape->header.width = cursor->width;
      shape->header.height = cursor->height;
      shape->header.hot_spot_x = cursor->hot_x;
      shape->header.hot_spot_y = cursor->hot_y;
      shape->data_size = shape->chunk.data_size = size;
      memcpy (shape->chunk.data, cursor->pixels, size);
      command->shape = shape;
      command->cursor.type = QXL_CURSOR_SET;
      command->cursor.u.set.position = make_point (x, y);
      command->cursor.u.set.visible = 1;
      command->cursor.u.set.shape = (uintptr_t) shape;
    }
  push_cursor (queue, command);
}

void
spice_queue_push_cursor_move (SpiceQueue *queue, int32_t x, int32_t y)
{
  CursorCommand *command = g_new0 (CursorCommand, 1);

  command->cursor.type = QXL_CURSOR_MOVE;
  command->cursor.u.position = make_point (x, y);
  push_cursor (queue, command);
}

unsigned
spice_queue_get_draws (SpiceQueue *queue)
{
  g_mutex_lock (&queue->lock);
  unsigned length = g_queue_get_length (&queue->draws);
  g_mutex_unlock (&queue->lock);
  return length;
}

void
spice_queue_drop_draws (SpiceQueue *queue)
{
  g_mutex_lock (&queue->lock);
  g_queue_clear_full (&queue->draws, command_free);
  g_mutex_unlock (&queue->lock);
}

static int
take (SpiceQueue *queue, GQueue *list, QXLCommandExt *ext, unsigned *left)
{
  g_mutex_lock (&queue->lock);
  SpiceCommand *command = g_queue_pop_head (list);
  *left = g_queue_get_length (list);
  g_mutex_unlock (&queue->lock);
  if (command)
    *ext = command->ext;
  return command != NULL;
}

int
spice_queue_take_draw (SpiceQueue *queue, QXLCommandExt *command)
{
  unsigned left;
  int taken = take (queue, &queue->draws, command, &left);

  if (taken && left == 0)
    queue->on_drained (queue->opaque);
  return taken;
}

int
spice_queue_take_cursor (SpiceQueue *queue, QXLCommandExt *command)
{
  unsigned left;

  return take (queue, &queue->cursors, command, &left);
}

int
spice_queue_is_empty (SpiceQueue *queue)
{
  return spice_queue_get_draws (queue) == 0;
}

int
spice_queue_has_no_cursor (SpiceQueue *queue)
{
  g_mutex_lock (&queue->lock);
  int empty = g_queue_is_empty (&queue->cursors);
  g_mutex_unlock (&queue->lock);
  return empty;
}

void
spice_queue_release (uint64_t id)
{
  command_free ((void *) (uintptr_t) id);
}
