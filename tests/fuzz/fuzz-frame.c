/* The picture of the guest's screen as its server describes it: [flags][width 3 bytes][height 3][stride 4][size of the memfd 3] and then
 * rectangles [x 4][y 4][width 4][height 4]. What is taken can be read to its last byte, and of a rectangle only what lies inside is
 * written. */
#include "fuzz-target.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "frame/frame-damage.h"
#include "frame/frame.h"
#include "fuzz-input.h"

#define SMALL     (256 * 256) /* pixels: what is also copied */
#define RECTS_MAX 64

enum
{
  FLAG_MEMFD = 1 << 0,
  FLAG_UNSEALED = 1 << 1,
  FLAG_BOTTOM_UP = 1 << 2,
  FLAG_PIPE = 1 << 3,
};

static int
make_fd (unsigned flags, uint64_t size)
{
  int ends[2];

  if (flags & FLAG_PIPE)
    {
      g_assert_cmpint (pipe2 (ends, O_CLOEXEC), ==, 0);
      close (ends[1]);
      return ends[0];
    }
  const int fd = memfd_create ("fuzz-frame", MFD_CLOEXEC | MFD_ALLOW_SEALING);
  g_assert_cmpint (ftruncate (fd, (off_t) size), ==, 0);
  if (!(flags & FLAG_UNSEALED))
    g_assert_cmpint (fcntl (fd, F_ADD_SEALS, F_SEAL_SHRINK), ==, 0);
  return fd;
}

static Frame *
make_frame (FuzzInput *input, unsigned flags)
{
  const uint64_t width = fuzz_take (input, 3), height = fuzz_take (input, 3);
  const uint64_t stride = fuzz_take (input, 4), size = fuzz_take (input, 3);
  g_autoptr (GError) error = NULL;
  Frame *frame = NULL;

  if (flags & FLAG_MEMFD)
    {
      const int fd = make_fd (flags, size);

      frame = frame_new_memfd (fd, width, height, stride, (flags & FLAG_BOTTOM_UP) != 0, &error);
      close (fd);
      g_assert_true (frame == NULL || !(flags & (FLAG_UNSEALED | FLAG_PIPE)));
    }
  else if (width * height <= SMALL)
    frame = frame_new_copy (width, height, &error);
  else
    return NULL;
  g_assert_true ((frame != NULL) == (error == NULL));
  return frame;
}

/* From a picture that is exactly as large as it has to be. */
static void
write_rect (Frame *frame, const FrameRect *rect, FrameFormat format)
{
  const gsize stride = frame_get_width (frame) * (format == FRAME_XRGB_8888 ? 4 : 2);
  g_autofree guint8 *source = g_malloc0 (stride * frame_get_height (frame));

  frame_write (frame, rect, format, source, stride);
}

static void
run_rects (Frame *frame, FuzzInput *input, unsigned flags)
{
  g_autoptr (FrameDamage) damage = frame_damage_new ();

  for (unsigned i = 0; i < RECTS_MAX && input->size > 0; i++)
    {
      const int x = (int) fuzz_take (input, 4), y = (int) fuzz_take (input, 4);
      const int width = (int) fuzz_take (input, 4), height = (int) fuzz_take (input, 4);
      FrameRect rect = { x, y, width, height };

      if (!frame_is_shared (frame))
        write_rect (frame, &rect, (flags >> 4) % 3);
      if (frame_clip (frame, &rect))
        frame_damage_add (damage, &rect);
      g_assert_cmpuint (frame_damage_get_n_rects (damage), <=, FRAME_DAMAGE_MAX_RECTS);
      g_assert_cmpuint (frame_damage_count_pixels (damage), <=,
                        (guint64) frame_get_width (frame) * frame_get_height (frame));
    }
}

int
LLVMFuzzerTestOneInput (const uint8_t *data, size_t size)
{
  FuzzInput input = { data, size };
  const unsigned flags = fuzz_take (&input, 1);
  g_autoptr (Frame) frame = make_frame (&input, flags);

  if (!frame)
    return 0;
  const gsize last = frame_get_stride (frame) * frame_get_height (frame) - 1;
  (void) *(const volatile guint8 *) (frame_get_pixels (frame) + last);
  run_rects (frame, &input, flags);
  if ((guint64) frame_get_width (frame) * frame_get_height (frame) <= SMALL)
    g_bytes_unref (frame_read (frame));
  return 0;
}
