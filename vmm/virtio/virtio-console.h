#pragma once

#include "ports/char-port.h"
#include "virtio/virtio-device.h"

/* A console and named ports (Virtual I/O Device 1.2, 5.3): hvc0 and /dev/virtio-ports/NAME in Linux. A driver that does not know of ports
 * (VIRTIO_CONSOLE_F_MULTIPORT) finds the console alone. Thread: main, but for the callbacks that virtio-device.h names. */
#define VIRTIO_CONSOLE_PORTS_MAX 16
#define VIRTIO_CONSOLE_NAME_MAX  63 /* bytes */

typedef struct VirtioConsole VirtioConsole;

/* Which number of port it is says its place in a list. The first is the console and has no name; each other one has. */
typedef struct VirtioConsolePort
{
  const char *name; /* copied */
  CharPort *
      port; /* borrowed, its client is the console until virtio_console_free (); NULL: there is none of this number */
} VirtioConsolePort;

/* 1 to VIRTIO_CONSOLE_PORTS_MAX ports. */
VirtioConsole *virtio_console_new (const GuestMemory *memory, const VirtioConsolePort *ports,
                                   unsigned n_ports);
void virtio_console_free (VirtioConsole *console);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (VirtioConsole, virtio_console_free)

/* Borrowed. */
VirtioDevice *virtio_console_get_device (VirtioConsole *console);
