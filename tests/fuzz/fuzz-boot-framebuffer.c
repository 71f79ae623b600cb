/* The screen before the driver: its mode registers in one BAR, its memory in another, wherever the guest puts those. Input: a row of
 * [what 1 byte][place 2 bytes][value 4 bytes]. Whatever the mode, the picture that is shown lies in the memory that there is. */
#include "fuzz-target.h"

#include <linux/pci_regs.h>

#include "fake-host.h"
#include "fuzz-input.h"
#include "platform/boot-framebuffer.h"
#include "platform/vbe-registers.h"

#define SLOT      1
#define MEMORY    0
#define REGISTERS 2
#define STEPS_MAX 256

enum
{
  STEP_WRITE,
  STEP_READ,
  STEP_SET, /* a register, by its number */
  STEP_CONFIG,
  STEP_DRAW,
  STEP_POLL,
  STEP_OTHER, /* the card's driver shows its own */
  STEP_RESET,
  STEPS
};

typedef struct Screen
{
  FakeHost *fake;
  PciBus *bus;
  PciDevice *device;
  ScanoutPort *port;
  BootFramebuffer *framebuffer;
  ScanoutSurface *other;
} Screen;

static void
front_set_surface (void *opaque, ScanoutSurface *surface)
{
}

/* Reads what a front would: the last pixel of the rectangle. */
static void
front_flush (void *opaque, const ScanoutRect *rect, ScanoutDoneFunc done, void *done_opaque)
{
  ScanoutSurface *surface = scanout_port_get_surface (((Screen *) opaque)->port);
  const uint8_t *pixels = scanout_surface_get_pixels (surface);
  const size_t last = (size_t) (rect->y + rect->height - 1) * scanout_surface_get_stride (surface) +
                      (size_t) (rect->x + rect->width) * 4 - 1;

  g_assert_cmpuint (last, <, BOOT_FRAMEBUFFER_MEMORY);
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

static void
on_changed (void *opaque, ScanoutSurface *surface)
{
  scanout_port_set_surface (((Screen *) opaque)->port, surface);
}

static void
make (Screen *screen)
{
  static const PciIdentity identity = { .vendor = 0x1af4,
                                        .device = 0x1050,
                                        .class_code = 0x030000 };
  static const PciWindows windows = { .mmio32 = { 0xc0000000, 0x10000000 } };

  screen->fake = fake_host_new ();
  screen->bus = pci_bus_new (&screen->fake->host);
  screen->device = pci_device_new ("screen", &identity, NULL, NULL);
  screen->port = scanout_port_new ();
  screen->other = scanout_surface_new (64, 64, 0, NULL);
  const BootFramebufferConfig config = {
    .port = screen->port,
    .pci = screen->device,
    .bar = MEMORY,
    .registers = REGISTERS,
    .width = 1024,
    .height = 768,
    .changed = on_changed,
    .opaque = screen,
  };
  screen->framebuffer = boot_framebuffer_new (&config, NULL);
  g_assert_nonnull (screen->framebuffer);
  g_assert_true (pci_bus_add (screen->bus, screen->device, SLOT, 0, NULL));
  g_assert_true (pci_bus_assign_resources (screen->bus, &windows, NULL));
  boot_framebuffer_reset (screen->framebuffer);
  scanout_port_attach (screen->port, &front_ops, screen);
}

static void
clear (Screen *screen)
{
  scanout_port_attach (screen->port, NULL, NULL);
  pci_bus_remove (screen->bus, screen->device);
  pci_device_free (screen->device);
  boot_framebuffer_free (screen->framebuffer);
  scanout_port_free (screen->port);
  scanout_surface_unref (screen->other);
  pci_bus_free (screen->bus);
  fake_host_free (screen->fake);
}

static void
draw (Screen *screen, uint32_t value)
{
  const FakeSlot *slot = &screen->fake->slots[0];

  if (slot->used)
    ((uint8_t *) slot->host)[value % slot->size] = 0x5a;
}

static void
step (Screen *screen, unsigned what, uint16_t place, uint32_t value)
{
  const uint64_t base = pci_device_get_bar_address (screen->device, REGISTERS);
  AddressSpace *mmio = screen->fake->mmio;

  switch (what % STEPS)
    {
    case STEP_WRITE:
      address_space_write (mmio, base + place % VBE_REGISTERS_SIZE, 1u << (what >> 6), value);
      break;
    case STEP_READ:
      address_space_read (mmio, base + place % VBE_REGISTERS_SIZE, 1u << (what >> 6));
      break;
    case STEP_SET:
      address_space_write (mmio, base + 0x500 + 2 * (place % 16), 2, value);
      break;
    case STEP_CONFIG:
      pci_bus_config_write (screen->bus, SLOT * PCI_FUNCTIONS, place & 0xff, 1u << (what >> 6) % 3,
                            value);
      break;
    case STEP_DRAW:
      draw (screen, value);
      break;
    case STEP_POLL:
      boot_framebuffer_poll (screen->framebuffer);
      break;
    case STEP_OTHER:
      scanout_port_set_surface (screen->port,
                                value & 1 ? screen->other
                                          : boot_framebuffer_get_surface (screen->framebuffer));
      break;
    default:
      boot_framebuffer_reset (screen->framebuffer);
    }
}

int
LLVMFuzzerTestOneInput (const uint8_t *data, size_t size)
{
  FuzzInput input = { data, size };
  Screen screen = { 0 };

  make (&screen);
  for (unsigned i = 0; i < STEPS_MAX && input.size > 0; i++)
    {
      const unsigned what = fuzz_take (&input, 1), place = fuzz_take (&input, 2);

      step (&screen, what, place, fuzz_take (&input, 4));
      while (g_main_context_iteration (NULL, FALSE))
        ;
      const ScanoutSurface *shown = boot_framebuffer_get_surface (screen.framebuffer);
      g_assert_cmpuint ((size_t) scanout_surface_get_stride (shown) *
                            scanout_surface_get_height (shown),
                        <=, BOOT_FRAMEBUFFER_MEMORY);
    }
  clear (&screen);
  return 0;
}
