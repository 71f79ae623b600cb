#include "platform/boot-framebuffer.h"

#include <string.h>
#include <sys/mman.h>

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
  unsigned left;
} Fixture;

static void
on_changed (void *opaque, ScanoutSurface *surface)
{
  scanout_port_set_surface (((Fixture *) opaque)->port, surface);
}

static void
on_left (void *opaque)
{
  ((Fixture *) opaque)->left++;
}

static void
set_up (Fixture *fixture, const void *data)
{
  const PciIdentity identity = { .vendor = 0x1af4, .device = 0x1050, .class_code = 0x030000 };
  const PciWindows windows = { .mmio32 = { 0xc0000000, 0x10000000 } };

  fixture->fake = fake_host_new ();
  fixture->bus = pci_bus_new (&fixture->fake->host);
  fixture->device = pci_device_new ("screen", &identity, NULL, NULL);
  fixture->port = scanout_port_new ();
  fixture->framebuffer = boot_framebuffer_new (
      &(BootFramebufferConfig){
          .port = fixture->port,
          .pci = fixture->device,
          .bar = 0,
          .registers = 2,
          .width = WIDTH,
          .height = HEIGHT,
          .changed = on_changed,
          .left = on_left,
          .opaque = fixture,
      },
      NULL);
  g_assert_nonnull (fixture->framebuffer);
  g_assert_true (pci_bus_add (fixture->bus, fixture->device, 1, 0, NULL));
  g_assert_cmpuint (boot_framebuffer_get_address (fixture->framebuffer), ==, 0);
  g_assert_true (pci_bus_assign_resources (fixture->bus, &windows, NULL));
  boot_framebuffer_reset (fixture->framebuffer);
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
  g_assert_cmpuint (slot->size, ==, BOOT_FRAMEBUFFER_MEMORY);
  g_assert_true (slot->host == scanout_surface_get_pixels (surface));
  g_assert_cmpuint (scanout_surface_get_size (surface), >=, slot->size);
}

static void
set_register (Fixture *fixture, unsigned reg, uint16_t value)
{
  address_space_write (fixture->fake->mmio,
                       pci_device_get_bar_address (fixture->device, 2) + 0x500 + 2 * reg, 2, value);
}

static unsigned
get_register (Fixture *fixture, unsigned reg)
{
  return (unsigned) address_space_read (
      fixture->fake->mmio, pci_device_get_bar_address (fixture->device, 2) + 0x500 + 2 * reg, 2);
}

static void
switch_mode (Fixture *fixture, uint16_t width, uint16_t height, uint16_t bits)
{
  set_register (fixture, 4, 0);
  set_register (fixture, 1, width);
  set_register (fixture, 2, height);
  set_register (fixture, 3, bits);
  set_register (fixture, 6, width);
  set_register (fixture, 4, 0x41);
  while (g_main_context_iteration (NULL, FALSE))
    ;
}

static void
assert_shown (Fixture *fixture, uint32_t width, uint32_t height)
{
  const ScanoutSurface *shown = scanout_port_get_surface (fixture->port);

  g_assert_true (shown == boot_framebuffer_get_surface (fixture->framebuffer));
  g_assert_cmpuint (scanout_surface_get_width (shown), ==, width);
  g_assert_cmpuint (scanout_surface_get_height (shown), ==, height);
  g_assert_cmpuint (scanout_surface_get_stride (shown), ==, width * 4);
  g_assert_true (scanout_surface_get_pixels (shown) == fixture->fake->slots[0].host);
}

static void
test_the_picture_follows_the_mode (Fixture *fixture, const void *data)
{
  /* What stock firmware looks for. */
  g_assert_cmphex (get_register (fixture, 0) & 0xfff0, ==, 0xb0c0);
  g_assert_cmpuint (get_register (fixture, 10) * 65536, ==, BOOT_FRAMEBUFFER_MEMORY);
  assert_shown (fixture, WIDTH, HEIGHT);
  switch_mode (fixture, 1280, 800, 32);
  assert_shown (fixture, 1280, 800);
  switch_mode (fixture, 640, 480, 32);
  assert_shown (fixture, 640, 480);
  boot_framebuffer_reset (fixture->framebuffer);
  assert_shown (fixture, WIDTH, HEIGHT);
  g_assert_cmpuint (get_register (fixture, 1), ==, 0);
}

