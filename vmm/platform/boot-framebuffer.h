#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <glib.h>

#include "pci/pci-device.h"
#include "ports/scanout-port.h"

/* The screen from the first message of the kernel on: plain memory in a BAR of the graphics card, 32 bits a pixel (XRGB), that a guest
 * draws on before its driver for the card takes over (firmware, boot loader, efifb), in the mode that it sets by the registers in another
 * BAR (platform/vbe-registers.h). What it wrote is found by the pages
 * that became dirty and flushed to the scanout port, as long as the port shows this surface and somebody looks.
 * When the port shows another one the memory is given back to the host, and reads as black.
 *
 * Thread: main.
 */
typedef struct BootFramebuffer BootFramebuffer;

#define BOOT_FRAMEBUFFER_MEMORY                                                                    \
  (UINT32_C (16) << 20) /* bytes; taken from the host as they are drawn on */

/* The surface is another one from now on: whoever has shown the old one shows this. */
typedef void (*BootFramebufferFunc) (void *opaque, ScanoutSurface *surface);
/* The port shows something else: the guest's own driver has taken over, and what drew here, firmware and boot loader, is done. */
typedef void (*BootFramebufferLeftFunc) (void *opaque);

typedef struct BootFramebufferConfig
{
  ScanoutPort *port;  /* borrowed */
  PciDevice *pci;     /* borrowed; not on a bus yet */
  unsigned bar;       /* for the memory */
  unsigned registers; /* the BAR for the registers */
  uint32_t width;     /* at first and from each reset on */
  uint32_t height;
  BootFramebufferFunc changed;  /* may be NULL */
  BootFramebufferLeftFunc left; /* may be NULL */
  void *opaque;
} BootFramebufferConfig;

/* Error: the host has no memory for it. */
BootFramebuffer *boot_framebuffer_new (const BootFramebufferConfig *config, GError **error);
/* pci is gone already, or goes without its BAR being used again. */
void boot_framebuffer_free (BootFramebuffer *framebuffer);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (BootFramebuffer, boot_framebuffer_free)

/* Black again, in the first mode. */
void boot_framebuffer_reset (BootFramebuffer *framebuffer);

/* Borrowed; until the mode changes. */
ScanoutSurface *boot_framebuffer_get_surface (const BootFramebuffer *framebuffer);
/* Where the guest finds it; 0 while the BAR is switched off. */
uint64_t boot_framebuffer_get_address (const BootFramebuffer *framebuffer);
/* Flushes what changed since the last time; what the timer does. False once the port shows something else. */
bool boot_framebuffer_poll (BootFramebuffer *framebuffer);
