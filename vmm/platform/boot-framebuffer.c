#define G_LOG_DOMAIN "vmm-platform"

#include "platform/boot-framebuffer.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>

/* Theory of operation
 *
 * A driver that knows nothing but memory never says that it drew, so a timer asks which pages became dirty. It runs from each reset
 * until the graphics card's own driver puts another surface on the port; it costs nothing after that. While nobody
 * looks, the pages are left to gather: a front that comes is shown the whole surface anyway.
 *
 * A flush that the front still owes is not followed by another: what is drawn in the meantime stays dirty.
 */
#define PERIOD_MS 33
#define PAGE      4096

/* Outlives the framebuffer while the front holds a flush. */
typedef struct Owed
{
  bool flushing;
} Owed;

struct BootFramebuffer
{
  ScanoutPort *port;
  PciDevice *pci;
  unsigned bar;
  ScanoutSurface *surface;
  uint64_t *dirty; /* a bit a page */
  size_t n_words;
  GSource *timer;
  Owed *owed; /* reference counted */
};

static size_t
round_to_power_of_two (size_t bytes)
{
  size_t power = PAGE;

  while (power < bytes)
    power <<= 1;
  return power;
}

static void
on_flushed (void *opaque)
{
  Owed *owed = opaque;

  owed->flushing = false;
  g_rc_box_release (owed);
}

static void
flush_rows (BootFramebuffer *framebuffer, uint32_t first, uint32_t end)
{
  ScanoutRect rect = {
    .y = first,
    .width = scanout_surface_get_width (framebuffer->surface),
    .height = end - first,
  };

  framebuffer->owed->flushing = true;
  scanout_port_flush (framebuffer->port, &rect, on_flushed, g_rc_box_acquire (framebuffer->owed));
}

/* The rows that the dirty pages lie on, from the first to the last of them. */
static void
flush_dirty (BootFramebuffer *framebuffer)
{
  uint32_t stride = scanout_surface_get_stride (framebuffer->surface);
  uint32_t height = scanout_surface_get_height (framebuffer->surface);
  size_t first = SIZE_MAX, last = 0;

  for (size_t i = 0; i < framebuffer->n_words; i++)
    {
      uint64_t word = framebuffer->dirty[i];

      if (!word)
        continue;
      if (first == SIZE_MAX)
        first = i * 64 + (size_t) __builtin_ctzll (word);
      last = i * 64 + 63 - (size_t) __builtin_clzll (word);
    }
  if (first == SIZE_MAX || first * PAGE / stride >= height)
    return;
  uint32_t end = (uint32_t) MIN (((last + 1) * PAGE + stride - 1) / stride, height);
  flush_rows (framebuffer, (uint32_t) (first * PAGE / stride), end);
}

bool
boot_framebuffer_poll (BootFramebuffer *framebuffer)
{
  if (scanout_port_get_surface (framebuffer->port) != framebuffer->surface)
    return false;
  if (scanout_port_is_watched (framebuffer->port) && !framebuffer->owed->flushing &&
      pci_device_get_ram_bar_dirty (framebuffer->pci, framebuffer->bar, framebuffer->dirty))
    flush_dirty (framebuffer);
  return true;
}

static gboolean
on_timer (void *data)
{
  BootFramebuffer *framebuffer = data;

  if (boot_framebuffer_poll (framebuffer))
    return G_SOURCE_CONTINUE;
  g_debug ("boot framebuffer: the driver has taken over");
  g_clear_pointer (&framebuffer->timer, g_source_unref);
  return G_SOURCE_REMOVE;
}

static void
stop_timer (BootFramebuffer *framebuffer)
{
  if (framebuffer->timer)
    g_source_destroy (framebuffer->timer);
  g_clear_pointer (&framebuffer->timer, g_source_unref);
}

static void
start_timer (BootFramebuffer *framebuffer)
{
  stop_timer (framebuffer);
  framebuffer->timer = g_timeout_source_new (PERIOD_MS);
  g_source_set_callback (framebuffer->timer, on_timer, framebuffer, NULL);
  g_source_attach (framebuffer->timer, NULL);
}

BootFramebuffer *
boot_framebuffer_new (ScanoutPort *port, PciDevice *pci, unsigned bar, uint32_t width,
                      uint32_t height, GError **error)
{
  size_t size = round_to_power_of_two ((size_t) width * height * 4);
  ScanoutSurface *surface = scanout_surface_new (width, height, size, error);

  if (!surface)
    return NULL;
  BootFramebuffer *framebuffer = g_new0 (BootFramebuffer, 1);
  framebuffer->port = port;
  framebuffer->pci = pci;
  framebuffer->bar = bar;
  framebuffer->surface = surface;
  framebuffer->n_words = (size / PAGE + 63) / 64;
  framebuffer->dirty = g_new0 (uint64_t, framebuffer->n_words);
  framebuffer->owed = g_rc_box_new0 (Owed);
  pci_device_add_ram_bar (pci, bar, PCI_BAR_PREFETCHABLE, scanout_surface_get_pixels (surface),
                          size, true);
  return framebuffer;
}

void
boot_framebuffer_free (BootFramebuffer *framebuffer)
{
  if (!framebuffer)
    return;
  stop_timer (framebuffer);
  scanout_surface_unref (framebuffer->surface);
  g_free (framebuffer->dirty);
  g_rc_box_release (framebuffer->owed);
  g_free (framebuffer);
}

void
boot_framebuffer_reset (BootFramebuffer *framebuffer)
{
  uint8_t *pixels = scanout_surface_get_pixels (framebuffer->surface);
  size_t size = scanout_surface_get_size (framebuffer->surface);

  /* Gives the pages back as well: a machine whose driver has taken over does not keep them. */
  if (madvise (pixels, size, MADV_REMOVE) != 0)
    memset (pixels, 0, size);
  start_timer (framebuffer);
}

ScanoutSurface *
boot_framebuffer_get_surface (const BootFramebuffer *framebuffer)
{
  return framebuffer->surface;
}

uint64_t
boot_framebuffer_get_address (const BootFramebuffer *framebuffer)
{
  return pci_device_get_bar_address (framebuffer->pci, framebuffer->bar);
}