static void
test_modes_that_are_not_there (Fixture *fixture, const void *data)
{
  static const uint16_t modes[][3] = { { 0, 480, 32 },     { 640, 0, 32 },
                                       { 640, 480, 24 },   { 65535, 1, 32 },
                                       { 1, 65535, 32 },   { 65535, 65535, 32 },
                                       { 4096, 1025, 32 }, { 16384, 16384, 32 } };

  g_test_expect_message ("vmm-guest", G_LOG_LEVEL_WARNING, "*there is no mode*");
  for (unsigned i = 0; i < G_N_ELEMENTS (modes); i++)
    {
      if (i > 0 && i < 5)
        g_test_expect_message ("vmm-guest", G_LOG_LEVEL_WARNING, "*there is no mode*");
      switch_mode (fixture, modes[i][0], modes[i][1], modes[i][2]);
      assert_shown (fixture, WIDTH, HEIGHT);
    }
  g_test_assert_expected_messages ();
  /* The largest that fits. */
  switch_mode (fixture, 4096, 1024, 32);
  assert_shown (fixture, 4096, 1024);
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

/* Pages of the surface that the host keeps. */
static unsigned
count_resident (ScanoutSurface *surface)
{
  static unsigned char pages[WIDTH * HEIGHT * 4 / 4096];
  unsigned n = 0;

  g_assert_cmpint (mincore (scanout_surface_get_pixels (surface), sizeof pages * 4096, pages), ==,
                   0);
  for (unsigned i = 0; i < G_N_ELEMENTS (pages); i++)
    n += pages[i] & 1;
  return n;
}

static void
test_ends_with_the_takeover_and_begins_black_with_a_reset (Fixture *fixture, const void *data)
{
  g_autoptr (ScanoutSurface) other = scanout_surface_new (64, 64, 0, NULL);
  ScanoutSurface *surface = boot_framebuffer_get_surface (fixture->framebuffer);
  uint8_t *pixels = scanout_surface_get_pixels (surface);

  scanout_port_attach (fixture->port, &front_ops, &fixture->front);
  memset (pixels, 0xff, 8192);
  g_assert_cmpuint (count_resident (surface), ==, 2);
  g_assert_cmpuint (fixture->left, ==, 0);
  scanout_port_set_surface (fixture->port, other);
  g_assert_false (boot_framebuffer_poll (fixture->framebuffer));
  g_assert_cmpuint (fixture->front.flushes, ==, 0);
  /* Nothing of it is kept. */
  g_assert_cmpuint (count_resident (surface), ==, 0);
  g_assert_cmpuint (fixture->left, ==, 1);
  g_assert_cmphex (pixels[0], ==, 0);
  memset (pixels, 0xff, 8192);
  boot_framebuffer_reset (fixture->framebuffer);
  scanout_port_set_surface (fixture->port, surface);
  g_assert_cmphex (pixels[0], ==, 0);
  g_assert_cmphex (pixels[8191], ==, 0);
  g_assert_cmpuint (fixture->left, ==, 1);
  g_assert_true (boot_framebuffer_poll (fixture->framebuffer));
  g_assert_cmpuint (fixture->front.flushes, ==, 1);
}

static gboolean
on_time (void *opaque)
{
  *(bool *) opaque = true;
  return G_SOURCE_REMOVE;
}

/* As when the card's driver is unbound, or another kernel is started in the machine. */
static void
test_is_watched_again_when_the_driver_leaves (Fixture *fixture, const void *data)
{
  g_autoptr (ScanoutSurface) other = scanout_surface_new (64, 64, 0, NULL);
  bool late = false;

  scanout_port_attach (fixture->port, &front_ops, &fixture->front);
  scanout_port_set_surface (fixture->port, other);
  /* Longer than the period: it has seen the takeover. */
  g_timeout_add (100, on_time, &late);
  while (!late)
    g_main_context_iteration (NULL, TRUE);
  g_assert_cmpuint (fixture->front.flushes, ==, 0);
  scanout_port_set_surface (fixture->port, boot_framebuffer_get_surface (fixture->framebuffer));
  late = false;
  unsigned alarm = g_timeout_add_seconds (10, on_time, &late);
  while (fixture->front.flushes < 2 && !late)
    g_main_context_iteration (NULL, TRUE);
  g_assert_false (late);
  g_source_remove (alarm);
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
  add ("mode", test_the_picture_follows_the_mode);
  add ("no-mode", test_modes_that_are_not_there);
  add ("owed", test_one_flush_is_owed_at_a_time);
  add ("leave", test_is_watched_again_when_the_driver_leaves);
  add ("takeover", test_ends_with_the_takeover_and_begins_black_with_a_reset);
  return g_test_run ();
}
