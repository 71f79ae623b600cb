#define G_LOG_DOMAIN "vmm-platform"

#include "platform/boot-framebuffer.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#include "platform/vbe-registers.h"

/* Theory of operation
 *
 * A driver that knows nothing but memory never says that it drew, so a timer asks which pages became dirty. It runs while the port shows
 * our surface: until the graphics card's own driver puts another one there, and again when that driver leaves (a reset, kexec,
 * a driver that is unbound). In between it costs nothing, not even the memory: nobody looks for what was once drawn on a screen that is not shown.
 * While nobody looks, the pages are left to gather: a front that comes is shown the whole surface anyway.
 *
 * The memory is one surface; what is shown is a view of it in the present mode. A mode is set on a vCPU's thread and noted; the view is
 * changed on the main thread.
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
  BootFramebufferConfig config;
  VbeRegisters *registers;
  ScanoutSurface *memory;
  ScanoutSurface *surface; /* a view of memory */
  uint64_t *dirty;         /* a bit a page */
  size_t n_words;
  GSource *timer;
  Owed *owed; /* reference counted */

  GMutex lock; /* guards what follows */
  GSource *mode_source;
  uint32_t width, height; /* asked for */
};

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
  scanout_port_flush (framebuffer->config.port, &rect, on_flushed,
                      g_rc_box_acquire (framebuffer->owed));
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
  if (scanout_port_get_surface (framebuffer->config.port) != framebuffer->surface)
    return false;
  if (scanout_port_is_watched (framebuffer->config.port) && !framebuffer->owed->flushing &&
      pci_device_get_ram_bar_dirty (framebuffer->config.pci, framebuffer->config.bar,
                                    framebuffer->dirty))
    flush_dirty (framebuffer);
  return true;
}

static gboolean
on_timer (void *data)
{
  boot_framebuffer_poll (data);
  return G_SOURCE_CONTINUE;
}

static void
stop_timer (BootFramebuffer *framebuffer)
{
  if (framebuffer->timer)
    g_source_destroy (framebuffer->timer);
  g_clear_pointer (&framebuffer->timer, g_source_unref);
}

/* Black, and without the host's memory. */
static void
empty (BootFramebuffer *framebuffer)
{
  uint8_t *pixels = scanout_surface_get_pixels (framebuffer->memory);
  size_t size = scanout_surface_get_size (framebuffer->memory);

  if (madvise (pixels, size, MADV_REMOVE) != 0)
    memset (pixels, 0, size);
}

static void
leave (BootFramebuffer *framebuffer)
{
  g_debug ("boot framebuffer: the driver has taken over");
  stop_timer (framebuffer);
  empty (framebuffer);
  if (framebuffer->config.left)
    framebuffer->config.left (framebuffer->config.opaque);
}

static void
on_shown (void *opaque, ScanoutSurface *surface)
{
  BootFramebuffer *framebuffer = opaque;

  if (surface != framebuffer->surface)
    {
      if (framebuffer->timer)
        leave (framebuffer);
      return;
    }
  if (framebuffer->timer)
    return;
  framebuffer->timer = g_timeout_source_new (PERIOD_MS);
  g_source_set_callback (framebuffer->timer, on_timer, framebuffer, NULL);
  g_source_attach (framebuffer->timer, NULL);
}

/* --- modes --- */

static void
set_mode (BootFramebuffer *framebuffer, uint32_t width, uint32_t height)
{
  ScanoutSurface *old = framebuffer->surface;

  if (old && scanout_surface_get_width (old) == width && scanout_surface_get_height (old) == height)
    return;
  g_debug ("boot framebuffer: %ux%u", width, height);
  framebuffer->surface = scanout_surface_new_view (framebuffer->memory, width, height);
  if (framebuffer->config.changed)
    framebuffer->config.changed (framebuffer->config.opaque, framebuffer->surface);
  scanout_surface_unref (old);
}

