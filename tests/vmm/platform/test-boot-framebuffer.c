#include "platform/boot-framebuffer.h"

#include <string.h>

#include "../pci/fake-host.h"

/* The fake host says that pages 0 and 2 are dirty, each time it is asked: a row of 1024 pixels is a page. */
#define WIDTH  1024
#define HEIGHT 768

typedef struct Front
{
  unsigned flushes;
  ScanoutRect last;
  bool hold; /* owes the answer */
  ScanoutDoneFunc done;
  void *done_opaque;
} Front;

static void
set_surface (void *opaque, ScanoutSurface *surface)
{
}

static void
flush (void *opaque, const ScanoutRect *rect, ScanoutDoneFunc done, void *done_opaque)
{
  Front *front = opaque;

  front->flushes++;
  front->last = *rect;
  if (!front->hold)
    {
      done (done_opaque);
      return;
    }
  front->done = done;
  front->done_opaque = done_opaque;
}

static void
set_cursor (void *opaque, const ScanoutCursor *cursor)
{
}

static void
move_cursor (void *opaque, int32_t x, int32_t y)
{
}

static const ScanoutFrontOps front_ops = { set_surface, flush, set_cursor, move_cursor };

typedef struct Fixture
{
  FakeHost *fake;
  PciBus *bus;
  PciDevice *device;
  ScanoutPort *port;
  BootFramebuffer *framebuffer;
  Front front;
} Fixture;

static void
set_up (Fixture *fixture, const void *data)
{
  const PciIdentity identity = { .vendor = 0x1af4, .device = 0x1050, .class_code = 0x030000 };
  const PciWindows windows = { .mmio32 = { 0xc0000000, 0x10000000 } };

  fixture->fake = fake_host_new ();
  fixture->bus = pci_bus_new (&fixture->fake->host);
  fixture->device = pci_device_new ("screen", &identity, NULL, NULL);
  fixture->port = scanout_port_new ();
  fixture->framebuffer =
      boot_framebuffer_new (fixture->port, fixture->device, 0, WIDTH, HEIGHT, NULL);
  g_assert_nonnull (fixture->framebuffer);
  g_assert_true (pci_bus_add (fixture->bus, fixture->device, 1, 0, NULL));
  g_assert_cmpuint (boot_framebuffer_get_address (fixture->framebuffer), ==, 0);
  g_assert_true (pci_bus_assign_resources (fixture->bus, &windows, NULL));
  boot_framebuffer_reset (fixture->framebuffer);
  scanout_port_set_surface (fixture->port, boot_framebuffer_get_surface (fixture->framebuffer));
}

static void
tear_down (Fixture *fixture, const void *data)
{
  scanout_port_attach (fixture->port, NULL, NULL);
  pci_bus_remove (fixture->bus, fixture->device);
  pci_device_free (fixture->device);
  boot_framebuffer_free (fixture->framebuffer);
  scanout_port_free (fixture->port);
  pci_bus_free (fixture->bus);
  fake_host_free (fixture->fake);
}

static void
test_the_bar_is_the_memory_of_the_surface (Fixture *fixture, const void *data)
{
  const FakeSlot *slot = &fixture->fake->slots[0];
  ScanoutSurface *surface = boot_framebuffer_get_surface (fixture->framebuffer);

  g_assert_true (slot->used);
  g_assert_cmphex (slot->gpa, ==, boot_framebuffer_get_address (fixture->framebuffer));
  g_assert_cmpuint (slot->size, ==, 4 << 20);
  g_assert_true (slot->host == scanout_surface_get_pixels (surface));
  g_assert_cmpuint (scanout_surface_get_size (surface), >=, slot->size);
}

static void
test_dirty_pages_become_rows (Fixture *fixture, const void *data)
{
  /* Nobody looks: nothing is asked. */
  g_assert_true (boot_framebuffer_poll (fixture->framebuffer));
  scanout_port_attach (fixture->port, &front_ops, &fixture->front);
  g_assert_cmpuint (fixture->front.flushes, ==, 0);
  g_assert_true (boot_framebuffer_poll (fixture->framebuffer));
  g_assert_cmpuint (fixture->front.flushes, ==, 1);
  g_assert_cmpuint (fixture->front.last.y, ==, 0);
  g_assert_cmpuint (fixture->front.last.height, ==, 3);
  g_assert_cmpuint (fixture->front.last.x, ==, 0);
  g_assert_cmpuint (fixture->front.last.width, ==, WIDTH);
}

static void
test_one_flush_is_owed_at_a_time (Fixture *fixture, const void *data)
{
  fixture->front.hold = true;
  scanout_port_attach (fixture->port, &front_ops, &fixture->front);
  boot_framebuffer_poll (fixture->framebuffer);
  boot_framebuffer_poll (fixture->framebuffer);
  g_assert_cmpuint (fixture->front.flushes, ==, 1);
  fixture->front.done (fixture->front.done_opaque);
  boot_framebuffer_poll (fixture->framebuffer);
  g_assert_cmpuint (fixture->front.flushes, ==, 2);
  fixture->front.done (fixture->front.done_opaque);
}

static void
test_ends_with_the_takeover_and_begins_black_with_a_reset (Fixture *fixture, const void *data)
{
  g_autoptr (ScanoutSurface) other = scanout_surface_new (64, 64, 0, NULL);
  ScanoutSurface *surface = boot_framebuffer_get_surface (fixture->framebuffer);
  uint8_t *pixels = scanout_surface_get_pixels (surface);

  scanout_port_attach (fixture->port, &front_ops, &fixture->front);
  memset (pixels, 0xff, 8192);
  scanout_port_set_surface (fixture->port, other);
  g_assert_false (boot_framebuffer_poll (fixture->framebuffer));
  g_assert_cmpuint (fixture->front.flushes, ==, 0);
  boot_framebuffer_reset (fixture->framebuffer);
  scanout_port_set_surface (fixture->port, surface);
  g_assert_cmphex (pixels[0], ==, 0);
  g_assert_cmphex (pixels[8191], ==, 0);
  g_assert_true (boot_framebuffer_poll (fixture->framebuffer));
  g_assert_cmpuint (fixture->front.flushes, ==, 1);
}

static void
add (const char *name, void (*test) (Fixture *fixture, const void *data))
{
  g_autofree char *path = g_strconcat ("/boot-framebuffer/", name, NULL);

  g_test_add (path, Fixture, NULL, set_up, test, tear_down);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  add ("bar", test_the_bar_is_the_memory_of_the_surface);
  add ("dirty", test_dirty_pages_become_rows);
  add ("owed", test_one_flush_is_owed_at_a_time);
  add ("takeover", test_ends_with_the_takeover_and_begins_black_with_a_reset);
  return g_test_run ();
}
