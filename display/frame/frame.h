#pragma once

#include <gio/gio.h>

G_BEGIN_DECLS

/* One picture of the guest's screen and who owns its pixels: the server, in a sealed memfd that is
 * mapped here read-only, or this process, in a plain copy that the transport writes into.
 *
 * The size never changes; a screen of another size is another frame. Pixels are 32 bits, B G R x in
 * memory, and x means nothing: a reader makes it opaque. A server may go on writing into its memfd,
 * so two reads of a pixel may differ: nothing here takes a decision on a pixel.
 *
 * Thread: one at a time, the main thread here. */
#define TYPE_FRAME (frame_get_type ())
G_DECLARE_FINAL_TYPE (Frame, frame, ALCOVE, FRAME, GObject)

typedef struct
{
  int x, y, width, height;
} FrameRect;

/* The longest side that is taken: 16384, more than any screen and what GL implementations allow. */
#define FRAME_MAX_SIDE 16384
/* And 256 MiB, what eight 4K screens have: a server does not choose how much memory a copy takes. */
#define FRAME_MAX_PIXELS (8192u * 8192u)

/* How the pixels of frame_write () look like; values of one are SPICE's surface formats. */
typedef enum
{
  FRAME_XRGB_8888,
  FRAME_RGB_555,
  FRAME_RGB_565,
} FrameFormat;

/* Black, and ours. G_IO_ERROR_INVALID_DATA: no screen has that size. */
Frame *frame_new_copy (guint64 width, guint64 height, GError **error);

/* Pixels at offset 0 of `fd`, which is borrowed. Refused with G_IO_ERROR_INVALID_DATA unless it is a
 * memfd that is sealed against shrinking (F_SEAL_SHRINK: else the peer could end this process with
 * SIGBUS) and as long as stride * height, with a stride of at least four bytes a pixel.
 * `bottom_up`: the first row in memory is the lowest of the picture. */
Frame *frame_new_memfd (int fd, guint64 width, guint64 height, guint64 stride, gboolean bottom_up,
                        GError **error);

guint frame_get_width (Frame *self);
guint frame_get_height (Frame *self);
gsize frame_get_stride (Frame *self);
gboolean frame_is_bottom_up (Frame *self);
gboolean frame_is_shared (Frame *self);

/* stride * height bytes, borrowed from the frame. */
const guint8 *frame_get_pixels (Frame *self);

/* What of `rect` lies inside; FALSE: nothing. */
gboolean frame_clip (Frame *self, FrameRect *rect);

/* Copies `rect`, which must lie inside, from a picture of the same size that begins at `source`.
 * For a frame made by frame_new_copy (). */
void frame_write (Frame *self, const FrameRect *rect, FrameFormat format, const guint8 *source,
                  gsize source_stride);

/* The whole picture, top row first, opaque B G R A: width * height * 4 bytes, a copy. */
GBytes *frame_read (Frame *self);

G_END_DECLS