static gboolean
on_mode (void *data)
{
  BootFramebuffer *framebuffer = data;

  g_mutex_lock (&framebuffer->lock);
  uint32_t width = framebuffer->width, height = framebuffer->height;
  g_clear_pointer (&framebuffer->mode_source, g_source_unref);
  g_mutex_unlock (&framebuffer->lock);
  set_mode (framebuffer, width, height);
  return G_SOURCE_REMOVE;
}

/* Any thread. Many changes at once become one. */
static void
request_mode (void *opaque, uint32_t width, uint32_t height)
{
  BootFramebuffer *framebuffer = opaque;

  g_mutex_lock (&framebuffer->lock);
  framebuffer->width = width;
  framebuffer->height = height;
  if (!framebuffer->mode_source)
    {
      framebuffer->mode_source = g_idle_source_new ();
      g_source_set_callback (framebuffer->mode_source, on_mode, framebuffer, NULL);
      g_source_attach (framebuffer->mode_source, NULL);
    }
  g_mutex_unlock (&framebuffer->lock);
}

static void
forget_mode (BootFramebuffer *framebuffer)
{
  g_mutex_lock (&framebuffer->lock);
  if (framebuffer->mode_source)
    g_source_destroy (framebuffer->mode_source);
  g_clear_pointer (&framebuffer->mode_source, g_source_unref);
  g_mutex_unlock (&framebuffer->lock);
}

BootFramebuffer *
boot_framebuffer_new (const BootFramebufferConfig *config, GError **error)
{
  ScanoutSurface *memory =
      scanout_surface_new (config->width, config->height, BOOT_FRAMEBUFFER_MEMORY, error);

  if (!memory)
    return NULL;
  BootFramebuffer *framebuffer = g_new0 (BootFramebuffer, 1);
  framebuffer->config = *config;
  framebuffer->memory = memory;
  g_mutex_init (&framebuffer->lock);
  framebuffer->n_words = BOOT_FRAMEBUFFER_MEMORY / PAGE / 64;
  framebuffer->dirty = g_new0 (uint64_t, framebuffer->n_words);
  framebuffer->owed = g_rc_box_new0 (Owed);
  pci_device_add_ram_bar (config->pci, config->bar, PCI_BAR_PREFETCHABLE,
                          scanout_surface_get_pixels (memory), BOOT_FRAMEBUFFER_MEMORY, true);
  framebuffer->registers = vbe_registers_new (config->pci, config->registers,
                                              BOOT_FRAMEBUFFER_MEMORY, request_mode, framebuffer);
  scanout_port_set_shown_func (config->port, on_shown, framebuffer);
  set_mode (framebuffer, config->width, config->height);
  return framebuffer;
}

void
boot_framebuffer_free (BootFramebuffer *framebuffer)
{
  if (!framebuffer)
    return;
  scanout_port_set_shown_func (framebuffer->config.port, NULL, NULL);
  stop_timer (framebuffer);
  forget_mode (framebuffer);
  vbe_registers_free (framebuffer->registers);
  scanout_surface_unref (framebuffer->surface);
  scanout_surface_unref (framebuffer->memory);
  g_mutex_clear (&framebuffer->lock);
  g_free (framebuffer->dirty);
  g_rc_box_release (framebuffer->owed);
  g_free (framebuffer);
}

void
boot_framebuffer_reset (BootFramebuffer *framebuffer)
{
  forget_mode (framebuffer);
  vbe_registers_reset (framebuffer->registers);
  set_mode (framebuffer, framebuffer->config.width, framebuffer->config.height);
  empty (framebuffer);
}

ScanoutSurface *
boot_framebuffer_get_surface (const BootFramebuffer *framebuffer)
{
  return framebuffer->surface;
}

uint64_t
boot_framebuffer_get_address (const BootFramebuffer *framebuffer)
{
  return pci_device_get_bar_address (framebuffer->config.pci, framebuffer->config.bar);
}
