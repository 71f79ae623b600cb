/* guest-picture drm|fb: draws the picture of test-screen.py, on the DRM driver's first connector or into /dev/fb0.
 *
 * drm: prints "drawn WIDTH HEIGHT", then for each line on stdin changes a rectangle ("patch X Y SIZE") or shows a cursor
 * ("cursor X Y"), each answered by "done". fb: prints "drawn WIDTH HEIGHT" and ends.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>
#include <libdrm/drm.h>
#include <linux/fb.h>

#define CURSOR_SIZE 64

typedef struct Buffer
{
  uint32_t width, height, stride, handle, framebuffer;
  uint8_t *pixels;
} Buffer;

static void
fail (const char *what)
{
  printf ("guest-picture: %s: %s\n", what, strerror (errno));
  exit (1);
}

static void
call (int fd, unsigned long request, void *argument, const char *what)
{
  if (ioctl (fd, request, argument) != 0)
    fail (what);
}

/* Red and green count columns and rows, blue the high bits of both: no two neighbours are alike, and no row is like another. */
static uint32_t
picture (uint32_t x, uint32_t y)
{
  return (x & 0xff) << 16 | (y & 0xff) << 8 | (x >> 8 & 0xf) << 4 | (y >> 8 & 0xf);
}

static void
draw (Buffer *buffer)
{
  for (uint32_t y = 0; y < buffer->height; y++)
    for (uint32_t x = 0; x < buffer->width; x++)
      ((uint32_t *) (buffer->pixels + (size_t) y * buffer->stride))[x] = picture (x, y);
}

static void
create_buffer (int fd, Buffer *buffer)
{
  struct drm_mode_create_dumb dumb = { .width = buffer->width,
                                       .height = buffer->height,
                                       .bpp = 32 };
  struct drm_mode_map_dumb map = { 0 };

  call (fd, DRM_IOCTL_MODE_CREATE_DUMB, &dumb, "CREATE_DUMB");
  buffer->stride = dumb.pitch;
  buffer->handle = map.handle = dumb.handle;
  call (fd, DRM_IOCTL_MODE_MAP_DUMB, &map, "MAP_DUMB");
  buffer->pixels =
      mmap (NULL, dumb.size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, (off_t) map.offset);
  if (buffer->pixels == MAP_FAILED)
    fail ("mmap");
}

/* The preferred mode of the first connector, on the first CRTC. */
static void
find_mode (int fd, uint32_t *crtc, uint32_t *connector, struct drm_mode_modeinfo *mode)
{
  struct drm_mode_card_res resources = { 0 };
  struct drm_mode_get_connector get = { 0 };
  struct drm_mode_modeinfo modes[64];
  uint32_t crtcs[8], connectors[8];

  call (fd, DRM_IOCTL_MODE_GETRESOURCES, &resources, "GETRESOURCES");
  if (resources.count_crtcs < 1 || resources.count_crtcs > 8 || resources.count_connectors < 1 ||
      resources.count_connectors > 8)
    fail ("no connector");
  resources = (struct drm_mode_card_res){
    .crtc_id_ptr = (uintptr_t) crtcs,
    .connector_id_ptr = (uintptr_t) connectors,
    .count_crtcs = resources.count_crtcs,
    .count_connectors = resources.count_connectors,
  };
  call (fd, DRM_IOCTL_MODE_GETRESOURCES, &resources, "GETRESOURCES");
  *crtc = crtcs[0];
  *connector = connectors[0];
  get.connector_id = connectors[0];
  call (fd, DRM_IOCTL_MODE_GETCONNECTOR, &get, "GETCONNECTOR");
  if (get.count_modes < 1 || get.count_modes > 64)
    fail ("no mode");
  get = (struct drm_mode_get_connector){
    .connector_id = connectors[0],
    .modes_ptr = (uintptr_t) modes,
    .count_modes = get.count_modes,
  };
  call (fd, DRM_IOCTL_MODE_GETCONNECTOR, &get, "GETCONNECTOR");
  *mode = modes[0];
}

