#pragma once

#include "ports/char-port.h"
#include "virtio/virtio-device.h"

/* A console of one port (Virtual I/O Device 1.2, 5.3), hvc0 in Linux, with emergency write. Thread: main, but for the
 * callbacks that virtio-device.h names. */
typedef struct VirtioConsole VirtioConsole;

/* port is borrowed; its client is the console until virtio_console_free (). */
VirtioConsole *virtio_console_new (const GuestMemory *memory, CharPort *port);
void virtio_console_free (VirtioConsole *console);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (VirtioConsole, virtio_console_free)

/* Borrowed. */
VirtioDevice *virtio_console_get_device (VirtioConsole *console);
