/* Commands for virtio-gpu: the input is a row of [queue 1 byte][length 1 byte][command], each sent as one request. Resource ids and
 * addresses are what the bytes say, so that seeds with sensible ones lead in. */
#include "fuzz-target.h"

#include "virtio-driver.h"
#include "virtio/virtio-gpu.h"

#define MEMORY_SIZE  (UINT64_C (8) << 20)
#define RINGS        0x10000
#define MAX_COMMANDS 64

static void
front_set_surface (void *opaque, ScanoutSurface *surface)
{
}

/* Reads what a front would: the last row of the rectangle. */
static void
front_flush (void *opaque, const ScanoutRect *rect, ScanoutDoneFunc done, void *done_opaque)
{
  ScanoutSurface *surface = scanout_port_get_surface (opaque);
  const uint8_t *pixels = scanout_surface_get_pixels (surface);
  size_t last = (size_t) (rect->y + rect->height - 1) * scanout_surface_get_stride (surface) +
                (size_t) (rect->x + rect->width) * 4 - 1;

  g_assert_cmpuint (last, <, scanout_surface_get_size (surface));
  (void) *(const volatile uint8_t *) (pixels + last);
  done (done_opaque);
}

static void
front_set_cursor (void *opaque, const ScanoutCursor *cursor)
{
}

static void
front_move_cursor (void *opaque, int32_t x, int32_t y)
{
}

static const ScanoutFrontOps front_ops = {
  .set_surface = front_set_surface,
  .flush = front_flush,
  .set_cursor = front_set_cursor,
  .move_cursor = front_move_cursor,
};

int
LLVMFuzzerTestOneInput (const uint8_t *data, size_t size)
{
  g_autoptr (GuestMemory) memory =
      guest_memory_new (MEMORY_SIZE, UINT64_C (2) << 30, UINT64_C (4) << 30, NULL);
  g_autoptr (ScanoutPort) port = scanout_port_new ();
  scanout_port_attach (port, &front_ops, port);
  g_autoptr (VirtioGpu) gpu = virtio_gpu_new (memory, port, 640, 480);
  VirtioDriver *driver = virtio_driver_new (virtio_gpu_get_device (gpu), memory, RINGS, UINT64_MAX);
  uint8_t answer[1100];

  for (unsigned i = 0; i < MAX_COMMANDS && size >= 2; i++)
    {
      unsigned queue = data[0] & 1;
      size_t length = MIN (data[1], size - 2);
      virtio_driver_request (driver, queue, data + 2, length, answer, sizeof answer);
      data += 2 + length;
      size -= 2 + length;
    }
  virtio_driver_free (driver);
  return 0;
}
