#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <glib.h>

#include "pci/pci-device.h"
#include "ports/scanout-port.h"

/* The screen from the first message of the kernel on: plain memory in a BAR of the graphics card, 32 bits a pixel (XRGB), that a guest
 * draws on before its driver for the card takes over (efifb, simplefb, firmware). What it wrote is found by the pages
 * that became dirty and flushed to the scanout port, as long as the port shows this surface and somebody looks.
 *
 * Thread: main.
 */
typedef struct BootFramebuffer BootFramebuffer;

/* Adds BAR `bar` to pci, which is not on a bus yet. port and pci are borrowed. Error: the host has no memory for it. */
BootFramebuffer *boot_framebuffer_new (ScanoutPort *port, PciDevice *pci, unsigned bar,
                                       uint32_t width, uint32_t height, GError **error);
/* pci is gone already, or goes without its BAR being used again. */
void boot_framebuffer_free (BootFramebuffer *framebuffer);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (BootFramebuffer, boot_framebuffer_free)

/* Black again, and watched again. */
void boot_framebuffer_reset (BootFramebuffer *framebuffer);

/* Borrowed. */
ScanoutSurface *boot_framebuffer_get_surface (const BootFramebuffer *framebuffer);
/* Where the guest finds it; 0 while the BAR is switched off. */
uint64_t boot_framebuffer_get_address (const BootFramebuffer *framebuffer);
/* Flushes what changed since the last time; what the timer does. False once the port shows something else. */
bool boot_framebuffer_poll (BootFramebuffer *framebuffer);