static void
show (int fd, Buffer *buffer, uint32_t *crtc)
{
  struct drm_mode_modeinfo mode;
  uint32_t connector;

  find_mode (fd, crtc, &connector, &mode);
  buffer->width = mode.hdisplay;
  buffer->height = mode.vdisplay;
  create_buffer (fd, buffer);
  draw (buffer);
  struct drm_mode_fb_cmd add = {
    .width = buffer->width,
    .height = buffer->height,
    .pitch = buffer->stride,
    .bpp = 32,
    .depth = 24,
    .handle = buffer->handle,
  };
  call (fd, DRM_IOCTL_MODE_ADDFB, &add, "ADDFB");
  buffer->framebuffer = add.fb_id;
  struct drm_mode_crtc set = {
    .set_connectors_ptr = (uintptr_t) &connector,
    .count_connectors = 1,
    .crtc_id = *crtc,
    .fb_id = add.fb_id,
    .mode_valid = 1,
    .mode = mode,
  };
  call (fd, DRM_IOCTL_MODE_SETCRTC, &set, "SETCRTC");
}

/* Only the rectangle is told of: what else changed would not be seen. */
static void
patch (int fd, Buffer *buffer, uint32_t x, uint32_t y, uint32_t size)
{
  struct drm_clip_rect clip = { (uint16_t) x, (uint16_t) y, (uint16_t) (x + size),
                                (uint16_t) (y + size) };
  struct drm_mode_fb_dirty_cmd dirty = {
    .fb_id = buffer->framebuffer,
    .num_clips = 1,
    .clips_ptr = (uintptr_t) &clip,
  };

  if (x + size > buffer->width || y + size > buffer->height)
    fail ("patch");
  for (uint32_t row = y; row < y + size; row++)
    for (uint32_t column = x; column < x + size; column++)
      ((uint32_t *) (buffer->pixels + (size_t) row * buffer->stride))[column] = 0xff8000;
  call (fd, DRM_IOCTL_MODE_DIRTYFB, &dirty, "DIRTYFB");
}

/* Left half red, right half clear, the hot spot at 3, 5. */
static void
show_cursor (int fd, uint32_t crtc, int x, int y)
{
  Buffer buffer = { .width = CURSOR_SIZE, .height = CURSOR_SIZE };

  create_buffer (fd, &buffer);
  for (uint32_t i = 0; i < CURSOR_SIZE * CURSOR_SIZE; i++)
    ((uint32_t *) buffer.pixels)[i] = i % CURSOR_SIZE < CURSOR_SIZE / 2 ? 0xffff0000 : 0;
  struct drm_mode_cursor2 cursor = {
    .flags = DRM_MODE_CURSOR_BO | DRM_MODE_CURSOR_MOVE,
    .crtc_id = crtc,
    .x = x,
    .y = y,
    .width = CURSOR_SIZE,
    .height = CURSOR_SIZE,
    .handle = buffer.handle,
    .hot_x = 3,
    .hot_y = 5,
  };
  call (fd, DRM_IOCTL_MODE_CURSOR2, &cursor, "CURSOR2");
}

static void
run_drm (void)
{
  int fd = open ("/dev/dri/card0", O_RDWR | O_CLOEXEC);
  Buffer buffer = { 0 };
  char line[80];
  unsigned x, y, size;
  uint32_t crtc;

  if (fd < 0)
    fail ("/dev/dri/card0");
  show (fd, &buffer, &crtc);
  printf ("drawn %u %u\n", buffer.width, buffer.height);
  while (fgets (line, sizeof line, stdin))
    {
      if (sscanf (line, "patch %u %u %u", &x, &y, &size) == 3)
        patch (fd, &buffer, x, y, size);
      else if (sscanf (line, "cursor %u %u", &x, &y) == 2)
        show_cursor (fd, crtc, (int) x, (int) y);
      else
        break;
      printf ("done\n");
    }
}

static void
run_fb (void)
{
  int fd = open ("/dev/fb0", O_RDWR | O_CLOEXEC);
  struct fb_fix_screeninfo fixed;
  struct fb_var_screeninfo variable;

  if (fd < 0)
    fail ("/dev/fb0");
  call (fd, FBIOGET_FSCREENINFO, &fixed, "FSCREENINFO");
  call (fd, FBIOGET_VSCREENINFO, &variable, "VSCREENINFO");
  Buffer buffer = { .width = variable.xres, .height = variable.yres, .stride = fixed.line_length };
  size_t size = (size_t) buffer.stride * buffer.height;
  buffer.pixels = mmap (NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  if (buffer.pixels == MAP_FAILED || variable.bits_per_pixel != 32)
    fail ("the framebuffer's mapping");
  draw (&buffer);
  printf ("drawn %u %u on %s\n", buffer.width, buffer.height, fixed.id);
}

int
main (int argc, char **argv)
{
  setvbuf (stdout, NULL, _IOLBF, 0);
  if (argc != 2)
    return 2;
  if (strcmp (argv[1], "fb") == 0)
    run_fb ();
  else
    run_drm ();
  return 0;
}
